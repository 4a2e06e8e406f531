//! What endpoints answer with where nothing fails: what their functions return.

use bis_graph::Response;
use serde_json::{Value, json};

use super::{EndpointRef, Interfaces};
use crate::{
    schema::Side,
    summary::{Range, Ty},
    tree::ModuleId,
    typed::{Meaning, Typed},
};

const HELP: &str = "return a type that tells, such as `Result<Json<Order>>` or `Result<(StatusCode, Json<Order>)>`, or write `#[bis::allow(BIS0070)]` on the endpoint if the graph may lack it";

/// What a type answers with.
struct Answer {
    /// `None` when the function determines it.
    status: Option<u16>,
    content_type: Option<&'static str>,
    schema: Option<Value>,
}

impl Answer {
    fn empty(status: Option<u16>) -> Self {
        Self { status, content_type: None, schema: None }
    }

    fn ok(content_type: &'static str, schema: Option<Value>) -> Self {
        Self { status: Some(200), content_type: Some(content_type), schema }
    }

    /// The source does not show it.
    fn hidden() -> Self {
        Self { status: None, content_type: Some("*/*"), schema: None }
    }
}

impl<'a> Interfaces<'_, '_, 'a> {
    /// The answers of an endpoint, one for each status.
    pub(super) fn answers(&mut self, source: &EndpointRef<'a>) -> Vec<Response> {
        let signature = source.signature;
        let answer = match &signature.answer {
            Some((ty, range)) => self.answer(Typed::new(source.module, ty), (source.module, *range)),
            None => Answer::empty(Some(200)),
        };
        let statuses: Vec<Option<u16>> = match answer.status {
            Some(status) => vec![Some(status)],
            None if signature.statuses.is_empty() => vec![None],
            None => signature.statuses.iter().copied().map(Some).collect(),
        };
        let response = |status| Response {
            status,
            content_type: answer.content_type.map(str::to_owned),
            schema: answer.schema.clone(),
        };
        statuses.into_iter().map(response).collect()
    }

    fn answer(&mut self, ty: Typed<'a>, range: (ModuleId, Range)) -> Answer {
        let (ty, meaning) = ty.follow(self.assembly.resolver);
        let text = || Some(json!({ "type": "string" }));
        let Some(name) = self.known_name(&meaning) else {
            return match (meaning, ty.ty) {
                (Meaning::Nameless, Ty::Tuple(parts)) => self.parts(&ty, parts, range),
                (Meaning::Unknown | Meaning::Nothing, _) => Answer::hidden(),
                _ => self.unseen_answer(&ty, range),
            };
        };
        match (name, ty.argument(0)) {
            ("Result", Some(inner)) => self.answer(inner, range),
            ("Json", Some(inner)) => {
                let schema = self.builder.document(&inner, Side::Written, range);
                Answer::ok("application/json", Some(schema))
            }
            ("Form", Some(inner)) => {
                let schema = self.builder.document(&inner, Side::Written, range);
                Answer::ok("application/x-www-form-urlencoded", Some(schema))
            }
            ("Html", _) => Answer::ok("text/html", text()),
            ("Sse", _) => Answer::ok("text/event-stream", None),
            ("String" | "str", None) => Answer::ok("text/plain", text()),
            ("Cow" | "Box", Some(inner)) if matches!(inner.ty, Ty::Path(path, _) if path.last() == "str") => {
                Answer::ok("text/plain", text())
            }
            ("Bytes" | "BytesMut", None) => Answer::ok("application/octet-stream", None),
            ("Vec", Some(inner)) if matches!(inner.ty, Ty::Path(path, _) if path.last() == "u8") => {
                Answer::ok("application/octet-stream", None)
            }
            ("ErasedJson", _) => Answer::ok("application/json", None),
            ("JsonLines", _) => Answer::ok("application/x-ndjson", None),
            ("NoContent", _) => Answer::empty(Some(204)),
            ("StatusCode" | "Redirect", _) => Answer::empty(None),
            ("HeaderMap" | "AppendHeaders" | "TypedHeader", _) => Answer::empty(Some(200)),
            _ => self.unseen_answer(&ty, range),
        }
    }

    /// A tuple: perhaps a status, then headers and the like, then the body.
    fn parts(&mut self, ty: &Typed<'a>, parts: &'a [Ty], range: (ModuleId, Range)) -> Answer {
        let (Some(first), Some(last)) = (parts.first(), parts.last()) else {
            return Answer::empty(Some(200));
        };
        let (_, meaning) = ty.scope.typed(first).follow(self.assembly.resolver);
        let has_status = matches!(self.known_name(&meaning), Some("StatusCode" | "Response" | "Parts"));
        let answer = self.answer(ty.scope.typed(last), range);
        match has_status {
            true => Answer { status: None, ..answer },
            false => answer,
        }
    }

    fn unseen_answer(&mut self, ty: &Typed<'a>, range: (ModuleId, Range)) -> Answer {
        let message = format!("what `{}` answers with cannot be seen from the source", ty.text());
        self.unseen(range, message, HELP);
        Answer::hidden()
    }
}
