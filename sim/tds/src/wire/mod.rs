//! The bytes of TDS: decoders of what a client sends and encoders of what a server sends. No I/O.
//!
//! A decoder takes a whole message or one packet header, believes nothing of it, and allocates no more than a small
//! multiple of what it was given.

pub mod collation;
pub mod cursor;
pub mod data;
mod error;
pub mod login;
pub mod packet;
pub mod parameter;
pub mod prelogin;
pub mod request;
pub mod rpc;
pub mod token;

pub use error::Malformed;
