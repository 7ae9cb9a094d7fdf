//! The atomic 32-bit word that the lock-free parts are generic over.

use std::sync::atomic::{AtomicU32, Ordering, fence};

/// A 32-bit atomic: the real one in a segment, loom's in a model.
///
/// loom's atomics are larger than four bytes and cannot lie in a mapped region; that is why the
/// algorithms are generic instead of importing from a façade module.
pub trait Word: Send + Sync {
    /// Reads the word.
    fn load(&self, order: Ordering) -> u32;
    /// Writes the word.
    fn store(&self, value: u32, order: Ordering);
    /// Writes the word and returns what it held.
    fn swap(&self, value: u32, order: Ordering) -> u32;
    /// Sets bits and returns what the word held.
    fn fetch_or(&self, bits: u32, order: Ordering) -> u32;
    /// Adds with wrap-around and returns what the word held.
    fn fetch_add(&self, value: u32, order: Ordering) -> u32;
    /// A sequentially consistent fence of the same memory model as the word.
    fn fence();
}

impl Word for AtomicU32 {
    fn load(&self, order: Ordering) -> u32 {
        self.load(order)
    }

    fn store(&self, value: u32, order: Ordering) {
        self.store(value, order);
    }

    fn swap(&self, value: u32, order: Ordering) -> u32 {
        self.swap(value, order)
    }

    fn fetch_or(&self, bits: u32, order: Ordering) -> u32 {
        self.fetch_or(bits, order)
    }

    fn fetch_add(&self, value: u32, order: Ordering) -> u32 {
        self.fetch_add(value, order)
    }

    fn fence() {
        fence(Ordering::SeqCst);
    }
}
