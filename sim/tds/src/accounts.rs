//! Who may log in.

use std::collections::HashMap;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The logins of a server. Passwords are kept as digests only.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    known: HashMap<String, Account>,
    anyone: bool,
}

#[derive(Clone)]
struct Account {
    password: [u8; 32],
    sysadmin: bool,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("sysadmin", &self.sysadmin).finish_non_exhaustive()
    }
}

impl Accounts {
    /// No logins: everybody is refused.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Every name with every password, as a sysadmin.
    #[must_use]
    pub fn anyone() -> Self {
        Self { anyone: true, ..Self::default() }
    }

    /// Adds a login, or replaces the one of that name. Names do not differ by case, passwords do.
    #[must_use]
    pub fn with(mut self, user: &str, password: &str, sysadmin: bool) -> Self {
        let account = Account { password: digest(password), sysadmin };
        self.known.insert(user.to_lowercase(), account);
        self
    }

    /// Whether the password is the login's, and if so whether the login is a sysadmin. Takes the same time for a wrong
    /// password as for a right one, and for an unknown name as for a known one.
    pub(crate) fn check(&self, user: &str, password: &str) -> Option<bool> {
        let given = digest(password);
        let account = self.known.get(&user.to_lowercase());
        let expected = account.map_or([0; 32], |account| account.password);
        let same = bool::from(given.ct_eq(&expected));
        match account {
            Some(account) => same.then_some(account.sysadmin),
            None => self.anyone.then_some(true),
        }
    }
}

fn digest(password: &str) -> [u8; 32] {
    Sha256::digest(password.as_bytes()).into()
}
