//! What can go wrong with a region.

use crate::backend::available_words;
use crate::{Backend, Owner};

/// "No such file or directory": 2 on every system.
const ENOENT: i32 = 2;

/// Every failure of this crate. The text is one sentence for a user; [`RegionError::os_error`] is
/// the system's number, where there was one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegionError {
    /// The word names no backend of this build.
    #[error("there is no backend \"{given}\" here; choose {}", available_words())]
    UnknownBackend {
        /// The word given.
        given: String,
    },
    /// The backend is not part of this build.
    #[error("the backend {backend} does not exist on this platform; choose {}", available_words())]
    Unavailable {
        /// The backend asked for.
        backend: Backend,
    },
    /// No object can have that name.
    #[error("\"{name}\" ({len} bytes) cannot name a shared object: {why}")]
    BadName {
        /// The beginning of the name.
        name: String,
        /// Its whole length in bytes.
        len: usize,
        /// The rule it breaks.
        why: &'static str,
    },
    /// The name is taken.
    #[error(
        "the shared object {object} exists already; its creator runs, or left it when it was killed"
    )]
    Exists {
        /// The object.
        object: String,
    },
    /// No object has that name.
    #[error(
        "there is no shared object {object}; its creator has not made it yet or has removed it"
    )]
    NotFound {
        /// The object.
        object: String,
    },
    /// Its creator is still building it, or died while it did.
    #[error(
        "the shared object {object} is not finished; its creator is building it or died over it"
    )]
    NotReady {
        /// The object.
        object: String,
    },
    /// The system does not let this user at it.
    #[error("no permission to {action} the shared object {object}{}; {remedy}", describe(.owner))]
    Denied {
        /// What was tried: `open`, `remove` …
        action: &'static str,
        /// The object.
        object: String,
        /// Whose it is and its mode, if that could be found out.
        owner: Option<Owner>,
        /// What helps.
        remedy: String,
        /// The system's error number.
        errno: i32,
    },
    /// No account has that name.
    #[error(
        "there is no account \"{given}\" here; name the account that the server runs under as \
         DOMAIN\\\\USER or NT SERVICE\\\\NAME, or give its SID"
    )]
    NoAccount {
        /// What was given.
        given: String,
        /// The system's error number.
        errno: i32,
    },
    /// The name belongs to something that is no shared memory: a folder, a pipe, a link.
    #[error("{object} is not a shared memory object; remove it, or choose another name")]
    NotAnObject {
        /// What the name stands for.
        object: String,
    },
    /// Another version of this software made it.
    #[error(
        "the shared object {object} has layout version {found} and this program knows version \
         {expected}; use the same version on both sides"
    )]
    OtherLayout {
        /// The object.
        object: String,
        /// Its version.
        found: u32,
        /// Ours.
        expected: u32,
    },
    /// An object of no bytes was found or asked for.
    #[error("the shared object {object} has no bytes")]
    Empty {
        /// The object.
        object: String,
    },
    /// The bytes are not to be had.
    #[error(
        "{wanted} bytes of shared memory are wanted for {object} and {} left by {limit}; use fewer \
         or smaller buffers, or raise the limit",
        free.map_or_else(|| "too few are".to_owned(), |free| format!("{free} are"))
    )]
    NoSpace {
        /// The object.
        object: String,
        /// Bytes asked for.
        wanted: u64,
        /// Bytes that are free, if known.
        free: Option<u64>,
        /// The limit in the way.
        limit: String,
        /// The system's error number; ENOSPC if the look before the leap found out.
        errno: i32,
    },
    /// An access outside of the region or slice.
    #[error("{len} bytes at offset {offset} lie outside of the {region_len} bytes that are there")]
    OutOfBounds {
        /// First byte asked for.
        offset: usize,
        /// Bytes asked for.
        len: usize,
        /// Bytes there are.
        region_len: usize,
    },
    /// An integer at an odd place.
    #[error("offset {offset} is not a multiple of {alignment}")]
    Misaligned {
        /// The offset asked for.
        offset: usize,
        /// What it must be a multiple of.
        alignment: usize,
    },
    /// A wait on a word that belongs to another region.
    #[error("the word at {address:#x} does not lie in the shared object {object}")]
    ForeignWord {
        /// Address of the word.
        address: usize,
        /// The region's object.
        object: String,
    },
    /// Somebody cut the object while it was mapped.
    #[error("another process shortened the shared object {object} while it was in use")]
    Truncated {
        /// The object.
        object: String,
    },
    /// Any other refusal of the system.
    #[error("{call} of {object} failed: {}", std::io::Error::from_raw_os_error(*.errno))]
    Os {
        /// The call.
        call: &'static str,
        /// What it was about.
        object: String,
        /// The system's error number.
        errno: i32,
    },
}

impl RegionError {
    /// The operating system's error number behind this error, if there was one.
    pub fn os_error(&self) -> Option<i32> {
        match self {
            RegionError::Denied { errno, .. }
            | RegionError::NoAccount { errno, .. }
            | RegionError::NoSpace { errno, .. }
            | RegionError::Os { errno, .. } => Some(*errno),
            RegionError::NotFound { .. } => Some(ENOENT),
            _ => None,
        }
    }
}

/// ", which belongs to …", or nothing.
fn describe(owner: &Option<Owner>) -> String {
    owner.map_or_else(String::new, |owner| format!(", which belongs to {owner}"))
}
