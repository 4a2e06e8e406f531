//! What was measured, as a table for the terminal and as a picture for the docs.

use std::fmt::Write as _;

use crate::servers::{Class, Kind};

/// One server's figures in one scenario: medians of the rounds.
#[derive(Debug, Clone)]
pub struct Row {
    pub kind: Kind,
    /// Messages per second.
    pub rate: f64,
    /// Microseconds of the server's CPU per message.
    pub cpu: f64,
    /// Bytes written to the disk per message.
    pub written: f64,
    /// Bytes of memory at the end.
    pub resident: f64,
}

/// One scenario.
#[derive(Debug, Clone)]
pub struct Table {
    pub title: String,
    pub rows: Vec<Row>,
}

impl Table {
    /// Prints the rows, each with its ratio to the first one's rate.
    pub fn print(&self) {
        println!("\n{}", self.title);
        println!(
            "  {:28} {:10} {:>11} {:>8} {:>9} {:>9} {:>8}",
            "", "answer is", "messages/s", "router/x", "cpu us", "bytes", "RSS MB"
        );
        for row in &self.rows {
            println!(
                "  {:28} {:10} {:>11.0} {:>8.2} {:>9.2} {:>9.0} {:>8.0}",
                row.kind.name(),
                row.kind.class().name(),
                row.rate,
                self.rows[0].rate / row.rate,
                row.cpu,
                row.written,
                row.resident / 1e6,
            );
        }
    }
}

/// The value in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

const WIDTH: usize = 800;
const LABEL: usize = 230;
const BAR: usize = 22;

/// Bars for every table, in one SVG that follows the reader's light or dark mode.
pub fn picture(tables: &[Table], caption: &[String]) -> String {
    let mut body = String::new();
    let mut y = 12;
    for table in tables {
        y += 26;
        let _ = writeln!(body, r#"<text class="title" x="12" y="{y}">{}</text>"#, escape(&table.title));
        let most = table.rows.iter().map(|row| row.rate).fold(1.0, f64::max);
        for row in &table.rows {
            y += BAR + 6;
            let length = (row.rate / most * (WIDTH - LABEL - 110) as f64).max(1.0);
            let class = match row.kind.class() {
                Class::Memory => "memory",
                Class::PageCache => "cache",
                Class::Durable => "synced",
            };
            let (text_y, bar_y) = (y, y - BAR + 6);
            let _ = writeln!(
                body,
                r#"<text x="{}" y="{text_y}" text-anchor="end">{}</text><rect class="{class}" x="{LABEL}" y="{bar_y}" width="{length:.0}" height="{BAR}" rx="2"/><text x="{:.0}" y="{text_y}">{}</text>"#,
                LABEL - 8,
                escape(row.kind.name()),
                LABEL as f64 + length + 8.0,
                thousands(row.rate),
            );
        }
        y += 14;
    }
    y += 16;
    for (class, text) in [
        ("synced", "answered when synced to the disk"),
        ("cache", "answered when the operating system has it"),
        ("memory", "answered from memory"),
    ] {
        let (text_y, bar_y) = (y + 10, y);
        let _ = writeln!(
            body,
            r#"<rect class="{class}" x="12" y="{bar_y}" width="12" height="12" rx="2"/><text x="32" y="{text_y}">{text}</text>"#
        );
        y += 20;
    }
    for line in caption {
        y += 18;
        let _ = writeln!(body, r#"<text class="note" x="12" y="{y}">{}</text>"#, escape(line));
    }
    y += 16;
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" role="img" aria-label="Messages a second of the Bis router beside other brokers">
<style>
  svg {{ background: #fff; }}
  text {{ font: 13px system-ui, sans-serif; fill: #1f2430; }}
  .title {{ font-weight: 600; font-size: 14px; }}
  .note {{ font-size: 12px; fill: #5b6472; }}
  .synced {{ fill: #2563eb; }} .cache {{ fill: #8fb3f5; }} .memory {{ fill: #c3c9d4; }}
  @media (prefers-color-scheme: dark) {{
    svg {{ background: #12151c; }}
    text {{ fill: #e6e9ef; }} .note {{ fill: #9aa4b2; }}
    .synced {{ fill: #60a5fa; }} .cache {{ fill: #3b5b8c; }} .memory {{ fill: #565e6b; }}
  }}
</style>
{body}</svg>
"##
    )
}

fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(' ');
        }
        text.push(digit);
    }
    text + "/s"
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
