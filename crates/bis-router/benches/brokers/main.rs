//! The router beside nsqd, redis and nats-server: the same raw client, interleaved runs on fresh folders, medians.
//!
//! `cargo bench -p bis-router --bench brokers -- [SCENARIO..] [--rounds N] [--svg FILE]`. Scenarios: `publish`, `single`,
//! `flow`, `fan-out`, `many`, `paced`, `topics`, `backlog`; all of them unless named. Servers that are not on the path are left out
//! and named. What a server promises with its answer differs: compare within a class.

#![expect(clippy::unwrap_used, reason = "a benchmark stops at the first surprise")]

mod load;
mod report;
mod servers;
mod wire;

use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

use report::{Row, Table, median};
use servers::{Kind, Server, Usage};
use wire::Wire;

const RUN: Duration = Duration::from_millis(1500);
const SCENARIOS: [&str; 8] = ["publish", "single", "flow", "fan-out", "many", "paced", "topics", "backlog"];
/// Servers that speak NSQ.
const NSQ: [Kind; 3] = [Kind::RouterAlways, Kind::RouterNone, Kind::NsqdMemory];
/// How many messages the `backlog` scenario puts on the disk first.
const BACKLOG: usize = 10_000_000;
/// At this many messages a second latencies are taken.
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
    println!("sync latency of this disk: {}", sync_latency());
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
    println!("\nsync latency of this disk, at the end: {}", sync_latency());
    if let Some(file) = plan.svg {
        let caption = [
            format!(
                "{}; medians of {} interleaved runs; sync latency {}",
                machine(),
                plan.rounds,
                sync_latency()
            ),
            format!("cargo bench -p bis-router --bench brokers -- {}", plan.scenarios.join(" ")),
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
                assert!(SCENARIOS.contains(&scenario), "`{scenario}` is none of {SCENARIOS:?}");
                plan.scenarios.push(scenario.to_owned());
            }
        }
    }
    if plan.scenarios.is_empty() {
        plan.scenarios = SCENARIOS.map(str::to_owned).to_vec();
    }
    plan
}

/// Runs a scenario on each server in turn, so many rounds, and takes the medians. A run returns the messages, the time, and
/// what the server used meanwhile.
fn interleaved(
    title: String,
    kinds: &[Kind],
    rounds: usize,
    run: impl Fn(&Server) -> (usize, Duration, Usage, Usage),
) -> Table {
    let kinds: Vec<Kind> = kinds.iter().copied().filter(|kind| kind.is_here()).collect();
    let mut figures = vec![[const { Vec::new() }; 4]; kinds.len()];
    for _ in 0..rounds {
        for (kind, figures) in kinds.iter().zip(&mut figures) {
            let server = Server::start(*kind);
            let (messages, took, before, after) = run(&server);
            server.kill();
            let messages = messages as f64;
            figures[0].push(messages / took.as_secs_f64());
            figures[1].push((after.cpu_seconds - before.cpu_seconds) / messages * 1e6);
            figures[2].push((after.written - before.written) / messages);
            figures[3].push(after.resident);
        }
    }
    let rows = kinds.iter().zip(figures).map(|(kind, figures)| {
        let [rate, cpu, written, resident] = figures.map(median);
        Row { kind: *kind, rate, cpu, written, resident }
    });
    let table = Table { title, rows: rows.collect() };
    table.print();
    table
}

fn publishes(rounds: usize, window: usize) -> Table {
    let title = format!("Publishes answered, 4 connections, window {window}");
    interleaved(title, &Kind::ALL, rounds, |server| published(server, window, 1))
}

fn published(server: &Server, window: usize, topics: usize) -> (usize, Duration, Usage, Usage) {
    let mut start = None;
    let wire = server.kind.wire();
    let messages = load::publish(wire, server.address, window, topics, RUN, || {
        start = Some((Instant::now(), server.usage()));
    });
    let (began, before) = start.unwrap();
    (messages, began.elapsed(), before, server.usage())
}

fn flows(rounds: usize, channels: usize, subscribers: usize) -> Table {
    let title = format!(
        "Published, delivered and finished: 2 publishers, window 256, {} with {} each",
        count_of(channels, "channel"),
        count_of(subscribers, "subscriber")
    );
    let count = 200_000 / channels;
    interleaved(title, &NSQ, rounds, |server| {
        load::flow(server.address, 10_000, channels, subscribers);
        let before = server.usage();
        let took = load::flow(server.address, count, channels, subscribers);
        (count * channels, took, before, server.usage())
    })
}

fn count_of(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn paced(rounds: usize) {
    println!("\nFrom the intended time of a publish to its delivery, {PACE} messages a second");
    for kind in NSQ.into_iter().filter(|kind| kind.is_here()) {
        let mut quantiles = [const { Vec::new() }; 3];
        for _ in 0..rounds {
            let server = Server::start(kind);
            let latencies = load::paced(server.address, PACE, 2 * RUN);
            for (quantile, part) in quantiles.iter_mut().zip([0.5, 0.99, 1.0]) {
                quantile.push(latencies.quantile(part).as_secs_f64() * 1e3);
            }
        }
        let [p50, p99, most] = quantiles.map(median);
        println!("  {:28} p50 {p50:6.2} ms   p99 {p99:6.2} ms   max {most:6.2} ms", kind.name());
    }
}

fn topics(rounds: usize) {
    let cost = |topics: usize| {
        let title =
            format!("Publishes answered, window 256, {topics} topic{}", if topics == 1 { "" } else { "s" });
        interleaved(title, &NSQ, rounds, |server| published(server, 256, topics)).rows
    };
    let (one, many) = (cost(1), cost(1000));
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
    let figures = (0..rounds).map(|_| {
        let (messages, took, before, after) = drained(&server);
        (
            messages as f64 / took.as_secs_f64(),
            (after.cpu_seconds - before.cpu_seconds) / messages as f64 * 1e6,
        )
    });
    let (rates, cpus): (Vec<f64>, Vec<f64>) = figures.unzip();
    let resident = server.usage().resident;
    let row = Row { kind, rate: median(rates), cpu: median(cpus), written: 0.0, resident };
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

fn drained(server: &Server) -> (usize, Duration, Usage, Usage) {
    let mut start = None;
    let messages =
        load::consume_backlog(server.address, RUN, || start = Some((Instant::now(), server.usage())));
    let (began, before) = start.unwrap();
    (messages, began.elapsed(), before, server.usage())
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

/// What a sync of a small write costs here: what every durable figure stands on.
fn sync_latency() -> String {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&vec![0; 4 << 20]).unwrap();
    file.sync_all().unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    let mut times: Vec<f64> = (0..200)
        .map(|_| {
            file.write_all(&[1; 4096]).unwrap();
            let began = Instant::now();
            file.sync_data().unwrap();
            began.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    format!("p50 {:.2} ms, p99 {:.2} ms", times[100], times[198])
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    format!("{cores} cores, {}", model.unwrap_or("unknown processor"))
}
