//! Runs every handler against the simulated service, and lets the n-th call fail for every n.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use landfall::{
    error::ErrorKind,
    job::{Job, Status},
    ledger::Ledger,
};
use landfall_local::simulated::{
    Refusal,
    customer_profiles::{Scenario, Settings},
    pinpoint, quicksight,
    simulator::Simulator as _,
};
use landfall_pinpoint::EndpointImports;
use landfall_quicksight::DashboardSnapshots;
use landfall_tests::{
    harness::{EXPORTS, Harness, LEDGER},
    in_process::{Faults, Harm, Moment},
    memory_store::Op,
    wire::Refusing,
};
use serde_json::{Value, json};

const PROFILES: u64 = 40;

fn settings(scenario: Scenario) -> Settings {
    Settings {
        profiles: PROFILES,
        duration: Duration::from_secs(45),
        scenario,
        ..Settings::default()
    }
}

fn harness(scenario: Scenario) -> Harness {
    <Harness>::new(settings(scenario), Faults::none()).expect("the harness is right")
}

fn event() -> Value {
    serde_json::from_str(include_str!("../../events/segment-snapshot.json")).expect("the sample is JSON")
}

/// Checks that there is one job with one receipt and all rows, and that a later delivery gets the same outcome.
async fn assert_sealed_once(harness: &Harness, sealed: &Value, case: &str) -> Result<()> {
    assert_eq!(sealed["outcome"]["verdict"], "succeeded", "{case}: {sealed:#}");
    let receipts = harness.receipts();
    assert_eq!(receipts.len(), 1, "{case}: {receipts:?}");
    let uri = format!("s3://{EXPORTS}/{}", receipts[0]);
    assert_eq!(sealed["outcome"]["receipt"], uri, "{case}");
    let receipt = harness.json(&uri)?;
    assert_eq!(receipt["output"]["rows"], PROFILES, "{case}");
    assert_eq!(harness.store.versions(EXPORTS, &receipts[0]), 1, "{case}");
    // The objects lie under the prefix of the attempt that counts, and nothing else does.
    let prefix = receipt["output"]["prefix"].as_str().context("no prefix")?;
    for object in receipt["output"]["objects"].as_array().context("no objects")? {
        let key = object["key"].as_str().context("no key")?;
        assert!(format!("s3://{EXPORTS}/{key}").starts_with(prefix), "{case}: {key}");
    }

    let starts = harness.simulated.start_calls();
    let again = harness.run("later", &event()).await?;
    assert_eq!(again["status"], "sealed", "{case}");
    assert_eq!(again["outcome"]["receipt"], uri, "{case}");
    assert_eq!(again["outcome"]["announce"], false, "{case}");
    assert_eq!(harness.simulated.start_calls(), starts, "{case}");
    Ok(())
}

#[tokio::test]
async fn a_run_without_faults_succeeds() -> Result<()> {
    let harness = harness(Scenario::Success);
    let sealed = harness.run("first", &event()).await?;
    assert_eq!(sealed["outcome"]["announce"], true);
    assert_eq!(sealed["announcement"]["detail_type"], "Export Job Succeeded");
    // The receipt holds the digest of the report.
    let receipt = harness.json(sealed["outcome"]["receipt"].as_str().context("no receipt")?)?;
    let report = receipt["verification"]["report"].as_str().context("no report")?;
    let key = report
        .strip_prefix("s3://landfall-ledger/")
        .context("not in the ledger")?;
    let bytes = harness.store.body(LEDGER, key).context("the report is not there")?;
    assert_eq!(
        receipt["verification"]["report_sha256"],
        landfall::hash::sha256_hex(&bytes)
    );
    assert_sealed_once(&harness, &sealed, "no fault").await
}

#[tokio::test]
async fn a_manifest_is_written_unless_the_event_says_otherwise() -> Result<()> {
    for (manifest, is_written) in [(None, true), (Some(true), true), (Some(false), false)] {
        let harness = harness(Scenario::Success);
        let mut event = event();
        event["detail"]["Landfall"] = match manifest {
            None => json!({}),
            Some(manifest) => json!({"Manifest": manifest}),
        };
        let sealed = harness.run("one", &event).await?;
        assert_eq!(sealed["outcome"]["verdict"], "succeeded", "{sealed:#}");
        let is_manifest = |key: &String| key.ends_with("/_manifest.json");
        assert_eq!(
            harness.store.keys(EXPORTS).iter().any(is_manifest),
            is_written,
            "{manifest:?}"
        );
    }
    Ok(())
}

/// A delivery that meets a claim whose owner may still be working waits. It takes the claim over once the lease is
/// over.
#[tokio::test]
async fn a_claim_is_taken_over_only_after_its_lease() -> Result<()> {
    // The second call of a run is the start call. The owner dies right before it.
    let harness = <Harness>::new(settings(Scenario::Success), Faults::at(1, Moment::Before, Harm::Die))?;
    let received = <Harness>::received("one", &event());
    assert_eq!(harness.start(&received).await.unwrap_err().kind, ErrorKind::Unavailable);
    harness.faults.revive();
    let busy = harness.start(&<Harness>::received("two", &event())).await.unwrap_err();
    assert_eq!(busy.kind, ErrorKind::Busy);
    assert!(
        busy.message.contains("its claim ends at 2026-11-01T05:01:07Z") || busy.message.contains("05:01:07"),
        "{busy}"
    );
    assert_eq!(harness.simulated.start_calls(), 0);

    harness.clock.advance(Duration::from_secs(66));
    let job = harness.start(&<Harness>::received("two", &event())).await?;
    assert_eq!(job.attempt, 2, "nobody can know whether the first call was made");
    assert_eq!(harness.simulated.start_calls(), 1);
    Ok(())
}

/// An owner that wakes up after its claim was taken over changes nothing, and its job is recorded as an orphan.
#[tokio::test]
async fn a_late_owner_leaves_an_orphan_and_adopts() -> Result<()> {
    // The start call has its effect. Its answer and everything after it are lost.
    let harness = <Harness>::new(settings(Scenario::Success), Faults::at(1, Moment::After, Harm::Die))?;
    harness.start(&<Harness>::received("one", &event())).await.unwrap_err();
    let sealed = harness.run("two", &event()).await?;
    assert_sealed_once(&harness, &sealed, "late owner").await?;
    assert_eq!(harness.simulated.start_calls(), 2);
    let receipt = harness.json(sealed["outcome"]["receipt"].as_str().context("no receipt")?)?;
    assert_eq!(receipt["attempts"].as_array().map(Vec::len), Some(2));
    assert!(
        receipt["output"]["prefix"]
            .as_str()
            .is_some_and(|prefix| prefix.ends_with("-2/")),
        "{receipt:#}"
    );
    Ok(())
}

/// Someone records an orphan in the entry during the start call, between the claim and the record of the id.
fn orphan_during_start_call(harness: &Harness) {
    harness.store.before(Op::Put, 1, |store| {
        let jobs = store.keys(LEDGER).into_iter().filter(|key| key.starts_with("jobs/"));
        for key in jobs {
            let mut entry: Value = serde_json::from_slice(&store.body(LEDGER, &key).unwrap()).unwrap();
            entry["orphans"] = json!([{ "attempt": 1, "service_id": "late", "prefix": "s3://landfall-exports/late/" }]);
            store.insert(LEDGER, &key, entry.to_string());
        }
    });
}

fn assert_orphan_beside(entry: &Value, state: &str) {
    assert_eq!(entry["attempts"][0]["state"], state);
    assert_eq!(entry["orphans"][0]["service_id"], "late");
    assert_eq!(entry["orphans"].as_array().map(Vec::len), Some(1));
}

/// Found by the simulator: a late owner recorded its orphan while the new owner made its start call. The new owner then
/// took its claim for lost, made an orphan of its own job, and left the next attempt to another start call.
#[tokio::test]
async fn an_orphan_that_is_noted_during_a_start_call_leaves_its_claim() -> Result<()> {
    let harness = harness(Scenario::Success);
    orphan_during_start_call(&harness);
    let job = harness.start(&<Harness>::received("one", &event())).await?;
    assert_eq!((job.attempt, harness.simulated.start_calls()), (1, 1));
    let entry = harness.json(&format!("s3://{LEDGER}/{}", Ledger::entry_key(&job.kind, &job.job_key)))?;
    assert_orphan_beside(&entry, "started");
    Ok(())
}

/// Nor does the orphan keep the claim of a failed start call alive, which would make others wait until its lease is
/// over.
#[tokio::test]
async fn an_orphan_that_is_noted_during_a_failed_start_call_hides_no_failure() -> Result<()> {
    let harness = harness(Scenario::Denied);
    orphan_during_start_call(&harness);
    let error = harness.start(&<Harness>::received("one", &event())).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Forbidden);
    let mut entries = harness
        .store
        .keys(LEDGER)
        .into_iter()
        .filter(|key| key.starts_with("jobs/"));
    let entry = harness.json(&format!("s3://{LEDGER}/{}", entries.next().context("no entry")?))?;
    assert_orphan_beside(&entry, "refused");
    assert_eq!(
        entry["attempts"][0]["error"]["Error"], "Landfall.Forbidden",
        "{entry:#}"
    );
    Ok(())
}

/// Someone changes the attempts of the entry during the start call.
fn change_during_start_call<S, M>(harness: &Harness<S, M>, change: fn(&mut Vec<Value>)) {
    harness.store.before(Op::Put, 1, move |store| {
        let jobs = store.keys(LEDGER).into_iter().filter(|key| key.starts_with("jobs/"));
        for key in jobs {
            let mut entry: Value = serde_json::from_slice(&store.body(LEDGER, &key).unwrap()).unwrap();
            change(entry["attempts"].as_array_mut().unwrap());
            store.insert(LEDGER, &key, entry.to_string());
        }
    });
}

/// The job of the delivery that took the claim over counts, and the receipt names the other job as an orphan.
#[tokio::test]
async fn a_job_whose_claim_was_taken_over_is_noted_as_an_orphan() -> Result<()> {
    let harness = harness(Scenario::Success);
    change_during_start_call(&harness, |attempts| {
        let mut second = attempts[0].clone();
        second["number"] = json!(2);
        second["state"] = json!("started");
        second["service_id"] = json!("another");
        attempts.push(second);
    });
    let job = harness.start(&<Harness>::received("one", &event())).await?;
    assert_eq!(
        (job.attempt, job.service_id.as_str(), job.adopted),
        (2, "another", true)
    );
    let entry = harness.json(&format!("s3://{LEDGER}/{}", Ledger::entry_key(&job.kind, &job.job_key)))?;
    let orphans = entry["orphans"].as_array().context("no orphan")?;
    assert_eq!(orphans.len(), 1, "{entry:#}");
    assert_eq!(orphans[0]["attempt"], 1);
    assert_eq!(orphans[0]["prefix"], entry["attempts"][0]["prefix"]);
    assert_ne!(orphans[0]["service_id"], "another");
    Ok(())
}

/// If Landfall chooses the id, the delivery that took the claim over found the very job that this one made.
#[tokio::test]
async fn a_job_that_another_one_has_recorded_is_no_orphan() -> Result<()> {
    let harness = Harness::dashboards(quicksight::Settings::default(), Faults::none())?;
    change_during_start_call(&harness, |attempts| {
        attempts[0]["state"] = json!("started");
        attempts[0]["service_id"] = attempts[0]["key"].clone();
    });
    let event = serde_json::from_str(include_str!("../../events/dashboard-snapshot.json"))?;
    let received = Harness::<DashboardSnapshots, quicksight::QuickSight>::received("one", &event);
    let job = harness.start(&received).await?;
    assert!(job.adopted);
    let entry = harness.json(&format!("s3://{LEDGER}/{}", Ledger::entry_key(&job.kind, &job.job_key)))?;
    assert_eq!(entry["orphans"], Value::Null, "{entry:#}");
    Ok(())
}

#[tokio::test]
async fn a_request_that_is_not_allowed_is_never_started() -> Result<()> {
    let harness = harness(Scenario::Success);
    for (path, value) in [
        ("DestinationUri", "s3://somebody-elses-bucket/x/"),
        ("RoleArn", "arn:aws:iam::999999999999:role/landfall-export"),
        ("EncryptionKey", "arn:aws:kms:eu-central-1:999999999999:key/1"),
    ] {
        let mut event = event();
        event["id"] = json!(path);
        event["detail"][path] = json!(value);
        let error = harness.start(&<Harness>::received("one", &event)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Forbidden, "{error}");
        assert!(error.message.contains(&format!("$.detail.{path}")), "{error}");
        let sealed = harness.run("one", &event).await?;
        assert_eq!(sealed["outcome"]["error"]["Error"], "Landfall.Forbidden");
    }
    assert_eq!(harness.simulated.start_calls(), 0);
    Ok(())
}

#[tokio::test]
async fn a_domain_that_is_not_allowed_is_never_asked_for() -> Result<()> {
    let mut harness = harness(Scenario::Success);
    harness.configure(|config| config.allowed.domains = vec!["other-*".to_owned()]);
    let error = harness.start(&<Harness>::received("one", &event())).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Forbidden, "{error}");
    for text in ["$.detail.DomainName", "other-*", "AllowedDomains"] {
        assert!(error.message.contains(text), "{text} in {error}");
    }
    let sealed = harness.run("one", &event()).await?;
    assert_eq!(sealed["outcome"]["error"]["Error"], "Landfall.Forbidden");
    assert_eq!(harness.simulated.start_calls(), 0);
    Ok(())
}

#[tokio::test]
async fn every_refusal_of_the_service_has_its_name() -> Result<()> {
    for (scenario, kind) in [
        (Scenario::Denied, ErrorKind::Forbidden),
        (Scenario::NotFound, ErrorKind::NotFound),
        (Scenario::StartThrottled, ErrorKind::Throttled),
        (Scenario::StartUnavailable, ErrorKind::Unavailable),
        (Scenario::LostAnswer, ErrorKind::Unavailable),
        (Scenario::QuotaExceeded, ErrorKind::Throttled),
    ] {
        let harness = harness(scenario);
        let error = harness.start(&<Harness>::received("one", &event())).await.unwrap_err();
        assert_eq!(error.kind, kind, "{scenario}: {error}");
        assert!(error.message.contains("CreateSegmentSnapshot"), "{scenario}: {error}");
    }
    Ok(())
}

#[tokio::test]
async fn an_unknown_status_does_not_end_a_job() -> Result<()> {
    let harness = harness(Scenario::UnknownStatus);
    let job = harness.start(&<Harness>::received("one", &event())).await?;
    let job = harness.poll(job).await?;
    assert_eq!(job.status, Status::Running);
    Ok(())
}

#[tokio::test]
async fn a_quota_that_stays_exceeded_ends_sealed() -> Result<()> {
    let harness = harness(Scenario::QuotaExceeded);
    let mut event = event();
    event["detail"]["Landfall"] = json!({"DeadlineSeconds": 240});
    let sealed = harness.run("one", &event).await?;
    assert_eq!(sealed["outcome"]["verdict"], "failed");
    let error = &sealed["outcome"]["error"];
    assert_eq!(error["Error"], "Landfall.TimedOut", "{error}");
    assert!(
        error["Cause"]
            .as_str()
            .is_some_and(|cause| cause.contains("ThrottlingException")),
        "{error}"
    );
    assert_eq!(harness.receipts(), Vec::<String>::new());
    // The calls come at once, after a pause, and after a longer pause. The next one would come after the deadline.
    assert_eq!(harness.simulated.start_calls(), 3);
    Ok(())
}

/// A start call whose answer is lost or says nothing may have made a job, so there are only few of them in a day with
/// an outage.
#[tokio::test]
async fn start_calls_without_an_id_become_rare() -> Result<()> {
    const STEP: Duration = Duration::from_secs(30);
    let failed = Refusal::new(
        http::StatusCode::INTERNAL_SERVER_ERROR,
        "InternalServerException",
        "not now",
    );
    let nameless = Refusal::new(http::StatusCode::OK, "Nothing", "no id");
    for (refusal, case) in [(failed, "failed"), (nameless, "nameless")] {
        let mut harness = harness(Scenario::Success);
        harness.talk_to(Arc::new(Refusing("profile", refusal)));
        let mut event = event();
        event["detail"]["Landfall"] = json!({"DeadlineSeconds": 86_400});
        let received = <Harness>::received("one", &event);
        let mut made = Vec::new();
        for step in 0.. {
            let error = harness.start(&received).await.unwrap_err();
            match error.kind {
                ErrorKind::Unavailable => made.push(STEP * step),
                ErrorKind::Busy => assert!(error.message.contains("brought no id"), "{case}: {error}"),
                ErrorKind::TimedOut => break,
                _ => anyhow::bail!("{case}: {error}"),
            }
            harness.clock.advance(STEP);
        }
        let rests: Vec<_> = made.windows(2).map(|pair| pair[1] - pair[0]).collect();
        // The second call comes at once. Besides the pauses, each claim keeps others away for a minute.
        let least = [0, 1, 4, 16, 64, 256, 720].map(|minutes| Duration::from_secs(minutes * 60));
        assert_eq!(rests.len(), least.len(), "{case}: {rests:?}");
        for (rest, least) in rests.iter().zip(least) {
            assert!(*rest >= least && *rest <= least + 4 * STEP, "{case}: {rests:?}");
        }
    }
    Ok(())
}

/// Checks that the faulty delivery was sealed by itself, and that the job which another delivery started is open.
fn assert_rejected_alone(harness: &Harness, sealed: &Value, job: &Job) -> Result<()> {
    assert_eq!(sealed["outcome"]["error"]["Error"], "Landfall.InvalidEvent");
    let key = sealed["job_key"].as_str();
    assert!(key.is_some_and(|key| key.starts_with("rejected-")), "{sealed:#}");
    let entry = harness.json(&format!("s3://{LEDGER}/{}", Ledger::entry_key(&job.kind, &job.job_key)))?;
    assert!(entry["outcome"].is_null(), "{entry:#}");
    Ok(())
}

/// An idempotency key that belongs to another job must not close that job.
#[tokio::test]
async fn an_idempotency_key_belongs_to_one_request() -> Result<()> {
    let harness = harness(Scenario::Success);
    let mut first = event();
    first["detail"]["Landfall"] = json!({"IdempotencyKey": "nightly"});
    let mut other = first.clone();
    other["detail"]["DataFormat"] = json!("ORC");
    let job = harness.start(&<Harness>::received("one", &first)).await?;
    let sealed = harness.run("two", &other).await?;
    assert_rejected_alone(&harness, &sealed, &job)
}

/// The service made the job, and S3 fails for a while. The id is kept, and no second job is made.
#[tokio::test]
async fn an_id_is_not_lost_to_a_passing_error_of_the_ledger() -> Result<()> {
    // The calls are the claim, the start call, and the record of the id.
    let harness = <Harness>::new(settings(Scenario::Success), Faults::at(2, Moment::Before, Harm::Lose))?;
    let job = harness.start(&<Harness>::received("one", &event())).await?;
    assert_eq!((job.attempt, harness.simulated.start_calls()), (1, 1));
    Ok(())
}

/// A policy is replaced while a job starts.
#[tokio::test]
async fn an_id_is_not_lost_to_a_refusal_of_the_ledger() -> Result<()> {
    let harness = harness(Scenario::Success);
    // The writes are the claim, the service's test file, and the record of the id.
    harness
        .store
        .before(Op::Put, 2, |store| store.fail_at(0, ErrorKind::Forbidden));
    let job = harness.start(&<Harness>::received("one", &event())).await?;
    assert_eq!((job.attempt, harness.simulated.start_calls()), (1, 1));
    Ok(())
}

/// The last try leaves enough time to answer with the error before Lambda ends the function.
#[tokio::test]
async fn recording_an_id_is_given_up_before_the_function_times_out() -> Result<()> {
    let harness = harness(Scenario::Success);
    harness.store.before(Op::Put, 2, |store| {
        (0..100).for_each(|call| store.fail_at(call, ErrorKind::Unavailable));
    });
    let begun = harness.now();
    let error = harness.start(&<Harness>::received("one", &event())).await.unwrap_err();
    assert!(error.message.contains("could not be recorded"), "{error}");
    // The pauses are 1, 2, 4, 8 and 16 seconds. After the next one, of 32 seconds, the 60 seconds would be over.
    assert_eq!((harness.now() - begun).num_seconds(), 31);
    Ok(())
}

/// Nobody would be left to receive the answer.
#[tokio::test]
async fn no_start_call_is_made_without_time_for_its_answer() -> Result<()> {
    let harness = harness(Scenario::Success);
    let clock = harness.clock.clone();
    harness
        .store
        .before(Op::Put, 0, move |_| clock.advance(Duration::from_secs(40)));
    let received = <Harness>::received("one", &event());
    let error = harness.start(&received).await.unwrap_err();
    assert_eq!(
        (error.kind, harness.simulated.start_calls()),
        (ErrorKind::Unavailable, 0)
    );
    let job = harness.start(&received).await?;
    assert_eq!((job.attempt, harness.simulated.start_calls()), (1, 1));
    Ok(())
}

/// The receipt shows the request that was sent.
#[tokio::test]
async fn a_second_attempt_records_its_own_request() -> Result<()> {
    let harness = harness(Scenario::LostAnswer);
    let received = <Harness>::received("one", &event());
    harness.start(&received).await.unwrap_err();
    let job = harness.start(&received).await?;
    assert_eq!(job.attempt, 2);
    let prefix = &job.output.as_ref().context("no output")?.prefix;
    assert!(prefix.key.ends_with("-2/"), "{prefix}");
    assert_eq!(job.request["DestinationUri"], prefix.to_string());
    Ok(())
}

/// Options are not part of the key, so a second delivery may have wrong options where the first one had right ones.
#[tokio::test]
async fn a_local_failure_does_not_close_the_job_of_another_delivery() -> Result<()> {
    let harness = harness(Scenario::Success);
    let job = harness.start(&<Harness>::received("one", &event())).await?;
    let mut wrong = event();
    wrong["detail"]["Landfall"] = json!({"DeadlineSeconds": 0});
    let sealed = harness.run("two", &wrong).await?;
    assert_rejected_alone(&harness, &sealed, &job)?;

    let sealed = harness.run("one", &event()).await?;
    assert_eq!(sealed["job_key"], job.job_key);
    assert_sealed_once(&harness, &sealed, "the other delivery").await
}

/// The outcome was decided, but the receipt was not written. The next delivery writes it.
#[tokio::test]
async fn a_seal_that_broke_off_is_finished_by_the_next_delivery() -> Result<()> {
    let harness = harness(Scenario::Success);
    let sealed = harness.run("one", &event()).await?;
    let receipts = harness.receipts();
    let written = harness.store.body(EXPORTS, &receipts[0]).context("no receipt")?;
    harness.store.remove(EXPORTS, &receipts[0]);
    let again = harness.run("two", &event()).await?;
    assert_eq!(again["outcome"]["receipt"], sealed["outcome"]["receipt"]);
    assert_eq!(harness.store.body(EXPORTS, &receipts[0]), Some(written));
    Ok(())
}

/// A success whose answer cannot be read may have made a job, so it does not count as a refusal.
#[tokio::test]
async fn an_answer_without_an_id_is_uncertain() -> Result<()> {
    let mut harness = harness(Scenario::Success);
    let refusal = Refusal::new(http::StatusCode::OK, "Nothing", "no id");
    harness.talk_to(Arc::new(Refusing("profile", refusal)));
    let received = <Harness>::received("one", &event());
    assert_eq!(harness.start(&received).await.unwrap_err().kind, ErrorKind::Unavailable);
    harness.talk_to(Arc::clone(&harness.simulated) as Arc<_>);
    assert_eq!(harness.start(&received).await?.attempt, 2);
    Ok(())
}

/// A job that waits for a slot until its deadline is given up and not started.
#[tokio::test]
async fn nothing_is_started_past_its_deadline() -> Result<()> {
    let settings = quicksight::Settings {
        scenario: quicksight::Scenario::Full,
        ..Default::default()
    };
    let harness = Harness::dashboards(settings, Faults::none())?;
    let mut event: Value = serde_json::from_str(include_str!("../../events/dashboard-snapshot.json"))?;
    event["detail"]["Landfall"] = json!({"DeadlineSeconds": 100});
    let received = Harness::<DashboardSnapshots, quicksight::QuickSight>::received("one", &event);
    assert_eq!(harness.start(&received).await.unwrap_err().kind, ErrorKind::Busy);
    harness.pass(Duration::from_secs(101)).await;
    let error = harness.start(&received).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::TimedOut);
    assert!(error.message.contains("LimitExceededException"), "{error}");
    assert_eq!(harness.simulated.jobs_made().len(), 0);
    Ok(())
}

fn imports(scenario: pinpoint::Scenario) -> Result<Harness<EndpointImports, pinpoint::Pinpoint>> {
    let settings = pinpoint::Settings {
        scenario,
        endpoints: PROFILES,
        ..Default::default()
    };
    let harness = Harness::imports(settings, Faults::none())?;
    for (key, body) in pinpoint::samples(0, PROFILES)? {
        harness.store.insert(EXPORTS, key, body);
    }
    Ok(harness)
}

fn import_received() -> Result<landfall::start::Received> {
    let event = serde_json::from_str(include_str!("../../events/endpoint-import.json"))?;
    Ok(Harness::<EndpointImports, pinpoint::Pinpoint>::received("one", &event))
}

/// A start call and the record of its id need 25 s. If S3 has left less of the function's minute, the call is not made.
#[tokio::test]
async fn no_start_call_begins_without_time_to_record_its_id() -> Result<()> {
    for (seconds, is_begun) in [(34, true), (35, false)] {
        let harness = harness(Scenario::Success);
        let clock = harness.clock.clone();
        let passes = Duration::from_secs(seconds);
        harness.store.before(Op::Put, 0, move |_| clock.advance(passes));
        let received = <Harness>::received("one", &event());
        let started = harness.start(&received).await;
        assert_eq!(started.is_ok(), is_begun, "{seconds} s");
        assert_eq!(harness.simulated.start_calls(), usize::from(is_begun), "{seconds} s");
        if let Err(error) = started {
            assert_eq!(error.kind, ErrorKind::Unavailable);
            assert!(error.message.contains("too little time is left"), "{error}");
            // The service was not called, so the attempt is not lost.
            assert_eq!(harness.start(&received).await?.attempt, 1);
        }
    }
    // A retry would spend the same time on reading the source.
    let harness = imports(pinpoint::Scenario::Success)?;
    let clock = harness.clock.clone();
    let passes = Duration::from_secs(40);
    harness.store.before(Op::Read, 0, move |_| clock.advance(passes));
    harness.start(&import_received()?).await?;
    assert_eq!(harness.simulated.start_calls(), 1);
    Ok(())
}

/// If every answer is lost, nine start calls are made for a job and no more.
#[tokio::test]
async fn a_job_makes_at_most_nine_start_calls_without_an_id() -> Result<()> {
    for (number, next) in [(8, Some(9)), (9, None)] {
        // The start call has its effect, and its function dies.
        let harness = <Harness>::new(settings(Scenario::Success), Faults::at(1, Moment::After, Harm::Die))?;
        let mut event = event();
        event["detail"]["Landfall"] = json!({"DeadlineSeconds": 86_400});
        let received = <Harness>::received("one", &event);
        harness.start(&received).await.unwrap_err();
        harness.faults.revive();
        let is_entry = |key: &String| key.starts_with("jobs/");
        let key = harness
            .store
            .keys(LEDGER)
            .into_iter()
            .find(is_entry)
            .context("no entry")?;
        let mut entry = harness.json(&format!("s3://{LEDGER}/{key}"))?;
        entry["attempts"][0]["number"] = json!(number);
        harness.store.insert(LEDGER, &key, entry.to_string());
        harness.clock.advance(Duration::from_secs(13 * 3600));
        let started = harness.start(&received).await;
        match next {
            Some(next) => assert_eq!(started?.attempt, next),
            None => {
                let error = started.unwrap_err();
                assert_eq!(error.kind, ErrorKind::JobFailed);
                assert!(error.message.contains("9 start calls were made"), "{error}");
            }
        }
        assert_eq!(harness.simulated.start_calls(), 1 + usize::from(next.is_some()));
    }
    Ok(())
}

/// The state machine compares deadlines as texts, so they are whole seconds. None is earlier than was asked for.
#[tokio::test]
async fn a_deadline_is_a_whole_second_and_not_too_early() -> Result<()> {
    let mut event = event();
    event["detail"]["Landfall"] = json!({"DeadlineSeconds": 100});
    for (milliseconds, deadline) in [
        (0, "2026-11-01T05:01:42Z"),
        (1, "2026-11-01T05:01:43Z"),
        (999, "2026-11-01T05:01:43Z"),
    ] {
        let harness = harness(Scenario::Success);
        harness.clock.advance(Duration::from_millis(milliseconds));
        let job = harness.start(&<Harness>::received("one", &event)).await?;
        assert_eq!(json!(job.deadline_at), deadline, "{milliseconds} ms");
    }
    Ok(())
}

/// The source was valid when the job began to wait. It is checked again before the start call.
#[tokio::test]
async fn a_source_that_changed_while_its_job_waited_is_checked_again() -> Result<()> {
    let harness = imports(pinpoint::Scenario::Full)?;
    let received = import_received()?;
    assert_eq!(harness.start(&received).await.unwrap_err().kind, ErrorKind::Busy);
    harness
        .store
        .insert(EXPORTS, "imports/endpoints.csv", "Id,Address\n\"never closed");
    harness.pass(Duration::from_secs(60)).await;
    assert_eq!(
        harness.start(&received).await.unwrap_err().kind,
        ErrorKind::InvalidEvent
    );
    assert_eq!(harness.simulated.jobs_made().len(), 0);
    Ok(())
}

/// However long reading the source took, the import of a lost start call is looked for until some time after that call.
#[tokio::test]
async fn a_lost_import_counts_as_absent_only_some_time_after_its_call() -> Result<()> {
    let harness = imports(pinpoint::Scenario::StartThrottled)?;
    let clock = harness.clock.clone();
    harness
        .store
        .before(Op::Read, 0, move |_| clock.advance(Duration::from_secs(40)));
    let received = import_received()?;
    assert_eq!(harness.start(&received).await.unwrap_err().kind, ErrorKind::Throttled);
    assert_eq!(harness.start(&received).await.unwrap_err().kind, ErrorKind::Busy);
    assert_eq!(harness.simulated.start_calls(), 1);
    harness.pass(Duration::from_secs(31)).await;
    harness.start(&received).await?;
    assert_eq!(
        (harness.simulated.start_calls(), harness.simulated.jobs_made().len()),
        (2, 1)
    );
    Ok(())
}

/// Found by the simulator: the seal of a rejected delivery died right after its decision. When it was retried, it found
/// the job sealed by its owner and took over that outcome, so that nobody announced the rejection in the ledger.
#[tokio::test]
async fn a_rejection_stands_when_its_seal_is_tried_again() -> Result<()> {
    let harness = harness(Scenario::Success);
    harness.start(&<Harness>::received("one", &event())).await?;
    let mut other = <Harness>::received("two", &event());
    other.error = Some(landfall::error::Error::new(ErrorKind::Throttled, "for itself").into());
    let rejected = harness.seal(json!(other)).await?;
    harness.run("one", &event()).await?;
    let again = harness.seal(json!(other)).await?;
    assert_eq!(json!(again), json!(rejected));
    assert!(again.outcome().is_some_and(|outcome| outcome.announce));
    Ok(())
}

/// Found by the simulator: a delivery found a job past its deadline that another delivery had not been able to start.
/// It was rejected and announced by itself, although nobody could start the job any more.
#[tokio::test]
async fn a_job_that_can_no_longer_start_is_given_up_for_all_deliveries() -> Result<()> {
    // The owner dies right before its start call.
    let harness = <Harness>::new(settings(Scenario::Success), Faults::at(1, Moment::Before, Harm::Die))?;
    let mut late = event();
    late["detail"]["Landfall"] = json!({"DeadlineSeconds": 30});
    let first = <Harness>::received("one", &late);
    assert_eq!(harness.start(&first).await.unwrap_err().kind, ErrorKind::Unavailable);
    harness.faults.revive();
    harness.pass(Duration::from_secs(70)).await;
    let sealed = harness.run("two", &late).await?;
    assert_eq!(sealed["outcome"]["error"]["Error"], "Landfall.TimedOut");
    assert_eq!(sealed["outcome"]["announce"], true);
    let other = harness.run("one", &late).await?;
    assert_eq!(
        (&other["job_key"], &other["outcome"]["announce"]),
        (&sealed["job_key"], &json!(false))
    );
    assert_eq!(harness.simulated.start_calls(), 0);
    Ok(())
}

/// Found by the simulator: the deadline had passed by the clock of the start function, but not yet by that of the seal,
/// which took the job for another delivery's.
#[tokio::test]
async fn a_deadline_that_has_passed_by_another_clock_ends_the_job() -> Result<()> {
    let harness = harness(Scenario::QuotaExceeded);
    let mut late = event();
    late["detail"]["Landfall"] = json!({"DeadlineSeconds": 30});
    let first = <Harness>::received("one", &late);
    assert_eq!(harness.start(&first).await.unwrap_err().kind, ErrorKind::Throttled);
    harness.clock.advance(Duration::from_secs(31));
    let mut second = <Harness>::received("two", &late);
    let error = harness.start(&second).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::TimedOut);
    second.error = Some(error.into());
    harness.clock.put_back(Duration::from_secs(3));
    let sealed = harness.seal(json!(second)).await?;
    let sealed = json!(sealed);
    let key = sealed["job_key"].as_str().context("it has no key")?;
    assert!(!key.starts_with("rejected-"), "{sealed:#}");
    harness.clock.advance(Duration::from_secs(3));
    let other = harness.run("one", &late).await?;
    assert_eq!(
        (&other["job_key"], &other["outcome"]["announce"]),
        (&sealed["job_key"], &json!(false))
    );
    Ok(())
}

/// Found by the simulator: a delivery found out that Pinpoint does not say whether a lost call made a job. It was
/// rejected, because another delivery had made the call.
#[tokio::test]
async fn a_lost_import_that_pinpoint_cannot_tell_is_given_up_for_all_deliveries() -> Result<()> {
    let harness = imports(pinpoint::Scenario::EmptyDefinition)?;
    let first = import_received()?;
    assert!(harness.start(&first).await.unwrap_err().kind.is_transient());
    harness.pass(Duration::from_secs(1000)).await;
    let sealed = harness.run("two", &first.event).await?;
    assert_eq!(sealed["outcome"]["error"]["Error"], "Landfall.JobFailed");
    let other = harness.run("one", &first.event).await?;
    assert_eq!(other["job_key"], sealed["job_key"]);
    assert_eq!(
        (&sealed["outcome"]["announce"], &other["outcome"]["announce"]),
        (&json!(true), &json!(false))
    );
    Ok(())
}

/// An execution that died while it polled or verified a job of another execution is sealed alone. The owner, or a later
/// delivery, may still finish the job.
#[tokio::test]
async fn an_execution_that_adopts_a_job_and_dies_does_not_close_it() -> Result<()> {
    for dies_in_verify in [false, true] {
        let harness = harness(Scenario::Success);
        harness.start(&<Harness>::received("one", &event())).await?;
        let mut adopted = harness.start(&<Harness>::received("two", &event())).await?;
        while dies_in_verify && adopted.status == Status::Running {
            harness.pass(Duration::from_secs(adopted.wait_seconds.into())).await;
            adopted = harness.poll(adopted).await?;
        }
        let mut input = json!(adopted);
        input["error"] = json!({"Error": "Runtime.ExitError", "Cause": "it died"});
        let sealed = json!(harness.seal(input.clone()).await?);
        assert_eq!(sealed["outcome"]["verdict"], "failed", "{sealed:#}");
        assert_eq!(sealed["outcome"]["announce"], true);
        assert_eq!(sealed["announcement"]["detail"]["job_key"], sealed["job_key"]);
        let key = sealed["job_key"].as_str().context("no job key")?;
        assert!(key.starts_with("rejected-"), "{key}");
        assert!(harness.receipts().is_empty());

        let owners = harness.run("one", &event()).await?;
        assert_eq!(owners["job_key"], adopted.job_key);
        assert_sealed_once(&harness, &owners, "the owner").await?;
        // A retried seal gives the same answer.
        assert_eq!(json!(harness.seal(input).await?), sealed);
    }
    Ok(())
}

/// Every delivery gets the same answer of the service about the job. So the first delivery that gets it ends the job.
#[tokio::test]
async fn an_error_that_every_delivery_gets_ends_the_job_for_all() -> Result<()> {
    let harness = harness(Scenario::Success);
    let job = harness.start(&<Harness>::received("one", &event())).await?;
    let mut adopted = json!(harness.start(&<Harness>::received("two", &event())).await?);
    adopted["error"] = json!({"Error": "Landfall.NotFound", "Cause": "there is no such snapshot"});
    let sealed = json!(harness.seal(adopted).await?);
    assert_eq!(sealed["job_key"], job.job_key);
    let owners = harness.run("one", &event()).await?;
    assert_eq!(owners["outcome"]["error"]["Error"], "Landfall.NotFound");
    assert_eq!(owners["outcome"]["announce"], false);
    Ok(())
}

/// If the owner dies, the job fails, because nobody else may be there to end it.
#[tokio::test]
async fn an_execution_that_started_a_job_and_dies_closes_it() -> Result<()> {
    let harness = harness(Scenario::Success);
    let job = harness.start(&<Harness>::received("one", &event())).await?;
    let mut input = json!(job);
    input["error"] = json!({"Error": "Runtime.ExitError", "Cause": "it died"});
    let sealed = json!(harness.seal(input).await?);
    assert_eq!(sealed["job_key"], job.job_key);
    assert_eq!(harness.run("two", &event()).await?["outcome"]["verdict"], "failed");
    Ok(())
}

/// A claim that another delivery made after the seal of a failed delivery read the entry stands.
#[tokio::test]
async fn a_claim_that_is_made_during_a_seal_is_not_closed() -> Result<()> {
    let harness = harness(Scenario::Success);
    let job = harness.start(&<Harness>::received("two", &event())).await?;
    let key = Ledger::entry_key(&job.kind, &job.job_key);
    let claim = harness.store.body(LEDGER, &key).context("no entry")?;
    harness.store.remove(LEDGER, &key);
    let mut failed = <Harness>::received("one", &event());
    failed.error = Some(landfall::error::Error::new(ErrorKind::Throttled, "for itself").into());
    harness.store.before(Op::Put, 0, move |store| {
        store.insert(LEDGER, &key, claim);
    });
    let sealed = json!(harness.seal(json!(failed)).await?);
    let own = sealed["job_key"].as_str().context("no job key")?;
    assert!(own.starts_with("rejected-"), "{own}");
    let owners = harness.run("two", &event()).await?;
    assert_eq!(owners["job_key"], job.job_key);
    assert_sealed_once(&harness, &owners, "the owner").await
}

/// A rejected event that is sent again gets the reason that holds now.
#[tokio::test]
async fn another_rejection_of_the_same_event_has_its_own_reason() -> Result<()> {
    let harness = harness(Scenario::Success);
    harness.start(&<Harness>::received("owner", &event())).await?;
    let rejected = async |execution: &str, cause: &str| -> Result<Value> {
        let mut received = <Harness>::received(execution, &event());
        received.error = Some(landfall::error::Error::new(ErrorKind::Throttled, cause).into());
        Ok(json!(harness.seal(json!(received)).await?))
    };
    let first = rejected("one", "a").await?;
    let same = rejected("two", "a").await?;
    assert_eq!(same["job_key"], first["job_key"]);
    assert_eq!(same["outcome"]["announce"], false);
    let other = rejected("three", "b").await?;
    assert_ne!(other["job_key"], first["job_key"]);
    assert_eq!(
        (&other["outcome"]["error"]["Cause"], &other["outcome"]["announce"]),
        (&json!("b"), &json!(true))
    );
    assert_eq!(rejected("three", "b").await?, other);
    Ok(())
}
