//! Structs and enums: what serde's attributes and `#[derive(Event)]` make of them.

use bis_graph::Diagnostic;
use bis_syntax::{Errors, EventInput};
use syn::{Attribute, DeriveInput, Fields, Token, punctuated::Punctuated};

use super::{
    extractor::Extractor,
    syntax::{range_of, word},
    types::ty,
};
use crate::{
    serde_attrs::{self, SerdeOption},
    summary::{Container, EventSummary, FieldItem, Range, SerdeType, TypeItem, TypeShape, VariantItem},
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
    let derived = derives.iter().any(|name| name == "Serialize" || name == "Deserialize");
    let is_event = derives.iter().any(|name| extractor.vocabulary.word(name) == Some("Event"));
    TypeItem {
        name: word(name),
        range: Range::of(name.span()),
        generics: generics.type_params().map(|param| word(&param.ident)).collect(),
        serde: (derived || is_event).then(|| {
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
    derived: bool,
    event: Option<EventInput>,
    mistakes: Vec<Diagnostic>,
) -> SerdeType {
    SerdeType {
        derived,
        shape: match body {
            Body::Struct(fields) => shape(extractor, fields, event.as_ref()),
            Body::Enum(variants) => TypeShape::Enum(
                variants
                    .iter()
                    .filter(|variant| extractor.cfg().may_be_on(&variant.attrs))
                    .map(|variant| self::variant(extractor, variant))
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
                "rename_all" => container.rename_all = Some(value),
                "rename_all_fields" => container.rename_all_fields = Some(value),
                "tag" => container.tag = Some(value),
                "content" => container.content = Some(value),
                "default" => container.default = true,
                "into" | "from" | "try_from" => {
                    container.proxy = syn::parse_str::<syn::Type>(&value).ok().map(|proxy| ty(&proxy));
                }
                _ => {}
            },
        }
    }
    container
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
        rename: None,
        skip: false,
        optional: false,
        flatten: false,
        custom: false,
        schema: schema.map(|(_, schema)| (schema.value(), Range::of(schema.span()))),
    };
    for option in serde_attrs::options(&attrs) {
        match option {
            SerdeOption::Flag(name) => match name.as_str() {
                "skip" | "skip_serializing" => item.skip = true,
                "default" => item.optional = true,
                "flatten" => item.flatten = true,
                _ => {}
            },
            SerdeOption::Value(name, value) => match name.as_str() {
                "rename" => item.rename = Some(value),
                "default" | "skip_serializing_if" => item.optional = true,
                "with" | "serialize_with" | "deserialize_with" => item.custom = true,
                _ => {}
            },
        }
    }
    item
}

fn variant(extractor: &Extractor<'_>, variant: &syn::Variant) -> VariantItem {
    let attrs = extractor.cfg().flatten(&variant.attrs);
    let mut item = VariantItem {
        name: word(&variant.ident),
        rename: None,
        rename_all: None,
        skip: false,
        untagged: false,
        shape: shape(extractor, &variant.fields, None),
    };
    for option in serde_attrs::options(&attrs) {
        match option {
            SerdeOption::Flag(name) => match name.as_str() {
                "skip" | "skip_serializing" => item.skip = true,
                "untagged" => item.untagged = true,
                _ => {}
            },
            SerdeOption::Value(name, value) => match name.as_str() {
                "rename" => item.rename = Some(value),
                "rename_all" => item.rename_all = Some(value),
                _ => {}
            },
        }
    }
    item
}
