//! What the router can be told about TLS and compression, with nsqd's meanings. Plain data; it opens no file.

use std::path::PathBuf;
use std::str::FromStr;

/// TLS on the NSQ port, and on the HTTPS port if there is one. Off unless a certificate is given.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// A PEM file with the certificate and its chain. Needs `key`.
    pub certificate: Option<PathBuf>,
    /// A PEM file with the certificate's private key.
    pub key: Option<PathBuf>,
    /// A PEM file with the authorities whose client certificates are trusted; also those that an authorization server
    /// with an `https` address is checked against.
    pub root_ca: Option<PathBuf>,
    /// Whether clients must use TLS; no unless set. [`Tls::required`] is what holds.
    pub required: TlsRequired,
    /// Whether clients must show a certificate; no unless set.
    pub client_certificates: ClientCertificates,
    /// The oldest version that is supported; 1.2 unless set.
    pub min_version: TlsVersion,
}

impl Tls {
    /// Whether clients must use TLS. As on nsqd, asking for client certificates requires TLS.
    #[must_use]
    pub fn required(&self) -> TlsRequired {
        match (self.required, self.client_certificates) {
            (TlsRequired::No, ClientCertificates::Any | ClientCertificates::Verified) => TlsRequired::Yes,
            (required, _) => required,
        }
    }
}

/// A word of an option that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is not allowed here; use {allowed}")]
pub struct TlsWordError {
    /// What was given.
    pub word: String,
    /// What is allowed.
    pub allowed: &'static str,
}

/// Who must use TLS (nsqd's `--tls-required`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsRequired {
    /// Nobody.
    #[default]
    No,
    /// NSQ clients; plain HTTP is served nevertheless.
    ExceptHttp,
    /// NSQ clients and HTTP clients.
    Yes,
}

impl FromStr for TlsRequired {
    type Err = TlsWordError;

    /// Reads `false`, `true` or `tcp-https`.
    fn from_str(word: &str) -> Result<Self, TlsWordError> {
        match word.to_ascii_lowercase().as_str() {
            "false" | "f" | "0" => Ok(Self::No),
            "true" | "t" | "1" => Ok(Self::Yes),
            "tcp-https" => Ok(Self::ExceptHttp),
            _ => Err(TlsWordError { word: word.to_owned(), allowed: "`true`, `false` or `tcp-https`" }),
        }
    }
}

/// Which certificates clients must show (nsqd's `--tls-client-auth-policy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientCertificates {
    /// None: they are not asked for one.
    #[default]
    NotAsked,
    /// Any, no matter who signed it; the client proves that it has the key.
    Any,
    /// One that an authority of [`Tls::root_ca`] signed.
    Verified,
}

impl FromStr for ClientCertificates {
    type Err = TlsWordError;

    /// Reads `require`, `require-verify` or nothing.
    fn from_str(word: &str) -> Result<Self, TlsWordError> {
        match word {
            "" => Ok(Self::NotAsked),
            "require" => Ok(Self::Any),
            "require-verify" => Ok(Self::Verified),
            _ => Err(TlsWordError { word: word.to_owned(), allowed: "`require` or `require-verify`" }),
        }
    }
}

/// A version of TLS (nsqd's `--tls-min-version`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsVersion {
    /// TLS 1.2, the oldest that this router speaks.
    #[default]
    V1_2,
    /// TLS 1.3.
    V1_3,
}

impl FromStr for TlsVersion {
    type Err = TlsWordError;

    /// Reads nsqd's words. Versions before `tls1.2` are read as it, because nothing older is supported.
    fn from_str(word: &str) -> Result<Self, TlsWordError> {
        match word {
            "ssl3.0" | "tls1.0" | "tls1.1" | "tls1.2" => Ok(Self::V1_2),
            "tls1.3" => Ok(Self::V1_3),
            _ => Err(TlsWordError { word: word.to_owned(), allowed: "`tls1.2` or `tls1.3`" }),
        }
    }
}

/// Which compressions clients may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compression {
    /// Whether snappy may be asked for; yes unless set.
    pub snappy: bool,
    /// Whether deflate may be asked for; yes unless set.
    pub deflate: bool,
    /// The highest level of deflate, 1 to 9; 6 unless set.
    pub max_deflate_level: u32,
}

impl Default for Compression {
    fn default() -> Self {
        Self { snappy: true, deflate: true, max_deflate_level: 6 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_nsqds() {
        assert_eq!("true".parse(), Ok(TlsRequired::Yes));
        assert_eq!("tcp-https".parse(), Ok(TlsRequired::ExceptHttp));
        assert_eq!("False".parse(), Ok(TlsRequired::No));
        assert!("yes".parse::<TlsRequired>().is_err());
        assert_eq!("require".parse(), Ok(ClientCertificates::Any));
        assert_eq!("require-verify".parse(), Ok(ClientCertificates::Verified));
        assert!("verify".parse::<ClientCertificates>().is_err());
        assert_eq!("tls1.0".parse(), Ok(TlsVersion::V1_2));
        assert_eq!("tls1.3".parse(), Ok(TlsVersion::V1_3));
        assert!("tls1.4".parse::<TlsVersion>().is_err());
    }

    #[test]
    fn asking_for_certificates_requires_tls() {
        let mut tls = Tls { client_certificates: ClientCertificates::Any, ..Tls::default() };
        assert_eq!(tls.required(), TlsRequired::Yes);
        tls.required = TlsRequired::ExceptHttp;
        assert_eq!(tls.required(), TlsRequired::ExceptHttp);
        assert_eq!(Tls::default().required(), TlsRequired::No);
    }
}
