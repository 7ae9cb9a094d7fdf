//! The other process of a test: this very executable, started again as a small command loop.
//!
//! Commands and answers are lines; an answer is a status, and what the test harness prints around it is
//! told apart by its mark.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Lines, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::Arc,
    thread,
};

use vdi_device::{
    ClientDevice, ClientSet, Environment, Namespace, Request, ServerDevice, ServerSet, clean,
    leftovers,
};
use vdi_protocol::{CommandCode, CompletionCode, HResult};

#[cfg(unix)]
use crate::forks;
use crate::support::{client_config, device_name, server_config};

const MARK: &str = "peer: ";
const STARTED_AS_PEER: &str = "VDI_DEVICE_TEST_PEER";

/// A running peer; killed when dropped.
pub(crate) struct Peer {
    child: Child,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Peer {
    pub(crate) fn start(environment: &Environment) -> Peer {
        Peer::start_by(environment, &mut Command::new(std::env::current_exe().unwrap())).unwrap()
    }

    pub(crate) fn start_by(
        environment: &Environment,
        command: &mut Command,
    ) -> std::io::Result<Peer> {
        let mut child = command
            .args(["--exact", "peer::peer", "--ignored", "--nocapture", "--test-threads=1"])
            .env(STARTED_AS_PEER, "1")
            .env("VDISIM_NAMESPACE", environment.namespace.as_str())
            .env("VDISIM_BACKEND", environment.backend.as_str())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let commands = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut peer = Peer { child, commands, answers };
        assert_eq!(peer.ask("hello"), "hello");
        Ok(peer)
    }

    /// A peer that has obeyed `commands`, all of which succeed.
    pub(crate) fn after(environment: &Environment, commands: &[&str]) -> Peer {
        let mut peer = Peer::start(environment);
        peer.obey(commands);
        peer
    }

    pub(crate) fn obey(&mut self, commands: &[&str]) {
        for command in commands {
            assert_eq!(self.ask(command), text(HResult::NOERROR), "{command}");
        }
    }

    pub(crate) fn tell(&mut self, command: &str) {
        writeln!(self.commands, "{command}").unwrap();
    }

    pub(crate) fn answer(&mut self) -> String {
        let answer = self
            .answers
            .by_ref()
            .find_map(|line| line.ok().and_then(|line| Some(line.split_once(MARK)?.1.to_owned())));
        answer.expect("the peer lives")
    }

    pub(crate) fn ask(&mut self, command: &str) -> String {
        self.tell(command);
        self.answer()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it, as SIGKILL and TerminateProcess do, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "the other process of the two-process tests, not a test"]
fn peer() {
    if std::env::var_os(STARTED_AS_PEER).is_none() {
        return;
    }
    let mut state = State::new();
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let answer = match line.as_str() {
            "hello" => "hello".to_owned(),
            line => state.obey(line).unwrap_or_else(|text| text),
        };
        println!("{MARK}{answer}");
    }
}

struct State {
    environment: Environment,
    client: ClientSet,
    devices: HashMap<usize, ClientDevice>,
    held: HashMap<usize, Vec<u32>>,
    server: Option<ServerSet>,
    server_devices: Vec<ServerDevice>,
}

fn name_of(index: usize) -> Vec<u8> {
    device_name("set", index).into_bytes()
}

fn text(status: HResult) -> String {
    status.to_string()
}

impl State {
    fn new() -> Self {
        let environment = Environment::from_process().unwrap();
        assert_ne!(environment.namespace, Namespace::default());
        State {
            client: ClientSet::new(environment.clone()),
            environment,
            devices: HashMap::new(),
            held: HashMap::new(),
            server: None,
            server_devices: Vec::new(),
        }
    }

    fn obey(&mut self, line: &str) -> Result<String, String> {
        let words: Vec<&str> = line.split(' ').collect();
        let number = || words[1].parse::<usize>().unwrap();
        let failed = |error: vdi_device::Error| text(error.status());
        let refused = |status: HResult| text(status);
        match words[0] {
            "create" => {
                self.client.create(b"set", &client_config(number() as u32)).map_err(failed)?
            }
            "configure" => drop(self.client.get_configuration(None).map_err(failed)?),
            "join" => self.client.open_in_secondary(b"set").map_err(failed)?,
            "open" => {
                let device = self.client.open_device(&name_of(number())).map_err(failed)?;
                self.devices.insert(number(), device);
            }
            "get" => {
                let command = self.devices[&number()].get_command(None).map_err(refused)?;
                self.held.entry(number()).or_default().push(command.id);
            }
            "complete" => {
                let id = self.held.get_mut(&number()).and_then(Vec::pop).unwrap();
                let device = &self.devices[&number()];
                device
                    .complete_command(id, CompletionCode::ERROR_SUCCESS, 0, 0)
                    .map_err(refused)?;
            }
            "map" => {
                let handle = words[1].parse().unwrap();
                let buffer = self.client.map_buffer(handle).map_err(refused)?;
                let slice = buffer.slice().map_err(failed)?;
                let mut bytes = [0; 16];
                slice.copy_to(0, &mut bytes).unwrap();
                let address = slice.as_mut_ptr().addr();
                let again = self.client.get_buffer_handle(slice.as_mut_ptr()).map_err(refused)?;
                return Ok(format!("{bytes:?} {} {}", address % 65536, again == handle));
            }
            #[cfg(unix)]
            "fork" => {
                return Ok(forks::calls_in_a_child(&mut self.client, &self.devices[&0]));
            }
            #[cfg(unix)]
            "leave-child" => return Ok(forks::leave_a_child_behind().to_string()),
            "why-not-create" => {
                let error = self.client.create(b"set", &client_config(1)).unwrap_err();
                return Ok(format!("{} {error}", text(error.status())));
            }
            "why-not-clean" => {
                let environment = &self.environment;
                let found = leftovers(environment.backend, Some(&environment.namespace));
                let error = clean(&found.map_err(failed)?[0]).unwrap_err();
                return Ok(format!("{} {error}", text(error.status())));
            }
            "close" => self.client.close().map_err(failed)?,
            _ => return self.obey_as_server(&words),
        }
        Ok(text(HResult::NOERROR))
    }

    fn obey_as_server(&mut self, words: &[&str]) -> Result<String, String> {
        let failed = |error: vdi_device::Error| text(error.status());
        if words[0] == "serve" {
            self.server = Some(ServerSet::open(&self.environment, None, b"set").map_err(failed)?);
            return Ok(text(HResult::NOERROR));
        }
        let server = self.server.as_ref().unwrap();
        match words[0] {
            "begin" => server.begin_configuration(&server_config()).map_err(failed)?,
            "request" => server.request_buffers(65536, 0, 4).map_err(failed)?,
            "end" => server.end_configuration().map_err(failed)?,
            "devices" => {
                for index in 0..server.get_configuration().map_err(failed)?.device_count as usize {
                    let device = server.open_device(&name_of(index)).map_err(failed)?;
                    self.server_devices.push(device);
                }
                let agent = server.clone();
                thread::spawn(move || agent.execute_completion_agent());
            }
            "send" => {
                let buffer = Some(server.allocate_buffer(65536, 0).map_err(failed)?);
                let routine = Arc::new(|_| {});
                let (code, size) = (CommandCode::WRITE, 512);
                let request = Request { code, size, position: 0, buffer, context: 0, routine };
                let device = &self.server_devices[words[1].parse::<usize>().unwrap()];
                device.send_command(request).map_err(failed)?;
            }
            "finish" => {
                let device = &self.server_devices[words[1].parse::<usize>().unwrap()];
                device.close_device().map_err(failed)?;
            }
            other => panic!("the peer does not know {other}"),
        }
        Ok(text(HResult::NOERROR))
    }
}
