//! tower layers around an endpoint, a service and the app, and the one type of service that they are put around. It knows no
//! layer of its own, and nothing of routes.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    response::{IntoResponse, Response},
};
use bis_core::codes;
use tower::{Layer, Service, ServiceExt};

use super::bounds::RequestLayer;
use crate::panics;

/// The layers of an endpoint, a service or the app, the outermost first, made for one app that runs.
#[derive(Default)]
pub struct Layers(Vec<Box<dyn RequestLayer>>);

/// Makes the layers, once for each app that runs.
pub type MakeLayers = fn() -> Layers;

impl Layers {
    /// These layers, the outermost first.
    pub fn new(layers: Vec<Box<dyn RequestLayer>>) -> Self {
        Self(layers)
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Makes the layers of `whose`. An expression that panics is an error.
    pub(super) fn make(make: MakeLayers, whose: impl fmt::Display) -> Result<Self, LayerError> {
        panics::catch(make).map_err(|panic| LayerError { whose: whose.to_string(), panic: panic.into_text() })
    }

    /// Puts the layers of `whose` around a service.
    pub(super) fn around(
        self,
        inner: RequestService,
        whose: impl fmt::Display,
    ) -> Result<RequestService, LayerError> {
        panics::catch(|| self.0.into_iter().rev().fold(inner, |inner, layer| layer.around(inner)))
            .map_err(|panic| LayerError { whose: whose.to_string(), panic: panic.into_text() })
    }
}

/// What has no layers.
pub fn no_layers() -> Layers {
    Layers::default()
}

/// One layer of a list.
pub fn layer(layer: impl RequestLayer + 'static) -> Box<dyn RequestLayer> {
    Box::new(layer)
}

/// Layers that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the layers of {whose} cannot be made: the code panicked: {panic}; a layer is made when the app starts, after its resources [{}]",
    codes::LAYER
)]
pub(crate) struct LayerError {
    whose: String,
    panic: String,
}

/// An answer on its way.
pub type Answering = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

/// What answers requests: an endpoint, or layers around one. Always ready, and cheap to clone: clones share the service.
#[derive(Clone)]
pub struct RequestService(Arc<dyn Fn(Request) -> Answering + Send + Sync>);

impl RequestService {
    /// The service that calls a function.
    pub(super) fn from_fn(answer: impl Fn(Request) -> Answering + Send + Sync + 'static) -> Self {
        Self(Arc::new(answer))
    }

    /// Any service that cannot fail. Waiting until it is ready is part of the answer.
    pub(crate) fn new<S>(service: S) -> Self
    where
        S: Service<Request, Error: Into<Infallible>, Response: IntoResponse, Future: Send>
            + Clone
            + Send
            + Sync
            + 'static,
    {
        Self::from_fn(move |request| {
            let service = service.clone();
            Box::pin(async move {
                match service.oneshot(request).await {
                    Ok(response) => Ok(response.into_response()),
                    Err(never) => match never.into() {},
                }
            })
        })
    }

    /// Answers a request.
    pub(crate) fn answer(&self, request: Request) -> Answering {
        (self.0)(request)
    }
}

/// Around a service of ours, layers may change the type of the body.
impl<B> Service<axum::http::Request<B>> for RequestService
where
    B: HttpBody<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: axum::http::Request<B>) -> Answering {
        self.answer(request.map(Body::new))
    }
}

impl fmt::Debug for RequestService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestService")
    }
}

#[diagnostic::do_not_recommend]
impl<L> RequestLayer for L
where
    L: Layer<RequestService>,
    L::Service: Service<Request, Error: Into<Infallible>, Response: IntoResponse, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
{
    fn around(&self, inner: RequestService) -> RequestService {
        RequestService::new(self.layer(inner))
    }
}
