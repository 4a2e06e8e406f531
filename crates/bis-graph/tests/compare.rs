//! Compares the graph with a program's description of itself.

use bis_graph::{
    Access, Background, Endpoint, Graph, Hook, HookRole, Mount, Position, Restart, Service, State, compare,
    json,
};

fn pool() -> State {
    State {
        name: "shop::orders::POOL".to_owned(),
        type_name: "Pool".to_owned(),
        type_path: "shop::orders::Pool".to_owned(),
        description: None,
        users: Vec::new(),
        service: Some("orders".to_owned()),
        condition: None,
        static_path: "shop::orders::POOL".to_owned(),
        position: Position::point("src/orders.rs", 6, 1),
    }
}

fn graph() -> Graph {
    let mut graph = Graph::empty("shop");
    let position = |line| Position::point("src/orders.rs", line, 1);
    graph.services.push(Service {
        name: "orders".to_owned(),
        module: "shop::orders".to_owned(),
        description: None,
        layers: Vec::new(),
        condition: None,
        position: position(1),
    });
    graph.state.push(pool());
    graph.endpoints.push(Endpoint {
        service: "orders".to_owned(),
        name: "show".to_owned(),
        method: "GET".to_owned(),
        path: "/orders/{id}".to_owned(),
        access: Access::Public,
        layers: Vec::new(),
        body_limit_bytes: None,
        timeout_ms: None,
        users: Vec::new(),
        handler: "shop::orders::show".to_owned(),
        summary: None,
        description: None,
        deprecated: false,
        parameters: Vec::new(),
        body: None,
        responses: Vec::new(),
        uses: Vec::new(),
        condition: None,
        position: position(2),
    });
    graph.mounts.push(Mount {
        service: "orders".to_owned(),
        path: "/files".to_owned(),
        description: None,
        handler: "shop::orders::files".to_owned(),
        condition: None,
        position: position(3),
    });
    graph.hooks.push(Hook {
        service: "orders".to_owned(),
        role: HookRole::OnStart,
        handler: "shop::orders::warm".to_owned(),
        description: None,
        uses: Vec::new(),
        calls: Vec::new(),
        condition: None,
        position: position(4),
    });
    graph.background.push(Background {
        service: "orders".to_owned(),
        handler: "shop::orders::chase".to_owned(),
        description: None,
        restart: Restart { min_backoff_ms: 1000, max_backoff_ms: 60_000 },
        uses: Vec::new(),
        calls: Vec::new(),
        condition: None,
        position: position(5),
    });
    graph
}

#[test]
fn what_only_one_side_has_is_told_where_it_is() {
    let whole = json::description(&graph());
    assert_eq!(compare(&graph(), &whole), []);

    let mut less = graph();
    less.state.clear();
    less.endpoints.clear();
    less.mounts.clear();
    less.hooks.clear();
    less.background.clear();
    let messages = |graph: &Graph, description| -> Vec<(String, Option<u32>)> {
        let found = compare(graph, description);
        assert!(found.iter().all(|one| one.code == "BIS0054" && !one.is_error()));
        found.into_iter().map(|one| (one.message, one.position.map(|place| place.line))).collect()
    };
    assert_eq!(
        messages(&less, &whole),
        [
            ("the `background` function `shop::orders::chase` is in the program, but not in the graph".to_owned(), None),
            ("the `on_start` function `shop::orders::warm` is in the program, but not in the graph".to_owned(), None),
            ("the endpoint `GET /orders/{id}` of the service `orders` is in the program, but not in the graph".to_owned(), None),
            ("the mount `/files` of the service `orders` is in the program, but not in the graph".to_owned(), None),
            ("the resource `shop::orders::POOL` is in the program, but not in the graph".to_owned(), None),
        ]
    );
    let built = json::description(&less);
    assert_eq!(
        messages(&graph(), &built),
        [
            ("the resource `shop::orders::POOL` is in the graph, but not in the program".to_owned(), Some(6)),
            ("the endpoint `GET /orders/{id}` of the service `orders` is in the graph, but not in the program".to_owned(), Some(2)),
            ("the mount `/files` of the service `orders` is in the graph, but not in the program".to_owned(), Some(3)),
            ("the `on_start` function `shop::orders::warm` is in the graph, but not in the program".to_owned(), Some(4)),
            ("the `background` function `shop::orders::chase` is in the graph, but not in the program".to_owned(), Some(5)),
        ]
    );
    let mut unknown = graph();
    unknown.state[0].condition = Some("from_script".to_owned());
    unknown.endpoints[0].condition = Some("from_script".to_owned());
    unknown.mounts[0].condition = Some("from_script".to_owned());
    unknown.hooks[0].condition = Some("from_script".to_owned());
    unknown.background[0].condition = Some("from_script".to_owned());
    assert_eq!(compare(&unknown, &built), []);
    assert_eq!(compare(&unknown, &whole), []);
}
