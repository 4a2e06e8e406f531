//! Starts the flights example: `curl -X POST localhost:4000/replay`, then `curl localhost:4000/report`.

fn main() -> std::process::ExitCode {
    flights::app().main()
}
