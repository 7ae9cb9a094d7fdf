//! The conformance suite judges clients of which it is known what they do.

#![cfg(unix)]

mod broken;
mod catalogue;
mod faults;
mod guard;
mod implementation;
mod input;
mod subject;
mod verdicts;
