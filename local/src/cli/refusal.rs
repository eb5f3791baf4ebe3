//! A command that could not do its work.
#![allow(clippy::print_stderr)]

use std::process::ExitCode;

use landfall_cli::{document::Refusal, screen::print};

/// The exit status of a command that could not do its work.
const REFUSED: u8 = 2;

/// Says why a command could not do its work: on stderr, and also on stdout for a program that reads JSON.
pub(super) fn refuse(json: bool, name: &str, message: &str) -> ExitCode {
    eprintln!("landfall: {message}");
    if json {
        let document = serde_json::to_string_pretty(&Refusal::new(name, message));
        if let Err(error) = document.map_err(Into::into).and_then(|document| print(&document)) {
            eprintln!("landfall: {error:#}");
        }
    }
    ExitCode::from(REFUSED)
}
