//! A job object. What a member starts is a member, and all go when the job does.

use std::io;
use std::os::windows::io::AsRawHandle;
use std::process::{Child, Command, ExitStatus};

use win32job::{ExtendedLimitInfo, Job};

/// The job that a child is in; none for a child that ended before it could be put there.
#[derive(Debug)]
pub(super) struct Group(Option<Job>);

impl Group {
    /// A child is put into its job behind its start.
    pub(super) fn prepare(_: &mut Command) {}

    /// A job for that child.
    pub(super) fn of(child: &Child) -> io::Result<Group> {
        let job = Job::create_with_limit_info(ExtendedLimitInfo::new().limit_kill_on_job_close())
            .map_err(io::Error::other)?;
        let put = job.assign_process(child.as_raw_handle() as isize);
        Ok(Group(put.is_ok().then_some(job)))
    }

    /// Whether a process is left in it.
    pub(super) fn has_members(&self) -> bool {
        let members = self.0.as_ref().and_then(|job| job.query_process_id_list().ok());
        members.is_some_and(|members| !members.is_empty())
    }

    /// Kills everything in it.
    pub(super) fn kill(&mut self) {
        self.0 = None;
    }
}

/// The signal that a process died of: there are none here.
pub(crate) fn signal_of(_: ExitStatus) -> Option<i32> {
    None
}

/// What a process died of, if it did not end by itself: an exception, whose code it ends with.
pub(crate) fn crash_of(status: ExitStatus) -> Option<String> {
    const ERROR: u32 = 0xC000_0000;
    let code = status.code()?.cast_unsigned();
    (code & ERROR == ERROR).then(|| format!("exception {code:#010x}"))
}
