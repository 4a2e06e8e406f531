//! Names in the source: a literal that must be kebab-case, what to propose when it is not, and near misses.

use proc_macro2::Span;
use syn::LitStr;

use crate::{ErrorKind, Errors};

/// A name in the source.
#[derive(Debug, Clone)]
pub struct Name {
    /// The text. When it is not valid, that has been reported.
    pub text: String,
    /// Where it is.
    pub span: Span,
}

impl Name {
    /// Takes a literal as the name of a `what` (`topic`, `subscription`), and reports it when it is not valid.
    pub fn check(literal: &LitStr, what: &str, errors: &mut Errors) -> Self {
        let text = literal.value();
        if let Some(reason) = bis_core::name_error(&text) {
            let message = format!("`{text}` is not a valid {what} name");
            let proposal = kebab_case(&text);
            let help = if bis_core::name_error(&proposal).is_none() {
                format!("{reason}; write `\"{proposal}\"`")
            } else {
                reason.to_owned()
            };
            errors.push_help(ErrorKind::Name, literal, message, help);
        }
        Self { text, span: literal.span() }
    }
}

/// `text` in kebab-case: what a function's name becomes, and what is proposed for a bad name.
///
/// ```
/// assert_eq!(bis_syntax::kebab_case("chase_late_orders"), "chase-late-orders");
/// assert_eq!(bis_syntax::kebab_case("OrderPlaced v2"), "order-placed-v2");
/// assert_eq!(bis_syntax::kebab_case("r#type"), "type");
/// ```
pub fn kebab_case(text: &str) -> String {
    let text = text.strip_prefix("r#").unwrap_or(text);
    let mut kebab = String::with_capacity(text.len() + 4);
    let mut previous = ' ';
    for letter in text.chars() {
        let starts_word =
            letter.is_ascii_uppercase() && (previous.is_ascii_lowercase() || previous.is_ascii_digit());
        let separates = !letter.is_ascii_alphanumeric() || starts_word;
        if separates && !kebab.is_empty() && !kebab.ends_with('-') {
            kebab.push('-');
        }
        if letter.is_ascii_alphanumeric() {
            kebab.push(letter.to_ascii_lowercase());
        }
        previous = letter;
    }
    kebab.truncate(bis_core::name::MAX_NAME_LEN);
    kebab.trim_end_matches('-').to_owned()
}

/// The candidate that `word` most likely meant, when one is near.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (distance(&word.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(word.len()) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many letters must be changed, added, left out or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            table[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let changed = table[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let one = changed.min(table[i - 1][j] + 1).min(table[i][j - 1] + 1);
                let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                if swapped { one.min(table[i - 2][j - 2] + 1) } else { one }
            };
        }
    }
    table[a.len()][b.len()]
}
