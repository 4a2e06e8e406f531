//! The router beside nsqd, redis and nats-server: the same raw client, interleaved runs on fresh folders, medians.
//!
//! `cargo bench -p bis-router --bench brokers -- [SCENARIO..] [--rounds N] [--svg FILE]`. Scenarios: `publish`, `single`,
//! `flow`, `fan-out`, `many`, `paced`, `topics`, `backlog`; all of them unless named. Servers that are not on the path are left out
//! and named. What a server promises with its answer differs: compare within a class.

#![expect(clippy::unwrap_used, reason = "a benchmark stops at the first surprise")]

mod disk;
mod load;
mod report;
mod servers;
mod wire;

use std::fs;
use std::time::{Duration, Instant};

use report::{Row, Table, median};
use servers::{Kind, Server, Usage};
use wire::Wire;

/// How many messages go through a server before a run that counts them.
const WARM_UP: usize = 10_000;
const RUN: Duration = Duration::from_millis(1500);
const SCENARIOS: [&str; 8] = ["publish", "single", "flow", "fan-out", "many", "paced", "topics", "backlog"];
/// Servers that speak NSQ.
const NSQ: [Kind; 4] = [Kind::RouterAlways, Kind::RouterNone, Kind::NsqdDefault, Kind::NsqdMemory];
/// The router's ways to answer. nsqd spills to files with one topic and not with many, so that the two cannot be compared.
const ROUTERS: [Kind; 2] = [Kind::RouterAlways, Kind::RouterNone];
/// How many messages the `backlog` scenario puts on the disk first.
const BACKLOG: usize = 10_000_000;
/// Latencies are taken at this many messages per second.
const PACE: u32 = 5000;

struct Plan {
    scenarios: Vec<String>,
    rounds: usize,
    svg: Option<String>,
}

fn main() {
    if servers::run_as_router() {
        return;
    }
    let plan = plan();
    let missing = Kind::ALL.into_iter().filter(|kind| !kind.is_here());
    missing.for_each(|kind| println!("left out, not on the path: {}", kind.name()));
    println!("{} rounds, medians; {}-byte messages; {}", plan.rounds, load::BODY_BYTES, machine());
    println!("sync latency of this disk: {}", disk::sync_latency());
    let mut tables = Vec::new();
    for scenario in &plan.scenarios {
        match scenario.as_str() {
            "publish" => tables.push(publishes(plan.rounds, 256)),
            "single" => tables.push(publishes(plan.rounds, 1)),
            "flow" => tables.push(flows(plan.rounds, 1, 2)),
            "fan-out" => tables.push(flows(plan.rounds, 4, 1)),
            "many" => tables.push(flows(plan.rounds, 1, 300)),
            "paced" => paced(plan.rounds),
            "topics" => topics(plan.rounds),
            _ => backlog(plan.rounds),
        }
    }
    println!("\nsync latency of this disk, at the end: {}", disk::sync_latency());
    if let Some(file) = plan.svg {
        let caption = [
            format!(
                "{}; medians of {} interleaved runs; sync latency {}",
                machine(),
                plan.rounds,
                disk::sync_latency()
            ),
            format!(
                "cargo bench -p bis-router --bench brokers -- {} --rounds {}",
                plan.scenarios.join(" "),
                plan.rounds
            ),
        ];
        fs::write(&file, report::picture(&tables, &caption)).unwrap();
        println!("wrote {file}");
    }
}

fn plan() -> Plan {
    let mut plan = Plan { scenarios: Vec::new(), rounds: 5, svg: None };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--rounds" => plan.rounds = arguments.next().unwrap().parse().unwrap(),
            "--svg" => plan.svg = arguments.next(),
            // What cargo adds.
            "--bench" => {}
            scenario => {
                assert!(SCENARIOS.contains(&scenario), "`{scenario}` is not one of {SCENARIOS:?}");
                plan.scenarios.push(scenario.to_owned());
            }
        }
    }
    if plan.scenarios.is_empty() {
        plan.scenarios = SCENARIOS.map(str::to_owned).to_vec();
    }
    plan
}

/// One run: what was counted, and what the server used meanwhile.
struct Run {
    messages: usize,
    /// With those before the counting.
    all: usize,
    took: Duration,
    cpu_seconds: f64,
    resident: f64,
}

impl Run {
    fn new(messages: usize, all: usize, took: Duration, before: &Usage, server: &Server) -> Self {
        let after = server.usage();
        let cpu_seconds = after.cpu_seconds - before.cpu_seconds;
        Self { messages, all, took, cpu_seconds, resident: after.resident }
    }

    fn rate(&self) -> f64 {
        self.messages as f64 / self.took.as_secs_f64()
    }

    /// Microseconds per message.
    fn cpu(&self) -> f64 {
        self.cpu_seconds / self.messages as f64 * 1e6
    }
}

/// Runs a scenario on each server in turn, for this many rounds, and takes the medians.
fn interleaved(title: String, kinds: &[Kind], rounds: usize, run: impl Fn(&Server) -> Run) -> Table {
    let [rows] = alternating(kinds, rounds, [&run]);
    let table = Table { title, rows };
    table.print();
    table
}

/// The same for several scenarios that are to be compared with each other: in each round all of them on one server after the
/// other. The rows of each scenario.
fn alternating<const N: usize>(
    kinds: &[Kind],
    rounds: usize,
    runs: [&dyn Fn(&Server) -> Run; N],
) -> [Vec<Row>; N] {
    let kinds: Vec<Kind> = kinds.iter().copied().filter(|kind| kind.is_here()).collect();
    let mut figures = vec![[const { [const { Vec::new() }; 4] }; N]; kinds.len()];
    for _ in 0..rounds {
        for (kind, figures) in kinds.iter().zip(&mut figures) {
            for (run, figures) in runs.iter().zip(figures) {
                let written = disk::written();
                let server = Server::start(*kind);
                let run = run(&server);
                let written = disk::written() - written;
                server.check_name();
                server.kill();
                figures[0].push(run.rate());
                figures[1].push(run.cpu());
                figures[2].push(written / run.all as f64);
                figures[3].push(run.resident);
            }
        }
    }
    std::array::from_fn(|scenario| {
        let rows = kinds.iter().zip(&mut figures).map(|(kind, figures)| {
            let [rate, cpu, written, resident] = std::mem::take(&mut figures[scenario]).map(median);
            Row { kind: *kind, rate, cpu, written, resident }
        });
        rows.collect()
    })
}

fn publishes(rounds: usize, window: usize) -> Table {
    let title = format!("Publishes answered, 4 connections, window {window}");
    interleaved(title, &Kind::ALL, rounds, |server| published(server, window, 1))
}

fn published(server: &Server, window: usize, topics: usize) -> Run {
    let mut start = None;
    let wire = server.kind.wire();
    let (messages, all) = load::publish(wire, server.address, window, topics, RUN, || {
        start = Some((Instant::now(), server.usage()));
    });
    let (began, before) = start.unwrap();
    Run::new(messages, all, began.elapsed(), &before, server)
}

fn flows(rounds: usize, channels: usize, subscribers: usize) -> Table {
    let title = format!(
        "Published, delivered and finished: 2 publishers, window 256, {}, {} each",
        count_of(channels, "channel"),
        count_of(subscribers, "subscriber")
    );
    let count = 200_000 / channels;
    interleaved(title, &NSQ, rounds, |server| {
        load::flow(server.address, WARM_UP, channels, subscribers);
        let before = server.usage();
        let took = load::flow(server.address, count, channels, subscribers);
        Run::new(count * channels, (WARM_UP + count) * channels, took, &before, server)
    })
}

fn count_of(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn paced(rounds: usize) {
    let kinds: Vec<Kind> = NSQ.into_iter().filter(|kind| kind.is_here()).collect();
    let mut figures = vec![[const { Vec::new() }; 3]; kinds.len()];
    for _ in 0..rounds {
        for (kind, figures) in kinds.iter().zip(&mut figures) {
            let server = Server::start(*kind);
            let latencies = load::paced(server.address, PACE, 2 * RUN);
            for (figure, part) in figures.iter_mut().zip([0.5, 0.99, 1.0]) {
                figure.push(latencies.quantile(part).as_secs_f64() * 1e3);
            }
        }
    }
    println!("\nFrom the intended time of a publish to its delivery, {PACE} messages a second");
    println!("sync latency of this disk just now: {}", disk::sync_latency());
    for (kind, figures) in kinds.iter().zip(figures) {
        let [p50, p99, most] = figures.map(median);
        println!("  {:28} p50 {p50:6.2} ms   p99 {p99:6.2} ms   max {most:6.2} ms", kind.name());
    }
}

fn topics(rounds: usize) {
    let to = |topics: usize| move |server: &Server| published(server, 256, topics);
    let [one, many] = alternating(&ROUTERS, rounds, [&to(1), &to(1000)]);
    let print = |topics: &str, rows: Vec<Row>| {
        let table = Table { title: format!("Publishes answered, window 256, {topics}"), rows };
        table.print();
        table.rows
    };
    let (one, many) = (print("1 topic", one), print("1000 topics", many));
    compare("1000 topics", "1", &one, &many);
}

fn backlog(rounds: usize) {
    let kind = Kind::RouterAlways;
    let empty = interleaved(
        "Delivered and finished, while half as many are published: empty queue".to_owned(),
        &[kind],
        rounds,
        drained,
    );
    let folder = tempfile::TempDir::new().unwrap();
    let server = Server::start_in(kind, folder.path());
    load::flow(server.address, 2, 1, 1);
    load::fill(Wire::Nsq, server.address, BACKLOG);
    let filled = server.usage();
    println!("\n{BACKLOG} messages published: RSS {:.0} MB", filled.resident / 1e6);
    let written = disk::written();
    let runs: Vec<Run> = (0..rounds).map(|_| drained(&server)).collect();
    let written = (disk::written() - written) / runs.iter().map(|run| run.all).sum::<usize>() as f64;
    let of_runs = |figure: fn(&Run) -> f64| median(runs.iter().map(figure).collect());
    let resident = of_runs(|run| run.resident);
    let row = Row { kind, rate: of_runs(Run::rate), cpu: of_runs(Run::cpu), written, resident };
    let table = Table { title: format!("The same, behind a backlog of {BACKLOG}"), rows: vec![row] };
    table.print();
    compare("a backlog", "an empty queue", &empty.rows, &table.rows);
    server.kill();
    for cache in ["warm", "cold"] {
        if cache == "cold" && fs::write("/proc/sys/vm/drop_caches", "1").is_err() {
            println!("the page cache cannot be dropped here: no cold start");
            continue;
        }
        let server = Server::start_in(kind, folder.path());
        let resident = server.usage().resident / 1e6;
        println!(
            "started on it in {:.2?} after a kill, {cache} page cache; RSS {resident:.0} MB",
            server.started_in
        );
    }
}

fn drained(server: &Server) -> Run {
    let mut start = None;
    let (messages, all) =
        load::consume_backlog(server.address, RUN, || start = Some((Instant::now(), server.usage())));
    let (began, before) = start.unwrap();
    Run::new(messages, all, began.elapsed(), &before, server)
}

fn compare(what: &str, with: &str, base: &[Row], other: &[Row]) {
    for (base, other) in base.iter().zip(other) {
        let (time, cpu) = (base.rate / other.rate, other.cpu / base.cpu);
        println!(
            "  {}: a message with {what} costs {time:.2} of the time with {with}, {cpu:.2} of the CPU",
            base.kind.name()
        );
    }
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    format!("{cores} cores, {}", model.unwrap_or("unknown processor"))
}
