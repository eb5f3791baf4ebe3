//! `landfall`: see, ask and act on the jobs of a deployment. See `--help`.

mod command;

#[tokio::main]
async fn main() -> std::process::ExitCode {
    command::main().await
}
