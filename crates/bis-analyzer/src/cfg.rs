//! `cfg` predicates, evaluated for a build of the app itself on this machine: no test, debug assertions on, the enabled
//! features. What is not known is off.

use std::{borrow::Cow, collections::BTreeSet};

use syn::{Attribute, Expr, ExprLit, Lit, Meta, Token, punctuated::Punctuated};

/// Whether an item with these attributes is in the build.
pub(crate) fn is_on(attrs: &[Attribute], features: &BTreeSet<String>) -> bool {
    attrs
        .iter()
        .filter(|attr| attr.path().is_ident("cfg"))
        .all(|attr| attr.parse_args::<Meta>().is_ok_and(|predicate| holds(&predicate, features)))
}

/// The attributes of an item, with those inside of `cfg_attr` where its predicate holds.
pub(crate) fn flatten<'a>(attrs: &'a [Attribute], features: &BTreeSet<String>) -> Cow<'a, [Attribute]> {
    if !attrs.iter().any(|attr| attr.path().is_ident("cfg_attr")) {
        return Cow::Borrowed(attrs);
    }
    let mut flat = Vec::with_capacity(attrs.len());
    for attr in attrs {
        if !attr.path().is_ident("cfg_attr") {
            flat.push(attr.clone());
            continue;
        }
        let Ok(parts) = attr.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated) else {
            continue;
        };
        let mut parts = parts.into_iter();
        if parts.next().is_some_and(|predicate| holds(&predicate, features)) {
            let inner: Vec<Attribute> = parts.map(|meta| Attribute { meta, ..attr.clone() }).collect();
            flat.extend(flatten(&inner, features).into_owned());
        }
    }
    Cow::Owned(flat)
}

fn holds(predicate: &Meta, features: &BTreeSet<String>) -> bool {
    match predicate {
        Meta::Path(path) => {
            path.is_ident("debug_assertions")
                || path.is_ident("true")
                || (path.is_ident("unix") && cfg!(unix))
                || (path.is_ident("windows") && cfg!(windows))
        }
        Meta::NameValue(pair) => {
            let Expr::Lit(ExprLit { lit: Lit::Str(value), .. }) = &pair.value else { return false };
            let value = value.value();
            if pair.path.is_ident("feature") {
                return features.contains(&value);
            }
            let known = [
                ("target_os", std::env::consts::OS),
                ("target_arch", std::env::consts::ARCH),
                ("target_family", std::env::consts::FAMILY),
                ("panic", "unwind"),
            ];
            known.iter().any(|(key, current)| pair.path.is_ident(key) && value == *current)
        }
        Meta::List(list) => {
            let Ok(parts) = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated) else {
                return false;
            };
            if list.path.is_ident("all") {
                parts.iter().all(|part| holds(part, features))
            } else if list.path.is_ident("any") {
                parts.iter().any(|part| holds(part, features))
            } else {
                list.path.is_ident("not") && !parts.iter().any(|part| holds(part, features))
            }
        }
    }
}
