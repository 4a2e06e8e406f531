//! Authentication: whom the app's `#[auth]` function admits, what endpoints learn from it, how far an identity travels, and that no
//! client can bring one along.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use axum::{
    body::Body,
    http::{Request, StatusCode, header::WWW_AUTHENTICATE},
};
use bis::prelude::*;
use serde_json::Value;

/// The service under test, with the app's `#[auth]` function.
pub mod shop {
    use axum::http::HeaderMap;
    use bis::prelude::*;

    bis::service!("shop");

    /// Who asks.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct User {
        /// The id.
        pub id: u64,
        /// Also with letters that no header carries.
        pub name: String,
    }

    #[auth]
    async fn authenticate(headers: HeaderMap) -> Result<User> {
        let token = headers.get("authorization").map(|value| value.to_str()).transpose()?;
        match token.map(|token| token.trim_start_matches("Bearer ")) {
            None => Err(Error::unauthorized("a token is needed")),
            Some("zoe") => Ok(User { id: 7, name: "Zoë".into() }),
            Some("expired") => Err(Error::unauthorized("the token has expired")
                .with_challenge(r#"Bearer error="invalid_token""#)
                .context("authenticate")),
            Some("banned") => Err(Error::forbidden("you are banned")),
            Some("away") => {
                Err(Error::unavailable("the session store is away").context("the password is 1234"))
            }
            Some("broken") => Err(Error::msg("the password is 1234")),
            Some(_) => panic!("the password is 1234"),
        }
    }

    #[api(GET, "/me", auth)]
    async fn me(Auth(user): Auth<User>) -> Json<User> {
        Json(user)
    }

    #[api(GET, "/guarded", auth)]
    async fn guarded() -> Json<Option<User>> {
        Json(Auth::<User>::current())
    }

    #[api(POST, "/guarded/body", auth)]
    async fn body(Auth(user): Auth<User>, Json(text): Json<String>) -> Result<String> {
        Ok(format!("{text} {}", user.id))
    }

    #[api(GET, "/greeting", public)]
    async fn greeting(user: Option<Auth<User>>) -> String {
        let current = Auth::<User>::current().map(|user| user.id);
        format!("hello {:?} {current:?}", user.map(|Auth(user)| user.name))
    }

    type Caller = Option<Auth<User>>;

    #[api(GET, "/alias", public)]
    async fn alias(caller: Caller) -> Json<bool> {
        Json(caller.is_some())
    }

    #[api(GET, "/open", public)]
    async fn open() -> Json<Option<User>> {
        Json(Auth::<User>::current())
    }

    #[api(GET, "/calls", public)]
    async fn calls() -> Result<Json<Option<User>>> {
        Ok(guarded().await)
    }

    #[api(GET, "/private", private)]
    async fn private(user: Auth<User>) -> Json<u64> {
        Json(user.0.id)
    }

    #[api(GET, "/spawned", auth)]
    async fn spawned() -> Result<Json<Vec<Option<User>>>> {
        let current = || Auth::<User>::current();
        let with = bis::spawn(async move { current() }).await?;
        let without = tokio::spawn(async move { current() }).await?;
        let called = private(Auth(User { id: 8, name: String::new() })).await.0;
        let called = User { id: called, name: String::new() };
        Ok(Json(vec![with, without, Some(called)]))
    }
}

/// An app that is guarded by typed headers and cookies, with a challenge of its own.
pub mod typed {
    use axum_extra::{
        TypedHeader,
        extract::CookieJar,
        headers::{Authorization, authorization::Basic},
    };
    use bis::prelude::*;

    bis::service!("typed");

    #[auth(challenge = "Basic realm=\"typed\"")]
    async fn authenticate(
        jar: CookieJar,
        TypedHeader(Authorization(basic)): TypedHeader<Authorization<Basic>>,
    ) -> Result<String> {
        let theme = jar.get("theme").map_or("none", |cookie| cookie.value());
        match basic.password() {
            "right" => Ok(format!("{} {theme}", basic.username())),
            _ => Err(Error::unauthorized("wrong password")),
        }
    }

    #[api(GET, "/who", auth)]
    async fn who(Auth(user): Auth<String>) -> String {
        user
    }

    #[api(GET, "/maybe", public)]
    async fn maybe(user: Option<Auth<String>>) -> String {
        user.map_or_else(|| "nobody".into(), |Auth(user)| user)
    }
}

/// Asks who calls, without an `#[auth]` function.
pub mod nobody {
    use bis::prelude::*;

    bis::service!("nobody");

    #[api(GET, "/guarded", auth)]
    async fn guarded() -> Result<()> {
        Ok(())
    }
}

/// Apps.
pub mod apps {
    /// The one without a function.
    pub mod nobody {
        bis::app!(services: [crate::nobody]);
    }
    /// The app whose user is a struct.
    pub mod shop {
        bis::app!(services: [crate::shop]);
    }
    /// The one whose user is a text.
    pub mod typed {
        bis::app!(services: [crate::typed]);
    }
}

use apps::{shop::app as shop_app, typed::app as typed_app};
use shop::User;

fn get(path: &str, authorization: Option<&str>) -> Request<Body> {
    let mut request = Request::get(path);
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    request.body(Body::empty()).unwrap()
}

/// The status, the header `WWW-Authenticate` and the text of an answer.
async fn answer(app: &TestApp, path: &str, authorization: Option<&str>) -> (StatusCode, String, String) {
    let response = app.request(get(path, authorization)).await;
    let challenge = response.headers().get(WWW_AUTHENTICATE);
    let challenge = challenge.map_or("", |value| value.to_str().unwrap()).to_owned();
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
    (status, challenge, String::from_utf8(body.to_vec()).unwrap())
}

fn zoe() -> User {
    User { id: 7, name: "Zoë".into() }
}

#[bis::test(app = shop_app)]
async fn only_whom_the_function_knows_is_let_in(app: TestApp) {
    let (status, _, body) = answer(&app, "/me", Some("Bearer zoe")).await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, r#"{"id":7,"name":"Zoë"}"#));
    let (status, _, body) = answer(&app, "/guarded", Some("Bearer zoe")).await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, r#"{"id":7,"name":"Zoë"}"#));
    for path in ["/me", "/guarded"] {
        for (authorization, expected, challenge, text) in [
            (None, StatusCode::UNAUTHORIZED, r#"Bearer realm="bis""#, "a token is needed"),
            (
                Some("expired"),
                StatusCode::UNAUTHORIZED,
                r#"Bearer error="invalid_token""#,
                "the token has expired",
            ),
            (Some("banned"), StatusCode::FORBIDDEN, "", "you are banned"),
            (Some("away"), StatusCode::SERVICE_UNAVAILABLE, "", ""),
            (Some("broken"), StatusCode::INTERNAL_SERVER_ERROR, "", "internal error"),
            (Some("panics"), StatusCode::INTERNAL_SERVER_ERROR, "", "internal error"),
        ] {
            let (status, header, body) = answer(&app, path, authorization).await;
            assert_eq!((status, header.as_str()), (expected, challenge), "{path} {authorization:?}");
            assert!(body.contains(text) && !body.contains("1234"), "{path} {authorization:?}: {body}");
        }
    }
}

#[bis::test(app = shop_app)]
async fn the_body_is_read_after_the_function_and_only_then(app: TestApp) -> Result<()> {
    let not_json = Request::post("/guarded/body").body(Body::from("not json")).unwrap();
    assert_eq!(app.request(not_json).await.status(), StatusCode::UNAUTHORIZED);
    let text: String = app.as_user(zoe()).post("/guarded/body", &"hello").await?;
    assert_eq!(text, "hello 7");
    Ok(())
}

#[bis::test(app = shop_app)]
async fn a_public_endpoint_may_ask_who_calls(app: TestApp) {
    for (authorization, expected) in [
        (None, "hello None None"),
        (Some("expired"), "hello None None"),
        (Some("zoe"), "hello Some(\"Zoë\") Some(7)"),
    ] {
        let (status, challenge, body) = answer(&app, "/greeting", authorization).await;
        assert_eq!((status, challenge.as_str(), body.as_str()), (StatusCode::OK, "", expected));
    }
    for (authorization, expected) in [
        ("banned", StatusCode::FORBIDDEN),
        ("away", StatusCode::SERVICE_UNAVAILABLE),
        ("broken", StatusCode::INTERNAL_SERVER_ERROR),
        ("panics", StatusCode::INTERNAL_SERVER_ERROR),
    ] {
        assert_eq!(answer(&app, "/greeting", Some(authorization)).await.0, expected, "{authorization}");
    }
    assert_eq!(answer(&app, "/alias", Some("zoe")).await.2, "true");
    assert_eq!(answer(&app, "/alias", None).await.2, "false");
    // Where nobody asks for the user, the function does not run.
    assert_eq!(answer(&app, "/open", Some("panics")).await.2, "null");
}

#[bis::test(app = shop_app)]
async fn a_test_asks_as_the_user_of_its_choice(app: TestApp) -> Result<()> {
    let ann = User { id: 1, name: "ann".into() };
    let as_ann = app.as_user(ann.clone());
    assert_eq!(as_ann.get::<User>("/me").await?, ann);
    assert_eq!(as_ann.get::<String>("/greeting").await?, "hello Some(\"ann\") Some(1)");
    assert_eq!(as_ann.get::<Option<User>>("/open").await?, None, "the function would not run");
    let banned = as_ann.request(get("/me", Some("banned"))).await;
    assert_eq!(banned.status(), StatusCode::OK, "the function is skipped");
    let error = app.get::<User>("/me").await.unwrap_err();
    assert_eq!(error.http_status(), StatusCode::UNAUTHORIZED, "the function runs");
    Ok(())
}

#[bis::test(app = shop_app)]
#[should_panic = "the app's `#[auth]` function returns `auth::shop::User`, not `alloc::string::String`"]
async fn a_test_cannot_ask_as_what_is_no_user(app: TestApp) {
    app.as_user("ann".to_owned());
}

#[bis::test(app = shop_app)]
async fn an_identity_goes_along_in_the_process(app: TestApp) -> Result<()> {
    let known: Vec<Option<User>> = app.as_user(zoe()).get("/spawned").await?;
    assert_eq!(known, [Some(zoe()), None, Some(User { id: 8, name: String::new() })]);
    // Code of the app is trusted: the endpoint runs, and knows nobody.
    assert_eq!(app.get::<Value>("/calls").await?, Value::Null);
    Ok(())
}

#[bis::test(app = shop_app)]
async fn no_client_brings_an_identity_along(app: TestApp) {
    let request = |path: &str| {
        let request = Request::get(path).header("bis-identity", r#"{"id":1,"name":"root"}"#);
        request.header("bis-secret", "").header("bis-caller", "shop").body(Body::empty()).unwrap()
    };
    for (path, expected) in [
        ("/me", StatusCode::UNAUTHORIZED),
        ("/guarded", StatusCode::UNAUTHORIZED),
        ("/private", StatusCode::NOT_FOUND),
        ("/_bis/call/auth::shop::me", StatusCode::MISDIRECTED_REQUEST),
    ] {
        assert_eq!(app.request(request(path)).await.status(), expected, "{path}");
    }
    for (path, expected) in [("/open", "null"), ("/calls", "null"), ("/greeting", "hello None None")] {
        let response = app.request(request(path)).await;
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        assert_eq!(&*body, expected.as_bytes(), "{path}");
    }
}

#[bis::test(app = typed_app)]
async fn an_extractor_that_finds_nothing_means_no_credentials(app: TestApp) {
    let basic = |text: &str| format!("Basic {text}");
    // ann:right, ann:wrong
    let (right, wrong) = (basic("YW5uOnJpZ2h0"), basic("YW5uOndyb25n"));
    let challenge = "Basic realm=\"typed\"";
    assert_eq!(answer(&app, "/who", Some(&right)).await.2, "ann none");
    for authorization in [None, Some(wrong.as_str()), Some("Basic %%%")] {
        let (status, header, _) = answer(&app, "/who", authorization).await;
        assert_eq!((status, header.as_str()), (StatusCode::UNAUTHORIZED, challenge), "{authorization:?}");
        assert_eq!(answer(&app, "/maybe", authorization).await.2, "nobody", "{authorization:?}");
    }
    let with_cookie = Request::get("/who").header("authorization", right).header("cookie", "theme=dark");
    let response = app.request(with_cookie.body(Body::empty()).unwrap()).await;
    let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
    assert_eq!(&*body, b"ann dark");
}

#[bis::test(app = apps::nobody::app)]
#[should_panic = "outside every service [BIS0085]"]
async fn an_endpoint_that_asks_needs_a_function(_: TestApp) {}
