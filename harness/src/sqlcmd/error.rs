//! Why `sqlcmd` ends without having done what it was told.

use std::io;
use std::path::PathBuf;

use fake_sqlserver::catalogue::StoreError;
use tds_server::client::ClientError;

use super::options::OptionError;
use super::target::TargetError;
use crate::serve::data_folder::NoDataFolder;
use crate::serve::rendezvous::RendezvousError;

/// What `sqlcmd` cannot go on with. Errors that the server reports are no such thing.
#[derive(Debug, thiserror::Error)]
pub enum SqlcmdError {
    /// The command line makes no sense.
    #[error(transparent)]
    Options(#[from] OptionError),
    /// The server's name makes no sense.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// Windows credentials for another machine.
    #[error(
        "a trusted connection to another machine is not possible here; give a login with -U and -P."
    )]
    NoTrustedConnection,
    /// A login without its password, and nobody who could be asked for it.
    #[error(
        "login '{user}' needs a password, and there is no terminal to ask for it: give -P, or set \
         {variable}."
    )]
    NoPassword {
        /// The login.
        user: String,
        /// The environment variable that would do.
        variable: &'static str,
    },
    /// A certificate that should be checked.
    #[error(
        "the server's certificate cannot be checked, as there are no authorities to trust here; \
         give -C to trust it unchecked."
    )]
    CertificateUnchecked,
    /// A scripting variable that is not set.
    #[error("'{0}' scripting variable not defined.")]
    Variable(String),
    /// A scripting variable that tells how the session was opened.
    #[error("The scripting variable: '{0}' is read-only.")]
    ReadOnly(String),
    /// A line with a colon that is no command.
    #[error("Syntax error at line {line} near command '{command}' in file '{file}'.")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// What it says.
        command: String,
        /// The file, or `stdin`.
        file: String,
    },
    /// A file that cannot be read or written.
    #[error(
        "Error occurred while opening or operating on file {} (Reason: {}).",
        .path.display(),
        without_code(error).trim_end_matches('.')
    )]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Scripts that read each other.
    #[error("'{}': :r is nested deeper than {limit} files; does a script read itself?", .path.display())]
    Nesting {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: usize,
    },
    /// The server of the namespace cannot be looked for.
    #[error("{}", without_code(.0))]
    Rendezvous(#[from] RendezvousError),
    /// The namespace has no data folder.
    #[error("{}.", without_code(.0))]
    NoDataFolder(#[from] NoDataFolder),
    /// VDISIM_NAMESPACE or VDISIM_BACKEND makes no sense.
    #[error("{}.", without_code(.0))]
    Environment(#[from] vdi_device::Error),
    /// The databases of this machine cannot be used.
    #[error("{}.", without_code(.0))]
    Store(#[from] StoreError),
    /// The database to start in cannot be used.
    #[error("{0}")]
    Database(String),
    /// The network or the server at its other end.
    #[error("{}", without_code(.0))]
    Network(#[from] ClientError),
    /// The output cannot be written.
    #[error("the output cannot be written: {}.", without_code(.0).trim_end_matches('.'))]
    Output(io::Error),
}

/// An error's text without ` (os error 2)`, which Rust writes behind what the system says.
fn without_code(error: &impl ToString) -> String {
    let text = error.to_string();
    let Some((before, rest)) = text.split_once(" (os error ") else { return text };
    rest.split_once(')').map_or_else(|| text.clone(), |(_, after)| format!("{before}{after}"))
}

impl SqlcmdError {
    /// Whether the command line is to blame.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Options(_)
                | Self::Target(_)
                | Self::NoTrustedConnection
                | Self::NoPassword { .. }
                | Self::CertificateUnchecked
                | Self::Environment(_)
        )
    }

    /// Whether a line of a script is to blame, so that the next one may be better.
    pub(super) fn is_of_a_line(&self) -> bool {
        self.is_usage()
            || matches!(
                self,
                Self::Syntax { .. }
                    | Self::Variable(_)
                    | Self::ReadOnly(_)
                    | Self::File { .. }
                    | Self::Nesting { .. }
            )
    }

    /// Whether there is no server to talk to.
    pub fn is_environment(&self) -> bool {
        matches!(
            self,
            Self::Rendezvous(_) | Self::NoDataFolder(_) | Self::Store(_) | Self::Network(_)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches: Rust's words for what the system says.
    #[test]
    fn the_system_speaks_for_itself() {
        let error = io::Error::from_raw_os_error(2);
        let said = error.to_string();
        let system = said.split(" (os").next().unwrap();
        let reason = system.trim_end_matches('.');
        let file = SqlcmdError::File { path: "x.sql".into(), error };
        let head = "Error occurred while opening or operating on file x.sql";
        assert_eq!(file.to_string(), format!("{head} (Reason: {reason})."));
        let error = io::Error::from_raw_os_error(2);
        let network = ClientError::Unreachable { host: "h".to_owned(), port: 1, source: error };
        let said = SqlcmdError::Network(network).to_string();
        assert!(said.starts_with(&format!("h, port 1, cannot be reached ({system}); ")), "{said}");
    }
}
