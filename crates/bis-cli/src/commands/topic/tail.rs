//! `bis topic tail`: the events of a topic from now on, through a subscription of its own that ends with the command.

use anyhow::{Context, Result};
use bis_admin::{Data, EventJson, Follow, Following};
use bis_core::Envelope;
use bis_core::envelope::format_time;

use crate::arguments::Where;
use crate::format::Format;
use crate::print::{self, BOLD, CYAN, shown};
use crate::redaction::Redaction;
use crate::target;

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

/// Prints events until Ctrl-C, or until the requested number is reached.
pub(crate) fn run(mut tail: Tail, place: &Where) -> Result<()> {
    target::with(place, async |admin| {
        let topic = tail.topic.clone();
        let mut following = admin.follow(Follow { topic: &topic, name: "bis-tail" }).await?;
        tokio::select! {
            followed = print_all(&mut following, &mut tail) => followed?,
            stopped = tokio::signal::ctrl_c() => stopped.context("cannot listen for Ctrl-C")?,
        }
        following.close().await;
        Ok(())
    })
}

async fn print_all(following: &mut Following, tail: &mut Tail) -> Result<()> {
    if tail.format == Format::Text {
        anstream::eprintln!("{BOLD}following{BOLD:#} from now on; Ctrl-C ends");
    }
    let mut left = tail.limit.unwrap_or(u64::MAX);
    while left > 0 {
        for event in following.next(left).await? {
            let event = tail.redaction.apply(&tail.topic, event);
            match tail.format {
                Format::Json => print::json_line(&EventJson::new(&event))?,
                Format::Text => print::text(&line(&event)?)?,
            }
            left -= 1;
        }
    }
    Ok(())
}

fn line(envelope: &Envelope) -> Result<String, serde_json::Error> {
    let data = print::on_one_line(Data::of(envelope).line()?);
    let key = envelope.key.as_ref().map(|key| format!(" key={}", shown(key))).unwrap_or_default();
    let (time, id) = (format_time(envelope.time), shown(envelope.id.as_str()));
    Ok(format!("{BOLD}{time}{BOLD:#} {CYAN}{id}{CYAN:#}{key} {}\n", shown(&data)))
}
