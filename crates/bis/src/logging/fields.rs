//! How the fields of spans and events read in the log: short names, and without what is there for machines only. It
//! changes no field, only its looks.

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
    use crate::scope::Scope;

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

    #[test]
    fn a_line_is_short_and_says_what_people_look_for() {
        let buffer = Buffer::default();
        let layer = tracing_subscriber::fmt::layer()
            .event_format(Line)
            .fmt_fields(ShortFields)
            .with_ansi(false)
            .with_writer(buffer.clone());
        let subscriber = tracing_subscriber::registry().with(layer);
        let mut scope = Scope::continuing(None);
        scope.service = Some("shipping");
        scope.cause = Some("e1".into());
        let trace = format!("{:032x}", scope.span.trace);
        let logging = scope.run(async {
            let span =
                tracing::info_span!("deliver", otel.kind = "consumer", messaging.destination.name = "orders");
            span.in_scope(|| tracing::warn!(error = "no such order", retry_in = "10s", "the handler failed"));
        });
        tracing::subscriber::with_default(subscriber, || {
            tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(logging);
        });
        let line = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
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
