//! `landfall`: shows the jobs of a deployment and acts on them. See `--help`.

mod command;

#[tokio::main]
async fn main() -> std::process::ExitCode {
    command::main().await
}
