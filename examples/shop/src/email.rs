//! Letters to customers. An event whose address is not valid becomes a dead letter.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use bis::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{orders, shipping};

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
static SENT: Mutex<BTreeMap<String, Vec<String>>> = Mutex::new(BTreeMap::new());

/// Signs up. The letter comes later.
#[api(POST, "/sign-ups", public)]
pub async fn sign_up(Json(request): Json<SignedUp>) -> Result<()> {
    SIGNED_UP.publish(&request).await?;
    Ok(())
}

/// What was sent to an address.
#[api(GET, "/emails/{address}", public)]
pub async fn sent(Path(address): Path<String>) -> Result<Json<Vec<String>>> {
    let sent = SENT.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(Json(sent.get(&address).cloned().unwrap_or_default()))
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
    let mut sent = SENT.lock().unwrap_or_else(PoisonError::into_inner);
    let letters = sent.entry(address.to_owned()).or_default();
    if !letters.contains(&subject) {
        letters.push(subject);
    }
    Ok(())
}
