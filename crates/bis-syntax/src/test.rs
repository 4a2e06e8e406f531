//! `#[bis::test(app = shop::app)]`.

use proc_macro2::TokenStream;
use syn::{ItemFn, Path};

use crate::{
    ErrorKind, Errors,
    handler::check_async,
    options::{self, Argument, Known},
};

/// The arguments of `#[bis::test]`.
#[derive(Debug, Clone)]
pub struct TestArgs {
    /// The function that makes the app.
    pub app: Path,
}

const EXAMPLE: &str = "#[bis::test(app = shop::app)]";

impl TestArgs {
    /// Reads the arguments. `None` when there is no app to test.
    pub fn parse(tokens: TokenStream, errors: &mut Errors) -> Option<Self> {
        let mut known = Known::new("`#[bis::test]`", &["app"]);
        let before = errors.len();
        let mut app = None;
        for argument in options::arguments(tokens) {
            match argument {
                Argument::Plain(tokens) => known.unexpected(&tokens, errors),
                Argument::List(name, _) => {
                    if known.accept(&name, errors) {
                        known.wrong_form(&name, "app = shop::app", errors);
                    }
                }
                Argument::Assign(name, value) if known.accept(&name, errors) => {
                    app = syn::parse2::<Path>(value.clone()).ok();
                    if app.is_none() {
                        errors.push_help(
                            ErrorKind::Syntax,
                            &value,
                            "`app` must be the path of the function that `bis::app!` made",
                            format!("write `{EXAMPLE}`"),
                        );
                    }
                }
                Argument::Assign(..) => {}
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
        Some(Self { app: app? })
    }
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
