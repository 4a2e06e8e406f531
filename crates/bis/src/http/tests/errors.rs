//! What errors of a called process say in the calling one.

use axum::{
    Json,
    body::Body,
    extract::Path,
    http::{Request, StatusCode},
    response::IntoResponse,
};

use super::{Client, Process, SECRET, there};
use crate::Error;

#[test]
fn errors_come_back_with_status_text_and_kind() {
    let (here, _there) = Process::pair();
    here.run(async {
        let error = there::add(Path(u32::MAX), axum::Json(1)).await.unwrap_err();
        assert_eq!(error.http_status(), StatusCode::BAD_REQUEST);
        assert_eq!(error.to_string(), "4294967295 and 1 are too much");
        let fail = |how: &str| there::fail(Path(how.to_owned()));
        let later = fail("later").await.unwrap_err();
        assert!(!later.is_permanent() && later.to_string() == "disk full", "{later:?}");
        let never = fail("never").await.unwrap_err();
        assert!(never.is_permanent() && never.to_string() == "no such customer", "{never:?}");
        assert_eq!(fail("panic").await.unwrap_err().to_string(), "internal error");
        fail("not").await.unwrap();
    });
}

/// Every process sees the same of an error: what it decides about an event, and what its own client gets.
#[test]
fn an_error_is_the_same_in_the_calling_process() {
    let (here, there) = Process::pair();
    for how in ["later", "never", "missing", "sold-out", "busy", "invalid", "broker"] {
        let fail = || there::fail(Path(how.to_owned()));
        let (far, near) = (here.run(fail()).unwrap_err(), there.run(fail()).unwrap_err());
        assert_eq!(format!("{far:#}"), format!("{near:#}"));
        assert_eq!((far.is_permanent(), far.retry_wait()), (near.is_permanent(), near.retry_wait()), "{how}");
        assert_eq!(answer_of(&here, far), answer_of(&there, near), "{how}");
    }
}

/// Status, header `retry-after` and body of the answer that a client gets.
fn answer_of(process: &Process, error: Error) -> (StatusCode, Option<String>, String) {
    process.run(async {
        let response = error.into_response();
        let status = response.status();
        let wait = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, wait, String::from_utf8(body.to_vec()).unwrap())
    })
}

#[test]
fn what_is_valid_travels_and_is_checked_where_it_arrives() {
    let (here, process) = Process::pair();
    here.run(async {
        let amount = crate::Valid::new(Json(there::Amount { cents: 7 })).unwrap();
        assert_eq!(there::pay(amount).await.unwrap().0, 7);
        // As a process of another build may call it, which has other rules.
        let function = concat!(module_path!(), "::there::pay").replace("::errors", "");
        let request = Request::post(format!("/_bis/call/{function}"))
            .header("host", "x")
            .header("bis-secret", SECRET)
            .body(Body::from(r#"[{"cents":0}]"#))
            .unwrap();
        let base = format!("http://{}", process.address);
        let (status, body) = Client::default().send(&base, request).await.unwrap();
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
        assert_eq!(problem["errors"], serde_json::json!([{ "path": "cents", "message": "lower than 1" }]));
        assert_eq!(problem["bis"]["permanent"], true);
        assert_eq!(problem["bis"]["refused"], false);
    });
}
