//! Plays steps on both servers at once, and stops at the first difference.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

use crate::compare::differences;
use crate::side::{Connection, Side, Target};
use crate::step::{CHANNELS, CONNECTIONS, Command, Step, Which};
use crate::support::peer::Peer;

/// How long the servers may take to agree.
const PATIENCE: Duration = Duration::from_secs(3);

/// Where and in what the servers differ.
#[derive(Debug)]
pub struct Mismatch {
    /// The place of the step after which they did.
    pub step: usize,
    differences: Vec<String>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "after step {}:\n{}", self.step + 1, self.differences.join("\n"))
    }
}

pub struct Game {
    nsqd: Side,
    router: Side,
    played: u64,
}

impl Game {
    pub fn start() -> Self {
        Self { nsqd: Side::start(Peer::Nsqd), router: Side::start(Peer::Router), played: 0 }
    }

    /// Plays the steps, with topics of their own.
    pub fn play(&mut self, steps: &[Step]) -> Result<(), Mismatch> {
        self.played += 1;
        let prefix = format!("g{}.", self.played);
        self.both(|side| side.begin(&prefix));
        for (number, step) in steps.iter().enumerate() {
            self.both(|side| side.said.clear());
            let before = self.subscribed();
            self.perform(step);
            self.agree(&before).map_err(|differences| Mismatch { step: number, differences })?;
        }
        Ok(())
    }

    fn both(&mut self, mut action: impl FnMut(&mut Side)) {
        action(&mut self.nsqd);
        action(&mut self.router);
    }

    fn perform(&mut self, step: &Step) {
        match step {
            Step::Command { connection, command } => {
                self.both(|side| side.open(*connection));
                if matches!(command, Command::Ready(1..)) {
                    self.quieten_others(*connection);
                }
                let target = self.target(*connection, command);
                self.both(|side| side.command(*connection, command, &target));
            }
            Step::Disconnect { connection } => self.both(|side| side.disconnect(*connection)),
            Step::Garbage { connection, bytes } => {
                self.both(|side| {
                    side.open(*connection);
                    side.garbage(*connection, bytes);
                });
                self.both(Side::delete_strange_topics);
            }
            Step::Http { method, path, topic, body } => {
                self.both(|side| side.http(method, path, *topic, body));
                let emptied = CHANNELS.iter().position(|channel| {
                    path.starts_with("/channel/empty")
                        && path.ends_with(&format!("={}", channel.replace('#', "%23")))
                });
                if let Some(channel) = emptied {
                    self.both(|side| side.forget((*topic, channel)));
                }
            }
        }
    }

    /// One consumer of a channel is ready at a time: among several, which one gets a message is a matter of chance.
    fn quieten_others(&mut self, connection: usize) {
        let Some(mine) = &self.nsqd.connections[connection] else { return };
        let Some(channel) = mine.channel else { return };
        for place in (0..CONNECTIONS).filter(|place| *place != connection) {
            let other = self.nsqd.connections[place].as_ref();
            if other.is_some_and(|it| it.is_open && it.channel == Some(channel) && it.ready > 0) {
                self.both(|side| side.command(place, &Command::Ready(0), &Target::Unknown));
            }
        }
    }

    /// The message that the command is about: one that means the same on both servers.
    fn target(&self, connection: usize, command: &Command) -> Target {
        let (Command::Finish(which) | Command::Requeue(which, _) | Command::Touch(which)) = command else {
            return Target::Unknown;
        };
        let common = |place: usize| -> Vec<String> {
            let (Some(nsqd), Some(router)) = (&self.nsqd.connections[place], &self.router.connections[place])
            else {
                return Vec::new();
            };
            nsqd.held.keys().filter(|body| router.held.contains_key(*body)).cloned().collect()
        };
        let pick = |bodies: Vec<String>, number: usize| match bodies.len() {
            0 => Target::Unknown,
            count => Target::Body(bodies[number % count].clone()),
        };
        match which {
            Which::Held(number) => pick(common(connection), *number),
            Which::Foreign(number) => {
                // Of the same topic: the router's identifiers are sequence numbers, each topic has its own.
                let topic = |place: usize| {
                    let channel = self.nsqd.connections[place].as_ref().and_then(|it| it.channel);
                    channel.map(|(topic, _)| topic)
                };
                let is_other = |place: &usize| *place != connection && topic(*place) == topic(connection);
                let others = (0..CONNECTIONS).filter(is_other);
                pick(others.flat_map(common).collect(), *number)
            }
            Which::Settled => {
                let settled = self.nsqd.connections[connection].as_ref().and_then(|it| it.settled.clone());
                // One that came back may be with a consumer again on one server, and wait on the other.
                let holders = |side: &Side, body: &str| {
                    let holds = |it: &Option<_>| {
                        it.as_ref().is_some_and(|it: &Connection| it.held.contains_key(body))
                    };
                    side.connections.each_ref().map(holds)
                };
                let settled = settled.filter(|body| holders(&self.nsqd, body) == holders(&self.router, body));
                settled.map_or(Target::Unknown, Target::Body)
            }
            Which::Unknown => Target::Unknown,
        }
    }

    /// The connections that have subscribed, and to what.
    fn subscribed(&self) -> Vec<(usize, (usize, usize))> {
        let open = self.nsqd.connections.iter().enumerate();
        open.filter_map(|(place, connection)| {
            let connection = connection.as_ref().filter(|connection| connection.is_open)?;
            Some((place, connection.channel?))
        })
        .collect()
    }

    /// Waits until both servers rest and agree.
    fn agree(&mut self, before: &[(usize, (usize, usize))]) -> Result<(), Vec<String>> {
        let deadline = Instant::now() + PATIENCE;
        let mut is_resolved = false;
        let mut rounds = 0;
        loop {
            self.both(Side::read);
            let ((nsqd, nsqd_rests), (router, router_rests)) = (self.nsqd.facts(), self.router.facts());
            let rest = nsqd_rests && router_rests;
            if rest && !is_resolved {
                is_resolved = true;
                if self.resolve(before) {
                    continue;
                }
            }
            let found = differences(&nsqd, &router);
            if rest && found.is_empty() {
                return Ok(());
            }
            // nsqd makes the topic of a publish before it looks at the rest of it, and keeps it when it refuses.
            let is_refused = |said: &String| said.contains("error E_") || said.starts_with("http 4");
            let made = nsqd.having("message_bytes").filter(|topic| {
                router.get(topic, "message_bytes").is_none() && nsqd.number(topic, "message_count") == 0
            });
            for topic in made.filter(|_| rest && self.nsqd.said.iter().any(is_refused)) {
                self.router.make_topic(topic.trim_start_matches("topic "));
            }
            if Instant::now() > deadline {
                let mut found = found;
                for (name, rests) in [("nsqd", nsqd_rests), ("the router", router_rests)] {
                    if !rests {
                        found.push(format!("{name} does not come to rest"));
                    }
                }
                return Err(found);
            }
            rounds += 1;
            if rounds % 10 == 0 {
                self.both(Side::flush);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Makes up for what a connection that went had in flight: the router gives it to others at once, nsqd waits for the
    /// timeout. The channel is emptied on both. Whether there was anything to do.
    fn resolve(&mut self, before: &[(usize, (usize, usize))]) -> bool {
        let now: BTreeSet<_> = self.subscribed().into_iter().collect();
        let gone: BTreeSet<_> =
            before.iter().filter(|entry| !now.contains(*entry)).map(|(_, channel)| *channel).collect();
        for (topic, channel) in &gone {
            self.both(|side| side.empty(*topic, *channel));
        }
        !gone.is_empty()
    }
}
