//! Who may send requests at all: those that a browser makes for another site's page are refused, and so is incomplete HTTP.
//! The API has no passwords, so that every page in every browser on this machine could delete topics otherwise. Tools send
//! none of what is looked at here but `Host`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State as Extract};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::ApiError;
use crate::server::Server;

/// By which names a router on a loopback address may be called: a page whose name was made to mean this machine, after it was
/// loaded (DNS rebinding), calls it by another.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    /// `None` where other machines may connect, by whatever name.
    names: Option<Arc<[String]>>,
}

impl Guard {
    pub(super) fn new(server: &Server, listener: SocketAddr) -> Self {
        let names = || [server.hostname.clone(), server.broadcast_address().to_owned()].into();
        Self { names: listener.ip().is_loopback().then(names) }
    }

    fn refuses(&self, headers: &HeaderMap, host: Option<&str>) -> Option<&'static str> {
        let is_cross_site = |site: &HeaderValue| site.as_bytes() == b"cross-site";
        if headers.get_all("sec-fetch-site").iter().any(is_cross_site) {
            return Some("CROSS_SITE: the router answers no pages of other sites");
        }
        if headers.get_all(header::ORIGIN).iter().any(|origin| !is_own(origin, host)) {
            return Some("FOREIGN_ORIGIN: the router answers no pages of other sites");
        }
        let is_called = host.is_none_or(|host| self.is_called(host));
        (!is_called).then_some(
            "FOREIGN_HOST: call the router by an IP address, `localhost`, the machine's name or its broadcast address",
        )
    }

    fn is_called(&self, host: &str) -> bool {
        let Some(names) = &self.names else { return true };
        let name = name_of(host);
        // A name without a dot is of this machine or network: no page of the Internet has one.
        !name.contains('.')
            || ends_with_localhost(name)
            || name.parse::<IpAddr>().is_ok()
            || names.iter().any(|own| own.eq_ignore_ascii_case(name))
    }
}

/// A host without its port, the brackets of an IPv6 address, and the dot at the end that a full name may have.
fn name_of(host: &str) -> &str {
    if let Some(address) = host.strip_prefix('[') {
        return address.split(']').next().unwrap_or_default();
    }
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name.strip_suffix('.').unwrap_or(name)
}

/// Names below `localhost` are this machine's, whichever resolver is asked.
fn ends_with_localhost(name: &str) -> bool {
    const ENDING: &str = ".localhost";
    let start = name.len().saturating_sub(ENDING.len());
    name.get(start..).is_some_and(|ending| ending.eq_ignore_ascii_case(ENDING))
}

/// Whether the page that asks is one of the server that is asked.
fn is_own(origin: &HeaderValue, host: Option<&str>) -> bool {
    let Ok(origin) = origin.to_str() else { return false };
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    authority.zip(host).is_some_and(|(authority, host)| authority.eq_ignore_ascii_case(host))
}

/// The `Host` of a request, with Go's words for what is wrong with it.
fn host(request: &Request) -> Result<Option<&str>, &'static str> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if request.version() >= Version::HTTP_11 => {
            Err("400 Bad Request: missing required Host header")
        }
        (None, _) => Ok(None),
        (Some(host), None) => {
            let text = host.to_str().ok().filter(|text| !text.contains([' ', '\t', '/', '@', '"', '<', '>']));
            text.map(Some).ok_or("400 Bad Request: malformed Host header")
        }
        (Some(_), Some(_)) => Err("400 Bad Request"),
    }
}

pub(super) async fn check(Extract(guard): Extract<Guard>, request: Request, next: Next) -> Response {
    match host(&request) {
        Err(text) => {
            let close = [(header::CONNECTION, HeaderValue::from_static("close"))];
            (StatusCode::BAD_REQUEST, close, text).into_response()
        }
        Ok(host) => match guard.refuses(request.headers(), host) {
            Some(reason) => ApiError(StatusCode::FORBIDDEN, reason.to_owned()).into_response(),
            None => next.run(request).await,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_router_is_called_by_its_own_names() {
        let guard = Guard { names: Some(["box".to_owned(), "router.example".to_owned()].into()) };
        for own in [
            "127.0.0.1:4151",
            "127.0.0.1",
            "localhost:4151",
            "LocalHost",
            "localhost.:4151",
            "bis.localhost:1",
            "[::1]:4151",
            "10.1.2.3:4151",
            "box:4151",
            "other:4151",
            "Router.Example",
            "",
        ] {
            assert!(guard.is_called(own), "{own}");
        }
        for foreign in [
            "evil.example:4151",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "box.evil.example:4151",
            "x.notlocalhost",
        ] {
            assert!(!guard.is_called(foreign), "{foreign}");
        }
        assert!(Guard { names: None }.is_called("any.example"));
    }

    #[test]
    fn a_page_is_the_routers_own_by_host_and_port() {
        let check = |origin| is_own(&HeaderValue::from_static(origin), Some("localhost:4151"));
        assert!(check("http://localhost:4151") && check("https://LOCALHOST:4151"));
        for foreign in [
            "http://localhost",
            "http://localhost:3000",
            "null",
            "http://evil.example",
            "ftp://localhost:4151",
        ] {
            assert!(!check(foreign), "{foreign}");
        }
        assert!(!is_own(&HeaderValue::from_static("http://localhost"), None));
    }
}
