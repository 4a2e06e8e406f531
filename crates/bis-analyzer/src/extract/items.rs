//! The items of a file, module by module.

use bis_graph::{Diagnostic, codes};
use bis_syntax::{AppArgs, Errors, ResourceArgs, ResourceChain, ServiceArgs};
use proc_macro2::TokenStream;
use syn::{Attribute, File, Item, Meta, punctuated::Punctuated};

use super::{
    body, calls,
    constants::constant,
    declares::declares,
    derives, docs,
    extractor::Extractor,
    handlers, imports,
    syntax::{attributes_of_item, path_range, path_ref, range_of, word},
    types::ty,
};
use crate::summary::{
    AliasItem, AppCall, Argument, Chain, ChainCall, ConstItem, MacroItem, Module, ModuleItem, PathRef, Range,
    ServiceCall, StaticItem, StaticValue, TypeItem, Unread, Use, UseKind,
};

/// The module that a file is.
pub(super) fn root(extractor: &Extractor<'_>, file: &File) -> Module {
    let mut module = Module::default();
    extractor.under(&file.attrs, || all(extractor, &file.items, &mut module));
    if !module.services.is_empty() {
        module.docs = docs::text(&file.attrs);
    }
    module
}

fn module(extractor: &Extractor<'_>, items: &[Item]) -> Module {
    let mut module = Module::default();
    all(extractor, items, &mut module);
    module
}

fn all(extractor: &Extractor<'_>, items: &[Item], module: &mut Module) {
    for item in items {
        match attributes_of_item(item) {
            [] => plain_item(extractor, item, module),
            attrs => {
                extractor.note_allows(attrs, item);
                extractor.under(attrs, || plain_item(extractor, item, module));
            }
        }
    }
}

/// An item that may be in the build.
fn plain_item(extractor: &Extractor<'_>, item: &Item, module: &mut Module) {
    match item {
        Item::Mod(item) => {
            let inner = module_item(extractor, item);
            module.modules.push(inner);
        }
        Item::Use(item) => {
            let first = module.uses.len();
            imports::uses(&item.tree, item.leading_colon.is_some(), &mut Vec::new(), &mut module.uses);
            if extractor.cfg().is_2015 {
                module.uses[first..].iter_mut().for_each(imports::from_root);
            }
        }
        Item::ExternCrate(item) => {
            if let Some((_, rename)) = &item.rename {
                let path = PathRef { global: item.ident != "self", segments: vec![word(&item.ident)] };
                module.uses.push(Use { path, kind: UseKind::Name(word(rename)) });
            }
        }
        Item::Static(item) => {
            body::initialiser(extractor, Some(&item.ty), &item.expr, module);
            module
                .statics
                .push(StaticItem { condition: extractor.condition(), ..static_item(extractor, item) });
        }
        Item::Const(item) => {
            body::initialiser(extractor, Some(&item.ty), &item.expr, module);
            module.consts.push(ConstItem {
                name: word(&item.ident),
                range: Range::of(item.ident.span()),
                ty: ty(&item.ty),
                value: constant(&item.expr),
            });
        }
        Item::Struct(item) => {
            let body = derives::Body::Struct(&item.fields);
            let input = || syn::DeriveInput::from(item.clone());
            let (name, generics, attrs) = (&item.ident, &item.generics, &item.attrs);
            module.types.push(derives::type_item(extractor, name, generics, attrs, &body, input));
        }
        Item::Enum(item) => {
            let body = derives::Body::Enum(&item.variants);
            let input = || syn::DeriveInput::from(item.clone());
            let (name, generics, attrs) = (&item.ident, &item.generics, &item.attrs);
            module.types.push(derives::type_item(extractor, name, generics, attrs, &body, input));
        }
        Item::Union(item) => module.types.push(plain_type(&item.ident)),
        Item::Trait(item) => {
            module.types.push(plain_type(&item.ident));
            body::trait_item(extractor, item, module);
        }
        Item::Type(item) => module.aliases.push(AliasItem {
            name: word(&item.ident),
            generics: item.generics.type_params().map(|param| word(&param.ident)).collect(),
            ty: ty(&item.ty),
        }),
        Item::Fn(item) => {
            handlers::function(extractor, item, module);
            let seen = handlers::has_own_calls(item, module).then(|| std::mem::take(&mut module.seen_calls));
            body::function(extractor, item, module);
            module.seen_calls.extend(seen.into_iter().flatten());
        }
        Item::Impl(item) => body::impl_item(extractor, item, module),
        Item::Macro(item) => macro_item(extractor, item, module),
        Item::Verbatim(tokens) => lost_item(extractor, tokens, module),
        _ => {}
    }
}

fn module_item(extractor: &Extractor<'_>, item: &syn::ItemMod) -> ModuleItem {
    let attrs = extractor.cfg().flatten(&item.attrs);
    ModuleItem {
        name: word(&item.ident),
        range: Range::of(item.ident.span()),
        path: path_attribute(&attrs),
        condition: extractor.condition(),
        docs: docs::text(&attrs),
        inline: item.content.as_ref().map(|(_, items)| Box::new(module(extractor, items))),
    }
}

/// An item that does not parse. What its tokens mention counts; names in it may be what it declares.
fn lost_item(extractor: &Extractor<'_>, tokens: &TokenStream, module: &mut Module) {
    if declares(&extractor.vocabulary, tokens.clone()) {
        let message = "an item here does not parse, so what it may declare is missing from the graph";
        extractor.note_unread(
            Diagnostic::warning(codes::SYNTAX_ERROR, extractor.position(range_of(tokens)), message)
                .help("cargo says whether it is Rust; if so, move what it declares out of it"),
        );
    }
    calls::opaque(extractor, PathRef::default(), tokens, module);
}

fn macro_item(extractor: &Extractor<'_>, item: &syn::ItemMacro, module: &mut Module) {
    let call = path_ref(&item.mac.path);
    let range = path_range(&item.mac.path);
    if let Some(name) = &item.ident {
        let mentions = body::scan(extractor, item.mac.tokens.clone());
        let declares = declares(&extractor.vocabulary, item.mac.tokens.clone());
        if declares && extractor.is_expanding() {
            // Calls are read when everything in the file is known.
            module.is_open = true;
            module.unread.push(Unread { name: name.to_string(), range });
        }
        module.macros.push(MacroItem { name: word(name), mentions, declares });
        return;
    }
    let mut errors = Errors::new();
    match extractor.vocabulary.word(call.last()) {
        Some("service") => {
            let args = ServiceArgs::parse(item.mac.tokens.clone(), &mut errors);
            let (name, range, layers) = match args {
                Some(args) => {
                    let layers = handlers::layers(extractor, &args.layers, module);
                    (Some(args.name.text), Range::of(args.name.span), layers)
                }
                None => (None, range, Vec::new()),
            };
            let mistakes = extractor.mistakes(errors, range);
            let condition = extractor.condition();
            module.services.push(ServiceCall { call, range, condition, name, layers, mistakes });
        }
        Some("app") => {
            let args = AppArgs::parse(item.mac.tokens.clone(), &mut errors);
            let readable = args.is_some();
            let (services, layers) = args.map(|args| (args.services, args.layers)).unwrap_or_default();
            let services = services.iter().map(|path| (path_ref(path), path_range(path))).collect();
            module.apps.push(AppCall {
                call,
                range,
                services,
                layers: layers.iter().map(bis_syntax::layer_text).collect(),
                readable,
                mistakes: extractor.mistakes(errors, range),
            });
        }
        _ => {
            for (file, condition) in calls::read(extractor, &item.mac, module) {
                extractor.when(condition, || {
                    extractor.expanding(|| all(extractor, &file.items, module));
                });
            }
        }
    }
}

fn static_item(extractor: &Extractor<'_>, item: &syn::ItemStatic) -> StaticItem {
    let value = static_value(extractor, item);
    StaticItem {
        name: word(&item.ident),
        range: Range::of(item.ident.span()),
        ty: ty(&item.ty),
        condition: extractor.condition(),
        docs: match &value {
            StaticValue::Chain(_) | StaticValue::Macro(..) => {
                docs::text(&extractor.cfg().flatten(&item.attrs))
            }
            StaticValue::Other(_) | StaticValue::Indirect => None,
        },
        value,
    }
}

fn static_value(extractor: &Extractor<'_>, item: &syn::ItemStatic) -> StaticValue {
    let range = || range_of(&item.expr);
    match (&*item.ty, &*item.expr, ResourceChain::parse(&item.expr)) {
        (syn::Type::Path(_), _, Some(chain)) => StaticValue::Chain(Box::new(self::chain(&chain))),
        (syn::Type::Path(_), syn::Expr::Macro(call), None) => {
            let mut errors = Errors::new();
            ResourceArgs::parse(call.mac.tokens.clone(), &mut errors);
            StaticValue::Macro(path_ref(&call.mac.path), range(), extractor.mistakes(errors, range()))
        }
        (syn::Type::Path(_), _, None) => StaticValue::Other(range()),
        _ => StaticValue::Indirect,
    }
}

fn chain(chain: &ResourceChain<'_>) -> Chain {
    let arguments = |arguments: &Punctuated<syn::Expr, syn::Token![,]>| {
        let argument = |value| Argument { value: constant(value), range: range_of(value) };
        arguments.iter().map(argument).collect()
    };
    let call = |call: &bis_syntax::ChainCall<'_>| ChainCall {
        method: word(call.method),
        range: Range::of(call.method.span()),
        arguments: arguments(call.arguments),
    };
    Chain { arguments: arguments(chain.arguments), calls: chain.calls.iter().map(call).collect() }
}

fn plain_type(ident: &proc_macro2::Ident) -> TypeItem {
    TypeItem { name: word(ident), range: Range::of(ident.span()), generics: Vec::new(), serde: None }
}

fn path_attribute(attrs: &[Attribute]) -> Option<String> {
    attrs.iter().find_map(|attr| match &attr.meta {
        Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    })
}
