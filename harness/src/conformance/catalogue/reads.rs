//! Read: sizes, ends and what stands in the buffer.

use super::scripts::{KIB, LENGTH, MIB, TRANSFER, fetch, must, read, restore, should, store};
use crate::conformance::case::{Case, Check};
use crate::conformance::script::{Item, Step};
use crate::conformance::source::Source::{Inferred, Page, Practice};

pub(super) fn cases() -> Vec<Case> {
    [answers(), sizes(), ends(), again()].into_iter().flatten().collect()
}

fn answers() -> Vec<Case> {
    vec![
        must(
            "client/Read/returned",
            "A RESTORE gets every byte of the BACKUP, in order.",
            Page("VDC_Read"),
        )
        .act(store(LENGTH))
        .act(fetch(LENGTH))
        .judged(&[Check::Returned]),
        must(
            "client/Read/no-more-than-asked",
            "A Read claims no more bytes than it had room for.",
            Page("VDC_Read"),
        )
        .act(store(LENGTH))
        .act(fetch(LENGTH))
        .judged(&[Check::NoMoreThanAsked]),
        must(
            "client/Read/claimed-is-written",
            "Every byte that a Read claims was put into its buffer.",
            Page("VDC_Read"),
        )
        .hint("A short read of the medium must not be reported as a full one.")
        .act(store(LENGTH))
        .act(fetch(LENGTH))
        .judged(&[Check::ClaimedIsWritten]),
        should(
            "client/Read/in-bounds",
            "A Read writes nothing behind the bytes it was asked for.",
            Inferred("Active"),
        )
        .act(store(LENGTH))
        .act(restore(&[Step::Read { bytes: 16 * KIB, size: 512 }]))
        .judged(&[Check::InBounds, Check::Returned]),
        should(
            "client/Read/full",
            "A Read before the end of the medium is filled.",
            Inferred("VDC_Read"),
        )
        .act(store(LENGTH))
        .act(restore(&[read(2 * u64::from(TRANSFER))]))
        .judged(&[Check::FullTransfers]),
    ]
}

fn sizes() -> Vec<Case> {
    let mixed = [512, 1024, TRANSFER, 1536, 4096, 512].map(Item::Read).to_vec();
    let page = Page("Active");
    vec![
        must(
            "client/Read/other-sizes",
            "A RESTORE may read in other sizes than the BACKUP wrote, any multiple of BLOCKSIZE.",
            page,
        )
        .act(store(LENGTH))
        .act(restore(&[Step::Send(mixed), Step::Await, Step::ReadToEnd { size: 1536 }]).depth(6))
        .judged(&[Check::Returned, Check::NothingBehindEnd]),
        must(
            "client/Read/odd-blocks",
            "A Read may be any number of blocks, 127 as well as 128.",
            page,
        )
        .act(store(LENGTH))
        .act(restore(&[Step::ReadToEnd { size: 127 * 512 }]))
        .judged(&[Check::Returned, Check::NothingBehindEnd]),
        must("client/Read/block-by-block", "A RESTORE may read one block at a time.", page)
            .act(store(64 * KIB))
            .act(restore(&[Step::ReadToEnd { size: 512 }]).length(64 * KIB))
            .judged(&[Check::Returned, Check::NothingBehindEnd]),
        must(
            "client/Read/larger-than-written",
            "A RESTORE may read in larger transfers than the BACKUP wrote.",
            page,
        )
        .act(store(LENGTH).then(&[]))
        .act(fetch(LENGTH).transfers(1 << 20))
        .judged(&[Check::Returned, Check::NothingBehindEnd]),
        must("client/Read/largest-transfer", "A Read may have 4 MiB.", Page("Configuration"))
            .act(store(9 * MIB).transfers(4 << 20))
            .act(fetch(9 * MIB).transfers(4 << 20))
            .judged(&[Check::Returned, Check::NothingBehindEnd]),
        must(
            "client/Read/largest-block",
            "A RESTORE with blocks of 64 KiB reads whole blocks.",
            Page("Configuration"),
        )
        .act(store(512 * KIB).blocks(65536))
        .act(fetch(512 * KIB).blocks(65536))
        .judged(&[Check::Returned, Check::NothingBehindEnd]),
        must(
            "client/Read/buffers-added",
            "Reads into memory that was added after the configuration are filled as others are.",
            Page("RequestBuffers"),
        )
        .act(store(LENGTH))
        .act(restore(&[read(LENGTH / 2), Step::MoreBuffers, Step::ReadToEnd { size: TRANSFER }]))
        .judged(&[Check::Returned]),
    ]
}

fn ends() -> Vec<Case> {
    let whole = 4 * u64::from(TRANSFER);
    vec![
        must(
            "client/Read/end-in-transfer",
            "A medium that ends within a Read gives its last bytes and no more.",
            Page("VDC_Read"),
        )
        .act(store(LENGTH))
        .act(fetch(LENGTH))
        .judged(&[Check::Returned, Check::NothingBehindEnd]),
        must(
            "client/Read/end-on-transfer",
            "A medium that ends with a full Read answers the next one with no bytes.",
            Page("VDC_Read"),
        )
        .hint("At the end of the medium answer ERROR_HANDLE_EOF; do not wait or start again.")
        .act(store(whole))
        .act(fetch(whole))
        .judged(&[Check::Returned, Check::NothingBehindEnd]),
        should(
            "client/Read/says-end",
            "The end of the medium is told by ERROR_HANDLE_EOF or ERROR_NO_DATA_DETECTED.",
            Page("VDC_Read"),
        )
        .act(store(LENGTH))
        .act(fetch(LENGTH))
        .judged(&[Check::SaidEnd]),
        should(
            "client/Read/behind-end",
            "A Read behind the end, after ClearError, brings nothing.",
            Inferred("End Of Media and Unexpected Filemarks"),
        )
        .act(store(LENGTH))
        .act(fetch(LENGTH).then(&[Step::ClearError, Step::ReadBehindEnd { size: TRANSFER }]))
        .judged(&[Check::NothingBehindEnd, Check::EveryCommandCompleted]),
        should(
            "client/Read/several-at-end",
            "Reads that wait behind the end bring nothing.",
            Inferred("End Of Media and Unexpected Filemarks"),
        )
        .act(store(whole))
        .act(fetch(whole).depth(8))
        .judged(&[Check::Returned, Check::NothingBehindEnd]),
    ]
}

fn again() -> Vec<Case> {
    vec![
        should(
            "client/Read/from-the-beginning",
            "Each RESTORE statement reads its medium from the beginning, as after HEADERONLY.",
            Practice("RESTORE FILELISTONLY comes first, and closes early"),
        )
        .act(store(LENGTH))
        .act(restore(&[Step::Read { bytes: 64 * KIB, size: 4096 }]))
        .act(fetch(LENGTH))
        .judged(&[Check::Returned]),
        should(
            "client/Read/twice",
            "A medium can be restored more than once.",
            Practice("a test restore comes before the real one"),
        )
        .act(store(LENGTH))
        .act(fetch(LENGTH))
        .act(fetch(LENGTH))
        .judged(&[Check::Returned]),
    ]
}
