//! The conformance suite judges clients of which it is known what they do.

#![cfg(unix)]

mod agents;
mod broken;
mod catalogue;
mod faults;
mod fronts;
mod guard;
mod implementation;
mod input;
mod subject;
mod verdicts;
