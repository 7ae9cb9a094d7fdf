//! The primary process of the reference client: it creates the set, serves it or has it served, and
//! closes it.

use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use sqlvdi::caller::{CallerDevice, CallerSet, DropIn};
use vdi_protocol::VdConfig;

use super::answering::answer_all;
use super::error::ClientError;
use super::medium::Medium;
use super::mishap::Step;
use super::moving::{Elsewhere, Here, Mover};
use super::plan::{Arrangement, Operation, Plan};

/// How often the primary looks whether a secondary process has ended.
const LOOK: Duration = Duration::from_millis(20);

/// What a client has done.
#[derive(Clone, Debug)]
pub struct Report {
    /// The configuration that was agreed.
    pub config: VdConfig,
    /// Bytes of each device; unknown if other processes served them.
    pub bytes: Vec<Option<u64>>,
}

/// Does what the plan says. `helper` makes the command line of a process that serves device `k`.
pub fn run(plan: &Plan, helper: &(dyn Fn(usize) -> Command + Sync)) -> Result<Report, ClientError> {
    let drop_in = DropIn::load(&plan.drop_in)?;
    let set = CallerSet::new(&drop_in);
    set.create(&plan.set, &plan.create_config())?;
    plan.mishaps.at(Step::Created);
    let served =
        set.get_configuration(plan.timeout).map_err(ClientError::from).and_then(|config| {
            plan.mishaps.at(Step::Configured);
            let bytes = match plan.arrangement {
                Arrangement::Processes => serve_by_processes(plan, &set, helper),
                Arrangement::Threads => serve_by_threads(plan, &set, &config, &|_| None),
                Arrangement::ByHandle => {
                    serve_by_threads(plan, &set, &config, &|device| Some(helper(device)))
                }
            }?;
            Ok(Report { config, bytes })
        });
    if served.is_err() {
        // If that fails, the set is gone already.
        let _ = set.signal_abort();
    }
    plan.mishaps.at(Step::Ended);
    let closed = set.close();
    let report = served?;
    closed?;
    plan.mishaps.at(Step::Closed);
    Ok(report)
}

/// A thread a device. With a mover process for a device, that one moves its bytes.
fn serve_by_threads(
    plan: &Plan,
    set: &CallerSet,
    config: &VdConfig,
    mover: &dyn Fn(usize) -> Option<Command>,
) -> Result<Vec<Option<u64>>, ClientError> {
    let mut media = Vec::new();
    for (index, path) in plan.files.iter().enumerate() {
        media.push(open_medium(plan.operation, config, path, index, mover(index))?);
    }
    let devices: Vec<CallerDevice> =
        plan.devices.iter().map(|name| set.open_device(name)).collect::<Result<_, _>>()?;
    plan.mishaps.at(Step::Opened);
    let results: Vec<_> = thread::scope(|scope| {
        let start = |(index, (device, medium))| {
            scope.spawn(move || serve_device(plan, set, config, index, device, medium))
        };
        let threads: Vec<_> = devices.iter().zip(media).enumerate().map(start).collect();
        threads.into_iter().map(|thread| thread.join()).collect()
    });
    results
        .into_iter()
        .map(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic)).map(Some))
        .collect()
}

fn serve_device(
    plan: &Plan,
    set: &CallerSet,
    config: &VdConfig,
    index: usize,
    device: &CallerDevice,
    mut medium: Medium,
) -> Result<u64, ClientError> {
    let served = answer_all(plan.operation, index, device, &mut medium, config, &plan.mishaps);
    if let Err(ClientError::Call(_)) = served {
        // The threads of the other devices must not wait for ever.
        let _ = set.signal_abort();
    }
    let finished = medium.into_mover().finish();
    let bytes = served?;
    finished?;
    Ok(bytes)
}

fn open_medium(
    operation: Operation,
    config: &VdConfig,
    path: &Path,
    index: usize,
    mover: Option<Command>,
) -> Result<Medium, ClientError> {
    let failed = |error| ClientError::File { path: path.to_owned(), error };
    let mover: Box<dyn Mover> = match mover {
        Some(mut command) => {
            let child = command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .map_err(ClientError::NotStarted)?;
            Box::new(Elsewhere::new(index, child)?)
        }
        None => Box::new(Here { file: operation.open(path).map_err(failed)? }),
    };
    Medium::new(operation, config, path, mover).map_err(failed)
}

/// A process a device; the interface does not tell of their deaths, so this one looks.
/// Source: VDI, OpenInSecondaryEx page.
fn serve_by_processes(
    plan: &Plan,
    set: &CallerSet,
    helper: &dyn Fn(usize) -> Command,
) -> Result<Vec<Option<u64>>, ClientError> {
    let mut running = Vec::new();
    for index in 0..plan.devices.len() {
        match helper(index).stdin(Stdio::null()).spawn() {
            Ok(child) => running.push((index, child)),
            Err(error) => {
                let _ = set.signal_abort();
                let _ = wait_for_all(set, running);
                return Err(ClientError::NotStarted(error));
            }
        }
    }
    wait_for_all(set, running)?;
    Ok(vec![None; plan.devices.len()])
}

/// Waits for every process; the first that fails makes the set abort, so that the others end.
fn wait_for_all(set: &CallerSet, mut running: Vec<(usize, Child)>) -> Result<(), ClientError> {
    let mut failed = None;
    while !running.is_empty() {
        let mut left = Vec::new();
        for (device, mut child) in running {
            let how = match child.try_wait() {
                Ok(None) => {
                    left.push((device, child));
                    continue;
                }
                Ok(Some(status)) => failure(status),
                Err(error) => Some(error.to_string()),
            };
            if let Some(how) = how
                && failed.is_none()
            {
                failed = Some(ClientError::Helper { device, how });
                let _ = set.signal_abort();
            }
        }
        running = left;
        thread::sleep(LOOK);
    }
    failed.map_or(Ok(()), Err)
}

fn failure(status: ExitStatus) -> Option<String> {
    (!status.success()).then(|| status.to_string())
}
