//! Ratios of the interface against bare baselines, measured interleaved.
//!
//! [`measures`] says what is measured and what it should reach, [`runner`] how, [`bare`] and [`rivals`] against what. The
//! `ratios` program runs it all; the criterion suites in `benches/` answer a person's question of the day.
#![deny(unsafe_code)]

pub mod bare;
mod client;
pub mod load;
pub mod measures;
pub mod process;
mod relay;
pub mod report;
pub mod results;
pub mod rivals;
pub mod runner;
pub mod source;
pub mod subject;
pub mod sweep;
