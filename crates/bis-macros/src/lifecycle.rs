//! `#[on_start]`, `#[on_stop]` and `#[background]`: the unchanged function, and inside it an entry by which its app calls it.

use bis_syntax::{BackgroundArgs, Errors, Hook, LifecycleFunction, RestartPolicy};
use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{ItemFn, ReturnType, spanned::Spanned};

use crate::{calls, support};

/// Expands `#[on_start]` or `#[on_stop]`.
pub(crate) fn hook(hook: Hook, arguments: &TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::new();
    hook.check_arguments(arguments, &mut errors);
    let function = match support::function(&format!("#[{}]", hook.as_str()), &item) {
        Ok(function) => function,
        Err(tokens) => return support::with_errors(tokens, errors),
    };
    let parsed = hook.function(&function, &mut errors);
    let role = match hook {
        Hook::OnStart => quote!(OnStart),
        Hook::OnStop => quote!(OnStop),
    };
    expand(&parsed, &role, item, &function, errors)
}

/// Expands `#[background]`.
pub(crate) fn background(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::new();
    let args = BackgroundArgs::parse(arguments, &mut errors);
    let function = match support::function("#[background]", &item) {
        Ok(function) => function,
        Err(tokens) => return support::with_errors(tokens, errors),
    };
    let parsed = BackgroundArgs::function(&function, &mut errors);
    let policy = restart(args.policy());
    expand(&parsed, &quote!(Background(#policy)), item, &function, errors)
}

fn expand(
    parsed: &LifecycleFunction,
    role: &TokenStream,
    item: TokenStream,
    function: &ItemFn,
    errors: Errors,
) -> TokenStream {
    if !errors.is_empty() {
        return support::with_errors(support::keep_used(item, function), errors);
    }
    let name = &parsed.name;
    let function_name = name.to_string();
    let position = support::position();
    let output = match &function.sig.output {
        ReturnType::Type(_, output) => output.span(),
        ReturnType::Default => name.span(),
    };
    let at_output = Span::call_site().located_at(output);
    let call = quote_spanned!(at_output=> ::bis::__private::lifecycle_call(#name));
    let call = support::of_module(&quote!(nested_lifecycle), name, call);
    let must_be_free = support::must_be_free(function);
    let calls = calls::called(&function.block);
    let entry = quote! {
        const _: () = {
            ::bis::__private::inventory::submit! {
                ::bis::__private::LifecycleEntry {
                    module: ::core::module_path!(),
                    function: #function_name,
                    position: #position,
                    role: ::bis::__private::Role::#role,
                    call: || #call,
                    calls: #calls,
                }
            }
        };
        #must_be_free
    };
    support::with_first(function, entry).to_token_stream()
}

fn restart(policy: RestartPolicy) -> TokenStream {
    if policy == RestartPolicy::DEFAULT {
        return quote!(::bis::__private::RestartPolicy::DEFAULT);
    }
    let min_backoff = support::duration(policy.min_backoff);
    let max_backoff = support::duration(policy.max_backoff);
    quote! {
        ::bis::__private::RestartPolicy { min_backoff: #min_backoff, max_backoff: #max_backoff }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_docs_state_the_defaults() {
        let RestartPolicy { min_backoff, max_backoff } = RestartPolicy::DEFAULT;
        let text = bis_syntax::format_duration;
        let row = format!(
            "| `restart(min_backoff = \"..\", max_backoff = \"..\")` | `{}`, `{}` |",
            text(min_backoff),
            text(max_backoff)
        );
        assert!(include_str!("lib.rs").contains(&row), "{row}");
    }
}
