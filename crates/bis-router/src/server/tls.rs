//! TLS for clients: from the options' files to what accepts a handshake. It opens no socket.

mod certificate;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    self, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, ServerConnection,
    SignatureScheme, SupportedProtocolVersion,
};

pub use self::certificate::CertificateFault;
use crate::options::{ClientCertificates, Tls, TlsRequired, TlsVersion};

/// Why TLS cannot be spoken as the options say.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// TLS is required and there is no certificate for it.
    #[error("TLS is required without a certificate; give a certificate and its key, or do not require it")]
    NoCertificate,
    /// One of certificate and key is missing.
    #[error("TLS needs both a certificate and its key; give the other one too")]
    Half,
    /// Client certificates are to be verified, and nobody is trusted.
    #[error("client certificates cannot be verified without authorities; give a root CA file")]
    NoAuthorities,
    /// A file cannot be read, or does not contain what it should.
    #[error("cannot read `{path}`; it must be a PEM file with {content}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What should be in it.
        content: &'static str,
        /// What is wrong.
        #[source]
        source: io::Error,
    },
    /// This router cannot use a certificate.
    #[error("the certificate in `{path}` cannot be used: {fault}")]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        fault: CertificateFault,
    },
    /// Certificate, key or authorities cannot be used.
    #[error("the certificate, its key or the authorities cannot be used; check that they belong together")]
    Rejected(#[source] rustls::Error),
}

/// What accepts handshakes; `None` when no certificate is given.
///
/// # Errors
/// When the options contradict each other or a file cannot be used.
pub(crate) fn server_config(tls: &Tls) -> Result<Option<Arc<ServerConfig>>, TlsError> {
    let (certificate, key) = match (&tls.certificate, &tls.key) {
        (Some(certificate), Some(key)) => (certificate, key),
        (None, None) if tls.required() == TlsRequired::No => return Ok(None),
        (None, None) => return Err(TlsError::NoCertificate),
        _ => return Err(TlsError::Half),
    };
    let chain = certificates(certificate, "a certificate")?;
    if let Some(fault) = chain.first().and_then(|own| certificate::fault(own)) {
        return Err(TlsError::Unusable { path: certificate.clone(), fault });
    }
    if tls.client_certificates != ClientCertificates::NotAsked {
        tracing::info!(
            "clients' certificates must be of version 3 of X.509, and RSA keys have at least 2048 bits"
        );
    }
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| file_error(key, "a private key", error))?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions(tls.min_version))
        .map_err(TlsError::Rejected)?;
    let builder = match tls.client_certificates {
        ClientCertificates::NotAsked => builder.with_no_client_auth(),
        ClientCertificates::Any => builder.with_client_cert_verifier(Arc::new(AnyCertificate(provider))),
        ClientCertificates::Verified => {
            let roots = Arc::new(authorities(tls.root_ca.as_deref().ok_or(TlsError::NoAuthorities)?)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
            let rejected = |error: rustls::server::VerifierBuilderError| {
                TlsError::Rejected(rustls::Error::General(error.to_string()))
            };
            builder.with_client_cert_verifier(verifier.map_err(rejected)?)
        }
    };
    let config = builder.with_single_cert(chain, key).map_err(TlsError::Rejected)?;
    Ok(Some(Arc::new(config)))
}

/// The authorities in a PEM file.
pub(super) fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let mut last_fault = None;
    for authority in certificates(path, "certificates of authorities")? {
        if let Some(fault) = certificate::authority_fault(&authority) {
            tracing::warn!(path = %path.display(), %fault, "an authority's certificate is left out");
            last_fault = Some(fault);
        } else {
            roots.add(authority).map_err(TlsError::Rejected)?;
        }
    }
    match last_fault {
        Some(fault) if roots.is_empty() => Err(TlsError::Unusable { path: path.to_owned(), fault }),
        _ => Ok(roots),
    }
}

/// The common name in the certificate that the client showed; empty without one.
pub(super) fn client_name(connection: &ServerConnection) -> String {
    let certificate = connection.peer_certificates().and_then(<[_]>::first);
    certificate.and_then(|shown| certificate::common_name(shown)).unwrap_or_default()
}

/// The versions from the oldest allowed on.
pub(super) fn versions(oldest: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    static FROM_1_2: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
    static FROM_1_3: &[&SupportedProtocolVersion] = &[&TLS13];
    match oldest {
        TlsVersion::V1_2 => FROM_1_2,
        TlsVersion::V1_3 => FROM_1_3,
    }
}

fn certificates(path: &Path, content: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = read.map_err(|error| file_error(path, content, error))?;
    if certificates.is_empty() {
        return Err(file_error(path, content, pem::Error::NoItemsFound));
    }
    Ok(certificates)
}

fn file_error(path: &Path, content: &'static str, error: pem::Error) -> TlsError {
    let source = match error {
        pem::Error::Io(error) => error,
        other => io::Error::other(other.to_string()),
    };
    TlsError::File { path: path.to_owned(), content, source }
}

/// Takes any client certificate, no matter who signed it, from a client that proves to have its key (nsqd's `require`).
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ClientCertVerifier for AnyCertificate {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
