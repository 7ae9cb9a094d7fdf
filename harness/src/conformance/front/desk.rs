//! The server of a case, as its client is told of it.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The only login of a case's server.
const USER: &str = "sa";

/// A database that every server has.
const DATABASE: &str = "pubs";

/// A server of a case: how to log in, and since it listens, where.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Desk {
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) database: String,
    /// None until it listens.
    pub(crate) address: Option<SocketAddr>,
}

impl Desk {
    /// A server with a password of its own: its port is open to every account of the machine.
    pub(crate) fn new() -> Desk {
        Desk {
            user: USER.to_owned(),
            // Capital, digit and punctuation, for clients that check what they are given.
            password: format!("Vdi.{}", Uuid::new_v4().simple()),
            database: DATABASE.to_owned(),
            address: None,
        }
    }

    /// What stands for a placeholder of the command line; the same goes into the environment.
    pub(crate) fn value(&self, name: &str) -> Option<String> {
        let address = self.address?;
        match name {
            // As SQL Server's own tools write it.
            "server" => Some(format!("{},{}", address.ip(), address.port())),
            "port" => Some(address.port().to_string()),
            "user" => Some(self.user.clone()),
            "password" => Some(self.password.clone()),
            "database" => Some(self.database.clone()),
            _ => None,
        }
    }

    /// What SQL Server's own tools look at, where the command line says nothing.
    pub(crate) fn for_tools(&self) -> Vec<(String, String)> {
        let names = ["server", "user", "password"];
        let variables = ["SQLCMD", "OSQL"].into_iter().flat_map(|tool| {
            names.iter().map(move |name| (format!("{tool}{}", name.to_uppercase()), *name))
        });
        variables.filter_map(|(variable, name)| Some((variable, self.value(name)?))).collect()
    }
}
