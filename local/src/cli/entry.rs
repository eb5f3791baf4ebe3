//! From the command line to its exit status.
//!
//! What must stay true: progress goes to stderr and the result to stdout. An interrupted run leaves no process behind.
#![allow(clippy::print_stderr)]

use std::process::ExitCode;

use clap::FromArgMatches;

use super::{
    arguments::{Cli, Command, command},
    refusal::refuse,
    run::run,
    serve::serve,
};

/// Runs the command line and says how it ended.
pub(crate) async fn main() -> ExitCode {
    // Usage errors end the process here, with status 2.
    let cli = Cli::from_arg_matches(&command().get_matches()).unwrap_or_else(|error| error.exit());
    let work = async {
        match &cli.command {
            Some(Command::Serve(options)) => serve(options).await.map(|()| ExitCode::SUCCESS),
            None => run(&cli.run).await,
        }
    };
    // Whichever ends first. Dropping the work ends all child processes.
    let ended = tokio::select! {
        ended = work => Some(ended),
        () = interrupted() => None,
    };
    match ended {
        Some(Ok(code)) => code,
        Some(Err(error)) => refuse(
            cli.command.is_none() && cli.run.json,
            "Local.Error",
            &format!("{error:#}"),
        ),
        None => {
            eprintln!(
                "landfall: interrupted; its processes were ended. Only an installation or a build that had begun may go \
                 on to its end"
            );
            // Returning would wait for a build that still runs in a blocking thread.
            std::process::exit(130);
        }
    }
}

async fn interrupted() {
    let ctrl_c = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut terminate) = signal(SignalKind::terminate()) else {
            return ctrl_c.await;
        };
        tokio::select! {
            () = ctrl_c => {}
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    ctrl_c.await;
}
