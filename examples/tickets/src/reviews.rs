//! What visitors think of a show: kept while the process lives, with an average that is published each hour and at the end.

use std::collections::BTreeMap;

use bis::prelude::*;

use crate::kept::Kept;

bis::service!("reviews");

/// What one visitor thinks.
#[derive(Debug, Clone, Serialize, Deserialize, garde::Validate)]
pub struct Review {
    /// From 1 to 5.
    #[garde(range(min = 1, max = 5))]
    pub stars: u8,
    /// Why.
    #[garde(length(chars, max = 500))]
    pub text: String,
}

/// How a show was liked until now.
#[derive(Debug, Clone, PartialEq, Event, Serialize, Deserialize)]
pub struct ShowRated {
    /// The show.
    #[event(key)]
    pub show: String,
    /// The average.
    pub stars: f64,
}

/// Averages, one per show and hour.
pub static RATED: Topic<ShowRated> = Topic::new("show-rated");

/// Every review, by show.
type Reviews = Kept<BTreeMap<String, Vec<Review>>>;

static REVIEWS: Resource<Reviews> = bis::resource!(Reviews::open);

/// Takes a review.
#[api(POST, "/shows/{show}/reviews", public, body_limit = "16kB", timeout = "2s")]
pub async fn review(Path(show): Path<String>, review: Valid<Json<Review>>) -> Result<StatusCode> {
    let Json(review) = review.into_inner();
    REVIEWS.get().lock().entry(show).or_default().push(review);
    Ok(StatusCode::CREATED)
}

#[on_start]
async fn greet() -> Result<()> {
    tracing::info!("reviews are open");
    Ok(())
}

/// Publishes the averages once an hour.
#[background]
async fn rate_shows() -> Result<()> {
    loop {
        tokio::select! {
            () = bis::stopping() => return Ok(()),
            () = bis::time::sleep(Duration::from_secs(60 * 60)) => publish_averages().await?,
        }
    }
}

/// Publishes the averages, at the end for the last time.
#[on_stop]
pub async fn publish_averages() -> Result<()> {
    for result in RATED.publish_all(&averages()).await {
        result?;
    }
    Ok(())
}

fn averages() -> Vec<ShowRated> {
    let reviews = REVIEWS.get();
    let reviews = reviews.lock();
    let average =
        |of: &Vec<Review>| of.iter().map(|review| f64::from(review.stars)).sum::<f64>() / of.len() as f64;
    reviews.iter().map(|(show, of)| ShowRated { show: show.clone(), stars: average(of) }).collect()
}
