//! Fetching and completing commands, whatever they are.

use vdi_protocol::{CommandCode, CompletionCode};

use super::scripts::{
    LENGTH, TRANSFER, backup, command, disputed, fetch, must, read, restore, should, store, write,
};
use crate::conformance::case::{Case, Check};
use crate::conformance::script::{Item, Step};
use crate::conformance::source::Source::{Inferred, Microsoft, Page, Practice, Uncertain};

const SUCCESS: CompletionCode = CompletionCode::ERROR_SUCCESS;
const NOT_SUPPORTED: CompletionCode = CompletionCode::ERROR_NOT_SUPPORTED;
const REFUSED: &[CompletionCode] = &[NOT_SUPPORTED];
/// A client may also abort what it cannot take a snapshot of.
const NOT_DONE: &[CompletionCode] = &[NOT_SUPPORTED, CompletionCode::ERROR_OPERATION_ABORTED];
const EITHER: &[CompletionCode] = &[NOT_SUPPORTED, SUCCESS];
const DONE: &[CompletionCode] = &[SUCCESS];

pub(super) fn cases() -> Vec<Case> {
    [get_command(), complete_command(), unknown(), unsupported(), clear_error()]
        .into_iter()
        .flatten()
        .collect()
}

fn get_command() -> Vec<Case> {
    let all = [write(LENGTH), Step::Flush, Step::Complete];
    vec![
        must(
            "client/GetCommand/until-close",
            "GetCommand is called on each device until it returns VD_E_CLOSE.",
            Page("GetCommand"),
        )
        .hint("Only VD_E_CLOSE (0x8077000E) is the end; a Flush is not.")
        .act(store(LENGTH))
        .judged(&[Check::Played, Check::SawClose]),
        must(
            "client/GetCommand/closed-at-once",
            "A device that is closed without a single command ends as any other does.",
            Page("Normal Termination"),
        )
        .act(backup(&[]))
        .judged(&[Check::SawClose]),
        must(
            "client/GetCommand/closed-mid-backup",
            "A device that is closed in the middle of a BACKUP ends with VD_E_CLOSE.",
            Page("Normal Termination"),
        )
        .act(backup(&[write(LENGTH / 2)]))
        .judged(&[Check::Played, Check::SawClose]),
        must(
            "client/GetCommand/closed-mid-restore",
            "A RESTORE may close its device long before the end of the medium, as HEADERONLY does.",
            Page("Normal Termination"),
        )
        .act(store(LENGTH))
        .act(restore(&[Step::Read { bytes: 4096, size: 4096 }]))
        .judged(&[Check::Played, Check::SawClose]),
        should(
            "client/GetCommand/not-after-close",
            "GetCommand is not called again on a device that has said VD_E_CLOSE.",
            Page("GetCommand"),
        )
        .act(store(LENGTH))
        .judged(&[Check::NoCallAfterEnd]),
        disputed(
            "client/GetCommand/pause",
            "A client goes on after the server was silent for 2.5 s.",
            Uncertain("GetCommand", "the unit of the time-out on Linux, and how long to wait"),
        )
        .act(backup(&[
            write(LENGTH / 2),
            Step::Pause(2500),
            write(LENGTH / 2),
            Step::Flush,
            Step::Complete,
        ]))
        .judged(&[Check::Played]),
        must(
            "client/GetCommand/several-writes",
            "Several Writes may wait at once; they are stored in the order in which they came.",
            Page("Active"),
        )
        .act(backup(&all).depth(4))
        .act(fetch(LENGTH))
        .judged(&[Check::Played, Check::Returned]),
        must(
            "client/GetCommand/several-reads",
            "Several Reads may wait at once; they are filled in the order in which they came.",
            Page("Active"),
        )
        .act(store(LENGTH))
        .act(fetch(LENGTH).depth(4))
        .judged(&[Check::Returned, Check::NothingBehindEnd]),
        should(
            "client/GetCommand/many-writes",
            "Sixteen Writes may wait at once.",
            Inferred("Active"),
        )
        .act(backup(&[write(4 * LENGTH), Step::Flush]).length(4 * LENGTH).depth(16))
        .act(fetch(4 * LENGTH))
        .judged(&[Check::Played, Check::Returned]),
    ]
}

fn complete_command() -> Vec<Case> {
    let aborted = [write(LENGTH / 2), Step::Send(vec![Item::Write(TRANSFER)]), Step::Abort];
    vec![
        must(
            "client/CompleteCommand/every-command",
            "Every command is completed, whatever became of it.",
            Page("Command General Rules"),
        )
        .hint("A command that is never completed hangs the BACKUP.")
        .act(store(LENGTH))
        .judged(&[Check::Played, Check::EveryCommandCompleted]),
        must(
            "client/CompleteCommand/once",
            "Each command is completed once, by the address that GetCommand gave.",
            Page("CompleteCommand"),
        )
        .act(store(LENGTH))
        .judged(&[Check::CompletedOnce]),
        should(
            "client/CompleteCommand/read-only-command",
            "The memory of a VDC_Command is for reading only.",
            Page("GetCommand"),
        )
        .hint("Keep the number of bytes moved in a variable, not in the command's size.")
        .act(store(LENGTH))
        .act(fetch(LENGTH))
        .judged(&[Check::CommandsUnchanged]),
        must(
            "client/CompleteCommand/abort-with-command-held",
            "An abort while the client holds a command ends the client.",
            Page("Abnormal Termination"),
        )
        .act(backup(&aborted))
        .judged(&[Check::HeedsAbort]),
        should(
            "client/CompleteCommand/no-position",
            "A Read or Write of a pipe-like device is completed with position 0: such a device has none.",
            Page("Command Outputs"),
        )
        .act(store(LENGTH))
        .act(fetch(LENGTH))
        .judged(&[Check::Played, Check::NoPosition]),
        should(
            "client/CompleteCommand/Read-in-backup",
            "A Read in a BACKUP is completed and claims no more than it had.",
            Inferred("Command General Rules"),
        )
        .act(backup(&[write(LENGTH / 2), Step::Send(vec![Item::Read(TRANSFER)]), Step::Await]))
        .judged(&[Check::EveryCommandCompleted, Check::NoMoreThanAsked]),
        should(
            "client/CompleteCommand/Write-in-restore",
            "A Write in a RESTORE is refused: it would overwrite what is to be restored.",
            Inferred("Command General Rules"),
        )
        .act(store(LENGTH))
        .act(restore(&[read(LENGTH / 2), Step::Send(vec![Item::Write(TRANSFER)]), Step::Await]))
        .act(fetch(LENGTH))
        .judged(&[Check::EveryCommandCompleted, Check::Returned]),
    ]
}

fn unknown() -> Vec<Case> {
    let codes = [20, 99, 0x7FFF_FFFF];
    let each: Vec<_> = codes.iter().flat_map(|code| [command(*code), Step::ClearError]).collect();
    let answers = codes.map(|code| Check::Answers(CommandCode(code), REFUSED));
    let around = |middle: &[Step]| {
        let mut steps = vec![write(LENGTH / 2)];
        steps.extend_from_slice(middle);
        steps.extend([write(LENGTH / 2), Step::Flush, Step::Complete]);
        backup(&steps)
    };
    vec![
        must(
            "client/CompleteCommand/unknown-command",
            "A command that the client does not know is completed with ERROR_NOT_SUPPORTED.",
            Page("Command General Rules"),
        )
        .hint("The switch over command codes needs a default branch that answers 50.")
        .act(around(&each))
        .judged(&answers),
        must(
            "client/CompleteCommand/goes-on-after-refusal",
            "After a refused command and VDC_ClearError the stream goes on where it was.",
            Page("Command Error Handling"),
        )
        .act(around(&[command(99), Step::ClearError]))
        .act(fetch(LENGTH))
        .judged(&[Check::Played, Check::Returned]),
        should(
            "client/CompleteCommand/unknown-in-restore",
            "An unknown command in a RESTORE is refused and disturbs nothing.",
            Inferred("Command General Rules"),
        )
        .act(store(LENGTH))
        .act(restore(&[
            read(LENGTH / 2),
            command(99),
            Step::ClearError,
            Step::ReadToEnd { size: TRANSFER },
        ]))
        .judged(&[Check::Answers(CommandCode(99), REFUSED), Check::Returned]),
    ]
}

/// Commands that a pipe-like client has not agreed to.
fn unsupported() -> Vec<Case> {
    let tried = |codes: &[CommandCode]| {
        let mut steps = vec![write(LENGTH / 2)];
        steps.extend(codes.iter().flat_map(|code| [command(code.0), Step::ClearError]));
        steps.extend([write(LENGTH / 2), Step::Flush]);
        backup(&steps).without_complete()
    };
    let refused = |id: &str, rule: &str, source, codes: &[CommandCode], good| {
        let checks: Vec<_> = codes.iter().map(|code| Check::Answers(*code, good)).collect();
        should(id, rule, source).act(tried(codes)).judged(&checks).judged(&[Check::Played])
    };
    let supported = Page("Client Supported Commands");
    vec![
        refused(
            "client/CompleteCommand/tape-commands-on-pipe",
            "A pipe-like client refuses the commands that wind a tape, and goes on.",
            supported,
            &[
                CommandCode::REWIND,
                CommandCode::WRITE_MARK,
                CommandCode::SKIP_MARKS,
                CommandCode::SKIP_BLOCKS,
            ],
            REFUSED,
        ),
        refused(
            "client/CompleteCommand/positions-on-pipe",
            "A pipe-like client refuses GetPosition and SetPosition, and goes on.",
            supported,
            &[CommandCode::GET_POSITION, CommandCode::SET_POSITION],
            REFUSED,
        ),
        refused(
            "client/CompleteCommand/Load-on-pipe",
            "A client without removable media answers Load, with refusal or success, and goes on.",
            supported,
            &[CommandCode::LOAD],
            EITHER,
        ),
        refused(
            "client/CompleteCommand/Discard-unasked",
            "A client that did not ask for VDF_Discard answers Discard and goes on.",
            supported,
            &[CommandCode::DISCARD],
            EITHER,
        ),
        refused(
            "client/CompleteCommand/snapshot-unasked",
            "A client that takes no snapshots does not claim to have taken one.",
            Inferred("VDC_Snapshot"),
            &[CommandCode::SNAPSHOT, CommandCode::MOUNT_SNAPSHOT],
            NOT_DONE,
        ),
        refused(
            "client/CompleteCommand/PrepareToFreeze-unasked",
            "A client that did not ask for VDF_SnapshotPrepare refuses PrepareToFreeze.",
            Inferred("VDF_SnapshotPrepare"),
            &[CommandCode::PREPARE_TO_FREEZE],
            NOT_DONE,
        ),
        refused(
            "client/CompleteCommand/header-only-commands",
            "Commands that only the header names are answered, and the stream goes on.",
            Microsoft("vdi.h, VDCommands"),
            &[CommandCode::FILE_INFO_BEGIN, CommandCode::FILE_INFO_END, CommandCode::GET_ERROR],
            EITHER,
        ),
        refused(
            "client/CompleteCommand/Complete-unasked",
            "VDC_Complete without VDF_CompleteEnabled is answered, with refusal or success.",
            Practice("clients answer it in either way"),
            &[CommandCode::COMPLETE],
            EITHER,
        ),
    ]
}

fn clear_error() -> Vec<Case> {
    let refusal = [command(99), Step::ClearError];
    let clear = CommandCode::CLEAR_ERROR;
    vec![
        must(
            "client/ClearError/success",
            "ClearError is completed with ERROR_SUCCESS, in every mode.",
            Page("Command Error Handling"),
        )
        .hint("Every client has to support ClearError; all of Microsoft's samples just succeed.")
        .act(backup(&[write(LENGTH / 2)]).then(&refusal))
        .judged(&[Check::Answers(clear, DONE)]),
        must(
            "client/ClearError/in-restore",
            "ClearError behind the end of a medium is completed with ERROR_SUCCESS.",
            Page("Command Error Handling"),
        )
        .act(store(LENGTH))
        .act(fetch(LENGTH).then(&[command(99), command(clear.0)]))
        .judged(&[Check::Answers(clear, DONE)]),
        should(
            "client/ClearError/without-error",
            "ClearError without an error before it succeeds too.",
            Inferred("Command Error Handling"),
        )
        .act(backup(&[command(clear.0), write(LENGTH), Step::Flush]))
        .judged(&[Check::Answers(clear, DONE), Check::Played]),
        should(
            "client/ClearError/repeated",
            "Every further error is cleared as the first one is.",
            Inferred("Command Error Handling"),
        )
        .act(backup(&[]).then(&refusal).then(&refusal).then(&[write(LENGTH), Step::Flush]))
        .act(fetch(LENGTH))
        .judged(&[Check::Answers(clear, DONE), Check::Returned]),
    ]
}
