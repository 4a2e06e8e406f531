//! Starts the box office.

fn main() -> std::process::ExitCode {
    tickets::app().main()
}
