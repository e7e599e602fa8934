//! `cargo run` serves the guide, `cargo run -- build` writes it to `target/site`.

use std::process::ExitCode;

fn main() -> ExitCode {
    guide::cli::run()
}
