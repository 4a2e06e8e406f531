//! What `#[event(validate)]` asks of a type: the rules of garde, where the feature is on, and else an error that names the feature.

use crate::error::FieldError;

/// A type with rules.
#[cfg(feature = "garde")]
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no rules to validate it by",
    label = "`#[event(validate)]` needs the rules of garde",
    note = "write `#[derive(garde::Validate)]` above `{Self}`, with a context that implements `Default`"
)]
pub trait Rules {
    /// What they say about a value.
    fn invalid(&self) -> Vec<FieldError>;
}

#[cfg(feature = "garde")]
#[diagnostic::do_not_recommend]
impl<T: garde::Validate<Context: Default>> Rules for T {
    fn invalid(&self) -> Vec<FieldError> {
        self.validate().err().map(|report| FieldError::of_report(report).collect()).unwrap_or_default()
    }
}

/// A type with rules: without garde there are none.
#[cfg(not(feature = "garde"))]
#[diagnostic::on_unimplemented(
    message = "`#[event(validate)]` needs the feature `garde` of `bis`",
    label = "the feature is off",
    note = "enable it with `cargo add bis --features garde`, and derive `garde::Validate` for `{Self}`"
)]
pub trait Rules {
    /// What they say about a value.
    fn invalid(&self) -> Vec<FieldError>;
}

/// The fields of an event that its rules refuse.
pub fn invalid_fields<T: Rules>(event: &T) -> Vec<FieldError> {
    event.invalid()
}
