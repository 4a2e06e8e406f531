//! Signs in a function itself that it is not a free one: `self`, `Self` and type parameters. A function does not show where it is
//! written; the expansion finds that out.

use proc_macro2::Ident;
use syn::{Item, ItemFn, visit::Visit};

use crate::{ErrorKind, Errors};

/// Reports `self`, `Self` and type parameters of `what` ("an endpoint").
pub(crate) fn check_free(what: &str, function: &ItemFn, errors: &mut Errors) {
    if let Some(receiver) = function.sig.receiver() {
        errors.push_help(
            ErrorKind::Handler,
            receiver,
            format!("{what} is a free function, without `self`"),
            "move it out of the `impl`",
        );
    } else {
        check_no_self_type(what, function, errors);
    }
    if function.sig.generics.type_params().next().is_some() {
        errors.push_help(
            ErrorKind::Handler,
            &function.sig.generics,
            format!("{what} cannot be generic"),
            "name the types",
        );
    }
}

/// Reports the first `Self` in a function's signature or body.
pub(crate) fn check_no_self_type(what: &str, function: &ItemFn, errors: &mut Errors) {
    let mut found = SelfType(None);
    found.visit_signature(&function.sig);
    found.visit_block(&function.block);
    if let Some(place) = found.0 {
        errors.push_help(
            ErrorKind::Handler,
            place,
            format!("{what} is a free function, where `Self` means nothing"),
            "move it out of the `impl`, and name the type",
        );
    }
}

/// The first `Self`.
struct SelfType(Option<Ident>);

impl<'ast> Visit<'ast> for SelfType {
    fn visit_ident(&mut self, ident: &'ast Ident) {
        if self.0.is_none() && ident == "Self" {
            self.0 = Some(ident.clone());
        }
    }

    /// Items within the function have a `Self` of their own.
    fn visit_item(&mut self, _: &'ast Item) {}
}
