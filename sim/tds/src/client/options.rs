//! What a client wants.

use std::{fmt, time::Duration};

/// What a client wants encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Privacy {
    /// The login if the server can, everything if the server insists.
    #[default]
    AsServer,
    /// Everything, or no connection.
    Everything,
}

/// Where to log in, and as whom. `Debug` hides the password.
#[derive(Clone)]
pub struct Options {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Named instance, or empty. The server hears of it; the port is not looked up.
    pub instance: String,
    /// Login.
    pub user: String,
    /// Its password.
    pub password: String,
    /// Database to start in; empty for the login's default.
    pub database: String,
    /// What this machine calls itself.
    pub workstation: String,
    /// What this program calls itself.
    pub application: String,
    /// Packet size to ask for, in bytes, 512 to 32,767.
    pub packet_bytes: u16,
    /// What to encrypt.
    pub privacy: Privacy,
    /// The longest that connecting and logging in may take together.
    pub login_time: Duration,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("instance", &self.instance)
            .field("user", &self.user)
            .field("database", &self.database)
            .field("privacy", &self.privacy)
            .finish_non_exhaustive()
    }
}
