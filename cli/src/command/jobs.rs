//! `landfall jobs`.
//!
//! What must stay true: failed jobs do not change the exit status, because a list of them is what was asked for.

use std::collections::BTreeMap;

use anyhow::Result;
use chrono::Utc;
use landfall_cli::{
    account::Deployment,
    executions::Executions,
    jobs::{Filter, Jobs as Document, SCHEMA, Sources, Totals, batch_lines, batches, collect, table},
    kinds::KINDS,
    screen::{Counter, layout, print},
};

use super::{
    arguments::{Common, Jobs},
    outcome::Outcome,
};

pub(super) async fn jobs(common: &Common, options: &Jobs) -> Result<Outcome> {
    let deployment = Deployment::find(&common.access(), common.named()).await?;
    let document = document(common, &deployment, options).await?;
    if common.json {
        print(&serde_json::to_string_pretty(&document)?)?;
        return Ok(Outcome::Good);
    }
    let paint = layout(false).paint;
    let mut text = table(&document.jobs, &document.totals, paint, options.wide);
    text.push_str(&batch_lines(&document.batches, paint));
    for note in &document.notes {
        text.push_str(&format!("\nnote: {note}"));
    }
    print(&text)?;
    Ok(Outcome::Good)
}

/// The jobs that were asked for. Progress goes to stderr.
pub(super) async fn document(common: &Common, deployment: &Deployment, options: &Jobs) -> Result<Document> {
    let now = Utc::now();
    let since = options.since.before(now);
    let filter = Filter {
        kinds: options.kinds.clone(),
        name: options.name.clone(),
        statuses: options.statuses.clone(),
        failed: options.failed,
    };
    let kinds: Vec<&str> = KINDS
        .into_iter()
        .filter(|kind| filter.kinds.is_empty() || filter.kinds.iter().any(|wanted| wanted == kind))
        .collect();
    let counter = Counter::new(common.json, "jobs read");
    let machines: &BTreeMap<String, String> = &deployment.machines;
    let found = collect(&Sources {
        store: &deployment.store,
        ledger: &deployment.ledger,
        executions: Some(&deployment.steps as &dyn Executions),
        machines,
        kinds: &kinds,
        since,
        now,
        progress: &|done, all| counter.show(done, all),
    })
    .await?;
    counter.end();
    let mut notes = [deployment.notes.clone(), found.notes].concat();
    for kind in kinds.iter().filter(|kind| !machines.contains_key(**kind)) {
        // If a kind is not deployed, a note would say nothing. If it has jobs here, its machine should have been found.
        if deployment.notes.is_empty() && found.rows.iter().any(|row| row.kind == **kind) {
            notes.push(format!("no state machine of {kind} was found, so its executions were not looked at. Name your stack with --stack"));
        }
    }
    let of_batches = match batches(&deployment.store, &deployment.ledger, since, &mut notes).await {
        Ok(found) => found.into_iter().filter(|batch| filter.wants_batch(batch)).collect(),
        Err(error) => {
            notes.push(format!("batches could not be listed: {}", error.message));
            Vec::new()
        }
    };
    let jobs: Vec<_> = found.rows.into_iter().filter(|row| filter.wants(row)).collect();
    Ok(Document {
        schema: SCHEMA,
        landfall: env!("CARGO_PKG_VERSION"),
        ledger: deployment.ledger_uri().to_string(),
        since,
        asked_at: now,
        totals: Totals::of(&jobs),
        jobs,
        batches: of_batches,
        notes,
    })
}
