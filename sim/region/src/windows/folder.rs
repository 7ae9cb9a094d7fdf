//! All objects: listing, clean-up, waiting for one to come.

use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr::null_mut;
use std::time::{Duration, Instant};

use windows_sys::Wdk::Foundation::OBJECT_ATTRIBUTES;
use windows_sys::Wdk::Storage::FileSystem::{NtOpenDirectoryObject, NtQueryDirectoryObject};
use windows_sys::Win32::Foundation::{RtlNtStatusToDosError, UNICODE_STRING};

use super::accounts;
use super::entry::Entry;
use super::handle::failed;
use super::names::{Scope, from_kernel, wide};
use super::object::{Object, describe};
use super::rest;
use crate::{Lease, LeaseRole, ObjectInfo, ObjectName, Owner, RegionError, Removed};

/// How long to sleep between two looks: the kernel gives no notice of a name.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The right to list a folder of the kernel's.
const DIRECTORY_QUERY: u32 = 1;

/// The objects whose names `matches` accepts, in no order.
pub(crate) fn list(matches: &dyn Fn(&str) -> bool) -> Result<Vec<ObjectInfo>, RegionError> {
    let mut names = sections(&Scope::Global.folder())?;
    if Scope::Local.folder() != Scope::Global.folder() {
        names.extend(sections(&Scope::Local.folder())?);
    }
    names.retain(|name| matches(name));
    names.sort();
    names.dedup();
    let names = names.iter().filter_map(|name| ObjectName::new(name).ok());
    // What cannot be opened is gone, or no name of ours.
    Ok(names.filter_map(|name| about(&name).ok()).collect())
}

/// What there is to know about an object; of one that denies access, that it is there.
fn about(name: &ObjectName) -> Result<ObjectInfo, RegionError> {
    match examine(name) {
        Err(RegionError::Denied { .. }) => {
            let uid = accounts::number_of("");
            Ok(ObjectInfo { name: name.clone(), len: 0, uid, gid: uid, mode: 0, inode: 0 })
        }
        examined => examined,
    }
}

fn examine(name: &ObjectName) -> Result<ObjectInfo, RegionError> {
    let entry = Entry::open(name)?;
    let (handle, generation) = {
        let locked = entry.lock()?;
        (locked.object()?, locked.current())
    };
    let handle = handle.ok_or_else(|| RegionError::NotFound { object: name.to_string() })?;
    let (len, Owner { uid, gid, mode }) = describe(handle, name, generation)?;
    Ok(ObjectInfo { name: name.clone(), len, uid, gid, mode, inode: generation })
}

/// See [`crate::remove_leftover`].
pub(crate) fn remove_leftover(info: &ObjectInfo) -> Result<Removed, RegionError> {
    let object = match Object::open(&info.name) {
        Ok(object) => object,
        Err(RegionError::NotFound { .. } | RegionError::NotAnObject { .. }) => {
            return Ok(Removed::Gone);
        }
        Err(error) => return Err(error),
    };
    if object.generation() != info.inode {
        return Ok(Removed::Gone);
    }
    match object.leases().take(LeaseRole::Creator)? {
        Lease::HeldByAnother => Ok(Removed::InUse),
        // The lease is held until `object` goes, behind the removal.
        Lease::Taken => object.unlink().map(|()| Removed::Removed),
    }
}

/// See [`crate::wait_for_object`].
pub(crate) fn wait_for(
    matches: &dyn Fn(&str) -> bool,
    deadline: Option<Instant>,
) -> Result<Option<ObjectName>, RegionError> {
    loop {
        if let Some(name) = list(matches)?.into_iter().map(|info| info.name).min() {
            return Ok(Some(name));
        }
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Ok(None);
        }
        rest(left.map_or(LOOK_AGAIN, |left| left.min(LOOK_AGAIN)));
    }
}

/// The names of all sections in a folder of the kernel's, as we spell them. Text that is no UTF-16 is
/// no name of ours.
fn sections(folder: &str) -> Result<Vec<String>, RegionError> {
    let directory = open_directory(folder)?;
    let mut names = Vec::new();
    // Of 8-byte units, so that it is aligned for the structures that the call puts there.
    let mut buffer = vec![0_u64; 2048];
    let (mut context, mut first) = (0, true);
    loop {
        let mut len = 0;
        // SAFETY: the buffer has the length given; the handle is one of a directory.
        let status = unsafe {
            NtQueryDirectoryObject(
                directory.as_raw_handle(),
                buffer.as_mut_ptr().cast(),
                size_of_val(buffer.as_slice()) as u32,
                true,
                first,
                &mut context,
                &mut len,
            )
        };
        // STATUS_NO_MORE_ENTRIES, or one that fits no buffer and is none of ours.
        if status != 0 {
            return Ok(names);
        }
        first = false;
        // SAFETY: the call succeeded and put one structure at the start of the buffer.
        let found = unsafe { &*buffer.as_ptr().cast::<DirectoryInformation>() };
        if text_of(&found.kind) == Some("Section".to_owned())
            && let Some(name) = text_of(&found.name)
        {
            names.push(from_kernel(&name));
        }
    }
}

/// `OBJECT_DIRECTORY_INFORMATION` of the Windows Driver Kit.
#[repr(C)]
struct DirectoryInformation {
    name: UNICODE_STRING,
    kind: UNICODE_STRING,
}

fn text_of(text: &UNICODE_STRING) -> Option<String> {
    let units = (0..usize::from(text.Length) / 2).map(|at| {
        // SAFETY: the system says that `Length` bytes are there, in the buffer that it filled.
        unsafe { text.Buffer.add(at).read_unaligned() }
    });
    char::decode_utf16(units).collect::<Result<String, _>>().ok()
}

fn open_directory(folder: &str) -> Result<OwnedHandle, RegionError> {
    let mut path = wide(folder);
    let bytes = u16::try_from((path.len() - 1) * 2).expect("the folders' names are short");
    let name = UNICODE_STRING { Length: bytes, MaximumLength: bytes, Buffer: path.as_mut_ptr() };
    let attributes = OBJECT_ATTRIBUTES {
        Length: size_of::<OBJECT_ATTRIBUTES>() as u32,
        RootDirectory: null_mut(),
        ObjectName: &name,
        Attributes: 0,
        SecurityDescriptor: null_mut(),
        SecurityQualityOfService: null_mut(),
    };
    let mut handle = null_mut();
    // SAFETY: the attributes and what they point to live through the call; `handle` is where it
    // stores one.
    let status = unsafe { NtOpenDirectoryObject(&mut handle, DIRECTORY_QUERY, &attributes) };
    if status != 0 {
        // SAFETY: the call has no preconditions.
        let error = unsafe { RtlNtStatusToDosError(status) };
        return Err(failed("NtOpenDirectoryObject", folder, error));
    }
    // SAFETY: just opened, ours alone.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}
