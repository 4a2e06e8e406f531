//! What each customer means to buy, and what is popular.

use bis::prelude::*;
use serde::{Deserialize, Serialize};

use crate::table::Table;

bis::service!("cart");

/// A customer put something into the cart.
#[derive(Debug, Clone, Event, Serialize, Deserialize)]
pub struct ItemAdded {
    /// Whose cart.
    #[event(key)]
    pub customer: String,
    /// What.
    pub sku: String,
    /// How many.
    pub quantity: u32,
}

/// Items that were put into carts.
pub static ITEM_ADDED: Topic<ItemAdded> = Topic::new("item-added");

/// One line of a cart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// The article.
    pub sku: String,
    /// How many.
    pub quantity: u32,
    /// The price of one, in cents.
    pub price_cents: i64,
}

type Carts = Table<String, Vec<Item>>;
type Counts = Table<String, u32>;

static CARTS: Resource<Carts> = bis::resource!(Carts::open);
static POPULAR: Resource<Counts> = bis::resource!(Counts::open);

/// Puts an item into a customer's cart.
#[api(POST, "/carts/{customer}/items", public)]
pub async fn add(Path(customer): Path<String>, Json(item): Json<Item>) -> Result<Json<Vec<Item>>> {
    if item.quantity == 0 {
        return Err(Error::bad_request("`quantity` is 0: say how many"));
    }
    let event = ItemAdded { customer: customer.clone(), sku: item.sku.clone(), quantity: item.quantity };
    let cart = {
        let carts = CARTS.get();
        let mut carts = carts.lock();
        let cart = carts.entry(customer).or_default();
        cart.push(item);
        cart.clone()
    };
    ITEM_ADDED.publish(&event).await?;
    Ok(Json(cart))
}

/// What is in a customer's cart.
#[api(GET, "/carts/{customer}", public)]
pub async fn show(Path(customer): Path<String>) -> Result<Json<Vec<Item>>> {
    Ok(Json(CARTS.get().lock().get(&customer).cloned().unwrap_or_default()))
}

/// Empties a customer's cart and returns what was in it. For the other services alone.
#[api(POST, "/carts/{customer}/take", private)]
pub async fn take(Path(customer): Path<String>) -> Result<Json<Vec<Item>>> {
    Ok(Json(CARTS.get().lock().remove(&customer).unwrap_or_default()))
}

/// How often an article was put into a cart.
#[api(GET, "/popular/{sku}", public)]
pub async fn popularity(Path(sku): Path<String>) -> Result<Json<u32>> {
    Ok(Json(POPULAR.get().lock().get(&sku).copied().unwrap_or(0)))
}

// An event that comes twice counts twice. For what is popular that is near enough.
#[subscription(ITEM_ADDED, name = "count-popular", batch(max = 100, wait = "50ms"))]
async fn count_popular(added: Vec<ItemAdded>) -> Result<()> {
    let popular = POPULAR.get();
    let mut popular = popular.lock();
    for item in added {
        *popular.entry(item.sku).or_default() += item.quantity;
    }
    Ok(())
}
