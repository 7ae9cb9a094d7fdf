//! Tape-like and disk-like devices, and snapshots.

use vdi_protocol::{CommandCode, CompletionCode};

use super::scripts::{
    KIB, LENGTH, MIB, TRANSFER, backup, command, disputed, fetch, must, restore, should, store,
    write,
};
use crate::conformance::capabilities::Need;
use crate::conformance::case::{Case, Check};
use crate::conformance::script::{Item, Step};
use crate::conformance::source::Source::{Inferred, Page, Practice, Uncertain};

const DONE: &[CompletionCode] = &[CompletionCode::ERROR_SUCCESS];
const REFUSED: &[CompletionCode] = &[CompletionCode::ERROR_NOT_SUPPORTED];

pub(super) fn cases() -> Vec<Case> {
    [tape(), disk(), snapshot()].into_iter().flatten().collect()
}

fn counted(code: CommandCode, count: i32) -> Step {
    Step::Command { code: code.0, size: count.cast_unsigned(), position: 0 }
}

fn tape() -> Vec<Case> {
    let supported = Page("Client Supported Commands");
    // What their counts mean is not documented, so the answer to one is inferred.
    let counts = Inferred("Client Supported Commands");
    let mark = || command(CommandCode::WRITE_MARK.0);
    let half = LENGTH / 2;
    // Two halves with a filemark behind each.
    let marked = || backup(&[write(half), mark(), write(half), mark(), Step::Flush]);
    let rewind = || command(CommandCode::REWIND.0);
    let position = || command(CommandCode::GET_POSITION.0);
    let success = |code| Check::Answers(code, DONE);
    vec![
        must("client/tape/stored", "A tape-like device stores and returns a stream.", supported)
            .act(store(LENGTH))
            .act(fetch(LENGTH))
            .judged(&[Check::Played, Check::Returned]),
        must("client/tape/Rewind", "A tape-like device supports Rewind.", supported)
            .act(store(LENGTH))
            .act(
                restore(&[Step::Read { bytes: 4096, size: 4096 }, rewind(), Step::StreamAt(0)])
                    .then(&[Step::ReadToEnd { size: TRANSFER }]),
            )
            .judged(&[success(CommandCode::REWIND), Check::Returned]),
        must("client/tape/WriteMark", "A tape-like device supports WriteMark.", supported)
            .act(marked())
            .judged(&[success(CommandCode::WRITE_MARK), Check::Played]),
        must(
            "client/tape/filemark-detected",
            "A Read that meets a filemark ends there with ERROR_FILEMARK_DETECTED.",
            Page("VDF_FileMarks"),
        )
        .act(marked())
        .act(restore(&[Step::ReadToEnd { size: 4096 }]).length(half))
        .judged(&[Check::Returned, Check::NothingBehindEnd, Check::SaidEnd]),
        should("client/tape/SkipMarks", "A tape-like device supports SkipMarks.", counts)
            .act(marked())
            .act(restore(&[rewind(), counted(CommandCode::SKIP_MARKS, 1)]))
            .judged(&[success(CommandCode::SKIP_MARKS)]),
        should("client/tape/SkipBlocks", "A tape-like device supports SkipBlocks.", counts)
            .act(marked())
            .act(restore(&[rewind(), counted(CommandCode::SKIP_BLOCKS, 2)]))
            .judged(&[success(CommandCode::SKIP_BLOCKS)]),
        should(
            "client/tape/SkipMarks-place",
            "Behind SkipMarks by one the next Read brings what follows the filemark.",
            Inferred("Client Supported Commands"),
        )
        .act(marked())
        .act(restore(&[
            rewind(),
            counted(CommandCode::SKIP_MARKS, 1),
            Step::StreamAt(half),
            Step::Send(vec![Item::Read(4096)]),
            Step::Await,
        ]))
        .judged(&[success(CommandCode::SKIP_MARKS), Check::Returned]),
        must(
            "client/tape/GetPosition",
            "A tape-like device says where it is.",
            Page("VDC_GetPosition"),
        )
        .act(backup(&[position(), write(LENGTH), position(), Step::Flush]))
        .judged(&[success(CommandCode::GET_POSITION), Check::PositionsMove]),
        must(
            "client/tape/SetPosition",
            "A tape-like device goes to a position that GetPosition gave, and says so.",
            Page("VDC_SetPosition"),
        )
        .act(store(LENGTH))
        .act(restore(&[
            Step::Read { bytes: 4096, size: 4096 },
            position(),
            Step::Read { bytes: 4096, size: 4096 },
            Step::SetToLastPosition,
            Step::StreamAt(4096),
            Step::ReadToEnd { size: TRANSFER },
        ]))
        .judged(&[
            success(CommandCode::SET_POSITION),
            Check::PositionAnswered,
            Check::Returned,
        ]),
        must(
            "client/tape/abort",
            "An abort ends a tape-like client as any other.",
            Page("Abnormal Termination"),
        )
        .act(backup(&[write(half), Step::Abort]))
        .judged(&[Check::HeedsAbort]),
        should(
            "client/tape/Load",
            "A tape-like client, which said that its media are removable, supports Load.",
            Inferred("Client Supported Commands"),
        )
        .hint("Without another medium answer a code such as 21 ERROR_NOT_READY, not 50.")
        .act(store(LENGTH))
        .act(fetch(LENGTH).then(&[Step::ClearError, command(CommandCode::LOAD.0)]))
        .judged(&[Check::Supports(CommandCode::LOAD), Check::EveryCommandCompleted]),
        must(
            "client/tape/full-medium",
            "A tape that takes no more is told by a refused Write or Flush.",
            Page("End Of Media and Unexpected Filemarks"),
        )
        .needs(Need::RawMedia)
        .limited(MIB)
        .act(store(4 * MIB))
        .judged(&[Check::Refused]),
    ]
    .into_iter()
    .chain(in_every_mode("tape", "tape-like"))
    .map(|case| case.needs(Need::Tape))
    .collect()
}

fn disk() -> Vec<Case> {
    let piece = TRANSFER;
    let at = |k: u64| k * u64::from(piece);
    // The last one is the farthest: Flush sets the end behind the last Write.
    let out_of_order: Vec<_> =
        [1, 0, 2].map(|k| Step::WriteAt { position: at(k), size: piece }).to_vec();
    let read_back: Vec<_> =
        [2, 0, 1].map(|k| Step::ReadAt { position: at(k), size: piece }).to_vec();
    let whole = at(3);
    let flushed = |steps: &[Step]| backup(steps).then(&[Step::Flush]).length(whole);
    let whence = |position| Step::Command { code: CommandCode::SET_POSITION.0, size: 0, position };
    vec![
        must(
            "client/disk/stored",
            "A disk-like device stores and returns a stream.",
            Page("Feature Bits"),
        )
        .act(store(LENGTH))
        .act(fetch(LENGTH))
        .judged(&[Check::Played, Check::Returned]),
        must(
            "client/disk/Write-position",
            "A Write goes to the byte that its position names.",
            Page("Feature Bits"),
        )
        .hint("With VDF_RandomAccess the position is an address: seek before each transfer.")
        .act(flushed(&out_of_order))
        .act(restore(&[Step::ReadToEnd { size: piece }]).length(whole))
        .judged(&[Check::Played, Check::Returned]),
        must(
            "client/disk/Read-position",
            "A Read comes from the byte that its position names.",
            Page("Feature Bits"),
        )
        .act(flushed(&[write(whole)]))
        .act(restore(&read_back).length(whole))
        .judged(&[Check::Played, Check::Returned]),
        must(
            "client/disk/header-again",
            "A header at position 0 may be read again after the stream.",
            Page("Feature Bits"),
        )
        .act(flushed(&[write(whole)]))
        .act(
            restore(&[
                Step::ReadAt { position: at(2), size: piece },
                Step::ReadAt { position: 0, size: 4096 },
            ])
            .length(whole),
        )
        .judged(&[Check::Played, Check::Returned]),
        must(
            "client/disk/SetPosition",
            "SetPosition from the beginning is answered with the position it was given.",
            Page("VDC_SetPosition"),
        )
        .act(flushed(&[write(whole)]))
        .act(restore(&[whence(at(1))]).length(whole))
        .judged(&[Check::Answers(CommandCode::SET_POSITION, DONE), Check::PositionAnswered]),
        must(
            "client/disk/Flush-sets-end",
            "Flush sets the end of the medium behind the last Write.",
            Page("VDC_Flush"),
        )
        .hint("A longer, older file must be cut with ftruncate.")
        .act(flushed(&[write(whole)]))
        .act(flushed(&[write(64 * KIB)]))
        .act(restore(&[Step::ReadToEnd { size: piece }]).length(64 * KIB))
        .judged(&[Check::Played, Check::Returned, Check::NothingBehindEnd]),
        must(
            "client/disk/abort",
            "An abort ends a disk-like client as any other.",
            Page("Abnormal Termination"),
        )
        .act(backup(&[write(LENGTH / 2), Step::Abort]))
        .judged(&[Check::HeedsAbort]),
        disputed(
            "client/disk/GetPosition",
            "A disk-like device says where it is.",
            Uncertain("VDC_GetPosition", "the table of commands does not list it for disks"),
        )
        .act(backup(&[command(CommandCode::GET_POSITION.0), write(whole), Step::Flush]))
        .judged(&[Check::Answers(CommandCode::GET_POSITION, DONE)]),
        should(
            "client/disk/tape-commands",
            "A disk-like client refuses the commands that wind a tape, and goes on.",
            Page("Client Supported Commands"),
        )
        .act(
            backup(&[])
                .then(&[command(CommandCode::REWIND.0), Step::ClearError])
                .then(&[command(CommandCode::WRITE_MARK.0), Step::ClearError])
                .then(&[command(CommandCode::SKIP_MARKS.0), Step::ClearError])
                .then(&[command(CommandCode::SKIP_BLOCKS.0), Step::ClearError])
                .then(&[write(whole), Step::Flush]),
        )
        .judged(&[
            Check::Answers(CommandCode::REWIND, REFUSED),
            Check::Answers(CommandCode::WRITE_MARK, REFUSED),
            Check::Answers(CommandCode::SKIP_MARKS, REFUSED),
            Check::Answers(CommandCode::SKIP_BLOCKS, REFUSED),
            Check::Played,
        ]),
    ]
    .into_iter()
    .chain(in_every_mode("disk", "disk-like"))
    .map(|case| case.needs(Need::Disk))
    .collect()
}

/// What holds for pipes, tapes and disks alike.
fn in_every_mode(mode: &str, like: &str) -> Vec<Case> {
    let case =
        |name: &str, rule: String, page| must(&format!("client/{mode}/{name}"), &rule, Page(page));
    let around = |middle: &[Step]| {
        backup(&[write(LENGTH / 2)]).then(middle).then(&[write(LENGTH / 2), Step::Flush])
    };
    vec![
        case(
            "Flush",
            format!("Flush of a {like} device is completed with ERROR_SUCCESS."),
            "VDC_Flush",
        )
        .act(store(LENGTH))
        .judged(&[Check::Answers(CommandCode::FLUSH, DONE)]),
        case(
            "ClearError",
            format!("ClearError of a {like} device is completed with ERROR_SUCCESS."),
            "Command Error Handling",
        )
        .act(backup(&[write(LENGTH / 2), command(99), Step::ClearError]))
        .judged(&[Check::Answers(CommandCode::CLEAR_ERROR, DONE)]),
        case(
            "unknown-command",
            format!("A {like} client answers unknown commands with ERROR_NOT_SUPPORTED."),
            "Command General Rules",
        )
        .act(around(&[command(99), Step::ClearError]))
        .judged(&[Check::Answers(CommandCode(99), REFUSED)]),
        case(
            "end-on-transfer",
            format!("A {like} medium that ends with a full Read answers the next with no bytes."),
            "VDC_Read",
        )
        .act(store(4 * u64::from(TRANSFER)))
        .act(fetch(4 * u64::from(TRANSFER)))
        .judged(&[Check::Returned, Check::NothingBehindEnd]),
        case(
            "durable",
            format!("What a Flush of a {like} device acknowledged outlives the client."),
            "VDC_Flush",
        )
        .needs(Need::RawMedia)
        .act(backup(&[write(LENGTH), Step::Flush, Step::KillClient]))
        .act(restore(&[Step::Read { bytes: LENGTH, size: TRANSFER }]))
        .judged(&[Check::Returned]),
        case(
            "until-close",
            format!("A {like} device is served until GetCommand says VD_E_CLOSE."),
            "GetCommand",
        )
        .act(store(LENGTH))
        .judged(&[Check::Played, Check::SawClose]),
        should(
            &format!("client/{mode}/server-death"),
            &format!("The server's death ends a {like} client as any other."),
            Inferred("Process Model"),
        )
        .act(backup(&[write(LENGTH / 2), Step::Die]))
        .judged(&[Check::HeedsAbort]),
    ]
}

fn snapshot() -> Vec<Case> {
    let header = || Step::Write { bytes: 4096, size: 4096 };
    let snapshot = CommandCode::SNAPSHOT;
    let prepare = CommandCode::PREPARE_TO_FREEZE;
    let mount = CommandCode::MOUNT_SNAPSHOT;
    let taken =
        || backup(&[header(), command(prepare.0), header(), command(snapshot.0)]).length(8192);
    let prepared = [header(), command(prepare.0), header()];
    vec![
        must(
            "client/snapshot/abort",
            "An abort of the frozen database, in place of Snapshot, ends the client.",
            Page("Abnormal Termination"),
        )
        .act(backup(&prepared).length(8192).then(&[Step::Abort]))
        .judged(&[Check::HeedsAbort]),
        should(
            "client/snapshot/exit-code",
            "A client whose snapshot was aborted ends with an error.",
            Practice("schedulers look at the exit code"),
        )
        .act(backup(&prepared).length(8192).then(&[Step::Abort]))
        .judged(&[Check::FailsWhenCutOff]),
        should(
            "client/snapshot/server-death",
            "The server's death while the database is frozen ends the client.",
            Inferred("Process Model"),
        )
        .act(backup(&prepared).length(8192).then(&[Step::Die]))
        .judged(&[Check::HeedsAbort]),
        should(
            "client/snapshot/Flush",
            "A Flush before Snapshot is completed with success.",
            Inferred("VDC_Snapshot"),
        )
        .act(backup(&prepared).length(8192).then(&[Step::Flush, command(snapshot.0)]))
        .judged(&[Check::Answers(CommandCode::FLUSH, DONE), Check::Answers(snapshot, DONE)]),
        must(
            "client/snapshot/PrepareToFreeze",
            "PrepareToFreeze is completed with success to let the freeze happen.",
            Page("VDF_SnapshotPrepare"),
        )
        .act(taken())
        .judged(&[Check::Answers(prepare, DONE), Check::Played]),
        must(
            "client/snapshot/Snapshot",
            "Snapshot is completed when the snapshot is taken, and VD_E_CLOSE follows.",
            Page("VDC_Snapshot"),
        )
        .act(taken())
        .judged(&[Check::Answers(snapshot, DONE), Check::SawClose]),
        must(
            "client/snapshot/MountSnapshot",
            "MountSnapshot is completed when the files are back.",
            Page("Media Recovery Using the Snapshot"),
        )
        .act(taken())
        .act(restore(&[Step::Read { bytes: 8192, size: 4096 }, command(mount.0)]).length(8192))
        .judged(&[Check::Answers(mount, DONE), Check::Returned]),
    ]
    .into_iter()
    .map(|case| case.needs(Need::Snapshot))
    .collect()
}
