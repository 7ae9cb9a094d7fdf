//! Other ways to move bytes between two processes, on the work that the interface is measured with.
//!
//! `vdisim-rivals MECHANISM stream|round-trip` is the producer and starts itself again as the consumer. Its first line
//! on standard output are the processes' ids; each line on its standard input is a number of buffers or round trips, and
//! is answered with the seconds that they took. Between two lines nothing runs, whatever the mechanism. It ends with its
//! input.
#![deny(unsafe_code)]

mod iceoryx;
mod link;
mod ring;
mod sides;
mod sockets;
mod threads;

use anyhow::Result;
use clap::{Parser, ValueEnum};

/// How bytes get to the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mechanism {
    /// A pipe of 1 MiB.
    Pipe,
    /// A stream socket of the Unix domain, with a send buffer of 4 MiB.
    Unix,
    /// TCP over the loopback device, without Nagle's delay.
    Tcp,
    /// A local socket of the `interprocess` crate.
    Interprocess,
    /// The bytes channel of the `ipc-channel` crate.
    IpcChannel,
    /// A plain ring in memory of the `shared_memory` crate, spinning for a while before it sleeps on a futex.
    SharedMemory,
    /// Publish and subscribe of `iceoryx2`, the subscriber asking in a loop.
    IceoryxPolling,
    /// The same, with an event that the subscriber sleeps on.
    IceoryxBlocking,
    /// Recycled buffers through channels of `crossbeam-channel`, to a thread of this process.
    Crossbeam,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Work {
    /// Buffers one way; the consumer adds up every word.
    Stream,
    /// 64 bytes there, and 64 bytes back (iceoryx-polling only).
    RoundTrip,
}

/// The producer, or with `--folder` the consumer.
#[derive(Debug, Clone, Parser)]
struct Arguments {
    /// How the bytes travel.
    mechanism: Mechanism,
    /// What is measured.
    work: Work,
    /// Buffers in flight, where the mechanism has such a thing.
    #[arg(long, default_value_t = 8)]
    buffers: usize,
    /// Bytes of a buffer.
    #[arg(long, default_value_t = 1 << 20)]
    size: usize,
    /// Bytes that the producer copies from.
    #[arg(long, default_value_t = 64 << 20)]
    source: usize,
    /// The producer's CPU and the consumer's.
    #[arg(long, num_args = 2, default_values_t = [0, 1])]
    cpus: Vec<usize>,
    /// Where the two sides find each other; whoever is given it is the consumer.
    #[arg(long, hide = true)]
    folder: Option<String>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match &arguments.folder {
        Some(folder) => sides::consume(&arguments, folder),
        None => sides::produce(&arguments),
    }
}
