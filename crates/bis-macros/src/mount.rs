//! `#[mount]`: the unchanged function, and inside it an entry that serves its router.

use bis_syntax::{Errors, MountArgs, check_mount_function};
use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{ReturnType, spanned::Spanned};

use crate::support;

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::new();
    let args = MountArgs::parse(arguments, &mut errors);
    let function = match support::function("#[mount]", &item) {
        Ok(function) => function,
        Err(tokens) => return support::with_errors(tokens, errors),
    };
    check_mount_function(&function, &mut errors);
    let Some(args) = args.filter(|_| errors.is_empty()) else {
        return support::with_errors(support::keep_used(item, &function), errors);
    };
    let name = &function.sig.ident;
    let function_name = name.to_string();
    let path = &args.path;
    let position = support::position();
    let output = match &function.sig.output {
        ReturnType::Type(_, output) => output.span(),
        ReturnType::Default => name.span(),
    };
    let at_output = Span::call_site().located_at(output);
    let router = quote_spanned!(at_output=> ::bis::__private::mounted(#name()));
    let router = support::of_module(&quote!(nested_mount), name, router);
    let must_be_free = support::must_be_free(&function);
    let entry = quote! {
        const _: () = {
            ::bis::__private::inventory::submit! {
                ::bis::__private::MountEntry {
                    module: ::core::module_path!(),
                    function: #function_name,
                    position: #position,
                    path: #path,
                    router: || #router,
                }
            }
        };
        #must_be_free
    };
    support::with_first(&function, entry).to_token_stream()
}
