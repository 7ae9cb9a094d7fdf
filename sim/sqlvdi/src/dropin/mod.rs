//! The shared library that a C++ client is linked with on Linux.
//!
//! [`exports`] has the C++ symbols and is the only part that believes a pointer of the client; it
//! hands over to [`set`] and [`device`], which add to `vdi-device` what the interface of the library
//! has beyond it: memory for commands, time-outs in the client's unit, messages and the trace.
//!
//! Two rules hold for everything here. No panic leaves the library: each export catches it and
//! returns VD_E_UNEXPECTED. And GetCommand, CompleteCommand, GetBufferHandle and MapBufferHandle
//! neither allocate nor lock nor look at the clock or the environment on their way to `vdi-device`.

mod device;
mod exports;
mod messages;
mod operator_new;
mod set;
mod time_out;
mod trace;
