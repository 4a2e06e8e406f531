//! What a graph asks of a broker that the broker cannot do, from its row of capabilities alone: no rule names a broker.

use std::time::Duration;

use bis_core::{BrokerKind, Capabilities, format_duration};

use super::last_two;
use crate::{Diagnostic, Graph, Subscription, Topic, codes};

/// Applies every rule on brokers: errors for what the broker refuses when the app runs, warnings for what it does
/// otherwise than declared.
pub fn check(graph: &Graph, can: &Capabilities) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    ordering(graph, can, &mut found);
    publish_delays(graph, can, &mut found);
    retry_delays(graph, can, &mut found);
    timeouts(graph, can, &mut found);
    durability(graph, can, &mut found);
    replay(graph, can, &mut found);
    found
}

/// The brokers for production that can do something, as in `use the router`; `None` when there is none.
fn others(can: impl Fn(&Capabilities) -> bool) -> Option<String> {
    let kinds = [BrokerKind::Router, BrokerKind::Nsqd];
    let able: Vec<String> =
        kinds.into_iter().filter(|kind| can(&Capabilities::of(*kind))).map(|kind| kind.to_string()).collect();
    (!able.is_empty()).then(|| able.join(" or "))
}

/// A remedy, with the brokers that need none.
fn help(remedy: &str, can: impl Fn(&Capabilities) -> bool) -> String {
    match others(can) {
        Some(others) => format!("{remedy}, or use {others}"),
        None => remedy.to_owned(),
    }
}

fn ordering(graph: &Graph, can: &Capabilities, found: &mut Vec<Diagnostic>) {
    if can.order.keeps_keys_in_order() {
        return;
    }
    for topic in graph.topics.iter().filter(|topic| topic.ordered) {
        let broker = can.broker;
        let message = format!(
            "the topic `{}` is ordered, but {broker} does not keep events of one key in order",
            topic.name
        );
        let mut diagnostic = Diagnostic::error(codes::NO_ORDER, topic.position.clone(), message)
            .labelled("ordered here; the app does not start")
            .help(help(
                "drop `.ordered()` and let the handlers take events of one key as they come",
                |can| can.order.keeps_keys_in_order(),
            ));
        for subscription in graph.subscriptions_of(&topic.name) {
            let text = format!("`{}` would get events of one key at once, in any order", subscription.name);
            diagnostic = diagnostic.and(subscription.position.clone(), text);
        }
        found.push(diagnostic);
    }
}

fn publish_delays(graph: &Graph, can: &Capabilities, found: &mut Vec<Diagnostic>) {
    let Some(limit) = can.max_publish_delay else { return };
    let (broker, longest) = (can.broker, format_duration(limit));
    for topic in &graph.topics {
        for delay in topic.delays.iter().filter(|delay| over(delay.delay_ms, limit)) {
            let asked = millis(delay.delay_ms);
            let able =
                |can: &Capabilities| can.max_publish_delay.is_none_or(|limit| !over(delay.delay_ms, limit));
            found.push(
                Diagnostic::error(
                    codes::DELAY_TOO_LONG,
                    delay.position.clone(),
                    format!("a delay of {asked} is too long for {broker}, which keeps events back for at most {longest}"),
                )
                .labelled("this publish is refused")
                .and(topic.position.clone(), format!("on the topic `{}`", topic.name))
                .help(help(&format!("delay by at most {longest}, and publish again when that is over"), able)),
            );
        }
    }
}

fn retry_delays(graph: &Graph, can: &Capabilities, found: &mut Vec<Diagnostic>) {
    let Some(limit) = can.max_retry_delay else { return };
    let (broker, longest) = (can.broker, format_duration(limit));
    for subscription in graph.subscriptions.iter().filter(|one| over(one.retry.max_backoff_ms, limit)) {
        let asked = millis(subscription.retry.max_backoff_ms);
        let able = |can: &Capabilities| {
            can.max_retry_delay.is_none_or(|limit| !over(subscription.retry.max_backoff_ms, limit))
        };
        let mut option = format!("max_backoff = \"{longest}\"");
        if over(subscription.retry.min_backoff_ms, limit) {
            option = format!("min_backoff = \"{longest}\", {option}");
        }
        let message = format!(
            "`{}` waits up to {asked} for a retry, but {broker} keeps events back for at most {longest}",
            subscription.name
        );
        let remedy = format!("write `retry({option})`");
        found.push(
            subscription_warning(graph, codes::DELAY_TOO_LONG, subscription, message)
                .labelled(format!("its longest waits end after {longest}, so its attempts run out sooner"))
                .help(help(&remedy, able)),
        );
    }
}

fn timeouts(graph: &Graph, can: &Capabilities, found: &mut Vec<Diagnostic>) {
    let Some(limit) = can.max_lease else { return };
    for subscription in graph.subscriptions.iter().filter(|one| over(one.timeout_ms, limit)) {
        let (asked, longest) = (millis(subscription.timeout_ms), format_duration(limit));
        let broker = can.broker;
        let message = format!(
            "`{}` may run for {asked}, but {broker} takes an event back after {longest}",
            subscription.name
        );
        let able =
            |can: &Capabilities| can.max_lease.is_none_or(|limit| !over(subscription.timeout_ms, limit));
        let remedy =
            format!("write `timeout = \"{longest}\"`, and do longer work in steps that publish the next one");
        found.push(
            subscription_warning(graph, codes::TIMEOUT_BEYOND_LEASE, subscription, message)
                .labelled("a run that takes longer happens twice")
                .help(help(&remedy, able)),
        );
    }
}

/// One finding for the whole app: it is not a topic's fault.
fn durability(graph: &Graph, can: &Capabilities, found: &mut Vec<Diagnostic>) {
    let mut heard = graph.topics.iter().filter(|topic| graph.subscriptions_of(&topic.name).next().is_some());
    let Some(first) = heard.next().filter(|_| !can.durable) else { return };
    let more = heard.count();
    let broker = can.broker;
    let rest = match more {
        0 => String::new(),
        1 => " and one other topic".to_owned(),
        more => format!(" and {more} other topics"),
    };
    let message = format!(
        "{broker} forgets events when it is killed: published ones that nobody has handled, and those that wait for a retry"
    );
    found.push(
        Diagnostic::warning(codes::NOT_DURABLE, first.position.clone(), message)
            .labelled(format!("events of `{}`{rest} may be lost", first.name))
            .help(help("keep what must not be lost elsewhere too, such as in a database", |can| can.durable)),
    );
}

fn replay(graph: &Graph, can: &Capabilities, found: &mut Vec<Diagnostic>) {
    if can.replay {
        return;
    }
    for topic in &graph.topics {
        let Some(retention) = topic.retention else { continue };
        let broker = can.broker;
        let kept = millis(retention.max_age_ms);
        let message = format!(
            "the topic `{}` is to keep handled events for {kept}, but {broker} cannot replay them",
            topic.name
        );
        found.push(
            Diagnostic::error(codes::NO_REPLAY, topic.position.clone(), message)
                .labelled("kept to be replayed; the app does not start")
                .help(help("drop `.retention(..)`", |can| can.replay)),
        );
    }
}

/// A warning at a subscription that names its topic's declaration too.
fn subscription_warning(
    graph: &Graph,
    code: &'static str,
    subscription: &Subscription,
    message: String,
) -> Diagnostic {
    let diagnostic = Diagnostic::warning(code, subscription.position.clone(), message);
    match graph.topic(&subscription.topic) {
        Some(topic) => diagnostic.and(topic.position.clone(), carries(topic)),
        None => diagnostic,
    }
}

fn carries(topic: &Topic) -> String {
    format!("subscribed to `{}`", last_two(&topic.static_path))
}

fn over(millis: u64, limit: Duration) -> bool {
    Duration::from_millis(millis) > limit
}

fn millis(millis: u64) -> String {
    format_duration(Duration::from_millis(millis))
}
