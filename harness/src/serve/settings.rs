//! What a server is told when it starts.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use tds_server::Encryption;
use vdi_protocol::Profile;

/// How to serve.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Real backups to take in as databases before the first client comes. Several with one name are
    /// the families of a stripe set.
    pub databases: Vec<DatabaseFile>,
    /// Where the databases are kept; none for the namespace's data folder.
    pub data: Option<PathBuf>,
    /// Whether the databases are kept in memory instead, and gone at the end.
    pub in_memory: bool,
    /// Logins with every right. Without one: `sa`, with a password made for this run.
    pub logins: Vec<LoginPair>,
    /// Logins that are no sysadmins: VIRTUAL_DEVICE is refused (3265).
    pub public_logins: Vec<LoginPair>,
    /// The stand on TLS.
    pub encryption: Encryption,
    /// Pages to change a second in every generated user database; 0 for none.
    pub activity: u32,
    /// Which SQL Server to play.
    pub profile: Profile,
}

impl Default for Settings {
    /// SQL Server's port on the loopback address, the data of the namespace.
    fn default() -> Self {
        Settings {
            listen: SocketAddr::from(([127, 0, 0, 1], 1433)),
            databases: Vec::new(),
            data: None,
            in_memory: false,
            logins: Vec::new(),
            public_logins: Vec::new(),
            encryption: Encryption::Auto,
            activity: 0,
            profile: Profile::default(),
        }
    }
}

/// A word of the command line that lacks its separator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{given}' is not {form}")]
pub struct WordError {
    given: String,
    form: &'static str,
}

fn pair(given: &str, separator: char, form: &'static str) -> Result<(String, String), WordError> {
    match given.split_once(separator) {
        Some((left, right)) if !left.is_empty() => Ok((left.to_owned(), right.to_owned())),
        _ => Err(WordError { given: given.to_owned(), form }),
    }
}

/// `USER:PASSWORD`; a password may contain colons.
#[derive(Clone, PartialEq, Eq)]
pub struct LoginPair {
    /// The login.
    pub user: String,
    /// Its password.
    pub password: String,
}

/// Without the password.
impl std::fmt::Debug for LoginPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoginPair").field("user", &self.user).finish_non_exhaustive()
    }
}

impl FromStr for LoginPair {
    type Err = WordError;

    fn from_str(given: &str) -> Result<Self, WordError> {
        // The word itself is not repeated: it may be a password.
        let (user, password) = pair(given, ':', "USER:PASSWORD")
            .map_err(|error| WordError { given: "…".to_owned(), ..error })?;
        Ok(LoginPair { user, password })
    }
}

/// `NAME=FILE`: a backup's file and the database made from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseFile {
    /// The database.
    pub name: String,
    /// The file of a full backup, or of one of its families.
    pub file: PathBuf,
}

impl FromStr for DatabaseFile {
    type Err = WordError;

    fn from_str(given: &str) -> Result<Self, WordError> {
        let (name, file) = pair(given, '=', "NAME=FILE")?;
        Ok(DatabaseFile { name, file: file.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Catches: splitting at the wrong colon, a password that appears in an error.
    #[test]
    fn words_are_split_once() {
        let login: LoginPair = "sa:a:b".parse().unwrap();
        assert_eq!((login.user.as_str(), login.password.as_str()), ("sa", "a:b"));
        assert!(!"geheim".parse::<LoginPair>().unwrap_err().to_string().contains("geheim"));
        assert!(":x".parse::<LoginPair>().is_err());
        let database: DatabaseFile = "pubs=a=b.bak".parse().unwrap();
        assert_eq!((database.name.as_str(), database.file), ("pubs", "a=b.bak".into()));
        assert!("pubs".parse::<DatabaseFile>().is_err());
    }
}
