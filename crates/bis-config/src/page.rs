//! `docs/configuration.md` has every key and every variable, and its examples and those of the guide are read.

use std::path::Path;

use serde::{
    de::{self, DeserializeOwned, Visitor},
    forward_to_deserialize_any,
};

use super::*;

const PAGE: &str = include_str!("../../../docs/configuration.md");

/// The pages of the guide whose JSON is configuration.
const GUIDE: [&str; 2] =
    [include_str!("../../../docs/guide/configuration.md"), include_str!("../../../docs/guide/production.md")];

/// Asks a type for the names of its fields or variants, and fails with them.
struct Names;

#[derive(Debug)]
struct Told(Vec<&'static str>);

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl std::error::Error for Told {}

impl de::Error for Told {
    fn custom<T: std::fmt::Display>(_: T) -> Self {
        Self(Vec::new())
    }
}

impl<'de> de::Deserializer<'de> for Names {
    type Error = Told;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Told> {
        Err(Told(Vec::new()))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Told> {
        Err(Told(fields.to_vec()))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Told> {
        Err(Told(variants.to_vec()))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map identifier ignored_any
    }
}

#[track_caller]
fn check_keys<T: DeserializeOwned>(prefix: &str) {
    let Err(Told(names)) = T::deserialize(Names).map(drop) else { panic!("`{prefix}` has no names") };
    assert!(!names.is_empty(), "`{prefix}` has no names");
    for name in names {
        let key = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
        assert!(PAGE.contains(&format!("`{key}")), "docs/configuration.md lacks `{key}`");
    }
}

#[test]
fn every_key_is_on_the_page() {
    check_keys::<Config>("");
    check_keys::<AppConfig>("app");
    check_keys::<HttpConfig>("http");
    check_keys::<InternalConfig>("internal");
    check_keys::<MonitoringConfig>("monitoring");
    check_keys::<BrokerConfig>("broker");
    check_keys::<NsqConfig>("broker.nsq");
    check_keys::<NsqTlsConfig>("broker.nsq.tls");
}

#[test]
fn the_examples_of_the_pages_are_read() {
    let pages = [PAGE].into_iter().chain(GUIDE);
    let examples = pages.flat_map(|page| page.split("```json\n").skip(1));
    let examples: Vec<&str> = examples.filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() >= 6);
    for example in examples {
        let config: Config =
            serde_json::from_str(example).unwrap_or_else(|error| panic!("{error}: {example}"));
        config.check().unwrap_or_else(|error| panic!("{error}: {example}"));
    }
}

#[test]
fn the_defaults_of_the_page_are_the_defaults() {
    let config = Config::default();
    for (key, default) in
        [("app.stop_within", config.app.stop_within), ("http.request_timeout", config.http.request_timeout)]
    {
        let row = PAGE.lines().find(|line| line.starts_with(&format!("| `{key}`"))).unwrap();
        let shown = row.split('|').nth(3).unwrap().trim().trim_matches(['`', '"']);
        assert_eq!(bis_core::parse_duration(shown), Ok(default), "{row}");
    }
}

/// The names in quotes that begin as Bis's environment variables do.
fn variables(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            variables(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let is_variable = |word: &&str| {
                word.starts_with("BIS_") && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
            };
            found.extend(text.split('"').filter(is_variable).map(str::to_owned));
        }
    }
}

#[test]
fn every_variable_is_on_the_page() {
    let mut found = Vec::new();
    for folder in ["src", "../bis-core/src", "../bis/src", "../bis-cli/src"] {
        variables(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut found);
    }
    found.retain(|name| !name.starts_with("BIS_TEST_") && name != "BIS_");
    assert!(found.len() >= 5, "{found:?}");
    for name in found {
        assert!(PAGE.contains(&format!("`{name}`")), "docs/configuration.md lacks `{name}`");
    }
}
