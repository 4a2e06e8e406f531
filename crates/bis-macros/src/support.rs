//! What every expansion needs: the input again beside its mistakes, positions, durations.

use std::time::Duration;

use bis_syntax::Errors;
use proc_macro2::TokenStream;
use quote::quote;
use syn::ItemFn;

/// The function under an attribute. When the item is none, the answer is the item again with that mistake.
pub(crate) fn function(attribute: &str, item: &TokenStream) -> Result<ItemFn, TokenStream> {
    syn::parse2::<ItemFn>(item.clone()).map_err(|error| {
        let is_function = error.span().source_text().is_none() && item.to_string().contains("fn ");
        let message = format!("`{attribute}` goes on a function");
        let error = if is_function { error } else { syn::Error::new_spanned(item, message) };
        let error = error.to_compile_error();
        quote!(#item #error)
    })
}

/// The item again, with every mistake.
pub(crate) fn with_errors(item: TokenStream, errors: Errors) -> TokenStream {
    let errors = errors.into_syn_error().map(|error| error.to_compile_error());
    quote!(#item #errors)
}

/// The input again, used, so that a mistake in the attribute does not add a warning about dead code.
pub(crate) fn keep_used(item: TokenStream, function: &ItemFn) -> TokenStream {
    let name = &function.sig.ident;
    let is_usable = function.sig.receiver().is_none() && function.sig.generics.params.is_empty();
    let usage = is_usable.then(|| quote!(const _: () = { _ = #name; };));
    quote!(#item #usage)
}

/// Where the attribute stands.
pub(crate) fn position() -> TokenStream {
    quote! {
        ::bis::__private::Position {
            file: ::core::file!(),
            line: ::core::line!(),
            column: ::core::column!(),
        }
    }
}

/// A duration as a constant.
pub(crate) fn duration(duration: Duration) -> TokenStream {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    quote!(::core::time::Duration::from_millis(#millis))
}
