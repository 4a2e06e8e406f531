//! `#[derive(Event)]`: the key, the attributes and the secrets of a type.

use bis_syntax::{Errors, EventField, EventInput, EventPart};
use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{DeriveInput, GenericArgument, Generics, PathArguments, Type, WherePredicate, parse_quote};

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
    let mut generics = input.generics.clone();
    if generics.type_params().next().is_some() {
        bound_type(&mut generics, event);
    }
    let (generics, arguments, conditions) = generics.split_for_impl();
    let sensitive = &event.sensitive;
    let nested = nested_sensitive(event);
    let key = event.key.as_ref().map(key);
    let attributes = (!event.attributes.is_empty()).then(|| attributes(&event.attributes));
    let identity = event.identity.then(|| {
        quote!(
            const IDENTITY: bool = true;
        )
    });
    let scalars = scalars(event);
    let validate = event.validate.as_ref().map(invalid_fields);
    // For those that hold the type without being able to query it.
    let named = event.sensitive.iter().filter(|name| name.parse::<usize>().is_err());
    let named: Vec<_> = named.collect();
    let listed = (!named.is_empty()).then(|| {
        quote!(
            ::bis::__private::inventory::submit! { ::bis::__private::reach::SensitiveNames(&[#(#named),*]) }
        )
    });
    quote! {
        #listed
        #[automatically_derived]
        impl #generics ::bis::Event for #name #arguments #conditions {
            const TYPE: &'static str = #type_name;
            const SENSITIVE: &'static [&'static str] = &[#(#sensitive),*];
            #identity
            #nested
            #key
            #attributes
            #scalars
            #validate
        }
    }
}

/// Requires the rules of the type, at the word that asks for them: errors are shown there.
fn invalid_fields(word: &syn::Ident) -> TokenStream {
    let call = quote_spanned!(word.span()=> ::bis::__private::invalid_fields(self));
    quote! {
        fn invalid_fields(&self) -> ::std::vec::Vec<::bis::FieldError> {
            #call
        }
    }
}

/// Asks the types of fields what is sensitive in them; primitive types hold nothing sensitive.
fn nested_sensitive(event: &EventInput) -> Option<TokenStream> {
    let reach = syn::Ident::new("reach", Span::mixed_site());
    let asked = event.parts.iter().flat_map(|EventPart { json_name, ty }| {
        let name = match json_name {
            Some(name) => quote!(::core::option::Option::Some(#name)),
            None => quote!(::core::option::Option::None),
        };
        let mut types = Vec::new();
        mentioned(ty, &mut types);
        let reach = &reach;
        types
            .into_iter()
            .map(move |ty| quote!((&&::bis::__private::reach::Part::<#ty>::new()).collect(#name, #reach);))
    });
    let asked: Vec<_> = asked.collect();
    (!asked.is_empty()).then(|| {
        quote! {
            fn nested_sensitive(#reach: &mut ::bis::__private::reach::Reach) {
                use ::bis::__private::reach::methods::*;
                #(#asked)*
            }
        }
    })
}

/// The types within a type that may have fields of their own.
fn mentioned<'a>(ty: &'a Type, found: &mut Vec<&'a Type>) {
    /// Types without fields, or with only those of their arguments.
    const PLAIN: [&str; 38] = [
        "String",
        "bool",
        "char",
        "u8",
        "u16",
        "u32",
        "u64",
        "u128",
        "usize",
        "i8",
        "i16",
        "i32",
        "i64",
        "i128",
        "isize",
        "f32",
        "f64",
        "str",
        "Vec",
        "VecDeque",
        "Option",
        "Box",
        "Arc",
        "Rc",
        "Cow",
        "HashMap",
        "BTreeMap",
        "HashSet",
        "BTreeSet",
        "Duration",
        "SystemTime",
        "Uuid",
        "Timestamp",
        "DateTime",
        "Decimal",
        "Url",
        "EventId",
        "PhantomData",
    ];
    match ty {
        Type::Array(array) => mentioned(&array.elem, found),
        Type::Slice(slice) => mentioned(&slice.elem, found),
        Type::Group(group) => mentioned(&group.elem, found),
        Type::Paren(paren) => mentioned(&paren.elem, found),
        Type::Reference(reference) => mentioned(&reference.elem, found),
        Type::Tuple(tuple) => tuple.elems.iter().for_each(|elem| mentioned(elem, found)),
        Type::Path(path) => {
            let Some(last) = path.path.segments.last() else { return };
            if !PLAIN.iter().any(|name| last.ident == name) {
                found.push(ty);
            }
            if let PathArguments::AngleBracketed(arguments) = &last.arguments {
                for argument in &arguments.args {
                    if let GenericArgument::Type(ty) = argument {
                        mentioned(ty, found);
                    }
                }
            }
        }
        _ => found.push(ty),
    }
}

/// The bounds of an event, required of a generic type as a whole: its type parameters may be used in any way.
fn bound_type(generics: &mut Generics, event: &EventInput) {
    let name = &event.name;
    let (_, arguments, _) = generics.split_for_impl();
    let whole: WherePredicate = parse_quote! {
        #name #arguments: ::bis::__private::Serialize + ::bis::__private::DeserializeOwned
            + ::core::marker::Send + ::core::marker::Sync + 'static
    };
    let scalars =
        event.key.iter().chain(&event.attributes).map(|EventField { ty, .. }| -> WherePredicate {
            parse_quote!(#ty: ::bis::__private::Serialize)
        });
    let all: Vec<_> = std::iter::once(whole).chain(scalars).collect();
    generics.make_where_clause().predicates.extend(all);
}

fn scalars(event: &EventInput) -> Option<TokenStream> {
    let checks: Vec<_> = event
        .key
        .iter()
        .chain(&event.attributes)
        .map(|EventField { json_name, ty, .. }| {
            quote!((&&::bis::__private::shape::Shape::<#ty>::new()).check(#json_name)?;)
        })
        .collect();
    (!checks.is_empty()).then(|| {
        quote! {
            fn check_scalars() -> ::core::result::Result<(), ::bis::__private::NotScalar> {
                use ::bis::__private::shape::methods::*;
                #(#checks)*
                ::core::result::Result::Ok(())
            }
        }
    })
}

fn key(field: &EventField) -> TokenStream {
    let EventField { member, json_name, .. } = field;
    quote! {
        const HAS_KEY: bool = true;
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
