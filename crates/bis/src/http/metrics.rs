//! What is counted and timed of an app's requests, by endpoint and status.

use std::time::Duration;

use axum::{http::Method, response::Response};
use bis_core::prometheus::Page;

use crate::{
    instance::Scope,
    telemetry::metrics::{Family, Timing},
};

/// The numbers of one app.
#[derive(Debug, Default)]
pub(crate) struct Metrics(Family<Answered, Timing>);

/// What answered, and with which status. Everything here is one of few, whatever clients send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Answered {
    service: &'static str,
    method: &'static str,
    route: &'static str,
    status: u16,
}

/// Marks an answer that is not one of the app's own, such as its metrics.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unmeasured;

impl Metrics {
    /// The request of the current scope was answered. Where nothing was found, there is neither service nor route.
    pub(super) fn answered(&self, method: &'static str, response: &Response, took: Duration) {
        if response.extensions().get::<Unmeasured>().is_some() {
            return;
        }
        let (service, route) =
            Scope::with(|scope| scope.map_or((None, None), |scope| (scope.service, scope.route)));
        let answered = Answered {
            service: service.unwrap_or_default(),
            method,
            route: route.unwrap_or_default(),
            status: response.status().as_u16(),
        };
        self.0.of(&answered, Timing::default).add(took);
    }

    /// Writes all of them.
    pub(super) fn write(&self, page: &mut Page) {
        let all = self.0.all().into_iter().map(|(Answered { service, method, route, status }, timing)| {
            let labels = vec![
                ("service", service.to_owned()),
                ("method", method.to_owned()),
                ("route", route.to_owned()),
                ("status", status.to_string()),
            ];
            (labels, timing.distribution())
        });
        let help = "How long requests took until their answer began.";
        page.histogram("bis_http_request_duration_seconds", help, all);
    }
}

/// The method, or `other` for one that HTTP itself does not name.
pub(super) fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
