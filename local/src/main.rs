//! `cargo local EVENT`: the whole flow on one machine. See `--help`.

mod cli;

#[tokio::main]
async fn main() -> std::process::ExitCode {
    cli::main().await
}
