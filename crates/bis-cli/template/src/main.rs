//! The program: starts the application that the library declares.

fn main() -> std::process::ExitCode {
    {{crate}}::app().main()
}
