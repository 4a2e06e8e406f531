//! The items of a file, module by module.

use std::collections::{BTreeMap, BTreeSet};

use bis_syntax::{
    ApiArgs, AppArgs, Endpoint, Errors, Handler, MountArgs, ServiceArgs, SubscriptionArgs, TopicChain,
};
use proc_macro2::{TokenStream, TokenTree};
use syn::{Attribute, File, Item, ItemFn, Meta, UseTree, spanned::Spanned};

use super::{body, constant, is_capital, mistakes, path_range, path_ref, range_of, ty, types, word};
use crate::{
    cfg,
    summary::{
        AliasItem, AppCall, ConstItem, FileSummary, HandlerItem, HandlerKind, Hints, How, MacroItem, Module,
        ModuleItem, Name, OpaqueCall, PathRef, Range, ServiceCall, StaticItem, SubscriptionSummary,
        TopicSummary, TypeItem, Use, UseKind,
    },
};

/// The words of Bis that name an attribute, macro or derive.
const WORDS: [&str; 6] = ["subscription", "api", "mount", "service", "app", "Event"];

/// Attributes that are surely not ours.
const FOREIGN: [&str; 14] = [
    "doc",
    "cfg",
    "derive",
    "allow",
    "expect",
    "warn",
    "deny",
    "inline",
    "must_use",
    "test",
    "path",
    "serde",
    "cold",
    "track_caller",
];

/// What an extraction knows beside the syntax tree.
pub(crate) struct Extractor<'a> {
    pub(crate) features: &'a BTreeSet<String>,
    /// Names that mean a static though they are not in capitals.
    pub(crate) statics: BTreeSet<String>,
    /// Other names of Bis's words.
    pub(crate) words: BTreeMap<String, String>,
    hints: Hints,
}

impl<'a> Extractor<'a> {
    pub(crate) fn new(features: &'a BTreeSet<String>, hints: &Hints, file: &File) -> Self {
        let mut extractor = Self {
            features,
            statics: hints.statics.clone(),
            words: hints.words.clone(),
            hints: Hints::default(),
        };
        extractor.collect_aliases(&file.items);
        extractor
    }

    pub(crate) fn summary(self, file: &File) -> FileSummary {
        if !cfg::is_on(&file.attrs, self.features) {
            return FileSummary::default();
        }
        let module = self.module(&file.items);
        FileSummary { module, failure: None, hints: self.hints }
    }

    /// Finds the names that this file gives to statics and words, for itself and for others.
    fn collect_aliases(&mut self, items: &[Item]) {
        for item in items {
            match item {
                Item::Use(item) => self.aliases_of(&item.tree, None),
                Item::Static(item) => {
                    let name = word(&item.ident);
                    if !is_capital(&name) {
                        self.statics.insert(name.to_string());
                        self.hints.statics.insert(name.to_string());
                    }
                }
                Item::Mod(item) => {
                    if let Some((_, items)) = &item.content {
                        self.collect_aliases(items);
                    }
                }
                _ => {}
            }
        }
    }

    fn aliases_of(&mut self, tree: &UseTree, first: Option<&str>) {
        match tree {
            UseTree::Path(path) => {
                let root = path.ident.to_string();
                self.aliases_of(&path.tree, Some(first.unwrap_or(&root)));
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.aliases_of(tree, first)),
            UseTree::Rename(rename) => {
                let (name, alias) = (rename.ident.to_string(), rename.rename.to_string());
                if (is_capital(&name) || self.statics.contains(&name)) && !is_capital(&alias) && alias != "_"
                {
                    self.statics.insert(alias.clone());
                    self.hints.statics.insert(alias.clone());
                }
                let word = self
                    .words
                    .get(&name)
                    .cloned()
                    .or_else(|| WORDS.contains(&name.as_str()).then(|| name.clone()));
                if let Some(word) = word
                    && !WORDS.contains(&alias.as_str())
                {
                    self.words.insert(alias.clone(), word.clone());
                    self.hints.words.insert(alias, word);
                }
            }
            UseTree::Name(_) | UseTree::Glob(_) => {}
        }
    }

    /// The word that a name stands for.
    pub(crate) fn word<'b>(&'b self, name: &'b str) -> Option<&'b str> {
        match self.words.get(name) {
            Some(word) => Some(word),
            None => WORDS.contains(&name).then_some(name),
        }
    }

    fn module(&self, items: &[Item]) -> Module {
        let mut module = Module::default();
        for item in items {
            self.item(item, &mut module);
        }
        module
    }

    fn on(&self, attrs: &[Attribute]) -> bool {
        attrs.is_empty() || cfg::is_on(attrs, self.features)
    }

    fn item(&self, item: &Item, module: &mut Module) {
        match item {
            Item::Mod(item) if self.on(&item.attrs) => {
                let attrs = cfg::flatten(&item.attrs, self.features);
                module.modules.push(ModuleItem {
                    name: word(&item.ident),
                    range: Range::of(item.ident.span()),
                    path: path_attribute(&attrs),
                    inline: item.content.as_ref().map(|(_, items)| Box::new(self.module(items))),
                });
            }
            Item::Use(item) if self.on(&item.attrs) => {
                uses(&item.tree, item.leading_colon.is_some(), &mut Vec::new(), &mut module.uses);
            }
            Item::ExternCrate(item) if self.on(&item.attrs) => {
                if let Some((_, rename)) = &item.rename {
                    let path = PathRef { global: item.ident != "self", segments: vec![word(&item.ident)] };
                    module.uses.push(Use { path, kind: UseKind::Name(word(rename)) });
                }
            }
            Item::Static(item) if self.on(&item.attrs) => {
                body::initialiser(self, &item.expr, module);
                module.statics.push(static_item(item));
            }
            Item::Const(item) if self.on(&item.attrs) => {
                body::initialiser(self, &item.expr, module);
                module.consts.push(ConstItem {
                    name: word(&item.ident),
                    range: Range::of(item.ident.span()),
                    ty: ty(&item.ty),
                    value: constant(&item.expr),
                });
            }
            Item::Struct(item) if self.on(&item.attrs) => {
                let body = types::Body::Struct(&item.fields);
                let input = || syn::DeriveInput::from(item.clone());
                module.types.push(types::type_item(
                    self,
                    &item.ident,
                    &item.generics,
                    &item.attrs,
                    &body,
                    input,
                ));
            }
            Item::Enum(item) if self.on(&item.attrs) => {
                let body = types::Body::Enum(&item.variants);
                let input = || syn::DeriveInput::from(item.clone());
                module.types.push(types::type_item(
                    self,
                    &item.ident,
                    &item.generics,
                    &item.attrs,
                    &body,
                    input,
                ));
            }
            Item::Union(item) if self.on(&item.attrs) => module.types.push(plain_type(&item.ident)),
            Item::Trait(item) if self.on(&item.attrs) => {
                module.types.push(plain_type(&item.ident));
                body::trait_item(self, item, module);
            }
            Item::Type(item) if self.on(&item.attrs) => module.aliases.push(AliasItem {
                name: word(&item.ident),
                generics: item.generics.type_params().map(|param| word(&param.ident)).collect(),
                ty: ty(&item.ty),
            }),
            Item::Fn(item) if self.on(&item.attrs) => {
                self.handlers(item, module);
                body::function(self, item, module);
            }
            Item::Impl(item) if self.on(&item.attrs) => body::impl_item(self, item, module),
            Item::Macro(item) if self.on(&item.attrs) => self.macro_item(item, module),
            _ => {}
        }
    }

    fn handlers(&self, function: &ItemFn, module: &mut Module) {
        for attribute in &*cfg::flatten(&function.attrs, self.features) {
            if let Some(handler) = self.handler(attribute, function) {
                module.handlers.push(handler);
            }
        }
    }

    /// The word of Bis that an attribute's last segment is.
    pub(crate) fn attribute_word<'b>(&'b self, attribute: &'b Attribute) -> Option<(String, PathRef)> {
        let path = attribute.path();
        if FOREIGN.iter().any(|foreign| path.is_ident(foreign)) {
            return None;
        }
        let path = path_ref(path);
        let word = self.word(path.last())?.to_owned();
        Some((word, path))
    }

    fn handler(&self, attribute: &Attribute, function: &ItemFn) -> Option<HandlerItem> {
        let (word, path) = self.attribute_word(attribute)?;
        let mut errors = Errors::new();
        let tokens = match &attribute.meta {
            Meta::List(list) => list.tokens.clone(),
            _ => TokenStream::new(),
        };
        let kind = match word.as_str() {
            "subscription" => subscription(tokens, function, &mut errors),
            "api" => {
                Endpoint::parse(function, &mut errors);
                let args = ApiArgs::parse(tokens, &mut errors);
                if let Some(args) = &args {
                    bis_syntax::check_path_parameters(&args.path, function, &mut errors);
                }
                match args {
                    Some(args) => HandlerKind::Api {
                        method: args.method.to_string(),
                        path: args.path.value(),
                        access: args.access,
                        // What shows in the type itself is checked.
                        path_type: bis_syntax::path_parameter(function)
                            .filter(|taken| bis_syntax::path_parameter_count(taken).is_none())
                            .map(|taken| (ty(taken), range_of(taken))),
                    },
                    None => HandlerKind::Broken,
                }
            }
            "mount" => {
                bis_syntax::check_mount_function(function, &mut errors);
                match MountArgs::parse(tokens, &mut errors) {
                    Some(args) => HandlerKind::Mount { path: args.path.value() },
                    None => HandlerKind::Broken,
                }
            }
            _ => return None,
        };
        let fallback = path_range(attribute.path());
        Some(HandlerItem {
            name: self::word(&function.sig.ident),
            range: Range::of(function.sig.ident.span()),
            attribute: path,
            kind,
            mistakes: mistakes(errors, fallback),
        })
    }

    fn macro_item(&self, item: &syn::ItemMacro, module: &mut Module) {
        let call = path_ref(&item.mac.path);
        let range = path_range(&item.mac.path);
        if let Some(name) = &item.ident {
            let mentions = body::scan(self, item.mac.tokens.clone());
            module.macros.push(MacroItem { name: word(name), mentions });
            return;
        }
        let mut errors = Errors::new();
        match self.word(call.last()) {
            Some("service") => {
                let args = ServiceArgs::parse(item.mac.tokens.clone(), &mut errors);
                let (name, range) = match args {
                    Some(args) => (Some(args.name.text), Range::of(args.name.span)),
                    None => (None, range),
                };
                module.services.push(ServiceCall { call, range, name, mistakes: mistakes(errors, range) });
            }
            Some("app") => {
                let args = AppArgs::parse(item.mac.tokens.clone(), &mut errors);
                let readable = args.is_some();
                let services = args.map_or_else(Vec::new, |args| args.services);
                let services = services.iter().map(|path| (path_ref(path), path_range(path))).collect();
                module.apps.push(AppCall {
                    call,
                    range,
                    services,
                    readable,
                    mistakes: mistakes(errors, range),
                });
            }
            _ => {
                let mut words = BTreeSet::new();
                collect_words(item.mac.tokens.clone(), &mut words);
                let mut mentions = body::scan(self, item.mac.tokens.clone());
                // Names that the call declares itself are no mentions of something else.
                mentions.retain(|mention| mention.path.segments.len() > 1 || mention.how != How::Use);
                module.mentions.extend(mentions);
                module.opaque.push(OpaqueCall { path: call, words });
            }
        }
    }
}

fn subscription(tokens: TokenStream, function: &ItemFn, errors: &mut Errors) -> HandlerKind {
    let args = SubscriptionArgs::parse(tokens, errors);
    let handler = Handler::parse(function, args.as_ref().and_then(|args| args.batch.as_ref()), errors);
    let Some(args) = args else { return HandlerKind::Subscription(None) };
    let is_batch = handler.as_ref().is_some_and(|handler| handler.shape.is_batch());
    let batch = args.batch.as_ref();
    let batch = is_batch.then(|| {
        (
            batch.and_then(|batch| batch.max.as_ref()).map_or(100, |max| max.value),
            batch
                .and_then(|batch| batch.wait.as_ref())
                .map_or(std::time::Duration::from_millis(100), |wait| wait.value),
        )
    });
    HandlerKind::Subscription(Some(Box::new(SubscriptionSummary {
        topic: path_ref(&args.topic),
        topic_range: path_range(&args.topic),
        name: match &args.name {
            Some(name) => name.text.clone(),
            None => bis_syntax::kebab_case(&function.sig.ident.to_string()),
        },
        retry: args.retry.as_ref().map_or(bis_core::RetryPolicy::DEFAULT, |retry| retry.policy()),
        timeout: args.timeout.as_ref().map_or(bis_core::policy::DEFAULT_TIMEOUT, |timeout| timeout.value),
        concurrency: args
            .concurrency
            .as_ref()
            .map_or(bis_core::policy::DEFAULT_CONCURRENCY as u64, |concurrency| concurrency.value),
        batch,
        event: handler.map(|handler| (ty(&handler.event), range_of(&handler.event), handler.shape)),
    })))
}

fn static_item(item: &syn::ItemStatic) -> StaticItem {
    let mut errors = Errors::new();
    let range = Range::of(item.ident.span());
    // Only a plain path can be a topic's type; the chain of anything else is nobody's matter.
    let chain = match &*item.ty {
        syn::Type::Path(_) => TopicChain::parse(&item.expr, &mut errors),
        _ => None,
    };
    let topic = match chain {
        Some(chain) => {
            let retention = chain.call("retention").and_then(|call| call.arguments.first());
            Ok(TopicSummary {
                name: constant(&chain.name),
                name_range: range_of(&chain.name),
                ordered: chain.call("ordered").is_some(),
                retention: retention.map(|value| (constant(value), range_of(value))),
                mistakes: mistakes(errors, range),
            })
        }
        None => Err(mistakes(errors, range)),
    };
    StaticItem { name: word(&item.ident), range, ty: ty(&item.ty), topic }
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

/// The leaves of a `use` tree.
pub(crate) fn uses(tree: &UseTree, global: bool, prefix: &mut Vec<Name>, found: &mut Vec<Use>) {
    let mut leaf =
        |segments: Vec<Name>, kind: UseKind| found.push(Use { path: PathRef { global, segments }, kind });
    let with = |prefix: &[Name], name: Name| -> Vec<Name> {
        // `use a::{self}` names `a` itself.
        if &*name == "self" && !prefix.is_empty() { prefix.to_vec() } else { [prefix, &[name]].concat() }
    };
    match tree {
        UseTree::Path(path) => {
            prefix.push(word(&path.ident));
            uses(&path.tree, global, prefix, found);
            prefix.pop();
        }
        UseTree::Name(name) => {
            let segments = with(prefix, word(&name.ident));
            if let Some(last) = segments.last().cloned() {
                leaf(segments, UseKind::Name(last));
            }
        }
        UseTree::Rename(rename) => {
            leaf(with(prefix, word(&rename.ident)), UseKind::Name(word(&rename.rename)))
        }
        UseTree::Glob(_) => leaf(prefix.clone(), UseKind::Glob),
        UseTree::Group(group) => group.items.iter().for_each(|tree| uses(tree, global, prefix, found)),
    }
}

fn collect_words(tokens: TokenStream, words: &mut BTreeSet<Name>) {
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => {
                words.insert(word(&ident));
            }
            TokenTree::Group(group) => collect_words(group.stream(), words),
            _ => {}
        }
    }
}

/// Where an attribute stands, for what concerns the whole of it.
pub(crate) fn attribute_range(attribute: &Attribute) -> Range {
    Range::of(attribute.path().span())
}
