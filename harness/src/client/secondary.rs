//! A secondary process of `--processes`: it joins the set and serves one device.

use std::path::Path;

use sqlvdi::caller::{CallerSet, DropIn};
use vdi_protocol::VdConfig;

use super::answering::answer_all;
use super::error::ClientError;
use super::medium::Medium;
use super::mishap::{Mishaps, Step};
use super::moving::{Here, Mover};
use super::plan::Operation;

/// Joins the set, serves the device, and closes. Returns the bytes moved.
pub fn run_secondary(
    drop_in: &DropIn,
    operation: Operation,
    set_name: &[u8],
    (index, device): (usize, &[u8]),
    file: &Path,
    mishaps: &Mishaps,
) -> Result<u64, ClientError> {
    let set = CallerSet::new(drop_in);
    set.open_in_secondary(set_name)?;
    let config = set.get_configuration(None)?;
    let served = serve(&set, operation, &config, (index, device), file, mishaps);
    if served.is_err() {
        // The others of the set must not wait for this device. If that fails, the set is gone.
        let _ = set.signal_abort();
    }
    mishaps.at(Step::Ended);
    let closed = set.close();
    let bytes = served?;
    closed?;
    mishaps.at(Step::Closed);
    Ok(bytes)
}

fn serve(
    set: &CallerSet,
    operation: Operation,
    config: &VdConfig,
    (index, name): (usize, &[u8]),
    path: &Path,
    mishaps: &Mishaps,
) -> Result<u64, ClientError> {
    let failed = |error| ClientError::File { path: path.to_owned(), error };
    let file = operation.open(path).map_err(failed)?;
    let mover: Box<dyn Mover> = Box::new(Here { file });
    let mut medium = Medium::new(operation, config, path, mover).map_err(failed)?;
    let device = set.open_device(name)?;
    mishaps.at(Step::Opened);
    answer_all(operation, index, &device, &mut medium, config, mishaps)
}
