//! Random calls of both halves on one device, held against a model of a page.

mod support;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use proptest::{prelude::*, test_runner::TestRunner};
use rstest::rstest;
use support::{Pair, client_config, objects_left, watched};
use vdi_device::{CompletionRoutine, MAX_OUTSTANDING, Request};
use vdi_protocol::{CommandCode, CompletionCode, HResult};
use vdi_region::Backend;

const NOW: Option<Duration> = Some(Duration::ZERO);

#[derive(Debug, Clone)]
enum Step {
    Send(CommandCode),
    /// So many Flushes at once, to fill the queue.
    Flood(u32),
    Get,
    /// Completes one of the held commands, picked by the number, well or with an error.
    Complete(usize, CompletionCode),
    /// Completes what was completed last, again.
    CompleteAgain,
    CompleteUnknown(u32),
    Agent,
    CloseDevice,
    ClientAborts,
    ServerAborts,
    ClientCloses,
}

fn step() -> impl Strategy<Value = Step> {
    let code = prop_oneof![
        4 => Just(CommandCode::FLUSH),
        2 => Just(CommandCode::REWIND),
        3 => Just(CommandCode::CLEAR_ERROR),
    ];
    let answer = prop_oneof![
        6 => Just(CompletionCode::ERROR_SUCCESS),
        1 => Just(CompletionCode::ERROR_WRITE_FAULT),
        1 => Just(CompletionCode(0xdead_beef)),
    ];
    prop_oneof![
        24 => code.prop_map(Step::Send),
        1 => (50u32..70).prop_map(Step::Flood),
        20 => Just(Step::Get),
        14 => (any::<usize>(), answer).prop_map(|(n, code)| Step::Complete(n, code)),
        2 => Just(Step::CompleteAgain),
        2 => any::<u32>().prop_map(|id| Step::CompleteUnknown(id | 64)),
        10 => Just(Step::Agent),
        1 => Just(Step::CloseDevice),
        1 => Just(Step::ClientAborts),
        1 => Just(Step::ServerAborts),
        1 => Just(Step::ClientCloses),
    ]
}

type Answer = (u64, CompletionCode);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Command {
    context: u64,
    slot: usize,
    code: CommandCode,
}

/// What one device of a one-device set does.
#[derive(Debug, Default)]
struct Model {
    slots: Vec<Option<u64>>,
    queued: VecDeque<Command>,
    held: Vec<Command>,
    answered: VecDeque<(Command, CompletionCode)>,
    called: Vec<Answer>,
    client_error: bool,
    server_error: bool,
    device_closed: bool,
    close_delivered: bool,
    aborted: bool,
    client_closed: bool,
}

impl Model {
    fn send(&mut self, context: u64, code: CommandCode) -> HResult {
        let (status, completion) = if self.aborted {
            (HResult::VD_E_ABORT, CompletionCode::ERROR_OPERATION_ABORTED)
        } else if self.device_closed {
            (HResult::VD_E_PROTOCOL, CompletionCode::ERROR_INVALID_HANDLE)
        } else if self.server_error && code != CommandCode::CLEAR_ERROR {
            (HResult::VD_E_IO_ERROR, CompletionCode::ERROR_IO_DEVICE)
        } else if self.slots.iter().flatten().count() == MAX_OUTSTANDING {
            (HResult::VD_E_QUEUE_FULL, CompletionCode::ERROR_NO_SYSTEM_RESOURCES)
        } else {
            let slot = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
            self.slots.resize(self.slots.len().max(slot + 1), None);
            self.slots[slot] = Some(context);
            self.queued.push_back(Command { context, slot, code });
            return HResult::NOERROR;
        };
        self.called.push((context, completion));
        status
    }

    fn get(&mut self) -> Result<Command, HResult> {
        if self.client_closed {
            return Err(HResult::VD_E_PROTOCOL);
        }
        if self.aborted {
            return Err(HResult::VD_E_ABORT);
        }
        while let Some(command) = self.queued.front().copied() {
            let clears = command.code == CommandCode::CLEAR_ERROR;
            if clears && !self.held.is_empty() {
                return Err(HResult::VD_E_TIMEOUT);
            }
            self.queued.pop_front();
            if clears || !self.client_error {
                self.held.push(command);
                return Ok(command);
            }
            self.answered.push_back((command, CompletionCode::ERROR_IO_DEVICE));
        }
        if !self.device_closed {
            Err(HResult::VD_E_TIMEOUT)
        } else if std::mem::replace(&mut self.close_delivered, true) {
            // The only device has delivered its close: the set is normally terminated.
            Err(HResult::VD_E_PROTOCOL)
        } else {
            Err(HResult::VD_E_CLOSE)
        }
    }

    fn may_complete(&self) -> HResult {
        if self.client_closed {
            HResult::VD_E_PROTOCOL
        } else if self.aborted {
            HResult::VD_E_ABORT
        } else if self.close_delivered {
            HResult::VD_E_PROTOCOL
        } else {
            HResult::NOERROR
        }
    }

    fn complete(&mut self, index: usize, code: CompletionCode) -> HResult {
        let status = self.may_complete();
        if status != HResult::NOERROR {
            return status;
        }
        let command = self.held.remove(index);
        self.answered.push_back((command, code));
        if code != CompletionCode::ERROR_SUCCESS {
            self.client_error = true;
            while let Some(queued) =
                self.queued.pop_front_if(|c| c.code != CommandCode::CLEAR_ERROR)
            {
                self.answered.push_back((queued, CompletionCode::ERROR_IO_DEVICE));
            }
        } else if command.code == CommandCode::CLEAR_ERROR {
            self.client_error = false;
        }
        HResult::NOERROR
    }

    /// What the agent does when it runs.
    fn agent(&mut self) {
        if self.aborted {
            for slot in &mut self.slots {
                if let Some(context) = slot.take() {
                    self.called.push((context, CompletionCode::ERROR_OPERATION_ABORTED));
                }
            }
            return;
        }
        for (command, code) in self.answered.drain(..) {
            self.slots[command.slot] = None;
            if code != CompletionCode::ERROR_SUCCESS {
                self.server_error = true;
            } else if command.code == CommandCode::CLEAR_ERROR {
                self.server_error = false;
            }
            self.called.push((command.context, code));
        }
    }

    fn close_device(&mut self) -> HResult {
        if self.aborted {
            HResult::VD_E_ABORT
        } else if std::mem::replace(&mut self.device_closed, true) {
            HResult::VD_E_CLOSE
        } else {
            // The last device: the server's side looks whether that was all.
            HResult::NOERROR
        }
    }

    fn client_closes(&mut self) -> HResult {
        if std::mem::replace(&mut self.client_closed, true) {
            return HResult::VD_E_PROTOCOL;
        }
        if self.aborted {
            return HResult::NOERROR;
        }
        self.aborted = !self.device_closed || !self.held.is_empty() || !self.queued.is_empty();
        if self.device_closed { HResult::NOERROR } else { HResult::VD_E_OPEN }
    }
}

struct Device {
    pair: Pair,
    called: Arc<Mutex<Vec<Answer>>>,
    routine: CompletionRoutine,
    sent: u64,
    last: u32,
}

impl Device {
    fn new(backend: Backend) -> Device {
        let called = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&called);
        let routine: CompletionRoutine = Arc::new(move |completed| {
            log.lock().unwrap().push((completed.context, completed.completion));
        });
        Device { pair: Pair::new(backend, client_config(1), 1), called, routine, sent: 0, last: 0 }
    }

    fn send(&mut self, code: CommandCode, model: &mut Model) {
        let context = self.sent;
        self.sent += 1;
        let routine = Arc::clone(&self.routine);
        let request = Request { code, size: 0, position: 0, buffer: None, context, routine };
        let result = self.pair.server_devices[0].send_command(request);
        let status = result.map_or_else(|e| e.status(), |()| HResult::NOERROR);
        assert_eq!(status, model.send(context, code));
    }

    fn complete(&self, id: u32, code: CompletionCode) -> HResult {
        let result = self.pair.client_devices[0].complete_command(id, code, 0, 0);
        result.map_or_else(|status| status, |()| HResult::NOERROR)
    }

    /// The agent's loop: polls, and reacts to an abort, before it asks a third time.
    fn agent(&self) {
        let mut looks = 0;
        let _ = self.pair.server.run_agent_until(
            &mut || {
                looks += 1;
                looks > 2
            },
            None,
        );
    }

    fn take(&mut self, step: &Step, model: &mut Model) {
        match step {
            Step::Send(code) => self.send(*code, model),
            Step::Flood(count) => {
                (0..*count).for_each(|_| self.send(CommandCode::FLUSH, model));
            }
            Step::Get => {
                let got = self.pair.client_devices[0].get_command(NOW);
                let expected = model.get();
                assert_eq!(got.map(|c| (c.id, c.code)), expected.map(|c| (c.slot as u32, c.code)),);
            }
            Step::Complete(n, code) => {
                let Some(index) = n.checked_rem(model.held.len()) else { return };
                self.last = model.held[index].slot as u32;
                assert_eq!(self.complete(self.last, *code), model.complete(index, *code));
            }
            Step::CompleteAgain if model.held.iter().all(|c| c.slot as u32 != self.last) => {
                self.refused(self.last, model);
            }
            Step::CompleteAgain => {}
            Step::CompleteUnknown(id) => self.refused(*id, model),
            Step::Agent => {
                self.agent();
                model.agent();
            }
            Step::CloseDevice => {
                let result = self.pair.server_devices[0].close_device();
                let status = result.map_or_else(|e| e.status(), |()| HResult::NOERROR);
                assert_eq!(status, model.close_device());
            }
            Step::ClientAborts => {
                let expected = !model.client_closed;
                assert_eq!(self.pair.client.signal_abort().is_ok(), expected);
                model.aborted |= expected;
            }
            Step::ServerAborts => {
                self.pair.server.signal_abort();
                model.aborted = true;
                // Whoever aborts completes what is open, if no agent runs.
                model.agent();
            }
            Step::ClientCloses => {
                let result = self.pair.client.close();
                let status = result.map_or_else(|e| e.status(), |()| HResult::NOERROR);
                assert_eq!(status, model.client_closes());
            }
        }
    }

    fn refused(&self, id: u32, model: &Model) {
        let expected = match model.may_complete() {
            HResult::NOERROR => HResult::VD_E_INVALID,
            other => other,
        };
        assert_eq!(self.complete(id, CompletionCode::ERROR_SUCCESS), expected);
    }

    /// Whatever is open at the end is completed by the server's Close, and nothing is left.
    fn leave(self, mut model: Model) {
        let _ = self.pair.client.close();
        model.client_closes();
        let _ = self.pair.server.close();
        model.aborted |= !model.device_closed || model.slots.iter().any(Option::is_some);
        model.agent();
        assert_eq!(*self.called.lock().unwrap(), model.called);
        let mut contexts: Vec<_> = model.called.iter().map(|(context, _)| *context).collect();
        contexts.sort_unstable();
        assert_eq!(contexts, (0..self.sent).collect::<Vec<_>>(), "each routine is called once");
        assert_eq!(objects_left(&self.pair.environment), Vec::<String>::new());
    }
}

/// Catches: a command lost, repeated or out of order; a completion accepted twice or for nothing; a
/// queued command that the client sees after an error; ClearError delivered while commands are open; an
/// error state that stays or ends too early on either side; a routine not called, or called twice, when
/// a side aborts or closes.
#[rstest]
fn one_device_follows_the_model(
    #[values(Backend::platform_default(), Backend::Portable)] backend: Backend,
) {
    watched(move || {
        let mut runner = TestRunner::new(ProptestConfig {
            cases: 150,
            failure_persistence: None,
            ..ProptestConfig::default()
        });
        let steps = prop::collection::vec(step(), 1..120);
        let ran = runner.run(&steps, |steps| {
            let (mut device, mut model) = (Device::new(backend), Model::default());
            for step in &steps {
                device.take(step, &mut model);
                assert_eq!(*device.called.lock().unwrap(), model.called, "after {step:?}");
            }
            device.leave(model);
            Ok(())
        });
        ran.unwrap_or_else(|failure| panic!("{failure}"));
    });
}
