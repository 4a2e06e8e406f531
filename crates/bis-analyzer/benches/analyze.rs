//! The whole analysis of a generated app of 100,000 lines against what `syn` alone takes to parse the same files with as
//! many threads, in turns; and the analysis after one file changed. Prints medians and ratios.
//!
//! `cargo bench -p bis-analyzer`

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot write its files has nothing to measure")]

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use bis_analyzer::{Options, Workspace, analyze};

const SERVICES: usize = 40;
const MODULES: usize = 9;
const ROUNDS: usize = 11;

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let lines = generate(folder.path());
    let files = sources(&folder.path().join("src"));
    let options = Options::default();

    let analysis = analyze(folder.path(), &options);
    assert!(analysis.diagnostics.is_empty(), "{:#?}", analysis.diagnostics);
    let graph = &analysis.graph;
    println!(
        "app: {lines} lines in {} files; {} services, {} topics, {} subscriptions, {} endpoints",
        files.len(),
        graph.services.len(),
        graph.topics.len(),
        graph.subscriptions.len(),
        graph.endpoints.len()
    );

    let (mut parse, mut whole) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        parse.push(time(|| parse_all(&files)));
        whole.push(time(|| assert_eq!(analyze(folder.path(), &options).graph.topics.len(), SERVICES)));
    }
    let (parse, whole) = (median(parse), median(whole));
    println!("syn alone, same files and threads: {parse:?}");
    println!(
        "whole analysis:                    {whole:?}  ratio {:.2}",
        whole.as_secs_f64() / parse.as_secs_f64()
    );

    let mut workspace = Workspace::open(folder.path(), options);
    // A file that was just written is read again until its timestamp is old enough to be trusted.
    std::thread::sleep(Duration::from_millis(100));
    workspace.analyze();
    let changed = folder.path().join("src/service_20/part_4.rs");
    let original = fs::read_to_string(&changed).unwrap();
    let mut again = Vec::new();
    for round in 0..ROUNDS {
        fs::write(&changed, format!("{original}\n// change {round}\n")).unwrap();
        again.push(time(|| assert!(workspace.analyze().diagnostics.is_empty())));
    }
    println!("after one file changed:            {:?}", median(again));
    let idle = (0..ROUNDS).map(|_| time(|| drop(workspace.analyze()))).collect();
    println!("after nothing changed:             {:?}", median(idle));
}

fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(sources(&path)) } else { files.push(path) }
    }
    files
}

/// Reads and parses every file, with a thread for each core.
fn parse_all(files: &[PathBuf]) {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let text = fs::read_to_string(file).unwrap();
                    assert!(!syn::parse_file(&text).unwrap().items.is_empty());
                }
            });
        }
    });
}

/// Writes the app and returns its number of lines.
fn generate(folder: &Path) -> usize {
    let mut lines = 0;
    let mut write = |path: &str, text: &str| {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        lines += text.lines().count();
    };
    write(
        "Cargo.toml",
        "[package]\nname = \"large\"\nedition = \"2024\"\n[dependencies]\nbis = \"0.1\"\nserde = \"1\"\nuuid = \"1\"\n",
    );
    let names: Vec<String> = (0..SERVICES).map(|index| format!("service_{index}")).collect();
    let mut lib: String = names.iter().map(|name| format!("pub mod {name};\n")).collect();
    writeln!(lib, "bis::app!(services: [{}]);", names.join(", ")).unwrap();
    write("src/lib.rs", &lib);
    for service in 0..SERVICES {
        write(&format!("src/service_{service}.rs"), &service_module(service));
        for part in 0..MODULES {
            write(&format!("src/service_{service}/part_{part}.rs"), &part_module(service, part));
        }
    }
    lines
}

fn service_module(index: usize) -> String {
    let mut text =
        String::from("//! A service.\n\nuse bis::prelude::*;\nuse serde::{Deserialize, Serialize};\n\n");
    for part in 0..MODULES {
        writeln!(text, "pub mod part_{part};").unwrap();
    }
    let next = (index + 1) % SERVICES;
    write!(
        text,
        r#"
bis::service!("service-{index}");

/// Something happened.
#[derive(Debug, Clone, Event, Serialize, Deserialize)]
pub struct Happened {{
    #[event(key)]
    pub id: uuid::Uuid,
    pub detail: part_0::Record0,
}}

pub static HAPPENED: Topic<Happened> = Topic::new("happened-{index}").ordered();

#[subscription(crate::service_{next}::HAPPENED, retry(max = 5, min_backoff = "1s"))]
async fn follow(event: crate::service_{next}::Happened) -> Result<()> {{
    HAPPENED.publish(&Happened {{ id: event.id, detail: Default::default() }}).await?;
    Ok(())
}}
"#
    )
    .unwrap();
    text
}

fn part_module(service: usize, part: usize) -> String {
    let mut text = format!(
        "//! A part.\n\nuse bis::prelude::*;\nuse serde::{{Deserialize, Serialize}};\nuse std::collections::BTreeMap;\n\nuse super::{{HAPPENED, Happened}};\n\nconst LIMIT: usize = {};\n",
        100 + part
    );
    for block in 0..6 {
        write!(
            text,
            r#"
/// A record of the kind that services keep.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record{block} {{
    /// Its name.
    pub name: String,
    /// How often it was seen.
    pub count: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    pub tags: Vec<String>,
}}

impl Record{block} {{
    /// Counts what is given.
    pub fn count(&mut self, values: &[i64]) -> Option<i64> {{
        let mut total = 0_i64;
        for (index, value) in values.iter().enumerate() {{
            if index > LIMIT {{
                break;
            }}
            match value.signum() {{
                1 => total = total.checked_add(*value)?,
                -1 if *value > i64::MIN => total = total.checked_sub(-*value)?,
                _ => self.tags.push(format!("zero at {{index}} of {{}}", values.len())),
            }}
        }}
        self.count += values.len() as u64;
        Some(total)
    }}
}}

/// What is known by name.
#[api(GET, "/service-{service}/part-{part}/records-{block}/{{id}}", public)]
pub async fn records_{block}(Path(id): Path<uuid::Uuid>) -> Result<Json<Record{block}>> {{
    let mut known: BTreeMap<String, Record{block}> = BTreeMap::new();
    known.insert(id.to_string(), Record{block} {{ name: "one".to_owned(), ..Default::default() }});
    let record = known.remove(&id.to_string()).ok_or_else(|| Error::not_found("there is none"))?;
    if record.count == 0 {{
        let (first, second) = tokio::join!(
            HAPPENED.publish(&Happened {{ id, detail: Default::default() }}),
            async {{ record.tags.len() }},
        );
        first?;
        tracing::info!(second, "published");
    }}
    Ok(Json(record))
}}
"#
        )
        .unwrap();
    }
    text
}
