//! Aborts, deaths, Close, and what is left behind.

use super::scripts::{
    LENGTH, TRANSFER, backup, command, disputed, fetch, must, read, restore, should, store, write,
};
use crate::conformance::case::{Case, Check};
use crate::conformance::script::{Item, Script, Step};
use crate::conformance::source::Source::{Inferred, Page, Practice, Uncertain};

pub(super) fn cases() -> Vec<Case> {
    [aborts(), deaths(), behaviour(), close()].into_iter().flatten().collect()
}

/// Where a statement may be cut off: a name, words for the rule, whether a medium is needed first,
/// the statement up to there.
fn places() -> Vec<(&'static str, &'static str, bool, Script)> {
    let waiting = |item| backup(&[Step::Send(vec![item; 4])]).depth(4);
    let refused = [write(LENGTH / 2), command(99)];
    vec![
        (
            "with-several-commands",
            "while four commands wait",
            false,
            waiting(Item::Write(TRANSFER)),
        ),
        ("in-place-of-ClearError", "behind a refused command", false, backup(&refused)),
        ("mid-backup", "in the middle of a BACKUP", false, backup(&[write(LENGTH / 2)])),
        ("before-Flush", "between the last Write and Flush", false, backup(&[write(LENGTH)])),
        ("after-Flush", "behind the Flush", false, backup(&[write(LENGTH), Step::Flush])),
        ("mid-restore", "in the middle of a RESTORE", true, restore(&[read(LENGTH / 2)])),
        ("end-of-restore", "when a RESTORE has read everything", true, fetch(LENGTH)),
    ]
}

fn cut(case: Case, needs_medium: bool, script: Script, last: Step) -> Case {
    let case = if needs_medium { case.act(store(LENGTH)) } else { case };
    case.act(script.then(&[last]))
}

fn aborts() -> Vec<Case> {
    let abort = |(name, place, medium, script)| {
        let (id, rule) =
            (format!("client/SignalAbort/{name}"), format!("An abort {place} ends the client."));
        cut(must(&id, &rule, Page("Abnormal Termination")), medium, script, Step::Abort)
            .hint("After VD_E_ABORT (0x80770004) only Close is of use.")
            .judged(&[Check::HeedsAbort])
    };
    places().into_iter().map(abort).collect()
}

fn deaths() -> Vec<Case> {
    let death = |(name, place, medium, script)| {
        let id = format!("client/server-death/{name}");
        let rule = format!("The server's death {place} ends the client.");
        cut(should(&id, &rule, Inferred("Process Model")), medium, script, Step::Die)
            .judged(&[Check::HeedsAbort])
    };
    places().into_iter().map(death).collect()
}

fn behaviour() -> Vec<Case> {
    let half = || backup(&[write(LENGTH / 2)]);
    let exit = Practice("schedulers look at the exit code");
    vec![
        should(
            "client/SignalAbort/calls-Close",
            "After an abort the client calls Close.",
            Page("Close"),
        )
        .act(half().then(&[Step::Abort]))
        .judged(&[Check::ClosesAfterAbort]),
        should(
            "client/SignalAbort/exit-code",
            "A client whose BACKUP was aborted ends with an error.",
            exit,
        )
        .act(half().then(&[Step::Abort]))
        .judged(&[Check::FailsWhenCutOff]),
        should(
            "client/SignalAbort/exit-code-of-restore",
            "A client whose RESTORE was aborted ends with an error.",
            exit,
        )
        .act(store(LENGTH))
        .act(restore(&[read(LENGTH / 2), Step::Abort]))
        .judged(&[Check::FailsWhenCutOff]),
        should(
            "client/SignalAbort/nothing-left",
            "After an abort nothing of the set stays in shared memory.",
            Inferred("Close"),
        )
        .act(half().then(&[Step::Abort]))
        .judged(&[Check::NothingLeft]),
        should(
            "client/SignalAbort/backup-after-it",
            "After an aborted BACKUP the next one to the same medium succeeds.",
            Inferred("Close"),
        )
        .act(half().then(&[Step::Abort]))
        .act(store(LENGTH))
        .act(fetch(LENGTH))
        .judged(&[Check::Returned]),
        should(
            "client/server-death/opened",
            "The server's death before the first command ends the client.",
            Inferred("Process Model"),
        )
        .act(backup(&[Step::Pause(50), Step::Die]))
        .judged(&[Check::HeedsAbort]),
        should(
            "client/server-death/nothing-left",
            "After the server's death nothing of the set stays in shared memory.",
            Inferred("Close"),
        )
        .act(half().then(&[Step::Die]))
        .judged(&[Check::NothingLeft]),
        should(
            "client/server-death/exit-code",
            "A client whose server died ends with an error.",
            exit,
        )
        .act(half().then(&[Step::Die]))
        .judged(&[Check::FailsWhenCutOff]),
        should(
            "client/server-death/calls-Close",
            "After the server's death the client calls Close.",
            Inferred("Close"),
        )
        .act(half().then(&[Step::Die]))
        .judged(&[Check::ClosesAfterAbort]),
    ]
}

fn close() -> Vec<Case> {
    let whole = |case: Case, check| case.act(store(LENGTH)).judged(&[check]);
    vec![
        whole(
            should(
                "client/Close/called",
                "When every device has said VD_E_CLOSE, the client calls Close on the set.",
                Page("GetCommand"),
            ),
            Check::CallsClose,
        ),
        whole(
            disputed(
                "client/Close/not-early",
                "Close comes only when every device has said VD_E_CLOSE.",
                Uncertain("Close", "the table of transitions allows it before"),
            )
            .hint("A Close before that aborts the BACKUP."),
            Check::NoEarlyClose,
        ),
        whole(
            must(
                "client/Close/devices-are-gone",
                "No device is called after its set was closed.",
                Page("Close"),
            ),
            Check::NoCallAfterClose,
        ),
        whole(
            should(
                "client/Close/nothing-left",
                "After a BACKUP nothing of the set stays in shared memory.",
                Inferred("Close"),
            ),
            Check::NothingLeft,
        ),
        whole(
            should(
                "client/Close/nobody-left",
                "No process that the client started outlives it.",
                Inferred("Process Model"),
            ),
            Check::NobodyLeft,
        ),
    ]
}
