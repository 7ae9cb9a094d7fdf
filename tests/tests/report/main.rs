//! Reports: what programs read of them, merging, and the page in a browser.

mod browser;
mod files;
mod merging;
mod page;
mod sample;
