//! TLS to a server: which certificates to trust and to present. The handshake itself is in the crate's feature
//! `tls`; without it, asking for TLS is an error and nothing is sent in the clear instead.

use std::path::PathBuf;

use super::stream::Stream;

/// The TLS settings. Files are read again for each connection, so that renewed certificates need no restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// A PEM file with the certificates of the only authorities to trust.
    pub ca_file: PathBuf,
    /// The certificate that this client presents if the server asks for one.
    pub certificate: Option<Certificate>,
    /// The name that the server's certificate must carry; the host of the server's address unless set.
    pub server_name: Option<String>,
}

/// A certificate with its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// A PEM file with the certificate, followed by the chain that leads from it to an authority.
    pub certificate_file: PathBuf,
    /// A PEM file with its private key.
    pub key_file: PathBuf,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The program was built without it.
    #[error("TLS is not built in; enable the feature `tls` of `bis-nsq` (`nsq-tls` of `bis`)")]
    NotBuiltIn,
    /// A file cannot be read, or is not what it should be.
    #[error("`{}` contains no usable {what}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The certificate and its key, or the name, cannot be used.
    #[error("the TLS settings cannot be used: {0}")]
    Settings(String),
    /// The server does not offer TLS.
    #[error(
        "the server offers no TLS; give it a certificate (`--tls-cert`, `--tls-key`), or leave TLS out here"
    )]
    NotOffered,
    /// The two sides have no common parameters, or one does not trust the other.
    #[error(
        "the TLS handshake failed: {0}; is the server's certificate signed by `ca_file`, for the name of its address?"
    )]
    Handshake(std::io::Error),
}

impl Tls {
    /// Trusts the authorities in `ca_file`.
    pub fn new(ca_file: impl Into<PathBuf>) -> Self {
        Self { ca_file: ca_file.into(), certificate: None, server_name: None }
    }

    /// Reads every file, so that a mistake shows before any connection is made.
    ///
    /// # Errors
    /// When a file cannot be used, or TLS is not built in.
    pub fn check(&self) -> Result<(), TlsError> {
        #[cfg(feature = "tls")]
        return built_in::config(self).map(drop);
        #[cfg(not(feature = "tls"))]
        return Err(TlsError::NotBuiltIn);
    }

    /// Starts TLS on a connection to `address`, `host:port`.
    pub(super) async fn handshake(&self, address: &str, stream: Stream) -> Result<Stream, TlsError> {
        #[cfg(feature = "tls")]
        return built_in::handshake(self, address, stream).await;
        #[cfg(not(feature = "tls"))]
        {
            let _ = (address, stream);
            Err(TlsError::NotBuiltIn)
        }
    }
}

#[cfg(feature = "tls")]
mod built_in {
    use std::path::Path;
    use std::sync::Arc;

    use tokio_rustls::TlsConnector;
    use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

    use super::{Stream, Tls, TlsError};

    pub(super) async fn handshake(tls: &Tls, address: &str, stream: Stream) -> Result<Stream, TlsError> {
        let own = tls.clone();
        let config = tokio::task::spawn_blocking(move || config(&own))
            .await
            .map_err(|error| TlsError::Settings(error.to_string()))??;
        let name = tls.server_name.as_deref().unwrap_or_else(|| host(address));
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| TlsError::Settings(format!("`{name}` is not a host name; set `server_name`")))?;
        let connected = TlsConnector::from(Arc::new(config)).connect(name, stream.into_transport()).await;
        connected.map(Stream::new).map_err(TlsError::Handshake)
    }

    pub(super) fn config(tls: &Tls) -> Result<ClientConfig, TlsError> {
        let unusable = |error: tokio_rustls::rustls::Error| TlsError::Settings(error.to_string());
        let mut trusted = RootCertStore::empty();
        for certificate in certificates(&tls.ca_file)? {
            trusted
                .add(certificate)
                .map_err(|error| file(&tls.ca_file, "certificate of an authority", error.to_string()))?;
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_root_certificates(trusted);
        match &tls.certificate {
            None => Ok(builder.with_no_client_auth()),
            Some(own) => {
                let key = PrivateKeyDer::from_pem_file(&own.key_file)
                    .map_err(|error| file(&own.key_file, "private key", text(&error)))?;
                builder.with_client_auth_cert(certificates(&own.certificate_file)?, key).map_err(unusable)
            }
        }
    }

    fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let wrong = |reason| file(path, "certificate", reason);
        let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect)
            .map_err(|error| wrong(text(&error)))?;
        if certificates.is_empty() { Err(wrong("no PEM block in it".to_owned())) } else { Ok(certificates) }
    }

    fn text(error: &pem::Error) -> String {
        match error {
            pem::Error::Io(error) => error.to_string(),
            pem::Error::NoItemsFound => "no PEM block of this kind in it".to_owned(),
            other => other.to_string(),
        }
    }

    fn file(path: &Path, what: &'static str, reason: String) -> TlsError {
        TlsError::File { path: path.to_owned(), what, reason }
    }

    /// The host of `host:port`, without the brackets of an IPv6 address.
    fn host(address: &str) -> &str {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']')
    }
}
