//! Prometheus's text format, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>), as the app and the router write it.
//!
//! It is written by hand: what is measured comes and goes (topics, subscriptions), so every scrape starts from the state, and a
//! registry of metrics would be a second copy of it to keep in step.

use std::fmt::{Display, Write};

/// The text's media type, as Prometheus wants it.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The type of a number that goes up and down.
pub const GAUGE: &str = "gauge";

/// The type of a number that only goes up.
pub const COUNTER: &str = "counter";

/// The type of a distribution.
pub const HISTOGRAM: &str = "histogram";

/// The names and values that tell one number of a family from another.
pub type Labels = Vec<(&'static str, String)>;

/// What a histogram has counted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Distribution {
    /// The upper bounds of the buckets, ascending, each with the number of values that do not exceed it.
    pub within: Vec<(f64, u64)>,
    /// How many values there were.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
}

/// The text as it grows.
#[derive(Debug, Default)]
pub struct Page(String);

impl Page {
    /// A metric without labels.
    pub fn one(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.family(name, kind, help, [(Vec::new(), value)]);
    }

    /// A metric, once for each of its sets of labels.
    pub fn family(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, f64)>,
    ) {
        self.head(name, kind, help);
        for (labels, value) in samples {
            self.sample(name, &labels, value);
        }
    }

    /// A histogram, once for each of its sets of labels.
    pub fn histogram(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, Distribution)>,
    ) {
        self.head(name, HISTOGRAM, help);
        for (mut labels, Distribution { within, count, sum }) in samples {
            let bounds = within.into_iter().map(|(bound, within)| (bound.to_string(), within));
            for (bound, within) in bounds.chain([("+Inf".to_owned(), count)]) {
                labels.push(("le", bound));
                self.sample(&format!("{name}_bucket"), &labels, within as f64);
                labels.pop();
            }
            self.sample(&format!("{name}_sum"), &labels, sum);
            self.sample(&format!("{name}_count"), &labels, count as f64);
        }
    }

    /// The whole text.
    pub fn into_text(self) -> String {
        self.0
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, String)], value: f64) {
        self.line(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n");
            self.line(format_args!("{}{label}=\"{text}\"", if at == 0 { '{' } else { ',' }));
        }
        let end = if labels.is_empty() { "" } else { "}" };
        self.line(format_args!("{end} {value}\n"));
    }

    fn line(&mut self, part: impl Display) {
        // Writing to a text does not fail.
        let _ = write!(self.0, "{part}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_what_prometheus_reads() {
        let mut page = Page::default();
        page.one("up", GAUGE, "Whether it is up.", 1.0);
        let labels = vec![("path", "a\"b\\c\nd".to_owned())];
        let took = Distribution { within: vec![(0.5, 1), (2.0, 3)], count: 4, sum: 7.25 };
        page.histogram("took_seconds", "How long it took.", [(labels, took)]);
        let expected = r#"# HELP up Whether it is up.
# TYPE up gauge
up 1
# HELP took_seconds How long it took.
# TYPE took_seconds histogram
took_seconds_bucket{path="a\"b\\c\nd",le="0.5"} 1
took_seconds_bucket{path="a\"b\\c\nd",le="2"} 3
took_seconds_bucket{path="a\"b\\c\nd",le="+Inf"} 4
took_seconds_sum{path="a\"b\\c\nd"} 7.25
took_seconds_count{path="a\"b\\c\nd"} 4
"#;
        assert_eq!(page.into_text(), expected);
    }
}
