//! The other process of a test: this very executable, started again as a small command loop.
//!
//! Commands and answers are lines. What the test harness prints around them is told apart by the
//! mark at the beginning of an answer.

use std::io::{BufRead, BufReader, Lines, Write};
#[cfg(target_os = "linux")]
use std::process::ExitStatus;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use vdi_region::{
    Access, Backend, LeaseRole, ObjectName, ProcessIdentity, Region, RegionError,
    install_truncation_guard, list_objects, remove_leftover,
};

const MARK: &str = "peer: ";
const STARTED_AS_PEER: &str = "VDI_REGION_TEST_PEER";

/// A running peer; killed when dropped.
pub(crate) struct Peer {
    child: Child,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Peer {
    pub(crate) fn start(backend: Backend) -> Peer {
        Peer::start_by(backend, Command::new(std::env::current_exe().unwrap()))
    }

    /// Started by a command that ends in this executable.
    pub(crate) fn start_by(backend: Backend, mut command: Command) -> Peer {
        let mut child = command
            .args(["--exact", "peer::peer", "--ignored", "--nocapture", "--test-threads=1"])
            .env(STARTED_AS_PEER, backend.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let commands = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut peer = Peer { child, commands, answers };
        assert_eq!(peer.ask("hello"), "ok hello");
        peer
    }

    pub(crate) fn tell(&mut self, command: &str) {
        writeln!(self.commands, "{command}").unwrap();
    }

    pub(crate) fn answer(&mut self) -> Option<String> {
        self.answers.by_ref().find_map(|line| Some(line.ok()?.split_once(MARK)?.1.to_owned()))
    }

    pub(crate) fn ask(&mut self, command: &str) -> String {
        self.tell(command);
        self.answer().unwrap_or_else(|| panic!("the peer died of {command:?}"))
    }

    /// Asks for what has to succeed and returns the result.
    pub(crate) fn get(&mut self, command: &str) -> String {
        let answer = self.ask(command);
        let (outcome, value) = answer.split_once(' ').unwrap();
        assert_eq!(outcome, "ok", "{command}: {answer}");
        value.to_owned()
    }

    pub(crate) fn identity(&mut self) -> ProcessIdentity {
        let answer = self.get("identity");
        let mut numbers = answer.split(' ').map(|number| number.parse::<u64>().unwrap());
        let mut next = || numbers.next().unwrap();
        ProcessIdentity {
            pid: next().try_into().unwrap(),
            start_time: next(),
            pid_namespace: next(),
        }
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
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
    let Ok(backend) = std::env::var(STARTED_AS_PEER) else { return };
    let mut state = State { backend: backend.parse().unwrap(), region: None };
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let answer = match state.obey(&line) {
            Ok(value) => format!("ok {value}"),
            Err(error) => format!("error {}", describe(&error)),
        };
        println!("{MARK}{answer}");
    }
}

/// The variant's name, the system's number, the text.
fn describe(error: &RegionError) -> String {
    let debug = format!("{error:?}");
    let variant = debug.split([' ', '{']).next().unwrap();
    format!("{variant} {} {error}", error.os_error().unwrap_or(0))
}

struct State {
    backend: Backend,
    region: Option<Region>,
}

impl State {
    fn obey(&mut self, line: &str) -> Result<String, RegionError> {
        let words: Vec<&str> = line.split(' ').collect();
        let name = |at: usize| ObjectName::new(words[at]);
        let number = |at: usize| words[at].parse::<usize>().unwrap();
        let done = || "done".to_owned();
        match words[0] {
            "hello" => Ok("hello".to_owned()),
            "create" => {
                let init = |_: &Region| Ok(());
                let access = Access::Creator;
                let made = Region::create(self.backend, &name(1)?, number(2), access, init)?;
                self.region = Some(made);
                Ok(done())
            }
            "create-for-group" => {
                let access = Access::Group(number(3) as u32);
                let init = |_: &Region| Ok(());
                let made = Region::create(self.backend, &name(1)?, number(2), access, init)?;
                self.region = Some(made);
                Ok(done())
            }
            "hang-in-create" => {
                let init = |_: &Region| {
                    println!("{MARK}ok building");
                    // It is killed long before; if its test is not there to do so, it fails.
                    std::thread::sleep(Duration::from_secs(180));
                    panic!("nobody killed the builder");
                };
                Region::create(self.backend, &name(1)?, number(2), Access::Creator, init)?;
                Ok(done())
            }
            "open" => {
                self.region = Some(Region::open(self.backend, &name(1)?)?);
                Ok(done())
            }
            "drop" => {
                self.region = None;
                Ok(done())
            }
            "clean" => {
                let found = list_objects(self.backend, words[1])?;
                let removed: Result<Vec<_>, _> =
                    found.iter().map(|info| remove_leftover(self.backend, info)).collect();
                Ok(format!("{:?}", removed?))
            }
            "identity" => {
                let ProcessIdentity { pid, start_time, pid_namespace } = ProcessIdentity::current();
                Ok(format!("{pid} {start_time} {pid_namespace}"))
            }
            "guard" => {
                install_truncation_guard();
                Ok(done())
            }
            #[cfg(windows)]
            "hold-lock" => {
                crate::windows::hold_lock(&name(1)?);
                Ok(done())
            }
            #[cfg(target_os = "linux")]
            command if crate::peer_on_linux::knows(command) => {
                Ok(crate::peer_on_linux::obey(self.backend, &words, &mut self.region))
            }
            _ => self.obey_on_region(&words),
        }
    }

    fn obey_on_region(&self, words: &[&str]) -> Result<String, RegionError> {
        let region = self.region.as_ref().expect("a region comes first");
        let number = |at: usize| words[at].parse::<usize>().unwrap();
        let done = || "done".to_owned();
        let role = |at: usize| match words[at] {
            "creator" => LeaseRole::Creator,
            _ => LeaseRole::Attacher,
        };
        match words[0] {
            "store" => {
                region.word(number(1))?.store(number(2) as u32, Ordering::Release);
                Ok(done())
            }
            "load" => Ok(region.word(number(1))?.load(Ordering::Acquire).to_string()),
            "wait" => {
                let timeout = Duration::from_millis(number(3) as u64);
                let word = region.word(number(1))?;
                Ok(format!("{:?}", region.wait(word, number(2) as u32, Some(timeout))?))
            }
            "wake" => {
                region.wake(region.word(number(1))?, u32::MAX);
                Ok(done())
            }
            "echo" => echo(region, number(1) as u32),
            "lease" => Ok(format!("{:?}", region.take_lease(role(1))?)),
            "held" => Ok(region.lease_held(role(1))?.to_string()),
            "unlink" => region.unlink().map(|()| done()),
            "owner" => Ok(region.owner().to_string()),
            "fill" => {
                region.slice(0, region.len())?.fill(number(1) as u8);
                Ok(done())
            }
            "truncated" => Ok(format!("{} {}", region.is_truncated(), region.object_size()?)),
            other => panic!("{other:?} is no command"),
        }
    }
}

/// Answers each number in word 0 by the same number in word 1, sleeping in between.
fn echo(region: &Region, rounds: u32) -> Result<String, RegionError> {
    let (request, reply) = (region.word(0)?, region.word(4)?);
    for round in 1..=rounds {
        while request.load(Ordering::Acquire) != round {
            region.wait(request, round - 1, None)?;
        }
        reply.store(round, Ordering::Release);
        region.wake(reply, 1);
    }
    Ok(rounds.to_string())
}
