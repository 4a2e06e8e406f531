//! What the router deliberately does differently from nsqd, each with its reason. Every entry here is a promise that is not
//! tested: the list stays short.
//!
//! Two more are allowed for in `game.rs`, because they change what follows: a connection that goes gives back what it
//! held at once (nsqd waits for the timeout), and a refused publish leaves no topic behind (nsqd makes it first).

use crate::compare::Fact;

pub struct Difference {
    /// Why the router does it differently.
    #[expect(dead_code, reason = "it is there for the reader")]
    pub reason: &'static str,
    pub is_it: fn(&Fact<'_>) -> bool,
}

pub const DIFFERENCES: &[Difference] = &[
    Difference {
        reason: "a deferred message is a record like any other, and counts in the depth until a consumer asks past it",
        is_it: |fact| {
            let nsqd = fact.nsqd.number(fact.what, fact.property);
            fact.property == "deferred_count" && fact.router.number(fact.what, fact.property) < nsqd
        },
    },
    Difference {
        reason: "what a connection that went had in flight is given back at once, and counts as requeued",
        is_it: |fact| {
            let nsqd = fact.nsqd.number(fact.what, fact.property);
            let is_channel = !fact.what.contains(" client ");
            fact.property == "requeue_count"
                && is_channel
                && fact.router.number(fact.what, fact.property) > nsqd
        },
    },
    Difference {
        reason: "a message that comes back comes in its old place, before those published after it; nsqd puts it last. So \
                 consumers that are not ready for all of them hold others, but as many; and which one of several holds \
                 which is no fact at all",
        is_it: |fact| {
            fact.property == "messages with consumers"
                && fact.router.number(fact.what, "depth and deferred") > 0
        },
    },
    Difference {
        reason: "errors are text: a byte that is none is quoted as the replacement character",
        is_it: |fact| {
            let quoted = fact.at_router().split_once(r"\\xef\\xbf\\xbd");
            fact.property == "answers" && quoted.is_some_and(|(before, _)| fact.at_nsqd().starts_with(before))
        },
    },
];
