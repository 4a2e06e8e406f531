//! What is declared with resources. Nothing of it can be wrong when the app starts: the compiler has seen their types, and each
//! is its own static.

use bis_core::prometheus::Page;

use super::ResourceEntry;
use crate::{
    error::Result,
    instance::{Caller, Declarations, Instance, Section, Services, Subsystem},
};

/// Resources.
pub(crate) struct State;

impl Subsystem for State {
    fn callers(&self, _: &Services) -> Vec<Caller> {
        Vec::new()
    }

    fn check(&self, _: &Declarations<'_>) -> Result<()> {
        Ok(())
    }

    fn measure(&self, _: &Instance, _: &mut Page) {}

    fn describe(&self, services: &Services) -> Vec<Section> {
        let here =
            |entry: &&&ResourceEntry| entry.service().is_none() || services.of(entry.module()).is_some();
        let mut items: Vec<_> =
            ResourceEntry::all().iter().filter(here).map(|entry| (entry.path(), entry.service())).collect();
        items.sort();
        let fields = |(path, service): (String, Option<&'static str>)| {
            vec![("static", path.into()), ("service", service.into())]
        };
        vec![Section { name: "resources", items: items.into_iter().map(fields).collect() }]
    }
}
