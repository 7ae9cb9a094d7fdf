//! How the engine comes to a statement's device set.

use std::sync::Arc;
use std::time::Duration;

use vdi_device::Environment;

use super::abort::AbortHandle;
use super::cause::TransferError;
use super::fault::FaultPlan;
use super::observer::Unobserved;
use super::session::Session;
use super::statement::Statement;

/// Finds the device set of a BACKUP or RESTORE that arrives as T-SQL. Whoever runs a server says
/// with it how long a set is waited for, which faults it meets and who observes the transfer.
pub trait Attach: Send + Sync {
    /// A session on the set that `statement` names.
    ///
    /// # Errors
    ///
    /// As those of [`Session::attach`].
    fn attach(
        &self,
        environment: &Environment,
        statement: Statement,
    ) -> Result<Session, TransferError>;

    /// Executes a BACKUP's or RESTORE's transfer in the engine's place, for whoever has to decide
    /// about every command that the device set sees; the engine's own stream is not sent or read
    /// then. `attend` wants to know what a cancel of the statement has to abort. `None` leaves the
    /// transfer to the engine.
    fn perform(
        &self,
        _environment: &Environment,
        _statement: &Statement,
        _attend: &dyn Fn(AbortHandle),
    ) -> Option<Result<(), TransferError>> {
        None
    }
}

/// As SQL Server does it: a set that is not there is an error at once, and nothing goes wrong on
/// purpose. Source: VDI, "Process Model" (the client creates the set before it sends the statement).
#[derive(Clone, Copy, Debug, Default)]
pub struct AtOnce;

impl Attach for AtOnce {
    fn attach(
        &self,
        environment: &Environment,
        statement: Statement,
    ) -> Result<Session, TransferError> {
        let statement = Statement { wait: Some(Duration::ZERO), ..statement };
        Session::attach(environment, statement, FaultPlan::default(), Arc::new(Unobserved))
    }
}
