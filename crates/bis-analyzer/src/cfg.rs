//! `cfg` predicates, evaluated for a build of the app itself: no test, debug assertions on, the enabled features, the
//! target's cfgs as `rustc --print cfg` gives them. What a build script or rustflags may set is unknown, not off.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    ops::{BitAnd, BitOr, Not},
    sync::Arc,
};

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Attribute, Expr, ExprLit, Lit, Meta, Token, parse::Parser, punctuated::Punctuated};

use crate::summary::{Condition, Range};

/// What a build is for: given by a caller that can ask rustc, else what is known about this machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Target {
    /// The platform's name, such as `x86_64-unknown-linux-gnu`.
    triple: Option<String>,
    names: BTreeSet<String>,
    values: BTreeMap<String, BTreeSet<String>>,
    /// Whether rustc was asked, so that everything absent here is off.
    complete: bool,
}

/// What decides whether code of one package is in the build.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Cfg {
    pub(crate) features: BTreeSet<String>,
    pub(crate) target: Arc<Target>,
    /// Whether a build script or rustflags may set names of their own.
    pub(crate) is_open: bool,
    /// Whether rustflags may change the target's features.
    pub(crate) has_open_target: bool,
    /// Whether the package is of the edition 2015, whose `use` paths begin at the crate's root.
    pub(crate) is_2015: bool,
}

/// Whether something is in the build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Truth {
    On,
    Off,
    Unknown,
}

/// Names that rustc itself may set: what it does not say is off, whatever build scripts do.
const OWN_NAMES: [&str; 14] = [
    "unix",
    "windows",
    "debug_assertions",
    "overflow_checks",
    "test",
    "doc",
    "doctest",
    "miri",
    "clippy",
    "rustfmt",
    "proc_macro",
    "ub_checks",
    "target_thread_local",
    "rust_analyzer",
];

impl Target {
    /// The lines of `rustc --print cfg`.
    pub(crate) fn from_rustc(triple: Option<String>, lines: &[String]) -> Self {
        let mut target = Self { triple, complete: true, ..Self::default() };
        for line in lines {
            match line.split_once('=') {
                Some((key, value)) => target.add(key.trim(), value.trim().trim_matches('"')),
                None => _ = target.names.insert(line.trim().to_owned()),
            }
        }
        target
    }

    /// What was known when this program was compiled.
    pub(crate) fn of_this_program() -> Self {
        let mut target = Self::default();
        target.names.insert("debug_assertions".to_owned());
        for (name, is_on) in [("unix", cfg!(unix)), ("windows", cfg!(windows))] {
            if is_on {
                target.names.insert(name.to_owned());
            }
        }
        let environment = [("gnu", cfg!(target_env = "gnu")), ("musl", cfg!(target_env = "musl"))]
            .into_iter()
            .find_map(|(name, is_on)| is_on.then_some(name));
        target.add("target_os", std::env::consts::OS);
        target.add("target_arch", std::env::consts::ARCH);
        target.add("target_family", std::env::consts::FAMILY);
        target.add("target_env", environment.unwrap_or_default());
        target.add("target_endian", if cfg!(target_endian = "little") { "little" } else { "big" });
        target.add("target_pointer_width", &usize::BITS.to_string());
        target.add("panic", "unwind");
        for (width, is_on) in [
            ("8", cfg!(target_has_atomic = "8")),
            ("16", cfg!(target_has_atomic = "16")),
            ("32", cfg!(target_has_atomic = "32")),
            ("64", cfg!(target_has_atomic = "64")),
            ("ptr", cfg!(target_has_atomic = "ptr")),
        ] {
            if is_on {
                target.add("target_has_atomic", width);
            }
        }
        target
    }

    fn add(&mut self, key: &str, value: &str) {
        self.values.entry(key.to_owned()).or_default().insert(value.to_owned());
    }

    /// Whether a table `[target.NAME]` of a manifest is for this target.
    pub(crate) fn is_named(&self, name: &str, has_open_target: bool) -> Truth {
        if let Some(predicate) = name.strip_prefix("cfg(").and_then(|rest| rest.strip_suffix(')')) {
            let parts = predicate.parse().ok().and_then(parse);
            let Some(predicate) = parts.and_then(|mut parts| parts.pop()) else { return Truth::Unknown };
            let cfg = Cfg {
                target: Arc::new(self.clone()),
                is_open: has_open_target,
                has_open_target,
                ..Cfg::default()
            };
            return cfg.holds(&predicate);
        }
        if let Some(triple) = &self.triple {
            return if triple == name { Truth::On } else { Truth::Off };
        }
        let has = |key: &str| {
            let values = self.values.get(key).into_iter().flatten();
            values.into_iter().any(|value| {
                value.is_empty() || name.contains(if value == "macos" { "darwin" } else { value })
            })
        };
        if has("target_arch") && has("target_os") && has("target_env") { Truth::On } else { Truth::Off }
    }
}

impl Cfg {
    /// Whether an item with these attributes is in the build.
    pub(crate) fn truth(&self, attrs: &[Attribute]) -> Truth {
        attrs.iter().filter(|attr| attr.path().is_ident("cfg")).fold(Truth::On, |truth, attr| {
            truth & predicate(attr).map_or(Truth::Unknown, |predicate| self.holds(&predicate))
        })
    }

    /// Whether it is not known to be out of the build.
    pub(crate) fn may_be_on(&self, attrs: &[Attribute]) -> bool {
        attrs.is_empty() || self.truth(attrs) != Truth::Off
    }

    /// The first predicate among the attributes of which it is unknown whether it holds.
    pub(crate) fn condition(&self, attrs: &[Attribute]) -> Option<Condition> {
        attrs.iter().filter(|attr| attr.path().is_ident("cfg")).find_map(|attr| {
            let text = match predicate(attr) {
                Some(predicate) if self.holds(&predicate) != Truth::Unknown => return None,
                Some(predicate) => predicate.to_token_stream().to_string(),
                None => attr.meta.require_list().map(|list| list.tokens.to_string()).unwrap_or_default(),
            };
            Some(Condition::new(&text, Range::of(syn::spanned::Spanned::span(&attr.meta))))
        })
    }

    /// The predicate of a `cfg_attr` of which it is unknown whether it holds.
    pub(crate) fn attribute_condition(&self, attr: &Attribute) -> Option<Condition> {
        if !attr.path().is_ident("cfg_attr") {
            return None;
        }
        let predicate = parse(attr.meta.require_list().ok()?.tokens.clone())?.into_iter().next()?;
        let range = Range::of(syn::spanned::Spanned::span(&attr.meta));
        (self.holds(&predicate) == Truth::Unknown)
            .then(|| Condition::new(&predicate.to_token_stream().to_string(), range))
    }

    /// The attributes of an item, with those inside `cfg_attr` where its predicate may hold.
    pub(crate) fn flatten<'a>(&self, attrs: &'a [Attribute]) -> Cow<'a, [Attribute]> {
        if !attrs.iter().any(|attr| attr.path().is_ident("cfg_attr")) {
            return Cow::Borrowed(attrs);
        }
        let mut flat = Vec::with_capacity(attrs.len());
        for attr in attrs {
            if !attr.path().is_ident("cfg_attr") {
                flat.push(attr.clone());
                continue;
            }
            let Some(parts) = attr.meta.require_list().ok().and_then(|list| parse(list.tokens.clone()))
            else {
                continue;
            };
            let mut parts = parts.into_iter();
            if parts.next().is_some_and(|predicate| self.holds(&predicate) != Truth::Off) {
                let inner: Vec<Attribute> = parts.map(|meta| Attribute { meta, ..attr.clone() }).collect();
                flat.extend(self.flatten(&inner).into_owned());
            }
        }
        Cow::Owned(flat)
    }

    /// Whether a predicate holds.
    pub(crate) fn holds(&self, predicate: &Meta) -> Truth {
        match predicate {
            Meta::Path(path) => match path.get_ident().map(ToString::to_string).as_deref() {
                Some("r#true") => Truth::On,
                Some("r#false") => Truth::Off,
                Some(name) if self.target.names.contains(name) => Truth::On,
                Some(name) if OWN_NAMES.contains(&name) => Truth::Off,
                _ => self.custom(),
            },
            Meta::NameValue(pair) => {
                let Expr::Lit(ExprLit { lit: Lit::Str(value), .. }) = &pair.value else {
                    return Truth::Unknown;
                };
                let key = pair.path.get_ident().map(ToString::to_string).unwrap_or_default();
                self.has_value(&key, &value.value())
            }
            Meta::List(list) => {
                let Some(parts) = parse(list.tokens.clone()) else { return Truth::Unknown };
                let mut truths = parts.iter().map(|part| self.holds(part));
                match list.path.get_ident().map(ToString::to_string).as_deref() {
                    Some("all") => truths.fold(Truth::On, BitAnd::bitand),
                    Some("any") => truths.fold(Truth::Off, BitOr::bitor),
                    Some("not") => truths.next().map_or(Truth::Unknown, Not::not),
                    _ => Truth::Unknown,
                }
            }
        }
    }

    fn has_value(&self, key: &str, value: &str) -> Truth {
        if key == "feature" {
            return if self.features.contains(value) { Truth::On } else { Truth::Off };
        }
        match self.target.values.get(key) {
            Some(values) if values.contains(value) => Truth::On,
            _ if key == "target_feature" && self.has_open_target => Truth::Unknown,
            Some(_) => Truth::Off,
            None if key == "panic" => Truth::Off,
            None if key.starts_with("target_") && self.target.complete => Truth::Off,
            None if key.starts_with("target_") => Truth::Unknown,
            None => self.custom(),
        }
    }

    fn custom(&self) -> Truth {
        if self.is_open { Truth::Unknown } else { Truth::Off }
    }
}

/// The predicate of `#[cfg(..)]`.
fn predicate(attr: &Attribute) -> Option<Meta> {
    parse(attr.meta.require_list().ok()?.tokens.clone())?.pop()
}

/// Predicates with commas between them. `true` and `false` become raw identifiers: as plain ones they are not paths.
pub(crate) fn parse(tokens: TokenStream) -> Option<Vec<Meta>> {
    let tokens: TokenStream = tokens
        .into_iter()
        .map(|token| match token {
            TokenTree::Ident(ident) if ident == "true" || ident == "false" => {
                TokenTree::Ident(Ident::new_raw(&ident.to_string(), ident.span()))
            }
            token => token,
        })
        .collect();
    let parts = Punctuated::<Meta, Token![,]>::parse_terminated.parse2(tokens).ok()?;
    Some(parts.into_iter().collect())
}

impl BitAnd for Truth {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        match (self, other) {
            (Self::Off, _) | (_, Self::Off) => Self::Off,
            (Self::On, Self::On) => Self::On,
            _ => Self::Unknown,
        }
    }
}

impl BitOr for Truth {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        !(!self & !other)
    }
}

impl Not for Truth {
    type Output = Self;

    fn not(self) -> Self {
        match self {
            Self::On => Self::Off,
            Self::Off => Self::On,
            Self::Unknown => Self::Unknown,
        }
    }
}
