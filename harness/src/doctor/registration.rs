//! Whether COM finds the drop-in.

use std::fs;
use std::path::Path;

use object::{Object, ObjectKind};
use sqlvdi::registration::{Hive, Registered, registered};

use super::finding::{Finding, Level};

const SUBJECT: &str = "registration";

/// What a client that asks COM for the class gets, and whether that is `drop_in`.
pub(super) fn examine(drop_in: Option<&Path>) -> Finding {
    // A user's registration goes before the machine's.
    match registered(Hive::User).or_else(|| registered(Hive::Machine)) {
        None => Finding::new(SUBJECT, Level::Note, "the VDI classes are not registered.")
            .remedy("vdisim register, as administrator, or vdisim register --user."),
        Some(Registered { path, ours: false }) => {
            let text = format!("the VDI classes are those of {}.", path.display());
            Finding::new(SUBJECT, Level::Note, text).remedy(
                "vdisim register --user goes before it; vdisim unregister --user ends that.",
            )
        }
        Some(Registered { path, ours: true }) => examine_ours(&path, drop_in),
    }
}

fn examine_ours(path: &Path, drop_in: Option<&Path>) -> Finding {
    let shown = path.display();
    let bad = |text: String| Finding::new(SUBJECT, Level::Bad, text);
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            return bad(format!("{shown} is registered and cannot be read: {error}."))
                .remedy("vdisim register again.");
        }
    };
    match object::File::parse(&*bytes) {
        Ok(file) if file.kind() == ObjectKind::Dynamic => {
            let bits = if file.is_64() { 64 } else { 32 };
            let text = format!("{shown} is registered, for clients of {bits} bits.");
            match drop_in {
                Some(other) if other != path => Finding::new(SUBJECT, Level::Note, text)
                    .remedy(format!("{} is another; vdisim register takes it.", other.display())),
                _ => Finding::new(SUBJECT, Level::Good, text),
            }
        }
        _ => bad(format!("{shown} is registered and is no DLL.")).remedy("vdisim register again."),
    }
}
