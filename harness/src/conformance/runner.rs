//! Runs cases: several at once, each in a namespace and a folder of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use vdi_protocol::HResult;

use super::capabilities::{Capabilities, Need};
use super::case::{Case, ClientTrial, Trial};
use super::expectation::Expectations;
use super::front::Front;
use super::implementation::{Implementation, NO_SERVER, Server, needs_server};
use super::judge::{Finding, caught, judge};
use super::observation::{Act, Ended, mark_guilty, shorten, timelines};
use super::patterns::Patterns;
use super::probe::{self, Mistake};
use super::record::now;
use super::resident::Resident;
use super::results::{CaseResult, Level, Partition, RunKind, RunResults, VERSION, Verdict};
use super::subject::{Brief, Subject};
use super::trial::{Stage, Statement, TrialError, namespace};
use crate::exit::Failure;
use crate::process::{crash_of, signal_of};
use crate::selftest;

/// What is run, and how.
#[derive(Clone, Debug)]
pub struct Run {
    /// Who is tested.
    pub subject: Subject,
    /// What the client is called in reports.
    pub label: String,
    /// Its command line as given.
    pub command: Option<String>,
    /// This program.
    pub vdisim: PathBuf,
    /// The drop-in.
    pub drop_in: PathBuf,
    /// An implementation of the interface that is tested in place of a client.
    pub implementation: Option<Implementation>,
    /// What its probes do wrong on purpose.
    pub mistake: Option<Mistake>,
    /// The version of the catalogue that the cases are of.
    pub catalogue: u32,
    /// Who sends the BACKUP or RESTORE.
    pub front: Front,
    /// The agent that the client triggers; none if the client does the work itself. Its cases run one at a time.
    pub resident: Option<Arc<Resident>>,
    /// What the client's output says of its success, in the place of its exit code.
    pub patterns: Patterns,
    /// What the client supports.
    pub capabilities: Capabilities,
    /// Known failures.
    pub expectations: Expectations,
    /// What the bytes are made from.
    pub seed: u64,
    /// How long nothing may happen.
    pub stall: Duration,
    /// Cases at a time.
    pub jobs: usize,
    /// How often each case is run.
    pub repeat: u32,
    /// Whether to stop at the first failure.
    pub fail_fast: bool,
    /// Whether a failed `should` fails the run.
    pub strict: bool,
    /// Whether buffers stand behind pages that no client can touch.
    pub guard: bool,
    /// What goes wrong in every case: where the plan stands, and its YAML.
    pub fault: Option<(String, String)>,
    /// Which part of the cases.
    pub partition: Option<Partition>,
    /// More of the command line that reproduces a case.
    pub reproduce: String,
}

/// Hears of each result.
pub trait Listener: Sync {
    /// A case begins.
    fn begins(&self, id: &str);
    /// A case has ended.
    fn ended(&self, result: &CaseResult);
}

impl Run {
    /// Runs the cases; ends early when `interrupted` is set.
    ///
    /// # Errors
    /// The client could not be started, or there is no room for temporary files.
    pub fn execute(
        &self,
        cases: &[&Case],
        listener: &dyn Listener,
        interrupted: &AtomicBool,
    ) -> Result<RunResults, Failure> {
        let (started, begin) = (now(), Instant::now());
        let work: Vec<(usize, &Case, u32)> = (1..=self.repeat.max(1))
            .flat_map(|repetition| cases.iter().map(move |case| (*case, repetition)))
            .enumerate()
            .map(|(i, (case, repetition))| (i, case, repetition))
            .collect();
        let next = AtomicUsize::new(0);
        let stop = AtomicBool::new(false);
        let (done, failure) = (Mutex::new(Vec::new()), Mutex::new(None));
        thread::scope(|scope| {
            for _ in 0..self.jobs().clamp(1, work.len().max(1)) {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) && !interrupted.load(Ordering::Relaxed) {
                        let taken = next.fetch_add(1, Ordering::Relaxed);
                        let Some((i, case, repetition)) = work.get(taken) else { return };
                        listener.begins(&case.id);
                        match self.case(case, *i, *repetition, interrupted) {
                            Ok(result) => {
                                listener.ended(&result);
                                if self.fail_fast && result.verdict.is_broken() {
                                    stop.store(true, Ordering::Relaxed);
                                }
                                lock(&done).push((*i, result));
                            }
                            // Whoever interrupts knows it.
                            Err(TrialError::Interrupted) => return,
                            Err(error) => {
                                stop.store(true, Ordering::Relaxed);
                                lock(&failure).get_or_insert(error);
                            }
                        }
                    }
                });
            }
        });
        match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(TrialError::NotStarted { program, error }) => {
                return Err(Failure::NotStarted { program, error });
            }
            Some(error) => return Err(Failure::Environment(error.to_string())),
            None => {}
        }
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_by_key(|(i, _)| *i);
        Ok(RunResults {
            version: VERSION,
            kind: match self.subject {
                Subject::Reference(_) if self.implementation.is_none() => RunKind::SelfTest,
                _ => RunKind::Conformance,
            },
            client: self.label.clone(),
            command: self.command.clone(),
            vdisim: env!("CARGO_PKG_VERSION").to_owned(),
            catalogue: self.catalogue,
            seed: self.seed,
            strict: self.strict,
            partition: self.partition,
            interrupted: interrupted.load(Ordering::Relaxed),
            started,
            seconds: begin.elapsed().as_secs_f64(),
            environment: self.circumstances(),
            cases: done.into_iter().map(|(_, result)| result).collect(),
        })
    }

    /// Facts on the machine and the run.
    fn circumstances(&self) -> BTreeMap<String, String> {
        let mut all = machine(&self.drop_in);
        let fence = if self.guard { "pages (--guard)" } else { "canaries" };
        all.insert("around buffers".to_owned(), fence.to_owned());
        if let Some((name, _)) = &self.fault {
            all.insert("fault in every case".to_owned(), name.clone());
        }
        if let Some(mistake) = self.mistake {
            all.insert("mistake of every probe".to_owned(), mistake.word());
        }
        all
    }

    /// Cases at a time. An agent lives in one namespace, which no two cases share at once.
    fn jobs(&self) -> usize {
        if self.resident.is_some() { 1 } else { self.jobs }
    }

    fn case(
        &self,
        case: &Case,
        number: usize,
        repetition: u32,
        interrupted: &AtomicBool,
    ) -> Result<CaseResult, TrialError> {
        let (started, begin) = (now(), Instant::now());
        let mut result = CaseResult {
            id: case.id.clone(),
            level: case.level,
            rule: case.rule.clone(),
            source: case.source.to_string(),
            capabilities: case.needs.iter().map(ToString::to_string).collect(),
            verdict: Verdict::Pass,
            signal: None,
            reason: None,
            expected: None,
            seen: None,
            evidence: Vec::new(),
            hint: None,
            reproduce: format!("vdisim test {} --seed {}{}", case.id, self.seed, self.reproduce),
            started,
            seconds: 0.0,
            repetition,
            timelines: Vec::new(),
        };
        if let Some(need) = case.needs.iter().find(|need| !self.capabilities.has(**need)) {
            result.verdict = Verdict::NotApplicable;
            result.reason = Some(format!("the client does not declare '{need}'"));
            return Ok(result);
        }
        if self.implementation.is_some() && !case.is_of_implementations() {
            result.verdict = Verdict::NotApplicable;
            result.reason = Some("it judges a client, not an implementation".to_owned());
            return Ok(result);
        }
        if let Some(why) = self.misfit(case) {
            result.verdict = Verdict::NotApplicable;
            result.reason = Some(why.to_owned());
            return Ok(result);
        }
        let tried = match &case.trial {
            Trial::Client(trial) => self.client(case, trial, number, interrupted, &mut result),
            Trial::Cell(cell) => self.cell(cell, number, &mut result),
            Trial::ServerCell(cell) => self.server_cell(cell, number, &mut result),
            Trial::RoundTrip(mode) => self.round_trip(mode, &mut result),
        };
        match tried {
            Ok(()) => {}
            Err(TrialError::Bug(why)) => {
                result.verdict = Verdict::Error;
                result.reason = Some(why);
            }
            Err(error) => return Err(error),
        }
        if result.verdict.is_broken() && !case.hint.is_empty() {
            result.hint = Some(case.hint.to_owned());
        }
        self.expect(&mut result);
        result.seconds = begin.elapsed().as_secs_f64();
        Ok(result)
    }

    /// Why a case cannot be tried with the front-end or agent of the run.
    fn misfit(&self, case: &Case) -> Option<&'static str> {
        let Trial::Client(trial) = &case.trial else { return None };
        if case.needs.contains(&Need::Sql) && !self.front.is_sql() {
            return Some("the client does not send the statement itself");
        }
        if self.resident.is_some() && (trial.file_limit.is_some() || trial.syscalls) {
            return Some("the agent was started before the case, which would limit or watch it");
        }
        let invents = self.front.is_sql() && !self.subject.is_told_the_name();
        (invents && trial.set.is_some())
            .then_some("the client invents the set's name, and here it is to have another")
    }

    /// Turns the verdict of a case that is known to fail.
    fn expect(&self, result: &mut CaseResult) {
        let Some(expectation) = self.expectations.of(&result.id) else { return };
        result.verdict = match result.verdict {
            verdict if verdict.is_broken() => Verdict::ExpectedFailure,
            Verdict::Pass => Verdict::UnexpectedPass,
            other => return result.verdict = other,
        };
        result.reason = Some(expectation.to_reason());
    }

    fn client(
        &self,
        case: &Case,
        trial: &ClientTrial,
        number: usize,
        interrupted: &AtomicBool,
        result: &mut CaseResult,
    ) -> Result<(), TrialError> {
        if let Some(missing) = what_is_missing(trial) {
            result.verdict = Verdict::Skip;
            result.reason = Some(missing.to_owned());
            return Ok(());
        }
        let fresh = result.clone();
        let left = self.attempt(case, trial, number, None, interrupted, result)?;
        let disputed = left || case.level == Level::Disputed;
        if !disputed || !result.verdict.is_broken() {
            return Ok(());
        }
        // What a time-out's number means is not agreed upon; under the other reading the client
        // may be right.
        let (first, unit, other) = if reads_seconds() {
            ("seconds", "ms", "milliseconds")
        } else {
            ("milliseconds", "s", "seconds")
        };
        let mut again = fresh;
        let left_again = self.attempt(case, trial, number, Some(unit), interrupted, &mut again)?;
        if !again.verdict.is_broken() {
            let seen = result.seen.take().unwrap_or_default();
            again.evidence.push(format!(
                "with time-outs read as {other}; as {first}: {}, {seen}",
                result.verdict
            ));
            *result = again;
            return Ok(());
        }
        result.evidence.push(format!("with time-outs read as {other}: {}", again.verdict));
        if left && left_again && result.level != Level::Disputed {
            result.evidence.push(format!(
                "the client left on a time-out of its own, which is its choice: {} became {}",
                result.level,
                Level::Disputed
            ));
            result.level = Level::Disputed;
        }
        Ok(())
    }

    /// Plays the case once; whether the client left on a time-out that it chose.
    fn attempt(
        &self,
        case: &Case,
        trial: &ClientTrial,
        number: usize,
        unit: Option<&'static str>,
        interrupted: &AtomicBool,
        result: &mut CaseResult,
    ) -> Result<bool, TrialError> {
        let folder = tempfile::tempdir()?;
        let stage = Stage {
            vdisim: &self.vdisim,
            drop_in: &self.drop_in,
            subject: &self.subject,
            front: self.front,
            resident: self.resident.as_deref(),
            patterns: &self.patterns,
            seed: self.seed,
            stall: self.stall + self.capabilities.flush_hold,
            start: self.stall + self.capabilities.start_time,
            guard: self.guard,
            fault: self.fault.as_ref(),
            interrupted,
        };
        let namespace = match &self.resident {
            Some(resident) => resident.namespace().to_owned(),
            None => namespace(number),
        };
        let first = trial.set.unwrap_or("vdisim-set").to_owned();
        let devices: Vec<_> = (0..trial.devices)
            .map(|k| if k == 0 { first.clone() } else { format!("{first}{k}") })
            .collect();
        let files: Vec<_> =
            (0..trial.devices).map(|k| folder.path().join(format!("device{k}.bak"))).collect();
        let mut acts: Vec<Act> = Vec::new();
        for (k, script) in trial.acts.iter().enumerate() {
            let brief = Brief {
                operation: script.operation,
                devices: devices.clone(),
                files: files.clone(),
                needs: case.needs.clone(),
                desk: None,
            };
            let statement = Statement {
                script,
                brief,
                file_limit: trial.file_limit,
                syscalls: trial.syscalls,
                private: trial.private,
                unit,
            };
            let act = stage.act(&statement, &namespace, folder.path(), k)?;
            let over =
                matches!(act.ended, Ended::Signal(_) | Ended::Hung(_)) || act.attached().is_none();
            let over = over || act.is_cut();
            acts.push(act);
            if over {
                break;
            }
        }
        verdict(&acts, trial, result);
        result.timelines = timelines(&acts, result.started);
        if result.verdict == Verdict::Pass {
            result.timelines.iter_mut().for_each(shorten);
        } else {
            let seen = format!("{:?} {:?}", result.expected, result.seen);
            mark_guilty(&mut result.timelines, &seen);
            result.evidence.extend(acts.iter().filter_map(said));
        }
        Ok(acts.iter().any(Act::left_on_time_out))
    }

    fn cell(
        &self,
        cell: &super::case::Cell,
        number: usize,
        result: &mut CaseResult,
    ) -> Result<(), TrialError> {
        let unserved = self.implementation.as_ref().and_then(Implementation::unserved);
        let hidden = unserved.filter(|_| needs_server(cell));
        self.probe((&cell.call, cell.result), hidden, number, result)
    }

    fn server_cell(
        &self,
        cell: &super::case::ServerCell,
        number: usize,
        result: &mut CaseResult,
    ) -> Result<(), TrialError> {
        let is_foreign = self.implementation.as_ref().is_some_and(|it| it.is_foreign);
        let hidden = is_foreign.then(|| NO_SERVER.to_owned());
        self.probe((&cell.call, cell.result), hidden, number, result)
    }

    /// Makes one call in a process of its own; `hidden` is why that says nothing.
    fn probe(
        &self,
        (call, wanted): (&dyn std::fmt::Debug, HResult),
        hidden: Option<String>,
        number: usize,
        result: &mut CaseResult,
    ) -> Result<(), TrialError> {
        let not_applicable = |result: &mut CaseResult, why: &str| {
            result.verdict = Verdict::NotApplicable;
            result.reason = Some(why.to_owned());
            Ok(())
        };
        if matches!(self.subject, Subject::Command(_)) {
            return not_applicable(result, "it judges an implementation of the interface");
        }
        let server = self.implementation.as_ref().map_or(Server::Ours, Implementation::server);
        if let Some(why) = hidden {
            return not_applicable(result, &why);
        }
        let tested = self.implementation.as_ref().map_or(&self.drop_in, |it| &it.path);
        let folder = tempfile::tempdir()?;
        let seen = probe::run(
            &self.vdisim,
            tested,
            (&result.id, server, self.mistake),
            &namespace(number),
            folder.path(),
            self.stall,
        )?;
        let expected = format!("{call:?} returns {}", named(wanted));
        match seen {
            probe::Seen::Status(status) if status == wanted => {}
            probe::Seen::Status(status) => {
                fail(result, Verdict::Fail, expected, format!("it returned {}", named(status)));
            }
            // Both halves are ours.
            probe::Seen::Unreached(why) if self.implementation.is_none() => {
                return Err(TrialError::Bug(format!("{}: {why}", result.id)));
            }
            probe::Seen::Unreached(why) => fail(result, Verdict::Fail, expected, why),
            probe::Seen::Crash(status) => {
                result.signal = signal_of(status);
                fail(result, Verdict::Crash, expected, crash_of(status).unwrap_or_default());
            }
            probe::Seen::Hang => {
                fail(result, Verdict::Hang, expected, "it never returned".to_owned());
            }
        }
        Ok(())
    }

    fn round_trip(&self, mode: &selftest::Mode, result: &mut CaseResult) -> Result<(), TrialError> {
        if matches!(self.subject, Subject::Command(_)) {
            result.verdict = Verdict::NotApplicable;
            result.reason = Some("it is a self-test of vdisim".to_owned());
            return Ok(());
        }
        let test = selftest::SelfTest {
            vdisim: self.vdisim.clone(),
            drop_in: self.drop_in.clone(),
            seed: self.seed,
            limit: self.stall.max(Duration::from_secs(60)),
        };
        let outcome = test.run(mode)?;
        let why = outcome.why.unwrap_or_default();
        let expected = "every byte comes back and nothing is left".to_owned();
        match outcome.verdict {
            selftest::Verdict::Pass => {}
            selftest::Verdict::Fail => fail(result, Verdict::Fail, expected, why),
            selftest::Verdict::Hang => fail(result, Verdict::Hang, expected, why),
        }
        Ok(())
    }
}

fn named(status: HResult) -> String {
    status.name().map_or_else(|| status.to_string(), str::to_owned)
}

fn fail(result: &mut CaseResult, verdict: Verdict, expected: String, seen: String) {
    result.verdict = verdict;
    result.expected = Some(expected);
    result.seen = Some(seen);
}

/// The verdict over a client's statements.
fn verdict(acts: &[Act], trial: &ClientTrial, result: &mut CaseResult) {
    if let Some(Finding { expected, seen }) = acts.iter().find_map(caught) {
        return fail(result, Verdict::Fail, expected, seen);
    }
    let expected = "the client serves the statement and ends".to_owned();
    match acts.last().map(|act| &act.ended) {
        Some(Ended::Hung(why)) => fail(result, Verdict::Hang, expected, why.clone()),
        Some(Ended::Signal(signal)) => {
            result.signal = Some(*signal);
            fail(result, Verdict::Crash, expected, format!("signal {signal} ended the client"));
        }
        _ => {
            if let Err(Finding { expected, seen }) = judge(acts, &trial.checks) {
                fail(result, Verdict::Fail, expected, seen);
            } else if trial.syscalls && acts.iter().all(|act| act.synced.is_none()) {
                result.verdict = Verdict::Skip;
                result.reason = Some("strace saw nothing".to_owned());
            }
        }
    }
}

fn said(act: &Act) -> Option<String> {
    let said = act.said.trim();
    let what = act.script.operation.name();
    (!said.is_empty()).then(|| format!("the client said in the {what}: {said}"))
}

/// Whether the drop-in is told to read time-outs as seconds.
fn reads_seconds() -> bool {
    std::env::var_os("VDISIM_TIMEOUT_UNIT").is_some_and(|unit| unit == "s")
}

/// What the trial takes of the machine that this one does not have.
fn what_is_missing(trial: &ClientTrial) -> Option<&'static str> {
    if trial.syscalls && !can_watch_syscalls() {
        Some("no strace")
    } else if (trial.file_limit.is_some() || trial.private) && !cfg!(unix) {
        Some("no ulimit and no umask")
    } else {
        None
    }
}

fn can_watch_syscalls() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    cfg!(target_os = "linux")
        && std::env::split_paths(&path).any(|folder| folder.join("strace").is_file())
}

/// Facts on the machine.
fn machine(drop_in: &Path) -> BTreeMap<String, String> {
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let backend = vdi_device::Environment::from_process()
        .map(|environment| environment.backend.to_string())
        .unwrap_or_default();
    let facts = [
        ("os", std::env::consts::OS.to_owned()),
        ("architecture", std::env::consts::ARCH.to_owned()),
        ("kernel", kernel.trim().to_owned()),
        ("cpus", cpus.to_string()),
        ("backend", backend),
        ("drop-in", drop_in.display().to_string()),
    ];
    facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
