//! What each macro expands to, as text: a change of an expansion is a change of these snapshots, seen in review.

use proc_macro2::{Group, TokenStream, TokenTree};
use quote::quote;

use bis_syntax::Hook;

use crate::{app, auth, endpoint, event, lifecycle, mount, resource, subscription, test as harness};

/// The expansion as rustfmt would write it.
#[track_caller]
fn pretty(tokens: TokenStream) -> String {
    let file = syn::parse2(opened(tokens)).expect("an expansion consists of items");
    prettyplease::unparse(&file)
}

/// The tokens with each `inventory::submit! { .. }` as a constant, since the contents of a macro are not formatted.
fn opened(tokens: TokenStream) -> TokenStream {
    const PATH_LEN: usize = 11;
    let mut out: Vec<TokenTree> = Vec::new();
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Ident(ident) if ident == "submit" => {
                tokens.next();
                let entry = tokens.next();
                out.truncate(out.len() - PATH_LEN);
                out.extend(quote!(const SUBMIT: _ = #entry;));
            }
            TokenTree::Group(group) => {
                out.push(Group::new(group.delimiter(), opened(group.stream())).into());
            }
            token => out.push(token),
        }
    }
    out.into_iter().collect()
}

#[core::prelude::v1::test]
fn app_of_two_services() {
    insta::assert_snapshot!(pretty(app::app("web_shop", quote!(services: [orders, other_crate::shipping]))));
}

#[core::prelude::v1::test]
fn service_with_its_name() {
    insta::assert_snapshot!(pretty(app::service(quote!("orders"))));
}

#[core::prelude::v1::test]
fn subscription_with_defaults() {
    let handler = quote! {
        /// Ships.
        async fn ship_order(order: OrderPlaced) -> Result<()> {
            Ok(())
        }
    };
    insta::assert_snapshot!(pretty(subscription::expand(quote!(orders::PLACED), handler)));
}

#[core::prelude::v1::test]
fn subscription_of_batches_with_every_option() {
    let arguments = quote!(
        PLACED,
        name = "ship",
        retry(max = 5, min_backoff = "1s", max_backoff = "5m"),
        timeout = "1m",
        concurrency = 4,
        batch(max = 10, wait = "50ms")
    );
    let handler = quote! {
        pub async fn ship(orders: Vec<Delivery<OrderPlaced>>) -> Result<()> {
            Ok(())
        }
    };
    insta::assert_snapshot!(pretty(subscription::expand(arguments, handler)));
}

#[core::prelude::v1::test]
fn subscription_with_mistakes_keeps_its_function() {
    let arguments = quote!(PLACED, nmae = "ship", timeout = "10 minutes");
    let handler = quote! {
        fn ship(order: &OrderPlaced) {}
    };
    insta::assert_snapshot!(pretty(subscription::expand(arguments, handler)));
}

#[core::prelude::v1::test]
fn api_with_extractors() {
    let endpoint = quote! {
        /// Places an order.
        #[tracing::instrument]
        pub async fn place(
            Path(shop): Path<u64>,
            headers: HeaderMap,
            Json(request): Json<PlaceOrder>,
        ) -> Result<Json<OrderId>> {
            insert(shop, headers, request).await
        }
    };
    insta::assert_snapshot!(pretty(endpoint::expand(quote!(POST, "/shops/{shop}/orders", public), endpoint)));
}

#[core::prelude::v1::test]
fn api_without_parameters_and_name_of_its_result() {
    let endpoint = quote! {
        async fn hello() -> Result<impl IntoResponse> {
            Ok("hello")
        }
    };
    insta::assert_snapshot!(pretty(endpoint::expand(quote!(GET, "/hello", private), endpoint)));
}

#[core::prelude::v1::test]
fn auth_with_a_challenge() {
    let function = quote! {
        /// Who asks.
        pub async fn authenticate(headers: HeaderMap, Query(token): Query<Token>) -> Result<User> {
            sessions::find(headers, token).await
        }
    };
    let arguments = quote!(challenge = "Basic realm=\"shop\"");
    insta::assert_snapshot!(pretty(auth::expand(arguments, function)));
}

#[core::prelude::v1::test]
fn api_for_users() {
    let endpoint = quote! {
        async fn me(Auth(user): Auth<User>) -> Json<User> {
            Json(user)
        }
    };
    insta::assert_snapshot!(pretty(endpoint::expand(quote!(GET, "/me", auth), endpoint)));
}

#[core::prelude::v1::test]
fn event_with_an_identity() {
    let input = quote! {
        #[event(identity)]
        pub struct OrderPlaced;
    };
    insta::assert_snapshot!(pretty(event::expand(input)));
}

#[core::prelude::v1::test]
fn mount_of_a_router() {
    let function = quote! {
        fn files() -> axum::Router {
            axum::Router::new()
        }
    };
    insta::assert_snapshot!(pretty(mount::expand(quote!("/files"), function)));
}

#[core::prelude::v1::test]
fn on_start_and_on_stop() {
    let function = quote! {
        /// Loads.
        async fn load() -> Result<()> {
            prices::fetch().await
        }
    };
    let on_start = lifecycle::hook(Hook::OnStart, &TokenStream::new(), function.clone());
    insta::assert_snapshot!(pretty(on_start));
    let on_stop = lifecycle::hook(Hook::OnStop, &TokenStream::new(), function);
    assert!(on_stop.to_string().contains("Role :: OnStop"));
}

#[core::prelude::v1::test]
fn background_with_every_option() {
    let function = quote! {
        pub async fn poll() -> Result<()> {
            Ok(())
        }
    };
    let default = lifecycle::background(TokenStream::new(), function.clone());
    assert!(default.to_string().contains("RestartPolicy :: DEFAULT"));
    let arguments = quote!(restart(min_backoff = "5s", max_backoff = "5m"));
    insta::assert_snapshot!(pretty(lifecycle::background(arguments, function)));
}

#[core::prelude::v1::test]
fn background_with_mistakes_keeps_its_function() {
    let function = quote! {
        fn poll(every: Duration) {}
    };
    insta::assert_snapshot!(pretty(lifecycle::background(quote!(restart = "5s"), function)));
}

#[core::prelude::v1::test]
fn event_with_key_attributes_and_secrets() {
    let input = quote! {
        pub struct OrderPlaced {
            #[event(key)]
            pub order_id: Uuid,
            #[event(attribute)]
            #[serde(rename = "area")]
            pub region: String,
            #[event(attribute)]
            pub express: bool,
            #[event(sensitive)]
            pub email: String,
        }
    };
    insta::assert_snapshot!(pretty(event::expand(input)));
}

#[core::prelude::v1::test]
fn event_that_is_validated() {
    insta::assert_snapshot!(pretty(event::expand(quote!(
        #[event(validate)]
        struct Tick;
    ))));
}

#[core::prelude::v1::test]
fn event_of_nothing() {
    insta::assert_snapshot!(pretty(event::expand(quote!(
        struct Tick;
    ))));
}

#[core::prelude::v1::test]
fn test_of_an_app() {
    let function = quote! {
        #[ignore = "slow"]
        async fn an_order_ships(app: TestApp) -> Result<()> {
            app.settle().await;
            Ok(())
        }
    };
    insta::assert_snapshot!(pretty(harness::expand(quote!(app = shop::app), function.clone())));
    let chaotic = harness::expand(quote!(app = shop::app, chaos = 0..20), function.clone());
    insta::assert_snapshot!(pretty(chaotic));
    let with = quote!(app = shop::app, with(shipping::CARRIER = Carrier::fake(), POOL = Pool::empty()));
    insta::assert_snapshot!(pretty(harness::expand(with, function)));
}

#[core::prelude::v1::test]
fn test_that_starts_its_app_itself() {
    let function = quote! {
        async fn an_order_ships() -> Result<()> {
            Ok(())
        }
    };
    insta::assert_snapshot!(pretty(harness::expand(quote!(), function)));
}

#[core::prelude::v1::test]
fn resource_of_a_constructor() {
    let value = resource::expand(quote!(Carrier::connect));
    let declared = quote!(pub static CARRIER: Resource<Carrier> = #value;);
    insta::assert_snapshot!(pretty(declared));
}
