//! `bis::resource!(Carrier::connect)`, the value of a static of the type `Resource`.

use proc_macro2::TokenStream;
use syn::{
    Expr, Token,
    parse::{Parse, ParseStream},
};

use crate::{ErrorKind, Errors, options::source_like};

const EXAMPLE: &str =
    "write `bis::resource!(Carrier::connect)` with an `async fn connect() -> Result<Carrier>`";

/// The argument of `resource!`.
#[derive(Debug, Clone)]
pub struct ResourceArgs {
    /// The function that creates the value.
    pub constructor: Expr,
}

impl Parse for ResourceArgs {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let constructor = input.parse()?;
        input.parse::<Option<Token![,]>>()?;
        if !input.is_empty() {
            return Err(input.error("`resource!` takes nothing after the function that creates the value"));
        }
        Ok(Self { constructor })
    }
}

impl ResourceArgs {
    /// Reads the argument. `None` when it cannot be a function.
    pub fn parse(tokens: TokenStream, errors: &mut Errors) -> Option<Self> {
        if tokens.is_empty() {
            let message = "`resource!` names no function that creates the value";
            errors.push_help(ErrorKind::Syntax, &tokens, message, EXAMPLE);
            return None;
        }
        let args = match syn::parse2::<Self>(tokens) {
            Ok(args) => args,
            Err(error) => {
                for error in error {
                    let text = error.to_string();
                    errors.push_at(ErrorKind::Syntax, error.span(), text, Some(EXAMPLE.to_owned()));
                }
                return None;
            }
        };
        match called(&args.constructor) {
            None => Some(args),
            Some(help) => {
                let message = "`resource!` takes the function that creates the value, not what it returns";
                errors.push_help(ErrorKind::Value, &args.constructor, message, help);
                None
            }
        }
    }
}

/// What to write for a constructor that is called.
fn called(constructor: &Expr) -> Option<String> {
    match constructor {
        Expr::Await(awaited) => called(&awaited.base).or_else(|| Some(EXAMPLE.to_owned())),
        Expr::Try(tried) => called(&tried.expr),
        Expr::Call(call) if call.args.is_empty() => Some(format!("write `{}`", source_like(&call.func))),
        Expr::Call(_) => {
            Some(format!("write `|| {}`, which is called when the app starts", source_like(constructor)))
        }
        Expr::Paren(paren) => called(&paren.expr),
        Expr::Group(group) => called(&group.expr),
        _ => None,
    }
}
