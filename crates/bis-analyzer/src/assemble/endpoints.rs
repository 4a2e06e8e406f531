//! What endpoints take and answer with, for the graph. Extractors and answers are known by their names, as those of axum and Bis; a
//! type of the project that is one itself is opaque and reported.

mod answers;
mod extractors;

use bis_graph::{Diagnostic, Endpoint, codes};
use serde_json::Value;

use super::Assembly;
use crate::{
    findings::position,
    schema::Builder,
    summary::{Docs, Range, Signature},
    tree::ModuleId,
    typed::Meaning,
};

/// The packages whose extractors and answers are known. Names that are not in scope count as `std`'s.
const KNOWN_PACKAGES: [&str; 9] =
    ["std", "axum", "axum-core", "axum-extra", "axum-valid", "axum-serde", "http", "headers", "bytes"];

/// An endpoint's function, in the order of the graph's endpoints.
pub(crate) struct EndpointRef<'a> {
    pub(super) module: ModuleId,
    pub(super) signature: &'a Signature,
}

/// What the types of all endpoints share.
struct Interfaces<'r, 't, 'a> {
    builder: Builder<'r, 't, 'a>,
    assembly: &'r Assembly<'r, 't, 'a>,
    found: Vec<Diagnostic>,
}

impl<'a> Assembly<'_, '_, 'a> {
    /// Fills in what the endpoints take and answer with.
    pub(super) fn describe_endpoints(&mut self) {
        let mut endpoints = std::mem::take(&mut self.graph.endpoints);
        let mut interfaces =
            Interfaces { builder: Builder::of_endpoints(self.resolver), assembly: self, found: Vec::new() };
        for (endpoint, source) in endpoints.iter_mut().zip(&self.endpoints) {
            interfaces.describe(endpoint, source);
        }
        let Interfaces { builder, found, .. } = interfaces;
        let finished = builder.finish(endpoints.iter().flat_map(schemas));
        endpoints.iter_mut().flat_map(schemas_mut).for_each(|schema| finished.apply(schema));
        self.graph.endpoints = endpoints;
        self.graph.schemas = finished.schemas.into_iter().collect();
        self.found.extend(finished.gaps);
        self.found.extend(found);
    }
}

impl<'a> Interfaces<'_, '_, 'a> {
    fn describe(&mut self, endpoint: &mut Endpoint, source: &EndpointRef<'a>) {
        let upgrades = self.take(endpoint, source);
        endpoint.responses = match upgrades {
            true => vec![bis_graph::Response { status: Some(101), content_type: None, schema: None }],
            false => self.answers(source),
        };
    }

    /// The name of an extractor or answer that is known by it.
    fn known_name<'m>(&self, meaning: &'m Meaning<'a>) -> Option<&'m str> {
        match meaning {
            Meaning::Bis(name) => Some(name),
            Meaning::Foreign(package, name) if KNOWN_PACKAGES.contains(&&**package) => Some(name),
            _ => None,
        }
    }

    /// Notes that the source does not show what a type takes or answers with.
    fn unseen(&mut self, (module, range): (ModuleId, Range), message: String, help: &str) {
        let here = position(&self.assembly.resolver.tree.modules[module].file, range);
        self.found.push(Diagnostic::warning(codes::UNSEEN_INTERFACE, here, message).help(help));
    }
}

/// The schemas of an endpoint.
fn schemas(endpoint: &Endpoint) -> impl Iterator<Item = &Value> {
    let parameters = endpoint.parameters.iter().map(|parameter| &parameter.schema);
    let body = endpoint.body.iter().filter_map(|body| body.schema.as_ref());
    let responses = endpoint.responses.iter().filter_map(|response| response.schema.as_ref());
    parameters.chain(body).chain(responses)
}

fn schemas_mut(endpoint: &mut Endpoint) -> impl Iterator<Item = &mut Value> {
    let parameters = endpoint.parameters.iter_mut().map(|parameter| &mut parameter.schema);
    let body = endpoint.body.iter_mut().filter_map(|body| body.schema.as_mut());
    let responses = endpoint.responses.iter_mut().filter_map(|response| response.schema.as_mut());
    parameters.chain(body).chain(responses)
}

/// The first paragraph of a comment in one line, and the rest.
pub(super) fn summary(docs: &Docs) -> (Option<String>, Option<String>) {
    let Some(text) = &docs.text else { return (None, None) };
    let (first, rest) = text.split_once("\n\n").unwrap_or((text, ""));
    let rest = rest.trim_matches('\n');
    (Some(first.lines().collect::<Vec<_>>().join(" ")), (!rest.is_empty()).then(|| rest.to_owned()))
}
