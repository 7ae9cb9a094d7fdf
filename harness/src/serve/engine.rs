//! The fake SQL Server as what executes T-SQL for a TDS server.

use std::net::SocketAddr;
use std::sync::Arc;

use fake_sqlserver::messages::{LogEntry, Message};
use fake_sqlserver::session::{Instance, Login};
use tds_server as tds;

use super::answer::message;
use super::connection::Connection;

/// The instance that every connection's session belongs to.
#[derive(Debug)]
pub(super) struct Engine {
    pub(super) instance: Arc<Instance>,
}

impl Engine {
    fn log(&self, number: u32, state: u8, text: String) {
        let severity = 14;
        self.instance.error_log.write(LogEntry {
            time: jiff::Zoned::now().datetime(),
            source: "Logon".to_owned(),
            message: Message::user(number, severity, state, text),
        });
    }
}

impl tds::Engine for Engine {
    fn log_in(&self, client: &tds::Client) -> Result<Box<dyn tds::Session>, Vec<tds::Message>> {
        let login = Login {
            name: client.user.clone(),
            host: client.host.clone(),
            program: client.application.clone(),
            is_sysadmin: client.sysadmin,
        };
        let database = client.database.clone();
        match Connection::open(&self.instance, login, client.spid, database) {
            Ok(connection) => Ok(Box::new(connection)),
            Err(refused) => {
                let (user, ip) = (&client.user, client.address.ip());
                let reason = format!("Failed to open the database '{}'.", client.database);
                let text =
                    format!("Login failed for user '{user}'. Reason: {reason} [CLIENT: {ip}]");
                self.log(18456, 38, text);
                Err(refused.0.iter().map(message).collect())
            }
        }
    }

    fn login_refused(&self, user: &str, address: SocketAddr) {
        let text = format!(
            "Login failed for user '{user}'. Reason: There is no such login, or the password does \
             not match. [CLIENT: {}]",
            address.ip()
        );
        self.log(18456, 8, text);
    }
}
