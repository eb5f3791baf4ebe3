//! From the command line to its exit status.
//!
//! What must stay true: progress goes to stderr and the result to stdout. A command that could not do its work says why
//! and ends with status 2.
#![allow(clippy::print_stderr)]

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser as _;
use landfall_cli::{document::Refusal, screen::print, verify::printable};

use super::{
    again,
    arguments::{Cli, Command},
    cancel, check, completions, doctor, jobs, new,
    outcome::{Outcome, message_of, name_of},
    report, send, show, verify, watch,
};

/// The exit status of a command that could not do its work.
const REFUSED: u8 = 2;

/// The exit status of a command that was interrupted.
const INTERRUPTED: u8 = 130;

/// Runs the command line and says how it ended.
pub(crate) async fn main() -> ExitCode {
    // Usage errors end the process here, with status 2.
    let cli = Cli::parse();
    // The command and an interrupt: whichever comes first.
    let ended = tokio::select! {
        ended = run(&cli) => ended,
        () = interrupted() => return ExitCode::from(INTERRUPTED),
    };
    match ended {
        Ok(outcome) => outcome.into(),
        Err(error) => refuse(cli.common.json, &error),
    }
}

async fn run(cli: &Cli) -> Result<Outcome> {
    let common = &cli.common;
    match &cli.command {
        Command::Jobs(options) => jobs::jobs(common, options).await,
        Command::Show(options) => show::show(common, options).await,
        Command::Check(options) => check::check(common, options).await,
        Command::Verify(options) => verify::verify(common, options).await,
        Command::Report(options) => report::report(common, options).await,
        Command::Send(options) => send::send(common, options).await,
        Command::Watch(options) => watch::watch(common, options).await,
        Command::Rerun(options) => again::rerun(common, options).await,
        Command::PickUp(options) => again::pick_up(common, options).await,
        Command::Redrive(options) => again::redrive(common, options).await,
        Command::Cancel(options) => cancel::cancel(common, options).await,
        Command::New(options) => new::new(options),
        Command::Doctor => doctor::doctor(common).await,
        Command::Completions(options) => completions::completions(options),
    }
}

/// Says why a command could not do its work: on stderr, and also on stdout for a program that reads JSON.
fn refuse(json: bool, error: &anyhow::Error) -> ExitCode {
    let message = printable(&message_of(error));
    eprintln!("landfall: {message}");
    if json {
        let document = serde_json::to_string_pretty(&Refusal::new(name_of(error), message));
        if let Err(error) = document.map_err(Into::into).and_then(|document| print(&document)) {
            eprintln!("landfall: {error:#}");
        }
    }
    ExitCode::from(REFUSED)
}

async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
