//! Each kind, with any one call of its run lost, before or after its effect, alone or with the function that made it.
//!
//! Segment snapshots, which cannot be looked for, have their own in `handlers.rs`.

#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use landfall::service::JobService;
use landfall_local::simulated::{SimulatedService, pinpoint, quicksight};
use landfall_tests::{
    harness::{EXPORTS, Harness},
    in_process::{Faults, Harm, Moment},
};
use serde_json::Value;

const ROWS: u64 = 30;

fn sample(text: &str) -> Value {
    serde_json::from_str(text).expect("the sample is JSON")
}

fn pinpoint_settings() -> pinpoint::Settings {
    pinpoint::Settings {
        endpoints: ROWS,
        duration: Duration::from_secs(45),
        ..pinpoint::Settings::default()
    }
}

/// What a kind is tested with.
struct Case<S, M> {
    /// A fresh deployment that meets these faults.
    make: fn(Arc<Faults>) -> Result<Harness<S, M>>,
    event: Value,
    /// Start calls that reached the service.
    starts: fn(&M) -> usize,
    /// Most jobs that one lost call may lead to.
    most_jobs: usize,
    /// Jobs that the service made.
    jobs: fn(&M) -> usize,
}

impl<S: JobService, M: SimulatedService + 'static> Case<S, M> {
    async fn check(&self) -> Result<()> {
        let quiet = (self.make)(Faults::none())?;
        let sealed = quiet.run("first", &self.event).await?;
        let calls = quiet.faults.calls();
        self.sealed(&quiet, &sealed, "no fault").await?;
        assert_eq!(sealed["outcome"]["announce"], true);
        assert!(calls > 8, "{calls} calls");
        for call in 0..calls {
            for moment in [Moment::Before, Moment::After] {
                for harm in [Harm::Lose, Harm::Die] {
                    let case = format!("{} call {call} of {calls}, {moment:?}, {harm:?}", S::KIND);
                    let harness = (self.make)(Faults::at(call, moment, harm))?;
                    let sealed = harness.run("first", &self.event).await.with_context(|| case.clone())?;
                    self.sealed(&harness, &sealed, &case).await?;
                }
            }
        }
        Ok(())
    }

    /// One outcome, one receipt of it, and whoever comes later gets the same.
    async fn sealed(&self, harness: &Harness<S, M>, sealed: &Value, case: &str) -> Result<()> {
        assert_eq!(sealed["outcome"]["verdict"], "succeeded", "{case}: {sealed:#}");
        let uri = sealed["outcome"]["receipt"].as_str().context("no receipt")?;
        let receipt = harness.json(uri)?;
        assert_eq!(receipt["verdict"], "succeeded", "{case}");
        let (bucket, key) = uri.trim_start_matches("s3://").split_once('/').context("no key")?;
        assert_eq!(harness.store.versions(bucket, key), 1, "{case}");
        assert!(
            harness.receipts().len() <= usize::from(bucket == EXPORTS),
            "{case}: {:?}",
            harness.receipts()
        );
        let jobs = (self.jobs)(&harness.simulated);
        assert!((1..=self.most_jobs).contains(&jobs), "{case}: {jobs} jobs");

        let starts = (self.starts)(&harness.simulated);
        let again = harness.run("later", &self.event).await?;
        assert_eq!(again["outcome"]["receipt"], uri, "{case}");
        assert_eq!(again["outcome"]["announce"], false, "{case}");
        assert_eq!((self.starts)(&harness.simulated), starts, "{case}");
        Ok(())
    }
}

#[tokio::test]
async fn an_endpoint_export_survives() -> Result<()> {
    let case = Case {
        make: |faults| Harness::exports(pinpoint_settings(), faults),
        event: sample(include_str!("../../events/endpoint-export.json")),
        starts: pinpoint::Pinpoint::starts,
        // It is found by its prefix.
        most_jobs: 1,
        jobs: |pinpoint| pinpoint.jobs().len(),
    };
    case.check().await
}

#[tokio::test]
async fn an_endpoint_import_survives() -> Result<()> {
    let case = Case {
        make: |faults| {
            let harness = Harness::imports(pinpoint_settings(), faults)?;
            for (key, body) in pinpoint::samples(0, ROWS)? {
                harness.store.insert(EXPORTS, key, body);
            }
            Ok(harness)
        },
        event: sample(include_str!("../../events/endpoint-import.json")),
        starts: pinpoint::Pinpoint::starts,
        // It is found by its source, format, segment and time.
        most_jobs: 1,
        jobs: |pinpoint| pinpoint.jobs().len(),
    };
    case.check().await
}

#[tokio::test]
async fn a_dashboard_snapshot_survives() -> Result<()> {
    let case = Case {
        make: |faults| {
            let settings = quicksight::Settings {
                rows: ROWS,
                duration: Duration::from_secs(45),
                ..quicksight::Settings::default()
            };
            Harness::dashboards(settings, faults)
        },
        event: sample(include_str!("../../events/dashboard-snapshot.json")),
        starts: |quicksight| quicksight.count(quicksight::Operation::Start),
        // Its id is our key, so it is looked up.
        most_jobs: 1,
        jobs: |quicksight| quicksight.jobs().len(),
    };
    case.check().await
}
