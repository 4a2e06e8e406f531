//! Only a free function of a module is found.

use bis::prelude::*;

bis::service!("shop");

struct Shop;

impl Shop {
    #[auth]
    async fn authenticate(headers: HeaderMap) -> Result<String> {
        todo!()
    }
}

fn main() {}
