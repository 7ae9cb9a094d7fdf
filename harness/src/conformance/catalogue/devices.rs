//! Several devices, secondary processes, and buffers by handle.

use super::scripts::{KIB, LENGTH, backup, disputed, fetch, must, restore, should, store, write};
use crate::conformance::capabilities::Need;
use crate::conformance::case::{Case, Check};
use crate::conformance::script::Step;
use crate::conformance::source::Source::{Inferred, Page, Practice, Uncertain};

pub(super) fn cases() -> Vec<Case> {
    [several(), processes(), handles()].into_iter().flatten().collect()
}

fn several() -> Vec<Case> {
    let pair = |case: Case| case.needs(Need::Devices(2));
    vec![
        pair(must(
            "client/devices/streams-apart",
            "Each device has a stream of its own, and it comes back from that device.",
            Page("Initialization"),
        ))
        .hint("Two devices that share a file or a file position mix their streams.")
        .act(store(LENGTH))
        .act(fetch(LENGTH))
        .judged(&[Check::Played, Check::Returned, Check::NothingBehindEnd]),
        pair(must(
            "client/devices/each-once",
            "Each of several devices is opened once, under its own name.",
            Page("OpenDevice"),
        ))
        .hint("Opening one name n times is a common mistake.")
        .act(store(LENGTH))
        .judged(&[Check::OpensEachOnce]),
        pair(must(
            "client/devices/every-device-until-close",
            "Every device is served until it says VD_E_CLOSE, not only the first.",
            Page("GetCommand"),
        ))
        .act(store(LENGTH))
        .judged(&[Check::Played, Check::SawClose, Check::NoEarlyClose]),
        pair(must(
            "client/devices/side-by-side",
            "The commands of one device do not wait for another device's.",
            Page("Process Model"),
        ))
        .hint("Serve each device by a thread of its own.")
        .act(backup(&[write(LENGTH), Step::Flush]).depth(4))
        .act(fetch(LENGTH).depth(4))
        .judged(&[Check::Played, Check::Returned]),
        pair(must(
            "client/devices/abort",
            "An abort ends every device's thread.",
            Page("Abnormal Termination"),
        ))
        .act(backup(&[write(LENGTH / 2), Step::Abort]))
        .judged(&[Check::HeedsAbort]),
        pair(should(
            "client/devices/server-death",
            "The server's death ends every device's thread.",
            Inferred("Process Model"),
        ))
        .act(backup(&[write(LENGTH / 2), Step::Die]))
        .judged(&[Check::HeedsAbort]),
        pair(should(
            "client/devices/flush-to-all",
            "A Flush that went to every device is answered on each of them.",
            Inferred("VDC_Flush"),
        ))
        .act(backup(&[write(LENGTH), Step::Flush, write(LENGTH), Step::Flush]).length(2 * LENGTH))
        .act(fetch(2 * LENGTH))
        .judged(&[Check::Played, Check::Returned]),
        must(
            "client/devices/eight",
            "Eight devices are served at once.",
            Page("VDConfig Structure"),
        )
        .needs(Need::Devices(8))
        .act(store(LENGTH))
        .act(fetch(LENGTH))
        .judged(&[Check::Played, Check::Returned]),
        must(
            "client/devices/thirty-two",
            "Thirty-two devices are served at once.",
            Page("VDConfig Structure"),
        )
        .needs(Need::Devices(32))
        .act(store(64 * KIB))
        .act(fetch(64 * KIB))
        .judged(&[Check::Played, Check::Returned]),
        disputed(
            "client/devices/sixty-four",
            "Sixty-four devices, the most there are, are served at once.",
            Uncertain("VDConfig Structure", "the samples stop at 32 devices"),
        )
        .needs(Need::Devices(64))
        .act(store(64 * KIB))
        .act(fetch(64 * KIB))
        .judged(&[Check::Played, Check::Returned]),
    ]
}

fn processes() -> Vec<Case> {
    let secondary = |case: Case| case.needs(Need::Devices(2)).needs(Need::Processes);
    vec![
        secondary(must(
            "client/secondary/joins-in-order",
            "A secondary process joins when the primary has its configuration.",
            Page("OpenInSecondaryEx"),
        ))
        .act(store(LENGTH))
        .judged(&[Check::JoinsInOrder]),
        secondary(should(
            "client/secondary/one-a-device",
            "Each device is served by a process of its own.",
            Inferred("Process Model"),
        ))
        .act(store(LENGTH))
        .judged(&[Check::OneProcessADevice]),
        secondary(should(
            "client/secondary/closes",
            "A secondary process closes the set that it joined.",
            Inferred("Close"),
        ))
        .act(store(LENGTH))
        .judged(&[Check::SecondariesClose]),
        secondary(must(
            "client/secondary/streams",
            "Streams that secondary processes serve come back whole.",
            Page("Process Model"),
        ))
        .act(store(LENGTH))
        .act(fetch(LENGTH))
        .judged(&[Check::Played, Check::Returned]),
        secondary(must(
            "client/secondary/abort",
            "An abort ends every process of the client.",
            Page("Abnormal Termination"),
        ))
        .act(backup(&[write(LENGTH / 2), Step::Abort]))
        .judged(&[Check::HeedsAbort, Check::NobodyLeft]),
        secondary(must(
            "client/secondary/several-commands",
            "Several commands may wait for each secondary process.",
            Page("Active"),
        ))
        .act(backup(&[write(LENGTH), Step::Flush]).depth(4))
        .act(fetch(LENGTH).depth(4))
        .judged(&[Check::Played, Check::Returned]),
        secondary(must(
            "client/secondary/death-noticed",
            "The client itself detects the death of a secondary process, and aborts the set.",
            Page("Process Model"),
        ))
        .hint("The interface watches over the server and the primary; wait for your children.")
        .act(backup(&[write(LENGTH / 2), Step::KillSecondary]))
        .judged(&[Check::AbortsForSecondary, Check::HeedsAbort]),
        secondary(should(
            "client/secondary/exit-code",
            "A client of which a process died ends with an error.",
            Practice("schedulers look at the exit code"),
        ))
        .act(backup(&[write(LENGTH / 2), Step::KillSecondary]))
        .judged(&[Check::FailsWhenCutOff]),
        secondary(should(
            "client/secondary/server-death",
            "The server's death ends every process of the client.",
            Inferred("Process Model"),
        ))
        .act(backup(&[write(LENGTH / 2), Step::Die]))
        .judged(&[Check::HeedsAbort, Check::NobodyLeft]),
        secondary(should(
            "client/secondary/nothing-left",
            "Nothing that secondary processes opened stays in shared memory.",
            Inferred("Close"),
        ))
        .act(store(LENGTH))
        .judged(&[Check::NothingLeft]),
    ]
}

fn handles() -> Vec<Case> {
    let by_handle = |case: Case| case.needs(Need::Handles);
    vec![
        by_handle(must(
            "client/handles/mapped-elsewhere",
            "A buffer's handle is mapped in another process that has the same set open.",
            Page("MapBufferHandle"),
        ))
        .act(store(LENGTH))
        .judged(&[Check::Played, Check::HandlesCross]),
        by_handle(must(
            "client/handles/asker-completes",
            "The process that called GetBufferHandle completes the command.",
            Page("GetBufferHandle"),
        ))
        .act(store(LENGTH))
        .judged(&[Check::AskerCompletes]),
        by_handle(must(
            "client/handles/streams",
            "Streams whose bytes another process moves come back whole.",
            Page("MapBufferHandle"),
        ))
        .act(store(LENGTH))
        .act(fetch(LENGTH))
        .judged(&[Check::Played, Check::Returned]),
        by_handle(must(
            "client/handles/buffers-added",
            "Handles of buffers that were added later are mapped as others are.",
            Page("MapBufferHandle"),
        ))
        .act(backup(&[write(LENGTH / 2), Step::MoreBuffers, write(LENGTH / 2), Step::Flush]))
        .act(fetch(LENGTH))
        .judged(&[Check::Played, Check::Returned]),
        by_handle(must(
            "client/handles/several-commands",
            "The buffers of several waiting commands have handles of their own.",
            Page("GetBufferHandle"),
        ))
        .act(backup(&[write(LENGTH), Step::Flush]).depth(4))
        .act(fetch(LENGTH).depth(4))
        .judged(&[Check::Played, Check::Returned]),
        by_handle(must(
            "client/handles/sizes",
            "A handle stands for a buffer, and the command says how many of its bytes count.",
            Page("MapBufferHandle"),
        ))
        .act(backup(&[Step::Write { bytes: 48 * KIB, size: 1536 }, Step::Flush]).length(48 * KIB))
        .act(restore(&[Step::ReadToEnd { size: 512 }]).length(48 * KIB))
        .judged(&[Check::Played, Check::Returned, Check::NothingBehindEnd]),
        by_handle(must(
            "client/handles/abort",
            "An abort ends the process that moves the bytes, too.",
            Page("Abnormal Termination"),
        ))
        .act(backup(&[write(LENGTH / 2), Step::Abort]))
        .judged(&[Check::HeedsAbort, Check::NobodyLeft]),
        by_handle(should(
            "client/handles/server-death",
            "The server's death ends the process that moves the bytes, too.",
            Inferred("Process Model"),
        ))
        .act(backup(&[write(LENGTH / 2), Step::Die]))
        .judged(&[Check::HeedsAbort, Check::NobodyLeft]),
        by_handle(should(
            "client/handles/closes",
            "The process that maps handles closes the set that it joined.",
            Inferred("Close"),
        ))
        .act(store(LENGTH))
        .judged(&[Check::SecondariesClose]),
        by_handle(should(
            "client/handles/in-bounds",
            "The process that moves the bytes writes none behind a Read's.",
            Inferred("Active"),
        ))
        .act(store(LENGTH))
        .act(restore(&[Step::Read { bytes: 16 * KIB, size: 512 }]))
        .judged(&[Check::InBounds, Check::Returned]),
    ]
}
