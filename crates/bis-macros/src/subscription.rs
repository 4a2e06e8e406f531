//! `#[subscription]`: the handler as it is, and in it an entry that joins it to its topic.

use std::time::Duration;

use bis_syntax::{Errors, Handler, RetryArgs, SubscriptionArgs, kebab_case};
use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{ItemFn, ReturnType, spanned::Spanned};

use crate::{calls, support};

const DEFAULT_CONCURRENCY: u64 = 100;
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_BATCH: u64 = 100;
const DEFAULT_BATCH_WAIT: Duration = Duration::from_millis(100);

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::new();
    let args = SubscriptionArgs::parse(arguments, &mut errors);
    let function = match support::function("#[subscription]", &item) {
        Ok(function) => function,
        Err(tokens) => return support::with_errors(tokens, errors),
    };
    let batch = args.as_ref().and_then(|args| args.batch.as_ref());
    let handler = Handler::parse(&function, batch, &mut errors);
    match (args, handler) {
        (Some(args), Some(handler)) if errors.is_empty() => {
            let entry = entry(&args, &handler, &function);
            support::with_first(&function, entry).to_token_stream()
        }
        _ => support::with_errors(support::keep_used(item, &function), errors),
    }
}

fn entry(args: &SubscriptionArgs, handler: &Handler, function: &ItemFn) -> TokenStream {
    let function_name = handler.name.to_string();
    let name = args.name.as_ref().map_or_else(|| kebab_case(&function_name), |name| name.text.clone());
    let position = support::position();
    let retry = retry(args.retry.as_ref());
    let timeout = support::duration(args.timeout.as_ref().map_or(DEFAULT_TIMEOUT, |timeout| timeout.value));
    let concurrency = size(args.concurrency.as_ref().map_or(DEFAULT_CONCURRENCY, |option| option.value));
    let stand_in = if handler.shape.is_batch() { quote!(nested_batch) } else { quote!(nested_handler) };
    let subscribed = support::of_module(&stand_in, &handler.name, subscribed(args, handler, function));
    let must_be_free = support::must_be_free(function);
    let calls = calls::called(&function.block);
    quote! {
        const _: () = {
            ::bis::__private::inventory::submit! {
                ::bis::__private::SubscriptionEntry {
                    module: ::core::module_path!(),
                    function: #function_name,
                    position: #position,
                    name: #name,
                    retry: #retry,
                    timeout: #timeout,
                    concurrency: #concurrency,
                    subscribed: || #subscribed,
                    calls: #calls,
                }
            }
        };
        #must_be_free
    }
}

/// The call that joins topic and handler. Its pieces carry the places at which rustc shall point: a parameter that does
/// not fit at the parameter, a result that does not fit at the result.
fn subscribed(args: &SubscriptionArgs, handler: &Handler, function: &ItemFn) -> TokenStream {
    let topic = &args.topic;
    let topic = quote_spanned!(Span::call_site().located_at(topic.span())=> ::bis::__private::topic(&#topic));
    let mut at_parameter = handler.name.clone();
    at_parameter.set_span(handler.name.span().located_at(handler.parameter.span()));
    let output = match &function.sig.output {
        ReturnType::Type(_, output) => output.span(),
        ReturnType::Default => handler.name.span(),
    };
    let at_output = Span::call_site().located_at(output);
    if handler.shape.is_batch() {
        let batch = args.batch.as_ref();
        let max = size(batch.and_then(|batch| batch.max.as_ref()).map_or(DEFAULT_BATCH, |max| max.value));
        let wait = batch.and_then(|batch| batch.wait.as_ref()).map_or(DEFAULT_BATCH_WAIT, |wait| wait.value);
        let wait = support::duration(wait);
        let takes = quote_spanned!(at_output=> ::bis::__private::takes_batch(#topic, #at_parameter));
        quote!(::bis::__private::batch(#takes, #max, #wait))
    } else {
        let takes = quote_spanned!(at_output=> ::bis::__private::takes(#topic, #at_parameter));
        quote!(::bis::__private::one(#takes))
    }
}

fn retry(retry: Option<&RetryArgs>) -> TokenStream {
    let Some(retry) = retry else {
        return quote!(::bis::__private::RetryPolicy::DEFAULT);
    };
    let policy = retry.policy();
    let max_attempts = policy.max_attempts;
    let min_backoff = support::duration(policy.min_backoff);
    let max_backoff = support::duration(policy.max_backoff);
    quote! {
        ::bis::__private::RetryPolicy {
            max_attempts: #max_attempts,
            min_backoff: #min_backoff,
            max_backoff: #max_backoff,
        }
    }
}

fn size(value: u64) -> TokenStream {
    let value = usize::try_from(value).unwrap_or(usize::MAX);
    quote!(#value)
}
