//! `cargo local check`.
//!
//! What must stay true: the exit status is 0 only if no event has a fault that its schema finds.

use std::process::ExitCode;

use anyhow::{Context, Result};
use landfall_local::{check, event, places};

use super::{arguments::Check, screen::print};

pub(super) fn check(options: &Check) -> Result<ExitCode> {
    let workspace = places::workspace()?;
    let mut is_right = true;
    for path in &options.events {
        let place = path.display();
        let event = event::read(path)?;
        let faults = check::faults(&workspace, &event).with_context(|| place.to_string())?;
        let lines: Vec<String> = faults.iter().map(|fault| format!("\n  {fault}")).collect();
        is_right &= lines.is_empty();
        print(&match lines.len() {
            0 => format!("{place}: right, as far as its schema can tell"),
            1 => format!("{place}: 1 fault{}", lines.concat()),
            faults => format!("{place}: {faults} faults{}", lines.concat()),
        })?;
    }
    Ok(if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
