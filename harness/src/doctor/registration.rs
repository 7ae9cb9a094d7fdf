//! Whether COM finds the drop-in: for anybody, and for one client.

use std::path::Path;
use std::{fs, io};

use object::{FileKind, Object, ObjectKind};
use sqlvdi::registration::{Bits, Hive, Registered, RegistrationError, registered};

use super::finding::{Finding, Level};

const SUBJECT: &str = "registration";

/// How COM refuses a class that it does not know.
const CLASS_NOT_REGISTERED: &str = "REGDB_E_CLASSNOTREG (0x80040154)";

/// How it refuses one whose DLL the client's user may not read.
const ACCESS_DENIED: &str = "E_ACCESSDENIED (0x80070005)";

/// What a client that asks COM for the class gets, and whether that is `drop_in`.
pub(super) fn examine(drop_in: Option<&Path>) -> Vec<Finding> {
    let own = match winner(Bits::Own) {
        Ok(None) => Finding::new(SUBJECT, Level::Note, "the VDI classes are not registered.")
            .remedy("vdisim register, as administrator, or vdisim register --user."),
        Ok(Some(it)) => examine_registered(&it, Bits::Own, drop_in),
        Err(error) => unreadable(SUBJECT, &error),
    };
    let narrow = match winner(Bits::Narrow) {
        Ok(it) => it.map(|it| examine_registered(&it, Bits::Narrow, None)),
        Err(error) => Some(unreadable(SUBJECT, &error)),
    };
    [own].into_iter().chain(narrow).collect()
}

fn unreadable(subject: &'static str, error: &RegistrationError) -> Finding {
    Finding::new(subject, Level::Bad, error.to_string())
}

/// A user's registration goes before the machine's.
fn winner(bits: Bits) -> Result<Option<Registered>, RegistrationError> {
    match registered(Hive::User, bits)? {
        Some(it) => Ok(Some(it)),
        None => registered(Hive::Machine, bits),
    }
}

/// How many bits the programs have.
fn width(bits: Bits) -> u32 {
    match bits {
        Bits::Own => usize::BITS,
        Bits::Narrow => 32,
    }
}

fn examine_registered(it: &Registered, bits: Bits, drop_in: Option<&Path>) -> Finding {
    let (shown, width) = (it.path.display(), width(bits));
    if !it.ours {
        let text = format!("the VDI classes of clients of {width} bits are those of {shown}.");
        return Finding::new(SUBJECT, Level::Note, text)
            .remedy("vdisim register --user goes before it; vdisim unregister --user ends that.");
    }
    if let Err((text, remedy)) = check(&it.path, width) {
        return Finding::new(SUBJECT, Level::Bad, text).remedy(remedy);
    }
    let text = format!("{shown} is registered, for clients of {width} bits.");
    match drop_in {
        Some(other) if other != it.path => Finding::new(SUBJECT, Level::Note, text)
            .remedy(format!("{} is another; vdisim register takes it.", other.display())),
        _ => Finding::new(SUBJECT, Level::Good, text),
    }
}

/// Whether a program of so many bits can load what is registered; if not, why, and what helps.
fn check(path: &Path, width: u32) -> Result<(), (String, String)> {
    let shown = path.display();
    let again = || "vdisim register again.".to_owned();
    let bytes = fs::read(path).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => (
            format!(
                "{shown} is registered and this user may not read it: a client of this user gets \
                 {ACCESS_DENIED}."
            ),
            format!(
                "Let everybody read it, icacls \"{shown}\" /grant *S-1-1-0:RX, or register a copy \
                 that everybody may read."
            ),
        ),
        _ => (format!("{shown} is registered and cannot be read: {error}."), again()),
    })?;
    match object::File::parse(&*bytes) {
        Ok(file) if file.kind() == ObjectKind::Dynamic => {
            let has = if file.is_64() { 64 } else { 32 };
            let wrong = format!(
                "{shown} has {has} bits and is registered for clients of {width}, which cannot \
                 load it."
            );
            if has == width { Ok(()) } else { Err((wrong, again())) }
        }
        _ => Err((format!("{shown} is registered and is no DLL."), again())),
    }
}

/// What COM gives the Windows program at `path`; `None` if these are not the bytes of one.
pub(super) fn examine_client(path: &Path, bytes: &[u8]) -> Option<Vec<Finding>> {
    let width = match FileKind::parse(bytes) {
        Ok(FileKind::Pe32) => 32,
        Ok(FileKind::Pe64) => 64,
        _ => return None,
    };
    Some(vec![given_to(path, width)])
}

fn given_to(path: &Path, width: u32) -> Finding {
    let finding = |level, text| Finding::new("client", level, text);
    let (bits, other) = match width == usize::BITS {
        true => (Bits::Own, Bits::Narrow),
        false => (Bits::Narrow, Bits::Own),
    };
    let build = "cargo build --release --target i686-pc-windows-gnu -p sqlvdi, then vdisim \
                 register --sqlvdi with the path of that DLL.";
    let (own, others) = match (winner(bits), winner(other)) {
        (Ok(own), Ok(others)) => (own, others),
        (Err(error), _) | (_, Err(error)) => return unreadable("client", &error),
    };
    match (own, others) {
        (Some(it), _) => match check(&it.path, width) {
            Err((text, remedy)) => finding(Level::Bad, text).remedy(remedy),
            Ok(()) if it.ours => {
                let text = format!("{} gets {} from COM.", path.display(), it.path.display());
                finding(Level::Good, text)
            }
            Ok(()) => {
                let theirs = it.path.display();
                let text = format!("COM gives it {theirs}, which is not the drop-in.");
                finding(Level::Bad, text).remedy("vdisim register --force, or --user.")
            }
        },
        (None, Some(_)) => {
            let text = format!(
                "it has {width} bits, and the VDI classes are registered only for clients of \
                 others: without a manifest it gets {CLASS_NOT_REGISTERED}."
            );
            let remedy = if width == 32 { build } else { "vdisim register." };
            finding(Level::Bad, text).remedy(remedy)
        }
        (None, None) => {
            let text = format!(
                "the VDI classes are not registered: without a manifest it gets \
                 {CLASS_NOT_REGISTERED}."
            );
            finding(Level::Bad, text).remedy("vdisim register, as administrator.")
        }
    }
}
