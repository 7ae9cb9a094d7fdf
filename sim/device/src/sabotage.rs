//! Failures of the client half that a server orders, to see what its client makes of them: in the control
//! segment for the buffers, in the [`Rendezvous`](crate::Rendezvous) for a Create, which no server has seen yet.

use vdi_region::RegionError;

/// The setting that has every Create fail, with the [name](Sabotage::name) of the failure.
pub const CREATE_FAULT: &str = "VDISIM_CREATE_FAULT";

/// What goes wrong when the client half opens a buffer segment, or creates the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Sabotage {
    /// There is no such object: error 2.
    MissingObject = 1,
    /// The object is another user's: error 13.
    Permission = 2,
    /// Another version of the library made it.
    OtherVersion = 3,
    /// It cannot be mapped for lack of memory: error 12.
    Memory = 4,
}

/// "Permission denied" of every Unix.
const EACCES: i32 = 13;
/// "Cannot allocate memory" of every Unix.
const ENOMEM: i32 = 12;

impl Sabotage {
    /// Its name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Sabotage::MissingObject => "missing-object",
            Sabotage::Permission => "permission",
            Sabotage::OtherVersion => "version-mismatch",
            Sabotage::Memory => "memory",
        }
    }

    /// The failure with this name.
    pub fn named(name: &str) -> Option<Sabotage> {
        (1..=4).filter_map(Sabotage::from_word).find(|sabotage| sabotage.name() == name)
    }

    pub(crate) fn from_word(word: u32) -> Option<Sabotage> {
        match word {
            1 => Some(Sabotage::MissingObject),
            2 => Some(Sabotage::Permission),
            3 => Some(Sabotage::OtherVersion),
            4 => Some(Sabotage::Memory),
            _ => None,
        }
    }

    /// What `action` on `object`, which has `len` bytes, comes to.
    pub(crate) fn error(self, action: &'static str, object: String, len: u64) -> RegionError {
        match self {
            Sabotage::MissingObject => RegionError::NotFound { object },
            Sabotage::Permission => RegionError::Denied {
                action,
                object,
                owner: None,
                remedy: "a fault plan ordered this".to_owned(),
                errno: EACCES,
            },
            Sabotage::OtherVersion => RegionError::OtherLayout {
                object,
                found: crate::layout::LAYOUT_VERSION + 1,
                expected: crate::layout::LAYOUT_VERSION,
            },
            Sabotage::Memory => RegionError::NoSpace {
                object,
                wanted: len,
                free: Some(0),
                limit: "the fault plan".to_owned(),
                errno: ENOMEM,
            },
        }
    }
}
