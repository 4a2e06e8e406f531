//! The graph against what a program says of itself.

use bis_graph::{Access, Endpoint, Graph, Mount, Position, Service, compare, json};

fn graph() -> Graph {
    let mut graph = Graph::empty("shop");
    let position = |line| Position::point("src/orders.rs", line, 1);
    graph.services.push(Service {
        name: "orders".to_owned(),
        module: "shop::orders".to_owned(),
        description: None,
        condition: None,
        position: position(1),
    });
    graph.endpoints.push(Endpoint {
        service: "orders".to_owned(),
        name: "show".to_owned(),
        method: "GET".to_owned(),
        path: "/orders/{id}".to_owned(),
        access: Access::Public,
        handler: "shop::orders::show".to_owned(),
        summary: None,
        description: None,
        deprecated: false,
        parameters: Vec::new(),
        body: None,
        responses: Vec::new(),
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
    graph
}

#[test]
fn what_only_one_side_has_is_told_where_it_is() {
    let whole = json::description(&graph());
    assert_eq!(compare(&graph(), &whole), []);

    let mut less = graph();
    less.endpoints.clear();
    less.mounts.clear();
    let messages = |graph: &Graph, description| -> Vec<(String, Option<u32>)> {
        let found = compare(graph, description);
        assert!(found.iter().all(|one| one.code == "BIS0054" && !one.is_error()));
        found.into_iter().map(|one| (one.message, one.position.map(|place| place.line))).collect()
    };
    assert_eq!(
        messages(&less, &whole),
        [
            ("the endpoint `GET /orders/{id}` of the service `orders` is in the program, but not in the graph".to_owned(), None),
            ("the mount `/files` of the service `orders` is in the program, but not in the graph".to_owned(), None),
        ]
    );
    let built = json::description(&less);
    assert_eq!(
        messages(&graph(), &built),
        [
            ("the endpoint `GET /orders/{id}` of the service `orders` is in the graph, but not in the program".to_owned(), Some(2)),
            ("the mount `/files` of the service `orders` is in the graph, but not in the program".to_owned(), Some(3)),
        ]
    );
    let mut unknown = graph();
    unknown.endpoints[0].condition = Some("from_script".to_owned());
    unknown.mounts[0].condition = Some("from_script".to_owned());
    assert_eq!(compare(&unknown, &built), []);
    assert_eq!(compare(&unknown, &whole), []);
}
