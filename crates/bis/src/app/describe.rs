//! What is linked into a program, as JSON: for tools to compare with what they read in the source. Sorted; starts nothing.

use std::{io::Write, process::ExitCode};

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

use super::{App, parts::SUBSYSTEMS};
use crate::instance::Section;

/// What is linked.
pub(crate) struct Description {
    app: &'static str,
    sections: Vec<Section>,
}

impl Description {
    pub(crate) fn of(app: &App) -> Self {
        let mut names: Vec<_> = app.services.iter().map(|service| service.name).collect();
        names.sort_unstable();
        let items = names.into_iter().map(|name| vec![("name", name.into())]).collect();
        let mut sections = vec![Section { name: "services", items }];
        sections.extend(SUBSYSTEMS.iter().flat_map(|subsystem| subsystem.describe(&app.services)));
        Self { app: app.name, sections }
    }
}

impl Serialize for Description {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1 + self.sections.len()))?;
        map.serialize_entry("app", self.app)?;
        for section in &self.sections {
            map.serialize_entry(section.name, &Items(&section.items))?;
        }
        map.end()
    }
}

/// The items of a section, their fields in order.
struct Items<'a>(&'a [Vec<(&'static str, Value)>]);

impl Serialize for Items<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|fields| Fields(fields)))
    }
}

/// The fields of an item.
struct Fields<'a>(&'a [(&'static str, Value)]);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// Prints the description on stdout.
pub(crate) fn print(app: &App) -> ExitCode {
    let text = serde_json::to_string_pretty(&Description::of(app)).expect("a description is plain text");
    match writeln!(std::io::stdout(), "{text}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
