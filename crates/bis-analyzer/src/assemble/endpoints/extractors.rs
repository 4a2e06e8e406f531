//! What endpoints take: the parameters of their functions as parameters of the path, the query and headers, and as a body.

use bis_core::route;
use bis_graph::{Endpoint, Parameter, ParameterPlace, RequestBody};
use serde_json::{Value, json};

use super::{EndpointRef, Interfaces};
use crate::{
    schema::Side,
    summary::{Range, Ty},
    tree::ModuleId,
    typed::{Meaning, Typed},
};

/// Extractors that are not a parameter of the API: what a request is, what the server knows about it, and who sent it.
const NO_PARAMETERS: [&str; 20] = [
    "Auth",
    "ConnectInfo",
    "CookieJar",
    "Extension",
    "Extensions",
    "HeaderMap",
    "Host",
    "MatchedPath",
    "Method",
    "NestedPath",
    "OriginalUri",
    "Parts",
    "PrivateCookieJar",
    "RawPathParams",
    "RawQuery",
    "Scheme",
    "SignedCookieJar",
    "State",
    "Uri",
    "Version",
];

/// Extractors around another one, which is their first type argument.
const WRAPPERS: [&str; 6] = ["Valid", "Validated", "Garde", "ValidEx", "Cached", "WithRejection"];

const HELP: &str = "take what it reads as `Path`, `Query`, `TypedHeader` or `Json`, or write `#[bis::allow(BIS0070)]` on the endpoint if the graph may lack it";

/// What one extraction is part of.
#[derive(Clone, Copy)]
struct Context<'e> {
    route: &'e str,
    /// Whether a request of the endpoint's method has no meaningful body.
    is_bodiless: bool,
    range: (ModuleId, Range),
    required: bool,
}

/// What has been taken.
#[derive(Default)]
struct Taken {
    parameters: Vec<Parameter>,
    body: Option<RequestBody>,
    /// Whether the connection is taken over by another protocol.
    upgrades: bool,
}

impl<'a> Interfaces<'_, '_, 'a> {
    /// Fills in the parameters and the body of an endpoint. Returns whether it takes over the connection.
    pub(super) fn take(&mut self, endpoint: &mut Endpoint, source: &EndpointRef<'a>) -> bool {
        let mut taken = Taken::default();
        let is_bodiless = matches!(endpoint.method.as_str(), "GET" | "HEAD");
        for (ty, range) in &source.signature.parameters {
            let range = (source.module, *range);
            let context = Context { route: &endpoint.path, is_bodiless, range, required: true };
            self.extractor(Typed::new(source.module, ty), context, &mut taken);
        }
        for name in route::parameters(&endpoint.path) {
            let is_it = |one: &Parameter| one.place == ParameterPlace::Path && one.name == name;
            if !taken.parameters.iter().any(is_it) {
                let schema = json!({ "type": "string" });
                taken.parameters.push(parameter(ParameterPlace::Path, name, true, schema));
            }
        }
        let order = |one: &Parameter| {
            let index = route::parameters(&endpoint.path).position(|name| name == one.name);
            (one.place, index.filter(|_| one.place == ParameterPlace::Path))
        };
        taken.parameters.sort_by_key(order);
        endpoint.parameters = taken.parameters;
        endpoint.body = taken.body;
        taken.upgrades
    }

    fn extractor(&mut self, ty: Typed<'a>, context: Context<'_>, taken: &mut Taken) {
        let (ty, meaning) = ty.follow(self.assembly.resolver);
        let Some(name) = self.known_name(&meaning) else {
            match (meaning, ty.ty) {
                (Meaning::Nameless, Ty::Tuple(parts)) => {
                    parts.iter().for_each(|part| self.extractor(ty.scope.typed(part), context, taken));
                }
                (Meaning::Unknown | Meaning::Nothing, _) => {}
                _ => self.unseen_extractor(&ty, context),
            }
            return;
        };
        match (name, ty.argument(0)) {
            ("Path", Some(inner)) => self.path(&inner, context, taken),
            ("Query", Some(inner)) => self.query(&inner, context, taken),
            ("Form", Some(inner)) if context.is_bodiless => self.query(&inner, context, taken),
            ("Form", Some(inner)) => {
                let schema = self.builder.document(&inner, Side::Text, context.range);
                taken.set_body("application/x-www-form-urlencoded", Some(schema), context);
            }
            ("Json", Some(inner)) => {
                let schema = self.builder.document(&inner, Side::Read, context.range);
                taken.set_body("application/json", Some(schema), context);
            }
            ("TypedHeader", Some(inner)) => self.header(inner, context, taken),
            ("Option" | "Result", Some(inner)) => {
                self.extractor(inner, Context { required: false, ..context }, taken);
            }
            ("OptionalQuery", Some(inner)) => {
                self.query(&inner, Context { required: false, ..context }, taken);
            }
            (wrapper, Some(inner)) if WRAPPERS.contains(&wrapper) => self.extractor(inner, context, taken),
            ("String", None) => taken.set_body("text/plain", Some(json!({ "type": "string" })), context),
            ("Bytes" | "BytesMut", None) => taken.set_body("application/octet-stream", None, context),
            ("RawForm", None) => taken.set_body("application/x-www-form-urlencoded", None, context),
            ("Multipart", None) => {
                taken.set_body("multipart/form-data", Some(json!({ "type": "object" })), context);
            }
            ("Request" | "Body", _) if context.is_bodiless => {}
            ("Request" | "Body", _) => taken.set_body("*/*", None, Context { required: false, ..context }),
            ("WebSocketUpgrade", _) => taken.upgrades = true,
            (name, _) if NO_PARAMETERS.contains(&name) => {}
            _ => self.unseen_extractor(&ty, context),
        }
    }

    fn unseen_extractor(&mut self, ty: &Typed<'a>, context: Context<'_>) {
        let message = format!("what `{}` reads from a request cannot be seen from the source", ty.text());
        self.unseen(context.range, message, HELP);
    }

    /// The parameters of the path, by name or in their order.
    fn path(&mut self, ty: &Typed<'a>, context: Context<'_>, taken: &mut Taken) {
        let schema = self.builder.document(ty, Side::Text, context.range);
        let whole = self.builder.resolved(&schema);
        let count = route::parameters(context.route).count();
        for (index, name) in route::parameters(context.route).enumerate() {
            let part = match whole.get("properties") {
                Some(fields) => fields.get(name),
                None => {
                    match (whole.get("prefixItems"), whole.get("additionalProperties"), whole.get("items")) {
                        (Some(parts), ..) => parts.get(index),
                        (None, Some(values), _) => Some(values),
                        (None, None, Some(items)) => Some(items),
                        _ => (count == 1).then_some(&schema),
                    }
                }
            };
            if let Some(part) = part {
                taken.parameters.push(parameter(ParameterPlace::Path, name, true, part.clone()));
            }
        }
    }

    /// The parameters of the query: the fields of a struct, or else one object of all of them.
    fn query(&mut self, ty: &Typed<'a>, context: Context<'_>, taken: &mut Taken) {
        let schema = self.builder.document(ty, Side::Text, context.range);
        let mut fields = Vec::new();
        match self.fields(&schema, context.required, &mut fields) {
            true => taken.parameters.extend(fields),
            false => taken.parameters.push(parameter(ParameterPlace::Query, "query", false, schema)),
        }
    }

    /// The fields of an object, those that are flattened into it included; `false` when it has others as well.
    fn fields(&self, schema: &Value, required: bool, fields: &mut Vec<Parameter>) -> bool {
        let schema = self.builder.resolved(schema);
        let Some(Value::Object(properties)) = schema.get("properties") else { return false };
        let needed = schema.get("required").and_then(Value::as_array);
        for (name, field) in properties {
            let is_needed = needed.is_some_and(|needed| needed.iter().any(|one| one == name));
            fields.push(parameter(ParameterPlace::Query, name, required && is_needed, field.clone()));
        }
        let others = ["additionalProperties", "unevaluatedProperties"];
        if others.iter().any(|key| schema.get(key).is_some_and(Value::is_object)) {
            return false;
        }
        let parts = schema.get("allOf").and_then(Value::as_array);
        parts.into_iter().flatten().all(|part| match part.get("anyOf").and_then(|forms| forms.get(0)) {
            Some(optional) => self.fields(optional, false, fields),
            None => self.fields(part, required, fields),
        })
    }

    fn header(&mut self, ty: Typed<'a>, context: Context<'_>, taken: &mut Taken) {
        let (ty, meaning) = ty.follow(self.assembly.resolver);
        match self.known_name(&meaning).and_then(header_name) {
            Some(name) => {
                let schema = json!({ "type": "string" });
                taken.parameters.push(parameter(ParameterPlace::Header, name, context.required, schema));
            }
            None => self.unseen_extractor(&ty, context),
        }
    }
}

impl Taken {
    fn set_body(&mut self, content_type: &str, schema: Option<Value>, context: Context<'_>) {
        let content_type = content_type.to_owned();
        self.body = Some(RequestBody { required: context.required, content_type, schema });
    }
}

/// A parameter, which takes over what its schema says about it. A text is never null.
fn parameter(place: ParameterPlace, name: &str, required: bool, schema: Value) -> Parameter {
    let mut schema = without_null(schema);
    let mut noted = |key: &str| schema.as_object_mut().and_then(|object| object.remove(key));
    let description = match noted("description") {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    let deprecated = noted("deprecated").is_some();
    Parameter { name: name.to_owned(), place, required, description, deprecated, schema }
}

fn without_null(mut schema: Value) -> Value {
    let is_null = |value: &Value| *value == json!("null") || *value == json!({ "type": "null" });
    let Some(object) = schema.as_object_mut() else { return schema };
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|one| !is_null(one));
        if let [one] = &types[..] {
            object["type"] = one.clone();
        }
    }
    if let Some(Value::Array(mut forms)) = object.remove("anyOf") {
        forms.retain(|form| !is_null(form));
        match (forms.len(), forms.pop()) {
            (1, Some(Value::Object(form))) => object.extend(form),
            (_, last) => {
                forms.extend(last);
                object.insert("anyOf".to_owned(), Value::Array(forms));
            }
        }
    }
    schema
}

/// The header of a type of the crate `headers`.
fn header_name(ty: &str) -> Option<&'static str> {
    Some(match ty {
        "AcceptRanges" => "accept-ranges",
        "Authorization" => "authorization",
        "CacheControl" => "cache-control",
        "Connection" => "connection",
        "ContentDisposition" => "content-disposition",
        "ContentEncoding" => "content-encoding",
        "ContentLength" => "content-length",
        "ContentLocation" => "content-location",
        "ContentRange" => "content-range",
        "ContentType" => "content-type",
        "Cookie" => "cookie",
        "Date" => "date",
        "ETag" => "etag",
        "Expect" => "expect",
        "Host" => "host",
        "IfMatch" => "if-match",
        "IfModifiedSince" => "if-modified-since",
        "IfNoneMatch" => "if-none-match",
        "IfRange" => "if-range",
        "IfUnmodifiedSince" => "if-unmodified-since",
        "LastModified" => "last-modified",
        "Origin" => "origin",
        "Pragma" => "pragma",
        "ProxyAuthorization" => "proxy-authorization",
        "Range" => "range",
        "Referer" => "referer",
        "Te" => "te",
        "TransferEncoding" => "transfer-encoding",
        "Upgrade" => "upgrade",
        "UserAgent" => "user-agent",
        _ => return None,
    })
}
