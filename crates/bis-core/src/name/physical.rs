//! How names map to the narrower names of a broker or cloud: deterministic, so that what an app made is found again by its
//! name alone.

use crate::{AppName, Namespace};

/// What a target allows in the names of one kind of resource, as data. Lower-case letters, digits and hyphens are allowed
/// everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameRules {
    /// The shortest name, in bytes.
    pub min_len: usize,
    /// The longest name, in bytes, with the suffix. At least 32, so that a hash and some of the name have room.
    pub max_len: usize,
    /// Which of `_` and `.` are also allowed.
    pub also: &'static str,
    /// What every name must end with.
    pub suffix: &'static str,
    /// What no name may begin with; empty when there is nothing.
    pub forbidden_prefix: &'static str,
}

impl NameRules {
    const PLAIN: Self = Self { min_len: 1, max_len: 63, also: "", suffix: "", forbidden_prefix: "" };

    /// Topics and channels of nsqd and of the router (<https://nsq.io/clients/tcp_protocol_spec.html>, `valid_topic_name`).
    pub const NSQ: Self = Self { max_len: 64, also: "_.", ..Self::PLAIN };
    /// Topics of SNS (<https://docs.aws.amazon.com/sns/latest/api/API_CreateTopic.html>).
    pub const SNS: Self = Self { max_len: 256, also: "_", ..Self::PLAIN };
    /// FIFO topics of SNS.
    pub const SNS_FIFO: Self = Self { suffix: ".fifo", ..Self::SNS };
    /// Queues of SQS (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html>).
    pub const SQS: Self = Self { max_len: 80, also: "_", ..Self::PLAIN };
    /// FIFO queues of SQS.
    pub const SQS_FIFO: Self = Self { suffix: ".fifo", ..Self::SQS };
    /// Topics and subscriptions of Google Cloud Pub/Sub
    /// (<https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names>).
    pub const PUBSUB: Self =
        Self { min_len: 3, max_len: 255, also: "_.", forbidden_prefix: "goog", ..Self::PLAIN };
    /// Streams and durable consumers of NATS JetStream, which are folders on its disk
    /// (<https://docs.nats.io/nats-concepts/jetstream/streams>).
    pub const JETSTREAM: Self = Self { max_len: 255, also: "_", ..Self::PLAIN };

    fn allows(&self, character: char) -> bool {
        matches!(character, 'a'..='z' | '0'..='9' | '-') || self.also.contains(character)
    }

    fn fits(&self, name: &str) -> bool {
        let is_forbidden = !self.forbidden_prefix.is_empty() && name.starts_with(self.forbidden_prefix);
        (self.min_len..=self.max_len).contains(&(name.len() + self.suffix.len())) && !is_forbidden
    }
}

/// The parts of a name on a broker, separated by `_`, which no declared name contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhysicalName<'a> {
    /// The app, and which kind of thing it is: `topic`. `None` where a broker is one app's own, as NSQ is.
    pub owner: Option<(&'a AppName, &'static str)>,
    /// What keeps two instances of the app apart.
    pub namespace: Option<&'a Namespace>,
    /// The name itself, as a topic, or a topic and a subscription.
    pub parts: &'a [&'a str],
}

impl PhysicalName<'_> {
    /// The name on a target with these rules.
    ///
    /// A name that the target takes as it is stays as it is. Of any other the first characters stay, as far as the target
    /// allows them, followed by a hash of the whole, so that two names stay apart whatever is cut or replaced.
    pub fn under(&self, rules: &NameRules) -> String {
        let whole = self.whole();
        let mut name = String::with_capacity(whole.len());
        for character in whole.chars() {
            match rules.allows(character) {
                true => name.push(character),
                // Some targets refuse two hyphens in a row.
                false if name.ends_with('-') => {}
                false => name.push('-'),
            }
        }
        if name != whole || !rules.fits(&name) {
            let separator = if rules.allows('_') { '_' } else { '-' };
            let hash = format!("{separator}{:016x}", fnv1a(whole.as_bytes()));
            if !rules.forbidden_prefix.is_empty() && name.starts_with(rules.forbidden_prefix) {
                name.insert_str(0, "x-");
            }
            name.truncate(rules.max_len - rules.suffix.len() - hash.len());
            if separator == '-' {
                name.truncate(name.trim_end_matches('-').len());
            }
            name.push_str(&hash);
        }
        name.push_str(rules.suffix);
        name
    }

    /// All the parts. With an owner, the namespace has its place even when there is none, so that no two different names
    /// are the same text.
    fn whole(&self) -> String {
        let mut words: Vec<&str> = Vec::with_capacity(3 + self.parts.len());
        if let Some((app, kind)) = self.owner {
            words.extend([app.as_str(), self.namespace.map_or("", Namespace::as_str), kind]);
        } else {
            words.extend(self.namespace.map(Namespace::as_str));
        }
        words.extend(self.parts);
        words.join("_")
    }
}

/// A short name for bytes, of 16 digits that people may shorten: the same in every version and on every machine.
pub(crate) fn short_hash(bytes: &[u8]) -> String {
    // FNV's highest digits are much the same for similar bytes.
    let hash = fnv1a(bytes);
    format!("{:016x}", (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93))
}

/// FNV-1a, 64 bit: stable over versions and machines, which the standard library's hasher is not.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::TopicName;

    static DEV: Namespace = Namespace::from_static("dev");
    static SHOP: AppName = AppName::from_static("shop");
    const TARGETS: [NameRules; 8] = [
        NameRules::NSQ,
        NameRules::SNS,
        NameRules::SNS_FIFO,
        NameRules::SQS,
        NameRules::SQS_FIFO,
        NameRules::PUBSUB,
        NameRules::JETSTREAM,
        NameRules::PLAIN,
    ];

    fn on_nsq(namespace: Option<&Namespace>, topic: &str) -> String {
        PhysicalName { owner: None, namespace, parts: &[topic] }.under(&NameRules::NSQ)
    }

    fn owned<'a>(namespace: Option<&'a Namespace>, parts: &'a [&'a str]) -> PhysicalName<'a> {
        PhysicalName { owner: Some((&SHOP, "topic")), namespace, parts }
    }

    /// These are in the journals of routers and on the disks of nsqd: what an app published before an update must be found
    /// after it.
    #[test]
    fn names_on_nsq_are_as_they_always_were() {
        let long = Namespace::from_static("a-long-namespace");
        let longer = format!("{}-y", "a".repeat(61));
        for (namespace, topic, expected) in [
            (None, "order-placed", "order-placed"),
            (Some(&DEV), "order-placed", "dev_order-placed"),
            (None, TopicName::DEAD.as_str(), "bis.dead"),
            (Some(&DEV), TopicName::DEAD.as_str(), "dev_bis.dead"),
            (None, &*longer, &*longer),
            (Some(&long), &*longer, "a-long-namespace_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa_ee301599698afced"),
            (
                Some(&long),
                "ab-topic-that-is-cut-right-at-a-hyphen-and-still-more",
                "a-long-namespace_ab-topic-that-is-cut-right-at-_342e5ef9f3e01b74",
            ),
        ] {
            assert_eq!(on_nsq(namespace, topic), expected);
        }
    }

    #[test]
    fn a_name_says_what_it_can_and_a_hash_says_the_rest() {
        let dead = [TopicName::DEAD.as_str()];
        for (name, rules, expected) in [
            (owned(Some(&DEV), &["orders"]), NameRules::SNS, "shop_dev_topic_orders"),
            (owned(Some(&DEV), &["orders", "ship"]), NameRules::SQS, "shop_dev_topic_orders_ship"),
            (owned(Some(&DEV), &["orders", "ship"]), NameRules::SQS_FIFO, "shop_dev_topic_orders_ship.fifo"),
            (owned(None, &["orders"]), NameRules::SNS, "shop__topic_orders"),
            (owned(Some(&DEV), &["orders"]), NameRules::PLAIN, "shop-dev-topic-orders-c3ccf58f0a23e7bf"),
            (owned(Some(&DEV), &dead), NameRules::JETSTREAM, "shop_dev_topic_bis-dead_9716ef4c0f616314"),
            (owned(Some(&DEV), &dead), NameRules::PUBSUB, "shop_dev_topic_bis.dead"),
            (
                PhysicalName { owner: None, namespace: None, parts: &["ab"] },
                NameRules::PUBSUB,
                "ab_089c4407b545986a",
            ),
            (
                PhysicalName { owner: None, namespace: None, parts: &["goog-maps"] },
                NameRules::PUBSUB,
                "x-goog-maps_2445b0aa507605ab",
            ),
        ] {
            assert_eq!(name.under(&rules), expected);
        }
    }

    #[test]
    fn every_target_takes_every_name_and_none_is_there_twice() {
        let namespaces = [None, Some(Namespace::from_static("dev")), Some(Namespace::from_static("topic"))];
        let long = "a".repeat(63);
        let words = ["a", "topic", "topic-a", "goog", "bis.dead", &long, &format!("{}b", &long[1..])];
        let mut parts: Vec<Vec<&str>> = words.iter().map(|word| vec![*word]).collect();
        parts.extend(words.iter().flat_map(|first| words.iter().map(move |second| vec![*first, *second])));
        for rules in TARGETS {
            let mut seen = BTreeSet::new();
            for (namespace, parts) in
                namespaces.iter().flat_map(|one| parts.iter().map(move |parts| (one, parts)))
            {
                let name = owned(namespace.as_ref(), parts).under(&rules);
                let Some(start) = name.strip_suffix(rules.suffix) else { panic!("{name}") };
                assert!((rules.min_len..=rules.max_len).contains(&name.len()), "{name}");
                assert!(start.chars().all(|character| rules.allows(character)), "{name}");
                assert!(start.starts_with(|first: char| first.is_ascii_lowercase()), "{name}");
                assert!(
                    rules.forbidden_prefix.is_empty() || !name.starts_with(rules.forbidden_prefix),
                    "{name}"
                );
                assert!(
                    !start.ends_with('-') && (rules.also.contains('_') || !start.contains("--")),
                    "{name}"
                );
                assert!(seen.insert(name.clone()), "{name} is there twice");
            }
        }
    }
}
