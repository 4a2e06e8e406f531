//! Who asked, over events: only where the event's type asks for it, into the handler's scope, dead letters and what is sent again.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bis::{DeadReason, prelude::*};

/// The service under test.
pub mod shop {
    use bis::prelude::*;

    bis::service!("shop");

    /// Who asks.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct User {
        /// The id.
        pub id: u64,
        /// Also with letters that no header carries.
        pub name: String,
    }

    #[auth]
    async fn authenticate() -> Result<User> {
        Err(Error::unauthorized("nobody"))
    }

    /// Carries who asked.
    #[derive(Debug, Event, Serialize, Deserialize)]
    #[event(identity)]
    pub struct Placed {
        /// What happens to it.
        pub how: String,
    }

    /// Carries it on.
    #[derive(Debug, Event, Serialize, Deserialize)]
    #[event(identity)]
    pub struct Shipped {
        /// What its publisher saw.
        pub by: Option<u64>,
    }

    /// Carries no identity.
    #[derive(Debug, PartialEq, Event, Serialize, Deserialize)]
    pub struct Noted {
        /// What its publisher saw.
        pub by: Option<u64>,
    }

    /// Of endpoints.
    pub static PLACED: Topic<Placed> = Topic::new("placed");
    /// Of the handler of `PLACED`.
    pub static SHIPPED: Topic<Shipped> = Topic::new("shipped");
    /// Of that handler, too.
    pub static NOTED: Topic<Noted> = Topic::new("noted");
    /// Of the handler of `NOTED`.
    pub static KEPT: Topic<Noted> = Topic::new("kept");
    /// Of the handler of batches of `SHIPPED`.
    pub static BILLED: Topic<Noted> = Topic::new("billed");

    fn by() -> Option<u64> {
        Auth::<User>::current().map(|user| user.id)
    }

    #[api(POST, "/orders", auth)]
    async fn place(Json(how): Json<String>) -> Result<()> {
        PLACED.publish(&Placed { how }).await?;
        Ok(())
    }

    #[subscription(PLACED)]
    async fn ship(placed: Placed) -> Result<()> {
        if placed.how == "fails" {
            let user = Auth::<User>::current().error_context("nobody")?;
            return Err(Error::permanent(format!("no address of {} {}", user.name, user.id)));
        }
        SHIPPED.publish(&Shipped { by: by() }).await?;
        NOTED.publish(&Noted { by: by() }).await?;
        Ok(())
    }

    #[subscription(NOTED)]
    async fn keep(_: Noted) -> Result<()> {
        KEPT.publish(&Noted { by: by() }).await?;
        Ok(())
    }

    #[subscription(SHIPPED, batch(max = 10, wait = "1s"))]
    async fn bill(shipped: Vec<Delivery<Shipped>>) -> Result<()> {
        assert_eq!(by(), None, "a batch is nobody's in particular");
        for shipped in shipped {
            let by = shipped.identity::<User>().map(|user| user.id);
            BILLED.publish(&Noted { by }).await?;
        }
        Ok(())
    }

    bis::app!(services: [crate::shop]);
}

use shop::{BILLED, KEPT, NOTED, Noted, PLACED, SHIPPED, User};

fn zoe() -> User {
    User { id: 1234, name: "Zoë".into() }
}

#[bis::test(app = shop::app)]
async fn an_identity_goes_with_the_events_that_ask_for_it(app: TestApp) -> Result<()> {
    app.as_user(zoe()).post::<()>("/orders", &"ships").await?;
    app.settle().await;
    assert_eq!(app.deliveries(&PLACED)[0].identity(), Some(zoe()));
    assert_eq!(app.deliveries(&SHIPPED)[0].identity(), Some(zoe()));
    assert_eq!(app.published(&SHIPPED)[0].by, Some(1234));
    assert_eq!(app.published(&BILLED), [Noted { by: Some(1234) }]);
    assert_eq!(app.published(&NOTED), [Noted { by: Some(1234) }]);
    assert_eq!(app.deliveries(&NOTED)[0].identity::<User>(), None, "it is not sent along");
    assert_eq!(app.published(&KEPT), [Noted { by: None }]);
    Ok(())
}

#[bis::test(app = shop::app)]
async fn events_that_nobody_asked_for_carry_nobody(app: TestApp) -> Result<()> {
    app.publish(&PLACED, &shop::Placed { how: "ships".into() }).await?;
    app.settle().await;
    assert_eq!(app.published(&SHIPPED)[0].by, None);
    assert_eq!(app.published(&BILLED), [Noted { by: None }]);
    Ok(())
}

#[bis::test(app = shop::app)]
async fn a_dead_letter_keeps_it_and_its_text_hides_it(app: TestApp) -> Result<()> {
    app.as_user(zoe()).post::<()>("/orders", &"fails").await?;
    app.settle().await;
    let [letter] = &app.dead(&PLACED)[..] else { panic!("one died") };
    assert_eq!(letter.error, "no address of [redacted] [redacted]");
    let identity = letter.event.identity.clone().unwrap();
    assert_eq!(serde_json::from_str::<User>(&identity)?, zoe());
    // What is sent again is the letter's event.
    let mut again = letter.event.clone();
    (again.replay, again.data) = (1, br#"{"how":"ships"}"#.to_vec().into());
    app.publish_bytes(&PLACED, again.to_json()).await?;
    app.settle().await;
    assert_eq!(app.published(&SHIPPED)[0].by, Some(1234));
    Ok(())
}

/// An event of another system, with this extension attribute.
fn foreign(id: usize, identity: &str, data: &str) -> Vec<u8> {
    let identity = serde_json::to_string(identity).unwrap();
    let members = r#""specversion":"1.0","source":"s","type":"t""#;
    format!("{{{members},\"id\":\"{id}\",\"bisidentity\":{identity},\"data\":{data}}}").into_bytes()
}

#[bis::test(app = shop::app)]
async fn an_identity_that_is_none_is_a_dead_letter(app: TestApp) -> Result<()> {
    for (id, identity) in ["\"ann@b.example\"", "{}", "no json", ""].into_iter().enumerate() {
        app.publish_bytes(&PLACED, foreign(id, identity, r#"{"how":"ships"}"#)).await?;
    }
    app.publish_bytes(&SHIPPED, foreign(9, "{}", r#"{"by":null}"#)).await?;
    app.settle().await;
    let letters = app.dead(&PLACED);
    assert_eq!(letters.len(), 4);
    for letter in letters.iter().chain(&app.dead(&SHIPPED)) {
        assert_eq!(letter.reason, DeadReason::Undecodable, "{}", letter.error);
        assert!(letter.error.ends_with(" [BIS1076]") && !letter.error.contains("ann@"), "{}", letter.error);
    }
    assert_eq!(app.dead(&SHIPPED).len(), 1);
    assert!(app.published(&BILLED).is_empty());
    Ok(())
}

#[bis::test(app = shop::app)]
async fn an_event_whose_type_does_not_ask_is_handled_as_nobodys(app: TestApp) -> Result<()> {
    app.publish_bytes(&NOTED, foreign(1, r#"{"id":1,"name":"root"}"#, r#"{"by":null}"#)).await?;
    app.settle().await;
    assert_eq!(app.published(&KEPT), [Noted { by: None }]);
    Ok(())
}

#[bis::test(app = shop::app)]
async fn an_identity_that_has_no_room_is_refused(app: TestApp) {
    let large = User { id: 1, name: "x".repeat(9000) };
    let error = app.as_user(large).post::<()>("/orders", &"ships").await.unwrap_err();
    assert_eq!(error.http_status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(app.published(&PLACED).is_empty());
}
