//! A graph's rules and exports, without the analyser.

use bis_graph::{
    Access, Background, Colour, Diagnostic, Endpoint, FunctionCall, FunctionUse, Graph, Hook, HookRole,
    Position, ResourceKind, Restart, Service, Sources, State, Topic, codes, json, mermaid, render, rules,
};

/// A function at the stop and one in the background.
fn add_functions(graph: &mut Graph) {
    let position = |line| Position::point("src/orders.rs", line, 1);
    graph.hooks.push(Hook {
        service: "orders".to_owned(),
        role: HookRole::OnStop,
        handler: "shop::orders::goodbye".to_owned(),
        description: None,
        uses: Vec::new(),
        calls: vec![FunctionCall { service: "email".to_owned(), endpoint: "mail".to_owned() }],
        condition: None,
        position: position(5),
    });
    graph.background.push(Background {
        service: "orders".to_owned(),
        handler: "shop::orders::chase".to_owned(),
        description: None,
        restart: Restart { min_backoff_ms: 1000, max_backoff_ms: 60_000 },
        uses: vec![FunctionUse {
            kind: ResourceKind::Topic,
            resource: "order-placed".to_owned(),
            method: Some("publish".to_owned()),
        }],
        calls: Vec::new(),
        condition: None,
        position: position(6),
    });
}

fn graph() -> Graph {
    let position = |line| Position::point("src/orders.rs", line, 1);
    let endpoint = |name: &str, path: &str, line| Endpoint {
        service: "orders".to_owned(),
        name: name.to_owned(),
        method: "GET".to_owned(),
        path: path.to_owned(),
        access: Access::Public,
        layers: Vec::new(),
        body_limit_bytes: None,
        timeout_ms: None,
        users: Vec::new(),
        handler: format!("shop::orders::{name}"),
        summary: None,
        description: None,
        deprecated: false,
        parameters: Vec::new(),
        body: None,
        responses: Vec::new(),
        uses: Vec::new(),
        condition: None,
        position: position(line),
    };
    let mut graph = Graph::empty("shop");
    graph.services.push(Service {
        name: "orders".to_owned(),
        module: "shop::orders".to_owned(),
        description: None,
        layers: Vec::new(),
        condition: None,
        position: position(1),
    });
    graph.topics.push(Topic {
        name: "order-placed".to_owned(),
        event: "OrderPlaced".to_owned(),
        event_path: "shop::orders::OrderPlaced".to_owned(),
        description: None,
        ordered: false,
        retention: None,
        publishers: vec!["orders".to_owned()],
        listeners: Vec::new(),
        delays: Vec::new(),
        users: vec!["orders".to_owned()],
        service: Some("orders".to_owned()),
        static_path: "shop::orders::PLACED".to_owned(),
        condition: None,
        position: position(2),
    });
    add_functions(&mut graph);
    graph.endpoints = vec![endpoint("show", "/orders/{id}", 3), endpoint("find", "/orders/{order}", 4)];
    graph
}

#[test]
fn the_rules_see_what_is_doubled_and_what_is_silent() {
    let found: Vec<&str> = rules::check(&graph()).iter().map(|diagnostic| diagnostic.code).collect();
    assert_eq!(found, [codes::DUPLICATE_ENDPOINT, codes::UNHEARD_TOPIC]);
}

#[test]
fn endpoints_of_one_path_name_its_parameters_alike() {
    let mut graph = graph();
    graph.topics.clear();
    graph.endpoints[1].method = "POST".to_owned();
    let found = rules::check(&graph);
    assert_eq!(found[0].message, "the path `/orders/{order}` cannot be served beside `/orders/{id}`");
    graph.endpoints[1].access = Access::Private;
    assert_eq!(rules::check(&graph), []);
}

#[test]
fn the_graph_is_read_back_from_its_json() {
    let text = json::graph(&graph());
    assert_eq!(serde_json::from_str::<Graph>(&text).unwrap(), graph());
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["version"], 1);
    assert_eq!(value["topics"][0]["static"], "shop::orders::PLACED");
    assert_eq!(value["endpoints"][0]["access"], "public");
    assert_eq!(value["hooks"][0]["role"], "on_stop");
    assert_eq!(value["background"][0]["uses"][0]["resource"], "order-placed");
}

#[test]
fn mermaid_has_every_edge() {
    let mut graph = graph();
    graph.topics[0].listeners.push("live".to_owned());
    graph.state.push(State {
        name: "shop::db::POOL".to_owned(),
        type_name: "Pool".to_owned(),
        type_path: "shop::db::Pool".to_owned(),
        description: None,
        users: vec!["orders".to_owned()],
        service: None,
        condition: None,
        static_path: "shop::db::POOL".to_owned(),
        position: Position::point("src/db.rs", 1, 1),
    });
    insta::assert_snapshot!(mermaid::graph(&graph));
}

#[test]
fn a_diagnostic_has_the_documented_json() {
    let diagnostic = Diagnostic::error(codes::DUPLICATE_RESOURCE, Position::point("src/a.rs", 2, 3), "twice")
        .and(Position::point("src/b.rs", 4, 5), "first")
        .help("rename");
    let value = json::diagnostics(&[diagnostic]);
    let first = &value["diagnostics"][0];
    for (key, expected) in
        [("code", "BIS0022"), ("severity", "error"), ("message", "twice"), ("file", "src/a.rs")]
    {
        assert_eq!(first[key], expected);
    }
    assert_eq!((&first["line"], &first["column"]), (&2.into(), &3.into()));
    assert_eq!(first["labels"][0]["file"], "src/b.rs");
}

#[test]
fn carets_stand_under_their_text_with_tabs_wide_letters_and_colours() {
    let mut sources = Sources::default();
    sources.insert("src/a.rs", "fn é() {\n\tlet x = 1;\n}\n");
    let position = Position { end_column: 7, ..Position::point("src/a.rs", 2, 6) };
    let diagnostic = Diagnostic::warning(codes::UNHEARD_TOPIC, position, "an example").labelled("here");
    insta::assert_snapshot!(render(&diagnostic, &sources, Colour::Never));
    assert!(render(&diagnostic, &sources, Colour::Always).contains("\x1b[1;33mwarning[BIS0025]\x1b[0m"));
    let without_source = render(&diagnostic, &Sources::default(), Colour::Never);
    assert!(without_source.contains("src/a.rs:2:6"), "{without_source}");
}

#[test]
fn an_endless_line_is_not_shown() {
    let mut sources = Sources::default();
    sources.insert("src/a.rs", "x".repeat(100_000));
    let diagnostic =
        Diagnostic::warning(codes::TOO_DEEP, Position::point("src/a.rs", 1, 70_000), "an example");
    let text = render(&diagnostic, &sources, Colour::Never);
    assert!(text.len() < 200 && text.contains("src/a.rs:1:70000"), "{text}");
}
