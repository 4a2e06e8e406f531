//! Which paths are refused, with which words.

use super::*;

#[track_caller]
fn check(path: &str, parts: &[&str]) {
    let found = path_mistakes(path);
    assert_eq!(found.len(), usize::from(!parts.is_empty()), "{path}: {found:?}");
    for (part, mistake) in parts.iter().zip(std::iter::repeat(found.first())) {
        let mistake = mistake.expect("there is one");
        let text = format!("{}: {}", mistake.message, mistake.help);
        assert!(text.contains(part), "{path}: `{text}` lacks `{part}`");
    }
}

#[test]
fn what_can_be_served_and_reached_is_taken() {
    for path in [
        "/",
        "/orders",
        "/orders/",
        "/orders/{id}",
        "/orders/{order_id}/lines/{line}",
        "/files/{*rest}",
        "/{*rest}",
        "/caf%C3%A9",
        "/a-b._~!$&'()*+,;=:@",
        "/a//b",
        "/...",
    ] {
        check(path, &[]);
    }
}

#[test]
fn what_cannot_be_served_is_refused() {
    check("orders", &["does not begin with a slash", "write `\"/orders\"`"]);
    check("", &["does not begin with a slash"]);
    check("/{*rest}/x", &["`{*rest}` takes the whole rest", "`{rest}` for one segment"]);
    check("/a/*rest", &["`*rest` is not how a parameter is written", "write `{*rest}`"]);
    check("/a/*", &["is not how a parameter is written"]);
    check("/a/:id", &["write `{id}`"]);
    check("/a/<id>", &["write `{id}`"]);
    check("/a/x{id}", &["`x{id}` is not a path segment"]);
    check("/a/{}", &["is not a path segment"]);
    check("/a/{*}", &["is not a path segment"]);
    check("/a/{{id}}", &["is not a path segment"]);
    check("/a/{id}/{*id}", &["`id` appears twice"]);
    check("/_bis/call/x", &["`/_bis`", "choose another path"]);
}

#[test]
fn what_no_request_reaches_is_refused() {
    check("/café", &["clients send `é` percent-encoded", "`caf%C3%A9`"]);
    check("/日本", &["`%E6%97%A5%E6%9C%AC`"]);
    check("/a\\b", &["`a%5Cb`"]);
    check("/100%", &["`100%25`"]);
    check("/a/../b", &["clients resolve `..`"]);
    check("/a/%2E/b", &["clients resolve `%2E`"]);
    check("/a b", &["holds a space"]);
    check("/a?b", &["`Query` extractor"]);
}

#[test]
fn mounts_take_no_parameters_and_no_slash_at_the_end() {
    assert!(mount_mistakes("/").is_empty() && mount_mistakes("/files").is_empty());
    for (path, part) in
        [("/files/{id}", "holds a parameter"), ("/files/", "ends with a slash"), ("/café", "é")]
    {
        let found = mount_mistakes(path);
        assert!(found.len() == 1 && found[0].message.contains(part), "{found:?}");
    }
}

#[test]
fn parameters_come_in_their_order() {
    assert_eq!(parameters("/a/{b}/c/{*d}").collect::<Vec<_>>(), ["b", "d"]);
    assert_eq!(parameters("/").count(), 0);
}

#[test]
fn a_conflict_names_the_path_that_is_there() {
    let mut routes = Routes::default();
    routes.endpoint("GET", "/a/b/c", 1).unwrap();
    routes.endpoint("GET", "/a/{id}/c", 2).unwrap();
    let beside = |path: &str, first| Err(RouteConflict::Beside { path: path.to_owned(), first });
    assert_eq!(routes.endpoint("PUT", "/a/{other}/c", 3), beside("/a/{id}/c", 2));
    assert_eq!(routes.endpoint("GET", "/a/b/c", 4), Err(RouteConflict::Same { first: 1 }));
    assert_eq!(routes.endpoint("PUT", "/a/b/c", 5), Ok(()));
    assert_eq!(routes.mount("/files", 6), Ok(()));
    assert_eq!(routes.mount("/", 7), Ok(()));
    assert_eq!(routes.mount("/", 8), Err(RouteConflict::Same { first: 7 }));
}
