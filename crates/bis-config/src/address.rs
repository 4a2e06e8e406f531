//! Addresses of plain HTTP servers, as the configuration writes them.

/// The text is not `http://host:port`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an address of the form `http://host:port`")]
pub struct NotAnAddress(String);

/// `host:port` of `http://host:port`.
///
/// # Errors
/// When it is anything else; `https` and paths are not supported.
pub fn host_and_port(base: &str) -> Result<&str, NotAnAddress> {
    let address = base.strip_prefix("http://").map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    address.filter(|address| is_host_and_port(address)).ok_or_else(|| NotAnAddress(base.to_owned()))
}

/// Whether a text is `host:port`, with nothing else that a URL can have.
pub(crate) fn is_host_and_port(address: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b'?' | b'#' | b'@');
    address.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && host.bytes().all(plain) && port.parse::<u16>().is_ok()
    })
}
