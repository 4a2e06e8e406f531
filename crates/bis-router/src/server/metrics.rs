//! `/metrics`: what Prometheus reads. It only reads, and holds the state's lock for a copy of the numbers.

use bis_core::prometheus::{COUNTER, Distribution, GAUGE, Page};
use bis_journal::{ChannelState, SYNC_BUCKETS, State, Topic};

use super::lookup::Standing;
use super::{Server, VERSION, process};

/// All metrics as text.
pub(super) fn text(server: &Server) -> String {
    let mut page = Page::default();
    router(server, &mut page);
    {
        let state = server.journal.lock();
        let by_name = state.topics_by_name();
        topics(&by_name, &mut page);
        channels(&by_name, &mut page);
        log(&state, &mut page);
    }
    journal(server, &mut page);
    of_process(&mut page);
    page.into_text()
}

fn router(server: &Server, page: &mut Page) {
    let version = vec![("version", VERSION.to_owned())];
    page.family("bis_router_info", GAUGE, "The router's version.", [(version, 1.0)]);
    let is_well = server.journal.lock().failure().is_none();
    page.one(
        "bis_router_healthy",
        GAUGE,
        "1, or 0 once the journal has failed.",
        f64::from(u8::from(is_well)),
    );
    page.one(
        "bis_router_connections",
        GAUGE,
        "NSQ clients that are connected.",
        server.clients.count() as f64,
    );
    let accepted = server.clients.accepted() as f64;
    page.one("bis_router_connections_accepted_total", COUNTER, "NSQ clients that have connected.", accepted);
    let standings = server.lookup_standings.borrow();
    let registered = standings.iter().map(|(address, standing)| {
        let is_registered = matches!(standing, Standing::Registered { .. });
        (vec![("address", address.clone())], f64::from(u8::from(is_registered)))
    });
    let help = "1 where the router is registered with the nsqlookupd, else 0.";
    page.family("bis_router_lookupd_registered", GAUGE, help, registered);
}

fn topics(topics: &[&Topic], page: &mut Page) {
    let mut family = |name: &str, kind, help, value: &dyn Fn(&Topic) -> f64| {
        let samples =
            topics.iter().map(|topic| (vec![("topic", topic.name().as_str().to_owned())], value(topic)));
        page.family(&format!("bis_router_topic_{name}"), kind, help, samples);
    };
    family("depth", GAUGE, "Messages that no channel has been shown.", &|topic| topic.depth() as f64);
    family("paused", GAUGE, "1 while the topic is paused.", &|topic| f64::from(u8::from(topic.is_paused())));
    family("messages_total", COUNTER, "Messages published since the start.", &|topic| {
        topic.message_count() as f64
    });
    family("message_bytes_total", COUNTER, "Bytes of bodies published since the start.", &|topic| {
        topic.message_bytes() as f64
    });
    family("unrouted_total", COUNTER, "Messages published while the topic had no channel.", &|topic| {
        topic.missed().unrouted as f64
    });
    family(
        "duplicates_total",
        COUNTER,
        "Events published again under their id, and stored once.",
        &|topic| topic.missed().duplicates as f64,
    );
    family(
        "deleted_total",
        COUNTER,
        "Messages that were unfinished when their channel was deleted.",
        &|topic| topic.missed().deleted as f64,
    );
}

fn channels(topics: &[&Topic], page: &mut Page) {
    let mut family = |name: &str, kind, help, value: &dyn Fn(&ChannelState) -> f64| {
        let samples = topics.iter().flat_map(|topic| {
            topic.channels().map(|(channel, of)| {
                let labels = vec![
                    ("topic", topic.name().as_str().to_owned()),
                    ("channel", channel.as_str().to_owned()),
                ];
                (labels, value(of))
            })
        });
        page.family(&format!("bis_router_channel_{name}"), kind, help, samples);
    };
    family("depth", GAUGE, "Messages that wait to be delivered.", &|one| one.machine().depth() as f64);
    family("in_flight", GAUGE, "Messages that consumers have.", &|one| one.machine().in_flight() as f64);
    family("deferred", GAUGE, "Messages that are not yet due.", &|one| one.machine().deferred() as f64);
    family("clients", GAUGE, "Consumers that are connected.", &|one| one.consumers().len() as f64);
    family("paused", GAUGE, "1 while the channel is paused.", &|one| {
        f64::from(u8::from(one.machine().is_paused()))
    });
    family("messages_total", COUNTER, "Messages shown to the channel since the start.", &|one| {
        one.message_count() as f64
    });
    let help =
        "Messages dropped unfinished: by the backlog's bound, a replay, or when the channel was emptied.";
    family("dropped_total", COUNTER, help, &|one| one.dropped() as f64);
    family(
        "gone_total",
        COUNTER,
        "Messages passed over because the journal does not have them any more.",
        &|one| one.machine().counters().gone as f64,
    );
    family(
        "sampled_out_total",
        COUNTER,
        "Messages finished undelivered for a client that takes samples.",
        &|one| one.sampled_out() as f64,
    );
    family("delivered_total", COUNTER, "Deliveries since the start.", &|one| {
        one.machine().counters().handed_out as f64
    });
    family("finished_total", COUNTER, "Messages finished since the start.", &|one| {
        one.machine().counters().finished as f64
    });
    family("requeued_total", COUNTER, "Deliveries given back since the start.", &|one| {
        one.machine().counters().requeued as f64
    });
    family(
        "timed_out_total",
        COUNTER,
        "Deliveries that were not answered in time since the start.",
        &|one| one.machine().counters().expired as f64,
    );
}

fn log(state: &State, page: &mut Page) {
    let totals = state.totals();
    page.one("bis_router_journal_segments", GAUGE, "Files of the journal.", totals.segments as f64);
    let help = "Bytes of the journal's sealed segments.";
    page.one("bis_router_journal_sealed_bytes", GAUGE, help, totals.sealed_bytes as f64);
    let help = "Bytes of sealed segments with something unhandled, which `--backlog-bytes` bounds.";
    page.one("bis_router_journal_backlog_bytes", GAUGE, help, totals.backlog_bytes as f64);
    let help = "Bytes that wait for the next commit.";
    page.one("bis_router_journal_uncommitted_bytes", GAUGE, help, totals.uncommitted_bytes as f64);
    let help = "Unhandled messages that live on as copies, so that old segments can go.";
    page.one("bis_router_journal_moved_messages", GAUGE, help, totals.moved_messages as f64);
    let help = "Damaged places of the journal that were set aside since the start.";
    page.one("bis_router_journal_damaged_records_total", COUNTER, help, totals.damaged as f64);
    let help = "Reads of the journal that failed and are tried again.";
    page.one("bis_router_journal_read_errors_total", COUNTER, help, totals.read_errors as f64);
}

fn journal(server: &Server, page: &mut Page) {
    let counts = server.journal.counts();
    let mut counter = |name, help, value: u64| page.one(name, COUNTER, help, value as f64);
    counter("bis_router_journal_commits_total", "Batches written since the start.", counts.commits);
    let help = "Batches that could not be written; their publishes were refused.";
    counter("bis_router_journal_commit_failures_total", help, counts.failures);
    counter("bis_router_journal_written_bytes_total", "Bytes written since the start.", counts.bytes);
    let bounds = SYNC_BUCKETS.iter().map(|bound| *bound as f64 / 1e6);
    let syncs = Distribution {
        within: bounds.zip(counts.within).collect(),
        count: counts.syncs,
        sum: counts.sync_seconds,
    };
    let help = "How long syncs of the journal took.";
    page.histogram("bis_router_journal_sync_seconds", help, [(Vec::new(), syncs)]);
}

fn of_process(page: &mut Page) {
    let process = process::read();
    let bytes = process.resident_bytes as f64;
    page.one("process_resident_memory_bytes", GAUGE, "Resident memory size in bytes.", bytes);
    let bytes = process.virtual_bytes as f64;
    page.one("process_virtual_memory_bytes", GAUGE, "Virtual memory size in bytes.", bytes);
    let help = "Total user and system CPU time spent in seconds.";
    page.one("process_cpu_seconds_total", COUNTER, help, process.cpu_seconds);
    page.one("process_open_fds", GAUGE, "Number of open file descriptors.", process.open_descriptors as f64);
    page.one("process_threads", GAUGE, "Number of OS threads in the process.", process.threads as f64);
}
