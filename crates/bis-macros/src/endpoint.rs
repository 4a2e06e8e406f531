//! `#[api]`: the function, which first checks whether its service lives in this process, and inside it the function as it was
//! written, with an entry that serves it.
//!
//! Everything is inside the one function, so nothing of ours shows in the module.

use bis_syntax::{Access, ApiArgs, Endpoint, Errors, SizeOption};
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::{Attribute, FnArg, ItemFn, Pat, ReturnType, Signature, Type, spanned::Spanned};

use crate::{calls, support};

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::new();
    let args = ApiArgs::parse(arguments, &mut errors);
    let function = match support::function("#[api]", &item) {
        Ok(function) => function,
        Err(tokens) => return support::with_errors(tokens, errors),
    };
    Endpoint::parse(&function, &mut errors);
    if let Some(args) = &args {
        bis_syntax::check_path_parameters(&args.path, &function, &mut errors);
        bis_syntax::check_auth_parameters(args.access, &function, &mut errors);
    }
    match args {
        Some(args) if errors.is_empty() => endpoint(&args, function),
        _ => support::with_errors(support::keep_used(item, &function), errors),
    }
}

/// One parameter of the function.
pub(crate) struct Parameter {
    /// Its name in the outer function, whose parameters have no patterns.
    pub(crate) name: Ident,
    /// How messages name it.
    text: String,
    pub(crate) ty: Type,
}

fn endpoint(args: &ApiArgs, function: ItemFn) -> TokenStream {
    let parameters = parameters(&function.sig);
    let (outer_attributes, inner_attributes): (Vec<_>, Vec<_>) =
        function.attrs.iter().partition(|attribute| belongs_outside(attribute));
    let ItemFn { vis, sig, block, .. } = &function;
    let name = &sig.ident;
    let outer = outer_signature(sig, &parameters);
    let names = parameters.iter().map(|parameter| &parameter.name);
    let entry = entry(args, &function, &parameters);
    let must_be_free = support::must_be_free(&function);
    let call = call_elsewhere(sig, &parameters);
    quote! {
        #(#outer_attributes)*
        #vis #outer {
            #(#inner_attributes)*
            #sig #block
            #entry
            #must_be_free
            #call
            #name(#(#names),*).await
        }
    }
}

/// Documentation and lints go to the outer function, everything else to the function as it was written.
pub(crate) fn belongs_outside(attribute: &Attribute) -> bool {
    const OUTSIDE: [&str; 9] =
        ["doc", "cfg", "allow", "expect", "warn", "deny", "forbid", "must_use", "deprecated"];
    OUTSIDE.iter().any(|name| attribute.path().is_ident(name))
}

pub(crate) fn parameters(signature: &Signature) -> Vec<Parameter> {
    let typed = signature.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(typed) => Some(typed),
        FnArg::Receiver(_) => None,
    });
    let mut parameters: Vec<Parameter> = Vec::new();
    for (index, typed) in typed.enumerate() {
        let text = ident_in(&typed.pat).map_or_else(|| (index + 1).to_string(), Ident::to_string);
        let name = match ident_in(&typed.pat) {
            // The function of the same name is in the body, and would hide a parameter of that name.
            Some(name) if *name != signature.ident && parameters.iter().all(|other| other.name != *name) => {
                let mut name = name.clone();
                name.set_span(Span::mixed_site());
                name
            }
            _ => format_ident!("argument_{index}", span = Span::mixed_site()),
        };
        parameters.push(Parameter { name, text, ty: (*typed.ty).clone() });
    }
    parameters
}

/// The one name that a pattern binds: `request` in `Json(request)`.
fn ident_in(pattern: &Pat) -> Option<&Ident> {
    match pattern {
        Pat::Ident(pattern) => Some(&pattern.ident),
        Pat::TupleStruct(pattern) if pattern.elems.len() == 1 => ident_in(pattern.elems.first()?),
        _ => None,
    }
}

pub(crate) fn outer_signature(signature: &Signature, parameters: &[Parameter]) -> Signature {
    let mut outer = signature.clone();
    outer.inputs = parameters
        .iter()
        .map(|Parameter { name, ty, .. }| -> FnArg { syn::parse_quote!(#name: #ty) })
        .collect();
    outer
}

fn entry(args: &ApiArgs, function: &ItemFn, parameters: &[Parameter]) -> TokenStream {
    let signature = &function.sig;
    let calls = calls::called(&function.block);
    let function_name = signature.ident.to_string();
    let position = support::position();
    let method = args.method.to_string();
    let path = &args.path;
    let access = match args.access {
        Access::Public => quote!(Public),
        Access::Auth => quote!(Auth),
        Access::Private => quote!(Private),
    };
    let layers = support::layers(&args.layers);
    let body_limit = match &args.body_limit {
        Some(SizeOption { value, .. }) => quote!(::core::option::Option::Some(#value)),
        None => quote!(::core::option::Option::None),
    };
    let timeout = match &args.timeout {
        Some(option) => {
            let duration = support::duration(option.value);
            quote!(::core::option::Option::Some(#duration))
        }
        None => quote!(::core::option::Option::None),
    };
    let users = users(parameters);
    let route = route(signature, parameters);
    let remote = remote(signature, parameters);
    let context = local("context");
    quote! {
        ::bis::__private::inventory::submit! {
            ::bis::__private::EndpointEntry {
                module: ::core::module_path!(),
                function: #function_name,
                position: #position,
                method: #method,
                path: #path,
                access: ::bis::__private::Access::#access,
                users: #users,
                route: |#context| ::bis::__private::route(#context, #route),
                layers: #layers,
                body_limit: #body_limit,
                timeout: #timeout,
                remote: #remote,
                calls: #calls,
            }
        }
    }
}

/// What each parameter asks of the app's user, determined by its type, since an alias may hide it.
fn users(parameters: &[Parameter]) -> TokenStream {
    if parameters.is_empty() {
        return quote!(::std::vec::Vec::new);
    }
    let asked = parameters
        .iter()
        .map(|Parameter { ty, .. }| quote!((&&::bis::__private::probe::Probe::<#ty>::new()).asked_user()));
    quote! {
        || {
            use ::bis::__private::probe::methods::*;
            ::std::vec::Vec::from([#(#asked),*])
        }
    }
}

/// Serves a request: each extractor, then the function. The last extractor may take the body.
fn route(signature: &Signature, parameters: &[Parameter]) -> TokenStream {
    let name = &signature.ident;
    let [context, request, parts, response] = ["context", "request", "parts", "response"].map(local);
    let extract = parameters.iter().enumerate().map(|(index, Parameter { name, ty, .. })| {
        let here = Span::call_site().located_at(ty.span());
        let extracted = if index + 1 == parameters.len() {
            quote_spanned!(here=> ::bis::__private::from_request(#context, #request, #parts).await)
        } else {
            quote_spanned!(here=> ::bis::__private::from_parts(&mut #parts).await)
        };
        quote! {
            let #name: #ty = match #extracted {
                ::core::result::Result::Ok(#name) => #name,
                ::core::result::Result::Err(#response) => return #response,
            };
        }
    });
    let split = match parameters.len() {
        0 => None,
        1 => Some(quote!(let (#parts, #request) = ::bis::__private::split(#request);)),
        _ => Some(quote!(let (mut #parts, #request) = ::bis::__private::split(#request);)),
    };
    let taken = if parameters.is_empty() { quote!(_) } else { request.to_token_stream() };
    let names = parameters.iter().map(|parameter| &parameter.name);
    let here = Span::call_site().located_at(output_span(signature));
    let respond = quote_spanned!(here=> ::bis::__private::respond(#name(#(#names),*).await));
    quote! {
        move |#taken| async move {
            #split
            #(#extract)*
            #respond
        }
    }
}

/// What serves a call from another process of the app.
fn remote(signature: &Signature, parameters: &[Parameter]) -> TokenStream {
    let name = &signature.ident;
    let arguments = local("arguments");
    let Some(output) = nameable_output(signature) else {
        return quote!(|_| ::bis::__private::unnamed_result());
    };
    let decode = parameters.iter().map(|Parameter { name, text, ty }| {
        quote!(let #name: #ty = (&&::bis::__private::probe::Probe::<#ty>::new()).decode(#arguments.take(#text)?)?;)
    });
    let taken = if parameters.is_empty() { quote!(_) } else { quote!(mut #arguments) };
    let names = parameters.iter().map(|parameter| &parameter.name);
    let result = local("result");
    quote! {
        |#taken| ::std::boxed::Box::pin(async move {
            use ::bis::__private::probe::methods::*;
            #(#decode)*
            let #result = #name(#(#names),*).await;
            (&&&::bis::__private::probe::Probe::<#output>::new()).encode_result(#result)
        })
    }
}

/// What the function does first: if its service lives in another process, it calls it there.
fn call_elsewhere(signature: &Signature, parameters: &[Parameter]) -> TokenStream {
    let function_name = signature.ident.to_string();
    let [call, arguments] = ["call", "arguments"].map(local);
    let encode = parameters.iter().map(|Parameter { name, text, ty }| {
        quote!((&&::bis::__private::probe::Probe::<#ty>::new()).encode(&#name, #arguments.next(#text))?;)
    });
    let answer = match nameable_output(signature) {
        Some(output) => {
            let fill = if parameters.is_empty() {
                quote!(|_| ::core::result::Result::Ok(()))
            } else {
                quote!(|#arguments| {
                    #(#encode)*
                    ::core::result::Result::Ok(())
                })
            };
            quote! {
                use ::bis::__private::probe::methods::*;
                let #arguments = #call.encode(#fill);
                return (&&&::bis::__private::probe::Probe::<#output>::new()).decode_result(#call.send(#arguments).await);
            }
        }
        None if returns_result(signature) => {
            quote!(return ::core::result::Result::Err(#call.unnamed_result());)
        }
        None => quote!(#call.panic_without_result();),
    };
    quote! {
        if let ::core::option::Option::Some(#call) =
            ::bis::__private::call_elsewhere(::core::module_path!(), #function_name)
        {
            #answer
        }
    }
}

/// The result's type, unless it contains an `impl Trait`, which has no name.
fn nameable_output(signature: &Signature) -> Option<TokenStream> {
    match &signature.output {
        ReturnType::Default => Some(quote!(())),
        ReturnType::Type(_, output) => {
            let tokens = output.to_token_stream();
            (!contains_impl(tokens.clone())).then_some(tokens)
        }
    }
}

fn contains_impl(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        proc_macro2::TokenTree::Ident(ident) => ident == "impl",
        proc_macro2::TokenTree::Group(group) => contains_impl(group.stream()),
        _ => false,
    })
}

fn returns_result(signature: &Signature) -> bool {
    let ReturnType::Type(_, output) = &signature.output else { return false };
    let Type::Path(path) = &**output else { return false };
    path.path.segments.last().is_some_and(|segment| segment.ident == "Result")
}

fn output_span(signature: &Signature) -> Span {
    match &signature.output {
        ReturnType::Type(_, output) => output.span(),
        ReturnType::Default => signature.ident.span(),
    }
}

/// A variable of ours, which cannot clash with a user's name.
pub(crate) fn local(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}
