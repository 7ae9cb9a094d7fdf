//! One BACKUP or RESTORE over one device set.
//!
//! ```text
//! Session::attach   wait for the client's set, look at what it asks for
//! Session::backup   configure, open the devices, a thread a device sends Writes from its Source,
//!                   then Flush to all, Complete to all if negotiated, CloseDevice to all
//! Session::restore  the same with Reads into a Sink
//! ```
//!
//! A device's thread keeps several commands in flight and takes completions in any order. When it
//! has to wait it runs the completion agent's loop itself, so that no third thread stands in the
//! way of the data. Source: VDI, "Process Model", "Active", "Normal Termination".

mod abort;
mod attach;
mod backup;
mod cause;
mod expected;
mod fault;
mod flight;
mod kill;
mod lane;
mod objects;
mod observer;
mod preset;
mod restore;
mod session;
mod sink;
mod source;
mod statement;

pub use abort::AbortHandle;
pub use attach::{AtOnce, Attach};
pub use cause::{Cause, Fate, PendingCommand, TransferError};
pub use expected::{Expected, ExpectedFile, SeededBytes};
pub use fault::{
    Account, Action, At, DropInFault, Fault, FaultError, FaultPlan, Nth, Random, Stage,
};
pub use kill::kill_this_process;
pub use observer::{Event, Observer, Unobserved};
pub use preset::{PRESETS, Preset};
pub use session::{Session, Summary};
pub use sink::{Ask, CompareSink, DigestSink, FileSink, Sink, SinkError};
pub use source::{FileSource, SeededSource, Source, SourceError, Step};
pub use statement::{SetName, Statement, StatementError};
