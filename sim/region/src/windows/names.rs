//! What our kernel objects are called.

use sha2::{Digest, Sha256};
use windows_sys::Win32::System::RemoteDesktop::ProcessIdToSessionId;

use crate::{LeaseRole, ObjectName};

/// The list of names an object is in. Its creator takes the widest it may, openers look into all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The machine's. To put a section there takes the privilege SeCreateGlobalPrivilege, which
    /// services and administrators have.
    Global,
    /// The login session's.
    Local,
}

impl Scope {
    /// In the order to look.
    pub(crate) const ALL: [Scope; 2] = [Scope::Global, Scope::Local];

    fn prefix(self) -> &'static str {
        match self {
            Scope::Global => r"Global\",
            Scope::Local => r"Local\",
        }
    }

    /// The kernel's folder behind the prefix.
    pub(crate) fn folder(self) -> String {
        match self {
            Scope::Global => r"\BaseNamedObjects".to_owned(),
            Scope::Local => match session() {
                0 => r"\BaseNamedObjects".to_owned(),
                session => format!(r"\Sessions\{session}\BaseNamedObjects"),
            },
        }
    }

    /// The section that a name of ours is.
    pub(crate) fn entry(self, name: &ObjectName) -> Vec<u16> {
        self.wide(&in_kernel(name.as_str()))
    }

    /// The mutex that guards a name and what it stands for.
    pub(crate) fn lock(self, name: &ObjectName) -> Vec<u16> {
        let digest = Sha256::digest(name.as_str());
        let hex: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        self.wide(&format!("vdi-region.lock.{hex}"))
    }

    /// The section of an object's bytes.
    pub(crate) fn bytes(self, generation: u64) -> Vec<u16> {
        self.wide(&format!("vdi-region.{generation:016x}"))
    }

    /// What exists for as long as somebody holds the lease.
    pub(crate) fn lease(self, generation: u64, role: LeaseRole) -> Vec<u16> {
        let role = match role {
            LeaseRole::Creator => "creator",
            LeaseRole::Attacher => "attacher",
        };
        self.wide(&format!("vdi-region.{generation:016x}.{role}"))
    }

    /// The event of a place to sleep.
    pub(crate) fn event(self, generation: u64, place: usize) -> Vec<u16> {
        self.wide(&format!("vdi-region.{generation:016x}.sleeper{place}"))
    }

    fn wide(self, name: &str) -> Vec<u16> {
        wide(&format!("{}{name}", self.prefix()))
    }
}

/// The number of this login session; 0 if it cannot be found out.
fn session() -> u32 {
    let mut session = 0;
    // SAFETY: the pointer leads to an integer of the size the call fills.
    match unsafe { ProcessIdToSessionId(std::process::id(), &mut session) } {
        0 => 0,
        _ => session,
    }
}

/// The kernel takes any character but the backslash, which ours may have; it is spelt by the one
/// that ours never have.
fn in_kernel(name: &str) -> String {
    name.replace('\\', "/")
}

/// The other way round.
pub(crate) fn from_kernel(name: &str) -> String {
    name.replace('/', "\\")
}

/// Text for the system: UTF-16 and a zero.
pub(crate) fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches: a name too long for the system behind its prefix; two names spelt alike.
    #[test]
    fn every_name_can_be_spelt() {
        let longest = ObjectName::new(&"x".repeat(ObjectName::MAX_LEN)).unwrap();
        assert!(Scope::Global.entry(&longest).len() <= 260);
        let odd = ObjectName::new("a\\b\u{1f980}").unwrap();
        let spelt = in_kernel(odd.as_str());
        assert!(!spelt.contains('\\'));
        assert_eq!(from_kernel(&spelt), odd.as_str());
    }
}
