//! Mistakes and their errors: functions that cannot create a resource.

use std::{cell::Cell, rc::Rc};

use bis::prelude::*;

struct Carrier;

impl Carrier {
    fn new() -> Carrier {
        Carrier
    }

    async fn bare() -> Carrier {
        Carrier
    }

    async fn connect(_url: &str) -> Result<Carrier> {
        Ok(Carrier)
    }

    async fn open() -> Result<Carrier> {
        Ok(Carrier)
    }
}

async fn not_sync() -> Result<Cell<u8>> {
    Ok(Cell::new(0))
}

async fn not_send() -> Result<Carrier> {
    let held = Rc::new(7);
    std::future::ready(()).await;
    drop(held);
    Ok(Carrier)
}

static NOT_ASYNC: Resource<Carrier> = bis::resource!(Carrier::new);
static NO_RESULT: Resource<Carrier> = bis::resource!(Carrier::bare);
static PARAMETER: Resource<Carrier> = bis::resource!(Carrier::connect);
static OTHER_TYPE: Resource<String> = bis::resource!(Carrier::open);
static MISSING: Resource<Carrier> = bis::resource!(Carrier::conect);
static NOT_SYNC: Resource<Cell<u8>> = bis::resource!(not_sync);
static NOT_SEND: Resource<Carrier> = bis::resource!(not_send);

fn main() {}
