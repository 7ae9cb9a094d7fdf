//! The conformance suite judges clients of which it is known what they do.

#![cfg(unix)]

mod broken;
mod catalogue;
mod guard;
mod input;
mod subject;
mod verdicts;
