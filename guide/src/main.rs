//! `cargo run` serves the guide, `cargo run -- build` writes it to `target/site`.

use std::process::ExitCode;

/// Pages are trees of small strings: a third of a build went into the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    guide::cli::run()
}
