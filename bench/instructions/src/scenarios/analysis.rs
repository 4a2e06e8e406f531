//! An app of so many services, from its source to its graph.

use std::{fmt::Write, fs};

use anyhow::{Result, ensure};
use bis_analyzer::{Options, analyze};

/// How many types with a function and a subscription each service has.
const ITEMS: usize = 20;

/// The lines of an app of so many services.
pub fn lines(services: usize) -> usize {
    files(services).iter().map(|(_, text)| text.lines().count()).sum()
}

pub fn run(services: usize) -> Result<()> {
    let folder = tempfile::TempDir::new()?;
    fs::create_dir(folder.path().join("src"))?;
    for (path, text) in files(services) {
        fs::write(folder.path().join(path), text)?;
    }
    let analysis = analyze(folder.path(), &Options::default());
    ensure!(analysis.diagnostics.is_empty(), "{:?}", analysis.diagnostics.first());
    ensure!(analysis.graph.subscriptions.len() == services * ITEMS, "the graph lacks subscriptions");
    Ok(())
}

/// The app's files with their paths.
fn files(services: usize) -> Vec<(String, String)> {
    let manifest =
        "[package]\nname = \"large\"\nedition = \"2024\"\n[dependencies]\nbis = \"0.1\"\nserde = \"1\"\n";
    let names: Vec<String> = (0..services).map(|service| format!("service_{service}")).collect();
    let mut lib: String = names.iter().map(|name| format!("pub mod {name};\n")).collect();
    let _ = writeln!(lib, "bis::app!(services: [{}]);", names.join(", "));
    let mut files = vec![("Cargo.toml".to_owned(), manifest.to_owned()), ("src/lib.rs".to_owned(), lib)];
    files.extend((0..services).map(|number| (format!("src/service_{number}.rs"), service(number))));
    files
}

fn service(number: usize) -> String {
    let mut text = format!(
        r#"//! A service.

use std::collections::BTreeMap;

use bis::prelude::*;

bis::service!("service-{number}");
"#
    );
    for item in 0..ITEMS {
        let _ = write!(
            text,
            r#"
/// Something happened.
#[derive(Debug, Clone, Event, Serialize, Deserialize)]
pub struct Happened{item} {{
    #[event(key)]
    pub id: u64,
    #[event(attribute)]
    pub country: String,
    pub lines: Vec<BTreeMap<String, f64>>,
    pub note: Option<String>,
}}

pub static HAPPENED_{item}: Topic<Happened{item}> = Topic::new("happened-{number}-{item}").ordered();

#[subscription(HAPPENED_{item}, concurrency = 4, timeout = "30s")]
async fn note_{item}(event: Happened{item}) -> Result<()> {{
    let mut sums = BTreeMap::new();
    for line in &event.lines {{
        for (name, amount) in line {{
            *sums.entry(name.clone()).or_insert(0.0) += amount;
        }}
    }}
    if let Some(note) = event.note.as_deref().filter(|note| !note.is_empty()) {{
        tracing::info!(event.id, note, "noted");
    }}
    Ok(())
}}

#[api(GET, "/service-{number}/happened-{item}/{{id}}", public)]
async fn happened_{item}(Path(id): Path<u64>) -> Result<String> {{
    let event = Happened{item} {{ id, country: "de".to_owned(), lines: Vec::new(), note: None }};
    HAPPENED_{item}.publish(&event).await?;
    Ok(format!("{item}: {{id}}"))
}}
"#
        );
    }
    text
}
