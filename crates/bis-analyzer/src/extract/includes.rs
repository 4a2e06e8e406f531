//! The paths of `include!`.

use proc_macro2::TokenStream;
use syn::Expr;

use crate::summary::IncludePath;

/// What an `include!` names: a literal, or a path that is made of the package's folder.
pub(super) fn path(tokens: TokenStream) -> IncludePath {
    match syn::parse2::<Expr>(tokens) {
        Ok(Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(path), .. })) => IncludePath::Beside(path.value()),
        Ok(Expr::Macro(call)) if call.mac.path.is_ident("concat") => {
            let text = call.mac.tokens.to_string();
            let rest = text.strip_prefix("env ! (\"CARGO_MANIFEST_DIR\") ,");
            let rest = rest.or_else(|| text.strip_prefix("env!(\"CARGO_MANIFEST_DIR\"),"));
            match rest.map(|rest| syn::parse_str::<syn::LitStr>(rest.trim().trim_end_matches(','))) {
                Some(Ok(path)) => IncludePath::InPackage(path.value()),
                _ => IncludePath::Hidden,
            }
        }
        _ => IncludePath::Hidden,
    }
}
