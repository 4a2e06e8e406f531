//! `#[on_start]`, `#[on_stop]` and `#[background(restart(..))]`, and the function under them.

use bis_core::RestartPolicy;
use proc_macro2::TokenStream;
use syn::{Ident, ItemFn, ReturnType};

use crate::{
    ErrorKind, Errors,
    free::check_free,
    handler::check_async,
    options::{self, Argument, DurationOption, Known},
    subscription::check_backoffs,
};

/// When a function of a service runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// Before the app is ready.
    OnStart,
    /// When the app stops.
    OnStop,
}

impl Hook {
    /// The attribute's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OnStart => "on_start",
            Self::OnStop => "on_stop",
        }
    }

    /// Checks that the attribute has no arguments.
    pub fn check_arguments(self, tokens: &TokenStream, errors: &mut Errors) {
        if !tokens.is_empty() {
            Known::new(self.attribute(), &[]).unexpected(tokens, errors);
        }
    }

    /// Reads the function under the attribute.
    pub fn function(self, function: &ItemFn, errors: &mut Errors) -> LifecycleFunction {
        LifecycleFunction::parse(self.what(), function, errors)
    }

    const fn attribute(self) -> &'static str {
        match self {
            Self::OnStart => "`#[on_start]`",
            Self::OnStop => "`#[on_stop]`",
        }
    }

    const fn what(self) -> &'static str {
        match self {
            Self::OnStart => "an `on_start` function",
            Self::OnStop => "an `on_stop` function",
        }
    }
}

/// The arguments of `#[background]`.
#[derive(Debug, Clone, Default)]
pub struct BackgroundArgs {
    /// What differs from the default restart policy.
    pub restart: Option<RestartArgs>,
}

/// `restart(min_backoff = "1s", max_backoff = "1m")`; what is absent keeps its default.
#[derive(Debug, Clone, Default)]
pub struct RestartArgs {
    /// The wait after the first end.
    pub min_backoff: Option<DurationOption>,
    /// The longest wait.
    pub max_backoff: Option<DurationOption>,
}

/// The signature of a function under one of the three attributes.
#[derive(Debug, Clone)]
pub struct LifecycleFunction {
    /// The function's name.
    pub name: Ident,
}

const RESTART: &str = "restart(max_backoff = \"5m\")";

impl BackgroundArgs {
    /// Reads the arguments.
    pub fn parse(tokens: TokenStream, errors: &mut Errors) -> Self {
        let mut known = Known::new("`#[background]`", &["restart"]);
        let mut args = Self::default();
        for argument in options::arguments(tokens) {
            match argument {
                Argument::List(option, tokens) if known.accept(&option, errors) => {
                    args.restart = Some(RestartArgs::parse(tokens, errors));
                }
                Argument::Assign(option, _) if known.accept(&option, errors) => {
                    known.wrong_form(&option, RESTART, errors);
                }
                Argument::Plain(tokens) => known.unexpected(&tokens, errors),
                Argument::Assign(..) | Argument::List(..) => {}
            }
        }
        args
    }

    /// Reads the function under the attribute.
    pub fn function(function: &ItemFn, errors: &mut Errors) -> LifecycleFunction {
        LifecycleFunction::parse("a background function", function, errors)
    }

    /// The policy, with the defaults where nothing is said.
    pub fn policy(&self) -> RestartPolicy {
        self.restart.as_ref().map_or(RestartPolicy::DEFAULT, RestartArgs::policy)
    }
}

impl RestartArgs {
    fn parse(tokens: TokenStream, errors: &mut Errors) -> Self {
        let mut known = Known::new("`restart(..)`", &["min_backoff", "max_backoff"]);
        let mut restart = Self::default();
        for argument in options::arguments(tokens) {
            match argument {
                Argument::Assign(option, value) if known.accept(&option, errors) => {
                    let duration = options::duration(&option, &value, errors);
                    if option == "min_backoff" {
                        restart.min_backoff = duration;
                    } else {
                        restart.max_backoff = duration;
                    }
                }
                Argument::List(option, _) if known.accept(&option, errors) => {
                    known.wrong_form(&option, &format!("{option} = \"5m\""), errors);
                }
                Argument::Plain(tokens) => known.unexpected(&tokens, errors),
                Argument::Assign(..) | Argument::List(..) => {}
            }
        }
        let RestartPolicy { min_backoff, max_backoff } = restart.policy();
        let span = restart.max_backoff.as_ref().or(restart.min_backoff.as_ref()).map(|option| option.span);
        check_backoffs(span, min_backoff, max_backoff, errors);
        restart
    }

    fn policy(&self) -> RestartPolicy {
        let default = RestartPolicy::DEFAULT;
        RestartPolicy {
            min_backoff: self.min_backoff.as_ref().map_or(default.min_backoff, |option| option.value),
            max_backoff: self.max_backoff.as_ref().map_or(default.max_backoff, |option| option.value),
        }
    }
}

impl LifecycleFunction {
    /// Reads the signature: async, free, without parameters, with a result. Its type is rustc's to check.
    fn parse(what: &'static str, function: &ItemFn, errors: &mut Errors) -> Self {
        let signature = &function.sig;
        check_async(what, function, errors);
        check_free(what, function, errors);
        if !signature.inputs.is_empty() && signature.receiver().is_none() {
            errors.push_help(
                ErrorKind::Handler,
                &signature.inputs,
                format!("{what} takes no parameters"),
                "remove them, and use statics, which belong to the running app",
            );
        }
        if matches!(signature.output, ReturnType::Default) {
            errors.push_help(
                ErrorKind::Handler,
                &signature.ident,
                format!("`{}` returns nothing", signature.ident),
                format!("return `bis::Result<()>`, as {what} does"),
            );
        }
        Self { name: signature.ident.clone() }
    }
}
