//! `#[auth]` or `#[auth(challenge = "..")]`, and the function under it.

use proc_macro2::TokenStream;
use syn::{GenericArgument, Ident, ItemFn, LitStr, PathArguments, ReturnType, Type};

use crate::{
    Access, ErrorKind, Errors,
    free::check_free,
    handler::{check_async, ungrouped},
    options::{self, Argument, Known},
};

/// The arguments of `#[auth]`.
#[derive(Debug, Clone, Default)]
pub struct AuthArgs {
    /// The challenge of an answer 401, as the header `WWW-Authenticate` has it.
    pub challenge: Option<LitStr>,
}

/// The function under `#[auth]`.
#[derive(Debug, Clone)]
pub struct AuthFunction {
    /// Its name.
    pub name: Ident,
    /// The user's type where the signature shows it: `User` of `Result<User>`.
    pub user: Option<Type>,
}

/// A parameter that takes the app's user.
#[derive(Debug, Clone)]
pub struct AuthParameter {
    /// The user's type: `User` of `Auth<User>`.
    pub user: Type,
    /// Whether there may be none: `Option<Auth<User>>`.
    pub is_optional: bool,
}

const EXAMPLE: &str = "async fn authenticate(headers: HeaderMap) -> Result<User>";

impl AuthArgs {
    /// Reads the arguments.
    pub fn parse(tokens: TokenStream, errors: &mut Errors) -> Self {
        let mut args = Self::default();
        let mut known = Known::new("`#[auth]`", &["challenge"]);
        let example = "Basic realm=\\\"shop\\\"";
        for argument in options::arguments(tokens) {
            match argument {
                Argument::Assign(name, value) if known.accept(&name, errors) => {
                    let text = options::text(&value, "`challenge`", example, errors);
                    args.challenge = text.filter(|text| check_challenge(text, errors));
                }
                Argument::Assign(..) => {}
                Argument::List(name, _) => {
                    known.wrong_form(&name, &format!("challenge = \"{example}\""), errors);
                }
                Argument::Plain(tokens) => known.unexpected(&tokens, errors),
            }
        }
        args
    }
}

/// What `WWW-Authenticate` can carry: a scheme, and visible ASCII after it
/// (<https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1>).
fn check_challenge(literal: &LitStr, errors: &mut Errors) -> bool {
    let text = literal.value();
    let is_scheme = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+!".contains(&byte))
    };
    let scheme = text.split(' ').next().unwrap_or_default();
    let is_right = is_scheme(scheme) && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if !is_right {
        errors.push_help(
            ErrorKind::Value,
            literal,
            format!("`{}` is not a challenge", text.escape_debug()),
            "write a scheme and its parameters in ASCII, as in `\"Basic realm=\\\"shop\\\"\"`",
        );
    }
    is_right
}

impl AuthFunction {
    /// Reads the signature: async, free of `self` and of type parameters, with a result. Extractors are rustc's to check.
    pub fn parse(function: &ItemFn, errors: &mut Errors) -> Self {
        let signature = &function.sig;
        check_async("an `#[auth]` function", function, errors);
        check_free("an `#[auth]` function", function, errors);
        let user = match &signature.output {
            ReturnType::Default => {
                errors.push_help(
                    ErrorKind::Handler,
                    &signature.ident,
                    format!("the `#[auth]` function `{}` returns nothing", signature.ident),
                    format!("return who asks, as in `{EXAMPLE}`"),
                );
                None
            }
            ReturnType::Type(_, output) if has_impl(output) => {
                errors.push_help(
                    ErrorKind::Handler,
                    output,
                    "the user's type has no name here",
                    format!("name it, as in `{EXAMPLE}`"),
                );
                None
            }
            ReturnType::Type(_, output) => argument_of(output, "Result").cloned(),
        };
        Self { name: signature.ident.clone(), user }
    }
}

/// Whether a type is, or contains, an `impl Trait`.
fn has_impl(ty: &Type) -> bool {
    struct Impl(bool);
    impl<'ast> syn::visit::Visit<'ast> for Impl {
        fn visit_type_impl_trait(&mut self, _: &'ast syn::TypeImplTrait) {
            self.0 = true;
        }
    }
    let mut found = Impl(false);
    syn::visit::Visit::visit_type(&mut found, ty);
    found.0
}

/// What a parameter's type says about the app's user, as it is written: an alias hides it.
pub fn auth_parameter(ty: &Type) -> Option<AuthParameter> {
    if let Some(user) = argument_of(ty, "Auth") {
        return Some(AuthParameter { user: user.clone(), is_optional: false });
    }
    let inner = argument_of(ty, "Option")?;
    let user = argument_of(inner, "Auth")?.clone();
    Some(AuthParameter { user, is_optional: true })
}

/// The first type in `name<..>`.
fn argument_of<'a>(ty: &'a Type, name: &str) -> Option<&'a Type> {
    let Type::Path(path) = ungrouped(ty) else { return None };
    let last = path.path.segments.last().filter(|last| last.ident == name)?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

/// Reports `Auth<..>` where an endpoint of this access has no user to give.
pub fn check_auth_parameters(access: Access, function: &ItemFn, errors: &mut Errors) {
    if access != Access::Public {
        return;
    }
    for input in &function.sig.inputs {
        let syn::FnArg::Typed(typed) = input else { continue };
        if let Some(AuthParameter { is_optional: false, .. }) = auth_parameter(&typed.ty) {
            errors.push_help(
                ErrorKind::Access,
                &typed.ty,
                "a `public` endpoint is for callers without credentials too, and `Auth<..>` has none for them",
                "make the endpoint `auth`, or take `Option<Auth<..>>`",
            );
        }
    }
}
