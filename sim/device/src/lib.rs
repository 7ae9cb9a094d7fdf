//! A virtual device set over shared regions.
//!
//! | you are | look at |
//! |---|---|
//! | the client: a backup vendor's program | [`ClientSet`], [`ClientDevice`] |
//! | the server: what SQL Server does | [`ServerSet`], [`ServerDevice`], [`Buffer`] |
//! | a test of a process that it did not start | [`Rendezvous`], [`settings_left`] |
//! | cleaning up after the killed | [`leftovers`], [`clean`] |
//!
//! One control segment a set holds the state, the configuration, and for every device a ring of
//! commands and a ring of completions; buffers lie in segments of their own, made by the server and
//! mapped by every process when it first meets them. Commands and completions are copied out of the
//! rings, checked, and used as copies: a peer can lie, and then gets an error, and can be killed, and
//! then the set is aborted with the cause. Nothing is trusted, and nobody waits for the dead.

mod abort;
mod area;
mod buffer_fault;
mod client;
mod environment;
mod error;
mod fence;
mod handle;
mod layout;
mod leftovers;
mod lock;
mod names;
mod naming;
mod phase;
mod rendezvous;
mod sabotage;
mod segment;
mod server;
pub mod signal;
mod waiting;
mod wire;

pub use abort::{AbortCause, AbortKind};
pub use buffer_fault::{BufferFault, BufferHolder};
pub use client::{ClientCommand, ClientDevice, ClientSet, Event, MappedBuffer, Observer};
pub use environment::Environment;
pub use error::{Error, Reason, Timeout};
pub use fence::Fence;
pub use leftovers::{Cleaned, Leftover, SetInfo, clean, leftovers, live_sets};
pub use naming::{Namespace, encode_name};
pub use rendezvous::{Rendezvous, settings_left};
pub use sabotage::{CREATE_FAULT, Sabotage};
pub use server::{Buffer, Completed, CompletionRoutine, Driver, Request, ServerDevice, ServerSet};

/// Commands of one device that can be open at once.
pub const MAX_OUTSTANDING: usize = layout::RING_LEN;
