//! What the grammar takes, what it refuses, and that it refuses everything at once.

use bis_syntax::{
    ApiArgs, AppArgs, AuthArgs, BackgroundArgs, Declaration, Errors, EventInput, Handler, Hook, MountArgs,
    ResourceChain, ResourceKind, ServiceArgs, Shape, SubscriptionArgs, TestArgs, app_name, closest,
    declaration, kebab_case, rename,
};
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

fn tokens(text: &str) -> TokenStream {
    text.parse().expect("a test writes tokens")
}

/// The mistakes that a parser finds, each with its remedy.
fn mistakes<T>(text: &str, parse: impl Fn(TokenStream, &mut Errors) -> T) -> Vec<String> {
    let mut errors = Errors::new();
    parse(tokens(text), &mut errors);
    errors
        .into_vec()
        .into_iter()
        .map(|error| match error.help {
            Some(help) => format!("{}: {help}", error.message),
            None => error.message,
        })
        .collect()
}

#[test]
fn subscriptions_that_are_right() {
    for right in [
        "PLACED",
        "orders::PLACED",
        "crate::orders::PLACED, name = \"ship\"",
        "::shop::PLACED, retry(max = 1, min_backoff = \"1s\", max_backoff = \"1s\"), timeout = \"1h30m\",",
        "PLACED, concurrency = 1, batch(max = 10, wait = \"5ms\")",
    ] {
        assert_eq!(mistakes(right, SubscriptionArgs::parse), [""; 0], "{right}");
    }
}

/// `text` as a fragment of a `macro_rules!` comes: in an invisible group, here as if through two macros.
fn fragment(text: &str) -> TokenStream {
    let group = |inner| TokenTree::Group(Group::new(Delimiter::None, inner));
    group(group(tokens(text)).into()).into()
}

#[test]
fn fragments_of_macros_read_as_what_they_hold() {
    let mut errors = Errors::new();
    let [topic, name, retry, count, wait, path] =
        ["orders::PLACED", "\"ship\"", "retry(max = 3)", "7", "\"5s\"", "\"/orders\""].map(fragment);
    let arguments = quote::quote!(#topic, name = #name, #retry, concurrency = #count, timeout = #wait);
    let args = SubscriptionArgs::parse(arguments, &mut errors).unwrap();
    assert_eq!(args.name.unwrap().text, "ship");
    assert_eq!(args.retry.unwrap().max.unwrap().value, 3);
    assert_eq!(args.concurrency.unwrap().value, 7);
    assert_eq!(args.timeout.unwrap().value.as_secs(), 5);
    let [method, access] = ["GET", "public"].map(fragment);
    assert!(ApiArgs::parse(quote::quote!(#method, #path, #access), &mut errors).is_some());
    assert!(MountArgs::parse(path, &mut errors).is_some());
    assert_eq!(ServiceArgs::parse(name.clone(), &mut errors).unwrap().name.text, "ship");
    let services = AppArgs::parse(quote::quote!(services: [#topic, shipping]), &mut errors).unwrap();
    assert_eq!(services.services.len(), 2);
    assert!(TestArgs::parse(quote::quote!(app = #topic, chaos = #count), &mut errors).is_some());
    let [event, number] = ["Delivery<Placed>", "u64"].map(fragment);
    let function = syn::parse2(quote::quote!(async fn ship(_: Vec<#event>) -> Result<()> {})).unwrap();
    assert_eq!(Handler::parse(&function, None, &mut errors).unwrap().shape, Shape::DeliveryBatch);
    let event = quote::quote!(struct Placed { #[event(key)] #[serde(rename = #name)] id: #number });
    let event = EventInput::parse(&syn::parse2(event).unwrap(), &mut errors);
    assert_eq!(event.key.unwrap().json_name, "ship");
    assert!(errors.is_empty(), "{errors:?}");
    for borrowed in ["&Placed", "[Placed]", "&[Placed]"].map(fragment) {
        let function = syn::parse2(quote::quote!(async fn ship(_: #borrowed) -> Result<()> {})).unwrap();
        let mut errors = Errors::new();
        assert!(Handler::parse(&function, None, &mut errors).is_none());
        assert_eq!(errors.len(), 1, "{errors:?}");
    }
}

#[test]
fn subscriptions_report_every_mistake() {
    assert_eq!(
        mistakes(
            "PLACED, nam = \"x\", timeout = 5, timeout = \"5 sec\", retry = 3, batch(size = 1), concurrency = 0, junk",
            SubscriptionArgs::parse
        ),
        [
            "`#[subscription]` has no option `nam`: did you mean `name`?",
            "`timeout` must be a string literal, not `5`: write `\"30s\"`",
            "`timeout` is given twice: keep one of them",
            "`retry` is written in another way in `#[subscription]`: write `retry(max = 5)`",
            "`batch(..)` has no option `size`: it has `max` and `wait`",
            "`concurrency` must be a whole number from 1 to 65535, not `0`: write `concurrency = 100`",
            "unexpected `junk`: `#[subscription]` has `name`, `retry`, `timeout`, `concurrency` and `batch`",
        ]
    );
    let none = mistakes("", SubscriptionArgs::parse);
    assert!(none[0].starts_with("`#[subscription]` names no topic"), "{none:?}");
    let longer = mistakes("P, retry(min_backoff = \"2m\", max_backoff = \"1m\")", SubscriptionArgs::parse);
    assert!(longer[0].starts_with("`min_backoff` (2m) is longer than `max_backoff` (1m)"), "{longer:?}");
}

#[test]
fn bad_durations_are_answered_with_good_ones() {
    for (bad, good) in
        [("10 minutes", "10m"), ("5 sec", "5s"), ("30", "30s"), ("2 Hours", "2h"), ("7days", "7d")]
    {
        let found = mistakes(&format!("P, timeout = {bad:?}"), SubscriptionArgs::parse);
        assert_eq!(found, [format!("`{bad}` is not a duration: write `\"{good}\"`")]);
    }
    let found = mistakes("P, timeout = \"soon\"", SubscriptionArgs::parse);
    assert!(found[0].contains("a whole number and a unit"), "{found:?}");
}

#[test]
fn endpoints_and_mounts() {
    assert_eq!(mistakes("GET, \"/orders/{id}/{*rest}\", private", ApiArgs::parse), [""; 0]);
    assert_eq!(mistakes("GET, \"/orders\", auth", ApiArgs::parse), [""; 0]);
    assert_eq!(mistakes("\"/files\"", MountArgs::parse), [""; 0]);
    for (wrong, part) in [
        ("GTE, \"/a\", public", "write `GET`"),
        ("GET, \"/a/<id>\", public", "write `{id}`"),
        ("GET, \"/{id}/{id}\", public", "appears twice"),
        ("GET, \"/a?b\", public", "`Query`"),
        ("GET, \"/a\", users", "`auth` for the app's users"),
        ("GET, \"/a\"", "who may call it"),
        ("GET, \"/a\", public, more", "unexpected `more`"),
        ("GET, \"/v{n}\", public", "a whole segment"),
    ] {
        let found = mistakes(wrong, ApiArgs::parse).join("\n");
        assert!(found.contains(part), "{wrong}: {found}");
    }
    for wrong in ["\"files\"", "\"/files/\"", "\"/{id}\"", "files"] {
        assert_eq!(mistakes(wrong, MountArgs::parse).len(), 1, "{wrong}");
    }
}

#[test]
fn authentication() {
    let mistakes = |text: &str| {
        let parse = |tokens, errors: &mut Errors| Some(AuthArgs::parse(tokens, errors));
        mistakes(text, parse).join("\n")
    };
    assert_eq!(mistakes(""), "");
    assert_eq!(mistakes("challenge = \"Basic realm=\\\"shop\\\"\""), "");
    for (wrong, part) in [
        ("challenge = \"\"", "is not a challenge"),
        ("challenge = \"Bearer\\nX: y\"", "`Bearer\\nX: y` is not a challenge"),
        ("challenge = \"Básic\"", "in ASCII"),
        ("challenge = 7", "a string literal"),
        ("challenge(\"Basic\")", "write `challenge ="),
        ("chalenge = \"Basic\"", "did you mean `challenge`?"),
        ("public", "unexpected `public`"),
    ] {
        let found = mistakes(wrong);
        assert!(found.contains(part), "{wrong}: {found}");
    }
}

#[test]
fn apps_services_and_tests() {
    assert_eq!(mistakes("services: [a, b::c, other_crate]", AppArgs::parse), [""; 0]);
    for wrong in ["services: []", "service: [a]", "[a]", "services: [a, a]", "services: [a] more"] {
        assert_eq!(mistakes(wrong, AppArgs::parse).len(), 1, "{wrong}");
    }
    let found = mistakes("\"My Orders\"", ServiceArgs::parse);
    assert!(found[0].ends_with("write `\"my-orders\"`"), "{found:?}");
    assert_eq!(mistakes("orders", ServiceArgs::parse).len(), 1);
    for right in ["app = shop::app", ""] {
        assert_eq!(mistakes(right, TestArgs::parse), [""; 0]);
    }
    for wrong in ["shop::app", "app(shop)", "apps = shop::app"] {
        assert_eq!(mistakes(wrong, TestArgs::parse).len(), 1, "{wrong}");
    }
    assert_eq!((app_name("my_shop").as_str(), app_name("9").as_str()), ("my-shop", "app"));
}

#[test]
fn handlers_by_what_they_take() {
    for (parameter, shape, event) in [
        ("OrderPlaced", Shape::Event, "OrderPlaced"),
        ("bis::Delivery<a::OrderPlaced>", Shape::Delivery, "a :: OrderPlaced"),
        ("Vec<OrderPlaced>", Shape::Batch, "OrderPlaced"),
        ("Vec<Delivery<OrderPlaced>>", Shape::DeliveryBatch, "OrderPlaced"),
    ] {
        let mut errors = Errors::new();
        let function = format!("async fn f(e: {parameter}) -> Result<()> {{ Ok(()) }}");
        let handler = Handler::parse(&syn::parse_str(&function).unwrap(), None, &mut errors).unwrap();
        let written = &handler.event;
        assert_eq!((handler.shape, quote::quote!(#written).to_string().as_str()), (shape, event));
        assert!(errors.is_empty(), "{parameter}");
    }
    for wrong in [
        "fn f(e: E) -> Result<()> {}",
        "async fn f() -> Result<()> {}",
        "async fn f(a: A, b: B) -> Result<()> {}",
        "async fn f(&self) -> Result<()> {}",
        "async fn f(e: &E) -> Result<()> {}",
        "async fn f(e: E) {}",
        "async fn f<T>(e: T) -> Result<()> {}",
        "async fn f(e: &[E]) -> Result<()> {}",
        "async fn f(e: Box<[Delivery<E>]>) -> Result<()> {}",
        "async fn f(e: Vec<Self>) -> Result<()> {}",
        "async fn f(self) -> Result<Self> {}",
        "async fn f(e: E) -> Result<()> { Self::g(Self::H).await }",
    ] {
        let parse = |tokens, errors: &mut Errors| {
            Handler::parse(&syn::parse2(tokens).unwrap(), None, errors);
        };
        assert_eq!(mistakes(wrong, parse).len(), 1, "{wrong}");
    }
    let own_self = "async fn f(e: E) -> Result<()> { impl A { fn g() -> Self { Self } } Ok(()) }";
    let mut errors = Errors::new();
    Handler::parse(&syn::parse_str(own_self).unwrap(), None, &mut errors);
    assert!(errors.is_empty(), "{errors:?}");
}

#[test]
fn events_with_their_fields() {
    let mut errors = Errors::new();
    let input = "#[serde(rename_all = \"camelCase\")] struct E {
        #[event(key)] order_id: u64,
        #[event(attribute)] #[serde(rename = \"zone\")] region: String,
        #[event(sensitive)] r#type: String,
        #[event(schema = \"{}\")] odd: Odd,
    }";
    let event = EventInput::parse(&syn::parse_str(input).unwrap(), &mut errors);
    assert!(errors.is_empty());
    assert_eq!(event.key.unwrap().json_name, "orderId");
    assert_eq!(event.attributes[0].json_name, "zone");
    assert_eq!(event.sensitive[0], "type");
    assert_eq!(event.field_schemas[0].1.value(), "{}");

    for wrong in [
        "struct E { #[event(key)] a: A, #[event(key)] b: B }",
        "struct E { #[event(kee)] a: A }",
        "struct E { #[event] a: A }",
        "struct E { #[event(attribute, sensitive)] a: A }",
        "#[event(key)] struct E { a: A }",
        "enum E { A { #[event(key)] a: A } }",
        "struct E<'a> { a: &'a str }",
        "struct E { #[event(schema)] a: A }",
        "struct E { #[event(validate)] a: A }",
        "#[event(validate = \"x\")] struct E { a: A }",
        "#[event(validate(x))] struct E { a: A }",
        "#[event(validate, validate)] struct E { a: A }",
    ] {
        let parse = |tokens, errors: &mut Errors| EventInput::parse(&syn::parse2(tokens).unwrap(), errors);
        assert_eq!(mistakes(wrong, parse).len(), 1, "{wrong}");
    }
}

#[test]
fn functions_that_the_app_calls_take_nothing_but_a_restart_policy() {
    for right in [
        "",
        "restart()",
        "restart(min_backoff = \"5s\")",
        "restart(min_backoff = \"1h\", max_backoff = \"1h\"),",
    ] {
        assert_eq!(mistakes(right, BackgroundArgs::parse), [""; 0], "{right}");
    }
    let policy = BackgroundArgs::parse(tokens("restart(max_backoff = \"5m\")"), &mut Errors::new()).policy();
    assert_eq!((policy.min_backoff.as_secs(), policy.max_backoff.as_secs()), (1, 300));
    for wrong in [
        "1s",
        "restart",
        "restart = \"1s\"",
        "retry(min_backoff = \"1s\")",
        "restart(), restart()",
        "restart(max = 5)",
        "restart(\"1s\")",
        "restart(min_backoff(\"1s\"))",
        "restart(min_backoff = \"0s\")",
        "restart(max_backoff = \"10ms\")",
    ] {
        assert_eq!(mistakes(wrong, BackgroundArgs::parse).len(), 1, "{wrong}");
    }
    for hook in [Hook::OnStart, Hook::OnStop] {
        let parse = |tokens, errors: &mut Errors| hook.check_arguments(&tokens, errors);
        assert_eq!(mistakes("", parse), [""; 0]);
        assert_eq!(mistakes("early, late", parse).len(), 1);
    }
}

#[test]
fn signatures_of_functions_that_the_app_calls() {
    for (function, expected) in [
        ("pub async fn a() -> Result<()> {}", 0),
        ("async fn a() -> Result<(), Failed> {}", 0),
        ("fn a() -> Result<()> {}", 1),
        ("async fn a(b: u8, c: u8) -> Result<()> {}", 1),
        ("async fn a(&self) -> Result<()> {}", 1),
        ("async fn a<T>() -> Result<()> {}", 1),
        ("async fn a() -> Result<()> { Self::b() }", 1),
        ("async fn a() {}", 1),
        ("fn a<T>(b: u8) {}", 4),
    ] {
        let parse =
            |tokens, errors: &mut Errors| Hook::OnStart.function(&syn::parse2(tokens).unwrap(), errors);
        assert_eq!(mistakes(function, parse).len(), expected, "{function}");
        let parse =
            |tokens, errors: &mut Errors| BackgroundArgs::function(&syn::parse2(tokens).unwrap(), errors);
        assert_eq!(mistakes(function, parse).len(), expected, "{function}");
    }
}

#[test]
fn resources_are_built_in_place() {
    let calls = |source: &str| {
        let value = syn::parse_str(source).unwrap();
        ResourceChain::parse(&value)
            .map(|chain| chain.calls.iter().map(|call| call.method.to_string()).collect::<Vec<_>>())
    };
    let some = |calls: &[&str]| Some(calls.iter().map(ToString::to_string).collect());
    assert_eq!(calls("Topic::new(\"a\").ordered().retention(KEEP)"), some(&["ordered", "retention"]));
    assert_eq!(calls("bis::Topic::<E>::new(NAME)"), some(&[]));
    assert_eq!(calls("make()"), None);
}

#[test]
fn kinds_of_resources_are_told_apart() {
    let topic = Declaration::of_type("Topic").unwrap();
    assert_eq!(Declaration::of_action("publish"), Some(topic));
    assert_eq!((Declaration::of_type("Tropic"), Declaration::of_action("push")), (None, None));
    let resource = Declaration::of_type("Resource").unwrap();
    assert_eq!((Declaration::of_action("ready"), resource.made_by), (Some(resource), Some("resource")));
    assert_eq!(topic.option_mistake("ordered"), None);
    let mistake = topic.option_mistake("order").unwrap();
    assert_eq!(mistake, ("a topic has no option `order`".to_owned(), "did you mean `ordered`?".to_owned()));
    for kind in ResourceKind::ALL {
        let row = declaration(*kind);
        assert_eq!((row.kind, Declaration::of_type(row.type_name)), (*kind, Some(row)));
    }
}

#[test]
fn names_and_rules_of_serde() {
    assert_eq!(kebab_case("HTTPServer2Go"), "httpserver2-go");
    assert_eq!(kebab_case("__a__b__"), "a-b");
    assert_eq!(closest("retyr", ["retry", "timeout"]), Some("retry"));
    assert_eq!(closest("colour", ["retry", "timeout"]), None);
    for (rule, field, variant) in [
        ("lowercase", "order_id", "orderplaced"),
        ("UPPERCASE", "ORDER_ID", "ORDERPLACED"),
        ("PascalCase", "OrderId", "OrderPlaced"),
        ("camelCase", "orderId", "orderPlaced"),
        ("snake_case", "order_id", "order_placed"),
        ("SCREAMING_SNAKE_CASE", "ORDER_ID", "ORDER_PLACED"),
        ("kebab-case", "order-id", "order-placed"),
        ("SCREAMING-KEBAB-CASE", "ORDER-ID", "ORDER-PLACED"),
    ] {
        assert_eq!(rename::field("order_id", Some(rule)), field, "{rule}");
        assert_eq!(rename::variant("OrderPlaced", Some(rule)), variant, "{rule}");
    }
}
