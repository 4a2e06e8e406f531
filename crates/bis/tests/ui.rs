//! Programs that must not compile, each with the errors that it must show: one per mistake, with its remedy.

#[test]
fn wrong_programs_are_refused_with_our_text() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
