//! Who may use our kernel objects: the user of this process, administrators, the system, and whoever
//! the object was made for. Accounts are texts ("S-1-5-21-…").

use std::ffi::c_void;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr::{null, null_mut};
use std::sync::{Mutex, OnceLock, PoisonError};

use windows_sys::Win32::Foundation::LocalFree;
use windows_sys::Win32::Security::Authorization::{
    ConvertSidToStringSidW, ConvertStringSecurityDescriptorToSecurityDescriptorW, SDDL_REVISION_1,
};
use windows_sys::Win32::Security::{
    GetTokenInformation, LookupAccountNameW, PSID, SECURITY_ATTRIBUTES, TOKEN_QUERY, TOKEN_USER,
    TokenUser,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

use super::handle::last;
use super::names::wide;
use crate::RegionError;

/// The longest account in characters: revision, authority and fifteen parts.
pub(crate) const ACCOUNT_MAX: usize = 192;

/// An access list for the kernel, valid for as long as this lives.
#[derive(Debug)]
pub(crate) struct Security {
    descriptor: *mut c_void,
}

// SAFETY: the descriptor is a block of memory that is never changed and freed once, on any thread.
unsafe impl Send for Security {}
// SAFETY: as for Send.
unsafe impl Sync for Security {}

impl Security {
    /// Everything for this process' user, administrators, the system and `accounts`; nothing for
    /// others.
    pub(crate) fn new(accounts: &[&str]) -> Result<Security, RegionError> {
        let mut all = vec!["BA", "SY", user()?];
        for account in accounts {
            if is_account(account) && !all.contains(account) {
                all.push(account);
            }
        }
        let text: String = all.iter().map(|account| format!("(A;;GA;;;{account})")).collect();
        let text = wide(&format!("D:P{text}"));
        let mut descriptor = null_mut();
        // SAFETY: `text` ends in a zero; `descriptor` is where the call may store a pointer, which
        // is ours to free then.
        let done = unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(
                text.as_ptr(),
                SDDL_REVISION_1,
                &mut descriptor,
                null_mut(),
            )
        };
        match done {
            0 => {
                Err(last("ConvertStringSecurityDescriptorToSecurityDescriptorW", "an access list"))
            }
            _ => Ok(Security { descriptor }),
        }
    }

    /// The form in which calls want it. No child inherits the handle.
    pub(crate) fn attributes(&self) -> SECURITY_ATTRIBUTES {
        SECURITY_ATTRIBUTES {
            nLength: size_of::<SECURITY_ATTRIBUTES>() as u32,
            lpSecurityDescriptor: self.descriptor,
            bInheritHandle: 0,
        }
    }
}

impl Drop for Security {
    fn drop(&mut self) {
        // SAFETY: allocated by the system's local allocator in `new`, freed nowhere else.
        unsafe { LocalFree(self.descriptor) };
    }
}

/// The account of this process' user.
pub(crate) fn user() -> Result<&'static str, RegionError> {
    static USER: OnceLock<String> = OnceLock::new();
    if let Some(user) = USER.get() {
        return Ok(user);
    }
    let found = find_user()?;
    Ok(USER.get_or_init(|| found))
}

fn find_user() -> Result<String, RegionError> {
    const WHAT: &str = "the user of this process";
    let mut token = null_mut();
    // SAFETY: the process handle is a constant; `token` is where the call stores a handle.
    if unsafe { OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &mut token) } == 0 {
        return Err(last("OpenProcessToken", WHAT));
    }
    // SAFETY: just opened, ours alone.
    let token = unsafe { OwnedHandle::from_raw_handle(token) };
    // A TOKEN_USER and the SID behind it, aligned for its pointer.
    let mut about = [0_u64; 32];
    let mut len = 0;
    // SAFETY: the buffer has the length given and is aligned for any structure.
    let done = unsafe {
        GetTokenInformation(
            token.as_raw_handle(),
            TokenUser,
            about.as_mut_ptr().cast(),
            size_of_val(&about) as u32,
            &mut len,
        )
    };
    if done == 0 {
        return Err(last("GetTokenInformation", WHAT));
    }
    // SAFETY: the call filled the buffer with a TOKEN_USER, whose SID lies in the buffer.
    let sid = unsafe { (*about.as_ptr().cast::<TOKEN_USER>()).User.Sid };
    text_of(sid, WHAT)
}

/// The account of that name, by the number that stands for it; see [`crate::account`].
pub(crate) fn find(name: &str) -> Result<Option<u32>, RegionError> {
    if is_account(name) {
        return Ok(Some(number_of(name)));
    }
    // A SID is at most 68 bytes long; a domain's name 256 characters.
    let (mut sid, mut domain) = ([0_u64; 16], [0_u16; 257]);
    let (mut sid_len, mut domain_len) = (size_of_val(&sid) as u32, domain.len() as u32);
    let (wide, mut kind) = (wide(name), 0);
    // SAFETY: the name ends in a zero; the buffers have the lengths given, and the SID's is aligned
    // for it.
    let done = unsafe {
        LookupAccountNameW(
            null(),
            wide.as_ptr(),
            sid.as_mut_ptr().cast(),
            &mut sid_len,
            domain.as_mut_ptr(),
            &mut domain_len,
            &mut kind,
        )
    };
    if done == 0 {
        let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
        return Err(RegionError::NoAccount { given: name.to_owned(), errno });
    }
    text_of(sid.as_mut_ptr().cast(), name).map(|account| Some(number_of(&account)))
}

/// A SID, which must be valid, as a text; `of` is whose, for the error.
fn text_of(sid: PSID, of: &str) -> Result<String, RegionError> {
    let mut text = null_mut();
    // SAFETY: `sid` is valid; `text` is where the call stores a pointer.
    if unsafe { ConvertSidToStringSidW(sid, &mut text) } == 0 {
        return Err(last("ConvertSidToStringSidW", of));
    }
    let mut units = Vec::new();
    // SAFETY: `text` is a string with a zero at its end, and the loop stops there.
    while let unit @ 1.. = unsafe { *text.add(units.len()) } {
        units.push(unit);
    }
    // SAFETY: allocated by the system's local allocator for us, not used below.
    unsafe { LocalFree(text.cast()) };
    Ok(String::from_utf16_lossy(&units))
}

/// Whether the text, which a peer may have written, is an account and nothing more.
fn is_account(text: &str) -> bool {
    text.len() < ACCOUNT_MAX
        && text.strip_prefix("S-1-").is_some_and(|rest| {
            rest.split('-').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
        })
}

/// Accounts that were met, for [`Owner`](crate::Owner), which has numbers for users.
static MET: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// A number for the account, in this process.
pub(crate) fn number_of(account: &str) -> u32 {
    let mut met = MET.lock().unwrap_or_else(PoisonError::into_inner);
    let at = met.iter().position(|known| known == account).unwrap_or_else(|| {
        met.push(account.to_owned());
        met.len() - 1
    });
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// The account of that number.
pub(crate) fn account_of(number: u32) -> Option<String> {
    let met = MET.lock().unwrap_or_else(PoisonError::into_inner);
    met.get(usize::try_from(number).ok()?).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_user_has_an_account_and_a_number() {
        let user = user().unwrap();
        assert!(is_account(user), "{user}");
        assert_eq!(account_of(number_of(user)).unwrap(), user);
        Security::new(&[user, "S-1-5-18"]).unwrap();
    }

    /// Catches: text of a peer that becomes part of an access list.
    #[test]
    fn nothing_but_an_account_gets_into_a_list() {
        for bad in ["", "WD", "S-1-5-18)(A;;GA;;;WD", "S-1-", "S-1-5--1", "S-1-5-18 "] {
            assert!(!is_account(bad), "{bad}");
        }
    }
}
