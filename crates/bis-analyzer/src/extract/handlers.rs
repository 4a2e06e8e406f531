//! Functions under Bis's attributes.

use bis_syntax::{
    ApiArgs, AuthArgs, AuthFunction, AuthParameter, BackgroundArgs, Endpoint, Errors, Handler, Hook,
    MountArgs, SubscriptionArgs,
};
use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{Attribute, FnArg, ItemFn, Meta, ReturnType};

use super::{
    body, docs,
    extractor::Extractor,
    real_time, statuses,
    syntax::{path_range, path_ref, range_of, word},
    types::ty,
};
use crate::summary::{
    AuthSummary, EndpointOptions, HandlerItem, HandlerKind, Module, Range, Signature, SubscriptionSummary,
    UserItem,
};

/// Keeps what the attributes of a function say.
pub(super) fn function(extractor: &Extractor<'_>, function: &ItemFn, module: &mut Module) {
    for outer in &function.attrs {
        let condition = extractor.cfg().attribute_condition(outer);
        extractor.when(condition, || {
            for attribute in &*extractor.cfg().flatten(std::slice::from_ref(outer)) {
                let handler = handler(extractor, attribute, function, module);
                module.handlers.extend(handler);
            }
        });
    }
}

/// Whether what the function calls is kept apart from what its module does.
pub(super) fn has_own_calls(function: &ItemFn, module: &Module) -> bool {
    module.handlers.last().is_some_and(|item| {
        matches!(item.kind, HandlerKind::Hook(_) | HandlerKind::Background(_))
            && item.range == Range::of(function.sig.ident.span())
    })
}

fn handler(
    extractor: &Extractor<'_>,
    attribute: &Attribute,
    function: &ItemFn,
    module: &mut Module,
) -> Option<HandlerItem> {
    let (attribute_word, path) = extractor.vocabulary.attribute(attribute)?;
    let mut errors = Errors::new();
    let tokens = match &attribute.meta {
        Meta::List(list) => list.tokens.clone(),
        _ => TokenStream::new(),
    };
    let kind = match attribute_word.as_str() {
        "subscription" => subscription(tokens, function, &mut errors),
        "api" => {
            Endpoint::parse(function, &mut errors);
            let args = ApiArgs::parse(tokens, &mut errors);
            if let Some(args) = &args {
                bis_syntax::check_path_parameters(&args.path, function, &mut errors);
                bis_syntax::check_auth_parameters(args.access, function, &mut errors);
            }
            match args {
                Some(args) => HandlerKind::Api {
                    method: args.method.to_string(),
                    path: args.path.value(),
                    access: args.access,
                    options: EndpointOptions {
                        layers: layers(extractor, &args.layers, module),
                        body_limit: args.body_limit.map(|limit| limit.value),
                        timeout: args.timeout.map(|limit| limit.value),
                    },
                    users: users(function),
                    // What shows in the type itself is checked.
                    path_type: bis_syntax::path_parameter(function)
                        .filter(|taken| bis_syntax::path_parameter_count(taken).is_none())
                        .map(|taken| (ty(taken), range_of(taken))),
                    signature: Box::new(signature(function)),
                },
                None => HandlerKind::Broken,
            }
        }
        "auth" => {
            AuthArgs::parse(tokens, &mut errors);
            let user = AuthFunction::parse(function, &mut errors).user;
            HandlerKind::Auth(Box::new(AuthSummary { user: user.map(|user| (ty(&user), range_of(&user))) }))
        }
        "mount" => mount(tokens, function, &mut errors),
        "on_start" => hook(Hook::OnStart, &tokens, function, &mut errors),
        "on_stop" => hook(Hook::OnStop, &tokens, function, &mut errors),
        "background" => background(tokens, function, &mut errors),
        _ => return None,
    };
    let braces = function.block.brace_token.span;
    let fallback = path_range(attribute.path());
    let mut mistakes = extractor.mistakes(errors, fallback);
    if let HandlerKind::Background(_) = kind {
        mistakes.extend(real_time::waits(extractor, function));
    }
    Some(HandlerItem {
        name: word(&function.sig.ident),
        range: Range::of(function.sig.ident.span()),
        docs: docs::of(&extractor.cfg().flatten(&function.attrs)),
        body: Range::between(braces.open(), braces.close()),
        attribute: path,
        condition: extractor.condition(),
        kind,
        mistakes,
    })
}

fn signature(function: &ItemFn) -> Signature {
    let written = |written: &syn::Type| (ty(written), range_of(written));
    let parameters = function.sig.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(typed) => Some(written(&typed.ty)),
        FnArg::Receiver(_) => None,
    });
    Signature {
        parameters: parameters.collect(),
        answer: match &function.sig.output {
            ReturnType::Default => None,
            ReturnType::Type(_, ty) => Some(written(ty)),
        },
        statuses: statuses::of(function),
    }
}

fn hook(hook: Hook, tokens: &TokenStream, function: &ItemFn, errors: &mut Errors) -> HandlerKind {
    hook.check_arguments(tokens, errors);
    hook.function(function, errors);
    HandlerKind::Hook(hook)
}

/// The texts of layers. Their service uses what they mention.
pub(super) fn layers(extractor: &Extractor<'_>, layers: &[syn::Expr], module: &mut Module) -> Vec<String> {
    let texts = layers.iter().map(|layer| {
        module.mentions.extend(body::scan(extractor, layer.to_token_stream()));
        bis_syntax::layer_text(layer)
    });
    texts.collect()
}

/// What the parameters of an endpoint ask of the app's user.
fn users(function: &ItemFn) -> Vec<UserItem> {
    let typed = function.sig.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(typed) => Some(&*typed.ty),
        FnArg::Receiver(_) => None,
    });
    let asked = typed.filter_map(|taken| {
        let AuthParameter { user, is_optional } = bis_syntax::auth_parameter(taken)?;
        Some(UserItem { ty: ty(&user), is_optional, range: range_of(taken) })
    });
    asked.collect()
}

fn mount(tokens: TokenStream, function: &ItemFn, errors: &mut Errors) -> HandlerKind {
    bis_syntax::check_mount_function(function, errors);
    match MountArgs::parse(tokens, errors) {
        Some(args) => HandlerKind::Mount { path: args.path.value() },
        None => HandlerKind::Broken,
    }
}

fn background(tokens: TokenStream, function: &ItemFn, errors: &mut Errors) -> HandlerKind {
    let args = BackgroundArgs::parse(tokens, errors);
    BackgroundArgs::function(function, errors);
    HandlerKind::Background(args.policy())
}

fn subscription(tokens: TokenStream, function: &ItemFn, errors: &mut Errors) -> HandlerKind {
    let args = SubscriptionArgs::parse(tokens, errors);
    let handler = Handler::parse(function, args.as_ref().and_then(|args| args.batch.as_ref()), errors);
    let Some(args) = args else { return HandlerKind::Subscription(None) };
    HandlerKind::Subscription(Some(Box::new(SubscriptionSummary {
        topic: path_ref(&args.topic),
        topic_range: path_range(&args.topic),
        name: args.name(&function.sig.ident),
        policy: args.policy(),
        event: handler.map(|handler| (ty(&handler.event), range_of(&handler.event), handler.shape)),
    })))
}
