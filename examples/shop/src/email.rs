//! Letters to customers. An event whose address is not valid becomes a dead letter.

use bis::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{orders, shipping, table::Table};

bis::service!("email");

/// Somebody signed up.
#[derive(Debug, Clone, Event, Serialize, Deserialize)]
pub struct SignedUp {
    /// Whom to welcome.
    #[event(sensitive)]
    pub email: String,
}

/// Those who signed up.
pub static SIGNED_UP: Topic<SignedUp> = Topic::new("sign-up");

/// The subjects of what was sent, by address.
type Sent = Table<String, Vec<String>>;

static SENT: Resource<Sent> = bis::resource!(Sent::open);

/// Signs up. The letter comes later.
#[api(POST, "/sign-ups", public)]
pub async fn sign_up(Json(request): Json<SignedUp>) -> Result<()> {
    SIGNED_UP.publish(&request).await?;
    Ok(())
}

/// What was sent to an address.
#[api(GET, "/emails/{address}", public)]
pub async fn sent(Path(address): Path<String>) -> Result<Json<Vec<String>>> {
    Ok(Json(SENT.get().lock().get(&address).cloned().unwrap_or_default()))
}

#[subscription(SIGNED_UP, name = "welcome")]
async fn welcome(new: SignedUp) -> Result<()> {
    send(&new.email, "Welcome".into())
}

#[subscription(orders::PLACED, name = "confirm-order")]
async fn confirm_order(order: orders::OrderPlaced) -> Result<()> {
    send(&order.email, format!("Your order {}", order.order_id))
}

#[subscription(shipping::SHIPPED, name = "announce-parcel")]
async fn announce_parcel(shipped: shipping::OrderShipped) -> Result<()> {
    send(&shipped.email, format!("Your parcel {}", shipped.parcel))
}

/// Sends a letter, unless it was sent before: an event may come twice.
fn send(address: &str, subject: String) -> Result<()> {
    if !address.contains('@') {
        return Err(Error::permanent(format!("`{address}` is not an e-mail address")));
    }
    let sent = SENT.get();
    let mut sent = sent.lock();
    let letters = sent.entry(address.to_owned()).or_default();
    if !letters.contains(&subject) {
        letters.push(subject);
    }
    Ok(())
}
