//! A server from its start to its end.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fake_sqlserver::catalogue::StoreError;
use fake_sqlserver::messages::{ErrorLog, SeveralMessages};
use fake_sqlserver::session::Instance;
use fake_sqlserver::transfer::{AtOnce, Attach};
use tds_server::{Accounts, Config, ServerHandle};
use uuid::Uuid;
use vdi_device::Environment;

use super::activity::Activity;
use super::data_folder::{NoDataFolder, data_folder};
use super::engine::Engine;
use super::rendezvous::{Announcement, Rendezvous, RendezvousError, take_place};
use super::settings::{DatabaseFile, LoginPair, Settings};
use crate::instance;

/// The login if none is given.
const DEFAULT_LOGIN: &str = "sa";

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// There is no place for data.
    #[error("{0}.")]
    NoDataFolder(#[from] NoDataFolder),
    /// It cannot be announced.
    #[error(transparent)]
    Rendezvous(#[from] RendezvousError),
    /// The data folder cannot be used.
    #[error("{0}.")]
    Store(#[from] StoreError),
    /// The network.
    #[error("{0}.")]
    Network(#[from] tds_server::ServerError),
    /// A backup that is no database.
    #[error("the database {name} cannot be made from its backup: {said}")]
    Database {
        /// The database.
        name: String,
        /// What RESTORE says.
        said: SeveralMessages,
    },
    /// The system gives no thread.
    #[error("cannot start a thread ({0}): raise the limit on processes.")]
    Thread(std::io::Error),
}

/// A running server. Dropping it ends it: connections are closed, which aborts what they run.
#[derive(Debug)]
pub struct Running {
    // In the order in which they end.
    announcement: Announcement,
    activity: Option<Activity>,
    network: ServerHandle,
    certificate: Option<String>,
    data: Option<PathBuf>,
    login: LoginPair,
}

impl Running {
    /// Starts a server of this process. `environment` says where it finds device sets.
    ///
    /// # Errors
    ///
    /// The data folder, the port, or a database cannot be had, or another server of the namespace
    /// runs.
    pub fn start(
        settings: &Settings,
        environment: Environment,
        error_log: Arc<dyn ErrorLog>,
    ) -> Result<Running, ServeError> {
        Running::start_with(settings, environment, error_log, Arc::new(AtOnce))
    }

    /// The same; `attach` says how its statements come to their device sets.
    ///
    /// # Errors
    ///
    /// As those of [`Running::start`].
    pub fn start_with(
        settings: &Settings,
        environment: Environment,
        error_log: Arc<dyn ErrorLog>,
        attach: Arc<dyn Attach>,
    ) -> Result<Running, ServeError> {
        let folder = data_folder(&environment.namespace)?;
        let place = take_place(&folder)?;
        let data = match &settings.data {
            Some(data) => std::path::absolute(data).unwrap_or_else(|_| data.clone()),
            None => folder,
        };
        let login = first_login(settings);
        let network = tds_server::Server::bind(config(settings, &login))?;
        // A client that cuts a shared object short must not end the server.
        vdi_region::install_truncation_guard();
        let profile = settings.profile;
        let mut instance = match settings.in_memory {
            true => instance::in_memory(environment, &data, profile, error_log),
            false => instance::open(environment, &data, profile, error_log)?,
        };
        instance.attach = attach;
        let instance = Arc::new(instance);
        let data = Some(data).filter(|_| !settings.in_memory);
        take_in(&instance, &settings.databases)?;
        let activity = match settings.activity {
            0 => None,
            pages => {
                Some(Activity::start(Arc::clone(&instance), pages).map_err(ServeError::Thread)?)
            }
        };
        let certificate = network.certificate_pem().map(str::to_owned);
        let network = network.start(Arc::new(Engine { instance }))?;
        let rendezvous = Rendezvous::new(
            network.local_addr(),
            &login.user,
            &login.password,
            data.as_deref(),
            certificate.as_deref(),
        );
        let announcement = place.announce(&rendezvous)?;
        Ok(Running { announcement, activity, network, certificate, data, login })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.network.local_addr()
    }

    /// The certificate of this run as PEM; none when TLS is off.
    pub fn certificate(&self) -> Option<&str> {
        self.certificate.as_deref()
    }

    /// Where its databases are; none if in memory.
    pub fn data(&self) -> Option<&Path> {
        self.data.as_deref()
    }

    /// A login with every right.
    pub fn login(&self) -> &LoginPair {
        &self.login
    }

    /// Ends it: nobody finds it any more, connections are closed, what they run is aborted, and what
    /// is aborted has ended when this returns, or ten seconds have passed.
    pub fn stop(self) {
        let Running { announcement, activity, network, .. } = self;
        drop(announcement);
        network.stop();
        drop(activity);
    }
}

/// The first login given, or one made for this run.
fn first_login(settings: &Settings) -> LoginPair {
    settings.logins.first().cloned().unwrap_or_else(|| LoginPair {
        user: DEFAULT_LOGIN.to_owned(),
        password: Uuid::new_v4().simple().to_string(),
    })
}

fn config(settings: &Settings, login: &LoginPair) -> Config {
    let account = |accounts: Accounts, login: &LoginPair, sysadmin| {
        accounts.with(&login.user, &login.password, sysadmin)
    };
    let accounts = settings.public_logins.iter();
    let accounts = accounts.fold(Accounts::none(), |all, login| account(all, login, false));
    let accounts = settings.logins.iter().fold(accounts, |all, login| account(all, login, true));
    let version = settings.profile.version;
    let mut config = Config::default();
    config.listen = settings.listen;
    config.accounts = account(accounts, login, true);
    config.encryption = settings.encryption;
    config.server_name = instance::server_name();
    config.version = (version.major, version.minor, version.build);
    config
}

/// Makes databases from backups, each from all files of its name.
fn take_in(instance: &Instance, files: &[DatabaseFile]) -> Result<(), ServeError> {
    let mut done: Vec<&str> = Vec::new();
    for DatabaseFile { name, .. } in files {
        if done.contains(&name.as_str()) {
            continue;
        }
        let families: Vec<_> = files
            .iter()
            .filter(|other| other.name == *name)
            .map(|other| other.file.as_path())
            .collect();
        instance
            .attach_backup(name, &families)
            .map_err(|said| ServeError::Database { name: name.clone(), said })?;
        done.push(name);
    }
    Ok(())
}
