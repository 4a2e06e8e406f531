//! `#[auth]`: the unchanged function, and inside it an entry that runs it after its extractors.
//!
//! The entry is beside an inner function, as that of an endpoint is: so nothing of ours shows in the module, and a function that is
//! not in one is a single error.

use bis_syntax::{AuthArgs, AuthFunction, Errors};
use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{ItemFn, ReturnType, spanned::Spanned};

use crate::{
    calls,
    endpoint::{Parameter, belongs_outside, local, outer_signature, parameters},
    support,
};

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::new();
    let args = AuthArgs::parse(arguments, &mut errors);
    let function = match support::function("#[auth]", &item) {
        Ok(function) => function,
        Err(tokens) => return support::with_errors(tokens, errors),
    };
    AuthFunction::parse(&function, &mut errors);
    if !errors.is_empty() {
        return support::with_errors(support::keep_used(item, &function), errors);
    }
    let parameters = parameters(&function.sig);
    let (outer_attributes, inner_attributes): (Vec<_>, Vec<_>) =
        function.attrs.iter().partition(|attribute| belongs_outside(attribute));
    let ItemFn { vis, sig, block, .. } = &function;
    let name = &sig.ident;
    let outer = outer_signature(sig, &parameters);
    let names = parameters.iter().map(|parameter| &parameter.name);
    let entry = entry(&args, &function, &parameters);
    let must_be_free = support::must_be_free(&function);
    quote! {
        #(#outer_attributes)*
        #vis #outer {
            #(#inner_attributes)*
            #sig #block
            #entry
            #must_be_free
            #name(#(#names),*).await
        }
    }
}

fn entry(args: &AuthArgs, function: &ItemFn, parameters: &[Parameter]) -> TokenStream {
    let signature = &function.sig;
    let function_name = signature.ident.to_string();
    let position = support::position();
    let challenge = match &args.challenge {
        Some(challenge) => quote!(::core::option::Option::Some(#challenge)),
        None => quote!(::core::option::Option::None),
    };
    let ReturnType::Type(_, output) = &signature.output else { return TokenStream::new() };
    let at_output = Span::call_site().located_at(output.span());
    let user = quote_spanned!(at_output=> <#output as ::bis::__private::Authenticated>::USER);
    let run = run(signature, parameters);
    let calls = calls::called(&function.block);
    quote! {
        ::bis::__private::inventory::submit! {
            ::bis::__private::AuthEntry {
                module: ::core::module_path!(),
                function: #function_name,
                position: #position,
                challenge: #challenge,
                user: #user,
                run: #run,
                calls: #calls,
            }
        }
    }
}

/// What authenticates a request: each extractor, then the function. The head of the request goes on to the endpoint.
fn run(signature: &syn::Signature, parameters: &[Parameter]) -> TokenStream {
    let name = &signature.ident;
    let [parts, refusal, known] = ["parts", "refusal", "known"].map(local);
    let extract = parameters.iter().map(|Parameter { name, ty, .. }| {
        let here = Span::call_site().located_at(ty.span());
        let extracted = quote_spanned!(here=> ::bis::__private::head_part(&mut #parts).await);
        quote! {
            let #name: #ty = match #extracted {
                ::core::result::Result::Ok(#name) => #name,
                ::core::result::Result::Err(#refusal) => {
                    return (#parts, ::core::result::Result::Err(#refusal));
                }
            };
        }
    });
    let taken = if parameters.is_empty() { quote!(#parts) } else { quote!(mut #parts) };
    let names = parameters.iter().map(|parameter| &parameter.name);
    quote! {
        |#taken| ::std::boxed::Box::pin(async move {
            #(#extract)*
            let #known = ::bis::__private::authenticated(#name(#(#names),*).await);
            (#parts, #known)
        })
    }
}
