//! Which functions of other modules a handler calls, by the paths that it names: so that a starting process knows which services
//! it needs. What a path resolves to is not known here.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::Block;

/// The paths of at least two words that are called in a block, macros' arguments included, as a slice of texts.
pub(crate) fn called(block: &Block) -> TokenStream {
    let mut paths = BTreeSet::new();
    collect(block.to_token_stream(), &mut paths);
    quote!(&[#(#paths),*])
}

fn collect(tokens: TokenStream, paths: &mut BTreeSet<String>) {
    let mut path: Vec<String> = Vec::new();
    // How many of the two colons have come since the path's last word.
    let mut colons = 0;
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => {
                if colons != 2 {
                    path.clear();
                }
                let word = ident.to_string();
                path.push(word.strip_prefix("r#").unwrap_or(&word).to_owned());
                colons = 0;
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => colons += 1,
            TokenTree::Group(group) => {
                if group.delimiter() == Delimiter::Parenthesis && colons == 0 && is_function(&path) {
                    paths.insert(path.join("::"));
                }
                path.clear();
                collect(group.stream(), paths);
            }
            _ => path.clear(),
        }
    }
}

/// Whether a path looks like that of a function in a module, rather than an associated function.
fn is_function(path: &[String]) -> bool {
    let is_lower = |word: &String| word.chars().next().is_some_and(|first| !first.is_uppercase());
    path.len() > 1 && path.iter().all(is_lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_are_called_are_found_wherever_they_are() {
        let block: Block = syn::parse_quote!({
            let total = crate::cart::total(Path(7)).await?;
            tokio::join!(super::cart::clear(), r#type::r#try(1));
            Duration::from_secs(1);
            if a::b::C::d() {
                own(total)
            }
            let not_called = cart::total;
            cart::total::<u8>;
        });
        let expected = quote!(&["crate::cart::total", "super::cart::clear", "type::try"]);
        assert_eq!(called(&block).to_string(), expected.to_string());
    }
}
