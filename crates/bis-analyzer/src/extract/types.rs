//! Types as they are written.

use syn::{GenericArgument, PathArguments, Type};

use super::syntax::path_ref;
use crate::summary::Ty;

/// How deep they may nest; what is deeper is opaque.
const MAX_DEPTH: usize = 64;

/// A type without what does not show in JSON: references and smart pointers' lifetimes.
pub(super) fn ty(ty: &Type) -> Ty {
    type_within(ty, MAX_DEPTH)
}

fn type_within(ty: &Type, depth: usize) -> Ty {
    let Some(depth) = depth.checked_sub(1) else { return Ty::Opaque("a type".to_owned()) };
    match ty {
        Type::Path(path) if path.qself.is_none() => {
            let arguments = path.path.segments.last().map(|last| &last.arguments);
            let arguments = match arguments {
                Some(PathArguments::AngleBracketed(arguments)) => arguments
                    .args
                    .iter()
                    .filter_map(|argument| match argument {
                        GenericArgument::Type(inner) => Some(type_within(inner, depth)),
                        _ => None,
                    })
                    .collect(),
                _ => Vec::new(),
            };
            Ty::Path(path_ref(&path.path), arguments)
        }
        Type::Reference(reference) => type_within(&reference.elem, depth),
        Type::Paren(paren) => type_within(&paren.elem, depth),
        Type::Group(group) => type_within(&group.elem, depth),
        Type::Tuple(tuple) => Ty::Tuple(tuple.elems.iter().map(|ty| type_within(ty, depth)).collect()),
        Type::Array(array) => Ty::List(Box::new(type_within(&array.elem, depth)), length(&array.len)),
        Type::Slice(slice) => Ty::List(Box::new(type_within(&slice.elem, depth)), None),
        other => Ty::Opaque(quote::quote!(#other).to_string()),
    }
}

/// The length of an array, where it is a literal.
fn length(len: &syn::Expr) -> Option<u64> {
    match len {
        syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Int(number), .. }) => number.base10_parse().ok(),
        _ => None,
    }
}
