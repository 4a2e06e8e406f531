//! `resource!`: registers a resource from within the value of its static.

use bis_syntax::{Errors, ResourceArgs};
use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

use crate::support;

/// A block whose items are in the static's own scope: so the path of a type among them has the static's name, which no macro in
/// its value can see.
///
/// The constructor is written twice, since only the entry's function can forget its type, and only the block's value can give it
/// to the static. Its errors occur twice with the same text at the same place, which rustc reports once.
pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let mut errors = Errors::new();
    let Some(ResourceArgs { constructor }) = ResourceArgs::parse(input, &mut errors) else {
        let errors = errors.into_syn_error().map(|error| error.to_compile_error());
        return quote!({ #errors });
    };
    let here = Span::call_site().located_at(constructor.span());
    let made_by = quote_spanned!(here=> ::bis::__private::made_by(#constructor));
    let position = support::position();
    quote! {
        {
            struct Inside;
            fn inside() -> &'static str {
                ::core::any::type_name::<Inside>()
            }
            fn create() -> ::bis::__private::Creating {
                ::bis::__private::create(#made_by)
            }
            static ENTRY: ::bis::__private::ResourceEntry =
                ::bis::__private::ResourceEntry::new(::core::module_path!(), #position, inside, create);
            ::bis::__private::inventory::submit! {
                ::bis::__private::RegisteredResource(&ENTRY)
            }
            ::bis::__private::resource(&ENTRY, #made_by)
        }
    }
}
