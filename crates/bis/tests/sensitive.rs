//! `#[event(sensitive)]` at every depth: whatever an event's type looks like, the value is in no error text.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use bis::prelude::*;

bis::service!("people");

mod this {
    bis::app!(services: [crate]);
}

const SECRET: &str = "secret-person";

fn secret() -> String {
    SECRET.to_owned()
}

#[derive(Clone, Event, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Contact {
    #[event(sensitive)]
    home_email: String,
}

fn contact() -> Contact {
    Contact { home_email: secret() }
}

/// Each event with a topic and a handler that says all that it got.
macro_rules! events {
    ($($topic:ident $name:literal $handler:ident $Type:ty;)*) => {$(
        static $topic: Topic<$Type> = Topic::new($name);

        #[subscription($topic, name = "tell")]
        async fn $handler(event: $Type) -> Result<()> {
            Err(Error::permanent(format!("of 4711: {}", serde_json::to_string(&event)?)))
        }
    )*};
}

#[derive(Clone, Event, Serialize, Deserialize)]
struct Nested {
    contact: Contact,
    list: Vec<Contact>,
    by_name: BTreeMap<String, Option<Box<Contact>>>,
    pair: (u8, Contact),
}

#[derive(Clone, Event, Serialize, Deserialize)]
struct Flat {
    id: u64,
    #[serde(flatten)]
    contact: Contact,
}

#[derive(Clone, Event, Serialize, Deserialize)]
struct FlatWhole {
    id: u64,
    #[serde(flatten)]
    #[event(sensitive)]
    plain: BTreeMap<String, String>,
}

#[derive(Clone, Event, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", rename_all_fields = "camelCase")]
enum Choice {
    One {
        #[event(sensitive)]
        home_email: String,
    },
    Two {
        #[serde(rename = "mail", alias = "post")]
        #[event(sensitive)]
        email: String,
    },
    Three(#[event(sensitive)] Contact),
}

#[derive(Clone, Event, Serialize, Deserialize)]
enum External {
    #[serde(rename_all = "SCREAMING-KEBAB-CASE")]
    Named {
        #[event(sensitive)]
        home_email: String,
    },
    Holds(Contact),
}

#[derive(Clone, Event, Serialize, Deserialize)]
struct Tuple(#[event(sensitive)] String, u64);

#[derive(Clone, Event, Serialize, Deserialize)]
#[serde(transparent)]
struct Email(#[event(sensitive)] String);

#[derive(Clone, Event, Serialize, Deserialize)]
struct HoldsEmail {
    id: u64,
    address: Option<Email>,
}

/// A tree, so that a type is asked while it is asked.
#[derive(Clone, Event, Serialize, Deserialize)]
struct Tree {
    children: Vec<Tree>,
    owner: Contact,
}

/// Not an event itself.
#[derive(Clone, Serialize, Deserialize)]
struct Plain {
    contact: Contact,
}

#[derive(Clone, Event, Serialize, Deserialize)]
struct ThroughPlain {
    plain: Plain,
}

#[derive(Clone, Event, Serialize, Deserialize)]
struct Page<T> {
    items: Vec<T>,
}

/// Written as another type, which has another name for what is sensitive.
#[derive(Clone, Event, Serialize, Deserialize)]
#[serde(into = "Wire", from = "Wire")]
struct Proxied {
    #[event(sensitive)]
    home_email: String,
}

#[derive(Clone, Serialize, Deserialize)]
struct Wire {
    mail: String,
}

impl From<Wire> for Proxied {
    fn from(wire: Wire) -> Self {
        Self { home_email: wire.mail }
    }
}

impl From<Proxied> for Wire {
    fn from(proxied: Proxied) -> Self {
        Self { mail: proxied.home_email }
    }
}

/// Nothing in it is sensitive.
#[derive(Clone, Event, Serialize, Deserialize)]
struct Open {
    #[serde(rename = "homeEmail")]
    home_email: String,
}

events! {
    NESTED "nested" nested Nested;
    FLAT "flat" flat Flat;
    FLAT_WHOLE "flat-whole" flat_whole FlatWhole;
    CHOICE "choice" choice Choice;
    EXTERNAL "external" external External;
    TUPLE "tuple" tuple Tuple;
    NEWTYPE "newtype" newtype Email;
    HOLDS_EMAIL "holds-email" holds_email HoldsEmail;
    TREE "tree" tree Tree;
    THROUGH_PLAIN "through-plain" through_plain ThroughPlain;
    PAGE "page" page Page<Contact>;
    PROXIED "proxied" proxied Proxied;
    OPEN "open" open Open;
}

/// Publishes each event, and its JSON with one value of the wrong type, and looks at the letters.
async fn check<T: Event>(app: &TestApp, topic: &Topic<T>, events: &[T]) {
    for event in events {
        app.publish(topic, event).await.unwrap();
        let json = serde_json::to_string(event).unwrap();
        app.publish_bytes(topic, format!("[{json},\"{SECRET}\"]")).await.unwrap();
        let malformed = format!(
            r#"{{"specversion":"1.0","id":"1","source":"{SECRET}","data":{json},"time":"{SECRET}"}}"#
        );
        app.publish_bytes(topic, malformed).await.unwrap();
    }
    app.settle().await;
    let letters = app.dead(topic);
    assert_eq!(letters.len(), 3 * events.len());
    for letter in letters {
        assert!(!letter.error.contains(SECRET), "{}: {}", topic.name(), letter.error);
    }
}

#[bis::test(app = this::app)]
async fn what_is_sensitive_is_in_no_error_at_any_depth(app: TestApp) -> Result<()> {
    let nested = Nested {
        contact: contact(),
        list: vec![contact()],
        by_name: [("x".to_owned(), Some(Box::new(contact())))].into(),
        pair: (1, contact()),
    };
    check(&app, &NESTED, &[nested]).await;
    check(&app, &FLAT, &[Flat { id: 1, contact: contact() }]).await;
    check(&app, &FLAT_WHOLE, &[FlatWhole { id: 1, plain: [("any".to_owned(), secret())].into() }]).await;
    let choices =
        [Choice::One { home_email: secret() }, Choice::Two { email: secret() }, Choice::Three(contact())];
    check(&app, &CHOICE, &choices).await;
    check(&app, &EXTERNAL, &[External::Named { home_email: secret() }, External::Holds(contact())]).await;
    check(&app, &TUPLE, &[Tuple(secret(), 2)]).await;
    check(&app, &NEWTYPE, &[Email(secret())]).await;
    check(&app, &HOLDS_EMAIL, &[HoldsEmail { id: 1, address: Some(Email(secret())) }]).await;
    let leaf = Tree { children: Vec::new(), owner: contact() };
    check(&app, &TREE, &[Tree { children: vec![leaf], owner: contact() }]).await;
    check(&app, &THROUGH_PLAIN, &[ThroughPlain { plain: Plain { contact: contact() } }]).await;
    check(&app, &PAGE, &[Page { items: vec![contact()] }]).await;
    check(&app, &PROXIED, &[Proxied { home_email: secret() }]).await;
    Ok(())
}

#[bis::test(app = this::app)]
async fn what_is_not_sensitive_is_shown(app: TestApp) -> Result<()> {
    app.publish(&OPEN, &Open { home_email: secret() }).await?;
    app.publish(&HOLDS_EMAIL, &HoldsEmail { id: 4712, address: Some(Email("a@b.example".into())) }).await?;
    app.settle().await;
    assert!(app.dead(&OPEN)[0].error.contains(SECRET), "another type's field has the name");
    let error = &app.dead(&HOLDS_EMAIL)[0].error;
    assert_eq!(error, r#"of 4711: {"id":4712,"address":"[redacted]"}"#);
    Ok(())
}
