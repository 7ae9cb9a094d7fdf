//! What the halves promise beside the state tables: names, limits, buffers, handles, threads, time.

mod buffers;
mod commands;
mod endings;
mod fixture;
mod names;
#[path = "../support/mod.rs"]
mod support;
