//! `cargo local verify`.
//!
//! What must stay true: the exit status is 0 only if the output may be used, 1 if it may not, and 2 if that could not be
//! found out.

use std::{process::ExitCode, sync::Arc};

use anyhow::{Context, Result, bail};
use landfall::{error::Error, expect::Expectations, job::Level};
use landfall_local::{
    present::{self, Tone},
    verify::{self, Access, Ask, Progress},
};
use serde_json::Value;

use super::{
    arguments::Verify,
    entry::refuse,
    screen::{Meter, layout, print},
};

pub(super) async fn verify(options: &Verify) -> ExitCode {
    match verified(options).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let name = error
                .downcast_ref::<Error>()
                .map_or("Local.Error", |error| error.kind.name());
            // The message is for a person at a terminal; its kind is for a program.
            let message = match error.downcast_ref::<Error>() {
                Some(error) => error.message.clone(),
                None => format!("{error:#}"),
            };
            refuse(options.json, name, &verify::escaped(&message))
        }
    }
}

/// Verifies, prints the result, and says whether the output may be used.
async fn verified(options: &Verify) -> Result<bool> {
    let ask = Ask {
        place: options.place.clone(),
        format: options.format,
        level: options.level,
        started_at: options.started_at,
        rows: options.rows,
        allow_empty: options.allow_empty,
        kms_key: options.kms_key.clone(),
        settle: options.settle,
        expect: options
            .expect
            .as_deref()
            .map(|text| expectations(text, options.level))
            .transpose()?
            .unwrap_or_default(),
        receipt: options.receipt.clone(),
        access: Access {
            profile: options.profile.clone(),
            region: options.region.clone(),
            endpoint_url: options.endpoint_url.clone(),
            bucket_owner: options.expected_bucket_owner.clone(),
        },
    };
    let progress = Arc::new(Progress::default());
    let mut meter = Meter::new(options.json, options.level);
    // Not at once: what ends sooner needs no progress.
    let mut tick = tokio::time::interval_at(tokio::time::Instant::now() + meter.every(), meter.every());
    let verified = {
        let work = verify::verify(&ask, &progress);
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => break done,
                _ = tick.tick() => meter.show(progress.now()),
            }
        }
    };
    meter.end();
    let verified = verified?;
    if options.json {
        print(&serde_json::to_string_pretty(&verified)?)?;
    } else {
        let layout = layout(options.all);
        let heading = layout.paint.paint(Tone::Strong, "Verification");
        let tables = present::verified(&verified, layout);
        print(&format!("{heading}  {}\n\n{tables}", verified.place))?;
    }
    Ok(verified.is_good())
}

/// What is expected at a level, as JSON or in a file of it; held to what an event is.
fn expectations(text: &str, level: Level) -> Result<Expectations> {
    let (json, place) = if text.trim_start().starts_with('{') {
        (text.to_owned(), "--expect".to_owned())
    } else {
        let read = std::fs::read_to_string(text);
        let read = read.with_context(|| format!("--expect {text}: it is neither a file that can be read nor JSON"))?;
        (read, format!("--expect {text}"))
    };
    let expect: Value = serde_json::from_str(&json).with_context(|| format!("{place}: it is not JSON"))?;
    let remedy = (level == Level::Listing).then_some(verify::TO_LOOK_INTO);
    let faults = landfall::event::expectation_faults(&expect, remedy)?;
    if !faults.is_empty() {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        bail!(
            "{place}: it is not what Landfall.Verification.Expect of an event may be, see docs/kinds.md; {}",
            faults.join("; ")
        );
    }
    serde_json::from_value(expect).with_context(|| format!("{place}: it cannot be read"))
}
