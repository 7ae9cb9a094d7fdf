//! The in-process line: recycled buffers through channels, to a thread.

use std::thread;

use anyhow::{Context, Result};
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use crate::{Arguments, link, sides};

/// The producer's ends, and the consumer's sums. The thread ends with them.
pub(crate) struct Threads {
    full: Sender<Vec<u64>>,
    empty: Receiver<Vec<u64>>,
    sums: Receiver<u64>,
}

impl Threads {
    /// Starts the thread.
    pub(crate) fn start(arguments: &Arguments) -> Result<Threads> {
        let Arguments { buffers, size, ref cpus, .. } = *arguments;
        let ((full, filled), (emptied, empty)) = (bounded::<Vec<u64>>(buffers), bounded(buffers));
        let (summed, sums) = unbounded();
        for _ in 0..buffers {
            emptied.send(vec![0; size / 8])?;
        }
        let cpu = cpus[1];
        thread::spawn(move || {
            sides::pin(cpu)?;
            for buffer in filled {
                summed.send(link::sum(&buffer))?;
                // The producer may have ended with buffers under way.
                let _ = emptied.send(buffer);
            }
            anyhow::Ok(())
        });
        Ok(Threads { full, empty, sums })
    }

    /// Hands over one buffer.
    pub(crate) fn send(&mut self, chunk: &[u64]) -> Result<()> {
        let mut buffer = self.empty.recv().context("the thread ended")?;
        buffer.copy_from_slice(chunk);
        self.full.send(buffer).context("the thread ended")
    }

    /// The sum of the next `total` buffers.
    pub(crate) fn sum(&mut self, total: usize) -> Result<u64> {
        (0..total).try_fold(0u64, |all, _| Ok(all.wrapping_add(self.sums.recv()?)))
    }
}
