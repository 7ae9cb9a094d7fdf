//! `vdisim serve`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use vdi_device::Environment;
use vdi_protocol::Profile;

use super::output;
use crate::exit::Failure;
use crate::serve::stop::StopRequest;
use crate::serve::{DatabaseFile, Encryption, LoginPair, Running, ServeError, Settings, StreamLog};

/// Prints `listening on ADDRESS` once it listens, and serves until Ctrl-C or SIGTERM. The server's
/// error log goes to standard error.
#[derive(Args, Clone, Debug)]
pub(super) struct Arguments {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:1433")]
    listen: SocketAddr,
    /// A database with the pages of a real full backup, taken in at every start in the place of an
    /// older one; repeat it with the same name for each file of a stripe set
    #[arg(long = "database", value_name = "NAME=FILE")]
    databases: Vec<DatabaseFile>,
    /// Keep the databases in this folder [default: vdisim/NAMESPACE in XDG_DATA_HOME or
    /// ~/.local/share, where also `vdisim sql` finds them]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Keep the databases in memory; they are gone at the end
    #[arg(long, conflicts_with = "data")]
    in_memory: bool,
    /// A login with every right; may be repeated [default: sa, with a password made for this run]
    #[arg(long = "login", value_name = "USER:PASSWORD")]
    logins: Vec<LoginPair>,
    /// A login that is no sysadmin: it may look, and neither back up, restore nor create (262, 3110,
    /// 3265 for VIRTUAL_DEVICE); may be repeated
    #[arg(long = "public-login", value_name = "USER:PASSWORD")]
    public_logins: Vec<LoginPair>,
    /// TLS: none, as the client asks, or for every connection
    #[arg(long, value_enum, default_value_t = Tls::Auto)]
    tls: Tls,
    /// Write the certificate of this run to a file (PEM), for clients that check it
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Change N pages a second in every generated user database, and write the log of it; under the
    /// full recovery model the log grows until BACKUP LOG
    #[arg(long, value_name = "N", default_value_t = 0)]
    activity: u32,
    /// Which SQL Server to play: sql2008, sql2016, sql2019, sql2019-linux, sql2022, or default: sql2016
    /// that also restores newer servers' backups
    #[arg(long, value_name = "PROFILE", default_value = "default")]
    profile: Profile,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Tls {
    Off,
    Auto,
    Required,
}

pub(super) fn execute(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.certificate.is_some() && arguments.tls == Tls::Off {
        let text = "--certificate: with --tls off there is none; leave one of them out.";
        return Err(Failure::Usage(text.to_owned()));
    }
    let stop = StopRequest::expect().map_err(system_failed)?;
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .init();
    let environment =
        Environment::from_process().map_err(|error| Failure::Usage(format!("{error}.")))?;
    let running = Running::start(&settings(arguments), environment, Arc::new(StreamLog))?;
    if let (Some(path), Some(pem)) = (&arguments.certificate, running.certificate()) {
        std::fs::write(path, pem).map_err(|error| {
            let path = path.display();
            Failure::Usage(format!("the certificate {path} cannot be written: {error}."))
        })?;
    }
    let place = running.data().map_or_else(|| "memory".into(), |data| data.display().to_string());
    output::say(&format!("databases are in {place}"));
    if arguments.logins.is_empty() {
        let LoginPair { user, password } = running.login();
        output::say(&format!("log in as {user} with the password {password}"));
    }
    output::print(&format!("listening on {}", running.address()))?;
    stop.wait().map_err(system_failed)?;
    running.stop();
    Ok(())
}

fn settings(arguments: &Arguments) -> Settings {
    let arguments = arguments.clone();
    Settings {
        listen: arguments.listen,
        databases: arguments.databases,
        data: arguments.data,
        in_memory: arguments.in_memory,
        logins: arguments.logins,
        public_logins: arguments.public_logins,
        encryption: match arguments.tls {
            Tls::Off => Encryption::Off,
            Tls::Auto => Encryption::Auto,
            Tls::Required => Encryption::Required,
        },
        activity: arguments.activity,
        profile: arguments.profile,
    }
}

fn system_failed(error: std::io::Error) -> Failure {
    Failure::Environment(format!("signals cannot be waited for: {error}."))
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        match error {
            ServeError::Database { .. } => Failure::Failed(error.to_string()),
            _ => Failure::Environment(error.to_string()),
        }
    }
}
