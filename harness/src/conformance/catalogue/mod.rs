//! The catalogue: every rule, with how it is tried.

mod buffers;
mod commands;
mod devices;
mod ending;
mod interface;
mod modes;
mod reads;
mod round_trips;
mod scripts;
mod server;
mod setup;
mod sql;
mod version;
mod writes;

use super::case::Case;

pub use version::{UnknownVersion, pinned};

/// The catalogue's version: it grows with every rule that is added or tightened.
pub const VERSION: u32 = 1;

/// Every case, in the order of the reports.
pub fn all() -> Vec<Case> {
    [
        setup::cases(),
        commands::cases(),
        writes::cases(),
        reads::cases(),
        ending::cases(),
        buffers::cases(),
        sql::cases(),
        devices::cases(),
        modes::cases(),
        interface::cases(),
        server::cases(),
        round_trips::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
