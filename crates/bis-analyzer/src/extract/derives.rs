//! Structs and enums: how serde's attributes and `#[derive(Event)]` shape them.

use bis_graph::Diagnostic;
use bis_syntax::{Errors, EventInput};
use proc_macro2::TokenTree;
use syn::{Attribute, DeriveInput, Fields, Token, punctuated::Punctuated};

use super::{
    constraints, docs,
    extractor::Extractor,
    syntax::{range_of, word},
    types::ty,
};
use crate::{
    serde_attrs::{self, SerdeOption},
    summary::{
        Container, EventSummary, FieldItem, Range, SerdeType, Sided, Ty, TypeItem, TypeShape, VariantItem,
    },
};

/// A struct or enum; its whole is asked for only when `Event` is derived.
pub(super) fn type_item(
    extractor: &Extractor<'_>,
    name: &syn::Ident,
    generics: &syn::Generics,
    attrs: &[Attribute],
    body: &Body<'_>,
    input: impl FnOnce() -> DeriveInput,
) -> TypeItem {
    let attrs = extractor.cfg().flatten(attrs);
    let derives = derives(&attrs);
    let has = |derive: &str| derives.iter().any(|name| name == derive);
    let derived = Sided { written: has("Serialize"), read: has("Deserialize") };
    let is_event = derives.iter().any(|name| extractor.vocabulary.word(name) == Some("Event"));
    TypeItem {
        name: word(name),
        range: Range::of(name.span()),
        generics: generics.type_params().map(|param| word(&param.ident)).collect(),
        serde: (derived.written || derived.read || is_event).then(|| {
            let mut errors = Errors::new();
            let event = is_event.then(|| EventInput::parse(&built(extractor, input()), &mut errors));
            let mistakes = extractor.mistakes(errors, Range::of(name.span()));
            Box::new(serde_type(extractor, &attrs, body, derived, event, mistakes))
        }),
    }
}

/// The type as its derives see it: `cfg_attr` is gone, and so are the fields and variants that are not in the build.
fn built(extractor: &Extractor<'_>, mut input: DeriveInput) -> DeriveInput {
    let cfg = extractor.cfg();
    let flatten = |attrs: &mut Vec<Attribute>| {
        if attrs.iter().any(|attr| attr.path().is_ident("cfg_attr")) {
            *attrs = cfg.flatten(attrs).into_owned();
        }
    };
    let fields = |fields: &mut Fields| {
        let all = match fields {
            Fields::Named(named) => &mut named.named,
            Fields::Unnamed(unnamed) => &mut unnamed.unnamed,
            Fields::Unit => return,
        };
        all.iter_mut().for_each(|field| flatten(&mut field.attrs));
        if all.iter().any(|field| !cfg.may_be_on(&field.attrs)) {
            *all = std::mem::take(all).into_iter().filter(|field| cfg.may_be_on(&field.attrs)).collect();
        }
    };
    flatten(&mut input.attrs);
    match &mut input.data {
        syn::Data::Struct(data) => fields(&mut data.fields),
        syn::Data::Enum(data) => {
            for variant in &mut data.variants {
                flatten(&mut variant.attrs);
                fields(&mut variant.fields);
            }
            data.variants = std::mem::take(&mut data.variants)
                .into_iter()
                .filter(|variant| cfg.may_be_on(&variant.attrs))
                .collect();
        }
        syn::Data::Union(_) => {}
    }
    input
}

/// What a type is made of.
pub(super) enum Body<'a> {
    Struct(&'a Fields),
    Enum(&'a Punctuated<syn::Variant, Token![,]>),
}

fn serde_type(
    extractor: &Extractor<'_>,
    attrs: &[Attribute],
    body: &Body<'_>,
    derived: Sided<bool>,
    event: Option<EventInput>,
    mistakes: Vec<Diagnostic>,
) -> SerdeType {
    SerdeType {
        derived,
        docs: docs::of(attrs),
        shape: match body {
            Body::Struct(fields) => shape(extractor, fields, event.as_ref()),
            Body::Enum(variants) => TypeShape::Enum(
                variants
                    .iter()
                    .filter(|variant| extractor.cfg().may_be_on(&variant.attrs))
                    .map(|variant| self::variant(extractor, variant, event.as_ref()))
                    .collect(),
            ),
        },
        container: container(attrs),
        event: event.map(event_summary),
        mistakes,
    }
}

fn event_summary(event: EventInput) -> EventSummary {
    let names =
        |fields: &[bis_syntax::EventField]| fields.iter().map(|field| field.json_name.clone()).collect();
    EventSummary {
        key: event.key.as_ref().map(|field| field.json_name.clone()),
        attributes: names(&event.attributes),
        sensitive: event.sensitive,
        identity: event.identity,
        schema: event.schema.as_ref().map(|schema| (schema.value(), Range::of(schema.span()))),
    }
}

fn derives(attrs: &[Attribute]) -> Vec<String> {
    attrs
        .iter()
        .filter(|attr| attr.path().is_ident("derive"))
        .filter_map(|attr| attr.parse_args_with(Punctuated::<syn::Path, Token![,]>::parse_terminated).ok())
        .flatten()
        .filter_map(|path| path.segments.last().map(|last| last.ident.to_string()))
        .collect()
}

fn container(attrs: &[Attribute]) -> Container {
    let mut container = Container::default();
    for option in serde_attrs::options(attrs) {
        match option {
            SerdeOption::Flag(name) => match name.as_str() {
                "untagged" => container.untagged = true,
                "transparent" => container.transparent = true,
                "default" => container.default = true,
                "deny_unknown_fields" => container.deny_unknown_fields = true,
                _ => {}
            },
            SerdeOption::Value(name, value) => match name.as_str() {
                "rename" => container.rename.take(value),
                "rename_all" => container.rename_all.take(value),
                "rename_all_fields" => container.rename_all_fields.take(value),
                "tag" => container.tag = value.written,
                "content" => container.content = value.written,
                "default" => container.default = true,
                "into" => container.proxy.written = proxy(value),
                "from" | "try_from" => container.proxy.read = proxy(value),
                _ => {}
            },
        }
    }
    container
}

/// The type that an option names.
fn proxy(value: Sided<Option<String>>) -> Option<Ty> {
    syn::parse_str::<syn::Type>(&value.written?).ok().map(|proxy| ty(&proxy))
}

fn shape(extractor: &Extractor<'_>, fields: &Fields, event: Option<&EventInput>) -> TypeShape {
    let all = || {
        fields
            .iter()
            .enumerate()
            .filter(|(_, field)| extractor.cfg().may_be_on(&field.attrs))
            .map(|(index, field)| self::field(extractor, index, field, event))
            .collect()
    };
    match fields {
        Fields::Named(_) => TypeShape::Struct(all()),
        Fields::Unnamed(_) => TypeShape::Tuple(all()),
        Fields::Unit => TypeShape::Unit,
    }
}

fn field(
    extractor: &Extractor<'_>,
    index: usize,
    field: &syn::Field,
    event: Option<&EventInput>,
) -> FieldItem {
    let attrs = extractor.cfg().flatten(&field.attrs);
    let name = field.ident.as_ref().map_or_else(|| index.to_string().into(), word);
    let range = field.ident.as_ref().map_or_else(|| range_of(&field.ty), |ident| Range::of(ident.span()));
    let schema = event.and_then(|event| {
        event.field_schemas.iter().find(|(described, _)| match &described.member {
            syn::Member::Named(member) => Some(member) == field.ident.as_ref(),
            syn::Member::Unnamed(member) => field.ident.is_none() && member.index as usize == index,
        })
    });
    let mut item = FieldItem {
        name,
        range,
        ty: ty(&field.ty),
        docs: docs::of(&attrs),
        rename: Sided::default(),
        skip: Sided::default(),
        optional: Sided::default(),
        flatten: false,
        custom: Sided::default(),
        schema: schema.map(|(_, schema)| (schema.value(), Range::of(schema.span()))),
        sensitive: event.is_some() && is_sensitive(&attrs),
        constraints: constraints::of(&attrs).map(Box::new),
    };
    for option in serde_attrs::options(&attrs) {
        match option {
            SerdeOption::Flag(name) => match name.as_str() {
                "skip" => item.skip = Sided { written: true, read: true },
                "skip_serializing" => item.skip.written = true,
                "skip_deserializing" => item.skip.read = true,
                "default" => item.optional.read = true,
                "flatten" => item.flatten = true,
                _ => {}
            },
            SerdeOption::Value(name, value) => match name.as_str() {
                "rename" => item.rename.take(value),
                "default" => item.optional.read = true,
                "skip_serializing_if" => item.optional.written = true,
                "with" => {
                    let with = value.written.map(String::into_boxed_str);
                    item.custom = Sided { written: with.clone(), read: with };
                }
                "serialize_with" => item.custom.written = value.written.map(String::into_boxed_str),
                "deserialize_with" => item.custom.read = value.read.map(String::into_boxed_str),
                _ => {}
            },
        }
    }
    item
}

/// Whether there is `#[event(sensitive)]`.
fn is_sensitive(attrs: &[Attribute]) -> bool {
    attrs.iter().filter(|attr| attr.path().is_ident("event")).any(|attr| {
        let is_word = |token| matches!(token, TokenTree::Ident(ident) if ident == "sensitive");
        attr.meta.require_list().is_ok_and(|list| list.tokens.clone().into_iter().any(is_word))
    })
}

fn variant(extractor: &Extractor<'_>, variant: &syn::Variant, event: Option<&EventInput>) -> VariantItem {
    let attrs = extractor.cfg().flatten(&variant.attrs);
    let mut item = VariantItem {
        name: word(&variant.ident),
        docs: docs::of(&attrs),
        rename: Sided::default(),
        rename_all: Sided::default(),
        skip: Sided::default(),
        untagged: false,
        other: false,
        shape: shape(extractor, &variant.fields, event),
    };
    for option in serde_attrs::options(&attrs) {
        match option {
            SerdeOption::Flag(name) => match name.as_str() {
                "skip" => item.skip = Sided { written: true, read: true },
                "skip_serializing" => item.skip.written = true,
                "skip_deserializing" => item.skip.read = true,
                "untagged" => item.untagged = true,
                "other" => item.other = true,
                _ => {}
            },
            SerdeOption::Value(name, value) => match name.as_str() {
                "rename" => item.rename.take(value),
                "rename_all" => item.rename_all.take(value),
                _ => {}
            },
        }
    }
    item
}
