//! `#[bis::test(app = shop::app, chaos = 42)]`.

use proc_macro2::TokenStream;
use syn::{Expr, ItemFn, Path};

use crate::{
    ErrorKind, Errors,
    handler::check_async,
    options::{self, Argument, DurationOption, Known},
};

/// The arguments of `#[bis::test]`.
#[derive(Debug, Clone)]
pub struct TestArgs {
    /// The function that makes the app.
    pub app: Path,
    /// The faults to inject: an expression.
    pub chaos: Option<Expr>,
    /// How long handlers may wait for something other than the app's time, of real time.
    pub patience: Option<DurationOption>,
}

const EXAMPLE: &str = "#[bis::test(app = shop::app)]";

impl TestArgs {
    /// Reads the arguments. `None` when there is no app to test.
    pub fn parse(tokens: TokenStream, errors: &mut Errors) -> Option<Self> {
        let mut known = Known::new("`#[bis::test]`", &["app", "chaos", "patience"]);
        let before = errors.len();
        let mut app = None;
        let mut chaos = None;
        let mut patience = None;
        for argument in options::arguments(tokens) {
            match argument {
                Argument::Plain(tokens) => known.unexpected(&tokens, errors),
                Argument::List(name, _) => {
                    if known.accept(&name, errors) {
                        let form = match name.to_string().as_str() {
                            "chaos" => "chaos = 42",
                            "patience" => "patience = \"1m\"",
                            _ => "app = shop::app",
                        };
                        known.wrong_form(&name, form, errors);
                    }
                }
                Argument::Assign(name, value) => {
                    if !known.accept(&name, errors) {
                        continue;
                    }
                    match name.to_string().as_str() {
                        "chaos" => chaos = parse_chaos(&value, errors),
                        "patience" => patience = options::duration(&name, &value, errors),
                        _ => app = parse_app(&value, errors),
                    }
                }
            }
        }
        if app.is_none() && errors.len() == before {
            errors.push_help(
                ErrorKind::Syntax,
                TokenStream::new(),
                "`#[bis::test]` names no app",
                format!("write `{EXAMPLE}`"),
            );
        }
        Some(Self { app: app?, chaos, patience })
    }
}

fn parse_chaos(value: &TokenStream, errors: &mut Errors) -> Option<Expr> {
    let chaos = syn::parse2::<Expr>(value.clone()).ok();
    if chaos.is_none() {
        errors.push_help(
            ErrorKind::Syntax,
            value,
            "`chaos` must be a seed, a range of seeds, or an expression of the type `Chaos`",
            "write `chaos = 42`",
        );
    }
    chaos
}

fn parse_app(value: &TokenStream, errors: &mut Errors) -> Option<Path> {
    let app = syn::parse2::<Path>(value.clone()).ok();
    if app.is_none() {
        errors.push_help(
            ErrorKind::Syntax,
            value,
            "`app` must be the path of the function that `bis::app!` made",
            format!("write `{EXAMPLE}`"),
        );
    }
    app
}

/// Checks the function under `#[bis::test]`: async, with one parameter, the `TestApp`.
pub fn check_test_function(function: &ItemFn, errors: &mut Errors) {
    check_async("a test", function, errors);
    if function.sig.inputs.len() != 1 || function.sig.receiver().is_some() {
        errors.push_help(
            ErrorKind::Handler,
            &function.sig.ident,
            format!("the test `{}` must take one parameter", function.sig.ident),
            "write `(app: TestApp)`",
        );
    }
}
