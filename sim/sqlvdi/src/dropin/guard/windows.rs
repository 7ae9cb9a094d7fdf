//! The modules of a Windows process, and its error output.

use std::ptr;

use windows_sys::Win32::Foundation::HMODULE;
use windows_sys::Win32::Storage::FileSystem::WriteFile;
use windows_sys::Win32::System::Console::{GetStdHandle, STD_ERROR_HANDLE};
use windows_sys::Win32::System::LibraryLoader::GetModuleFileNameW;
use windows_sys::Win32::System::ProcessStatus::{
    K32EnumProcessModules, K32GetModuleInformation, MODULEINFO,
};
use windows_sys::Win32::System::Threading::GetCurrentProcess;

use super::Module;

/// More than any client loads; of one that loads more, the first.
const MOST: usize = 1024;

/// The program and its DLLs.
pub(super) fn modules() -> Vec<Module> {
    let mut handles: Vec<HMODULE> = vec![ptr::null_mut(); MOST];
    let (room, mut needed) = ((MOST * size_of::<HMODULE>()) as u32, 0);
    // SAFETY: room for as many handles as are announced, and a place for a number.
    let done = unsafe {
        K32EnumProcessModules(GetCurrentProcess(), handles.as_mut_ptr(), room, &mut needed)
    };
    handles.truncate(if done == 0 { 0 } else { needed as usize / size_of::<HMODULE>() });
    handles.into_iter().filter_map(module).collect()
}

fn module(handle: HMODULE) -> Option<Module> {
    let (mut about, mut name) = (MODULEINFO::default(), [0; 1024]);
    // SAFETY: the structure and the name have the sizes given; a handle of a module that is gone is an
    // error.
    let (done, length) = unsafe {
        let size = size_of_val(&about) as u32;
        (
            K32GetModuleInformation(GetCurrentProcess(), handle, &mut about, size),
            GetModuleFileNameW(handle, name.as_mut_ptr(), name.len() as u32),
        )
    };
    let begin = about.lpBaseOfDll.addr();
    // It stands between quotation marks in a trace.
    let path = String::from_utf16_lossy(name.get(..length as usize)?).replace('\\', "/");
    let end = begin + about.SizeOfImage as usize;
    (done != 0).then_some(Module { begin, end, base: begin, path })
}

/// One call, which takes nothing that the interrupted code may hold.
pub(super) fn write_to_stderr(bytes: &[u8]) {
    let mut written = 0;
    // SAFETY: the bytes are the caller's own; the call is not asynchronous. A client without an error
    // output does not hear us.
    unsafe {
        let output = GetStdHandle(STD_ERROR_HANDLE);
        WriteFile(output, bytes.as_ptr(), bytes.len() as u32, &mut written, ptr::null_mut());
    }
}
