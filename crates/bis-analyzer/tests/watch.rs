//! A workspace that is analysed again sees what changed, and only that.

mod common;

use std::{fs, thread::sleep, time::Duration};

use bis_analyzer::{Options, Workspace};

const APP: &str = r#"
//- src/lib.rs
pub mod orders;
bis::app!(services: [orders]);
//- src/orders.rs
bis::service!("orders");
"#;

#[test]
fn changes_in_sources_modules_and_manifests_are_seen() {
    let folder = common::folder(APP);
    let path = |file: &str| folder.path().join(file);
    let mut workspace = Workspace::open(folder.path(), Options::default());
    let services = |workspace: &mut Workspace| -> Vec<String> {
        workspace.analyze().graph.services.into_iter().map(|service| service.name).collect()
    };
    assert_eq!(services(&mut workspace), ["orders"]);

    // The same length, and immediately: a file's time alone would not show it.
    fs::write(path("src/orders.rs"), "bis::service!(\"ordera\");\n").unwrap();
    assert_eq!(services(&mut workspace), ["ordera"]);

    fs::write(path("src/orders.rs"), "bis::service!(\"orders\"\n").unwrap();
    assert_eq!(workspace.analyze().diagnostics[0].code, "BIS0001");

    fs::write(path("src/orders.rs"), "bis::service!(\"orders\");\n").unwrap();
    fs::write(path("src/lib.rs"), "pub mod orders;\npub mod more;\nbis::app!(services: [orders, more]);\n")
        .unwrap();
    let analysis = workspace.analyze();
    assert_eq!(analysis.diagnostics[0].code, "BIS0003");
    fs::write(path("src/more.rs"), "bis::service!(\"more\");\n").unwrap();
    assert_eq!(services(&mut workspace), ["more", "orders"]);
    assert!(workspace.analyze().files.contains(&path("src/more.rs").canonicalize().unwrap()));

    sleep(Duration::from_millis(60));
    assert_eq!(services(&mut workspace), ["more", "orders"]);
    let manifest = fs::read_to_string(path("Cargo.toml")).unwrap();
    fs::write(path("Cargo.toml"), manifest.replace("shop", "store")).unwrap();
    assert_eq!(workspace.analyze().graph.app, "store");
}
