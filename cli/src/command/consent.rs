//! Asks before something is done.
//!
//! What must stay true: nothing is done without `--yes` or a yes at a terminal.
#![allow(clippy::print_stderr)]

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use anyhow::{Context, Result, bail};

use super::arguments::Consent;

/// Says what will be done and asks for a yes. Fails if nobody can be asked.
pub(super) fn agreed(what: &str, consent: Consent) -> Result<bool> {
    eprintln!("{what}");
    if consent.yes {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        bail!("nobody can be asked here: add --yes if it should be done");
    }
    eprint!("Go on? [y/N] ");
    std::io::stderr().flush().context("cannot ask")?;
    let mut answer = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut answer)
        .context("cannot read the answer")?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
