//! Reports: what programs read of them, merging, and the page in a browser.

#[cfg(unix)]
mod browser;
mod files;
mod merging;
#[cfg(unix)]
mod page;
mod sample;
