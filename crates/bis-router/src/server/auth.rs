//! Asks authorization servers what a client may do, as nsqd asks them.
//!
//! It keeps nothing about a client: the connection remembers what was granted, and asks for it again when it
//! expires. It never runs under the state's lock.

mod grant;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST};
use hyper::http::uri::Authority;
use hyper::{Method, Request, Uri};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::http_client::{self, AskError, NSQ_DATA};
use super::tls::{self, TlsError};
use crate::options::{Auth, AuthMethod, Tls, shown};
pub(super) use grant::Grant;

/// The largest answer that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// What an authorization server is told about a client.
#[derive(Debug, Clone, Default)]
pub(super) struct Question {
    pub(super) remote_ip: String,
    pub(super) is_tls: bool,
    /// From the client's certificate; empty without one.
    pub(super) common_name: String,
    /// As the client sent it, text or not.
    pub(super) secret: Bytes,
}

/// Why nobody granted anything. For the log only: a client does not learn it.
#[derive(Debug, thiserror::Error)]
pub(super) enum AuthError {
    #[error("`{0}` is not a URL that can be requested; use `host:port` or an `http` or `https` URL")]
    Address(String),
    #[error("no complete answer within {0:?}")]
    Timeout(std::time::Duration),
    #[error(transparent)]
    Unanswered(#[from] AskError),
    #[error("the answer is not an authorization: {0}")]
    Answer(String),
    /// All of them, each with its address.
    #[error("{0}")]
    All(String),
}

/// The authorization servers.
pub(crate) struct Authorizer {
    options: Auth,
    connector: Option<TlsConnector>,
    /// Which server is asked first next time.
    turn: AtomicUsize,
}

impl Authorizer {
    /// `None` when no address is given.
    pub(crate) fn new(options: &Auth, tls: &Tls) -> Result<Option<Self>, TlsError> {
        if !options.is_required() {
            return Ok(None);
        }
        let is_https = |address: &String| address.starts_with("https://");
        let connector = match options.addresses.iter().any(is_https) {
            true => Some(connector(tls)?),
            false => None,
        };
        Ok(Some(Self { options: options.clone(), connector, turn: AtomicUsize::new(0) }))
    }

    /// Asks one server after the other until one answers.
    pub(super) async fn ask(&self, question: Question) -> Result<Grant, AuthError> {
        let addresses = &self.options.addresses;
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut errors = Vec::new();
        for index in 0..addresses.len() {
            let address = &addresses[first.wrapping_add(index) % addresses.len()];
            let timeout = self.options.request_timeout;
            let asked = tokio::time::timeout(timeout, self.ask_one(address, &question)).await;
            match asked.unwrap_or(Err(AuthError::Timeout(timeout))) {
                Ok(grant) => return Ok(grant),
                Err(error) => errors.push(format!("`{}`: {error}", shown(address))),
            }
        }
        Err(AuthError::All(errors.join("; ")))
    }

    async fn ask_one(&self, address: &str, question: &Question) -> Result<Grant, AuthError> {
        let bad = || AuthError::Address(shown(address));
        let base =
            if address.contains("://") { address.to_owned() } else { format!("http://{address}/auth") };
        let base: Uri = base.parse().map_err(|_| bad())?;
        let host = base.host().ok_or_else(bad)?.trim_matches(['[', ']']).to_owned();
        let is_https = base.scheme_str() == Some("https");
        let port = base.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        let request = self.request(&base, question).map_err(AskError::Request)?;
        let stream = http_client::connect((host.as_str(), port), self.options.connect_timeout).await?;
        let answer = match &self.connector {
            Some(connector) if is_https => {
                let name = ServerName::try_from(host).map_err(|_| bad())?;
                let stream = connector.connect(name, stream).await.map_err(AskError::Connect)?;
                http_client::exchange(stream, request, MAX_ANSWER_BYTES).await?
            }
            _ => http_client::exchange(stream, request, MAX_ANSWER_BYTES).await?,
        };
        Grant::read(&answer)
    }

    fn request(&self, base: &Uri, question: &Question) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("common_name", &question.common_name)
            .append_pair("remote_ip", &question.remote_ip)
            .append_pair("tls", if question.is_tls { "true" } else { "false" });
        let secret: String = form_urlencoded::byte_serialize(&question.secret).collect();
        let form = format!("{}&secret={secret}", form.finish());
        let path = base.path();
        let builder = Request::builder()
            .header(HOST, base.authority().map_or("", host_and_port))
            .header(ACCEPT, NSQ_DATA);
        match self.options.method {
            AuthMethod::Get => builder.uri(format!("{path}?{form}")).body(Full::default()),
            AuthMethod::Post => builder
                .method(Method::POST)
                .uri(path)
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(Full::from(form)),
        }
    }
}

/// Without the name and password that a URL may have: they are not for this header.
fn host_and_port(authority: &Authority) -> &str {
    authority.as_str().rsplit('@').next().unwrap_or_default()
}

/// Trusts the authorities of the options, or those of the system.
fn connector(options: &Tls) -> Result<TlsConnector, TlsError> {
    let roots = match &options.root_ca {
        Some(path) => tls::authorities(path)?,
        None => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            roots
        }
    };
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(tls::versions(options.min_version))
        .map_err(TlsError::Rejected)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
