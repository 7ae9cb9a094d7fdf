//! The statement, for clients that send it themselves: the set exists by then, and what the server says of the
//! statement is what counts.

use super::scripts::{LENGTH, fetch, should, store};
use crate::conformance::capabilities::Need;
use crate::conformance::case::{Case, Check};
use crate::conformance::script::Step;
use crate::conformance::source::Source::{Inferred, Practice};

const RESULT: &str = "SQL Server may fail a BACKUP after its last command; only the statement's result \
                      says that there is a backup.";

pub(super) fn cases() -> Vec<Case> {
    let exit = Practice("schedulers look at the exit code");
    let refused = || store(LENGTH).only(&[Step::Refuse]);
    let of_sql = |id: &str, rule: &str, source| should(id, rule, source).needs(Need::Sql);
    vec![
        of_sql(
            "client/SQL/set-before-statement",
            "The set has been created when the server gets the statement.",
            Inferred("Process Model"),
        )
        .hint("SQL Server waits for no set: Create first, then send BACKUP or RESTORE.")
        .act(store(LENGTH))
        .judged(&[Check::Played]),
        of_sql(
            "client/SQL/every-device-named",
            "The statement names as many devices as the set has.",
            Inferred("OpenDevice"),
        )
        .hint("One VIRTUAL_DEVICE clause a device, the first with the set's name.")
        .needs(Need::Devices(4))
        .act(store(LENGTH))
        .judged(&[Check::Played, Check::OpensEachOnce]),
        of_sql(
            "client/SQL/success-reported",
            "A client whose BACKUP succeeded ends with success.",
            exit,
        )
        .act(store(LENGTH))
        .judged(&[Check::ReportsSuccess]),
        of_sql(
            "client/SQL/success-of-restore-reported",
            "A client whose RESTORE succeeded ends with success.",
            exit,
        )
        .act(store(LENGTH))
        .act(fetch(LENGTH))
        .judged(&[Check::ReportsSuccess]),
        of_sql(
            "client/SQL/failure-reported",
            "A client whose BACKUP failed on the server ends with an error, even if every command \
             was answered and VD_E_CLOSE came.",
            exit,
        )
        .hint(RESULT)
        .act(store(LENGTH).then(&[Step::FailStatement]))
        .judged(&[Check::FailsWhenCutOff]),
        of_sql(
            "client/SQL/failure-of-restore-reported",
            "A client whose RESTORE failed on the server ends with an error, even if every byte \
             was returned.",
            exit,
        )
        .hint(RESULT)
        .act(store(LENGTH))
        .act(fetch(LENGTH).then(&[Step::FailStatement]))
        .judged(&[Check::FailsWhenCutOff]),
        of_sql(
            "client/SQL/refused-statement",
            "A client whose statement is refused does not wait for its set to be opened: it ends, \
             with an error.",
            Practice("0x80770003 from GetConfiguration, when the statement had failed already"),
        )
        .hint("Look at the statement's result while GetConfiguration waits.")
        .act(refused())
        .judged(&[Check::FailsWhenCutOff]),
        of_sql(
            "client/SQL/refused-nothing-left",
            "A client whose statement is refused leaves nothing of its set in shared memory.",
            Inferred("Close"),
        )
        .act(refused())
        .judged(&[Check::NothingLeft]),
    ]
}
