//! What the attributes and derives make of items that are not written out: generic types, items that a `macro_rules!` makes,
//! errors of other crates.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bis::prelude::*;

bis::service!("orders");

mod this {
    bis::app!(services: [crate]);
}

// ---- generic events

#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
struct Changed<K, T> {
    #[event(key)]
    id: K,
    after: Option<T>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Dish {
    name: String,
}

/// The bounds are serde's to find, here by hand.
#[derive(Event, Serialize, Deserialize)]
#[serde(bound = "")]
struct Tagged<T, const N: usize>
where
    T: Default + Send + Sync + 'static,
{
    #[serde(skip)]
    _tag: std::marker::PhantomData<T>,
}

static CHANGED: Topic<Changed<u32, Dish>> = Topic::new("changed").ordered();
/// Knows nothing of serde.
#[derive(Default)]
struct Tag;

static TAGGED: Topic<Tagged<Tag, 7>> = Topic::new("tagged");

#[subscription(CHANGED)]
async fn index(change: Changed<u32, Dish>) -> Result<()> {
    assert_eq!(change.after.unwrap().name, "soup");
    Ok(())
}

#[bis::test(app = this::app)]
async fn generic_events_travel(app: TestApp) -> Result<()> {
    app.publish(&CHANGED, &Changed { id: 7, after: Some(Dish { name: "soup".into() }) }).await?;
    app.settle().await;
    assert!(app.dead(&CHANGED).is_empty());
    assert_eq!(app.deliveries(&CHANGED)[0].key(), Some("7"));
    let _ = &TAGGED;
    Ok(())
}

// ---- keys

mod wrong {
    use bis::prelude::*;

    bis::service!("wrong");

    #[derive(Serialize, Deserialize)]
    pub struct Id {
        pub shop: u64,
        pub order: u64,
    }

    #[derive(Event, Serialize, Deserialize)]
    pub struct Shipped {
        #[event(key)]
        pub id: Option<Id>,
    }

    static SHIPPED: Topic<Shipped> = Topic::new("order-shipped").ordered();

    #[subscription(SHIPPED)]
    async fn note(_: Shipped) -> Result<()> {
        Ok(())
    }

    pub mod this {
        bis::app!(services: [super]);
    }
}

#[bis::test(app = wrong::this::app)]
#[should_panic(expected = "topic `order-shipped`: `id` is a key or an attribute and serializes to `{..}`")]
async fn an_app_whose_event_has_a_struct_as_its_key_does_not_start(_app: TestApp) {}

// ---- what macros make

#[derive(Event, Serialize, Deserialize)]
struct Placed {
    id: u64,
}

static PLACED: Topic<Placed> = Topic::new("order-placed");

macro_rules! handler {
    ($function:ident, $topic:path, $name:literal, $event:ty, $max:expr, $($option:ident = $value:literal),*) => {
        #[subscription($topic, name = $name, retry(max = $max), $($option = $value),*)]
        async fn $function(_: $event) -> Result<()> {
            Ok(())
        }
    };
}

macro_rules! handlers {
    ($($function:ident $name:literal $event:ty;)*) => {$(
        handler!($function, PLACED, $name, $event, 3, timeout = "5s", concurrency = 2);
    )*};
}

handlers! {
    one "one" Placed;
    two "two" Delivery<Placed>;
    three "three" Vec<Delivery<Placed>>;
}

macro_rules! expressions {
    ($topic:expr, $name:expr, $retry:expr, $body:block) => {
        #[subscription($topic, name = $name, $retry)]
        async fn by_expressions(_: Placed) -> Result<()> $body
    };
}

expressions!(PLACED, "four", retry(max = 2, min_backoff = "1s"), { Ok(()) });

macro_rules! endpoint {
    ($function:ident, $method:ident, $path:literal, $access:tt, $pattern:pat_param, $argument:ty) => {
        #[api($method, $path, $access)]
        async fn $function($pattern: $argument) -> Result<Json<u32>> {
            Ok(Json(7))
        }
    };
}

endpoint!(seven, GET, "/seven/{id}", public, Path(_id), Path<u32>);

macro_rules! events {
    ($($Event:ident { $field:ident: $Field:ty = $renamed:literal })*) => {$(
        #[derive(Event, Serialize, Deserialize)]
        struct $Event {
            #[event(key)]
            #[serde(rename = $renamed)]
            $field: $Field,
        }
    )*};
}

events!(Renamed { id: Option<u64> = "orderId" });

static RENAMED: Topic<Renamed> = Topic::new("renamed").ordered();

macro_rules! test {
    ($name:ident, $app:path, $seed:expr) => {
        #[bis::test(app = $app, chaos = $seed)]
        async fn $name(app: TestApp) -> Result<()> {
            RENAMED.publish(&Renamed { id: Some(1) }).await?;
            app.settle().await;
            Ok(())
        }
    };
}

test!(a_test_that_a_macro_makes_runs, this::app, 1..3);

#[bis::test(app = this::app)]
async fn items_that_macros_make_work(app: TestApp) -> Result<()> {
    assert_eq!(app.get::<u32>("/seven/1").await?, 7);
    app.publish(&PLACED, &Placed { id: 1 }).await?;
    app.settle().await;
    assert!(app.dead(&PLACED).is_empty());
    Ok(())
}

// ---- errors of other crates

mod errors {
    use anyhow::Context as _;
    use bis::prelude::*;

    use super::Placed;

    pub static TEXT: Topic<Placed> = Topic::new("text");
    pub static ANYHOW: Topic<Placed> = Topic::new("anyhow");

    #[subscription(TEXT)]
    async fn text(placed: Placed) -> Result<(), String> {
        Err(format!("no {}", placed.id))
    }

    fn parse(text: &str) -> anyhow::Result<u64> {
        text.parse().context("read the number")
    }

    #[subscription(ANYHOW)]
    async fn with_anyhow(_: Placed) -> Result<()> {
        parse("seven").error_context("handle the order")?;
        Ok(())
    }

    #[api(GET, "/anyhow", public)]
    async fn show() -> Result<Json<u64>> {
        Ok(Json(parse("7")?))
    }
}

fn chain_of(error: anyhow::Error) -> String {
    format!("{:#}", Error::from(error))
}

#[bis::test(app = this::app)]
async fn errors_of_other_crates_become_ours(app: TestApp) -> Result<()> {
    assert_eq!(app.get::<u64>("/anyhow").await?, 7);
    app.publish(&errors::TEXT, &Placed { id: 7 }).await?;
    app.publish(&errors::ANYHOW, &Placed { id: 7 }).await?;
    app.settle().await;
    assert_eq!(app.dead(&errors::TEXT)[0].error, "no 7");
    assert_eq!(
        app.dead(&errors::ANYHOW)[0].error,
        "handle the order: read the number: invalid digit found in string"
    );
    let error = anyhow::Error::from("x".parse::<u8>().unwrap_err()).context("read");
    assert_eq!(chain_of(error), "read: invalid digit found in string");
    Ok(())
}

#[tokio::test]
async fn a_topic_without_an_app_says_so_even_through_unwrap() {
    let error = PLACED.publish(&Placed { id: 7 }).await.unwrap_err();
    for text in [format!("{error:?}"), error.to_string()] {
        assert!(text.contains("before its app was started"), "{text}");
        assert!(text.contains("#[bis::test(app = ..)]"), "{text}");
    }
}

// ---- what is allowed for `bis check`

#[bis::allow(BIS0034, BIS0025)]
#[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
struct Marked {
    #[event(key)]
    id: u32,
}

#[bis::allow(BIS0026)]
static MARKED: Topic<Marked> = Topic::new("marked").ordered();

#[subscription(MARKED)]
#[bis::allow(BIS0051)]
async fn take(marked: Marked) -> Result<()> {
    assert_eq!(marked, Marked { id: Marked::ID });
    Ok(())
}

impl Marked {
    #[bis::allow(BIS0030)]
    const ID: u32 = 3;
}

#[bis::test(app = this::app)]
async fn what_is_allowed_is_as_it_was(app: TestApp) -> Result<()> {
    app.publish(&MARKED, &Marked { id: Marked::ID }).await?;
    app.settle().await;
    assert!(app.dead(&MARKED).is_empty());
    assert_eq!(app.deliveries(&MARKED).len(), 1);
    Ok(())
}
