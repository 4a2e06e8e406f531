//! `#[subscription]`: the unchanged handler, and inside it an entry that joins it to its topic.

use bis_syntax::{Errors, Handler, RetryPolicy, SubscriptionArgs, SubscriptionPolicy};
use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{ItemFn, ReturnType, spanned::Spanned};

use crate::{calls, support};

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
    let name = args.name(&handler.name);
    let position = support::position();
    let policy = args.policy();
    let SubscriptionPolicy { concurrency, .. } = policy;
    let retry = retry(policy.retry);
    let timeout = support::duration(policy.timeout);
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

/// The call that joins topic and handler. Its pieces carry the places at which rustc should point: a parameter that does
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
        let batch = args.policy().batch;
        let (max, wait) = (batch.max, support::duration(batch.wait));
        let takes = quote_spanned!(at_output=> ::bis::__private::takes_batch(#topic, #at_parameter));
        quote!(::bis::__private::batch(#takes, #max, #wait))
    } else {
        let takes = quote_spanned!(at_output=> ::bis::__private::takes(#topic, #at_parameter));
        quote!(::bis::__private::one(#takes))
    }
}

fn retry(policy: RetryPolicy) -> TokenStream {
    if policy == RetryPolicy::DEFAULT {
        return quote!(::bis::__private::RetryPolicy::DEFAULT);
    }
    let RetryPolicy { max_attempts, .. } = policy;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_docs_state_the_defaults() {
        let SubscriptionPolicy { retry, timeout, concurrency, batch } = SubscriptionPolicy::DEFAULT;
        let text = bis_syntax::format_duration;
        let (min, max) = (text(retry.min_backoff), text(retry.max_backoff));
        let rows = [
            format!(
                "| `retry(max = N, min_backoff = \"..\", max_backoff = \"..\")` | {}, `{min}`, `{max}` |",
                retry.max_attempts
            ),
            format!("| `timeout = \"..\"` | `{}` |", text(timeout)),
            format!("| `concurrency = N` | {concurrency} |"),
            format!("| `batch(max = N, wait = \"..\")` | {}, `{}` |", batch.max, text(batch.wait)),
        ];
        for row in rows {
            assert!(include_str!("lib.rs").contains(&row), "{row}");
        }
    }
}
