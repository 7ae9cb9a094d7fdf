//! What every mechanism offers: a way in and a way out.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::{Arguments, Mechanism, iceoryx, ring, sockets};

/// The producer's end.
pub(crate) trait Sender {
    /// Hands over one buffer with a copy of `chunk`; waits while too many are in flight.
    fn send(&mut self, chunk: &[u64]) -> Result<()>;
}

/// The consumer's end.
pub(crate) trait Receiver {
    /// Waits for one buffer, and adds up its words.
    fn receive(&mut self) -> Result<u64>;
}

/// The wrapping sum of the words: the cheapest way to read every byte.
pub(crate) fn sum(words: &[u64]) -> u64 {
    words.iter().fold(0, |all, &word| all.wrapping_add(word))
}

/// The producer's end of a link through `folder`. The consumer makes its end at the same time.
pub(crate) fn sender(arguments: &Arguments, folder: &Path) -> Result<Box<dyn Sender>> {
    let Arguments { buffers, size, .. } = *arguments;
    Ok(match arguments.mechanism {
        Mechanism::Pipe => Box::new(sockets::pipe_in(folder)?),
        Mechanism::Unix => Box::new(sockets::unix_in(folder)?),
        Mechanism::Tcp => Box::new(sockets::tcp_in(folder)?),
        Mechanism::Interprocess => Box::new(sockets::interprocess_in(folder)?),
        Mechanism::IpcChannel => Box::new(sockets::ipc_channel_in(folder)?),
        Mechanism::SharedMemory => Box::new(ring::Ring::create(folder, buffers, size)?),
        Mechanism::IceoryxPolling => Box::new(iceoryx::sender(folder, (buffers, size), false)?),
        Mechanism::IceoryxBlocking => Box::new(iceoryx::sender(folder, (buffers, size), true)?),
        Mechanism::Crossbeam => bail!("crossbeam-channel has no way to another process"),
    })
}

/// The consumer's end.
pub(crate) fn receiver(arguments: &Arguments, folder: &Path) -> Result<Box<dyn Receiver>> {
    let Arguments { buffers, size, .. } = *arguments;
    Ok(match arguments.mechanism {
        Mechanism::Pipe => Box::new(sockets::pipe_out(folder, size)?),
        Mechanism::Unix => Box::new(sockets::unix_out(folder, size)?),
        Mechanism::Tcp => Box::new(sockets::tcp_out(folder, size)?),
        Mechanism::Interprocess => Box::new(sockets::interprocess_out(folder, size)?),
        Mechanism::IpcChannel => Box::new(sockets::ipc_channel_out(folder)?),
        Mechanism::SharedMemory => Box::new(ring::Ring::open(folder, buffers, size)?),
        Mechanism::IceoryxPolling => Box::new(iceoryx::receiver(folder, (buffers, size), false)?),
        Mechanism::IceoryxBlocking => Box::new(iceoryx::receiver(folder, (buffers, size), true)?),
        Mechanism::Crossbeam => bail!("crossbeam-channel has no way to another process"),
    })
}

/// Tries until the other side has come so far.
///
/// # Errors
///
/// The last of `attempt`, after ten seconds.
pub(crate) fn soon<T, E: Into<anyhow::Error>>(
    mut attempt: impl FnMut() -> Result<T, E>,
) -> Result<T> {
    let begun = Instant::now();
    loop {
        match attempt() {
            Ok(made) => return Ok(made),
            Err(error) if begun.elapsed() > Duration::from_secs(10) => return Err(error.into()),
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}
