//! The program: starts the app that the library declares.

fn main() -> std::process::ExitCode {
    {{crate}}::app().main()
}
