//! One device's loop: take a command, execute it, complete it.

use sqlvdi::caller::CallerDevice;
use vdi_protocol::{CommandCode, CompletionCode, Features, HResult, VdConfig};

use super::error::ClientError;
use super::medium::Medium;
use super::mishap::{Mishaps, Step};
use super::plan::Operation;

/// Answers every command of the device until the server closes it. Returns the bytes moved.
///
/// That the server closed the device says nothing about the success of its statement, but a
/// backup that was not flushed, or not completed where that was agreed, is none.
/// Source: VDI, "Normal Termination"; KB3188454.
pub(crate) fn answer_all(
    operation: Operation,
    index: usize,
    device: &CallerDevice,
    medium: &mut Medium,
    config: &VdConfig,
    mishaps: &Mishaps,
) -> Result<u64, ClientError> {
    let mut refused = None;
    loop {
        let command = match device.get_command(None) {
            Ok(command) => command,
            Err(error) if error.status == HResult::VD_E_CLOSE => break,
            Err(error) => return Err(error.into()),
        };
        let n = mishaps.next_command();
        mishaps.at(Step::Received(n));
        let answer = medium.execute(&command);
        mishaps.at(Step::Executed(n));
        let code = command.code();
        if !is_expected(code, answer.code) {
            refused =
                Some(ClientError::Answered { device: index, command: code, code: answer.code });
        }
        command.complete(answer.code, answer.bytes, answer.position)?;
        mishaps.at(Step::Completed(n));
    }
    if let Some(error) = refused {
        return Err(error);
    }
    let seen = medium.seen;
    let missing = match operation {
        Operation::Restore => None,
        Operation::Backup if !seen.durable => Some(CommandCode::FLUSH),
        Operation::Backup => (config.features().contains(Features::COMPLETE_ENABLED)
            && !seen.complete)
            .then_some(CommandCode::COMPLETE),
    };
    match missing {
        Some(missing) => Err(ClientError::NotWhole { device: index, missing }),
        None => Ok(seen.bytes),
    }
}

/// Whether an answer belongs to a transfer in which all is well. What this client does not support
/// is the server's mistake, not a failure of the transfer.
fn is_expected(command: CommandCode, answer: CompletionCode) -> bool {
    let moves =
        matches!(command, CommandCode::READ | CommandCode::SKIP_MARKS | CommandCode::SKIP_BLOCKS);
    answer.is_success()
        || answer == CompletionCode::ERROR_NOT_SUPPORTED
        || (moves && (answer.ends_data() || answer == CompletionCode::ERROR_BEGINNING_OF_MEDIA))
}
