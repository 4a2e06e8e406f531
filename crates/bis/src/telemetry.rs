//! Where `tracing` goes in a running app: readable lines on stderr. Programs log with `tracing` and never see this.

mod fields;
mod line;
pub(crate) mod metrics;

use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{filter::Targets, fmt, prelude::*};

use fields::ShortFields;
use line::Line;
pub(crate) use line::Place;

/// The variables that hold the filter, the first one that is set counts: `info`, or `warn,shop::orders=debug`.
const VARIABLES: [&str; 2] = [bis_core::handover::LOG, "RUST_LOG"];

/// Sends logs to stderr, unless the program has set up `tracing` itself. Colours only on a terminal, and not with
/// `NO_COLOR`. Each line ends with what `place` writes.
pub(crate) fn init(place: Place) {
    let (filter, refused) = filter(LevelFilter::INFO);
    let colours =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    let layer = fmt::layer()
        .fmt_fields(ShortFields)
        .event_format(Line { place })
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .with_filter(filter);
    // Somebody else's subscriber stays.
    tracing_subscriber::registry().with(layer).try_init().ok();
    if let Some(refused) = refused {
        tracing::warn!("{refused}");
    }
}

/// Sends warnings and errors to the captured output of the running test, as [`init`] does.
#[cfg(feature = "testing")]
pub(crate) fn init_for_tests(place: Place) {
    let (filter, _) = filter(LevelFilter::WARN);
    let layer = fmt::layer()
        .fmt_fields(ShortFields)
        .event_format(Line { place })
        .with_test_writer()
        .with_ansi(false)
        .with_filter(filter);
    tracing_subscriber::registry().with(layer).try_init().ok();
}

fn filter(default: LevelFilter) -> (Targets, Option<String>) {
    let default = Targets::new().with_default(default);
    let set = VARIABLES
        .iter()
        .find_map(|name| Some((*name, std::env::var(name).ok().filter(|text| !text.is_empty())?)));
    let Some((name, text)) = set else { return (default, None) };
    match text.parse() {
        Ok(filter) => (filter, None),
        Err(error) => {
            let text = format!(
                "`{name}` is `{text}`, which is not a valid filter ({error}); write as in `warn,shop::orders=debug`"
            );
            (default, Some(text))
        }
    }
}
