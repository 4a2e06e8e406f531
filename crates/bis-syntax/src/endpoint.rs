//! `#[api(METHOD, "/path/{id}", public, layers = [..], body_limit = "..", timeout = "..")]` and `#[mount("/path")]`.

use bis_core::route::{self, PathMistake};
use proc_macro2::TokenStream;
use syn::{Expr, Ident, ItemFn, LitStr, ReturnType};

use crate::{
    ErrorKind, Errors, closest,
    free::check_free,
    handler::check_async,
    layers,
    options::{self, Argument, DurationOption, Known, SizeOption, source_like},
};

/// The HTTP methods that an endpoint can have.
pub const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];

/// Who may call an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anyone, over the public listener.
    Public,
    /// Anyone whom the app's `#[auth]` function accepts, over the public listener.
    Auth,
    /// Only the app's own services, over the internal listener.
    Private,
}

impl Access {
    /// The word in the grammar and in the graph.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Auth => "auth",
            Self::Private => "private",
        }
    }
}

/// The arguments of `#[api]`.
#[derive(Debug, Clone)]
pub struct ApiArgs {
    /// One of [`METHODS`].
    pub method: Ident,
    /// The path, with parameters as `{id}`.
    pub path: LitStr,
    /// Who may call it.
    pub access: Access,
    /// The layers around it, the outermost first.
    pub layers: Vec<Expr>,
    /// The largest body that it takes.
    pub body_limit: Option<SizeOption>,
    /// How long it may take until its answer begins.
    pub timeout: Option<DurationOption>,
}

/// The arguments of `#[mount]`.
#[derive(Debug, Clone)]
pub struct MountArgs {
    /// Where the router is mounted: starts with a slash, and does not end with one unless it is `/`.
    pub path: LitStr,
}

/// The function under `#[api]`.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The function's name, which is the endpoint's.
    pub name: Ident,
}

const EXAMPLE: &str = "#[api(POST, \"/orders/{id}\", public)]";

impl ApiArgs {
    /// Reads the arguments. `None` when one of the three is missing or not understood.
    pub fn parse(tokens: TokenStream, errors: &mut Errors) -> Option<Self> {
        let mut known = Known::new("`#[api]`", &["layers", "body_limit", "timeout"]);
        let before = errors.len();
        let (mut method, mut path, mut access) = (None, None, None);
        let (mut layers, mut body_limit, mut timeout) = (Vec::new(), None, None);
        let mut count = 0;
        for (index, argument) in options::arguments(tokens).into_iter().enumerate() {
            match argument {
                Argument::Plain(tokens) => {
                    count += 1;
                    match index {
                        0 => method = self::method(&tokens, errors),
                        1 => path = self::path(&tokens, errors),
                        2 => access = self::access(&tokens, errors),
                        _ => known.unexpected(&tokens, errors),
                    }
                }
                Argument::Assign(option, value) if known.accept(&option, errors) => {
                    match option.to_string().as_str() {
                        "layers" => layers = layers::list(&value, errors),
                        "body_limit" => body_limit = options::size(&option, &value, errors),
                        _ => timeout = options::duration(&option, &value, errors),
                    }
                }
                Argument::List(option, _) if known.accept(&option, errors) => {
                    let form = match option.to_string().as_str() {
                        "layers" => format!("layers = {}", layers::EXAMPLE),
                        "body_limit" => "body_limit = \"10MB\"".to_owned(),
                        _ => "timeout = \"5s\"".to_owned(),
                    };
                    known.wrong_form(&option, &form, errors);
                }
                Argument::Assign(..) | Argument::List(..) => {}
            }
        }
        if count < 3 && errors.len() == before {
            errors.push_help(
                ErrorKind::Syntax,
                TokenStream::new(),
                "`#[api]` needs a method, a path and who may call it",
                format!("write `{EXAMPLE}`"),
            );
        }
        Some(Self { method: method?, path: path?, access: access?, layers, body_limit, timeout })
    }
}

fn method(tokens: &TokenStream, errors: &mut Errors) -> Option<Ident> {
    let method = syn::parse2::<Ident>(tokens.clone()).ok();
    if let Some(method) = &method
        && METHODS.contains(&method.to_string().as_str())
    {
        return Some(method.clone());
    }
    let text = source_like(tokens);
    let help = match closest(text.trim_matches('"'), METHODS) {
        Some(near) => format!("write `{near}`"),
        None => format!("write one of {}", options::list(&METHODS)),
    };
    errors.push_help(ErrorKind::Route, tokens, format!("`{text}` is not an HTTP method"), help);
    None
}

fn access(tokens: &TokenStream, errors: &mut Errors) -> Option<Access> {
    let text = source_like(tokens);
    match text.as_str() {
        "public" => Some(Access::Public),
        "auth" => Some(Access::Auth),
        "private" => Some(Access::Private),
        _ => {
            errors.push_help(
                ErrorKind::Option,
                tokens,
                format!("`{text}` does not say who may call the endpoint"),
                "write `public` for anyone, `auth` for the app's users, or `private` for the app's own services",
            );
            None
        }
    }
}

fn path(tokens: &TokenStream, errors: &mut Errors) -> Option<LitStr> {
    let literal = options::text(tokens, "the path", "/orders/{id}", errors)?;
    let mistakes = route::path_mistakes(&literal.value());
    check_route(&literal, mistakes, errors).then_some(literal)
}

/// Whether a path can be served and reached; reports each thing that is wrong with it.
fn check_route(literal: &LitStr, mistakes: Vec<PathMistake>, errors: &mut Errors) -> bool {
    let is_right = mistakes.is_empty();
    for PathMistake { message, help } in mistakes {
        errors.push_help(ErrorKind::Route, literal, message, help);
    }
    is_right
}

impl Endpoint {
    /// Reads the signature of an endpoint: async, free of `self` and of type parameters. Extractors are rustc's to check.
    pub fn parse(function: &ItemFn, errors: &mut Errors) -> Option<Self> {
        check_async("an endpoint", function, errors);
        check_free("an endpoint", function, errors);
        Some(Self { name: function.sig.ident.clone() })
    }
}

impl MountArgs {
    /// Reads the arguments.
    pub fn parse(tokens: TokenStream, errors: &mut Errors) -> Option<Self> {
        let literal = options::text(&tokens, "the path of `#[mount]`", "/files", errors)?;
        let mistakes = route::mount_mistakes(&literal.value());
        check_route(&literal, mistakes, errors).then_some(Self { path: literal })
    }
}

/// Checks the function under `#[mount]`: no parameters, not async, returns a router.
pub fn check_mount_function(function: &ItemFn, errors: &mut Errors) {
    let signature = &function.sig;
    if let Some(asyncness) = &signature.asyncness {
        errors.push_help(ErrorKind::Handler, asyncness, "a mount is not async", "write `fn`");
    }
    if !signature.inputs.is_empty() {
        errors.push_help(ErrorKind::Handler, &signature.inputs, "a mount takes no parameters", "remove them");
    }
    if matches!(signature.output, ReturnType::Default) {
        errors.push_help(
            ErrorKind::Handler,
            &signature.ident,
            format!("the mount `{}` returns nothing", signature.ident),
            "return `axum::Router`",
        );
    }
    check_free("a mount", function, errors);
}
