//! Wire conformance, judged by botocore's models: what the functions send, what the simulated services answer, and how
//! every modelled error is named.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use http::StatusCode;
use landfall::{error::ErrorKind, job::Job};
use landfall_local::simulated::{Refusal, customer_profiles::Settings, scenario::Scenario};
use landfall_tests::{
    harness::Harness,
    in_process::Faults,
    wire::{self, Exchange, ModelledError, Recorder, Refusing},
};
use serde_json::{Value, json};

fn event(name: &str) -> Value {
    let text = match name {
        "fullest" => include_str!("../../events/segment-snapshot-fullest.json"),
        _ => include_str!("../../events/segment-snapshot.json"),
    };
    serde_json::from_str(text).expect("the sample is JSON")
}

async fn exchanges(scenario: Scenario, event: &Value) -> Result<Vec<Exchange>> {
    let settings = Settings {
        profiles: 20,
        scenario,
        ..Settings::default()
    };
    let mut harness = <Harness>::new(settings, Faults::none())?;
    let recorder = Recorder::new(Arc::clone(&harness.simulated) as Arc<_>);
    harness.talk_to(Arc::clone(&recorder) as Arc<_>);
    harness.run("one", event).await?;
    Ok(recorder.exchanges())
}

#[tokio::test]
async fn segment_snapshots_conform() -> Result<()> {
    for name in ["plain", "fullest"] {
        let exchanges = exchanges(Scenario::Success, &event(name)).await?;
        let operations = wire::conform("customer-profiles", &exchanges)?;
        assert_eq!(operations[0], "CreateSegmentSnapshot");
        assert!(
            operations.len() > 1 && operations[1..].iter().all(|name| name == "GetSegmentSnapshot"),
            "{operations:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn what_the_simulated_service_refuses_is_an_exception_of_botocore() -> Result<()> {
    for (scenario, class) in [
        (Scenario::Denied, "AccessDeniedException"),
        (Scenario::NotFound, "ResourceNotFoundException"),
        (Scenario::StartThrottled, "ThrottlingException"),
        (Scenario::StartUnavailable, "InternalServerException"),
        (Scenario::QuotaExceeded, "ThrottlingException"),
        (Scenario::PollThrottled, "ThrottlingException"),
        (Scenario::PollNotFound, "ResourceNotFoundException"),
    ] {
        let exchanges = exchanges(scenario, &event("plain")).await?;
        let said = wire::conform("customer-profiles", &exchanges)?;
        assert!(said.iter().any(|name| name == class), "{scenario}: {said:?}");
    }
    Ok(())
}

fn named(code: &str) -> Option<ErrorKind> {
    Some(match code {
        "BadRequestException" => ErrorKind::InvalidEvent,
        "AccessDeniedException" => ErrorKind::Forbidden,
        "ResourceNotFoundException" => ErrorKind::NotFound,
        "ThrottlingException" => ErrorKind::Throttled,
        "InternalServerException" => ErrorKind::Unavailable,
        _ => return None,
    })
}

async fn a_running_job(harness: &Harness) -> Result<Job> {
    Ok(harness.start(&<Harness>::received("one", &event("plain"))).await?)
}

/// Every modelled error of every operation used: raised by botocore as its own class, named by the function.
#[tokio::test]
async fn every_modelled_error_has_its_name() -> Result<()> {
    let operations = ["CreateSegmentSnapshot", "GetSegmentSnapshot"];
    let errors = wire::modelled_errors("customer-profiles", &operations)?;
    assert_eq!(errors.len(), 10, "{errors:?}");
    for ModelledError {
        operation,
        code,
        status,
    } in errors
    {
        let expected = named(&code).with_context(|| format!("{code} is not known here"))?;
        let refusal = Refusal::new(StatusCode::from_u16(status)?, code.clone().leak(), "no");
        let recorder = Recorder::new(Arc::new(Refusing("profile", refusal)));
        let mut harness = <Harness>::new(Settings::default(), Faults::none())?;
        if operation == "CreateSegmentSnapshot" {
            harness.talk_to(Arc::clone(&recorder) as Arc<_>);
            let error = harness
                .start(&<Harness>::received("one", &event("plain")))
                .await
                .unwrap_err();
            assert_eq!(error.kind, expected, "{operation} {code}: {error}");
        } else {
            let job = a_running_job(&harness).await?;
            // Later than a new job may be unknown.
            harness.clock.advance(Duration::from_secs(120));
            harness.talk_to(Arc::clone(&recorder) as Arc<_>);
            match harness.poll(job.clone()).await {
                // A poll that fails for a passing reason says nothing about the job.
                Ok(seen) => {
                    assert!(expected.is_transient(), "{operation} {code} passed for no news");
                    assert_eq!((seen.status, seen.quiet_polls), (job.status, 1));
                }
                Err(error) => assert_eq!(error.kind, expected, "{operation} {code}: {error}"),
            }
        }
        assert_eq!(wire::conform("customer-profiles", &recorder.exchanges())?, [code]);
    }
    Ok(())
}

/// The judge itself objects to what does not conform.
#[tokio::test]
async fn the_judge_can_object() -> Result<()> {
    let right = exchanges(Scenario::Success, &event("plain")).await?.remove(0);
    type Break = fn(&mut Exchange);
    let broken: [(&str, Break); 6] = [
        ("no operation", |exchange| exchange.target = "/nowhere".to_owned()),
        ("signed for", |exchange| {
            exchange
                .headers
                .iter_mut()
                .for_each(|(_, value)| *value = value.replace("/profile/", "/s3/"));
        }),
        ("does not know", |exchange| {
            exchange.body = json!({"DataFormat": "CSV", "Fancy": 1}).to_string()
        }),
        ("Missing required", |exchange| exchange.body = "{}".to_owned()),
        ("unknown member", |exchange| {
            exchange.answer = json!({"SnapshotId": "a", "Rows": 1}).to_string()
        }),
        ("lacks SnapshotId", |exchange| exchange.answer = "{}".to_owned()),
    ];
    for (objection, breaks) in broken {
        let mut exchange = right.clone();
        breaks(&mut exchange);
        let said = wire::conform("customer-profiles", &[exchange]).unwrap_err().to_string();
        assert!(said.contains(objection), "{objection}: {said}");
    }
    Ok(())
}
