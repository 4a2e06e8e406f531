//! How the fields of spans and events appear in the log: short names, and without what is only for machines. It
//! changes no field, only its appearance.

use std::fmt::{self, Debug};

use tracing::field::{Field, Visit};
use tracing_subscriber::{
    field::RecordFields,
    fmt::{FormatFields, format::Writer},
};

/// The word in the log for a field with a long name; `None` for a field that the log leaves out.
fn word(field: &'static str) -> Option<&'static str> {
    match field {
        "otel.kind" | "messaging.system" | "messaging.operation.type" | "messaging.operation.name" => None,
        "messaging.destination.name" => Some("topic"),
        "messaging.destination.subscription.name" => Some("subscription"),
        "messaging.message.id" => Some("event"),
        "messaging.batch.message_count" => Some("events"),
        "http.request.method" => Some("method"),
        "http.response.status_code" => Some("status"),
        "url.path" => Some("path"),
        "http.route" => Some("route"),
        other => Some(other),
    }
}

/// Writes `name=value` pairs, the message first and bare.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ShortFields;

impl<'writer> FormatFields<'writer> for ShortFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut pairs = Pairs { writer, is_first: true, result: Ok(()) };
        fields.record(&mut pairs);
        pairs.result
    }
}

struct Pairs<'writer> {
    writer: Writer<'writer>,
    is_first: bool,
    result: fmt::Result,
}

impl Pairs<'_> {
    fn pair(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let Some(word) = word(field.name()) else { return };
        if self.result.is_err() {
            return;
        }
        let space = if std::mem::take(&mut self.is_first) { "" } else { " " };
        self.result = match word {
            "message" => write!(self.writer, "{space}{value}"),
            word => write!(self.writer, "{space}{word}={value}"),
        };
    }
}

impl Visit for Pairs<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        // A text with spaces needs its quotes; a name does not.
        if field.name() == "message" || !value.contains(char::is_whitespace) {
            self.pair(field, format_args!("{value}"));
        } else {
            self.pair(field, format_args!("{value:?}"));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.pair(field, format_args!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use tracing_subscriber::{fmt::MakeWriter, prelude::*};

    use super::{super::line::Line, *};
    use crate::instance::Scope;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Buffer {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    /// What is logged of `logging` within a scope.
    fn logged(scope: Scope, logging: impl Future<Output = ()>) -> String {
        let buffer = Buffer::default();
        let layer = tracing_subscriber::fmt::layer()
            .event_format(Line { place: Scope::write_place })
            .fmt_fields(ShortFields)
            .with_ansi(false)
            .with_writer(buffer.clone());
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(scope.run(logging));
        });
        String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn what_comes_from_outside_neither_makes_lines_nor_moves_the_terminal() {
        let forged = "e1\n2026-01-31T09:00:00Z ERROR shop: forged\u{1b}[2J\r";
        let mut scope = Scope::continuing(None);
        scope.cause = Some(forged.into());
        let line = logged(scope, async {
            let span = tracing::info_span!("deliver", messaging.message.id = forged);
            span.in_scope(|| tracing::warn!(error = forged, event = %forged, "failed: {forged}"));
        });
        assert_eq!(line.matches("forged").count(), 5, "{line}");
        assert!(!line.trim_end_matches('\n').contains(char::is_control), "{line}");
        assert_eq!(line.lines().count(), 1, "{line}");
    }

    #[test]
    fn a_long_id_does_not_fill_every_line() {
        let mut scope = Scope::continuing(None);
        scope.cause = Some("i".repeat(200_000).as_str().into());
        let line = logged(scope, async { tracing::warn!("the handler failed") });
        assert!(line.len() < 1000 && line.contains("iii [199"), "{} bytes", line.len());
    }

    #[test]
    fn a_line_is_short_and_says_what_people_look_for() {
        let mut scope = Scope::continuing(None);
        scope.service = Some("shipping");
        scope.cause = Some("e1".into());
        let trace = format!("{:032x}", scope.span.trace);
        let line = logged(scope, async {
            let span =
                tracing::info_span!("deliver", otel.kind = "consumer", messaging.destination.name = "orders");
            span.in_scope(|| tracing::warn!(error = "no such order", retry_in = "10s", "the handler failed"));
        });
        let (_, text) = line.split_once(" WARN ").unwrap();
        assert_eq!(
            text,
            format!(
                "{}: the handler failed error=\"no such order\" retry_in=10s deliver{{topic=orders}} service=shipping event=e1 trace_id={trace}\n",
                module_path!()
            )
        );
    }
}
