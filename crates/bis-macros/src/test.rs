//! `#[bis::test]`: a plain test that starts the app and calls the function with it.

use bis_syntax::{Errors, TestArgs, check_test_function};
use proc_macro2::TokenStream;
use quote::quote;

use crate::support;

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::new();
    let args = TestArgs::parse(arguments, &mut errors);
    let mut function = match support::function("#[bis::test]", &item) {
        Ok(function) => function,
        Err(tokens) => return support::with_errors(tokens, errors),
    };
    check_test_function(&function, &mut errors);
    let Some(args) = args.filter(|_| errors.is_empty()) else {
        return support::with_errors(item, errors);
    };
    let app = &args.app;
    let (attributes, visibility) = (std::mem::take(&mut function.attrs), function.vis.clone());
    function.vis = syn::Visibility::Inherited;
    let name = &function.sig.ident;
    let patience = match &args.patience {
        None => quote!(::bis::__private::PATIENCE),
        Some(patience) => support::duration(patience.value),
    };
    let call = match &args.chaos {
        None => quote!(run_test(#app, #name, #patience)),
        Some(chaos) => quote!(run_chaos_test(stringify!(#name), #app, #name, #patience, #chaos)),
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
