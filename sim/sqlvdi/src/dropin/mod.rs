//! The shared library that a client is linked with on Linux, and that COM loads on Windows.
//!
//! `exports` has the C++ symbols, `com` the COM classes; they are the only parts that believe a
//! pointer of the client. They hand over to [`set`] and [`device`], which add to `vdi-device` what the interface of the library
//! has beyond it: memory for commands, time-outs in the client's unit, messages and the trace.
//!
//! Two rules hold for everything here. No panic leaves the library: each export catches it and
//! returns VD_E_UNEXPECTED. And GetCommand, CompleteCommand, GetBufferHandle and MapBufferHandle
//! neither allocate nor lock nor look at the clock or the environment on their way to `vdi-device`,
//! unless they are recorded (`trace`, `times`).

#[cfg(windows)]
pub(crate) mod com;
#[cfg_attr(windows, allow(dead_code, reason = "the C++ classes use more of it"))]
mod device;
#[cfg(target_os = "linux")]
mod exports;
mod guard;
mod messages;
#[cfg(target_os = "linux")]
mod operator_new;
#[cfg_attr(windows, allow(dead_code, reason = "the C++ classes use more of it"))]
mod set;
#[cfg_attr(windows, allow(dead_code, reason = "the C++ classes use more of it"))]
mod time_out;
mod times;
mod trace;
