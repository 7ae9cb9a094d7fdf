//! What the interface costs a client on this machine: `vdisim bench`.
//!
//! ```text
//! Sweep      every combination of operation, MAXTRANSFERSIZE, BUFFERCOUNT and devices: the cells
//! Bench      measures all cells round by round: a server half here, the client in a process of its
//!            own for each run; what the observer sees here and the drop-in sees there
//! Results    the numbers, by a published schema; made into a table, a page, a comparison
//! ```
//!
//! Measured is a stream of made-up bytes that the server half copies from memory: the interface's
//! ceiling with this client on this machine, not the speed of SQL Server.

mod baseline;
mod client;
mod compare;
mod display;
mod latencies;
mod live;
mod machine;
mod page;
mod results;
mod rounds;
mod run;
mod stream;
mod sweep;
mod usage;
mod watch;

pub use client::{MoverError, MoverPlan, move_stream};
pub use compare::{Difference, Metric, compare, strangers};
pub use display::{regressions, table};
pub use live::Live;
pub use page::page;
pub use results::{
    Baseline, BenchError, CellResult, Change, Comparison, DISCLAIMER, Latencies, Machine,
    MeasuringCost, Results, RunFigures, Spread, Stages, VERSION, Verdict, schema,
};
pub use rounds::{Bench, Contender, Listener};
pub use run::RunError;
pub use sweep::{Cell, Operation, Sweep, bytes, bytes_text};
