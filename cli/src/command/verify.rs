//! `landfall verify`.
//!
//! What must stay true: the exit status is 0 only if the output may be used. It is 1 if it may not be used, and 2 if
//! that could not be found out.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use landfall::{expect::Expectations, job::Level};
use landfall_cli::{
    access::Access,
    present::{self, Tone},
    screen::{Meter, layout, print},
    verify::{self, Ask, Progress},
};
use serde_json::Value;

use super::{
    arguments::{Common, Verify},
    held::held,
    outcome::Outcome,
};

/// Verifies, prints the result, and says whether the output may be used.
pub(super) async fn verify(common: &Common, options: &Verify) -> Result<Outcome> {
    if let Some(since) = options.since {
        return held(common, options, since).await;
    }
    let level = options.level.unwrap_or_default();
    let ask = Ask {
        place: options.place.clone(),
        format: options.format,
        level,
        started_at: options.started_at,
        rows: options.rows,
        allow_empty: options.allow_empty,
        kms_key: options.kms_key.clone(),
        settle: options.settle,
        expect: options
            .expect
            .as_deref()
            .map(|text| expectations(text, level))
            .transpose()?
            .unwrap_or_default(),
        receipt: options.receipt.clone(),
        access: Access {
            bucket_owner: options.expected_bucket_owner.clone(),
            ..common.access()
        },
    };
    let progress = Arc::new(Progress::default());
    let mut meter = Meter::new(common.json, level);
    // A verification that ends sooner shows no progress.
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
    if common.json {
        print(&serde_json::to_string_pretty(&verified)?)?;
    } else {
        let layout = layout(options.all);
        let heading = layout.paint.paint(Tone::Strong, "Verification");
        let tables = present::verified(&verified, layout);
        print(&format!("{heading}  {}\n\n{tables}", verified.place))?;
    }
    Ok(Outcome::good_if(verified.is_good()))
}

/// What is expected, given as JSON or as a file of it. It must be what an event may hold.
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
            "{place}: this is not what Landfall.Verification.Expect of an event may be, see docs/kinds.md; {}",
            faults.join("; ")
        );
    }
    serde_json::from_value(expect).with_context(|| format!("{place}: it cannot be read"))
}
