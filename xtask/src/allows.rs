//! Lints are suppressed with `#[expect(.., reason = "..")]`, which warns once it is no longer needed, and never with
//! `allow`.

use syn::visit::Visit;

use crate::{Finding, sources::Source};

/// Attributes that allow a lint, also inside `cfg_attr`.
pub fn check(sources: &[Source]) -> Vec<Finding> {
    sources.iter().flat_map(allowing).collect()
}

fn allowing(source: &Source) -> Vec<Finding> {
    let mut allows = Allows { path: &source.path, found: Vec::new() };
    allows.visit_file(&source.syntax);
    allows.found
}

struct Allows<'a> {
    path: &'a str,
    found: Vec<Finding>,
}

impl<'ast> Visit<'ast> for Allows<'_> {
    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        let is_allow = attribute.path().is_ident("allow")
            || attribute.path().is_ident("cfg_attr")
                && attribute.meta.require_list().is_ok_and(|list| has_allow(list.tokens.clone()));
        if is_allow {
            self.found.push(Finding::new(self.path, "allows a lint: write `#[expect(.., reason = \"..\")]`"));
        }
    }
}

fn has_allow(tokens: proc_macro2::TokenStream) -> bool {
    tokens.into_iter().any(|token| matches!(token, proc_macro2::TokenTree::Ident(ident) if ident == "allow"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allow_is_found_wherever_it_is() {
        let text =
            "//! A file.\n#[allow(dead_code)]\nfn a() {}\n#[cfg_attr(test, allow(dead_code))]\nfn b() {}\n";
        let source = Source::parse("crates/a/src/b.rs", text.into()).unwrap();
        assert_eq!(check(&[source]).len(), 2);
        let good = "//! A file.\n#[expect(dead_code, reason = \"why\")]\nfn a() {}\n";
        assert!(check(&[Source::parse("crates/a/src/b.rs", good.into()).unwrap()]).is_empty());
    }
}
