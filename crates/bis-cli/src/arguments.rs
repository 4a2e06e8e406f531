//! The command line: every command and flag, with the text that `--help` shows. No behaviour.

pub(crate) mod router;

use std::path::PathBuf;

use bis_core::{DeadReason, SubscriptionName, TopicName};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgGroup, Args, Parser, Subcommand};

use crate::broker::Broker;
use crate::format::{Format, GraphFormat};
use crate::moment::Moment;

/// Event-driven backends in Rust, from source to running app
#[derive(Debug, Parser)]
#[command(name = "bis", version, after_help = crate::exit::HELP, max_term_width = 110)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a new app that runs and tests at once
    New(New),
    /// Build an app and run it with its event router; rebuild and hand over when a file is saved
    Run(Run),
    /// Read an app's source and report what is wrong with it, in milliseconds
    Check(Check),
    /// Print an app's services, topics, subscriptions and endpoints
    Graph(Graph),
    /// Explain a diagnostic, such as BIS0001
    Explain(Explain),
    /// Run the event router alone; the flags are those of nsqd
    #[command(version)]
    Router(Box<router::Router>),
    /// List, follow, replay and remove topics, and publish to them
    #[command(subcommand)]
    Topic(Topic),
    /// Look at dead letters, send them again and remove them
    #[command(subcommand)]
    Dead(Dead),
    /// Say what is missing on this machine, and how to get it
    Doctor(Doctor),
}

/// Arguments of `bis new`.
#[derive(Debug, Args)]
pub(crate) struct New {
    /// Name of the package, in kebab-case
    pub(crate) name: String,
    /// Folder to make; by default the name, in the current folder
    #[arg(long)]
    pub(crate) path: Option<PathBuf>,
    /// Checkout of Bis that the app uses; by default the one around it, or around this program
    #[arg(long, value_name = "DIR")]
    pub(crate) bis_path: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// Arguments of `bis run`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Folder of the app
    #[arg(default_value = ".")]
    pub(crate) folder: PathBuf,
    /// Port of the app on 127.0.0.1; a free one is taken when it is in use
    #[arg(long, default_value_t = 4000)]
    pub(crate) port: u16,
    /// Port of the router on 127.0.0.1; its HTTP port is the next one
    #[arg(long, default_value_t = 4150)]
    pub(crate) router_port: u16,
    /// Forget all events first
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Run beside other runs of the same app, with a router and data of its own
    #[arg(long)]
    pub(crate) namespace: Option<String>,
    /// Program to run, when the package has several; by default the one that `default-run` in its manifest names
    #[arg(long, value_name = "NAME")]
    pub(crate) bin: Option<String>,
    /// Host only these services of the app, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) services: Vec<String>,
    /// Build with optimisations
    #[arg(long)]
    pub(crate) release: bool,
    #[command(flatten)]
    pub(crate) features: Features,
    /// Inject faults that follow from this seed: events come twice, late and out of turn, publishes fail, the router
    /// restarts. `42,duplicates=0.5,restarts=0` sets rates; others are `delays`, `reordering`, `publish-errors`,
    /// `longest-delay` and `requests`
    #[arg(long, value_name = "SEED")]
    pub(crate) chaos: Option<String>,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// Cargo's choice of features, in cargo's words.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Features {
    /// Features of the app's package to enable, separated by commas
    #[arg(long, short = 'F', value_delimiter = ',')]
    pub(crate) features: Vec<String>,
    /// Leave out the default features
    #[arg(long)]
    pub(crate) no_default_features: bool,
    /// Enable every feature
    #[arg(long)]
    pub(crate) all_features: bool,
}

/// Arguments of `bis check`.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Folder of the app
    #[arg(default_value = ".")]
    pub(crate) folder: PathBuf,
    /// Report too what this broker cannot do; by default the one in the file that BIS_CONFIG names, if that is set
    #[arg(long, value_enum)]
    pub(crate) broker: Option<Broker>,
    #[command(flatten)]
    pub(crate) features: Features,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// Arguments of `bis graph`.
#[derive(Debug, Args)]
pub(crate) struct Graph {
    /// Folder of the app
    #[arg(default_value = ".")]
    pub(crate) folder: PathBuf,
    #[command(flatten)]
    pub(crate) features: Features,
    #[arg(long, value_enum, default_value_t = GraphFormat::Text)]
    pub(crate) format: GraphFormat,
}

/// Arguments of `bis explain`.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// Code of a diagnostic; without one, all codes are listed
    pub(crate) code: Option<String>,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// Which router a command talks to.
#[derive(Debug, Clone, Args)]
pub(crate) struct Where {
    /// TCP address of the router, where it is not the one that its HTTP API tells
    #[arg(long, value_name = "HOST:PORT", requires = "router_http")]
    pub(crate) router: Option<String>,
    /// HTTP address of the router; by default that of the `bis run` of this folder's app
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) router_http: Option<String>,
    /// Namespace of the `bis run`; with `--router-http`, the `app.namespace` of the app's configuration
    #[arg(long)]
    pub(crate) namespace: Option<String>,
    /// Folder of the app
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) app: PathBuf,
}

/// Arguments of `bis topic`.
#[derive(Debug, Subcommand)]
pub(crate) enum Topic {
    /// List topics with their subscriptions and what waits there
    Ls {
        #[command(flatten)]
        place: Where,
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Follow the events of a topic from now on; takes none away from its subscribers
    Tail {
        /// Name of the topic
        topic: String,
        /// End after this many events
        #[arg(long, value_name = "N")]
        limit: Option<u64>,
        /// Show the fields under `#[event(sensitive)]` too. Which these are is read from the app's source;
        /// outside its folder, and of events that it does not declare, all data and keys are hidden without this
        #[arg(long)]
        reveal: bool,
        #[command(flatten)]
        place: Where,
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Publish one event
    Publish {
        /// Name of the topic
        topic: String,
        /// The event as JSON; `-` reads it from stdin
        event: String,
        /// Send the bytes as they are, without a CloudEvents envelope around them
        #[arg(long)]
        raw: bool,
        /// Ordering key of the event
        #[arg(long, conflicts_with = "raw")]
        key: Option<String>,
        /// Publish it whatever the schema of the topic's events says
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        place: Where,
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Give a subscription the events again that it has handled, as far as the router keeps them
    Replay {
        /// Name of the topic
        topic: TopicName,
        /// Name of the subscription; others notice nothing
        subscription: SubscriptionName,
        #[command(flatten)]
        from: From,
        #[command(flatten)]
        place: Where,
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Remove a topic, or one subscription of it, with what waits there
    Rm {
        /// Name of the topic
        topic: String,
        /// Name of the subscription; without one, the topic and all its subscriptions
        subscription: Option<String>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        place: Where,
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
}

/// Where a replay begins.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct From {
    /// From events on that were published since then: how long ago, such as `1h30m`, or an RFC 3339 time
    #[arg(long, value_name = "WHEN")]
    pub(crate) since: Option<Moment>,
    /// From this place in the topic on, as the router numbers its messages
    #[arg(long, value_name = "N")]
    pub(crate) from: Option<u64>,
    /// Everything that is kept
    #[arg(long)]
    pub(crate) all: bool,
}

/// Arguments of `bis dead`.
#[derive(Debug, Subcommand)]
pub(crate) enum Dead {
    /// List dead letters, grouped by subscription and error
    Ls {
        #[command(flatten)]
        place: Where,
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Show one dead letter with its event
    Show {
        /// Id of the letter, or the start of one
        id: String,
        /// Show the fields under `#[event(sensitive)]` too. Which these are is read from the app's source;
        /// outside its folder, and of events that it does not declare, all data and keys are hidden without this
        #[arg(long)]
        reveal: bool,
        #[command(flatten)]
        place: Where,
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Send dead letters to their subscription again
    Resend(Resend),
    /// The earlier name of `resend`
    #[command(hide = true)]
    Replay(Resend),
    /// Remove dead letters and their events for good
    Rm {
        /// Ids of letters, or the start of ones
        #[arg(required_unless_present = "filter", conflicts_with = "filter")]
        ids: Vec<String>,
        #[command(flatten)]
        filter: Filter,
        /// Only say what would be removed
        #[arg(long)]
        dry_run: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        place: Where,
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
}

/// Arguments of `bis dead resend`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").required(true).args(["ids", "all"])))]
pub(crate) struct Resend {
    /// Ids of letters, or the start of ones
    pub(crate) ids: Vec<String>,
    /// Every letter
    #[arg(long)]
    pub(crate) all: bool,
    /// Only say what would be sent
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Send this file's bytes in place of the event's data; `bis dead show ID --reveal` shows what to start from.
    /// It is checked against the event's schema, and the letter stays until the edited event is handled
    #[arg(long, value_name = "FILE", conflicts_with = "all")]
    pub(crate) edit: Option<PathBuf>,
    /// Take the file as it is, whatever the event's schema says
    #[arg(long, requires = "edit")]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) place: Where,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// Which dead letters: those for which all that is given holds.
#[derive(Debug, Args)]
#[group(id = "filter", multiple = true)]
pub(crate) struct Filter {
    /// Letters of this topic's events
    #[arg(long, value_name = "TOPIC")]
    pub(crate) topic: Option<String>,
    /// Letters of this subscription
    #[arg(long, value_name = "SUBSCRIPTION")]
    pub(crate) subscription: Option<String>,
    /// Letters that died of this
    #[arg(long, value_parser = reason())]
    pub(crate) reason: Option<DeadReason>,
    /// Letters whose error has this text in it
    #[arg(long, value_name = "TEXT")]
    pub(crate) error: Option<String>,
    /// Letters that died before then: how long ago, such as `30d`, or an RFC 3339 time
    #[arg(long, value_name = "WHEN")]
    pub(crate) older_than: Option<Moment>,
    /// Every letter
    #[arg(long)]
    pub(crate) all: bool,
}

/// The reasons by their words.
fn reason() -> impl TypedValueParser<Value = DeadReason> {
    const ALL: [DeadReason; 3] = [DeadReason::Permanent, DeadReason::Undecodable, DeadReason::Exhausted];
    PossibleValuesParser::new(ALL.map(DeadReason::as_str)).map(|word| {
        let is_it = |reason: &DeadReason| reason.as_str() == word;
        ALL.into_iter().find(is_it).expect("clap lets no other word pass")
    })
}

/// Arguments of `bis doctor`.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[cfg(test)]
mod documented;
