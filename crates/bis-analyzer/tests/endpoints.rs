//! What endpoints take and answer with, from their signatures and the types in them.

mod common;

use common::interfaces;

/// A service with a few types.
const ORDERS: &str = r#"
//- src/orders.rs
use bis::prelude::*;
use uuid::Uuid;
bis::service!("orders");

#[derive(Serialize, Deserialize)]
pub struct Order { pub id: Uuid, pub note: Option<String> }
#[derive(Deserialize)]
pub struct Filter { #[serde(default)] pub at_least: u32, pub country: String, pub after: Option<Uuid> }
"#;

/// Checks the interfaces of the endpoints in a source beside [`ORDERS`], without findings.
#[track_caller]
fn check(source: &str, expected: &str) {
    let analysis = common::analyze(&format!("{ORDERS}{source}"));
    assert_eq!(common::text(&analysis), "");
    let expected: Vec<&str> = expected.trim().lines().map(str::trim_end).collect();
    let found = interfaces(&analysis.graph);
    assert_eq!(found.trim().lines().collect::<Vec<_>>(), expected, "\n{found}");
}

/// Checks what an endpoint that takes this has, schemas aside.
#[track_caller]
fn check_taken(path: &str, taken: &str, expected: &str) {
    let source =
        format!("#[api(POST, \"{path}\", public)]\nasync fn at({taken}) -> Result<()> {{ Ok(()) }}\n");
    let analysis = common::analyze(&format!("{ORDERS}{source}"));
    assert_eq!(common::text(&analysis), "", "{taken}");
    let found = interfaces(&analysis.graph);
    let lines = found.lines().skip(1).filter(|line| line.starts_with("  ") && *line != "  200");
    let found: Vec<&str> = lines.map(str::trim).collect();
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(found, expected, "{taken}");
}

/// Checks how an endpoint that returns this answers.
#[track_caller]
fn check_answer(returned: &str, body: &str, expected: &str) {
    let source = format!("#[api(POST, \"/\", public)]\nasync fn at() -> {returned} {{ {body} }}\n");
    let analysis = common::analyze(&format!("{ORDERS}{source}"));
    assert_eq!(common::text(&analysis), "", "{returned}");
    let found = interfaces(&analysis.graph);
    let lines = found.lines().skip(1).filter(|line| line.starts_with("  "));
    let found: Vec<&str> = lines.map(str::trim).collect();
    let expected: Vec<&str> = expected.split(" | ").collect();
    assert_eq!(found, expected, "{returned}");
}

#[test]
fn an_endpoint_with_everything() {
    check(
        r#"
/// Places an order.
///
/// The parcel leaves once it is paid.
#[deprecated]
#[api(POST, "/shops/{shop}/orders", public)]
async fn place(
    Path(shop): Path<u64>,
    Query(filter): Query<Filter>,
    TypedHeader(agent): TypedHeader<UserAgent>,
    Json(order): Json<Order>,
) -> Result<(StatusCode, Json<Order>)> {
    Ok((StatusCode::CREATED, Json(order)))
}
"#,
        r##"
POST /shops/{shop}/orders
  path shop: {"minimum":0,"type":"integer"}
  query after?: {"format":"uuid","type":"string"}
  query at_least?: {"maximum":4294967295,"minimum":0,"type":"integer"}
  query country: {"type":"string"}
  header user-agent: {"type":"string"}
  body application/json: {"$ref":"#/schemas/Order-Input"}
  201 application/json: {"$ref":"#/schemas/Order"}
Order = {"properties":{"id":{"format":"uuid","type":"string"},"note":{"type":["string","null"]}},"required":["id","note"],"type":"object"}
Order-Input = {"properties":{"id":{"format":"uuid","type":"string"},"note":{"type":["string","null"]}},"required":["id"],"type":"object"}
"##,
    );
}

#[test]
fn extractors() {
    let uuid = r#"{"format":"uuid","type":"string"}"#;
    let text = r#"{"type":"string"}"#;
    check_taken("/{id}", "", &format!("path id: {text}"));
    check_taken("/{id}", "Path(id): Path<Uuid>", &format!("path id: {uuid}"));
    check_taken("/{*rest}", "Path(rest): Path<String>", &format!("path rest: {text}"));
    check_taken("/{a}/{b}", "Path((b, a)): Path<(Uuid, String)>", &format!("path a: {uuid}\npath b: {text}"));
    check_taken(
        "/{country}/{after}",
        "Path(filter): Path<Filter>",
        &format!("path country: {text}\npath after: {uuid}"),
    );
    check_taken("/{a}", "id: Option<Path<Uuid>>", &format!("path a: {uuid}"));
    check_taken(
        "/{a}/{b}",
        "Path(all): Path<std::collections::HashMap<String, Uuid>>",
        &format!("path a: {uuid}\npath b: {uuid}"),
    );
    check_taken(
        "/",
        "Query(all): Query<std::collections::HashMap<String, u8>>",
        r#"query query?: {"additionalProperties":{"maximum":255,"minimum":0,"type":"integer"},"type":"object"}"#,
    );
    check_taken(
        "/",
        "Json(ids): Json<Vec<Uuid>>",
        &format!(r#"body application/json: {{"items":{uuid},"type":"array"}}"#),
    );
    check_taken(
        "/",
        "order: Option<Json<u8>>",
        r#"body? application/json: {"maximum":255,"minimum":0,"type":"integer"}"#,
    );
    check_taken(
        "/",
        "order: Result<Json<bool>, axum::extract::rejection::JsonRejection>",
        r#"body? application/json: {"type":"boolean"}"#,
    );
    check_taken("/", "Valid(Json(flag)): Valid<Json<bool>>", r#"body application/json: {"type":"boolean"}"#);
    check_taken(
        "/",
        "form: axum::Form<Order>",
        r##"body application/x-www-form-urlencoded: {"$ref":"#/schemas/Order"}"##,
    );
    check_taken("/", "text: String", &format!("body text/plain: {text}"));
    check_taken("/", "bytes: Bytes", "body application/octet-stream");
    check_taken("/", "files: axum::extract::Multipart", r#"body multipart/form-data: {"type":"object"}"#);
    check_taken("/", "request: Request", "body? */*");
    check_taken("/", "header: TypedHeader<IfMatch>", &format!("header if-match: {text}"));
    check_taken(
        "/",
        "header: Option<TypedHeader<IfMatch>>",
        &format!("header? if-match: {text}").replace("header? if-match", "header if-match?"),
    );
    check_taken("/", "headers: HeaderMap, state: axum::extract::State<u8>, method: Method", "");
    check_taken(
        "/",
        "(headers, Json(flag)): (HeaderMap, Json<bool>)",
        r#"body application/json: {"type":"boolean"}"#,
    );
}

#[test]
fn a_query_on_a_get_may_be_a_form() {
    check(
        "#[api(GET, \"/\", public)]\nasync fn find(Form(filter): Form<Filter>, whole: Request) -> Result<()> { Ok(()) }",
        r#"
GET /
  query after?: {"format":"uuid","type":"string"}
  query at_least?: {"maximum":4294967295,"minimum":0,"type":"integer"}
  query country: {"type":"string"}
  200
"#,
    );
}

#[test]
fn answers() {
    let flag = r#"application/json: {"type":"boolean"}"#;
    check_answer("()", "", "200");
    check_answer("Result<()>", "Ok(())", "200");
    check_answer("Json<bool>", "Json(true)", &format!("200 {flag}"));
    check_answer("Result<Json<bool>, StatusCode>", "Ok(Json(true))", &format!("200 {flag}"));
    check_answer("(HeaderMap, Json<bool>)", "todo()", &format!("200 {flag}"));
    check_answer("([(&'static str, String); 1], Json<bool>)", "todo()", &format!("200 {flag}"));
    check_answer("Result<(StatusCode, Json<bool>)>", "todo()", &format!("- {flag}"));
    check_answer(
        "Result<(StatusCode, HeaderMap, Json<bool>)>",
        "if new { return Ok((StatusCode::ACCEPTED, h, Json(true))); } let status = if old { StatusCode::OK } else { StatusCode::CREATED }; Ok((status, h, Json(true)))",
        &format!("200 {flag} | 201 {flag} | 202 {flag}"),
    );
    check_answer("StatusCode", "match n { 1 => StatusCode::NO_CONTENT, _ => StatusCode::GONE }", "204 | 410");
    check_answer("Result<StatusCode>", "Err(Error::status(StatusCode::CONFLICT, \"no\"))", "-");
    check_answer("NoContent", "NoContent", "204");
    check_answer("Redirect", "Redirect::to(\"/\")", "303");
    check_answer("Result<Redirect>", "Ok(Redirect::permanent(\"/\"))", "308");
    check_answer("Html<String>", "todo()", r#"200 text/html: {"type":"string"}"#);
    check_answer("&'static str", "\"text\"", r#"200 text/plain: {"type":"string"}"#);
    check_answer("Result<String>", "todo()", r#"200 text/plain: {"type":"string"}"#);
    check_answer("Vec<u8>", "todo()", "200 application/octet-stream");
    check_answer("Result<axum::body::Bytes>", "todo()", "200 application/octet-stream");
    check_answer("Sse<impl Stream<Item = Event>>", "todo()", "200 text/event-stream");
    check_answer("axum::response::sse::Sse<Updates>", "todo()", "200 text/event-stream");
}

#[test]
fn a_websocket_is_another_protocol() {
    check(
        "#[api(GET, \"/live\", public)]\nasync fn live(upgrade: WebSocketUpgrade) -> Response { todo() }",
        "GET /live\n  101",
    );
}

#[test]
fn aliases_and_generic_types_have_one_name_each() {
    check(
        r#"
pub mod other {
    use bis::prelude::*;
    #[derive(Serialize)]
    pub struct Order { pub total: i64 }
}
pub type Answer<T> = Result<Json<Page<T>>, StatusCode>;
pub type Body<T> = T;
#[derive(Serialize)]
pub struct Page<T> { pub items: Vec<T>, pub next: Option<Box<Page<T>>> }
#[api(GET, "/a", public)]
async fn a() -> Answer<Order> { todo() }
#[api(GET, "/b", public)]
async fn b() -> Result<Body<Json<Page<other::Order>>>> { todo() }
#[api(GET, "/c", public)]
async fn c() -> Json<Page<Vec<u8>>> { todo() }
"#,
        r##"
GET /a
  200 application/json: {"$ref":"#/schemas/shop.orders.Page-shop.orders.Order"}
GET /b
  200 application/json: {"$ref":"#/schemas/shop.orders.Page-shop.orders.other.Order"}
GET /c
  200 application/json: {"$ref":"#/schemas/Page-Vec-u8"}
Page-Vec-u8 = {"properties":{"items":{"items":{"items":{"maximum":255,"minimum":0,"type":"integer"},"type":"array"},"type":"array"},"next":{"anyOf":[{"$ref":"#/schemas/Page-Vec-u8"},{"type":"null"}]}},"required":["items","next"],"type":"object"}
shop.orders.Order = {"properties":{"id":{"format":"uuid","type":"string"},"note":{"type":["string","null"]}},"required":["id","note"],"type":"object"}
shop.orders.Page-shop.orders.Order = {"properties":{"items":{"items":{"$ref":"#/schemas/shop.orders.Order"},"type":"array"},"next":{"anyOf":[{"$ref":"#/schemas/shop.orders.Page-shop.orders.Order"},{"type":"null"}]}},"required":["items","next"],"type":"object"}
shop.orders.Page-shop.orders.other.Order = {"properties":{"items":{"items":{"$ref":"#/schemas/shop.orders.other.Order"},"type":"array"},"next":{"anyOf":[{"$ref":"#/schemas/shop.orders.Page-shop.orders.other.Order"},{"type":"null"}]}},"required":["items","next"],"type":"object"}
shop.orders.other.Order = {"properties":{"total":{"type":"integer"}},"required":["total"],"type":"object"}
"##,
    );
}

#[test]
fn what_is_read_and_written_alike_has_one_schema() {
    check(
        r#"
#[derive(Serialize, Deserialize)]
pub struct Same { pub a: u64, pub deep: Deep, pub again: Option<Box<Same>> }
#[derive(Serialize, Deserialize)]
pub struct Deep { #[serde(rename(serialize = "out", deserialize = "in"))] pub b: bool }
#[derive(Serialize, Deserialize)]
pub struct Plain { pub c: bool, pub twice: Vec<Plain> }
#[api(POST, "/a", public)]
async fn a(Json(same): Json<Same>) -> Json<Same> { Json(same) }
#[api(POST, "/b", public)]
async fn b(Json(plain): Json<Plain>) -> Json<Plain> { Json(plain) }
"#,
        r##"
POST /a
  body application/json: {"$ref":"#/schemas/Same-Input"}
  200 application/json: {"$ref":"#/schemas/Same"}
POST /b
  body application/json: {"$ref":"#/schemas/Plain"}
  200 application/json: {"$ref":"#/schemas/Plain"}
Deep = {"properties":{"out":{"type":"boolean"}},"required":["out"],"type":"object"}
Deep-Input = {"properties":{"in":{"type":"boolean"}},"required":["in"],"type":"object"}
Plain = {"properties":{"c":{"type":"boolean"},"twice":{"items":{"$ref":"#/schemas/Plain"},"type":"array"}},"required":["c","twice"],"type":"object"}
Same = {"properties":{"a":{"minimum":0,"type":"integer"},"again":{"anyOf":[{"$ref":"#/schemas/Same"},{"type":"null"}]},"deep":{"$ref":"#/schemas/Deep"}},"required":["a","deep","again"],"type":"object"}
Same-Input = {"properties":{"a":{"minimum":0,"type":"integer"},"again":{"anyOf":[{"$ref":"#/schemas/Same-Input"},{"type":"null"}]},"deep":{"$ref":"#/schemas/Deep-Input"}},"required":["a","deep"],"type":"object"}
"##,
    );
}

#[test]
fn comments_and_constraints_are_in_the_schemas() {
    check(
        r#"
/// Who orders.
#[derive(Event, Serialize, Deserialize)]
pub struct Customer {
    /// Where letters go.
    #[event(sensitive)]
    #[garde(email, length(max = 64))]
    pub email: String,
    #[garde(range(min = 18, max = 130))]
    #[deprecated]
    pub age: u8,
    #[validate(length(min = 1), regex(path = "RE"))]
    pub tags: Vec<String>,
    #[garde(pattern(r"^[A-Z]{2}$"))]
    pub country: Option<String>,
    #[garde(inner(length(chars, min = 2)))]
    pub names: Vec<String>,
}
#[derive(Deserialize)]
pub struct Search {
    /// What to look for.
    #[validate(length(min = 3))]
    pub text: String,
}
#[api(POST, "/customers", public)]
async fn add(Query(search): Query<Search>, Json(customer): Json<Customer>) -> Result<()> { Ok(()) }
"#,
        r##"
POST /customers
  query text: {"minLength":3,"type":"string"} // What to look for.
  body application/json: {"$ref":"#/schemas/Customer"}
  200
Customer = {"description":"Who orders.","properties":{"age":{"deprecated":true,"maximum":130,"minimum":18,"type":"integer"},"country":{"pattern":"^[A-Z]{2}$","type":["string","null"]},"email":{"description":"Where letters go.","format":"email","maxLength":64,"type":"string","x-sensitive":true},"names":{"items":{"minLength":2,"type":"string"},"type":"array"},"tags":{"items":{"type":"string"},"minItems":1,"type":"array"}},"required":["email","age","tags","names"],"type":"object"}
"##,
    );
}

#[test]
fn what_cannot_be_seen_is_told_once_per_type() {
    let analysis = common::analyze(&format!(
        "{ORDERS}
pub struct CurrentUser;
pub enum Outcome {{ Done }}
#[api(GET, \"/a\", public)]
async fn a(user: CurrentUser) -> impl IntoResponse {{ \"\" }}
#[api(GET, \"/b\", public)]
async fn b(user: CurrentUser) -> impl IntoResponse {{ \"\" }}
#[bis::allow(BIS0070)]
#[api(GET, \"/c\", public)]
async fn c() -> Outcome {{ Outcome::Done }}
#[api(POST, \"/d\", public)]
async fn d(Json(body): Json<money::Money>) -> Result<Response> {{ todo() }}
"
    ));
    let messages: Vec<&str> = analysis.diagnostics.iter().map(|found| &*found.message).collect();
    assert_eq!(
        messages,
        [
            "what `CurrentUser` reads from a request cannot be seen from the source",
            "what `impl IntoResponse` answers with cannot be seen from the source",
            "the JSON of `money::Money` cannot be seen from the source",
            "what `Response` answers with cannot be seen from the source",
        ]
    );
    assert_eq!(analysis.diagnostics[0].labels.len(), 1);
    let unseen = &analysis.graph.endpoints[2].responses[0];
    assert_eq!((unseen.status, unseen.content_type.as_deref()), (None, Some("*/*")));
}

#[test]
fn comments_are_in_the_graph() {
    let analysis = common::analyze(
        r#"
//- src/orders.rs
//! From the cart
//! to the parcel.
use bis::prelude::*;
bis::service!("orders");
/// An order.
#[derive(Event, Serialize, Deserialize)]
pub struct Placed { pub id: u64 }
/// Orders that were placed.
pub static PLACED: Topic<Placed> = Topic::new("placed");
/// Packs it.
///
/// - carefully
#[subscription(PLACED)]
async fn pack(event: Placed) -> Result<()> { PLACED.publish(&event).await }
/** Shows
 * nothing. */
#[api(GET, "/", public)]
async fn show() -> Result<()> { Ok(()) }
/// What is fixed.
#[mount("/files")]
fn files() -> axum::Router { axum::Router::new() }
//- src/lib.rs
pub mod orders;
/// Letters.
mod mail { bis::service!("mail"); }
bis::app!(services: [orders, mail]);
"#,
    );
    let graph = &analysis.graph;
    assert_eq!(graph.services[0].description.as_deref(), Some("Letters."));
    assert_eq!(graph.services[1].description.as_deref(), Some("From the cart\nto the parcel."));
    assert_eq!(graph.topics[0].description.as_deref(), Some("Orders that were placed."));
    assert_eq!(graph.subscriptions[0].description.as_deref(), Some("Packs it.\n\n- carefully"));
    assert_eq!(graph.events[0].description.as_deref(), Some("An order."));
    assert_eq!(graph.events[0].schema["description"], "An order.");
    assert_eq!(graph.mounts[0].description.as_deref(), Some("What is fixed."));
    assert_eq!(graph.endpoints[0].summary.as_deref(), Some("Shows nothing."));
}

/// What the endpoints of an example take and answer with.
fn example(name: &str) -> String {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
    let analysis = bis_analyzer::analyze(&folder, &bis_analyzer::Options::default());
    assert_eq!(common::text(&analysis), "");
    interfaces(&analysis.graph)
}

#[test]
fn the_shop() {
    insta::assert_snapshot!(example("shop"));
}

#[test]
fn the_ticket_office() {
    insta::assert_snapshot!(example("tickets"));
}
