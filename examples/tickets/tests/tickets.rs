//! The box office on virtual time.

use bis::prelude::*;
use tickets::{
    mail,
    reviews::{self, Review, ShowRated},
    sales,
    sales::{Order, Ticket, TicketSold},
    seats,
};

fn order(email: &str) -> Order {
    Order { email: email.into(), country: "CH".into() }
}

#[bis::test(app = tickets::app)]
async fn a_ticket_is_sold_and_sent(app: TestApp) -> Result<()> {
    let ticket: Ticket = app.post("/shows/hamlet/tickets", &order("ada@example.org")).await?;
    assert_eq!(ticket.seat, 1);
    app.settle().await;
    let sent: Vec<String> = app.get("/mail/ada@example.org").await?;
    assert_eq!(sent, ["Ticket 1 for hamlet", "hamlet is on soon"]);
    Ok(())
}

#[bis::test(app = tickets::app)]
async fn a_reminder_waits_a_day_and_the_test_does_not(app: TestApp) -> Result<()> {
    let before = app.now();
    let _: Ticket = app.post("/shows/faust/tickets", &order("grace@example.org")).await?;
    app.settle().await;
    assert_eq!(app.published(&mail::REMINDER_DUE).len(), 1);
    assert!(app.now().duration_since(before)? >= Duration::from_secs(24 * 60 * 60));
    Ok(())
}

#[bis::test(app = tickets::app)]
async fn a_mail_server_that_hesitates_gets_a_second_attempt(app: TestApp) -> Result<()> {
    let _: Ticket = app.post("/shows/carmen/tickets", &order("erik@example.slow")).await?;
    app.settle().await;
    assert_eq!(app.dead(&sales::SOLD), []);
    let sent: Vec<String> = app.get("/mail/erik@example.slow").await?;
    assert_eq!(sent[0], "Ticket 1 for carmen");
    Ok(())
}

#[bis::test(app = tickets::app)]
async fn an_impossible_address_is_a_dead_letter(app: TestApp) -> Result<()> {
    let _: Ticket = app.post("/shows/tosca/tickets", &order("nobody")).await?;
    app.settle().await;
    let dead = app.dead(&sales::SOLD);
    assert_eq!(dead.len(), 1);
    assert_eq!((dead[0].subscription.as_str(), dead[0].attempts), ("send-ticket", 1));
    // The address is under `#[event(sensitive)]`, so it is not in the error.
    assert_eq!(dead[0].error, "`[redacted]` is not an e-mail address");
    Ok(())
}

#[bis::test(app = tickets::app)]
async fn what_another_system_writes_wrong_is_kept(app: TestApp) -> Result<()> {
    app.publish_bytes(&sales::SOLD, r#"{"show":"aida","seat":"first row"}"#).await?;
    app.settle().await;
    let dead = app.dead(&sales::SOLD);
    // One letter for each of the two subscriptions.
    assert_eq!(dead.len(), 2);
    Ok(())
}

#[bis::test(app = tickets::app)]
async fn a_full_hall_sells_nothing(app: TestApp) -> Result<()> {
    for _ in 0..seats::CAPACITY {
        let _: Ticket = app.post("/shows/macbeth/tickets", &order("ada@example.org")).await?;
    }
    let refused = app.post::<Ticket>("/shows/macbeth/tickets", &order("late@example.org")).await;
    assert!(refused.is_err_and(|error| error.to_string().contains("sold out")));
    Ok(())
}

#[bis::test(app = tickets::app)]
async fn events_carry_key_and_attributes(app: TestApp) -> Result<()> {
    let sold =
        TicketSold { show: "norma".into(), seat: 7, country: "AT".into(), email: "ada@example.org".into() };
    app.publish(&sales::SOLD, &sold).await?;
    let delivery = &app.deliveries(&sales::SOLD)[0];
    assert_eq!(delivery.key(), Some("norma"));
    assert_eq!(delivery.attributes()["country"], "AT");
    assert_eq!(**delivery, sold);
    Ok(())
}

/// Whatever the broker does, nobody gets a ticket twice.
#[bis::test(app = tickets::app, chaos = 0..20)]
async fn a_ticket_is_sent_once(app: TestApp) -> Result<()> {
    // Every seed runs in this process, and the mail server remembers: each run has an address of its own.
    let address = format!("{:?}@example.org", app.now().duration_since(std::time::UNIX_EPOCH)?);
    let ticket: Ticket = app.post("/shows/medea/tickets", &order(&address)).await?;
    app.settle().await;
    let sent: Vec<String> = app.get(&format!("/mail/{address}")).await?;
    let expected = format!("Ticket {} for medea", ticket.seat);
    assert_eq!(sent.iter().filter(|subject| **subject == expected).count(), 1, "{sent:?}");
    Ok(())
}

fn stars(stars: u8) -> Review {
    Review { stars, text: "as it should be".into() }
}

#[bis::test(app = tickets::app)]
async fn averages_are_published_each_hour(app: TestApp) -> Result<()> {
    for given in [2, 5] {
        let () = app.post("/shows/hamlet/reviews", &stars(given)).await?;
    }
    app.advance(Duration::from_secs(60 * 60)).await;
    let hamlet = ShowRated { show: "hamlet".into(), stars: 3.5 };
    assert_eq!(app.published(&reviews::RATED), [hamlet]);
    app.settle().await;
    let shown: Option<f64> = app.get("/board/hamlet/stars").await?;
    assert_eq!(shown, Some(3.5));
    Ok(())
}

#[bis::test(app = tickets::app)]
async fn a_review_that_is_not_valid_is_refused_with_its_fields(app: TestApp) -> Result<()> {
    let refused = app.post::<()>("/shows/hamlet/reviews", &stars(6)).await.unwrap_err();
    assert_eq!(refused.http_status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.to_string().contains("`stars`: greater than 5"), "{refused}");
    Ok(())
}

#[bis::test(app = tickets::app)]
async fn a_price_may_be_kept_for_minutes(app: TestApp) -> Result<()> {
    let price: u32 = app.get("/prices/hamlet").await?;
    assert_eq!(price, 45);
    let request = axum::extract::Request::get("/prices/tosca").body(axum::body::Body::empty())?;
    assert_eq!(app.request(request).await.headers()["cache-control"], "max-age=300");
    Ok(())
}
