//! Creating, configuring and opening.

use super::scripts::{LENGTH, backup, disputed, fetch, must, read, restore, should, store, write};
use crate::conformance::capabilities::Need;
use crate::conformance::case::{Case, Check};
use crate::conformance::results::Level;
use crate::conformance::script::Step;
use crate::conformance::source::Source::{Inferred, Microsoft, Page, Practice, Uncertain};

const ABORT_HINT: &str =
    "When a call returns VD_E_ABORT (0x80770004), stop, call Close and end with an error.";

pub(super) fn cases() -> Vec<Case> {
    [create(), names(), get_configuration(), open_device()].into_iter().flatten().collect()
}

fn create() -> Vec<Case> {
    let configuration = |id: &str, rule: &str, source, check| {
        should(id, rule, source).act(store(LENGTH)).judged(&[check])
    };
    vec![
        must(
            "client/Create/once",
            "Create is called once for each BACKUP or RESTORE.",
            Page("CreateEx"),
        )
        .hint("A set that exists already answers a second Create with VD_E_PROTOCOL.")
        .act(store(LENGTH))
        .judged(&[Check::CreatesOnce]),
        configuration(
            "client/Create/listed-features",
            "VDConfig.features is one of the combinations that the specification describes.",
            Page("Feature Bits"),
            Check::ListedFeatures,
        ),
        configuration(
            "client/Create/server-bits",
            "A client leaves VDF_WriteMedia, VDF_ReadMedia and VDF_CompleteEnabled to the server.",
            Page("VDConfig Structure"),
            Check::NoServerBits,
        ),
        configuration(
            "client/Create/unknown-bits",
            "A client asks for no feature bit that vdi.h does not name.",
            Microsoft("vdi.h, VDFeatures"),
            Check::NoUnknownBits,
        ),
        configuration(
            "client/Create/soft-filemarks",
            "The size of soft filemarks is given with VDF_FileMarks only.",
            Page("VDConfig Structure"),
            Check::SoftFileMarks,
        ),
        Case::new(
            "client/Create/output-fields",
            Level::Info,
            "The fields of VDConfig that the server fills are 0 at Create.",
            Practice("every sample sets them to 0; what else does is not known"),
        )
        .act(store(LENGTH))
        .judged(&[Check::OutputsZero]),
        configuration(
            "client/Create/group-access",
            "The shared objects can be opened by the group that SQL Server's account belongs to.",
            Microsoft("readme and code of the Linux sample (umask)"),
            Check::GroupAccess,
        )
        .hint("Call umask(0) before Create, as Microsoft's Linux sample does.")
        .private(),
        configuration(
            "client/Create/server-time-out",
            "A client answers every command within the serverTimeOut that it asks for.",
            Page("VDConfig Structure"),
            Check::WithinServerTimeOut,
        )
        .hint("serverTimeOut counts milliseconds; after two of them without an answer the server aborts."),
        should(
            "client/Create/device-count",
            "VDConfig.deviceCount is the number of VIRTUAL_DEVICE clauses.",
            Inferred("VDConfig Structure"),
        )
        .needs(Need::Devices(3))
        .act(store(LENGTH))
        .judged(&[Check::Played]),
        should(
            "client/Create/runs-as-other",
            "A SQL Server under another account of the client's group can serve its set.",
            Microsoft("readme and code of the Linux sample (umask)"),
        )
        .hint(
            "What the server may not open is not there for the client, either: Open(hBufferMemory): \
             error 2, then VD_E_ABORT from OpenDevice and error 995 on the server. Call umask(0) \
             before Create, and see that both accounts have a group in common.",
        )
        .act(backup(&[]).only(&[
            Step::Attach,
            Step::AsOther,
            Step::Configure,
            Step::Open,
            write(LENGTH),
            Step::Flush,
            Step::Complete,
        ]))
        .judged(&[Check::GroupAccess, Check::Played]),
    ]
}

fn names() -> Vec<Case> {
    let named = |id: &str, rule: &str, name| {
        should(id, rule, Page("CreateEx"))
            .hint("The client changed, quoted or cut the name that it was given.")
            .named(name)
            .act(store(LENGTH))
            .judged(&[Check::Played, Check::OpensEachOnce])
    };
    vec![
        named(
            "client/Create/name-with-braces",
            "A set may be named by a GUID in braces, as SQL Writer does.",
            "{AA4B3232-1881-4F09-9DBA-0983D553BF46}",
        ),
        named(
            "client/Create/name-with-hyphens",
            "A set may be named by a bare GUID, as Microsoft's Linux sample does.",
            "1b00a6e6-8afd-4ca4-a23b-c44bd8b33808",
        ),
        named(
            "client/Create/name-with-spaces",
            "Every character but the backslash may stand in a set's name.",
            "Sales (M\u{e4}rz), full #1 'daily'",
        ),
        named(
            "client/Create/name-with-slash",
            "A set's name is no path: a slash in it means nothing.",
            "vendor/db/1",
        ),
    ]
}

fn get_configuration() -> Vec<Case> {
    let waiting = [Step::Attach, Step::Pause(50)];
    let configured = [Step::Attach, Step::Configure, Step::Pause(50)];
    let with = |steps: &[Step], last: Step| {
        let steps: Vec<_> = steps.iter().cloned().chain([last]).collect();
        backup(&[]).only(&steps)
    };
    vec![
        must(
            "client/GetConfiguration/before-OpenDevice",
            "GetConfiguration has returned before OpenDevice is called.",
            Page("Client Transitions"),
        )
        .act(store(LENGTH))
        .judged(&[Check::ConfiguresFirst]),
        must(
            "client/GetConfiguration/abort-while-waiting",
            "An abort while the server configures the set ends the client.",
            Page("Abnormal Termination"),
        )
        .hint(ABORT_HINT)
        .act(with(&waiting, Step::Abort))
        .judged(&[Check::HeedsAbort]),
        must(
            "client/GetConfiguration/abort-behind-it",
            "An abort between the configuration and the first command ends the client.",
            Page("Abnormal Termination"),
        )
        .hint(ABORT_HINT)
        .act(with(&configured, Step::Abort))
        .judged(&[Check::HeedsAbort]),
        should(
            "client/GetConfiguration/server-dies-while-waiting",
            "The server's death while it configures the set ends the client.",
            Inferred("Process Model"),
        )
        .act(with(&waiting, Step::Die))
        .judged(&[Check::HeedsAbort]),
        should(
            "client/GetConfiguration/server-dies-behind-it",
            "The server's death between the configuration and the first command ends the client.",
            Inferred("Process Model"),
        )
        .act(with(&configured, Step::Die))
        .judged(&[Check::HeedsAbort]),
        should(
            "client/GetConfiguration/exit-code",
            "A set that is aborted before its first command makes the client end with an error.",
            Practice("schedulers look at the exit code"),
        )
        .act(with(&waiting, Step::Abort))
        .judged(&[Check::FailsWhenCutOff]),
        disputed(
            "client/GetConfiguration/late-server",
            "A client waits 2.5 s for the server to open its set.",
            Uncertain("GetConfiguration", "how long to wait is the client's choice"),
        )
        .act(backup(&[]).only(&[
            Step::Attach,
            Step::Pause(2500),
            Step::Configure,
            Step::Open,
            write(LENGTH),
            Step::Flush,
            Step::Complete,
        ]))
        .judged(&[Check::Played]),
        should(
            "client/GetConfiguration/no-Complete",
            "A client that asked for VDC_Complete and did not get it still makes a backup.",
            Practice("older servers do not offer it"),
        )
        .hint("Look at VDF_CompleteEnabled in what GetConfiguration returns.")
        .needs(Need::Complete)
        .act(store(LENGTH).without_complete())
        .act(fetch(LENGTH))
        .judged(&[Check::Played, Check::Returned]),
    ]
}

fn open_device() -> Vec<Case> {
    vec![
        must(
            "client/OpenDevice/each-once",
            "Each device is opened once, under the name in its VIRTUAL_DEVICE clause; the first \
             bears the set's name.",
            Page("OpenDevice"),
        )
        .hint("Opening one name several times is a common mistake with several devices.")
        .act(store(LENGTH))
        .judged(&[Check::OpensEachOnce]),
        must(
            "client/OpenDevice/abort-behind-it",
            "An abort of a set whose devices are open and idle ends the client.",
            Page("Abnormal Termination"),
        )
        .hint(ABORT_HINT)
        .act(backup(&[Step::Pause(50), Step::Abort]))
        .judged(&[Check::HeedsAbort]),
        must(
            "client/OpenDevice/for-restore",
            "The devices of a RESTORE are opened as those of a BACKUP are.",
            Page("OpenDevice"),
        )
        .act(store(LENGTH))
        .act(restore(&[read(LENGTH)]))
        .judged(&[Check::OpensEachOnce, Check::ConfiguresFirst]),
    ]
}
