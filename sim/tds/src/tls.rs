//! The server's TLS: whether, and with which certificate.

use std::sync::Arc;

use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    server::NoServerSessionStorage,
    version::TLS12,
};

use crate::{ServerError, wire::prelogin::EncryptionWord};

/// The server's stand on encryption.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encryption {
    /// No TLS; clients that insist on it go away.
    Off,
    /// As the client asks: none, for the login only, or for the whole connection.
    #[default]
    Auto,
    /// For the whole connection, or none.
    Required,
}

/// What both sides' words on encryption come to (MS-TDS 2.2.6.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Agreement {
    Clear,
    LoginOnly,
    Full,
    /// The server insists and the client can't.
    Refused,
}

impl Encryption {
    /// The server's word in answer to the client's, and what that means for the connection.
    pub(crate) fn agree(self, client: EncryptionWord) -> (EncryptionWord, Agreement) {
        use EncryptionWord as Word;
        match (self, client) {
            (Self::Off, _) => (Word::NotSupported, Agreement::Clear),
            (Self::Auto, Word::NotSupported) => (Word::NotSupported, Agreement::Clear),
            (Self::Auto, Word::Off) => (Word::Off, Agreement::LoginOnly),
            (Self::Required, Word::NotSupported) => (Word::Required, Agreement::Refused),
            (Self::Required, Word::Off) => (Word::Required, Agreement::Full),
            (_, Word::On | Word::Required) => (Word::On, Agreement::Full),
        }
    }
}

/// A certificate made for this run, and rustls set up with it.
pub(crate) struct Identity {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) certificate_pem: String,
}

impl Identity {
    /// Makes a self-signed certificate for `name`, localhost and the loopback addresses.
    pub(crate) fn self_signed(name: &str) -> Result<Self, ServerError> {
        let failed = |reason: String| ServerError::Certificate { name: name.to_owned(), reason };
        let names = [name, "localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let mut params =
            CertificateParams::new(names).map_err(|error| failed(error.to_string()))?;
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().map_err(|error| failed(error.to_string()))?;
        let certificate = params.self_signed(&key).map_err(|error| failed(error.to_string()))?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        // TLS 1.2 only: a login-only client stops listening to TLS after its login, and TLS 1.3 would still send it
        // session tickets.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS12])
            .and_then(|builder| {
                builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key)
            })
            .map_err(|error| failed(error.to_string()))?;
        // A resumed handshake would end with the client's flight instead of the server's.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Self { config: Arc::new(config), certificate_pem: certificate.pem() })
    }
}
