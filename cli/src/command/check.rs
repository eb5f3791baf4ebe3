//! `landfall check`.
//!
//! What must stay true: the exit status is 0 only if no event has a fault. A file that cannot be read hides the faults of
//! no other.

use anyhow::{Context, Result, bail};
use landfall_cli::{
    account::Deployment,
    allowed::{self, Place},
    check,
    document::{CHECKED_SCHEMA, Checked, CheckedEvent, EventFault},
    event,
    screen::print,
};

use super::{
    arguments::{Check, Common},
    outcome::Outcome,
};

pub(super) async fn check(common: &Common, options: &Check) -> Result<Outcome> {
    // Only a stack says what it allows. It is asked only if somebody named it.
    let allowed = match &common.stack {
        Some(_) => {
            let deployment = Deployment::find(&common.access(), common.named()).await?;
            let place = deployment.machines.values().find_map(|machine| Place::of_arn(machine));
            let allowed = allowed::of_stack(&deployment.parameters, &deployment.outputs);
            Some((allowed, place.unwrap_or_default()))
        }
        None => None,
    };
    let (mut events, mut unread) = (Vec::new(), Vec::new());
    for path in &options.events {
        let place = path.display().to_string();
        let read = event::read(path).and_then(|event| Ok((check::faults(&event).context(place.clone())?, event)));
        let (mut faults, event) = match read {
            Ok(read) => read,
            // A document of JSON is about all events or about none.
            Err(error) if common.json => return Err(error),
            Err(error) => {
                unread.push(format!("{error:#}"));
                continue;
            }
        };
        if let Some((allowed, place)) = &allowed {
            check::gate(&event, allowed, place, &mut faults);
        }
        let faults = faults.iter().map(EventFault::of).collect();
        events.push(CheckedEvent { event: place, faults });
    }
    let is_right = events.iter().all(|event| event.faults.is_empty());
    if common.json {
        let document = Checked {
            schema: CHECKED_SCHEMA,
            landfall: env!("CARGO_PKG_VERSION"),
            right: is_right,
            events,
        };
        print(&serde_json::to_string_pretty(&document)?)?;
    } else {
        for CheckedEvent { event, faults } in &events {
            let lines: Vec<String> = faults.iter().map(|fault| format!("\n  {fault}")).collect();
            print(&match lines.len() {
                0 if allowed.is_some() => format!("{event}: right, and allowed"),
                0 => format!("{event}: right, as far as can be told without the deployment"),
                1 => format!("{event}: 1 fault{}", lines.concat()),
                n => format!("{event}: {n} faults{}", lines.concat()),
            })?;
        }
    }
    if !unread.is_empty() {
        bail!("{}", unread.join("\n"));
    }
    Ok(Outcome::good_if(is_right))
}
