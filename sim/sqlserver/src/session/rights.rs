//! What a login may do that is no sysadmin: connect, look at the catalogue, and nothing that a
//! BACKUP or RESTORE needs. It has no user in any database, and no CREATE ANY DATABASE.
//!
//! Source: SQL Server's documentation, "BACKUP (Transact-SQL)" and "RESTORE Statements",
//! "Permissions".

use super::batch::Session;
use super::plan::{BackupPlan, RestorePlan};
use crate::messages::{Message, SeveralMessages};
use crate::sql::RestoreKind;

impl Session {
    /// # Errors
    ///
    /// 262 without the right to back up; a database that is not there is told of by BACKUP itself.
    pub(super) fn may_back_up(&self, verb: &str, plan: &BackupPlan) -> Result<(), SeveralMessages> {
        if self.login.is_sysadmin {
            return Ok(());
        }
        let catalogue = self.instance.catalogue()?;
        match catalogue.database(&plan.database) {
            Some(database) => Err(Message::new(262, &[&verb, &database.name]).into()),
            None => Ok(()),
        }
    }

    /// # Errors
    ///
    /// 3110 without the right to restore a database that is there, 262 without the one to create it,
    /// which RESTORE … ONLY wants too.
    pub(super) fn may_restore(&self, plan: &RestorePlan) -> Result<(), SeveralMessages> {
        if self.login.is_sysadmin {
            return Ok(());
        }
        if matches!(plan.kind, RestoreKind::Database | RestoreKind::Log) {
            let catalogue = self.instance.catalogue()?;
            if let Some(database) = catalogue.database(&plan.database) {
                return Err(Message::new(3110, &[&database.name]).into());
            }
        }
        Ok(self.may_create()?)
    }

    /// # Errors
    ///
    /// 262 without the right to create databases.
    pub(super) fn may_create(&self) -> Result<(), Message> {
        match self.login.is_sysadmin {
            true => Ok(()),
            false => Err(Message::new(262, &[&"CREATE DATABASE", &"master"])),
        }
    }
}
