//! `#[derive(Event)]`: the key, the attributes and the secrets of a type.

use bis_syntax::{Errors, EventField, EventInput};
use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::DeriveInput;

use crate::support;

pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let input = match syn::parse2::<DeriveInput>(input) {
        Ok(input) => input,
        Err(error) => return error.to_compile_error(),
    };
    let mut errors = Errors::new();
    let event = EventInput::parse(&input, &mut errors);
    // The type is an event even where a field's attribute is wrong: one mistake, one error.
    let implementation = implementation(&input, &event);
    support::with_errors(implementation, errors)
}

fn implementation(input: &DeriveInput, event: &EventInput) -> TokenStream {
    let name = &event.name;
    let type_name = name.to_string();
    let (generics, arguments, conditions) = input.generics.split_for_impl();
    let sensitive = event.sensitive.iter().map(|field| &field.json_name);
    let key = event.key.as_ref().map(key);
    let attributes = (!event.attributes.is_empty()).then(|| attributes(&event.attributes));
    quote! {
        #[automatically_derived]
        impl #generics ::bis::Event for #name #arguments #conditions {
            const TYPE: &'static str = #type_name;
            const SENSITIVE: &'static [&'static str] = &[#(#sensitive),*];
            #key
            #attributes
        }
    }
}

fn key(field: &EventField) -> TokenStream {
    let EventField { member, json_name, .. } = field;
    quote! {
        fn key(
            &self,
        ) -> ::core::result::Result<
            ::core::option::Option<::std::string::String>,
            ::bis::__private::NotScalar,
        > {
            ::bis::__private::scalar(#json_name, &self.#member)
        }
    }
}

fn attributes(fields: &[EventField]) -> TokenStream {
    let map = syn::Ident::new("attributes", Span::mixed_site());
    let text = syn::Ident::new("text", Span::mixed_site());
    let inserts = fields.iter().map(|EventField { member, json_name, .. }| {
        quote! {
            if let ::core::option::Option::Some(#text) = ::bis::__private::scalar(#json_name, &self.#member)? {
                #map.insert(::std::string::String::from(#json_name), #text);
            }
        }
    });
    quote! {
        fn attributes(
            &self,
        ) -> ::core::result::Result<::bis::__private::Attributes, ::bis::__private::NotScalar> {
            let mut #map = ::bis::__private::Attributes::new();
            #(#inserts)*
            ::core::result::Result::Ok(#map)
        }
    }
}
