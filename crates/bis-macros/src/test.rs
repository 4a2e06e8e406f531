//! `#[bis::test]`: a plain test that starts the app and calls the function with it.

use bis_syntax::{Errors, ReplacedResource, TestArgs, check_test_function};
use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

use crate::support;

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::new();
    let args = TestArgs::parse(arguments, &mut errors);
    let mut function = match support::function("#[bis::test]", &item) {
        Ok(function) => function,
        Err(tokens) => return support::with_errors(tokens, errors),
    };
    check_test_function(&function, args.as_ref(), &mut errors);
    let Some(args) = args.filter(|_| errors.is_empty()) else {
        return support::with_errors(item, errors);
    };
    let (attributes, visibility) = (std::mem::take(&mut function.attrs), function.vis.clone());
    function.vis = syn::Visibility::Inherited;
    let name = &function.sig.ident;
    let patience = match &args.patience {
        None => quote!(::bis::__private::PATIENCE),
        Some(patience) => support::duration(patience.value),
    };
    let call = match &args.app {
        Some(app) => match (replace(&args), &args.chaos) {
            (None, None) => quote!(run_test(#app, #name, #patience)),
            (Some(replace), None) => quote!(run_test_with(#app, #replace, #name, #patience)),
            (None, Some(chaos)) => {
                quote!(run_chaos_test(stringify!(#name), #app, #name, #patience, #chaos))
            }
            (Some(replace), Some(chaos)) => {
                quote!(run_chaos_test_with(stringify!(#name), #app, #replace, #name, #patience, #chaos))
            }
        },
        None => match &args.chaos {
            None => quote!(run_own_test(#name, #patience)),
            Some(chaos) => quote!(run_own_chaos_test(stringify!(#name), #name, #patience, #chaos)),
        },
    };
    quote! {
        #[::core::prelude::v1::test]
        #(#attributes)*
        #visibility fn #name() {
            #function
            ::bis::__private::#call
        }
    }
}

/// Replaces resources with the values of `with(..)`.
fn replace(args: &TestArgs) -> Option<TokenStream> {
    if args.with.is_empty() {
        return None;
    }
    let puts = args.with.iter().map(|ReplacedResource { resource, value }| {
        let here = Span::call_site().located_at(value.span());
        quote_spanned!(here=> __replaced.put(&#resource, #value);)
    });
    Some(quote!(|__replaced| { #(#puts)* }))
}
