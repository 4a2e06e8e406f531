//! Requests of a test, which reach the app as if a listener had taken them.

use std::net::{Ipv4Addr, SocketAddr};

use axum::{
    extract::{ConnectInfo, Request},
    response::Response,
};

use super::{layers::RequestService, request};

/// Answers one request. Without a socket its client is said to be at `127.0.0.1:0`, unless it says otherwise.
pub(crate) async fn answer(app: &RequestService, mut request: Request) -> Response {
    if request.extensions().get::<ConnectInfo<SocketAddr>>().is_none() {
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))));
    }
    request::run(app, request).await
}
