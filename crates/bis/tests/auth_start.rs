//! An `#[auth]` function outside every service, which is that of each app in its crate, and apps whose endpoints do not fit it.

#![forbid(unsafe_code)]

use bis::prelude::*;

/// The user of every app here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// The id.
    pub id: u64,
}

#[auth]
async fn authenticate(headers: HeaderMap) -> Result<User> {
    let id = headers.get("x-user").and_then(|value| value.to_str().ok()?.parse().ok());
    id.map(|id| User { id }).ok_or_else(|| Error::unauthorized("who asks?"))
}

/// Fits.
pub mod plain {
    use bis::prelude::*;

    bis::service!("plain");

    #[api(GET, "/me", auth)]
    async fn me(Auth(user): Auth<crate::User>) -> Json<u64> {
        Json(user.id)
    }
}

/// Has a function of its own.
pub mod second {
    use bis::prelude::*;

    bis::service!("second");

    #[auth]
    async fn authenticate_again() -> Result<String> {
        Ok("ann".into())
    }

    #[api(GET, "/me", auth)]
    async fn me(Auth(user): Auth<String>) -> String {
        user
    }
}

/// Asks for another type.
pub mod other {
    use bis::prelude::*;

    bis::service!("other");

    #[api(GET, "/me", auth)]
    async fn me(Auth(user): Auth<String>) -> String {
        user
    }
}

/// Asks for a user that may be missing, under another name.
pub mod public {
    use bis::prelude::*;

    bis::service!("public");

    type Me = Auth<crate::User>;

    #[api(GET, "/me", public)]
    async fn me(me: Me) -> Json<u64> {
        Json(me.0.id)
    }
}

/// The apps.
pub mod apps {
    /// Of what fits.
    pub mod plain {
        bis::app!(services: [crate::plain]);
    }
    /// With two functions.
    pub mod second {
        bis::app!(services: [crate::second]);
    }
    /// With another type.
    pub mod other {
        bis::app!(services: [crate::other]);
    }
    /// With a public endpoint.
    pub mod public {
        bis::app!(services: [crate::public]);
    }
}

#[bis::test(app = apps::plain::app)]
async fn a_function_outside_every_service_is_that_of_each_app_of_its_crate(app: TestApp) -> Result<()> {
    assert_eq!(app.as_user(User { id: 7 }).get::<u64>("/me").await?, 7);
    assert_eq!(app.get::<u64>("/me").await.unwrap_err().http_status(), StatusCode::UNAUTHORIZED);
    Ok(())
}

#[bis::test(app = apps::second::app)]
#[should_panic = "the app has two `#[auth]` functions, `auth_start::authenticate` at "]
async fn two_functions_are_named(_: TestApp) {}

#[bis::test(app = apps::other::app)]
#[should_panic = "returns `auth_start::User`: take `Auth<auth_start::User>` [BIS0087]"]
async fn another_type_is_named(_: TestApp) {}

#[bis::test(app = apps::public::app)]
#[should_panic = "takes `Auth<auth_start::User>`, which callers without credentials do not have: make it `auth`, or take `Option<Auth<..>>` [BIS0089]"]
async fn a_public_endpoint_cannot_count_on_a_user(_: TestApp) {}

#[bis::test(app = apps::second::app)]
#[should_panic = "; keep one of them [BIS0086]"]
async fn two_functions_are_an_error(_: TestApp) {}
