//! A file that does not parse as a whole: item by item, so that one that the parser does not know takes no other with it.
//! What does not parse is an item of tokens; nothing here judges it.

use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};
use syn::{
    Attribute, File, Item, ItemFn, ItemMod, Signature, Token, Visibility,
    parse::{ParseStream, Parser, discouraged::Speculative},
};

/// Parses what can be parsed of a text; `None` when it has no tokens at all.
pub(super) fn file(text: &str, is_2015: bool) -> Option<File> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let is_shebang = text.starts_with("#!") && !text.starts_with("#![");
    let text = if is_shebang { text.find('\n').map_or("", |end| &text[end..]) } else { text };
    let mut tokens: TokenStream = text.parse().ok()?;
    if is_2015 {
        tokens = words_of_2015(tokens);
    }
    let parser = |input: ParseStream<'_>| {
        let attrs = input.call(Attribute::parse_inner).unwrap_or_default();
        Ok(File { shebang: None, attrs, items: items(input) })
    };
    parser.parse2(tokens).ok()
}

fn items(input: ParseStream<'_>) -> Vec<Item> {
    let mut items = Vec::new();
    while !input.is_empty() {
        let ahead = input.fork();
        match ahead.parse::<Item>() {
            Ok(item) => {
                input.advance_to(&ahead);
                items.push(item);
            }
            Err(_) => match module(input) {
                Some(module) => items.push(Item::Mod(module)),
                None => skip(input, &mut items),
            },
        }
    }
    items
}

/// An inline module of which something does not parse.
fn module(input: ParseStream<'_>) -> Option<ItemMod> {
    let ahead = input.fork();
    let attrs = ahead.call(Attribute::parse_outer).ok()?;
    let vis: Visibility = ahead.parse().ok()?;
    let mod_token: Token![mod] = ahead.parse().ok()?;
    let ident: Ident = ahead.parse().ok()?;
    let TokenTree::Group(group) = ahead.parse().ok()? else { return None };
    if group.delimiter() != Delimiter::Brace {
        return None;
    }
    let mut content = Vec::new();
    let parser = |inner: ParseStream<'_>| {
        inner.call(Attribute::parse_inner).unwrap_or_default();
        content = items(inner);
        Ok(())
    };
    parser.parse2(group.stream()).ok()?;
    input.advance_to(&ahead);
    let brace = syn::token::Brace { span: group.delim_span() };
    Some(ItemMod {
        attrs,
        vis,
        unsafety: None,
        mod_token,
        ident,
        content: Some((brace, content)),
        semi: None,
    })
}

/// Takes the tokens up to the end of what seems to be one item. Of a function, all but the body may be known.
fn skip(input: ParseStream<'_>, items: &mut Vec<Item>) {
    let function = function(input);
    let mut tokens = Vec::new();
    while let Ok(token) = input.parse::<TokenTree>() {
        let ends = match &token {
            TokenTree::Punct(punct) => punct.as_char() == ';',
            TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
            _ => false,
        };
        tokens.push(token);
        if ends {
            break;
        }
    }
    if let Some(function) = function {
        items.push(Item::Fn(function));
        tokens.drain(..tokens.len().saturating_sub(1));
    }
    items.push(Item::Verbatim(tokens.into_iter().collect()));
}

/// The function that the next item is, when all before its body parses.
fn function(input: ParseStream<'_>) -> Option<ItemFn> {
    let ahead = input.fork();
    let attrs = ahead.call(Attribute::parse_outer).ok()?;
    let vis: Visibility = ahead.parse().ok()?;
    let sig: Signature = ahead.parse().ok()?;
    Some(ItemFn { attrs, vis, sig, block: Box::new(syn::parse_quote!({})) })
}

/// Words that became keywords after the edition 2015, as raw identifiers.
fn words_of_2015(tokens: TokenStream) -> TokenStream {
    tokens
        .into_iter()
        .map(|token| match token {
            TokenTree::Ident(ident) if ["async", "await", "try", "dyn"].iter().any(|word| ident == word) => {
                // `dyn Trait` was there before the word was one.
                if ident == "dyn" { TokenTree::Ident(ident) } else { raw(&ident) }
            }
            TokenTree::Group(group) => {
                let mut inner = Group::new(group.delimiter(), words_of_2015(group.stream()));
                inner.set_span(group.span());
                TokenTree::Group(inner)
            }
            token => token,
        })
        .collect()
}

fn raw(ident: &Ident) -> TokenTree {
    TokenTree::Ident(Ident::new_raw(&ident.to_string(), ident.span()))
}
