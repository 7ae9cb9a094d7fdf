//! The second process of `--by-handle`: it joins the set, maps the buffers it is told of and moves
//! their bytes.

use std::fs::File;
use std::io::{BufRead, Write};

use sqlvdi::caller::{Buffer, CallerSet, DropIn};

use super::error::ClientError;
use super::moving::{MoveError, fetch_all, settle_file, store_all};

/// Serves requests, a line each, until they end; see `moving::Elsewhere` for the lines.
pub fn serve_moves(
    drop_in: &DropIn,
    set_name: &[u8],
    file: &File,
    requests: impl BufRead,
    mut answers: impl Write,
) -> Result<(), ClientError> {
    let set = CallerSet::new(drop_in);
    set.open_in_secondary(set_name)?;
    let gone = |error: std::io::Error| ClientError::NotStarted(error);
    for request in requests.lines() {
        let answer = match serve(&set, file, &request.map_err(gone)?) {
            Ok(bytes) => format!("ok {bytes}"),
            Err(MoveError::Full) => "full".to_owned(),
            Err(MoveError::Other(text)) => format!("error {}", text.replace('\n', " ")),
        };
        writeln!(answers, "{answer}").and_then(|()| answers.flush()).map_err(gone)?;
    }
    set.close()?;
    Ok(())
}

fn serve(set: &CallerSet, file: &File, request: &str) -> Result<u64, MoveError> {
    let senseless = || MoveError::Other(format!("senseless request '{request}'"));
    let mut words = request.split(' ');
    let verb = words.next();
    let numbers: Option<Vec<u64>> = words.map(|word| word.parse().ok()).collect();
    let numbers = numbers.ok_or_else(senseless)?;
    let map = |handle: u64, size: u64| -> Result<Buffer, MoveError> {
        let (handle, size) = (u32::try_from(handle), u32::try_from(size));
        let (Ok(handle), Ok(size)) = (handle, size) else { return Err(senseless()) };
        Ok(set.map_buffer_handle(handle, size)?)
    };
    match (verb, numbers.as_slice()) {
        (Some("store"), &[handle, size, offset]) => {
            let buffer = map(handle, size)?;
            store_all(size as usize, |at, len| {
                buffer.write_to(at, len, file, Some(offset + at as u64))
            })?;
            Ok(size)
        }
        (Some("fetch"), &[handle, size, offset, len]) => {
            let buffer = map(handle, size)?;
            fetch_all(len.min(size) as usize, |at, len| {
                buffer.read_from(at, len, file, Some(offset + at as u64))
            })
        }
        (Some("settle"), ends @ ([] | [_])) => {
            settle_file(file, ends.first().copied())?;
            Ok(0)
        }
        _ => Err(senseless()),
    }
}
