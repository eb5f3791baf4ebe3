//! `landfall completions`.

use anyhow::Result;
use clap::CommandFactory as _;

use super::{
    arguments::{Cli, Completions},
    outcome::Outcome,
};

pub(super) fn completions(options: &Completions) -> Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Cli::command(), "landfall", &mut script);
    landfall_cli::screen::print(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Outcome::Good)
}
