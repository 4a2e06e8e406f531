//! Sends tickets and reminders by e-mail, over a mail server that turns strangers away at first.

use std::collections::{BTreeMap, BTreeSet};

use bis::prelude::*;

use crate::{
    kept::Kept,
    sales::{self, TicketSold},
};

bis::service!("mail");

/// It is time to remind somebody of a show.
#[derive(Debug, Clone, Event, Serialize, Deserialize)]
pub struct ReminderDue {
    /// The show.
    pub show: String,
    /// Whom to remind.
    #[event(sensitive)]
    pub email: String,
}

/// Reminders, each published with a delay.
pub static REMINDER_DUE: Topic<ReminderDue> = Topic::new("reminder-due");

/// How long after the sale a reminder is sent.
const REMIND_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

#[subscription(sales::SOLD, name = "send-ticket", retry(max = 8, min_backoff = "1s", max_backoff = "5m"))]
async fn send_ticket(sold: Delivery<TicketSold>) -> Result<()> {
    if !sold.email.contains('@') {
        return Err(Error::permanent(format!("`{}` is not an e-mail address", sold.email)));
    }
    // An event may come twice: its id is the same each time, so the second letter is not sent.
    deliver(&sold.email, &format!("Ticket {} for {}", sold.seat, sold.show), sold.id().as_str())?;
    let reminder = ReminderDue { show: sold.show.clone(), email: sold.email.clone() };
    let id = format!("{}-{}", sold.show, sold.seat);
    // Published again when this handler runs again; the broker recognizes the id and keeps one.
    REMINDER_DUE.publish(&reminder).id(id).delay(REMIND_AFTER).await?;
    Ok(())
}

#[subscription(REMINDER_DUE, timeout = "10s", concurrency = 10)]
async fn remind(due: Delivery<ReminderDue>) -> Result<()> {
    deliver(&due.email, &format!("{} is on soon", due.show), due.id().as_str())
}

/// The subjects of what was sent, by address.
#[api(GET, "/mail/{address}", public)]
pub async fn sent(Path(address): Path<String>) -> Result<Json<Vec<String>>> {
    Ok(Json(SERVER.get().lock().sent.get(&address).cloned().unwrap_or_default()))
}

/// The mail server.
#[derive(Debug, Default)]
struct Server {
    /// The addresses that it has turned away once.
    known: BTreeSet<String>,
    /// The keys of the letters that it has sent.
    done: BTreeSet<String>,
    sent: BTreeMap<String, Vec<String>>,
}

static SERVER: Resource<Kept<Server>> = bis::resource!(Kept::<Server>::open);

/// Sends a letter, once for each `key`.
fn deliver(address: &str, subject: &str, key: &str) -> Result<()> {
    let server = SERVER.get();
    let mut server = server.lock();
    if address.ends_with(".slow") && server.known.insert(address.to_owned()) {
        return Err(Error::msg("the mail server does not know us yet"));
    }
    if server.done.insert(key.to_owned()) {
        server.sent.entry(address.to_owned()).or_default().push(subject.to_owned());
    }
    Ok(())
}
