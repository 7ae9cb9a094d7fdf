//! Why a transfer failed: the true cause beside what SQL Server says about it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use vdi_device::{AbortCause, AbortKind, BufferFault, Reason};
use vdi_protocol::{CommandCode, CompletionCode, Direction, HResult};

use super::fault::Action;
use super::sink::SinkError;
use super::source::SourceError;
use super::statement::{Statement, StatementError};
use crate::messages::Message;

/// Severity of the errors whose text is made here.
const SEVERITY: u8 = 16;

/// A failed BACKUP or RESTORE.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct TransferError {
    /// What really happened.
    pub cause: Cause,
    /// What SQL Server answers, in order; the last one is 3013. Empty for a statement that could not
    /// be written in T-SQL.
    pub messages: Vec<Message>,
}

impl TransferError {
    /// A failure of `statement` over the set `set`, with what SQL Server says about it.
    pub fn new(cause: Cause, statement: &Statement, set: &str) -> Self {
        TransferError { messages: cause.messages(statement, set), cause }
    }
}

/// Who has to act on a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Whoever wrote the statement or the command line.
    Usage,
    /// Whoever looks after the machine: shared memory, permissions, foreign processes.
    Environment,
    /// The client, or nobody: the BACKUP or RESTORE has failed.
    Failed,
}

/// A command that was sent and not completed, or was completed badly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingCommand {
    /// The device, from 0.
    pub device: u32,
    /// The device's name.
    pub name: Arc<str>,
    /// Which command of the device, from 1.
    pub n: u64,
    /// What it is.
    pub code: CommandCode,
    /// Its size field.
    pub size: u32,
    /// How long ago it was sent.
    pub age: Duration,
}

impl fmt::Display for PendingCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "command {} ({}", self.n, self.code)?;
        if matches!(self.code, CommandCode::READ | CommandCode::WRITE) {
            write!(f, " of {} bytes", self.size)?;
        }
        write!(
            f,
            ") of device {} '{}', sent {:.3} s before",
            self.device,
            self.name,
            self.age.as_secs_f64()
        )
    }
}

/// What really happened, with the device and the command.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The statement's options make no sense.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// No client created the set in time.
    #[error(
        "No client created {set} within {} s; start the client first or wait longer, and see that \
         both use the same VDISIM_NAMESPACE and VDISIM_BACKEND.",
        .waited.as_secs_f64()
    )]
    NoSet {
        /// The set, in words.
        set: String,
        /// How long the server waited.
        waited: Duration,
    },
    /// The client's configuration cannot be used.
    #[error("The client's configuration of the set '{set}' cannot be used: {reason}.")]
    Unusable {
        /// The set.
        set: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A call of the interface failed.
    #[error("{step} failed with {}: {error}.", .error.status())]
    Interface {
        /// The call.
        step: &'static str,
        /// Why.
        error: vdi_device::Error,
    },
    /// The client completed a command with an error.
    #[error("The client completed {command} with {completion}.")]
    Completion {
        /// The command.
        command: PendingCommand,
        /// The client's answer.
        completion: CompletionCode,
    },
    /// The client reported another number of bytes than it can have moved.
    #[error(
        "The client completed {command} and reported {bytes} bytes; a Write that succeeds moves \
         all of its bytes, and nothing moves more."
    )]
    WrongCount {
        /// The command.
        command: PendingCommand,
        /// What the client reported.
        bytes: u64,
    },
    /// The set was aborted under way.
    #[error("The set was aborted: {}.{}", abort_text(.cause), pending_text(.oldest))]
    Aborted {
        /// Who did it and why, if that is known.
        cause: Option<AbortCause>,
        /// The command that had been with the client longest.
        oldest: Option<PendingCommand>,
    },
    /// The statement was cancelled.
    #[error(
        "The statement was cancelled, by its client's wish or because that client is gone.{}",
        pending_text(.oldest)
    )]
    Cancelled {
        /// The command that had been with the VDI client longest.
        oldest: Option<PendingCommand>,
    },
    /// Another process cut an object of the set.
    #[error(
        "The shared object {object} was shrunk by another process while it was in use; find out \
         which one, and keep others out by permissions."
    )]
    Shrunk {
        /// Its name.
        object: String,
    },
    /// The client touched a buffer that was not its own, and a fence caught it at that.
    #[error("The client {fault} (process {}).", .fault.pid)]
    BufferFault {
        /// What it did.
        fault: BufferFault,
    },
    /// The client wrote beside a buffer.
    #[error(
        "The client wrote beside the buffer of {command}: the byte at offset {offset} changed."
    )]
    Trampled {
        /// The command that the buffer belonged to.
        command: PendingCommand,
        /// The byte, seen from the start of the data.
        offset: i64,
    },
    /// The stream to back up could not be had.
    #[error("The data for device {device} '{name}' could not be read: {error}.")]
    Source {
        /// The device, from 0.
        device: u32,
        /// The device's name.
        name: String,
        /// Why.
        error: SourceError,
    },
    /// The stream that came back was refused.
    #[error("The data from device {device} '{name}' were refused: {error}.")]
    Sink {
        /// The device, from 0.
        device: u32,
        /// The device's name.
        name: String,
        /// Why.
        error: SinkError,
    },
    /// Data came behind the end of data.
    #[error(
        "The client completed {command} with {bytes} bytes after it had reported the end of data."
    )]
    DataAfterEnd {
        /// The command.
        command: PendingCommand,
        /// Bytes that came too late.
        bytes: u64,
    },
    /// A fault of the plan.
    #[error("The fault plan said so: {action} {place}.")]
    Fault {
        /// What it did.
        action: Action,
        /// Where.
        place: String,
    },
}

fn abort_text(cause: &Option<AbortCause>) -> String {
    cause.map_or_else(|| "no cause is known".to_owned(), |cause| cause.to_string())
}

fn pending_text(oldest: &Option<PendingCommand>) -> String {
    oldest
        .as_ref()
        .map_or_else(String::new, |command| format!(" With the client for longest: {command}."))
}

impl Cause {
    /// Who has to act on it.
    pub fn fate(&self) -> Fate {
        match self {
            Cause::Statement(_) => Fate::Usage,
            Cause::Shrunk { .. } => Fate::Environment,
            Cause::Interface { error, .. } if is_bad_name(error) => Fate::Usage,
            Cause::Interface { error, .. } => match error.status() {
                HResult::VD_E_MEMORY | HResult::VD_E_SECURITY | HResult::VD_E_UNEXPECTED => {
                    Fate::Environment
                }
                _ => Fate::Failed,
            },
            Cause::Aborted { cause: Some(cause), .. } => match cause.kind {
                AbortKind::Truncated | AbortKind::Damaged | AbortKind::ClientUnmapped => {
                    Fate::Environment
                }
                _ => Fate::Failed,
            },
            _ => Fate::Failed,
        }
    }

    /// What SQL Server answers, ending with 3013. `set` is the set's name.
    /// Texts: sys.messages; steps in 18210: observed error logs.
    pub(crate) fn messages(&self, statement: &Statement, set: &str) -> Vec<Message> {
        let verb = statement.verb();
        let aborted = CompletionCode::ERROR_OPERATION_ABORTED;
        let mut messages = match self {
            Cause::Statement(StatementError::Option(option)) => {
                vec![Message::user(option.number(), SEVERITY, 1, option.message())]
            }
            Cause::Statement(_) => return Vec::new(),
            Cause::NoSet { .. } => open_failure(statement, set, HResult::from_win32(2)),
            Cause::Unusable { .. } => vec![Message::new(3261, &[])],
            Cause::Interface { step, error } if *step == super::session::STEP_ATTACH => {
                open_failure(statement, set, error.status())
            }
            Cause::Interface { error, .. } => vec![buffers_failure(set, &hresult(error.status()))],
            Cause::Completion { command, completion } => command_failure(command, *completion),
            Cause::WrongCount { command, .. } if command.code == CommandCode::READ => {
                command_failure(command, CompletionCode::ERROR_READ_FAULT)
            }
            Cause::WrongCount { command, .. } => {
                command_failure(command, CompletionCode::ERROR_WRITE_FAULT)
            }
            // SQL Server tells of the buffers, whatever it has sent by then.
            Cause::Aborted {
                cause: Some(AbortCause { kind: AbortKind::ClientUnmapped, .. }),
                ..
            } => vec![buffers_failure(set, &aborted.os_error().to_string())],
            Cause::Aborted { oldest: Some(command), .. } => command_failure(command, aborted),
            Cause::Cancelled { oldest } => {
                let log = match oldest {
                    Some(command) => command_failure(command, aborted).remove(0),
                    None => buffers_failure(set, &aborted.os_error().to_string()),
                };
                vec![log, Message::new(3204, &[])]
            }
            Cause::Aborted { oldest: None, .. }
            | Cause::Shrunk { .. }
            | Cause::BufferFault { .. }
            | Cause::Trampled { .. } => {
                vec![buffers_failure(set, &aborted.os_error().to_string())]
            }
            Cause::Fault { action: Action::Abort, .. } => {
                vec![Message::new(3204, &[])]
            }
            Cause::DataAfterEnd { .. }
            | Cause::Source { .. }
            | Cause::Sink { .. }
            | Cause::Fault { .. } => Vec::new(),
        };
        messages.push(Message::new(3013, &[&verb]));
        messages
    }
}

/// Whether a name was refused that nobody can give a set.
fn is_bad_name(error: &vdi_device::Error) -> bool {
    matches!(
        error.reason(),
        Reason::NameEmpty
            | Reason::NameBackslash { .. }
            | Reason::NameTooLong { .. }
            | Reason::InstanceName { .. }
    )
}

/// A VDI status in the place of an operating system error.
fn hresult(status: HResult) -> String {
    let text = if status == HResult::from_win32(2) {
        "The system cannot find the file specified."
    } else {
        status.name().unwrap_or("error not found")
    };
    format!("0x{:08x}({text})", status.0)
}

fn open_failure(statement: &Statement, set: &str, status: HResult) -> Vec<Message> {
    let step = "BackupVirtualDeviceSet::Initialize";
    let mut messages = vec![device_failure(step, "Open", set, &hresult(status))];
    if statement.direction == Direction::Backup {
        messages.push(Message::new(3041, &[&statement.verb()]));
    }
    messages
}

fn buffers_failure(set: &str, os_error: &str) -> Message {
    device_failure("BackupVirtualDeviceSet::AllocateBuffer", "", set, os_error)
}

/// 18210: a step of the server's backup code failed on a device. A step that says it all has
/// nothing before "failure".
fn device_failure(step: &str, what: &str, device: &str, os_error: &str) -> Message {
    if !what.is_empty() {
        return Message::new(18210, &[&step, &what, &device, &os_error]);
    }
    let text =
        format!("{step}: failure on backup device '{device}'. Operating system error {os_error}.");
    Message::user(18210, SEVERITY, 1, text)
}

/// The log's line and the client's message about a command that did not succeed.
fn command_failure(command: &PendingCommand, completion: CompletionCode) -> Vec<Message> {
    let name = &command.name;
    let os_error = completion.os_error().to_string();
    let nonrecoverable = || Message::new(3271, &[name, &os_error]);
    let (step, what, message) = match command.code {
        CommandCode::WRITE if completion != CompletionCode::ERROR_OPERATION_ABORTED => (
            "BackupIoRequest::ReportIoError".to_owned(),
            "write",
            Message::new(3202, &[name, &os_error]),
        ),
        CommandCode::READ if completion != CompletionCode::ERROR_OPERATION_ABORTED => (
            "BackupIoRequest::ReportIoError".to_owned(),
            "read",
            Message::new(3203, &[name, &os_error]),
        ),
        CommandCode::WRITE => {
            ("BackupIoRequest::ReportIoError".to_owned(), "write", nonrecoverable())
        }
        CommandCode::READ => {
            ("BackupIoRequest::ReportIoError".to_owned(), "read", nonrecoverable())
        }
        CommandCode::FLUSH => {
            ("BackupVirtualDeviceFile::RequestDurableMedia".to_owned(), "Flush", nonrecoverable())
        }
        other => {
            let plain = other.name().unwrap_or("Command").trim_start_matches("VDC_");
            (format!("BackupVirtualDeviceFile::{plain}"), "", nonrecoverable())
        }
    };
    vec![device_failure(&step, what, name, &os_error), message]
}

#[cfg(test)]
mod tests {
    use vdi_protocol::Profile;

    use super::super::statement::SetName;
    use super::*;

    fn command(code: CommandCode) -> PendingCommand {
        let age = Duration::from_millis(1500);
        PendingCommand { device: 1, name: "dev2".into(), n: 37, code, size: 65536, age }
    }

    fn statement() -> Statement {
        Statement::new(Direction::Backup, SetName::Named(b"s".to_vec()), Profile::SQL2016)
    }

    // Catches: swapping 3202 and 3271, forgetting 3013, or losing the text of the code.
    #[test]
    fn a_full_disk_reads_as_sql_server_says_it() {
        let cause = Cause::Completion {
            command: command(CommandCode::WRITE),
            completion: CompletionCode::ERROR_DISK_FULL,
        };
        let text: Vec<_> =
            cause.messages(&statement(), "s").iter().map(Message::to_transcript).collect();
        assert_eq!(
            text,
            [
                "Msg 18210, Level 16, State 1, Line 1\nBackupIoRequest::ReportIoError: write \
                 failure on backup device 'dev2'. Operating system error 112(There is not enough \
                 space on the disk.).",
                "Msg 3202, Level 16, State 1, Line 1\nWrite on \"dev2\" failed: 112(There is not \
                 enough space on the disk.)",
                "Msg 3013, Level 16, State 1, Line 1\nBACKUP DATABASE is terminating abnormally.",
            ]
        );
    }

    // Catches: a cause without device, command number or age.
    #[test]
    fn the_true_cause_names_device_command_and_age() {
        let cause = Cause::Aborted {
            cause: Some(AbortCause::new(AbortKind::ClientSignalled)),
            oldest: Some(command(CommandCode::FLUSH)),
        };
        assert_eq!(
            cause.to_string(),
            "The set was aborted: the client called SignalAbort. With the client for longest: \
             command 37 (VDC_Flush) of device 1 'dev2', sent 1.500 s before."
        );
        let numbers: Vec<_> =
            cause.messages(&statement(), "s").iter().map(|message| message.number).collect();
        assert_eq!(numbers, [18210, 3271, 3013]);
    }
}
