//! What is kept of a source file: its items and what they mention, as owned data without syntax trees or spans.
//!
//! Nothing here is resolved: paths are as written.

mod types;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

pub(crate) use types::{
    AliasItem, Constraints, Container, Docs, EventSummary, FieldItem, SerdeType, Sided, Text, TypeItem,
    TypeShape, VariantItem,
};

use bis_graph::Diagnostic;
use bis_syntax::{Access, Hook, RestartPolicy, Shape, SubscriptionPolicy};
use proc_macro2::Span;

/// A region of a file. Lines and columns count from 1; the end is exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Range {
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) end_line: u32,
    pub(crate) end_column: u32,
}

impl Range {
    pub(crate) fn between(first: Span, last: Span) -> Self {
        let (start, end) = (first.start(), last.end());
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self {
            line: number(start.line),
            column: number(start.column + 1),
            end_line: number(end.line),
            end_column: number(end.column + 1),
        }
    }

    pub(crate) fn of(span: Span) -> Self {
        Self::between(span, span)
    }

    /// Whether `other` lies in it.
    pub(crate) fn holds(self, other: Self) -> bool {
        (self.line, self.column) <= (other.line, other.column)
            && (other.end_line, other.end_column) <= (self.end_line, self.end_column)
    }
}

pub(crate) type Name = Box<str>;

/// A path as written, without generic arguments.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct PathRef {
    /// Whether it begins with `::`.
    pub(crate) global: bool,
    pub(crate) segments: Vec<Name>,
}

impl PathRef {
    pub(crate) fn last(&self) -> &str {
        self.segments.last().map_or("", |segment| segment)
    }

    pub(crate) fn text(&self) -> String {
        self.segments.join("::")
    }

    /// As Rust wants it written: with a leading `::` where it has one, and `r#` on keywords.
    pub(crate) fn source(&self) -> String {
        let words: Vec<String> = self.segments.iter().map(|segment| raw(segment)).collect();
        format!("{}{}", if self.global { "::" } else { "" }, words.join("::"))
    }
}

/// A name as Rust wants it written.
fn raw(name: &str) -> String {
    let is_plain = syn::parse_str::<syn::Ident>(name).is_ok();
    if is_plain || matches!(name, "crate" | "self" | "super" | "Self") {
        name.to_owned()
    } else {
        format!("r#{name}")
    }
}

/// A `cfg` of which it is unknown whether it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    /// As text, such as `not(from_script)`.
    pub(crate) predicate: String,
    pub(crate) range: Range,
}

impl Condition {
    /// A condition from its tokens as text.
    pub(crate) fn new(tokens: &str, range: Range) -> Self {
        Self { predicate: tokens.replace(" (", "(").replace(" ,", ","), range }
    }
}

/// A file.
#[derive(Debug, Default)]
pub(crate) struct FileSummary {
    pub(crate) module: Module,
    /// Whether it is not read at all.
    pub(crate) is_broken: bool,
    /// Why it is not read, or which items of it are not.
    pub(crate) unread: Vec<Diagnostic>,
    /// `#[bis::allow(..)]`, each with the item under it.
    pub(crate) allows: Vec<Allow>,
    /// Macros that are called among items.
    pub(crate) macro_calls: BTreeSet<String>,
    /// What other files must know before they can be summarised.
    pub(crate) hints: Hints,
}

/// `#[bis::allow(BIS0034)]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Allow {
    /// The item under it, itself included.
    pub(crate) range: Range,
    /// The codes, each with its place.
    pub(crate) codes: Vec<(String, Range)>,
}

/// What a file alone cannot tell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Hints {
    /// Statics, or aliases of statics, that are not in capitals.
    pub(crate) statics: BTreeSet<String>,
    /// Other names of Bis's attributes, macros and derives, with the word that each stands for.
    pub(crate) words: BTreeMap<String, String>,
    /// The `macro_rules!` of the project, by name.
    pub(crate) macros: BTreeMap<String, Vec<MacroDefinition>>,
}

/// A `macro_rules!`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MacroDefinition {
    /// Its file and package; `None` while only its own file is known.
    pub(crate) home: Option<(PathBuf, usize)>,
    pub(crate) line: u32,
    /// Its rules as text: tokens cannot go from thread to thread.
    pub(crate) rules: String,
    /// Whether its rules may declare something of Bis's.
    pub(crate) declares: bool,
}

/// How `$crate` of another package's macro is written, with the package's index: it leads to that package's library.
pub(crate) const PACKAGE: &str = "__bis_package_";

/// A module's own items.
#[derive(Debug, Default)]
pub(crate) struct Module {
    pub(crate) modules: Vec<ModuleItem>,
    pub(crate) uses: Vec<Use>,
    pub(crate) statics: Vec<StaticItem>,
    pub(crate) consts: Vec<ConstItem>,
    pub(crate) types: Vec<TypeItem>,
    pub(crate) aliases: Vec<AliasItem>,
    pub(crate) handlers: Vec<HandlerItem>,
    pub(crate) services: Vec<ServiceCall>,
    pub(crate) apps: Vec<AppCall>,
    /// The comment of a module that calls `service!`.
    pub(crate) docs: Option<Text>,
    /// Calls of other macros that make items.
    pub(crate) opaque: Vec<OpaqueCall>,
    pub(crate) macros: Vec<MacroItem>,
    pub(crate) mentions: Vec<Mention>,
    pub(crate) invocations: Vec<Invocation>,
    /// `use` declarations inside functions, by function.
    pub(crate) scopes: Vec<Vec<Use>>,
    /// Resources where none can be.
    pub(crate) misplaced: Vec<Misplaced>,
    pub(crate) includes: Vec<Include>,
    /// What may declare something and cannot be read.
    pub(crate) unread: Vec<Unread>,
    /// Paths that may lead to an endpoint.
    pub(crate) calls: Vec<CallMention>,
    /// The paths that were seen while `calls` was filled.
    pub(crate) seen_calls: std::collections::HashSet<u64>,
    /// Whether it may hold names that cannot be seen.
    pub(crate) is_open: bool,
}

/// `include!(..)`
#[derive(Debug)]
pub(crate) struct Include {
    pub(crate) path: IncludePath,
    pub(crate) range: Range,
    pub(crate) condition: Option<Condition>,
}

#[derive(Debug)]
pub(crate) enum IncludePath {
    /// Relative to the file.
    Beside(String),
    /// `concat!(env!("CARGO_MANIFEST_DIR"), ..)`
    InPackage(String),
    /// Not constant before the build.
    Hidden,
}

/// A macro call that may declare something and cannot be read.
#[derive(Debug)]
pub(crate) struct Unread {
    /// The macro's path as text.
    pub(crate) name: String,
    pub(crate) range: Range,
}

/// A path that may lead to an endpoint.
#[derive(Debug)]
pub(crate) struct CallMention {
    pub(crate) path: PathRef,
    pub(crate) range: Range,
    pub(crate) scope: Option<u32>,
}

/// `mod name;` or `mod name { .. }`.
#[derive(Debug)]
pub(crate) struct ModuleItem {
    pub(crate) name: Name,
    pub(crate) range: Range,
    /// `#[path = ".."]`
    pub(crate) path: Option<String>,
    pub(crate) condition: Option<Condition>,
    /// The comment above the declaration.
    pub(crate) docs: Option<Text>,
    pub(crate) inline: Option<Box<Module>>,
}

/// One leaf of a `use` declaration.
#[derive(Debug, Clone)]
pub(crate) struct Use {
    pub(crate) path: PathRef,
    pub(crate) kind: UseKind,
}

#[derive(Debug, Clone)]
pub(crate) enum UseKind {
    /// `use a::b;` or `use a::b as c;`
    Name(Name),
    /// `use a::*;`
    Glob,
}

/// A static.
#[derive(Debug)]
pub(crate) struct StaticItem {
    pub(crate) name: Name,
    pub(crate) range: Range,
    pub(crate) ty: Ty,
    pub(crate) condition: Option<Condition>,
    pub(crate) docs: Option<Text>,
    pub(crate) value: StaticValue,
}

/// What a static is set to, as far as it may be a resource.
#[derive(Debug)]
pub(crate) enum StaticValue {
    /// A chain that makes it in place.
    Chain(Box<Chain>),
    /// A call of this macro, with what would be wrong with its argument if it made a resource.
    Macro(PathRef, Range, Vec<Diagnostic>),
    /// Anything else.
    Other(Range),
    /// The static's type is not a plain path, so it is not itself a resource.
    Indirect,
}

/// `Topic::new("order-placed").ordered()`: a builder chain.
#[derive(Debug)]
pub(crate) struct Chain {
    /// The arguments of `new`.
    pub(crate) arguments: Vec<Argument>,
    /// The builder methods after it.
    pub(crate) calls: Vec<ChainCall>,
}

/// An argument in a chain.
#[derive(Debug)]
pub(crate) struct Argument {
    pub(crate) value: Constant,
    pub(crate) range: Range,
}

/// A builder method.
#[derive(Debug)]
pub(crate) struct ChainCall {
    pub(crate) method: Name,
    pub(crate) range: Range,
    pub(crate) arguments: Vec<Argument>,
}

impl Chain {
    /// The last call of a builder method.
    pub(crate) fn call(&self, method: &str) -> Option<&ChainCall> {
        self.calls.iter().rev().find(|call| &*call.method == method)
    }
}

/// An expression that may be constant.
#[derive(Debug, Clone)]
pub(crate) enum Constant {
    Text(String),
    Integer(u128),
    Path(PathRef),
    Concat(Vec<Constant>),
    Binary(char, Box<Constant>, Box<Constant>),
    /// `Duration::from_secs(..)` and its siblings.
    Duration(String, Box<Constant>),
    /// `Retention { max_age, max_bytes }`; a field that is not there comes from `Retention::DEFAULT`.
    Retention(Option<Box<Constant>>, Option<Box<Constant>>),
    Opaque,
}

/// The value of a constant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    Integer(u128),
    Duration(Duration),
    Retention(bis_core::Retention),
}

#[derive(Debug)]
pub(crate) struct ConstItem {
    pub(crate) name: Name,
    pub(crate) range: Range,
    pub(crate) ty: Ty,
    pub(crate) value: Constant,
}

/// A type as written.
#[derive(Debug, Clone)]
pub(crate) enum Ty {
    Path(PathRef, Vec<Ty>),
    Tuple(Vec<Ty>),
    /// An array, whose length may be known, or a slice.
    List(Box<Ty>, Option<u64>),
    /// A type without a JSON form that can be seen.
    Opaque(String),
}

/// A function under an attribute of Bis.
#[derive(Debug)]
pub(crate) struct HandlerItem {
    pub(crate) name: Name,
    pub(crate) range: Range,
    pub(crate) docs: Docs,
    /// From its opening brace to its closing one.
    pub(crate) body: Range,
    /// The attribute's path as written.
    pub(crate) attribute: PathRef,
    pub(crate) condition: Option<Condition>,
    pub(crate) kind: HandlerKind,
    pub(crate) mistakes: Vec<Diagnostic>,
}

#[derive(Debug)]
pub(crate) enum HandlerKind {
    Subscription(Option<Box<SubscriptionSummary>>),
    Api {
        method: String,
        path: String,
        access: Access,
        options: EndpointOptions,
        /// What the parameters ask of the app's user.
        users: Vec<UserItem>,
        /// What the parameters of the path are read into, and where that is written.
        path_type: Option<(Ty, Range)>,
        signature: Box<Signature>,
    },
    Mount {
        path: String,
    },
    Auth(Box<AuthSummary>),
    Hook(Hook),
    Background(RestartPolicy),
    /// An attribute whose arguments could not be read.
    Broken,
}

/// What an endpoint's function takes and returns.
#[derive(Debug)]
pub(crate) struct Signature {
    pub(crate) parameters: Vec<(Ty, Range)>,
    /// `None` where it returns nothing.
    pub(crate) answer: Option<(Ty, Range)>,
    /// The statuses that its body names, where its answer has one that its type does not tell.
    pub(crate) statuses: Vec<u16>,
}

/// What `#[api]` says beside method, path and access.
#[derive(Debug)]
pub(crate) struct EndpointOptions {
    /// As written.
    pub(crate) layers: Vec<String>,
    pub(crate) body_limit: Option<u64>,
    pub(crate) timeout: Option<Duration>,
}

/// What `#[auth]` says.
#[derive(Debug)]
pub(crate) struct AuthSummary {
    /// The user's type, when the signature shows it.
    pub(crate) user: Option<(Ty, Range)>,
}

/// `Auth<User>` or `Option<Auth<User>>`.
#[derive(Debug)]
pub(crate) struct UserItem {
    pub(crate) ty: Ty,
    pub(crate) is_optional: bool,
    pub(crate) range: Range,
}

#[derive(Debug)]
pub(crate) struct SubscriptionSummary {
    pub(crate) topic: PathRef,
    pub(crate) topic_range: Range,
    pub(crate) name: String,
    pub(crate) policy: SubscriptionPolicy,
    /// The type of the handler's event, when its signature can be read.
    pub(crate) event: Option<(Ty, Range, Shape)>,
}

#[derive(Debug)]
pub(crate) struct ServiceCall {
    pub(crate) call: PathRef,
    pub(crate) range: Range,
    pub(crate) condition: Option<Condition>,
    pub(crate) name: Option<String>,
    /// As written.
    pub(crate) layers: Vec<String>,
    pub(crate) mistakes: Vec<Diagnostic>,
}

#[derive(Debug)]
pub(crate) struct AppCall {
    pub(crate) call: PathRef,
    pub(crate) range: Range,
    pub(crate) services: Vec<(PathRef, Range)>,
    /// As written.
    pub(crate) layers: Vec<String>,
    /// Whether the list could be read.
    pub(crate) readable: bool,
    pub(crate) mistakes: Vec<Diagnostic>,
}

/// A macro call among a module's items, with the words in its arguments.
#[derive(Debug)]
pub(crate) struct OpaqueCall {
    pub(crate) path: PathRef,
    pub(crate) words: BTreeSet<Name>,
}

/// `macro_rules! name`, with what its rules mention.
#[derive(Debug)]
pub(crate) struct MacroItem {
    pub(crate) name: Name,
    pub(crate) mentions: Vec<Mention>,
    /// Whether its rules may declare something of Bis's.
    pub(crate) declares: bool,
}

/// A macro call in a body.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) name: Name,
    pub(crate) range: Range,
}

/// A path that may lead to a resource.
#[derive(Debug, Clone)]
pub(crate) struct Mention {
    pub(crate) path: PathRef,
    pub(crate) range: Range,
    pub(crate) how: How,
    /// The function's `use` declarations, an index into the module's scopes.
    pub(crate) scope: Option<u32>,
    /// The argument of `.delay(..)` after a publish.
    pub(crate) delay: Option<Box<Delay>>,
}

/// The delay of a publish.
#[derive(Debug, Clone)]
pub(crate) struct Delay {
    pub(crate) value: Constant,
    pub(crate) range: Range,
}

/// What is done with what a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum How {
    /// A method is called on it.
    Method(Name),
    /// It is passed, borrowed or named.
    Use,
    /// It leaves the function as a result.
    Returned,
    /// It is put into a field, static or const.
    Stored,
}

/// A resource where none can be.
#[derive(Debug)]
pub(crate) struct Misplaced {
    pub(crate) range: Range,
    pub(crate) kind: MisplacedKind,
    pub(crate) scope: Option<u32>,
}

#[derive(Debug)]
pub(crate) enum MisplacedKind {
    /// A static of this type inside a function.
    Static(Name, Ty),
    /// A handler's attribute inside a function, or in an `impl` or trait.
    Handler(Name, PathRef, &'static str),
    /// A resource of this type, made within another value.
    Value(PathRef),
}
