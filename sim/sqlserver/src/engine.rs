//! BACKUP and RESTORE themselves: from a database to streams of the Microsoft Tape Format, one a
//! device, and back.

mod arrival;
mod backup;
mod backup_files;
mod context;
mod device;
mod facts;
mod families;
mod family_sink;
mod family_stream;
mod inspect;
mod log_words;
mod media;
mod password;
mod placement;
mod placing;
mod restore;
mod set;
mod snapshot;
mod target;
mod whole;

pub(crate) use backup::backup;
pub(crate) use context::{Answer, Context};
pub(crate) use restore::restore;
