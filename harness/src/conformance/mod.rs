//! The conformance suite: says of a VDI client whether it keeps the rules, and shows why.

pub mod results;
