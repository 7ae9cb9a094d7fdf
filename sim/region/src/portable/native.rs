//! What a platform gets that has no module of its own: less, by the standard library alone.

// Such a platform's own backend is the portable one.
pub(crate) use std::thread::sleep as rest;

pub(crate) use super::{folder, object};

pub(crate) mod access {
    //! Access stays as it is: nothing is taken away, so nothing is witnessed.

    use crate::AccessFault;

    /// What would take access away, for error texts.
    pub(crate) const CALL: &str = "taking access away";

    /// No page of any platform is larger.
    pub(crate) fn page_size() -> usize {
        64 << 10
    }

    /// See [`crate::Region::set_access`]: ENOSYS of most systems.
    pub(crate) fn set(_place: *mut u8, _len: usize, _accessible: bool) -> Result<(), i32> {
        Err(78)
    }

    /// See [`crate::install_access_witness`].
    pub(crate) fn install(_witness: fn(&AccessFault)) {}
}

pub(crate) mod accounts {
    //! No access lists, so no accounts in them.

    use crate::RegionError;

    /// See [`crate::account`].
    pub(crate) fn find(_name: &str) -> Result<Option<u32>, RegionError> {
        Ok(None)
    }
}

pub(crate) mod fork {
    //! The process number tells parent and child apart.

    /// See [`crate::process_token`].
    #[inline]
    pub(crate) fn token() -> u32 {
        std::process::id()
    }
}

pub(crate) mod guard {
    //! No guard: a shortened object kills whoever touches what is gone.

    /// A mapping that is not watched.
    #[derive(Debug)]
    pub(crate) struct Watched;

    impl Watched {
        pub(crate) fn new(_base: usize, _len: usize) -> Watched {
            Watched
        }

        #[inline]
        pub(crate) fn is_truncated(&self) -> bool {
            false
        }
    }

    /// See [`crate::install_truncation_guard`].
    pub(crate) fn install() {}
}

pub(crate) mod identity {
    //! The process number alone.

    use crate::ProcessIdentity;

    /// See [`ProcessIdentity::current`].
    pub(crate) fn current() -> ProcessIdentity {
        ProcessIdentity { pid: std::process::id(), start_time: 0, pid_namespace: 0 }
    }
}

pub(crate) mod limits {
    //! Limits are met, not seen.

    use crate::MemoryLimits;

    /// The error number for "no room": ENOSPC of every Unix.
    pub(crate) const ENOSPC: i32 = 28;

    /// What bounds the objects, for a user.
    pub(crate) const SHM_LIMIT: &str = "the system";

    /// See [`crate::memory_limits`].
    pub(crate) fn memory_limits() -> MemoryLimits {
        MemoryLimits::default()
    }
}

pub(crate) mod death {
    //! The lease asked again and again.

    use std::sync::{Condvar, Mutex, PoisonError};
    use std::thread::JoinHandle;
    use std::time::Duration;

    use crate::{ProcessIdentity, RegionError};

    /// How often the lease is asked.
    const PROBE_INTERVAL: Duration = Duration::from_millis(50);

    /// Ends a wait from another thread.
    #[derive(Debug, Default)]
    pub(crate) struct Cancel {
        cancelled: Mutex<bool>,
        changed: Condvar,
    }

    impl Cancel {
        pub(crate) fn new() -> Result<Cancel, RegionError> {
            Ok(Cancel::default())
        }

        pub(crate) fn cancel(&self) {
            *self.cancelled.lock().unwrap_or_else(PoisonError::into_inner) = true;
            self.changed.notify_all();
        }
    }

    /// Why a wait ended.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Ended {
        /// The process is dead.
        Died,
        /// [`Cancel::cancel`] was called.
        Cancelled,
    }

    /// Starts a thread; signals are the platform's business.
    pub(crate) fn spawn_without_signals(
        name: &str,
        body: impl FnOnce() + Send + 'static,
    ) -> Result<JoinHandle<()>, RegionError> {
        std::thread::Builder::new().name(name.to_owned()).spawn(body).map_err(|error| {
            let errno = error.raw_os_error().unwrap_or(0);
            RegionError::Os { call: "the start of a thread", object: name.to_owned(), errno }
        })
    }

    /// See [`ProcessIdentity::is_alive`].
    pub(crate) fn is_alive(_peer: ProcessIdentity) -> Option<bool> {
        None
    }

    /// Sleeps until the peer's lease is gone or the wait is cancelled.
    pub(crate) fn await_end(
        _peer: ProcessIdentity,
        cancel: &Cancel,
        lease_held: &dyn Fn() -> bool,
    ) -> Ended {
        loop {
            if !lease_held() {
                return Ended::Died;
            }
            let cancelled = cancel.cancelled.lock().unwrap_or_else(PoisonError::into_inner);
            let (cancelled, _) = cancel
                .changed
                .wait_timeout_while(cancelled, PROBE_INTERVAL, |cancelled| !*cancelled)
                .unwrap_or_else(PoisonError::into_inner);
            if *cancelled {
                return Ended::Cancelled;
            }
        }
    }
}

pub(crate) mod transfer {
    //! Bytes between a region and a file by way of a private buffer: the standard library reads and
    //! writes slices, and there is none over a region.

    use std::fs::File;
    use std::io::{self, ErrorKind, Read, Write};

    use crate::SharedSlice;

    const CHUNK: usize = 64 << 10;

    /// Reads once into at most the first chunk of `target`.
    pub(crate) fn read(file: &File, target: SharedSlice<'_>, at: Option<u64>) -> io::Result<usize> {
        let mut chunk = vec![0; target.len().min(CHUNK)];
        let count = retry(|| match at {
            Some(at) => read_at(file, &mut chunk, at),
            None => { file }.read(&mut chunk),
        })?;
        target.copy_from(0, &chunk[..count]).map_err(io::Error::other)?;
        Ok(count)
    }

    /// Writes once from at most the first chunk of `source`.
    pub(crate) fn write(
        file: &File,
        source: SharedSlice<'_>,
        at: Option<u64>,
    ) -> io::Result<usize> {
        let mut chunk = vec![0; source.len().min(CHUNK)];
        source.copy_to(0, &mut chunk).map_err(io::Error::other)?;
        retry(|| match at {
            Some(at) => write_at(file, &chunk, at),
            None => { file }.write(&chunk),
        })
    }

    fn retry(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
        loop {
            match call() {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    #[cfg(unix)]
    use std::os::unix::fs::FileExt;
    #[cfg(windows)]
    use std::os::windows::fs::FileExt;

    #[cfg(unix)]
    fn read_at(file: &File, target: &mut [u8], at: u64) -> io::Result<usize> {
        file.read_at(target, at)
    }

    #[cfg(unix)]
    fn write_at(file: &File, source: &[u8], at: u64) -> io::Result<usize> {
        file.write_at(source, at)
    }

    #[cfg(windows)]
    fn read_at(file: &File, target: &mut [u8], at: u64) -> io::Result<usize> {
        file.seek_read(target, at)
    }

    #[cfg(windows)]
    fn write_at(file: &File, source: &[u8], at: u64) -> io::Result<usize> {
        file.seek_write(source, at)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, Write};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::death::{Cancel, Ended, await_end, spawn_without_signals};
    use crate::{Access, Backend, ObjectName, ProcessIdentity, Region};

    #[test]
    fn a_lost_lease_and_a_cancel_both_end_a_watch() {
        for (lose, cancel, ended) in [(true, false, Ended::Died), (false, true, Ended::Cancelled)] {
            let held = Arc::new(AtomicBool::new(true));
            let (probe, stop) = (Arc::clone(&held), Arc::new(Cancel::new().unwrap()));
            let seen = Arc::clone(&stop);
            let watch = spawn_without_signals("watch", move || {
                let held = || probe.load(Ordering::Acquire);
                assert_eq!(await_end(ProcessIdentity::default(), &seen, &held), ended);
            });
            held.store(!lose, Ordering::Release);
            if cancel {
                stop.cancel();
            }
            watch.unwrap().join().unwrap();
        }
    }

    /// Catches: an offset that is lost; a chunk that is counted whole.
    #[test]
    fn bytes_pass_through_the_private_buffer() {
        let name = ObjectName::new(&format!("t{}-native", std::process::id())).unwrap();
        let region =
            Region::create(Backend::Portable, &name, 200_000, Access::Creator, |_| Ok(())).unwrap();
        region.unlink().unwrap();
        let slice = region.slice(0, 200_000).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[7; 100_000]).unwrap();
        assert_eq!(super::transfer::read(&file, slice, Some(99_990)).unwrap(), 10);
        assert_eq!(super::transfer::read(&file, slice, Some(0)).unwrap(), 64 << 10);
        slice.copy_from(0, b"abc").unwrap();
        let start = slice.subslice(0, 3).unwrap();
        assert_eq!(super::transfer::write(&file, start, Some(1)).unwrap(), 3);
        file.rewind().unwrap();
        assert_eq!(super::transfer::write(&file, start, None).unwrap(), 3);
        let mut seen = [0; 5];
        file.rewind().unwrap();
        file.read_exact(&mut seen).unwrap();
        assert_eq!(&seen, b"abcc\x07");
    }
}
