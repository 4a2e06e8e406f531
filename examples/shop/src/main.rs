//! Starts the shop.

fn main() -> std::process::ExitCode {
    shop::app().main()
}
