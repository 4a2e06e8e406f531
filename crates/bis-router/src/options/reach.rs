//! Which addresses other machines may reach. A router that anybody can talk to is more often a mistake than intended.

use std::net::SocketAddr;

use super::{ClientCertificates, Options, TlsRequired};

/// An address beyond this machine that lacks what makes it safe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{address}` can be reached from other machines, and {lack}")]
pub struct RemoteError {
    /// Which address.
    pub address: SocketAddr,
    /// What is missing, and how to give it.
    pub lack: &'static str,
}

impl Options {
    /// Refuses addresses beyond loopback unless only known clients can use them, or [`Options::allow_remote`] is set.
    pub(crate) fn check_reach(&self) -> Result<(), RemoteError> {
        let refuse = |address: SocketAddr, lack: Option<&'static str>| match lack {
            Some(lack) if !self.allow_remote && !address.ip().is_loopback() => {
                Err(RemoteError { address, lack })
            }
            _ => Ok(()),
        };
        let has_certificates = self.tls.client_certificates == ClientCertificates::Verified;
        let tcp = if self.tls.required() == TlsRequired::No {
            Some("TLS is not required; require it with a certificate, listen on 127.0.0.1, or allow it")
        } else if !self.auth.is_required() && !has_certificates {
            Some(
                "clients are not authenticated; name an authorization server, ask for verified client certificates, \
                 listen on 127.0.0.1, or allow it",
            )
        } else {
            None
        };
        refuse(self.tcp_address, tcp)?;
        // Clients that must use TLS cannot use the plain port.
        let http = (self.tls.required() != TlsRequired::Yes).then_some(
            "plain HTTP knows no authentication; require TLS for HTTP too, listen on 127.0.0.1, or allow it",
        );
        refuse(self.http_address, http)?;
        let https = (!has_certificates).then_some(
            "HTTPS knows no authentication but client certificates; ask for verified ones, listen on 127.0.0.1, or \
             allow it",
        );
        self.https_address.map_or(Ok(()), |address| refuse(address, https))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_kept_out() {
        let remote = |port| SocketAddr::from(([0, 0, 0, 0], port));
        let lack = |options: &Options| options.check_reach().map_err(|error| error.address.port()).err();
        let mut options = Options::new("data");
        assert_eq!(lack(&options), None);
        options.tcp_address = remote(1);
        assert_eq!(lack(&options), Some(1));
        options.tls.required = TlsRequired::ExceptHttp;
        assert_eq!(lack(&options), Some(1), "whoever comes is not known");
        options.auth.addresses = vec!["127.0.0.1:1".to_owned()];
        assert_eq!(lack(&options), None);
        options.http_address = remote(2);
        assert_eq!(lack(&options), Some(2));
        options.tls.required = TlsRequired::Yes;
        assert_eq!(lack(&options), None);
        options.https_address = Some(remote(3));
        assert_eq!(lack(&options), Some(3));
        options.tls.client_certificates = ClientCertificates::Any;
        assert_eq!(lack(&options), Some(3), "anybody can make a certificate");
        options.tls.client_certificates = ClientCertificates::Verified;
        assert_eq!(lack(&options), None);
        options.tls.client_certificates = ClientCertificates::NotAsked;
        options.allow_remote = true;
        assert_eq!(lack(&options), None);
    }
}
