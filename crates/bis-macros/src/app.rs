//! `app!` and `service!`: which services there are, and which of them an app hosts.

use bis_syntax::{AppArgs, Errors, ServiceArgs};
use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

use crate::support;

/// The function that makes the app. It names each service's marker, which makes the linker keep the service; a module
/// without one has the marker of `no_service` in its place.
pub(crate) fn app(package: &str, input: TokenStream) -> TokenStream {
    let name = bis_syntax::app_name(package);
    let mut errors = Errors::new();
    let (services, layers) =
        AppArgs::parse(input, &mut errors).map(|args| (args.services, args.layers)).unwrap_or_default();
    let markers = services.iter().map(|service| {
        let here = Span::call_site().located_at(service.span());
        quote_spanned! {here=>
            {
                #[allow(unused_imports)]
                use ::bis::__private::place::no_service::__SERVICE_OF_THIS_MODULE;
                ::bis::__private::place::service({
                    #[allow(unused_imports)]
                    use #service::*;
                    &__SERVICE_OF_THIS_MODULE
                })
            }
        }
    });
    let layers = support::layers(&layers);
    let function = quote! {
        /// The app with the services that `bis::app!` lists.
        pub fn app() -> ::bis::App {
            ::bis::__private::app(#name, ::core::module_path!(), &[#(#markers),*], #layers)
        }
    };
    support::with_errors(function, errors)
}

/// The service's marker and its entry.
pub(crate) fn service(input: TokenStream) -> TokenStream {
    let mut errors = Errors::new();
    // Where the name is wrong the marker still exists, so that `app!` does not add a second error.
    let (name, layers) =
        ServiceArgs::parse(input, &mut errors).map(|args| (args.name.text, args.layers)).unwrap_or_default();
    let layers = (!layers.is_empty()).then(|| {
        let layers = support::layers(&layers);
        quote! {
            ::bis::__private::inventory::submit! {
                ::bis::__private::ServiceLayersEntry { module: ::core::module_path!(), layers: #layers }
            }
        }
    });
    let position = support::position();
    let items = quote! {
        #[doc(hidden)]
        pub static __SERVICE_OF_THIS_MODULE: ::bis::__private::ServiceEntry = ::bis::__private::ServiceEntry {
            name: #name,
            module: ::core::module_path!(),
            position: #position,
        };
        ::bis::__private::inventory::submit! {
            ::bis::__private::ServiceEntry {
                name: #name,
                module: ::core::module_path!(),
                position: #position,
            }
        }
        #layers
    };
    support::with_errors(items, errors)
}
