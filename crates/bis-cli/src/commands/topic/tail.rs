//! `bis topic tail`: the events of a topic from now on, through a channel of its own that ends with the command.

use anyhow::{Context, Result};
use bis_core::envelope::format_time;
use bis_core::{Envelope, EventId};
use bis_nsq::Name;
use bis_nsq::client::{Consumer, Delivery, Options};
use std::time::{Duration, SystemTime};

use crate::arguments::Where;
use crate::commands::topic::unknown_topic;
use crate::event_json::{Data, EventJson};
use crate::exit;
use crate::failure::Failure;
use crate::format::Format;
use crate::print::{self, BOLD, CYAN, plural, shown};
use crate::redaction::Redaction;
use crate::router_client::TopicStats;
use crate::target;

/// How many events the router may send ahead of what was printed.
const AHEAD: usize = 100;

/// What to follow, and how to print it.
#[derive(Debug)]
pub(crate) struct Tail {
    /// The topic's name.
    pub(crate) topic: String,
    /// End after this many events.
    pub(crate) limit: Option<u64>,
    /// What to hide.
    pub(crate) redaction: Redaction,
    pub(crate) format: Format,
}

/// Prints events until Ctrl-C, or until there were as many as asked for.
pub(crate) fn run(tail: Tail, place: &Where) -> Result<()> {
    refuse_to_take(&tail.topic, &target::http(place)?.stats()?.topics)?;
    let address = target::tcp(place)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    runtime.block_on(follow(tail, address))
}

/// Subscribing to a topic that is not there would make it, and the user wait forever. One that nobody subscribes to keeps
/// its events for the first who does, which must not be this command.
fn refuse_to_take(topic: &str, known: &[TopicStats]) -> Result<(), Failure> {
    let Some(found) = known.iter().find(|known| known.topic_name == topic) else {
        let names: Vec<&str> = known.iter().map(|known| known.topic_name.as_str()).collect();
        return Err(unknown_topic(topic, &names));
    };
    if !found.channels.is_empty() || found.depth == 0 {
        return Ok(());
    }
    let waiting = format!("{} {}", found.depth, plural(usize::try_from(found.depth).unwrap_or(0), "event"));
    Err(Failure::new(
        exit::SURROUNDINGS,
        format!("`{topic}` keeps {waiting} for its first subscription, and following would take them"),
    )
    .help("subscribe to it in the application first"))
}

async fn follow(mut tail: Tail, address: String) -> Result<()> {
    let channel = format!("bis-tail-{}#ephemeral", std::process::id());
    let options = Options { client_id: "bis-tail".to_owned(), ..Options::new(address) };
    let mut consumer = Consumer::start(options, Name::new(tail.topic.as_str())?, Name::new(channel)?);
    let handle = consumer.handle();
    tokio::select! {
        followed = print_all(&mut consumer, &mut tail) => followed?,
        stopped = tokio::signal::ctrl_c() => stopped.context("cannot listen for Ctrl-C")?,
    }
    handle.close().await;
    Ok(())
}

async fn print_all(consumer: &mut Consumer, tail: &mut Tail) -> Result<()> {
    consumer.subscribed().await?;
    if tail.format == Format::Text {
        anstream::eprintln!("{BOLD}following{BOLD:#} from now on; Ctrl-C ends");
    }
    let mut left = tail.limit.unwrap_or(u64::MAX);
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(AHEAD).min(AHEAD);
        for delivery in consumer.receive(wanted).await? {
            let envelope = tail.redaction.apply(&tail.topic, read(&delivery));
            match tail.format {
                Format::Json => print::json_line(&EventJson::new(&envelope))?,
                Format::Text => print::text(&line(&envelope)?)?,
            }
            // When the router has gone, the channel has gone too, and with it what there was to finish.
            let _ = delivery.finish();
            left -= 1;
        }
    }
    Ok(())
}

/// A body of a client that knows nothing of CloudEvents is shown as bare data.
fn read(delivery: &Delivery) -> Envelope {
    let nanos = u64::try_from(delivery.timestamp_ns()).unwrap_or(0);
    let received = SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos);
    Envelope::from_body(delivery.body().clone(), || EventId::of_message(delivery.id(), received), received)
}

fn line(envelope: &Envelope) -> Result<String, serde_json::Error> {
    let data = print::on_one_line(Data::of(envelope).line()?);
    let key = envelope.key.as_ref().map(|key| format!(" key={}", shown(key))).unwrap_or_default();
    let (time, id) = (format_time(envelope.time), shown(envelope.id.as_str()));
    Ok(format!("{BOLD}{time}{BOLD:#} {CYAN}{id}{CYAN:#}{key} {}\n", shown(&data)))
}
