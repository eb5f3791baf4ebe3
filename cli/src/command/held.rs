//! `landfall verify --since`.
//!
//! What must stay true: every success that sealed files is compared with what is there now. One that cannot be compared
//! is named, and makes the result bad.

use std::sync::Arc;

use anyhow::{Context, Result};
use futures::{StreamExt as _, stream};
use landfall::{clock::SystemClock, error::Error, job::Level, s3_uri::S3Uri};
use landfall_cli::{
    account::Deployment,
    document::{HELD_SCHEMA, Held, HeldReceipt},
    jobs::{Row, Status},
    present::{Tone, counted},
    screen::{Counter, layout, print},
    verify::{Ask, Location, Progress, escaped, sealed::Sealed, verify_in},
};
use landfall_output::receipt::NAME;

use super::{
    arguments::{Common, Jobs, Since, Verify},
    jobs::document,
    outcome::Outcome,
};

/// How many receipts are compared at the same time.
const AT_ONCE: usize = 8;

pub(super) async fn held(common: &Common, options: &Verify, since: Since) -> Result<Outcome> {
    let deployment = Deployment::find(&common.access(), common.named()).await?;
    let asked = Jobs {
        since,
        kinds: Vec::new(),
        name: None,
        statuses: vec![Status::Succeeded],
        failed: false,
        wide: false,
    };
    let jobs = document(common, &deployment, &asked).await?;
    let level = options.level.unwrap_or(Level::Listing);
    let sealed: Vec<&Row> = jobs.jobs.iter().filter(|row| is_beside_data(row)).collect();
    let counter = Counter::new(common.json, "receipts compared with what is there");
    let (mut receipts, all) = (Vec::new(), sealed.len());
    let mut held = stream::iter(sealed)
        .map(|row| one(&deployment, row, level))
        .buffered(AT_ONCE);
    while let Some(receipt) = held.next().await {
        receipts.push(receipt);
        counter.show(receipts.len(), all);
    }
    drop(held);
    counter.end();
    let good = receipts.iter().all(|receipt| receipt.good);
    let document = Held {
        schema: HELD_SCHEMA,
        landfall: env!("CARGO_PKG_VERSION"),
        since: jobs.since,
        level,
        good,
        receipts,
        notes: jobs.notes,
    };
    print(&if common.json {
        serde_json::to_string_pretty(&document)?
    } else {
        said(&document)
    })?;
    Ok(Outcome::good_if(good))
}

/// Whether the receipt lies beside the files that it lists. An import writes no files.
fn is_beside_data(row: &Row) -> bool {
    row.receipt
        .as_ref()
        .is_some_and(|receipt| receipt.rsplit('/').next() == Some(NAME))
}

async fn one(deployment: &Deployment, row: &Row, level: Level) -> HeldReceipt {
    let found = difference(deployment, row, level).await;
    HeldReceipt {
        kind: row.kind.clone(),
        job_key: row.job_key.clone(),
        label: row.label().to_owned(),
        receipt: row.receipt.clone().unwrap_or_default(),
        good: matches!(&found, Ok(None)),
        what: match found {
            Ok(what) => what,
            Err(error) => Some(match error.downcast_ref::<Error>() {
                Some(error) => error.message.clone(),
                None => format!("{error:#}"),
            }),
        },
    }
}

/// What is not as it was sealed, or nothing if all is.
async fn difference(deployment: &Deployment, row: &Row, level: Level) -> Result<Option<String>> {
    let uri: S3Uri = row
        .receipt
        .as_deref()
        .unwrap_or_default()
        .parse()
        .context("its receipt lies nowhere")?;
    let at = |uri: S3Uri| Location {
        store: Arc::clone(&deployment.store),
        bucket: uri.bucket,
        key: uri.key,
        folder: None,
    };
    let sealed = Sealed::read(&at(uri)).await?;
    let place = at(sealed.prefix.as_folder());
    let ask = Ask {
        level,
        // With a receipt, the level `listing` only compares.
        receipt: Some(landfall_cli::verify::Place::S3(place_of(&place))),
        ..Ask::default()
    };
    let progress = Arc::new(Progress::default());
    let verified = verify_in(&ask, place, Some(sealed), Arc::new(SystemClock), &progress).await?;
    if verified.is_good() {
        return Ok(None);
    }
    let mut parts = Vec::new();
    if let Some(comparison) = verified.comparison.filter(|comparison| !comparison.same) {
        for (number, what) in [
            (comparison.changed.len(), "changed"),
            (comparison.vanished.len(), "vanished"),
            (comparison.added.len(), "added"),
        ] {
            if number > 0 {
                parts.push(format!("{} {what}", counted(number as u64, "object")));
            }
        }
    }
    parts.extend(
        verified
            .failures
            .iter()
            .map(|failure| format!("{}: {}", failure.check, failure.what)),
    );
    Ok(Some(parts.join("; ")))
}

fn place_of(location: &Location) -> S3Uri {
    S3Uri {
        bucket: location.bucket.clone(),
        key: location.key.clone(),
    }
}

fn said(held: &Held) -> String {
    let paint = layout(false).paint;
    let bad: Vec<&HeldReceipt> = held.receipts.iter().filter(|receipt| !receipt.good).collect();
    let mut lines = Vec::new();
    for receipt in &bad {
        lines.push(format!(
            "{} {} {}",
            paint.paint(Tone::Bad, "differs"),
            receipt.job_key,
            escaped(&receipt.label)
        ));
        lines.push(format!(
            "        {}",
            escaped(receipt.what.as_deref().unwrap_or_default())
        ));
    }
    let good = held.receipts.len() - bad.len();
    lines.push(format!(
        "{} held at the level {}: {good} as sealed, {} not",
        counted(held.receipts.len() as u64, "receipt"),
        held.level,
        bad.len()
    ));
    lines.extend(held.notes.iter().map(|note| format!("note: {note}")));
    lines.join("\n")
}
