//! What every expansion needs: the input again beside its mistakes, positions, durations.

use std::time::Duration;

use bis_syntax::Errors;
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{Expr, Item, ItemFn, Stmt, TraitItemFn, spanned::Spanned};

/// The function under an attribute. When the item is not a function, the answer is the item again with that mistake.
pub(crate) fn function(attribute: &str, item: &TokenStream) -> Result<ItemFn, TokenStream> {
    syn::parse2::<ItemFn>(item.clone()).map_err(|error| {
        if let Ok(required) = syn::parse2::<TraitItemFn>(item.clone()) {
            let message =
                format!("`{attribute}` goes on a free function with a body: move it out of the trait");
            let error = syn::Error::new(required.sig.ident.span(), message).to_compile_error();
            return quote!(#item #error);
        }
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

/// The input again, marked as used, so that a mistake in the attribute does not add a warning about dead code.
pub(crate) fn keep_used(item: TokenStream, function: &ItemFn) -> TokenStream {
    if function.sig.receiver().is_some() || !function.sig.generics.params.is_empty() {
        return item;
    }
    let name = &function.sig.ident;
    let found = of_module(&quote!(Nested), name, quote!(#name));
    with_first(function, quote!(const _: fn() = || _ = #found;)).to_token_stream()
}

/// The function with a statement before those that it has. What belongs to a function goes there: beside it, in an `impl`,
/// there may be no other items.
pub(crate) fn with_first(function: &ItemFn, statement: TokenStream) -> ItemFn {
    let mut function = function.clone();
    function.block.stmts.insert(0, Stmt::Item(Item::Verbatim(statement)));
    function
}

/// `expression` where `name` is what the module has under that name; where it has nothing, one of the stand-ins of
/// `bis::__private::place`.
pub(crate) fn of_module(stand_in: &TokenStream, name: &Ident, expression: TokenStream) -> TokenStream {
    quote! {
        {
            #[allow(unused_imports)]
            use ::bis::__private::place::#stand_in as #name;
            {
                #[allow(unused_imports)]
                use self::*;
                #expression
            }
        }
    }
}

/// A mistake, in words, for a function that is not in a module: the macro cannot see it, the compiler can.
pub(crate) fn must_be_free(function: &ItemFn) -> TokenStream {
    let name = &function.sig.ident;
    let here = Span::call_site().located_at(name.span());
    let check = quote_spanned!(here=> ::bis::__private::place::must_be_free(#name.__bis_place()));
    let check = of_module(&quote!(Nested), name, check);
    quote! {
        const _: fn() = || {
            #[allow(unused_imports)]
            use ::bis::__private::place::Place as _;
            #check
        };
    }
}

/// Where the attribute is.
pub(crate) fn position() -> TokenStream {
    quote! {
        ::bis::__private::Position {
            file: ::core::file!(),
            line: ::core::line!(),
            column: ::core::column!(),
        }
    }
}

/// The function that makes a list of layers, once for each app that runs. What is wrong with a layer is shown at its expression.
pub(crate) fn layers(layers: &[Expr]) -> TokenStream {
    if layers.is_empty() {
        return quote!(::bis::__private::no_layers);
    }
    let layers = layers.iter().map(|layer| {
        let here = Span::call_site().located_at(layer.span());
        quote_spanned!(here=> ::bis::__private::layer(#layer))
    });
    quote!(|| ::bis::__private::Layers::new(::std::vec![#(#layers),*]))
}

/// A duration as a constant.
pub(crate) fn duration(duration: Duration) -> TokenStream {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    quote!(::core::time::Duration::from_millis(#millis))
}
