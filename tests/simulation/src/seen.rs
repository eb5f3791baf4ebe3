//! Records which situations came about in a run, because a promise is only tested by the situations that challenge it.

use std::collections::BTreeMap;

use anyhow::Result;
use landfall::{job::Verdict, ledger::Entry};

use crate::{
    aftermath::Aftermath,
    faults::Fault,
    kinds::LEDGER,
    machine::End,
    promises::{is_notice, read},
};

/// How often each situation came about, by name.
pub type Seen = BTreeMap<String, u64>;

/// The situations that came about in a run.
pub fn seen(after: &Aftermath) -> Result<Seen> {
    let mut seen = Seen::new();
    let mut add = |name: String, count: usize| {
        if count > 0 {
            *seen.entry(name).or_default() += count as u64;
        }
    };
    let prefix = format!("jobs/{}/", after.plan.kind.name);
    for key in after
        .store
        .keys(LEDGER)
        .into_iter()
        .filter(|key| key.starts_with(&prefix))
    {
        let entry: Entry = read(after, LEDGER, &key)?;
        let verdict = match entry.outcome.as_ref().map(|outcome| outcome.verdict) {
            Some(Verdict::Succeeded) => "success",
            Some(Verdict::Failed) => "failure",
            None => "open",
        };
        add(format!("{} {verdict}", after.plan.kind.name), 1);
        if let Some(error) = entry.outcome.as_ref().and_then(|outcome| outcome.error.as_ref()) {
            add(format!("failure {}", error.error), 1);
        }
        add("picked up".to_owned(), entry.picked_up_by.len());
        if let (Some(cancel), Some(last)) = (&entry.cancel, entry.attempts.last()) {
            add(format!("cancelled {:?}", last.state), 1);
            add("cancelled and picked up".to_owned(), entry.picked_up_by.len().min(1));
            let by = entry.outcome.as_ref().map(|outcome| &outcome.sealed_by);
            add(
                "cancelled and sealed by another".to_owned(),
                usize::from(by != Some(&cancel.by)),
            );
        }
        add("second attempt".to_owned(), entry.attempts.len().saturating_sub(1));
        add("orphan".to_owned(), entry.orphans.len());
    }
    for ended in &after.ended {
        add("redrive".to_owned(), ended.redrives as usize);
        if let End::Failed { input, .. } = &ended.end
            && input["job_key"]
                .as_str()
                .is_some_and(|key| key.starts_with("rejected-"))
        {
            add("rejected delivery".to_owned(), 1);
        }
    }
    for call in &after.calls {
        for fault in call.met() {
            add(format!("fault {fault:?}"), 1);
        }
    }
    for start in after.starts.all() {
        add("start".to_owned(), usize::from(start.reached));
        add("stale start".to_owned(), usize::from(start.stale));
        add("ambiguous start".to_owned(), usize::from(start.is_ambiguous()));
    }
    for announced in after.announced.iter().filter(|announced| is_notice(announced)) {
        add(
            format!(
                "announced {}",
                announced.entry["DetailType"].as_str().unwrap_or_default()
            ),
            1,
        );
    }
    for start in after.starts.all() {
        add(
            "start that never left".to_owned(),
            usize::from(start.call.met().contains(&Fault::NeverLeft)),
        );
    }
    if let Some(stall) = &after.plan.weather.stall {
        add(format!("stalled by {:?}", stall.by), 1);
    }
    add(format!("somebody else {:?}", after.plan.meddling), after.meddled.min(1));
    Ok(seen)
}
