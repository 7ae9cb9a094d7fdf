//! What this machine's memory can do: one thread copying, as the server half does, but without an
//! interface around it.

use std::hint::black_box;
use std::time::Instant;

use super::stream::Pattern;

/// Bytes that a sample copies.
const SAMPLE: usize = 128 << 20;

/// Bytes a second from the stream's bytes into `buffers` private buffers in turn.
pub(crate) fn copy(pattern: &Pattern, size: usize, buffers: usize) -> f64 {
    // More buffers than a sample fills would be touched for the first time while it is timed.
    let mut pool = vec![1u8; size * buffers.min(SAMPLE / size).max(1)];
    let begun = Instant::now();
    let mut copied = 0;
    while copied < SAMPLE {
        for buffer in pool.chunks_exact_mut(size) {
            pattern.copy_to(copied as u64, buffer);
            copied += size;
        }
        black_box(&mut pool);
    }
    copied as f64 / begun.elapsed().as_secs_f64()
}
