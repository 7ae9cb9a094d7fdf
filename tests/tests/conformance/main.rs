//! The conformance suite judges clients of which it is known what they do.

#![cfg(unix)]

mod agents;
mod broken;
mod catalogue;
mod fronts;
mod input;
mod subject;
mod verdicts;
