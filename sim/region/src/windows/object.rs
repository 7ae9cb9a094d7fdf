//! One object: its section, which has a header of our own before the caller's bytes, and its name.
//!
//! An object is built under its number; its name stands for it from [`Object::publish`] on, which is
//! one step. Nothing is left of one whose builder is killed.

use std::os::windows::io::OwnedHandle;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use windows_sys::Win32::Foundation::{
    ERROR_COMMITMENT_LIMIT, ERROR_INVALID_PARAMETER, ERROR_NOT_ENOUGH_MEMORY, ERROR_OUTOFMEMORY,
};

use super::accounts::{self, ACCOUNT_MAX, Security};
use super::entry::{Entry, is_taken_elsewhere};
use super::handle::{Made, failed};
use super::leases::Leases;
use super::names::Scope;
use super::section::Section;
use super::sleepers::{Events, Places};
use super::{limits, sleepers};
use crate::{Access, ObjectName, Owner, RegionError, Wait, memory_limits};

/// Views begin at multiples of 64 KiB, and the caller's bytes as far behind: VDI knows alignments up
/// to that (spec: VDI, VDConfig.alignment).
const HEADER_LEN: usize = 64 << 10;
const BASE_ALIGNMENT: usize = 64 << 10;
const MAGIC: u32 = u32::from_le_bytes(*b"vdiW");
const LAYOUT_VERSION: u32 = 1;

/// The first bytes of an object. Nothing in it is believed: it is copied and checked.
#[repr(C)]
struct Header {
    magic: AtomicU32,
    version: AtomicU32,
    len: [AtomicU32; 2],
    generation: [AtomicU32; 2],
    /// Who made it, and for whom besides: texts, filled up with zeroes.
    accounts: [[AtomicU32; ACCOUNT_MAX / 4]; 2],
    places: Places,
}

const _: () = assert!(size_of::<Header>() <= HEADER_LEN && align_of::<Header>() == 4);

fn store(words: &[AtomicU32; 2], value: u64) {
    words[0].store(value as u32, Ordering::Relaxed);
    words[1].store((value >> 32) as u32, Ordering::Relaxed);
}

fn load(words: &[AtomicU32; 2]) -> u64 {
    u64::from(words[0].load(Ordering::Relaxed)) | u64::from(words[1].load(Ordering::Relaxed)) << 32
}

fn store_text(words: &[AtomicU32], text: &str) {
    for (word, bytes) in words.iter().zip(text.as_bytes().chunks(4)) {
        let mut four = [0; 4];
        four[..bytes.len()].copy_from_slice(bytes);
        word.store(u32::from_le_bytes(four), Ordering::Relaxed);
    }
}

fn load_text(words: &[AtomicU32]) -> String {
    let bytes: Vec<u8> =
        words.iter().flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes()).collect();
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// An object that is open and mapped.
pub(crate) struct Object {
    entry: Arc<Entry>,
    section: Section,
    len: usize,
    generation: u64,
    owner: Owner,
    leases: Leases,
    events: Events,
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Object").field("entry", &self.entry).finish_non_exhaustive()
    }
}

impl Object {
    /// An object that has no name yet.
    pub(crate) fn build(
        name: &ObjectName,
        len: usize,
        access: Access,
    ) -> Result<Object, RegionError> {
        Object::build_in(&Scope::ALL, name, len, access)
    }

    /// The same, if only some scopes are allowed to it.
    fn build_in(
        scopes: &[Scope],
        name: &ObjectName,
        len: usize,
        access: Access,
    ) -> Result<Object, RegionError> {
        let too_long = || no_space(name, len as u64, ERROR_INVALID_PARAMETER);
        let total = len.checked_add(HEADER_LEN).filter(|total| isize::try_from(*total).is_ok());
        let total = total.ok_or_else(too_long)?;
        let peer = match access {
            Access::Creator => None,
            Access::Group(number) => accounts::account_of(number),
        };
        let security = Arc::new(Security::new(&peer.as_deref().into_iter().collect::<Vec<_>>())?);
        let entry = Arc::new(Entry::make(name, &security, scopes)?);
        // Building is the costly part; `publish` is what decides.
        if entry.lock()?.object()?.is_some() || is_taken_elsewhere(name, entry.scope())? {
            return Err(RegionError::Exists { object: name.to_string() });
        }
        let (generation, handle) = loop {
            let generation = random();
            match Section::make(&entry.scope().bytes(generation), total, &security) {
                Ok(Made::New(handle)) => break (generation, handle),
                Ok(Made::Existing(_)) => {}
                Err(
                    error @ (ERROR_COMMITMENT_LIMIT
                    | ERROR_NOT_ENOUGH_MEMORY
                    | ERROR_OUTOFMEMORY
                    | ERROR_INVALID_PARAMETER),
                ) => return Err(no_space(name, len as u64, error)),
                Err(error) => return Err(failed("CreateFileMapping", name.as_str(), error)),
            }
        };
        let section = Section::map(handle, name.as_str())?;
        let header = header(&section);
        header.magic.store(MAGIC, Ordering::Relaxed);
        header.version.store(LAYOUT_VERSION, Ordering::Relaxed);
        store(&header.len, len as u64);
        store(&header.generation, generation);
        store_text(&header.accounts[0], accounts::user()?);
        store_text(&header.accounts[1], peer.as_deref().unwrap_or_default());
        Ok(Object::over(entry, section, len, generation, security))
    }

    /// The object of that name.
    pub(crate) fn open(name: &ObjectName) -> Result<Object, RegionError> {
        let entry = Arc::new(Entry::open(name)?);
        let (handle, generation) = {
            let locked = entry.lock()?;
            (locked.object()?, locked.current())
        };
        let handle = handle.ok_or_else(|| RegionError::NotFound { object: name.to_string() })?;
        let (section, len) = check(handle, name, generation)?;
        let made_for = header(&section).accounts.each_ref().map(|text| load_text(text));
        let security = Arc::new(Security::new(&made_for.each_ref().map(String::as_str))?);
        Ok(Object::over(entry, section, len, generation, security))
    }

    fn over(
        entry: Arc<Entry>,
        section: Section,
        len: usize,
        generation: u64,
        security: Arc<Security>,
    ) -> Object {
        let leases = Leases::new(Arc::clone(&entry), generation, Arc::clone(&security));
        let events = Events::new(entry.scope(), generation, security);
        let owner = owner_of(header(&section));
        Object { entry, section, len, generation, owner, leases, events }
    }

    /// Lets the name stand for the object, in one step.
    pub(crate) fn publish(&self) -> Result<(), RegionError> {
        let locked = self.entry.lock()?;
        if locked.object()?.is_some() {
            return Err(RegionError::Exists { object: self.entry.name().to_string() });
        }
        locked.set(self.generation);
        Ok(())
    }

    pub(crate) fn base(&self) -> NonNull<u8> {
        // SAFETY: `build` and `check` made sure that the section is longer than its header.
        unsafe { self.section.base().add(HEADER_LEN) }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn base_alignment(&self) -> usize {
        BASE_ALIGNMENT
    }

    pub(crate) fn owner(&self) -> Owner {
        self.owner
    }

    /// A section keeps its size.
    pub(crate) fn object_size(&self) -> Result<u64, RegionError> {
        Ok(self.len as u64)
    }

    pub(crate) fn unlink(&self) -> Result<(), RegionError> {
        let locked = self.entry.lock()?;
        if locked.current() == self.generation {
            locked.set(0);
        }
        Ok(())
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn leases(&self) -> &Leases {
        &self.leases
    }

    pub(crate) fn wait(
        &self,
        word: &AtomicU32,
        expected: u32,
        timeout: Option<Duration>,
    ) -> Result<Wait, RegionError> {
        let places = &header(&self.section).places;
        sleepers::wait(places, &self.events, word, self.offset_of(word), expected, timeout)
    }

    pub(crate) fn wake(&self, word: &AtomicU32, count: u32) {
        let places = &header(&self.section).places;
        sleepers::wake(places, &self.events, self.offset_of(word), count);
    }

    fn offset_of(&self, word: &AtomicU32) -> usize {
        (std::ptr::from_ref(word) as usize).wrapping_sub(self.base().as_ptr() as usize)
    }
}

fn header(section: &Section) -> &Header {
    // SAFETY: sections here are longer than a header, see `check`; views are aligned to 64 KiB; the
    // header is all AtomicU32, for which any bytes are valid.
    unsafe { &*section.base().as_ptr().cast::<Header>() }
}

/// Maps an object's section and looks whether it is one.
fn check(
    handle: OwnedHandle,
    name: &ObjectName,
    generation: u64,
) -> Result<(Section, usize), RegionError> {
    let not_ours = || RegionError::NotAnObject { object: name.to_string() };
    let section = Section::map(handle, name.as_str())?;
    if section.len() <= HEADER_LEN {
        return Err(not_ours());
    }
    let header = header(&section);
    let known = header.magic.load(Ordering::Relaxed) == MAGIC;
    let version = header.version.load(Ordering::Relaxed);
    if known && version != LAYOUT_VERSION {
        let object = name.to_string();
        return Err(RegionError::OtherLayout { object, found: version, expected: LAYOUT_VERSION });
    }
    let len = usize::try_from(load(&header.len)).unwrap_or(usize::MAX);
    let fits = len > 0 && len <= section.len() - HEADER_LEN;
    if !known || !fits || load(&header.generation) != generation {
        return Err(not_ours());
    }
    Ok((section, len))
}

/// What [`crate::ObjectInfo`] tells about the object that a name stands for: length and owner.
pub(crate) fn describe(
    handle: OwnedHandle,
    name: &ObjectName,
    generation: u64,
) -> Result<(u64, Owner), RegionError> {
    let (section, len) = check(handle, name, generation)?;
    Ok((len as u64, owner_of(header(&section))))
}

/// Accounts have numbers within this process; the mode says that others have no access.
fn owner_of(header: &Header) -> Owner {
    let number = accounts::number_of(&load_text(&header.accounts[0]));
    Owner { uid: number, gid: number, mode: 0o660 }
}

fn no_space(name: &ObjectName, wanted: u64, error: u32) -> RegionError {
    let (free, limit) = match memory_limits().tightest() {
        Some((free, limit)) => (Some(free), limit),
        None => (None, limits::SHM_LIMIT),
    };
    let (object, limit) = (name.to_string(), limit.to_owned());
    RegionError::NoSpace { object, wanted, free, limit, errno: error.cast_signed() }
}

/// A number unlike any other and not 0: the standard library seeds its hashers from the system's
/// randomness.
fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one((std::process::id(), std::time::SystemTime::now())).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::windows::section::Section;
    use crate::windows::{folder, handle};
    use crate::{Lease, LeaseRole};

    /// Who may not make a name for the machine makes it for the session. Catches: openers and lists that
    /// know one scope; a Create that looks for the name in its own alone; a lease or a lock of the other.
    #[test]
    fn either_scope_will_do() {
        for (made_in, other) in [(Scope::Global, Scope::Local), (Scope::Local, Scope::Global)] {
            let name = format!("t{}-scope-{made_in:?}", std::process::id());
            let name = ObjectName::new(&name).unwrap();
            let made = Object::build_in(&[made_in], &name, 100, Access::Creator).unwrap();
            made.publish().unwrap();
            assert_eq!(made.leases().take(LeaseRole::Creator).unwrap(), Lease::Taken);
            // Session 0 has one list for both.
            let apart = made_in.folder() != other.folder();
            for name in [made_in.bytes(made.generation()), made_in.entry(&name)] {
                assert!(Section::open(&name).is_ok());
            }
            for name in [other.bytes(made.generation()), other.entry(&name)] {
                let absent = Section::open(&name).is_err_and(handle::is_absent);
                assert_eq!(absent, apart);
            }
            let opened = Object::open(&name).unwrap();
            assert_eq!(opened.generation(), made.generation());
            assert!(opened.leases().held(LeaseRole::Creator).unwrap());
            let listed = folder::list(&|found| found == name.as_str()).unwrap();
            assert_eq!(listed.len(), 1, "{listed:?}");
            for scopes in [&Scope::ALL[..], &[other]] {
                let again = Object::build_in(scopes, &name, 100, Access::Creator);
                assert!(matches!(again, Err(RegionError::Exists { .. })), "{again:?}");
            }
            opened.unlink().unwrap();
            assert!(matches!(Object::open(&name), Err(RegionError::NotFound { .. })));
        }
    }

    /// Catches: a machine's name that only its session sees.
    #[test]
    fn a_new_name_is_the_machines_where_that_is_allowed() {
        let name = ObjectName::new(&format!("t{}-widest", std::process::id())).unwrap();
        let made = Object::build(&name, 100, Access::Creator).unwrap();
        assert_eq!(made.entry.scope(), Scope::Global);
    }
}
