//! `landfall report`.
//!
//! What must stay true: a file that exists is replaced only by a whole page.

use std::path::Path;

use anyhow::{Context, Result};
use futures::{StreamExt as _, stream};
use landfall::s3_uri::S3Uri;
use landfall_cli::{
    account::Deployment,
    jobs::{Jobs as Document, Row},
    report::{Digest, page, rows},
    screen::print,
};
use landfall_output::{receipt::Receipt, verify::CheckVerdict};

use super::{
    arguments::{Common, Jobs, Report},
    jobs::document,
    outcome::Outcome,
};

/// How many receipts of failed jobs are read at most for the checks that failed.
const RECEIPTS: usize = 500;

pub(super) async fn report(common: &Common, options: &Report) -> Result<Outcome> {
    let deployment = Deployment::find(&common.access(), common.named()).await?;
    let asked = Jobs {
        since: options.since,
        kinds: options.kinds.clone(),
        name: options.name.clone(),
        statuses: Vec::new(),
        failed: false,
        wide: false,
    };
    let jobs = document(common, &deployment, &asked).await?;
    if let Some(path) = &options.csv {
        write(path, &rows(&jobs.jobs)?)?;
    }
    if let Some(path) = &options.out {
        let mut notes = jobs.notes.clone();
        let checks = failed_checks(&deployment, &jobs.jobs, &mut notes).await;
        let digest = Digest::of(&jobs.jobs, &checks, jobs.since, jobs.asked_at, notes);
        write(path, &page(&digest, &jobs.ledger, &common.target())?)?;
    }
    if common.json {
        print(&serde_json::to_string_pretty(&jobs)?)?;
    } else {
        print(&said(&jobs, options))?;
    }
    Ok(Outcome::Good)
}

fn said(jobs: &Document, options: &Report) -> String {
    let totals = &jobs.totals;
    let mut lines = vec![format!(
        "{} jobs, {} succeeded, {} to look at, {} open",
        totals.jobs, totals.succeeded, totals.failed, totals.open
    )];
    lines.extend(
        [&options.out, &options.csv]
            .into_iter()
            .flatten()
            .map(|path| format!("wrote {}", path.display())),
    );
    lines.extend(jobs.notes.iter().map(|note| format!("note: {note}")));
    lines.join("\n")
}

/// The checks that failed, one item for each job and check. A receipt that cannot be read becomes a note.
async fn failed_checks(deployment: &Deployment, jobs: &[Row], notes: &mut Vec<String>) -> Vec<String> {
    let failed = jobs.iter().filter(|row| row.verification.as_deref() == Some("failed"));
    let uris: Vec<S3Uri> = failed.filter_map(|row| row.receipt.as_ref()?.parse().ok()).collect();
    if uris.len() > RECEIPTS {
        notes.push(format!(
            "of {} jobs whose checks failed, only the newest {RECEIPTS} were looked into",
            uris.len()
        ));
    }
    let mut read = stream::iter(uris.into_iter().take(RECEIPTS))
        .map(|uri| async move {
            let failed = checks_of(deployment, &uri).await;
            failed.map_err(|why| format!("the failed checks of {uri} are not counted: {why}"))
        })
        .buffer_unordered(32);
    let mut checks = Vec::new();
    while let Some(found) = read.next().await {
        match found {
            Ok(found) => checks.extend(found),
            Err(note) => notes.push(note),
        }
    }
    checks
}

async fn checks_of(deployment: &Deployment, receipt: &S3Uri) -> Result<Vec<String>, String> {
    let stored = deployment.store.get(&receipt.bucket, &receipt.key).await;
    let stored = stored.map_err(|error| error.message)?.ok_or("it is not there")?;
    let receipt: Receipt = serde_json::from_slice(&stored.body).map_err(|error| error.to_string())?;
    let checks = receipt
        .verification
        .into_iter()
        .flat_map(|verification| verification.checks);
    let failed = checks.filter(|check| check.verdict == CheckVerdict::Fail);
    Ok(failed.map(|check| check.name).collect())
}

/// Writes to a temporary file beside the path, then moves it there.
fn write(path: &Path, text: &str) -> Result<()> {
    let place = || format!("cannot write {}", path.display());
    let mut name = path.file_name().with_context(place)?.to_owned();
    name.push(".part");
    let part = path.with_file_name(name);
    std::fs::write(&part, text).with_context(place)?;
    std::fs::rename(&part, path).with_context(place)
}
