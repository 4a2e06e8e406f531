//! A line of the log: time, level, target, text and fields, then the spans that it lies in, then what the running code
//! belongs to. The last comes from the scope at the moment of writing, so a request that logs nothing pays nothing.

use std::{fmt, time::SystemTime};

use bis_core::{envelope::format_time, text::OneLineWriter};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields, format::Writer},
    registry::LookupSpan,
};

/// Writes what the running code belongs to, each word of it after a space.
pub(crate) type Place = fn(&mut dyn fmt::Write) -> fmt::Result;

/// Formats one event of `tracing` as one line, whatever its fields hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    pub(super) place: Place,
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        write!(writer, "{} ", format_time(SystemTime::now()))?;
        level(&mut writer, *metadata.level())?;
        write!(writer, " {}: ", metadata.target())?;
        // From here on there is text from outside. Our own has no control characters.
        let mut line = OneLineWriter(writer.by_ref());
        let mut line = Writer::new(&mut line);
        context.format_fields(line.by_ref(), event)?;
        for span in context.event_scope().into_iter().flat_map(|spans| spans.from_root()) {
            write!(line, " {}", span.name())?;
            let extensions = span.extensions();
            match extensions.get::<FormattedFields<N>>() {
                Some(fields) if !fields.is_empty() => write!(line, "{{{fields}}}")?,
                _ => {}
            }
        }
        (self.place)(&mut line)?;
        writeln!(writer)
    }
}

/// The level in five columns, in its colour where colours are shown.
fn level(writer: &mut Writer<'_>, level: Level) -> fmt::Result {
    let colour = match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG => 34,
        Level::TRACE => 35,
    };
    if writer.has_ansi_escapes() {
        write!(writer, "\x1b[{colour}m{level:>5}\x1b[0m")
    } else {
        write!(writer, "{level:>5}")
    }
}
