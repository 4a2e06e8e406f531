//! Words, paths and places of syntax trees and tokens. It knows Rust's syntax and nothing of Bis.

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::{Attribute, Expr, Item, spanned::Spanned};

use crate::summary::{PathRef, Range};

/// Whether a name looks like a static's.
pub(super) fn is_capital(name: &str) -> bool {
    name.bytes().any(|byte| byte.is_ascii_uppercase()) && !name.bytes().any(|byte| byte.is_ascii_lowercase())
}

/// Whether an identifier begins as a type's or a static's.
pub(super) fn starts_upper(ident: &proc_macro2::Ident) -> bool {
    word(ident).starts_with(char::is_uppercase)
}

/// [`is_capital`] of an identifier, without making a text of it: most of a file's identifiers are asked.
pub(super) fn is_capital_ident(ident: &proc_macro2::Ident) -> bool {
    use std::fmt::Write;

    #[derive(Default)]
    struct Letters {
        upper: bool,
        lower: bool,
    }

    impl Write for Letters {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            // The mark of a raw identifier is not a letter of its name.
            let text = text.strip_prefix("r#").unwrap_or(text);
            self.upper |= text.bytes().any(|byte| byte.is_ascii_uppercase());
            self.lower |= text.bytes().any(|byte| byte.is_ascii_lowercase());
            Ok(())
        }
    }

    let mut letters = Letters::default();
    write!(letters, "{ident}").is_ok() && letters.upper && !letters.lower
}

pub(super) fn path_ref(path: &syn::Path) -> PathRef {
    PathRef {
        global: path.leading_colon.is_some(),
        segments: path.segments.iter().map(|segment| word(&segment.ident)).collect(),
    }
}

/// An identifier without `r#`.
pub(super) fn word(ident: &proc_macro2::Ident) -> Box<str> {
    let text = ident.to_string();
    match text.strip_prefix("r#") {
        Some(plain) => plain.into(),
        None => text.into_boxed_str(),
    }
}

/// The region of a path.
pub(super) fn path_range(path: &syn::Path) -> Range {
    let first = match (&path.leading_colon, path.segments.first()) {
        (Some(colon), _) => colon.spans[0],
        (None, Some(segment)) => segment.ident.span(),
        (None, None) => Span::call_site(),
    };
    Range::between(first, path.segments.last().map_or(first, |segment| segment.ident.span()))
}

pub(super) fn range_of(tokens: &impl Spanned) -> Range {
    Range::of(tokens.span())
}

/// Whether a token is this character.
pub(super) fn is_punct(token: Option<&TokenTree>, character: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == character)
}

/// Whether tokens nest at most this deep.
pub(super) fn is_shallow(tokens: &TokenStream, deep: usize) -> bool {
    deep > 0
        && tokens.clone().into_iter().all(|token| match token {
            TokenTree::Group(group) => is_shallow(&group.stream(), deep - 1),
            _ => true,
        })
}

/// Where an attribute is, for what concerns the whole of it.
pub(super) fn attribute_range(attribute: &Attribute) -> Range {
    Range::of(attribute.path().span())
}

/// The attributes of an item.
pub(super) fn attributes_of_item(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

macro_rules! attributes {
    ($expr:expr, $($Variant:ident)*) => {
        match $expr {
            $(Expr::$Variant(inner) => &inner.attrs,)*
            _ => &[],
        }
    };
}

/// The attributes in front of an expression.
pub(super) fn attributes_of(expr: &Expr) -> &[Attribute] {
    attributes!(
        expr,
        Array Assign Async Await Binary Block Break Call Cast Closure Const Continue Field ForLoop Group If Index Infer Let Lit Loop Macro Match MethodCall Paren Path Range RawAddr Reference Repeat Return Struct Try TryBlock Tuple Unary Unsafe While Yield
    )
}
