//! A blocking client: logs in, sends batches, tells what the server answers while it answers, cancels.
//!
//! It is what `sqlcmd` needs and no more: messages of every class as they come, result sets, an attention from another
//! thread. Parameters, transactions and procedures belong to T-SQL here.

mod connection;
mod error;
mod options;
mod secure;
mod tokens;

pub use connection::{Attention, Connection};
pub use error::ClientError;
pub use options::{Options, Privacy};
pub use tokens::{Event, count_tokens};
