//! `#[bis::allow]`: emits the item unchanged. The analyser knows what the codes mean; this only checks that they are codes.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::quote;

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    match wrong(arguments) {
        None => item,
        Some(span) => {
            let message = "the codes of warnings of `bis check` are expected, as in `#[bis::allow(BIS0034)]`";
            let error = syn::Error::new(span, message).to_compile_error();
            quote!(#item #error)
        }
    }
}

/// The first token that is neither a code nor the comma after one.
fn wrong(arguments: TokenStream) -> Option<Span> {
    if arguments.is_empty() {
        return Some(Span::call_site());
    }
    let tokens = arguments.into_iter().enumerate();
    let mut wrong = tokens.filter(|(index, token)| match token {
        TokenTree::Ident(ident) => index % 2 == 1 || !is_code(&ident.to_string()),
        TokenTree::Punct(punct) => index % 2 == 0 || punct.as_char() != ',',
        _ => true,
    });
    wrong.next().map(|(_, token)| token.span())
}

fn is_code(text: &str) -> bool {
    let digits = text.strip_prefix("BIS").unwrap_or_default();
    digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_item_stays_as_it_was_and_what_is_no_code_is_an_error() {
        let item = quote!(
            #[derive(Event)]
            pub struct A;
        );
        let expanded = |arguments: TokenStream| expand(arguments, item.clone()).to_string();
        assert_eq!(expanded(quote!(BIS0034)), item.to_string());
        assert_eq!(expanded(quote!(BIS0034, BIS0025,)), item.to_string());
        for wrong in [quote!(), quote!(dead_code), quote!(BIS34), quote!("BIS0034"), quote!(BIS0034 BIS0025)]
        {
            let text = expanded(wrong.clone());
            assert!(text.starts_with(&item.to_string()) && text.contains("compile_error"), "{wrong}: {text}");
        }
    }
}
