//! Sells tickets, one by one and to groups.

use axum::http::HeaderMap;
use bis::prelude::*;

use crate::seats;

bis::service!("sales");

/// Somebody bought a ticket.
#[derive(Debug, Clone, PartialEq, Event, Serialize, Deserialize)]
pub struct TicketSold {
    /// The show. Events with the same key can be kept in order.
    #[event(key)]
    pub show: String,
    /// The number of the seat.
    pub seat: u32,
    /// Where the buyer lives. Also an attribute beside the data, for filters.
    #[event(attribute)]
    pub country: String,
    /// Where the ticket goes. Hidden in tools, logs and errors.
    #[event(sensitive)]
    pub email: String,
}

/// Tickets that were sold.
pub static SOLD: Topic<TicketSold> = Topic::new("ticket-sold");

/// What a buyer sends.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Order {
    /// Where the ticket goes.
    pub email: String,
    /// Where the buyer lives.
    #[serde(default)]
    pub country: String,
}

/// What a buyer gets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ticket {
    /// The show.
    pub show: String,
    /// The number of the seat.
    pub seat: u32,
}

/// Sells one ticket. The answer comes once the broker has the event.
#[api(POST, "/shows/{show}/tickets", public)]
pub async fn buy(Path(show): Path<String>, Json(order): Json<Order>) -> Result<(StatusCode, Json<Ticket>)> {
    let Json(seat) = seats::reserve(Path(show.clone())).await?;
    let Order { email, country } = order;
    SOLD.publish(&TicketSold { show: show.clone(), seat, country, email }).await?;
    Ok((StatusCode::CREATED, Json(Ticket { show, seat })))
}

/// Sells one ticket to each of a group. A broker may take some events and not others, so each has a result.
#[api(POST, "/shows/{show}/groups", public)]
pub async fn buy_for_group(
    Path(show): Path<String>,
    headers: HeaderMap,
    Json(orders): Json<Vec<Order>>,
) -> Result<Json<usize>> {
    let Some(agency) = headers.get("x-agency") else {
        return Err(Error::unauthorized("groups book through an agency: send its name in `x-agency`"));
    };
    let mut sold = Vec::with_capacity(orders.len());
    for Order { email, country } in orders {
        let Json(seat) = seats::reserve(Path(show.clone())).await?;
        sold.push(TicketSold { show: show.clone(), seat, country, email });
    }
    for result in SOLD.publish_all(&sold).await {
        result?;
    }
    tracing::info!(show, ?agency, tickets = sold.len(), "sold to a group");
    Ok(Json(sold.len()))
}
