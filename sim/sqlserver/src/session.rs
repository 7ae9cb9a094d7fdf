//! Sessions: batches of T-SQL executed against the catalogue, with replies as they come.

mod backup_statement;
mod batch;
mod call;
mod cancel;
mod clock;
mod dates;
mod evaluate;
mod functions;
mod history_views;
mod instance;
mod plan;
mod procedures;
mod query;
mod reply;
mod rights;
mod scope;
mod statements;
mod texts;
mod views;

pub use batch::{Parameter, Session};
pub use call::{Argument, Called};
pub use cancel::CancelToken;
pub use instance::{Instance, Login};
pub use plan::{
    BackupPlan, DevicePlan, Overwrite, RestorePlan, Retention, SequenceEnd, TransferPlan,
};
pub use reply::{Client, Column, Command, Done, Gone, Reply, TextClient, TransactionStep};

pub(crate) use clock::now;
