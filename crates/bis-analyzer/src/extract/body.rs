//! Function bodies and initialisers: which paths they mention, and what is done with them, macro arguments included.

use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash, Hasher},
};

use bis_syntax::{Declaration, ResourceChain};
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::{
    Block, Expr, ItemFn, ItemImpl, ItemTrait, Macro, Stmt,
    visit::{self, Visit},
};

use super::{
    constants::constant,
    extractor::Extractor,
    imports, includes, select,
    syntax::{
        attribute_range, attributes_of, attributes_of_item, is_punct, path_range, path_ref, starts_upper,
        word,
    },
    types::ty,
};
use crate::summary::{
    CallMention, Delay, How, Include, Invocation, Mention, Misplaced, MisplacedKind, Module, PathRef, Range,
};

/// A free function.
pub(super) fn function(extractor: &Extractor<'_>, item: &ItemFn, module: &mut Module) {
    Body::new(extractor, module).function(&item.block);
}

/// The methods of an `impl`.
pub(super) fn impl_item(extractor: &Extractor<'_>, item: &ItemImpl, module: &mut Module) {
    for member in &item.items {
        match member {
            syn::ImplItem::Fn(method) if extractor.cfg().may_be_on(&method.attrs) => {
                extractor.note_allows(&method.attrs, method);
                let mut body = Body::new(extractor, module);
                body.misplaced_handler(&method.attrs, &method.sig.ident, "in an `impl`");
                body.function(&method.block);
            }
            syn::ImplItem::Const(constant) if extractor.cfg().may_be_on(&constant.attrs) => {
                initialiser(extractor, None, &constant.expr, module);
            }
            syn::ImplItem::Macro(call) if extractor.cfg().may_be_on(&call.attrs) => {
                Body::new(extractor, module).visit_macro(&call.mac);
            }
            _ => {}
        }
    }
}

/// The default methods of a trait.
pub(super) fn trait_item(extractor: &Extractor<'_>, item: &ItemTrait, module: &mut Module) {
    for member in &item.items {
        if let syn::TraitItem::Fn(method) = member
            && let Some(block) = &method.default
            && extractor.cfg().may_be_on(&method.attrs)
        {
            let mut body = Body::new(extractor, module);
            body.misplaced_handler(&method.attrs, &method.sig.ident, "in a trait");
            body.function(block);
        }
    }
}

/// The value of a static or const of this type; that of an associated const has none.
pub(super) fn initialiser(
    extractor: &Extractor<'_>,
    ty: Option<&syn::Type>,
    expr: &Expr,
    module: &mut Module,
) {
    let mut body = Body::new(extractor, module);
    body.place = "inside a constant";
    body.mark(expr, &How::Stored);
    match ty {
        Some(ty) => body.static_value(ty, expr),
        None => body.visit_expr(expr),
    }
}

/// The mentions in a macro's tokens.
pub(super) fn scan(extractor: &Extractor<'_>, tokens: TokenStream) -> Vec<Mention> {
    let mut module = Module::default();
    Body::new(extractor, &mut module).tokens(tokens);
    module.mentions
}

struct Body<'a, 'm> {
    extractor: &'a Extractor<'a>,
    module: &'m mut Module,
    scope: Option<u32>,
    /// What a declaration would be in, in words.
    place: &'static str,
    /// Paths of which a reference escapes, by place.
    escaping: Vec<(Range, How)>,
    /// The delay of the publish that is visited next.
    delay: Option<Box<Delay>>,
    /// Whether the constructor that is visited next makes a static itself, not something within one.
    is_static_value: bool,
}

impl<'a, 'm> Body<'a, 'm> {
    fn new(extractor: &'a Extractor<'a>, module: &'m mut Module) -> Self {
        Self {
            extractor,
            module,
            scope: None,
            place: "inside a function",
            escaping: Vec::new(),
            delay: None,
            is_static_value: false,
        }
    }

    fn function(&mut self, block: &Block) {
        self.mark_tail(block, &How::Returned);
        self.visit_block(block);
    }

    fn mention(&mut self, path: &syn::Path, how: How) {
        let Some(last) = path.segments.last() else { return };
        if self.extractor.vocabulary.ident_may_be_resource(&last.ident) {
            let (range, delay) = (path_range(path), self.delay.take());
            self.module.mentions.push(Mention { path: path_ref(path), range, how, scope: self.scope, delay });
        }
    }

    /// A path that is not a constant may be an endpoint's. Each is kept once per module.
    fn call(&mut self, path: &syn::Path) {
        let Some(last) = path.segments.last() else { return };
        if self.module.seen_calls.insert(path_hash(path, self.scope)) && !starts_upper(&last.ident) {
            let range = path_range(path);
            self.module.calls.push(CallMention { path: path_ref(path), range, scope: self.scope });
        }
    }

    /// Marks the paths that `expr` hands on by reference.
    fn mark(&mut self, expr: &Expr, how: &How) {
        match expr {
            Expr::Path(path) if path.qself.is_none() => {
                let last = path.path.segments.last();
                if last.is_some_and(|last| self.extractor.vocabulary.ident_may_be_resource(&last.ident)) {
                    self.escaping.push((path_range(&path.path), how.clone()));
                }
            }
            Expr::Reference(reference) => self.mark(&reference.expr, how),
            Expr::Paren(paren) => self.mark(&paren.expr, how),
            Expr::Group(group) => self.mark(&group.expr, how),
            Expr::Block(block) => self.mark_tail(&block.block, how),
            Expr::Unsafe(block) => self.mark_tail(&block.block, how),
            Expr::If(choice) => {
                self.mark_tail(&choice.then_branch, how);
                if let Some((_, other)) = &choice.else_branch {
                    self.mark(other, how);
                }
            }
            Expr::Match(choice) => choice.arms.iter().for_each(|arm| self.mark(&arm.body, how)),
            Expr::Tuple(tuple) => tuple.elems.iter().for_each(|expr| self.mark(expr, how)),
            Expr::Array(array) => array.elems.iter().for_each(|expr| self.mark(expr, how)),
            Expr::Call(call) if wraps(&call.func) => call.args.iter().for_each(|expr| self.mark(expr, how)),
            _ => {}
        }
    }

    fn mark_tail(&mut self, block: &Block, how: &How) {
        if let Some(Stmt::Expr(expr, None)) = block.stmts.last() {
            self.mark(expr, how);
        }
    }

    fn tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut index = 0;
        while index < tokens.len() {
            match &tokens[index] {
                TokenTree::Group(group) => {
                    self.tokens(group.stream());
                    index += 1;
                }
                TokenTree::Ident(_) => index = self.token_path(&tokens, index),
                _ => index += 1,
            }
        }
    }

    /// Reads the path that begins at a word, and what follows it; gives the index after the path.
    fn token_path(&mut self, tokens: &[TokenTree], start: usize) -> usize {
        let mut words = Vec::new();
        let mut spans = Vec::new();
        let mut index = start;
        while let Some(TokenTree::Ident(ident)) = tokens.get(index) {
            words.push(word(ident));
            spans.push(ident.span());
            index += 1;
            if is_punct(tokens.get(index), ':') && is_punct(tokens.get(index + 1), ':') {
                index += 2;
            } else {
                break;
            }
        }
        // `a.B` is a field or an index, `$B` a variable of a macro's rule.
        let dollar = start > 0 && is_punct(tokens.get(start - 1), '$');
        let after_dot = start > 0 && is_punct(tokens.get(start - 1), '.');
        let variable = dollar && words.first().is_none_or(|first| &**first != "crate");
        let last = words.last().cloned().unwrap_or_default();
        if after_dot || variable || !self.extractor.vocabulary.may_be_resource(&last) {
            let is_call = matches!(tokens.get(index), Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis);
            if is_call && !after_dot && !variable {
                let range = Range::between(spans[0], spans[spans.len() - 1]);
                let path = PathRef { global: false, segments: words };
                self.module.calls.push(CallMention { path, range, scope: self.scope });
            }
            if is_punct(tokens.get(index), '!')
                && let (Some(TokenTree::Group(_)), Some(span)) = (tokens.get(index + 1), spans.last())
            {
                self.module.invocations.push(Invocation { name: last, range: Range::of(*span) });
            }
            return index;
        }
        let how = match (tokens.get(index), tokens.get(index + 1)) {
            (Some(dot), Some(TokenTree::Ident(method))) if is_punct(Some(dot), '.') => {
                How::Method(word(method))
            }
            _ => How::Use,
        };
        let range = Range::between(spans[0], spans[spans.len() - 1]);
        let path = PathRef { global: false, segments: words };
        self.module.mentions.push(Mention { path, range, how, scope: self.scope, delay: None });
        index
    }

    /// `use` declarations of a block hold in the whole function, which is near enough to Rust's rule.
    fn local_uses(&mut self, block: &Block) {
        for statement in &block.stmts {
            if let Stmt::Item(syn::Item::Use(item)) = statement
                && self.may_be_on(&item.attrs)
            {
                let mut found = Vec::new();
                imports::uses(&item.tree, item.leading_colon.is_some(), &mut Vec::new(), &mut found);
                let scope = match self.scope {
                    Some(scope) => scope,
                    None => {
                        self.module.scopes.push(Vec::new());
                        let scope = u32::try_from(self.module.scopes.len() - 1).unwrap_or(u32::MAX);
                        self.scope = Some(scope);
                        scope
                    }
                };
                self.module.scopes[scope as usize].extend(found);
            }
        }
    }

    fn may_be_on(&self, attrs: &[syn::Attribute]) -> bool {
        self.extractor.cfg().may_be_on(attrs)
    }

    fn misplaced_handler(
        &mut self,
        attrs: &[syn::Attribute],
        name: &proc_macro2::Ident,
        place: &'static str,
    ) {
        for attribute in &*self.extractor.cfg().flatten(attrs) {
            if let Some((_, path)) = self.extractor.vocabulary.attribute(attribute) {
                let kind = MisplacedKind::Handler(word(name), path, place);
                let range = attribute_range(attribute);
                self.module.misplaced.push(Misplaced { range, kind, scope: self.scope });
            }
        }
    }

    fn static_value(&mut self, ty: &syn::Type, expr: &Expr) {
        self.is_static_value = matches!(ty, syn::Type::Path(_)) && ResourceChain::parse(expr).is_some();
        self.visit_expr(expr);
    }

    /// A call that makes a resource, unless the value of a static is what it makes.
    fn constructor(&mut self, function: &Expr) {
        let Expr::Path(function) = function else { return };
        let segments = &function.path.segments;
        let is_new = segments.len() > 1 && segments.last().is_some_and(|last| last.ident == "new");
        if !is_new || std::mem::take(&mut self.is_static_value) {
            return;
        }
        let mut path = path_ref(&function.path);
        path.segments.pop();
        if Declaration::of_type(path.last()).is_some() {
            let range = path_range(&function.path);
            let kind = MisplacedKind::Value(path);
            self.module.misplaced.push(Misplaced { range, kind, scope: self.scope });
        }
    }

    fn misplaced_static(&mut self, ident: &proc_macro2::Ident, ty_: &syn::Type) {
        let kind = MisplacedKind::Static(word(ident), ty(ty_));
        self.module.misplaced.push(Misplaced { range: Range::of(ident.span()), kind, scope: self.scope });
    }
}

/// Whether a call only wraps its argument, so that what goes in comes out.
fn wraps(function: &Expr) -> bool {
    let Expr::Path(path) = function else { return false };
    let names: BTreeSet<&str> = ["Some", "Ok", "Err"].into();
    path.path.segments.last().is_some_and(|last| {
        names.contains(last.ident.to_string().as_str())
            || (last.ident == "new"
                && path.path.segments.iter().any(|segment| segment.ident == "Box" || segment.ident == "Arc"))
    })
}

/// What is inside parentheses and borrows.
fn bare(mut expr: &Expr) -> &Expr {
    while let Expr::Paren(syn::ExprParen { expr: inner, .. })
    | Expr::Group(syn::ExprGroup { expr: inner, .. })
    | Expr::Reference(syn::ExprReference { expr: inner, .. }) = expr
    {
        expr = inner;
    }
    expr
}

/// The delay of `PATH.publish(..).delay(..)`, whatever is between the two.
fn delay(call: &syn::ExprMethodCall) -> Option<Delay> {
    let argument = call.args.first().filter(|_| call.method == "delay" && call.args.len() == 1)?;
    let mut receiver = bare(&call.receiver);
    while let Expr::MethodCall(inner) = receiver {
        receiver = bare(&inner.receiver);
        if inner.method == "publish" && matches!(receiver, Expr::Path(_)) {
            let range = Range::of(syn::spanned::Spanned::span(argument));
            return Some(Delay { value: constant(argument), range });
        }
    }
    None
}

impl<'ast> Visit<'ast> for Body<'_, '_> {
    fn visit_block(&mut self, block: &'ast Block) {
        self.local_uses(block);
        visit::visit_block(self, block);
    }

    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        let attrs = match statement {
            Stmt::Local(local) => &local.attrs,
            Stmt::Macro(call) => &call.attrs,
            Stmt::Item(_) | Stmt::Expr(..) => &Vec::new(),
        };
        if self.may_be_on(attrs) {
            visit::visit_stmt(self, statement);
        }
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        if self.may_be_on(&arm.attrs) {
            visit::visit_arm(self, arm);
        }
    }

    fn visit_field_value(&mut self, field: &'ast syn::FieldValue) {
        if self.may_be_on(&field.attrs) {
            visit::visit_field_value(self, field);
        }
    }

    fn visit_expr(&mut self, expr: &'ast Expr) {
        if !self.may_be_on(attributes_of(expr)) {
            return;
        }
        match expr {
            Expr::Path(path) if path.qself.is_none() => {
                let range = path_range_if(self, &path.path);
                let marked = range.and_then(|range| {
                    self.escaping.iter().find(|(marked, _)| *marked == range).map(|(_, how)| how.clone())
                });
                self.mention(&path.path, marked.unwrap_or(How::Use));
                if path.path.segments.len() > 1 {
                    self.call(&path.path);
                }
            }
            Expr::Call(call) => {
                self.constructor(&call.func);
                if let Expr::Path(function) = &*call.func
                    && function.path.get_ident().is_some()
                {
                    self.call(&function.path);
                }
                visit::visit_expr(self, expr);
            }
            Expr::MethodCall(call) => {
                if let Some(delay) = delay(call) {
                    self.delay = Some(Box::new(delay));
                }
                match bare(&call.receiver) {
                    Expr::Path(path) if path.qself.is_none() => {
                        self.mention(&path.path, How::Method(word(&call.method)));
                    }
                    _ => self.visit_expr(&call.receiver),
                }
                self.delay = None;
                call.args.iter().for_each(|argument| self.visit_expr(argument));
            }
            Expr::Struct(literal) => {
                for field in &literal.fields {
                    self.mark(&field.expr, &How::Stored);
                }
                visit::visit_expr(self, expr);
            }
            Expr::Assign(assign) => {
                if matches!(&*assign.left, Expr::Field(_)) {
                    self.mark(&assign.right, &How::Stored);
                }
                visit::visit_expr(self, expr);
            }
            Expr::Return(result) => {
                if let Some(value) = &result.expr {
                    self.mark(value, &How::Returned);
                }
                visit::visit_expr(self, expr);
            }
            Expr::Lit(_) => {}
            _ => visit::visit_expr(self, expr),
        }
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        let range = path_range(&call.path);
        let name = call.path.segments.last().map(|last| word(&last.ident)).unwrap_or_default();
        if let Some(arms) = select::arms(self.extractor.cfg(), &name, call.tokens.clone()) {
            arms.into_iter().for_each(|(tokens, _)| self.tokens(tokens));
            return;
        }
        if &*name == "include" {
            let (path, condition) = (includes::path(call.tokens.clone()), self.extractor.condition());
            self.module.includes.push(Include { path, range, condition });
            return;
        }
        if let Some(last) = call.path.segments.last() {
            self.module.invocations.push(Invocation { name: word(&last.ident), range });
        }
        self.tokens(call.tokens.clone());
    }

    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !self.may_be_on(attributes_of_item(item)) {
            return;
        }
        match item {
            syn::Item::Static(item) => {
                self.misplaced_static(&item.ident, &item.ty);
                self.static_value(&item.ty, &item.expr);
            }
            syn::Item::Const(item) => self.static_value(&item.ty, &item.expr),
            syn::Item::Fn(item) => {
                self.misplaced_handler(&item.attrs, &item.sig.ident, self.place);
                self.mark_tail(&item.block, &How::Returned);
                self.visit_block(&item.block);
            }
            syn::Item::Impl(item) => {
                for member in &item.items {
                    if let syn::ImplItem::Fn(method) = member
                        && self.may_be_on(&method.attrs)
                    {
                        self.misplaced_handler(&method.attrs, &method.sig.ident, "in an `impl`");
                        self.mark_tail(&method.block, &How::Returned);
                        self.visit_block(&method.block);
                    }
                }
            }
            syn::Item::Macro(item) if item.ident.is_none() => self.visit_macro(&item.mac),
            _ => {}
        }
    }

    fn visit_type(&mut self, _: &'ast syn::Type) {}

    fn visit_pat(&mut self, _: &'ast syn::Pat) {}

    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}

    fn visit_path(&mut self, _: &'ast syn::Path) {}
}

/// The region of a path that may be a resource's; computing it for every path would be slow.
fn path_range_if(body: &Body<'_, '_>, path: &syn::Path) -> Option<Range> {
    let last = path.segments.last()?;
    (!body.escaping.is_empty() && body.extractor.vocabulary.ident_may_be_resource(&last.ident))
        .then(|| path_range(path))
}

/// A path's words as one number. That two have the same is so unlikely that a missing edge does not matter.
fn path_hash(path: &syn::Path, scope: Option<u32>) -> u64 {
    let mut hasher = DefaultHasher::new();
    scope.hash(&mut hasher);
    path.leading_colon.is_some().hash(&mut hasher);
    for segment in &path.segments {
        segment.ident.hash(&mut hasher);
    }
    hasher.finish()
}
