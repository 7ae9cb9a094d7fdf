//! The inside of a `ClientVirtualDevice` object.

use std::mem::{align_of, offset_of, size_of};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};

use serde_json::json;
use vdi_device::{ClientCommand, ClientDevice, MAX_OUTSTANDING};
use vdi_protocol::{CommandCode, CompletionCode, HResult, VdcCommand};

use super::messages::say;
use super::time_out::TimeUnit;
use super::times::{self, Recorder};
use super::trace;

/// One device: the commands that its client sees, and what was really given.
#[derive(Debug)]
pub(super) struct Device {
    number: u32,
    name: Vec<u8>,
    client: ClientDevice,
    unit: TimeUnit,
    /// The commands in the client's sight, indexed by the id that `vdi-device` gave them. A command
    /// keeps its address from GetCommand to CompleteCommand. Nothing read from here is used.
    seen: [Cell; MAX_OUTSTANDING],
    /// The same out of the client's sight, to notice a client that wrote to its command.
    given: [Cell; MAX_OUTSTANDING],
    change_said: AtomicBool,
    deleted: AtomicBool,
    /// Nothing unless times are recorded.
    times: Option<Box<Recorder>>,
}

/// A VDC_Command in memory that the client can write to at any time, hence of atomics.
#[derive(Debug)]
#[repr(C)]
struct Cell {
    code: AtomicU32,
    size: AtomicU32,
    position: AtomicU64,
    buffer: AtomicPtr<u8>,
}

const _: () = {
    assert!(size_of::<Cell>() == size_of::<VdcCommand>());
    assert!(align_of::<Cell>() == align_of::<VdcCommand>());
    assert!(offset_of!(Cell, code) == offset_of!(VdcCommand, command_code));
    assert!(offset_of!(Cell, size) == offset_of!(VdcCommand, size));
    assert!(offset_of!(Cell, position) == offset_of!(VdcCommand, position));
    assert!(offset_of!(Cell, buffer) == offset_of!(VdcCommand, buffer));
};

/// What a cell holds.
#[derive(Debug, PartialEq, Eq)]
struct Content {
    code: u32,
    size: u32,
    position: u64,
    buffer: *mut u8,
}

impl Cell {
    const fn empty() -> Cell {
        Cell {
            code: AtomicU32::new(0),
            size: AtomicU32::new(0),
            position: AtomicU64::new(0),
            buffer: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Relaxed throughout: a command passes from thread to thread by the client's own means.
    fn store(&self, command: &ClientCommand) {
        self.code.store(command.code.0, Ordering::Relaxed);
        self.size.store(command.size, Ordering::Relaxed);
        self.position.store(command.position, Ordering::Relaxed);
        self.buffer.store(command.buffer, Ordering::Relaxed);
    }

    fn load(&self) -> Content {
        Content {
            code: self.code.load(Ordering::Relaxed),
            size: self.size.load(Ordering::Relaxed),
            position: self.position.load(Ordering::Relaxed),
            buffer: self.buffer.load(Ordering::Relaxed),
        }
    }
}

impl Device {
    pub(super) fn new(number: u32, name: &[u8], client: ClientDevice, unit: TimeUnit) -> Device {
        Device {
            number,
            name: name.to_owned(),
            client,
            unit,
            seen: [const { Cell::empty() }; MAX_OUTSTANDING],
            given: [const { Cell::empty() }; MAX_OUTSTANDING],
            change_said: AtomicBool::new(false),
            deleted: AtomicBool::new(false),
            times: Recorder::new(number),
        }
    }

    /// Its name in a trace.
    pub(super) fn label(&self) -> String {
        format!("device {}", self.number)
    }

    /// Whether this is the first time that the client deletes it.
    pub(super) fn delete_once(&self) -> bool {
        !self.deleted.swap(true, Ordering::Relaxed)
    }

    /// Waits for a command; gives the address that stands for it.
    pub(super) fn get_command(&self, timeout: i64) -> Result<*mut VdcCommand, HResult> {
        let asked = self.times.as_ref().map_or(0, |_| times::now());
        let command = self
            .client
            .get_command(self.unit.timeout(timeout))
            .inspect_err(|status| self.no_command(*status))?;
        let id = command.id as usize;
        let (Some(seen), Some(given)) = (self.seen.get(id), self.given.get(id)) else {
            return Err(HResult::VD_E_UNEXPECTED);
        };
        given.store(&command);
        seen.store(&command);
        if let Some(times) = &self.times {
            times.given(id, asked);
        }
        Ok(ptr::from_ref(seen).cast::<VdcCommand>().cast_mut())
    }

    /// A device that has ended gives its times away.
    #[cold]
    fn no_command(&self, status: HResult) {
        if let Some(times) = self.times.as_ref().filter(|_| status != HResult::VD_E_TIMEOUT) {
            times.ended();
        }
    }

    /// Completes the command at an address that GetCommand gave.
    pub(super) fn complete_command(
        &self,
        command: *const VdcCommand,
        code: CompletionCode,
        bytes: u64,
        position: u64,
    ) -> Result<(), HResult> {
        // What is no command of ours goes on with an id that none has, so that the state of the set
        // decides: Abort and Close have their own codes.
        let id = self.id_of(command);
        let given = id.and_then(|id| self.changed(id));
        let times = self.times.as_ref().zip(id);
        let times = times.and_then(|(times, id)| {
            let code = self.given[id].code.load(Ordering::Relaxed);
            Some((times, times.answered(id, code)?))
        });
        let id = id.map_or(u32::MAX, |id| id as u32);
        self.client.complete_command(id, code, bytes, position)?;
        if let Some((times, record)) = times {
            times.taken(record);
        }
        if let Some((given, seen)) = given {
            self.report_change(&given, &seen);
        }
        Ok(())
    }

    /// The id of the command at an address, if it is the start of a cell.
    pub(super) fn id_of(&self, command: *const VdcCommand) -> Option<usize> {
        let offset = command.addr().checked_sub(self.seen.as_ptr().addr())?;
        let id = offset / size_of::<Cell>();
        (offset.is_multiple_of(size_of::<Cell>()) && id < MAX_OUTSTANDING).then_some(id)
    }

    /// What was given and what stands there now, if the two differ.
    fn changed(&self, id: usize) -> Option<(Content, Content)> {
        let (given, seen) = (self.given[id].load(), self.seen[id].load());
        (given != seen).then_some((given, seen))
    }

    #[cold]
    fn report_change(&self, given: &Content, seen: &Content) {
        trace::event(
            "command-changed",
            json!({"device": self.label(), "given": describe(given), "changed": describe(seen)}),
        );
        if !self.change_said.swap(true, Ordering::Relaxed) {
            let name = String::from_utf8_lossy(&self.name);
            let (given, seen) = (describe(given), describe(seen));
            say(&format!(
                "vdisim: device '{name}': the client wrote to its VDC_Command, which is for \
                 reading only: {given} became {seen}; the change has no effect."
            ));
        }
    }
}

fn describe(content: &Content) -> String {
    let &Content { code, size, position, buffer } = content;
    format!("{} size {size} position {position} buffer {buffer:p}", CommandCode(code))
}
