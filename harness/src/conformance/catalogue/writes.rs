//! Write, Flush and Complete.

use vdi_protocol::{CommandCode, CompletionCode};

use super::scripts::{
    KIB, LENGTH, MIB, TRANSFER, backup, fetch, must, read, restore, should, store, write,
};
use crate::conformance::capabilities::Need;
use crate::conformance::case::{Case, Check};
use crate::conformance::script::{Item, Script, Step};
use crate::conformance::source::Source::{Article, Inferred, Page, Practice};

const DONE: &[CompletionCode] = &[CompletionCode::ERROR_SUCCESS];
const EITHER: &[CompletionCode] =
    &[CompletionCode::ERROR_SUCCESS, CompletionCode::ERROR_NOT_SUPPORTED];
const KB: &str = "KB3188454, Enhance VDI protocol with VDC_Complete";

pub(super) fn cases() -> Vec<Case> {
    [answers(), shapes(), full_medium(), flush(), durability(), complete()]
        .into_iter()
        .flatten()
        .collect()
}

/// Stored and fetched again.
fn round_trip(id: &str, rule: &str, page: &'static str, stored: Script) -> Case {
    let back = fetch(stored.length).blocks(stored.block_size);
    let back = Script { content: stored.content, ..back };
    must(id, rule, Page(page)).act(stored).act(back).judged(&[
        Check::Played,
        Check::Returned,
        Check::NothingBehindEnd,
    ])
}

fn answers() -> Vec<Case> {
    vec![
        must(
            "client/Write/full",
            "A Write that succeeds is completed with ERROR_SUCCESS and the number of its bytes.",
            Page("VDC_Write"),
        )
        .act(store(LENGTH))
        .judged(&[Check::FullTransfers]),
        must(
            "client/Write/no-more-than-asked",
            "A Write claims no more bytes than it had.",
            Page("VDC_Write"),
        )
        .act(store(LENGTH))
        .judged(&[Check::NoMoreThanAsked]),
        should(
            "client/Write/in-bounds",
            "A client leaves the memory behind the bytes of a Write alone.",
            Inferred("Active"),
        )
        .act(backup(&[Step::Write { bytes: 8 * KIB, size: 512 }, Step::Flush]))
        .judged(&[Check::InBounds, Check::Played]),
    ]
}

fn shapes() -> Vec<Case> {
    let mixed = [512, 4096, TRANSFER, 1536, 512].map(Item::Write).to_vec();
    let total = 512 + 4096 + u64::from(TRANSFER) + 1536 + 512;
    vec![
        round_trip(
            "client/Write/stored",
            "What was written and acknowledged comes back in a RESTORE.",
            "VDC_Write",
            store(LENGTH),
        ),
        round_trip(
            "client/Write/one-block",
            "A stream of one block is stored.",
            "VDC_Write",
            store(512),
        ),
        round_trip(
            "client/Write/one-transfer",
            "A stream of exactly one transfer is stored.",
            "VDC_Write",
            store(TRANSFER.into()),
        ),
        round_trip(
            "client/Write/mixed-sizes",
            "Writes of different sizes follow each other in one stream.",
            "Configuration",
            backup(&[Step::Send(mixed), Step::Await, Step::Flush]).length(total).depth(5),
        ),
        round_trip(
            "client/Write/odd-blocks",
            "A transfer may be any number of blocks, 127 as well as 128.",
            "Configuration",
            backup(&[Step::Write { bytes: 127 * 512 * 3, size: 127 * 512 }, Step::Flush])
                .length(127 * 512 * 3),
        ),
        round_trip(
            "client/Write/other-blocks",
            "A block may have 4 KiB.",
            "Configuration",
            store(96 * KIB).blocks(4096),
        ),
        round_trip(
            "client/Write/small-transfers",
            "A stream may come in hundreds of small Writes.",
            "Configuration",
            backup(&[Step::Write { bytes: 128 * KIB, size: 512 }, Step::Flush]).length(128 * KIB),
        ),
        round_trip(
            "client/Write/largest-transfer",
            "A transfer may have 4 MiB.",
            "Configuration",
            store(9 * MIB).transfers(4 << 20),
        ),
        round_trip(
            "client/Write/largest-block",
            "A block may have 64 KiB.",
            "Configuration",
            store(512 * KIB).blocks(65536),
        ),
        round_trip(
            "client/Write/zeros",
            "A stream of zeros is stored like any other.",
            "VDC_Write",
            store(LENGTH).bytes(0),
        ),
        round_trip(
            "client/Write/all-ones",
            "A stream of bytes 0xFF is stored like any other.",
            "VDC_Write",
            store(LENGTH).bytes(0xFF),
        ),
        round_trip(
            "client/Write/large-stream",
            "A stream may be larger than all buffers together.",
            "Active",
            store(24 * MIB).transfers(1 << 20).depth(2),
        ),
        round_trip(
            "client/Write/buffers-added",
            "Buffers in memory that was added after the configuration are used as others are.",
            "RequestBuffers",
            backup(&[
                write(LENGTH / 2),
                Step::MoreBuffers,
                Step::Write { bytes: LENGTH / 2, size: TRANSFER },
                Step::Flush,
            ]),
        ),
        should(
            "client/Write/empty-stream",
            "A BACKUP without a Write is stored, and nothing comes back from it.",
            Inferred("Normal Termination"),
        )
        .act(store(0))
        .act(fetch(0))
        .judged(&[Check::Played, Check::NothingBehindEnd]),
        should(
            "client/Write/second-backup",
            "A second, shorter BACKUP to the same medium replaces the first one.",
            Practice("the media are named by the tester"),
        )
        .needs(Need::RawMedia)
        .act(store(LENGTH))
        .act(store(LENGTH / 2))
        .act(fetch(LENGTH / 2))
        .judged(&[Check::Returned, Check::NothingBehindEnd]),
    ]
}

fn full_medium() -> Vec<Case> {
    let full = |case: Case| {
        case.needs(Need::RawMedia)
            .limited(MIB)
            .act(store(4 * MIB))
            .hint("Look at what write, fflush, fsync and close return.")
    };
    vec![
        full(must(
            "client/Write/full-medium",
            "What the medium does not take is not acknowledged: a Write or the Flush is refused.",
            Page("VDC_Write"),
        ))
        .judged(&[Check::Refused]),
        full(should(
            "client/Write/full-medium-code",
            "A full medium is told by a code that means it.",
            Page("VDC_Write"),
        ))
        .judged(&[Check::RefusedByCode]),
        full(should(
            "client/Write/full-medium-exit-code",
            "A client that could not store a backup ends with an error.",
            Practice("schedulers look at the exit code"),
        ))
        .judged(&[Check::FailsWhenCutOff]),
    ]
}

fn flush() -> Vec<Case> {
    let flush = CommandCode::FLUSH;
    let quarter = LENGTH / 4;
    let often: Vec<_> = (0..4).flat_map(|_| [write(quarter), Step::Flush]).collect();
    let queue = vec![
        Item::Write(TRANSFER),
        Item::Write(TRANSFER),
        Item::Command(flush.0, 0, 0),
        Item::Write(TRANSFER),
        Item::Command(flush.0, 0, 0),
    ];
    vec![
        must(
            "client/Flush/success",
            "Flush is supported in every mode and completed with ERROR_SUCCESS.",
            Page("VDC_Flush"),
        )
        .act(store(LENGTH))
        .judged(&[Check::Answers(flush, DONE)]),
        must(
            "client/Flush/last-command",
            "Without VDC_Complete a Flush is the last command, and the backup is whole.",
            Article(KB),
        )
        .act(store(LENGTH).without_complete())
        .act(fetch(LENGTH))
        .judged(&[Check::Answers(flush, DONE), Check::Returned]),
        must(
            "client/Flush/not-the-end",
            "Flush may come several times in one BACKUP, with Writes between; none is the end.",
            Article(KB),
        )
        .hint("Data is lost if the first Flush is taken for the end: wait for VD_E_CLOSE.")
        .act(backup(&often).then(&[Step::Complete]))
        .act(fetch(LENGTH))
        .judged(&[Check::Played, Check::Returned]),
        must("client/Flush/twice", "A Flush directly behind another succeeds too.", Article(KB))
            .act(backup(&[write(LENGTH), Step::Flush, Step::Flush, Step::Complete]))
            .judged(&[Check::Answers(flush, DONE), Check::Played]),
        should(
            "client/Flush/first-command",
            "A Flush before the first Write succeeds.",
            Inferred("VDC_Flush"),
        )
        .act(backup(&[Step::Flush, write(LENGTH), Step::Flush]))
        .judged(&[Check::Answers(flush, DONE), Check::Played]),
        must(
            "client/Flush/behind-writes",
            "A Flush is answered only after the Writes that came before it.",
            Page("VDC_Flush"),
        )
        .act(backup(&[Step::Send(queue), Step::Await]).depth(5))
        .judged(&[Check::FlushBehindWrites]),
        should(
            "client/Flush/on-restore",
            "A Flush in a RESTORE is answered, with success or refusal.",
            Practice("clients answer it in either way"),
        )
        .act(store(LENGTH))
        .act(restore(&[read(LENGTH), Step::Command { code: flush.0, size: 0, position: 0 }]))
        .judged(&[Check::Answers(flush, EITHER)]),
        should(
            "client/Flush/synchronises",
            "A Flush synchronises plain files with the disk before it is answered.",
            Inferred("VDC_Flush"),
        )
        .hint("fflush alone leaves the bytes in the system's cache; call fsync or fdatasync.")
        .needs(Need::RawMedia)
        .watched()
        .act(store(LENGTH))
        .judged(&[Check::Syncs]),
    ]
}

fn durability() -> Vec<Case> {
    let part = LENGTH / 2;
    vec![
        must(
            "client/Flush/durable",
            "What a Flush acknowledged is readable though the client was killed directly after.",
            Page("VDC_Flush"),
        )
        .hint("Acknowledge a Flush only when the bytes have left the process.")
        .act(backup(&[write(LENGTH), Step::Flush, Step::KillClient]))
        .act(restore(&[read(LENGTH)]))
        .judged(&[Check::Returned]),
        must(
            "client/Flush/durable-mid-stream",
            "What a Flush in mid-stream acknowledged is readable though the client was killed later.",
            Page("VDC_Flush"),
        )
        .act(backup(&[write(part), Step::Flush, write(TRANSFER.into()), Step::KillClient]))
        .act(restore(&[read(part)]))
        .judged(&[Check::Returned]),
    ]
    .into_iter()
    .map(|case| case.needs(Need::RawMedia))
    .collect()
}

fn complete() -> Vec<Case> {
    let complete = CommandCode::COMPLETE;
    let flushed = [write(LENGTH), Step::Flush];
    vec![
        must(
            "client/Complete/success",
            "VDC_Complete, once agreed upon, is completed with ERROR_SUCCESS.",
            Article(KB),
        )
        .act(store(LENGTH))
        .judged(&[Check::Answers(complete, DONE), Check::Played]),
        must("client/Complete/whole", "A backup that was completed is whole.", Article(KB))
            .act(store(LENGTH))
            .act(fetch(LENGTH))
            .judged(&[Check::Played, Check::Returned]),
        must(
            "client/Complete/durable",
            "What was completed is readable though the client was killed directly after.",
            Article(KB),
        )
        .needs(Need::RawMedia)
        .act(backup(&flushed).then(&[Step::Complete, Step::KillClient]))
        .act(restore(&[read(LENGTH)]))
        .judged(&[Check::Returned]),
        must(
            "client/Complete/abort-before-it",
            "An abort in place of Complete ends the client.",
            Page("Abnormal Termination"),
        )
        .act(backup(&flushed).then(&[Step::Abort]))
        .judged(&[Check::HeedsAbort]),
        should(
            "client/Complete/abort-exit-code",
            "A backup whose Complete never came is no success.",
            Inferred("KB3188454: without it the log is not truncated; the Complete Command"),
        )
        .act(backup(&flushed).then(&[Step::Abort]))
        .judged(&[Check::FailsWhenCutOff]),
        should(
            "client/Complete/death-before-it",
            "The server's death between Flush and Complete ends the client with an error.",
            Inferred("Process Model"),
        )
        .act(backup(&flushed).then(&[Step::Die]))
        .judged(&[Check::FailsWhenCutOff]),
    ]
    .into_iter()
    .map(|case| case.needs(Need::Complete))
    .collect()
}
