//! `bis::app!(services: [orders, shipping], layers: [..])` and `bis::service!("orders", layers: [..])`.

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::{
    Expr, LitStr, Path, Token, bracketed,
    parse::{Parse, ParseStream, Parser},
    punctuated::Punctuated,
};

use crate::{ErrorKind, Errors, Name, kebab_case, layers};

/// The arguments of `app!`.
#[derive(Debug, Clone)]
pub struct AppArgs {
    /// The module or crate of each service, as written.
    pub services: Vec<Path>,
    /// The layers around everything that the app serves to the public, the outermost first.
    pub layers: Vec<Expr>,
}

/// The arguments of `service!`.
#[derive(Debug, Clone)]
pub struct ServiceArgs {
    /// The service's name.
    pub name: Name,
    /// The literal.
    pub literal: LitStr,
    /// The layers around its endpoints and mounts, the outermost first.
    pub layers: Vec<Expr>,
}

/// The lists of `app!`, each by its name.
struct Lists {
    services: Vec<Path>,
    layers: Option<TokenStream>,
}

impl Parse for Lists {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let (mut services, mut layers) = (None, None);
        while !input.is_empty() {
            let key: Ident = input.parse()?;
            let is_given = match key.to_string().as_str() {
                "services" => services.is_some(),
                "layers" => layers.is_some(),
                _ => return Err(syn::Error::new_spanned(&key, format!("`app!` has no `{key}`"))),
            };
            if is_given {
                return Err(syn::Error::new_spanned(&key, format!("`{key}` is given twice")));
            }
            input.parse::<Token![:]>()?;
            if key == "services" {
                let list;
                bracketed!(list in input);
                services = Some(Punctuated::<Path, Token![,]>::parse_terminated(&list)?);
            } else {
                layers = Some(input.parse::<TokenTree>()?.into());
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        let Some(services) = services else { return Err(input.error("`app!` lists no `services`")) };
        Ok(Self { services: services.into_iter().collect(), layers })
    }
}

impl AppArgs {
    /// Reads the arguments. An empty list is a mistake: an app without a service does nothing.
    pub fn parse(tokens: TokenStream, errors: &mut Errors) -> Option<Self> {
        match syn::parse2::<Lists>(tokens.clone()) {
            Ok(Lists { services, layers }) => {
                if services.is_empty() {
                    errors.push_help(
                        ErrorKind::Value,
                        &tokens,
                        "`app!` lists no service",
                        "name the modules or crates that call `bis::service!`, as in `services: [orders]`",
                    );
                }
                for (index, service) in services.iter().enumerate() {
                    if services[..index].contains(service) {
                        errors.push_help(
                            ErrorKind::Value,
                            service,
                            format!("`{}` is listed twice", crate::options::source_like(service)),
                            "keep one of them",
                        );
                    }
                }
                let layers = layers.map(|layers| layers::list(&layers, errors)).unwrap_or_default();
                Some(Self { services, layers })
            }
            Err(error) => {
                for error in error {
                    errors.push_at(
                        ErrorKind::Syntax,
                        error.span(),
                        error.to_string(),
                        Some("write `bis::app!(services: [orders, shipping])`".to_owned()),
                    );
                }
                None
            }
        }
    }
}

impl ServiceArgs {
    /// Reads the arguments.
    pub fn parse(tokens: TokenStream, errors: &mut Errors) -> Option<Self> {
        let (name, rest) = split_at_comma(tokens);
        let literal = crate::options::text(&name, "the name of `service!`", "orders", errors);
        let layers = Self::layers(rest, errors);
        let literal = literal?;
        Some(Self { name: Name::check(&literal, "service", errors), literal, layers })
    }

    fn layers(rest: TokenStream, errors: &mut Errors) -> Vec<Expr> {
        let parse = |input: ParseStream<'_>| {
            let key: Ident = input.parse()?;
            if key != "layers" {
                return Err(syn::Error::new_spanned(&key, format!("`service!` has no `{key}`")));
            }
            input.parse::<Token![:]>()?;
            let list: TokenTree = input.parse()?;
            input.parse::<Option<Token![,]>>()?;
            if !input.is_empty() {
                return Err(input.error("`service!` takes nothing after its layers"));
            }
            Ok(TokenStream::from(list))
        };
        if rest.is_empty() {
            return Vec::new();
        }
        match parse.parse2(rest) {
            Ok(list) => layers::list(&list, errors),
            Err(error) => {
                let help = format!("write `bis::service!(\"orders\", layers: {})`", layers::EXAMPLE);
                errors.push_at(ErrorKind::Syntax, error.span(), error.to_string(), Some(help));
                Vec::new()
            }
        }
    }
}

/// What is before the first comma, and what is after it.
fn split_at_comma(tokens: TokenStream) -> (TokenStream, TokenStream) {
    let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ',');
    let mut rest = tokens.into_iter();
    let before = rest.by_ref().take_while(|token| !is_comma(token)).collect();
    (before, rest.collect())
}

/// The name of the app in the package `package`: the package's name in kebab-case.
pub fn app_name(package: &str) -> String {
    let name = kebab_case(package);
    if bis_core::name_error(&name).is_none() { name } else { "app".to_owned() }
}
