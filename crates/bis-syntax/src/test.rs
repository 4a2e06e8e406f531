//! `#[bis::test(app = shop::app, with(shipping::CARRIER = Carrier::fake()), chaos = 42)]`.

use proc_macro2::{Ident, TokenStream};
use syn::{
    Expr, ItemFn, Path, Token,
    parse::{Parse, ParseStream, Parser},
    punctuated::Punctuated,
};

use crate::{
    ErrorKind, Errors,
    handler::check_async,
    options::{self, Argument, DurationOption, Known},
};

/// The arguments of `#[bis::test]`.
#[derive(Debug, Clone)]
pub struct TestArgs {
    /// The function that makes the app; `None` for a test that starts its app itself.
    pub app: Option<Path>,
    /// The values that take the place of resources.
    pub with: Vec<ReplacedResource>,
    /// The faults to inject: an expression.
    pub chaos: Option<Expr>,
    /// How long handlers may wait for something other than the app's time, of real time.
    pub patience: Option<DurationOption>,
}

/// A resource and the value in its place.
#[derive(Debug, Clone)]
pub struct ReplacedResource {
    /// The path of the resource's static.
    pub resource: Path,
    /// The value: an expression.
    pub value: Expr,
}

impl Parse for ReplacedResource {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let resource = input.parse()?;
        input.parse::<Token![=]>()?;
        Ok(Self { resource, value: input.parse()? })
    }
}

const WITH_EXAMPLE: &str = "write `with(shipping::CARRIER = Carrier::fake())`";

const EXAMPLE: &str = "#[bis::test(app = shop::app)]";

impl TestArgs {
    /// Reads the arguments. `None` when it is not clear what is tested.
    pub fn parse(tokens: TokenStream, errors: &mut Errors) -> Option<Self> {
        let mut known = Known::new("`#[bis::test]`", &["app", "with", "chaos", "patience"]);
        let before = errors.len();
        let mut args = Self { app: None, with: Vec::new(), chaos: None, patience: None };
        for argument in options::arguments(tokens) {
            match argument {
                Argument::Plain(tokens) => known.unexpected(&tokens, errors),
                Argument::List(name, inner) => {
                    if !known.accept(&name, errors) {
                        continue;
                    }
                    let form = match name.to_string().as_str() {
                        "with" => {
                            args.with = parse_with(&name, inner, errors);
                            continue;
                        }
                        "chaos" => "chaos = 42",
                        "patience" => "patience = \"1m\"",
                        _ => "app = shop::app",
                    };
                    known.wrong_form(&name, form, errors);
                }
                Argument::Assign(name, value) => {
                    if !known.accept(&name, errors) {
                        continue;
                    }
                    match name.to_string().as_str() {
                        "with" => {
                            known.wrong_form(&name, "with(shipping::CARRIER = Carrier::fake())", errors);
                        }
                        "chaos" => args.chaos = parse_chaos(&value, errors),
                        "patience" => args.patience = options::duration(&name, &value, errors),
                        _ => args.app = parse_app(&value, errors),
                    }
                }
            }
        }
        if args.app.is_none() && errors.len() > before {
            return None;
        }
        if let (None, [first, ..]) = (&args.app, &args.with[..]) {
            errors.push_help(
                ErrorKind::Syntax,
                &first.resource,
                "`with(..)` needs the app whose resource it replaces",
                format!("write `#[bis::test(app = shop::app, with(..))]`, or `TestApp::builder(shop::app()).with(&{}, ..)` in the test", options::source_like(&first.resource)),
            );
        }
        Some(args)
    }
}

/// `shipping::CARRIER = Carrier::fake(), ..`
fn parse_with(name: &Ident, tokens: TokenStream, errors: &mut Errors) -> Vec<ReplacedResource> {
    let parser = Punctuated::<ReplacedResource, Token![,]>::parse_terminated;
    match parser.parse2(tokens) {
        Ok(all) if all.is_empty() => {
            errors.push_help(ErrorKind::Syntax, name, "`with(..)` replaces no resource", WITH_EXAMPLE);
            Vec::new()
        }
        Ok(all) => all.into_iter().collect(),
        Err(error) => {
            let text = format!("`with(..)` has a resource and a value, but here: {error}");
            errors.push_help(ErrorKind::Syntax, name, text, WITH_EXAMPLE);
            Vec::new()
        }
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

/// Checks the function under `#[bis::test]`: async, with one parameter, the `TestApp`; without one where it starts its app
/// itself.
pub fn check_test_function(function: &ItemFn, args: Option<&TestArgs>, errors: &mut Errors) {
    check_async("a test", function, errors);
    let Some(args) = args else { return };
    let name = &function.sig.ident;
    match &args.app {
        None if !function.sig.inputs.is_empty() => {
            errors.push_help(
                ErrorKind::Syntax,
                &function.sig.inputs,
                format!("the test `{name}` takes an app, and `#[bis::test]` names none"),
                format!("write `{EXAMPLE}`, or take the parameter away and start the app with `TestApp::builder(shop::app()).start().await?`"),
            );
        }
        Some(_) if function.sig.inputs.len() != 1 || function.sig.receiver().is_some() => {
            errors.push_help(
                ErrorKind::Handler,
                name,
                format!("the test `{name}` must take one parameter"),
                "write `(app: TestApp)`",
            );
        }
        _ => {}
    }
}
