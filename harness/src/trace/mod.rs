//! Traces: what happened between a server and a client, as JSON lines.
//!
//! Each line has `version`, `time` (microseconds since 1970, when it was written) and `pid`. A line
//! of a call of the interface has besides `thread`, `took` (microseconds), `object`, `call`,
//! `arguments` and `result`; any other line has `event` and `details`:
//!
//! | event | details | written by |
//! |---|---|---|
//! | `process` | `role`, `program` | both, at first |
//! | `attached` | `set`, `devices`, `asked` | the server |
//! | `configured` | `features`, `blockSize`, `alignment`, `maxTransferSize`, `bufferCount` | the server |
//! | `opened`; `closed` | –; `device` | the server |
//! | `sent` | `device`, `n`, `command`, `size`, `position` | the server |
//! | `completed` | the same without `size`, and `code`, `bytes`, `took` | the server |
//! | `fault` | `device`, `n`, `action` | the server |
//! | `failed` | `cause` | the server |
//! | `aborted`, `server-died`, `segment-unmappable`, `completed-for-client`, `command-changed` | | the drop-in |
//! | `ended` | – | both, at last; a process without it was killed, or still runs |
//!
//! Server and drop-in may write to one file: a line is one write to a file opened for appending, so
//! that nothing is lost when a process is killed. Devices count from 0, commands of a device from 1.

mod diff;
mod record;
mod recorder;
mod replay;
mod sequence;
mod show;

pub use diff::{Difference, diff};
pub use record::{Record, TraceError, VERSION, What, read};
pub use recorder::Trace;
pub use replay::{Recording, RecordingError, ReplaySink, ReplaySource, SentCommand};
pub use sequence::{Kind, Process, Sequence, Step};
pub use show::show;
