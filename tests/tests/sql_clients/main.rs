//! Real SQL clients log in to `vdisim serve` and run BACKUP and RESTORE, which `vdisim client` serves.
//!
//! That progress arrives while a statement runs is shown with a VDI client that stops in the middle:
//! the statement cannot end, so what the SQL client has received by then, it received live. The
//! statement is then cancelled in the SQL client's way.

mod python;
mod server;
mod serving;
mod story;
mod tsql;
mod with_tiberius;
