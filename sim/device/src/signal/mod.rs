//! The lock-free parts: rings, doorbells and the completion board, generic over the atomic word so
//! that loom can check them.
//!
//! None of them knows how to sleep or what a message means. They publish, take and decide who must
//! be woken; the caller brings the futex.

mod board;
mod doorbell;
mod ring;
mod word;

pub use board::{Board, LANES_MAX};
pub use doorbell::Doorbell;
pub use ring::{Consumer, MESSAGE_WORDS, Message, Popped, Producer, Slot, first_stamp};
pub use word::Word;
