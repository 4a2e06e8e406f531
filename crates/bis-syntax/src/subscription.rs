//! `#[subscription(PATH, name = "..", retry(..), timeout = "..", concurrency = N, batch(..))]`.

use std::time::Duration;

use bis_core::{
    BatchPolicy, RetryPolicy, SubscriptionPolicy,
    policy::{MAX_BATCH, MAX_CONCURRENCY},
};
use proc_macro2::{Ident, Span, TokenStream};
use syn::Path;

use crate::{
    ErrorKind, Errors, Name, kebab_case,
    options::{self, Argument, DurationOption, IntegerOption, Known},
};

/// The arguments of `#[subscription]`.
#[derive(Debug, Clone)]
pub struct SubscriptionArgs {
    /// The static of the topic.
    pub topic: Path,
    /// The subscription's name. Default: the function's name in kebab-case.
    pub name: Option<Name>,
    /// What differs from the default retry policy.
    pub retry: Option<RetryArgs>,
    /// How long the handler may run.
    pub timeout: Option<DurationOption>,
    /// How many deliveries a process handles at once.
    pub concurrency: Option<IntegerOption>,
    /// How batches are made. Only for handlers that take a `Vec`.
    pub batch: Option<BatchArgs>,
}

/// `retry(max = 5, min_backoff = "1s", max_backoff = "5m")`; what is absent keeps its default.
#[derive(Debug, Clone, Default)]
pub struct RetryArgs {
    /// How often an event is attempted in all.
    pub max: Option<IntegerOption>,
    /// The wait after the first attempt.
    pub min_backoff: Option<DurationOption>,
    /// The longest wait.
    pub max_backoff: Option<DurationOption>,
}

/// `batch(max = 100, wait = "100ms")`; what is absent keeps its default.
#[derive(Debug, Clone)]
pub struct BatchArgs {
    /// The most events in a batch.
    pub max: Option<IntegerOption>,
    /// How long to wait for more.
    pub wait: Option<DurationOption>,
    /// Where `batch` is.
    pub span: Span,
}

const EXAMPLE: &str = "#[subscription(orders::PLACED, name = \"ship\")]";

impl SubscriptionArgs {
    /// Reads the arguments. `None` when there is no topic to go on with.
    pub fn parse(tokens: TokenStream, errors: &mut Errors) -> Option<Self> {
        let mut known =
            Known::new("`#[subscription]`", &["name", "retry", "timeout", "concurrency", "batch"]);
        let mut topic = None;
        let (mut name, mut retry, mut timeout, mut concurrency, mut batch) = (None, None, None, None, None);
        for (index, argument) in options::arguments(tokens).into_iter().enumerate() {
            match argument {
                Argument::Plain(tokens) if index == 0 => topic = Some(topic_path(tokens, errors)),
                Argument::Plain(tokens) => known.unexpected(&tokens, errors),
                Argument::Assign(option, value) if known.accept(&option, errors) => {
                    match option.to_string().as_str() {
                        "name" => {
                            name = options::text(&value, "`name`", "ship", errors)
                                .map(|text| Name::check(&text, "subscription", errors));
                        }
                        "timeout" => timeout = options::duration(&option, &value, errors),
                        "concurrency" => {
                            concurrency =
                                options::integer(&option, &value, (1, MAX_CONCURRENCY as u64), errors);
                        }
                        "retry" => known.wrong_form(&option, "retry(max = 5)", errors),
                        _ => known.wrong_form(&option, "batch(max = 100)", errors),
                    }
                }
                Argument::List(option, tokens) if known.accept(&option, errors) => {
                    match option.to_string().as_str() {
                        "retry" => retry = Some(RetryArgs::parse(tokens, errors)),
                        "batch" => batch = Some(BatchArgs::parse(option.span(), tokens, errors)),
                        "name" => known.wrong_form(&option, "name = \"ship\"", errors),
                        "timeout" => known.wrong_form(&option, "timeout = \"30s\"", errors),
                        _ => known.wrong_form(&option, "concurrency = 100", errors),
                    }
                }
                Argument::Assign(..) | Argument::List(..) => {}
            }
        }
        if topic.is_none() {
            errors.push_help(
                ErrorKind::Syntax,
                TokenStream::new(),
                "`#[subscription]` names no topic",
                format!("begin with the topic's static: `{EXAMPLE}`"),
            );
        }
        Some(Self { topic: topic??, name, retry, timeout, concurrency, batch })
    }

    /// The name of the subscription whose handler is `function`.
    pub fn name(&self, function: &Ident) -> String {
        match &self.name {
            Some(name) => name.text.clone(),
            None => kebab_case(&function.to_string()),
        }
    }

    /// The policy, with the defaults where nothing is said.
    pub fn policy(&self) -> SubscriptionPolicy {
        let default = SubscriptionPolicy::DEFAULT;
        SubscriptionPolicy {
            retry: self.retry.as_ref().map_or(default.retry, RetryArgs::policy),
            timeout: self.timeout.as_ref().map_or(default.timeout, |option| option.value),
            concurrency: self.concurrency.as_ref().map_or(default.concurrency, size),
            batch: self.batch.as_ref().map_or(default.batch, BatchArgs::policy),
        }
    }
}

/// A number that was found to be within a bound that fits.
fn size(option: &IntegerOption) -> usize {
    usize::try_from(option.value).unwrap_or(usize::MAX)
}

fn topic_path(tokens: TokenStream, errors: &mut Errors) -> Option<Path> {
    match syn::parse2::<Path>(tokens.clone()) {
        Ok(path) => Some(path),
        Err(_) => {
            errors.push_help(
                ErrorKind::Syntax,
                &tokens,
                format!("`{}` is not the path of a topic's static", options::source_like(&tokens)),
                format!("write `{EXAMPLE}`"),
            );
            None
        }
    }
}

/// Reports a shortest wait that is longer than the longest one, at the place of one of the two.
pub(crate) fn check_backoffs(span: Option<Span>, min: Duration, max: Duration, errors: &mut Errors) {
    let Some(span) = span.filter(|_| min > max) else { return };
    errors.push_at(
        ErrorKind::Value,
        span,
        format!(
            "`min_backoff` ({}) is longer than `max_backoff` ({})",
            bis_core::format_duration(min),
            bis_core::format_duration(max)
        ),
        Some("set both, and make `min_backoff` the shorter one".to_owned()),
    );
}

impl RetryArgs {
    fn parse(tokens: TokenStream, errors: &mut Errors) -> Self {
        let mut known = Known::new("`retry(..)`", &["max", "min_backoff", "max_backoff"]);
        let mut retry = Self::default();
        for argument in options::arguments(tokens) {
            match argument {
                Argument::Plain(tokens) => known.unexpected(&tokens, errors),
                Argument::Assign(option, value) if known.accept(&option, errors) => {
                    match option.to_string().as_str() {
                        "max" => {
                            retry.max = options::integer(&option, &value, (1, u64::from(u32::MAX)), errors);
                        }
                        "min_backoff" => retry.min_backoff = options::duration(&option, &value, errors),
                        _ => retry.max_backoff = options::duration(&option, &value, errors),
                    }
                }
                Argument::List(option, _) if known.accept(&option, errors) => {
                    known.wrong_form(&option, "max = 5", errors);
                }
                Argument::Assign(..) | Argument::List(..) => {}
            }
        }
        retry.check_order(errors);
        retry
    }

    fn check_order(&self, errors: &mut Errors) {
        let default = RetryPolicy::DEFAULT;
        let min = self.min_backoff.as_ref().map_or(default.min_backoff, |option| option.value);
        let max = self.max_backoff.as_ref().map_or(default.max_backoff, |option| option.value);
        let span = self.max_backoff.as_ref().or(self.min_backoff.as_ref()).map(|option| option.span);
        check_backoffs(span, min, max, errors);
    }

    /// The policy, with the defaults where nothing is said.
    pub fn policy(&self) -> RetryPolicy {
        let default = RetryPolicy::DEFAULT;
        RetryPolicy {
            max_attempts: self
                .max
                .as_ref()
                .map_or(default.max_attempts, |max| u32::try_from(max.value).unwrap_or(u32::MAX)),
            min_backoff: self.min_backoff.as_ref().map_or(default.min_backoff, |option| option.value),
            max_backoff: self.max_backoff.as_ref().map_or(default.max_backoff, |option| option.value),
        }
    }
}

impl BatchArgs {
    fn parse(span: Span, tokens: TokenStream, errors: &mut Errors) -> Self {
        let mut known = Known::new("`batch(..)`", &["max", "wait"]);
        let mut batch = Self { max: None, wait: None, span };
        for argument in options::arguments(tokens) {
            match argument {
                Argument::Plain(tokens) => known.unexpected(&tokens, errors),
                Argument::Assign(option, value) if known.accept(&option, errors) => {
                    if option == "max" {
                        batch.max = options::integer(&option, &value, (1, MAX_BATCH as u64), errors);
                    } else {
                        batch.wait = options::duration(&option, &value, errors);
                    }
                }
                Argument::List(option, _) if known.accept(&option, errors) => {
                    known.wrong_form(&option, "max = 100", errors);
                }
                Argument::Assign(..) | Argument::List(..) => {}
            }
        }
        batch
    }
    /// The policy, with the defaults where nothing is said.
    pub fn policy(&self) -> BatchPolicy {
        let default = BatchPolicy::DEFAULT;
        BatchPolicy {
            max: self.max.as_ref().map_or(default.max, size),
            wait: self.wait.as_ref().map_or(default.wait, |option| option.value),
        }
    }
}
