//! What an NSQ server can do, read from its reply to `IDENTIFY` and from nothing else.

use std::time::Duration;

use bis_core::{BrokerKind, Capabilities, Deduplication, OrderScope};
use bis_nsq::{
    FEATURE_DEDUP, FEATURE_HEADERS, FEATURE_HISTORY, FEATURE_ORDERED, FEATURE_PEEK, FEATURE_RELEASE,
    FEATURE_REPLAY, IdentifyReply,
};

/// What a server can do: what kind it is, from the features that it offers, and its limits where it says them. A limit
/// that it does not say is the default of its kind.
pub(super) fn capabilities(server: &IdentifyReply) -> Capabilities {
    let millis =
        |millis: i64| u64::try_from(millis).ok().filter(|millis| *millis > 0).map(Duration::from_millis);
    let kind = if server.bis.is_some() { BrokerKind::Router } else { BrokerKind::Nsqd };
    let usual = Capabilities::of(kind);
    let said = server.bis.clone().unwrap_or_default();
    let count = |count: i64| usize::try_from(count).ok().filter(|count| *count > 0);
    Capabilities {
        order: match server.offers(FEATURE_HEADERS) && server.offers(FEATURE_ORDERED) {
            true => OrderScope::Key,
            false => OrderScope::None,
        },
        uncounted_release: server.offers(FEATURE_RELEASE),
        // Earlier routers count a crash as an attempt, and do not report it otherwise.
        crash_count: server.offers(FEATURE_HISTORY),
        peek: server.offers(FEATURE_PEEK),
        deduplication: match count(said.dedup_window).filter(|_| server.offers(FEATURE_DEDUP)) {
            Some(latest) => Deduplication::Latest(latest),
            None => Deduplication::None,
        },
        replay: server.offers(FEATURE_REPLAY),
        max_publish_delay: millis(said.max_delay).or(usual.max_publish_delay),
        max_retry_delay: millis(said.max_delay).or(usual.max_retry_delay),
        max_lease: millis(server.max_msg_timeout).or(usual.max_lease),
        max_event_bytes: count(said.max_message_bytes).unwrap_or(usual.max_event_bytes),
        ..usual
    }
}

#[cfg(test)]
mod tests {
    use bis_nsq::Extension;

    use super::*;

    #[test]
    fn who_offers_nothing_is_an_nsqd_with_the_limits_that_it_says() {
        let reply = IdentifyReply { max_msg_timeout: 60_000, ..IdentifyReply::default() };
        let expected =
            Capabilities { max_lease: Some(Duration::from_secs(60)), ..Capabilities::of(BrokerKind::Nsqd) };
        assert_eq!(capabilities(&reply), expected);
        assert_eq!(capabilities(&IdentifyReply::default()), Capabilities::of(BrokerKind::Nsqd));
    }

    #[test]
    fn a_router_can_do_what_it_offers() {
        let offer = Extension {
            max_delay: 2000,
            max_message_bytes: 100,
            dedup_window: 7,
            ..Extension::offer(&[FEATURE_RELEASE, FEATURE_DEDUP])
        };
        let can = capabilities(&IdentifyReply { bis: Some(offer.clone()), ..IdentifyReply::default() });
        assert_eq!((can.broker, can.durable), (BrokerKind::Router, true));
        assert!(can.uncounted_release && !can.order.keeps_keys_in_order() && !can.peek && !can.replay);
        assert!(!can.crash_count, "it offers no history");
        assert_eq!(can.deduplication, Deduplication::Latest(7));
        let two_seconds = Some(Duration::from_secs(2));
        assert_eq!((can.max_publish_delay, can.max_retry_delay), (two_seconds, two_seconds));
        assert_eq!(can.max_event_bytes, 100);

        let later = Extension { version: offer.version + 1, ..offer };
        let can = capabilities(&IdentifyReply { bis: Some(later), ..IdentifyReply::default() });
        assert!(!can.uncounted_release, "what another version means by a word is not known");
    }
}
