//! The items of a file, module by module.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
};

use bis_syntax::{
    ApiArgs, AppArgs, Endpoint, Errors, Handler, MountArgs, ServiceArgs, SubscriptionArgs, TopicChain,
};
use proc_macro2::{TokenStream, TokenTree};
use syn::{Attribute, File, Item, ItemFn, Meta, UseTree, spanned::Spanned};

use super::{
    Context, body, constant, declares, is_capital, mistakes, path_range, path_ref, range_of, ty, types, word,
};
use crate::{
    cfg::{Cfg, Truth},
    summary::{
        AliasItem, Allow, AppCall, Condition, ConstItem, FileSummary, HandlerItem, HandlerKind, Hints,
        MacroDefinition, MacroItem, Module, ModuleItem, Name, PathRef, Range, ServiceCall, StaticItem,
        SubscriptionSummary, TopicSummary, TypeItem, Unread, Use, UseKind,
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

/// What an extraction knows beside the syntax tree, and what it gathers on its way.
pub(crate) struct Extractor<'a> {
    pub(super) context: Context<'a>,
    /// Names that mean a static though they are not in capitals.
    pub(crate) statics: BTreeSet<String>,
    /// Other names of Bis's words.
    pub(crate) words: BTreeMap<String, String>,
    hints: Hints,
    /// The unknown `cfg` around the item that is read.
    condition: RefCell<Option<Condition>>,
    allows: RefCell<Vec<Allow>>,
    lost: RefCell<Vec<(String, Range)>>,
    pub(super) macro_calls: RefCell<BTreeSet<String>>,
    /// How many expansions are around the item that is read.
    pub(super) expansions: Cell<usize>,
    /// How many more expansions this file may have.
    pub(super) budget: Cell<usize>,
}

/// How many macro calls of one file are expanded.
const MAX_EXPANSIONS: usize = 4_096;

impl<'a> Extractor<'a> {
    pub(crate) fn new(context: &Context<'a>, file: &File) -> Self {
        let mut extractor = Self {
            context: *context,
            statics: context.hints.statics.clone(),
            words: context.hints.words.clone(),
            hints: Hints::default(),
            condition: RefCell::default(),
            allows: RefCell::default(),
            lost: RefCell::default(),
            macro_calls: RefCell::default(),
            expansions: Cell::new(0),
            budget: Cell::new(MAX_EXPANSIONS),
        };
        extractor.collect_aliases(&file.items);
        extractor
    }

    pub(crate) fn cfg(&self) -> &'a Cfg {
        self.context.cfg
    }

    pub(crate) fn summary(self, file: &File) -> FileSummary {
        let mut module = Module::default();
        self.under(&file.attrs, || file.items.iter().for_each(|item| self.item(item, &mut module)));
        FileSummary {
            module,
            failure: None,
            lost: self.lost.into_inner(),
            allows: self.allows.into_inner(),
            macro_calls: self.macro_calls.into_inner(),
            hints: self.hints,
        }
    }

    /// Reads what stands under attributes, when it may be in the build.
    fn under(&self, attrs: &[Attribute], read: impl FnOnce()) {
        match self.cfg().truth(attrs) {
            Truth::Off => {}
            Truth::On => read(),
            Truth::Unknown => self.when(self.cfg().condition(attrs), read),
        }
    }

    /// Reads what is under a condition of which nobody knows whether it holds.
    pub(super) fn when(&self, condition: Option<Condition>, read: impl FnOnce()) {
        let outer = self.condition.borrow().clone();
        if let Some(condition) = condition {
            self.condition.borrow_mut().get_or_insert(condition);
        }
        read();
        *self.condition.borrow_mut() = outer;
    }

    pub(super) fn condition(&self) -> Option<Condition> {
        self.condition.borrow().clone()
    }

    /// Notes what an attribute `#[bis::allow(..)]` lets pass in the item under it.
    pub(super) fn note_allows(&self, attrs: &[Attribute], item: &impl Spanned) {
        for attribute in attrs {
            let segments = &attribute.path().segments;
            let is_ours = segments.len() > 1 && segments.last().is_some_and(|last| last.ident == "allow");
            let Meta::List(list) = &attribute.meta else { continue };
            if is_ours {
                let idents = list.tokens.clone().into_iter().filter_map(|token| match token {
                    TokenTree::Ident(ident) => Some((ident.to_string(), Range::of(ident.span()))),
                    _ => None,
                });
                self.allows.borrow_mut().push(Allow { range: range_of(item), codes: idents.collect() });
            }
        }
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
                Item::Macro(item) if self.cfg().may_be_on(&item.attrs) => {
                    let Some(name) = &item.ident else { continue };
                    let definition = MacroDefinition {
                        home: None,
                        line: Range::of(name.span()).line,
                        rules: item.mac.tokens.to_string(),
                        declares: declares::declares(self, item.mac.tokens.clone()),
                    };
                    self.hints.macros.entry(word(name).into()).or_default().push(definition);
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

    pub(super) fn item(&self, item: &Item, module: &mut Module) {
        match attributes(item) {
            [] => self.plain_item(item, module),
            attrs => {
                self.note_allows(attrs, item);
                self.under(attrs, || self.plain_item(item, module));
            }
        }
    }

    /// An item that may be in the build.
    fn plain_item(&self, item: &Item, module: &mut Module) {
        match item {
            Item::Mod(item) => {
                let attrs = self.cfg().flatten(&item.attrs);
                module.modules.push(ModuleItem {
                    name: word(&item.ident),
                    range: Range::of(item.ident.span()),
                    path: path_attribute(&attrs),
                    condition: self.condition(),
                    inline: item.content.as_ref().map(|(_, items)| Box::new(self.module(items))),
                });
            }
            Item::Use(item) => {
                let first = module.uses.len();
                uses(&item.tree, item.leading_colon.is_some(), &mut Vec::new(), &mut module.uses);
                if self.cfg().is_2015 {
                    module.uses[first..].iter_mut().for_each(from_root);
                }
            }
            Item::ExternCrate(item) => {
                if let Some((_, rename)) = &item.rename {
                    let path = PathRef { global: item.ident != "self", segments: vec![word(&item.ident)] };
                    module.uses.push(Use { path, kind: UseKind::Name(word(rename)) });
                }
            }
            Item::Static(item) => {
                body::initialiser(self, &item.expr, module);
                module.statics.push(StaticItem { condition: self.condition(), ..static_item(item) });
            }
            Item::Const(item) => {
                body::initialiser(self, &item.expr, module);
                module.consts.push(ConstItem {
                    name: word(&item.ident),
                    range: Range::of(item.ident.span()),
                    ty: ty(&item.ty),
                    value: constant(&item.expr),
                });
            }
            Item::Struct(item) => {
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
            Item::Enum(item) => {
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
            Item::Union(item) => module.types.push(plain_type(&item.ident)),
            Item::Trait(item) => {
                module.types.push(plain_type(&item.ident));
                body::trait_item(self, item, module);
            }
            Item::Type(item) => module.aliases.push(AliasItem {
                name: word(&item.ident),
                generics: item.generics.type_params().map(|param| word(&param.ident)).collect(),
                ty: ty(&item.ty),
            }),
            Item::Fn(item) => {
                self.handlers(item, module);
                body::function(self, item, module);
            }
            Item::Impl(item) => body::impl_item(self, item, module),
            Item::Macro(item) => self.macro_item(item, module),
            Item::Verbatim(tokens) => self.lost_item(tokens, module),
            _ => {}
        }
    }

    /// An item that does not parse. What its tokens mention counts; names in it may be what it declares.
    fn lost_item(&self, tokens: &TokenStream, module: &mut Module) {
        if declares::declares(self, tokens.clone()) {
            let reason = "an item here does not parse, so what it may declare is missing from the graph";
            self.lost.borrow_mut().push((reason.to_owned(), range_of(tokens)));
        }
        self.opaque(PathRef::default(), tokens, module);
    }

    fn handlers(&self, function: &ItemFn, module: &mut Module) {
        for outer in &function.attrs {
            let condition = self.cfg().attribute_condition(outer);
            self.when(condition, || {
                for attribute in &*self.cfg().flatten(std::slice::from_ref(outer)) {
                    module.handlers.extend(self.handler(attribute, function));
                }
            });
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
            condition: self.condition(),
            kind,
            mistakes: mistakes(errors, fallback),
        })
    }

    fn macro_item(&self, item: &syn::ItemMacro, module: &mut Module) {
        let call = path_ref(&item.mac.path);
        let range = path_range(&item.mac.path);
        if let Some(name) = &item.ident {
            let mentions = body::scan(self, item.mac.tokens.clone());
            let declares = declares::declares(self, item.mac.tokens.clone());
            if declares && self.expansions.get() > 0 {
                // Only what is in a file is known when its calls are read.
                module.is_open = true;
                module.unread.push(Unread { name: name.to_string(), range });
            }
            module.macros.push(MacroItem { name: word(name), mentions, declares });
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
                let mistakes = mistakes(errors, range);
                let condition = self.condition();
                module.services.push(ServiceCall { call, range, condition, name, mistakes });
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
            _ => self.call(&item.mac, module),
        }
    }
}

/// `use a::b` of the edition 2015 begins at the crate's root, as `::a::b` does there.
fn from_root(import: &mut Use) {
    let first = import.path.segments.first().map(|first| &**first);
    import.path.global |= !matches!(first, Some("self" | "super" | "crate"));
}

/// The attributes of an item.
pub(super) fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn subscription(tokens: TokenStream, function: &ItemFn, errors: &mut Errors) -> HandlerKind {
    let args = SubscriptionArgs::parse(tokens, errors);
    let handler = Handler::parse(function, args.as_ref().and_then(|args| args.batch.as_ref()), errors);
    let Some(args) = args else { return HandlerKind::Subscription(None) };
    HandlerKind::Subscription(Some(Box::new(SubscriptionSummary {
        topic: path_ref(&args.topic),
        topic_range: path_range(&args.topic),
        name: args.name(&function.sig.ident),
        policy: args.policy(),
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
    StaticItem { name: word(&item.ident), range, ty: ty(&item.ty), condition: None, topic }
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

/// Where an attribute stands, for what concerns the whole of it.
pub(crate) fn attribute_range(attribute: &Attribute) -> Range {
    Range::of(attribute.path().span())
}
