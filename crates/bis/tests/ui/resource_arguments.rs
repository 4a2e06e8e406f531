//! Mistakes and their errors: what `resource!` takes.

use bis::prelude::*;

struct Carrier;

impl Carrier {
    async fn connect(_url: &str) -> Result<Carrier> {
        Ok(Carrier)
    }

    async fn open() -> Result<Carrier> {
        Ok(Carrier)
    }
}

static NOTHING: Resource<Carrier> = bis::resource!();
static CALLED: Resource<Carrier> = bis::resource!(Carrier::open());
static AWAITED: Resource<Carrier> = bis::resource!(Carrier::connect("x").await?);
static TWO: Resource<Carrier> = bis::resource!(Carrier::open, Carrier::open);

fn main() {}
