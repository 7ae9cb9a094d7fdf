//! The command-line clients of SQL Server: `sqlcmd`, and its forerunner `osql`.
//!
//! * [`Options`] is the command line of either.
//! * A script's lines are batches of T-SQL, separated by `GO`, and commands to the client itself
//!   (`:setvar`, `:r` …).
//! * A session is one on the `vdisim serve` of the namespace, one in this process over the
//!   namespace's data folder, or one on a server anywhere in the network.
//!
//! Source of the rules: SQL Server documentation, "sqlcmd utility" and "osql utility".

mod answer;
mod cancel;
mod directive;
mod error;
mod error_log;
mod interpreter;
mod layout;
mod local;
mod network;
mod options;
mod output;
mod predefined;
mod script;
mod session;
mod target;
mod usage;
mod variables;

pub use error::SqlcmdError;
pub use interpreter::run;
pub use layout::{Controls, Headings, Layout, Table};
pub use options::{Flavour, OptionError, Options, Query, Redirect};
pub use target::Target;
pub use usage::usage;
