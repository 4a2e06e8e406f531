//! `bis::app!(services: [orders, shipping])` and `bis::service!("orders")`.

use proc_macro2::TokenStream;
use syn::{
    LitStr, Path, Token, bracketed,
    parse::{Parse, ParseStream},
    punctuated::Punctuated,
};

use crate::{ErrorKind, Errors, Name, kebab_case};

/// The arguments of `app!`.
#[derive(Debug, Clone)]
pub struct AppArgs {
    /// The module or crate of each service, as written.
    pub services: Vec<Path>,
}

/// The arguments of `service!`.
#[derive(Debug, Clone)]
pub struct ServiceArgs {
    /// The service's name.
    pub name: Name,
    /// The literal.
    pub literal: LitStr,
}

struct Services(Vec<Path>);

impl Parse for Services {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let key: syn::Ident = input.parse()?;
        if key != "services" {
            return Err(syn::Error::new_spanned(&key, format!("`app!` has no `{key}`")));
        }
        input.parse::<Token![:]>()?;
        let list;
        bracketed!(list in input);
        let paths = Punctuated::<Path, Token![,]>::parse_terminated(&list)?;
        input.parse::<Option<Token![,]>>()?;
        if !input.is_empty() {
            return Err(input.error("`app!` takes nothing after the list of services"));
        }
        Ok(Self(paths.into_iter().collect()))
    }
}

impl AppArgs {
    /// Reads the arguments. An empty list is a mistake: an app without a service does nothing.
    pub fn parse(tokens: TokenStream, errors: &mut Errors) -> Option<Self> {
        match syn::parse2::<Services>(tokens.clone()) {
            Ok(Services(services)) => {
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
                Some(Self { services })
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
        let literal = crate::options::text(&tokens, "the name of `service!`", "orders", errors)?;
        Some(Self { name: Name::check(&literal, "service", errors), literal })
    }
}

/// The name of the app in the package `package`: the package's name in kebab-case.
pub fn app_name(package: &str) -> String {
    let name = kebab_case(package);
    if bis_core::name_error(&name).is_none() { name } else { "app".to_owned() }
}
