//! A file can be read in one sitting, and a function on one screen.

use syn::{spanned::Spanned, visit::Visit};

use crate::{Finding, sources::Source};

/// The most lines of a file. Over that, ask what its second noun is.
const FILE_LINES: usize = 600;

/// The most lines of a function, from its signature to its closing brace.
const FUNCTION_LINES: usize = 70;

/// Files and functions that exceed the limits.
pub fn check(sources: &[Source]) -> Vec<Finding> {
    sources.iter().flat_map(long_file).chain(sources.iter().flat_map(long_functions)).collect()
}

fn long_file(source: &Source) -> Option<Finding> {
    let lines = source.text.lines().count();
    (lines > FILE_LINES).then(|| {
        Finding::new(
            &source.path,
            format!("has {lines} lines; at most {FILE_LINES}: what is its second noun?"),
        )
    })
}

fn long_functions(source: &Source) -> Vec<Finding> {
    let mut long = LongFunctions { path: &source.path, found: Vec::new() };
    long.visit_file(&source.syntax);
    long.found
}

struct LongFunctions<'a> {
    path: &'a str,
    found: Vec<Finding>,
}

impl LongFunctions<'_> {
    fn measure(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let lines = block.span().end().line - signature.span().start().line + 1;
        if lines > FUNCTION_LINES {
            self.found.push(Finding::new(
                format!("{} {}", self.path, signature.ident),
                format!("has {lines} lines; at most {FUNCTION_LINES}: a function does one thing"),
            ));
        }
    }
}

impl<'ast> Visit<'ast> for LongFunctions<'_> {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.measure(&function.sig, &function.block);
        syn::visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.measure(&function.sig, &function.block);
        syn::visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.measure(&function.sig, block);
        }
        syn::visit::visit_trait_item_fn(self, function);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_function_and_a_long_file_are_found() {
        let function = format!("fn long() {{\n{}}}\n", "    step();\n".repeat(FUNCTION_LINES - 1));
        let text = format!("//! A file.\n{function}{}", "//\n".repeat(FILE_LINES));
        let source = Source::parse("crates/a/src/b.rs", text).unwrap();
        let at: Vec<String> = check(&[source]).into_iter().map(|finding| finding.at).collect();
        assert_eq!(at, ["crates/a/src/b.rs", "crates/a/src/b.rs long"]);
    }
}
