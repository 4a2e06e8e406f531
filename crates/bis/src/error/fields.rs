//! Which fields of a value are wrong: one shape for requests and events, whatever found them.

use std::fmt::{self, Display};

use serde::{Deserialize, Serialize};

/// The most wrong fields of one value that are listed. A million wrong items must not become a million lines.
const MAX_FIELD_ERRORS: usize = 100;

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// Where the field is, as in `items[2].sku`; empty for the value as a whole.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

impl FieldError {
    /// The first of the fields, and a text that names them and says how many more there are.
    pub(crate) fn list(mut fields: impl Iterator<Item = Self>) -> (Vec<Self>, String) {
        let listed: Vec<_> = fields.by_ref().take(MAX_FIELD_ERRORS).collect();
        let mut text = listed.iter().map(Self::to_string).collect::<Vec<_>>().join(", ");
        let more = fields.count();
        if more > 0 {
            text += &format!(", and {more} more");
        }
        (listed, text)
    }

    /// What garde found.
    #[cfg(feature = "garde")]
    pub(crate) fn of_report(report: garde::Report) -> impl Iterator<Item = Self> {
        report
            .into_inner()
            .into_iter()
            .map(|(path, error)| Self { path: path.to_string(), message: error.to_string() })
    }
}

impl Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.message),
            path => write!(f, "`{path}`: {}", self.message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bounded_number_of_fields_is_listed() {
        let fields = (0..MAX_FIELD_ERRORS + 7)
            .map(|index| FieldError { path: format!("items[{index}]"), message: "no".into() });
        let (listed, text) = FieldError::list(fields);
        assert_eq!(listed.len(), MAX_FIELD_ERRORS);
        assert!(text.ends_with("`items[99]`: no, and 7 more"), "{text}");
    }
}
