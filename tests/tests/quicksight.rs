//! Dashboard snapshots with the simulated Quick Sight, in one process: which jobs are started, adopted, awaited and
//! named, and which values are never written.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use landfall::{
    error::ErrorKind,
    job::{Job, Status},
    poll::STALLED,
};
use landfall_local::simulated::{
    Refusal, SimulatedService, json_response,
    quicksight::{QuickSight, Scenario, Settings},
    simulator::Simulator as _,
};
use landfall_quicksight::DashboardSnapshots;
use landfall_tests::{
    harness::{EXPORTS, Harness, LEDGER, SESSION_ROLE, World},
    in_process::Faults,
    wire::{self, ModelledError, Recorder, Refusing},
};
use serde_json::{Value, json};

const ROWS: u64 = 40;

type Snapshots = Harness<DashboardSnapshots, QuickSight>;

fn with_faults(scenario: Scenario, faults: Arc<Faults>) -> Result<Snapshots> {
    let settings = Settings {
        rows: ROWS,
        duration: Duration::from_secs(45),
        scenario,
        ..Settings::default()
    };
    let simulate =
        |world: &World| QuickSight::new(Arc::clone(&world.store) as _, Arc::new(world.clock.clone()), settings);
    Harness::with(faults, simulate, |sdk, _| {
        DashboardSnapshots::new(sdk, Some(SESSION_ROLE.to_owned()))
    })
}

fn harness(scenario: Scenario) -> Snapshots {
    with_faults(scenario, Faults::none()).expect("the harness is right")
}

fn sample(name: &str) -> Value {
    let text = match name {
        "fullest" => include_str!("../../events/dashboard-snapshot-fullest.json"),
        "excel" => include_str!("../../events/dashboard-snapshot-scheduler.json"),
        "csv" => include_str!("../../events/dashboard-snapshot-scheduled-rule.json"),
        "smallest" => include_str!("../../events/dashboard-snapshot-smallest.json"),
        _ => include_str!("../../events/dashboard-snapshot.json"),
    };
    serde_json::from_str(text).expect("the sample is JSON")
}

fn error(sealed: &Value) -> (String, String) {
    let text = |pointer: &str| {
        sealed
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    (text("/outcome/error/Error"), text("/outcome/error/Cause"))
}

fn receipt(harness: &Snapshots, sealed: &Value) -> Result<Value> {
    let uri = sealed["outcome"]["receipt"].as_str().context("no receipt")?;
    harness.json(uri)
}

/// Everything that Landfall itself wrote, as text.
fn written(harness: &Snapshots) -> String {
    let ledger = harness.store.keys(LEDGER).into_iter().map(|key| (LEDGER, key));
    let receipts = harness.receipts().into_iter().map(|key| (EXPORTS, key));
    ledger
        .chain(receipts)
        .filter_map(|(bucket, key)| harness.store.body(bucket, &key))
        .map(|body| String::from_utf8_lossy(&body).into_owned())
        .collect()
}

#[tokio::test]
async fn every_sample_ends_with_a_receipt_of_all_its_files() -> Result<()> {
    for (name, files, rows) in [
        ("plain", 2, ROWS),
        ("smallest", 1, 0),
        // Five worksheets with a heading each.
        ("excel", 1, 5 * (ROWS + 1)),
        ("csv", 1, ROWS),
        ("fullest", 5, 3 * ROWS + 5 * (ROWS + 1)),
    ] {
        let harness = harness(Scenario::Success);
        let sealed = harness.run("first", &sample(name)).await?;
        assert_eq!(sealed["outcome"]["verdict"], "succeeded", "{name}: {sealed:#}");
        let receipt = receipt(&harness, &sealed)?;
        assert_eq!(
            receipt["output"]["objects"].as_array().map(Vec::len),
            Some(files),
            "{name}"
        );
        assert_eq!(receipt["output"]["rows"], rows, "{name}");
        let made = harness.simulated.jobs_made();
        assert_eq!(made.len(), 1, "{name}");
        assert_eq!(sealed["job_key"], json!(made[0].id), "{name}");
        assert!(made[0].place.ends_with(&format!("/run={}/", made[0].id)), "{made:?}");
    }
    Ok(())
}

#[tokio::test]
async fn sensitive_values_are_never_written() -> Result<()> {
    for scenario in [
        Scenario::Success,
        Scenario::HttpsUri,
        Scenario::ServiceFailed,
        Scenario::Denied,
    ] {
        let harness = harness(scenario);
        harness.run("first", &sample("fullest")).await?;
        let written = written(&harness);
        assert!(written.contains("RowLevelPermissionTagKeys") && written.contains("FiscalYear"));
        for secret in [
            "tenant-0042",
            "EMEA",
            "APAC",
            "0.19",
            "1793404800",
            "X-Amz-",
            "https://",
        ] {
            assert!(!written.contains(secret), "{scenario}: {secret} in {written}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn each_scenario_ends_with_its_own_outcome() -> Result<()> {
    use ErrorKind::{Forbidden, InvalidEvent, JobFailed, NotFound, OutputRejected, TimedOut};
    for (scenario, expected, words) in [
        (Scenario::Success, None, ""),
        (Scenario::PollThrottled, None, ""),
        (Scenario::PollUnavailable, None, ""),
        (Scenario::ResultLate, None, ""),
        (Scenario::StartThrottled, None, ""),
        (Scenario::StartThrottledButAccepted, None, ""),
        (Scenario::LostAnswer, None, ""),
        (Scenario::StartUnavailable, None, ""),
        (Scenario::RateLimited, None, ""),
        (Scenario::Full, None, ""),
        (Scenario::HttpsUri, None, ""),
        (Scenario::ServiceFailed, Some(JobFailed), "INTERNAL_FAILURE"),
        (Scenario::FileError, Some(OutputRejected), "FILE_NOT_GENERATED"),
        (Scenario::UnknownStatus, Some(TimedOut), "SUSPENDED"),
        (Scenario::Stuck, Some(TimedOut), "RUNNING"),
        (Scenario::Denied, Some(Forbidden), "AccessDeniedException (401)"),
        (Scenario::NotFound, Some(NotFound), "ResourceNotFoundException (404)"),
        (Scenario::IdTaken, Some(InvalidEvent), "Landfall.Rerun"),
        (Scenario::OutputMissing, Some(OutputRejected), ""),
        (Scenario::OutputCorrupt, Some(OutputRejected), ""),
        (Scenario::OutputWrongFormat, Some(OutputRejected), ""),
    ] {
        for name in ["csv", "plain", "excel"] {
            let harness = harness(scenario);
            let sealed = harness.run("first", &sample(name)).await?;
            let (kind, cause) = error(&sealed);
            let expected = expected.map(ErrorKind::name).unwrap_or_default();
            assert_eq!(kind, expected, "{scenario} {name}: {sealed:#}");
            assert!(cause.contains(words), "{scenario} {name}: {cause}");
            let made = harness.simulated.jobs_made().len();
            let most = usize::from(!matches!(scenario, Scenario::Denied | Scenario::NotFound));
            assert_eq!(made, most, "{scenario} {name}");
            let is_success = expected.is_empty();
            assert_eq!(harness.receipts().len(), usize::from(is_success), "{scenario} {name}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_lost_start_is_adopted_by_its_id() -> Result<()> {
    for scenario in [Scenario::LostAnswer, Scenario::StartThrottledButAccepted] {
        let harness = harness(scenario);
        let received = Snapshots::received("first", &sample("plain"));
        harness.start(&received).await.expect_err("the answer is lost");
        let job = harness.start(&received).await?;
        assert!(job.adopted, "{scenario}");
        assert_eq!((job.attempt, &job.service_id), (1, &job.job_key), "{scenario}");
        assert_eq!(
            harness.simulated.start_calls(),
            1,
            "{scenario}: the job must be looked for and not started again"
        );
    }
    Ok(())
}

/// The ledger was lost between two calls, so the second call meets the job of the first.
#[tokio::test]
async fn an_id_in_use_is_ours_if_its_files_match() -> Result<()> {
    let harness = harness(Scenario::Success);
    let received = Snapshots::received("first", &sample("plain"));
    let first = harness.start(&received).await?;
    for key in harness.store.keys(LEDGER) {
        harness.store.remove(LEDGER, &key);
    }
    let second = harness.start(&received).await?;
    assert_eq!(first.service_id, second.service_id);
    let errors: Vec<_> = harness
        .simulated
        .calls()
        .into_iter()
        .filter_map(|call| call.error)
        .collect();
    assert_eq!(errors, ["ResourceExistsException"]);
    assert_eq!(harness.simulated.jobs_made().len(), 1);
    Ok(())
}

/// The answer is lost, and the service knows the id before it shows the job.
#[tokio::test]
async fn a_job_that_exists_and_is_not_shown_yet_is_waited_for() -> Result<()> {
    let mut harness = harness(Scenario::LostAnswer);
    let received = Snapshots::received("first", &sample("plain"));
    harness.start(&received).await.expect_err("the answer is lost");
    let id = harness.simulated.jobs_made()[0].id.clone();
    let shown = Arc::clone(&harness.simulated);
    harness.talk_to(Arc::new(Unshown {
        service: Arc::clone(&shown),
        path: format!("/{id}"),
    }));
    let error = harness.start(&received).await.expect_err("not shown yet");
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
    harness.talk_to(shown);
    let job = harness.start(&received).await?;
    assert_eq!((job.attempt, &job.service_id), (1, &id));
    assert_eq!(harness.simulated.jobs_made().len(), 1);
    Ok(())
}

/// A service that accepts start calls and does not find the job.
struct Unshown {
    service: Arc<QuickSight>,
    /// The end of the path of the job itself.
    path: String,
}

#[async_trait]
impl SimulatedService for Unshown {
    fn signing_name(&self) -> &'static str {
        self.service.signing_name()
    }

    async fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        if request.method() == http::Method::GET && request.uri().path().ends_with(&self.path) {
            return Refusal::new(StatusCode::NOT_FOUND, "ResourceNotFoundException", "not yet").into_response("1");
        }
        self.service.handle(request).await
    }

    async fn advance(&self) {}
}

#[tokio::test]
async fn a_thirteenth_job_waits_until_the_service_has_room() -> Result<()> {
    let harness = harness(Scenario::Success);
    let event = |number: usize| {
        let mut event = sample("csv");
        event["detail"]["Landfall"] = json!({"IdempotencyKey": format!("job-{number}")});
        event
    };
    for number in 0..12 {
        harness.start(&Snapshots::received("first", &event(number))).await?;
    }
    let last = Snapshots::received("last", &event(12));
    let error = harness.start(&last).await.expect_err("the service is full");
    assert_eq!(error.kind, ErrorKind::Busy, "{error}");
    harness.pass(Duration::from_secs(60)).await;
    let job = harness.start(&last).await?;
    assert_eq!(job.attempt, 1, "a job that waits must lose no attempt");
    assert_eq!(harness.simulated.jobs_made().len(), 13);
    Ok(())
}

/// Status, code and body of the n-th call, counted from 0.
type Answer = fn(usize) -> (StatusCode, &'static str, Value);

/// Answers one operation in place of the service.
struct Instead {
    service: Arc<QuickSight>,
    /// The end of the operation's path.
    path: &'static str,
    answer: Answer,
    calls: AtomicUsize,
}

#[async_trait]
impl SimulatedService for Instead {
    fn signing_name(&self) -> &'static str {
        self.service.signing_name()
    }

    async fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        if !request.uri().path().ends_with(self.path) {
            return self.service.handle(request).await;
        }
        let (status, code, body) = (self.answer)(self.calls.fetch_add(1, Ordering::SeqCst));
        let mut response = json_response(status, "00000000-0000-4000-8000-000000000000", &body);
        if !code.is_empty() {
            response
                .headers_mut()
                .insert("x-amzn-errortype", HeaderValue::from_static(code));
        }
        response
    }

    async fn advance(&self) {}
}

/// Starts a job, and replaces the answer to one operation from then on.
async fn started(scenario: Scenario, path: &'static str, answer: Answer) -> Result<(Snapshots, Job)> {
    let mut harness = harness(scenario);
    let job = harness.start(&Snapshots::received("first", &sample("plain"))).await?;
    harness.pass(Duration::from_secs(120)).await;
    harness.talk_to(Arc::new(Instead {
        service: Arc::clone(&harness.simulated),
        path,
        answer,
        calls: AtomicUsize::new(0),
    }));
    Ok((harness, job))
}

#[tokio::test]
async fn a_failure_without_a_reason_is_reported_at_the_second_poll() -> Result<()> {
    let answers: [Answer; 3] = [
        |_| {
            (
                StatusCode::BAD_REQUEST,
                "PreconditionNotMetException",
                json!({"Message": "early"}),
            )
        },
        |_| {
            (
                StatusCode::BAD_REQUEST,
                "InvalidParameterValueException",
                json!({"Message": "early"}),
            )
        },
        |_| (StatusCode::OK, "", json!({"JobStatus": "FAILED"})),
    ];
    for answer in answers {
        let (harness, job) = started(Scenario::ServiceFailed, "/result", answer).await?;
        let job = harness.poll(job).await?;
        assert_eq!(
            (job.status, job.service_status.as_deref()),
            (Status::Running, Some("FAILED"))
        );
        let job = harness.poll(job).await?;
        assert_eq!(job.status, Status::Failed);
        assert!(job.error.expect("an error").cause.contains("it gives no reason"));
    }
    Ok(())
}

#[tokio::test]
async fn a_refused_result_does_not_end_the_job() -> Result<()> {
    let (harness, job) = started(Scenario::Success, "/result", |_| {
        (
            StatusCode::UNAUTHORIZED,
            "AccessDeniedException",
            json!({"Message": "no"}),
        )
    })
    .await?;
    // Roles and policies may be replaced while a job runs.
    let mut job = job;
    for missed in 1..=STALLED + 1 {
        job = harness.poll(job).await?;
        assert_eq!((job.status, job.missed.in_a_row), (Status::Running, missed));
        let last = job.missed.last.as_ref().expect("a reason");
        assert_eq!(last.error, "Landfall.Forbidden");
        assert!(last.cause.contains("needs the quicksight action"), "{last:?}");
    }
    let (harness, job) = started(Scenario::Success, "/result", |_| {
        (
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalFailureException",
            json!({"Message": "no"}),
        )
    })
    .await?;
    let job = harness.poll(job).await?;
    assert_eq!((job.status, job.missed.in_a_row), (Status::Running, 1));
    Ok(())
}

#[tokio::test]
async fn an_error_of_the_whole_job_fails_it_even_if_it_completed() -> Result<()> {
    let (harness, job) = started(Scenario::Success, "/result", |_| {
        let error = json!({"ErrorType": "RLS_CHANGED", "ErrorMessage": "see https://example.com/a?X-Amz-Signature=0a"});
        (
            StatusCode::OK,
            "",
            json!({"JobStatus": "COMPLETED", "ErrorInfo": error}),
        )
    })
    .await?;
    let job = harness.poll(job).await?;
    assert_eq!(job.status, Status::Failed);
    let cause = job.error.expect("an error").cause;
    assert!(
        cause.ends_with("rerun with the current settings") && !cause.contains("https"),
        "{cause}"
    );
    Ok(())
}

#[tokio::test]
async fn a_refusal_never_quotes_sensitive_values() -> Result<()> {
    let mut harness = harness(Scenario::Success);
    harness.talk_to(Arc::new(Instead {
        service: Arc::clone(&harness.simulated),
        path: "/snapshot-jobs",
        answer: |_| {
            let message = "Parameter Region has no value 'EMEA' for tag tenant-0042; FiscalYear 2026, rate 0.19";
            (
                StatusCode::BAD_REQUEST,
                "InvalidParameterValueException",
                json!({"Message": message}),
            )
        },
        calls: AtomicUsize::new(0),
    }));
    let received = Snapshots::received("first", &sample("fullest"));
    let error = harness.start(&received).await.expect_err("refused");
    assert_eq!(error.kind, ErrorKind::InvalidEvent);
    let hidden = "Parameter Region has no value '<hidden>' for tag <hidden>; FiscalYear <hidden>, rate <hidden>";
    assert!(error.message.contains(hidden), "{error}");
    Ok(())
}

/// The code decides and not the status, because 409 has two meanings and denied access is 401.
#[tokio::test]
async fn an_unknown_error_code_is_judged_by_its_status() -> Result<()> {
    for (status, kind) in [
        (400, ErrorKind::InvalidEvent),
        (401, ErrorKind::Forbidden),
        (403, ErrorKind::Forbidden),
        (404, ErrorKind::NotFound),
        (408, ErrorKind::Unavailable),
        (409, ErrorKind::Unavailable),
        (418, ErrorKind::Internal),
        (429, ErrorKind::Throttled),
        (500, ErrorKind::Unavailable),
        (503, ErrorKind::Unavailable),
    ] {
        let mut harness = harness(Scenario::Success);
        let refusal = Refusal::new(StatusCode::from_u16(status)?, "SomethingNewException", "no");
        harness.talk_to(Arc::new(Refusing("quicksight", refusal)));
        let received = Snapshots::received("first", &sample("plain"));
        let error = harness.start(&received).await.expect_err("refused");
        assert_eq!(error.kind, kind, "{status}: {error}");
    }
    Ok(())
}

#[tokio::test]
async fn every_modelled_error_has_its_name() -> Result<()> {
    let named = |code: &str| {
        Some(match code {
            "InvalidParameterValueException" => ErrorKind::InvalidEvent,
            "AccessDeniedException" | "UnsupportedUserEditionException" | "UnsupportedPricingPlanException" => {
                ErrorKind::Forbidden
            }
            "ResourceNotFoundException" => ErrorKind::NotFound,
            "LimitExceededException" => ErrorKind::Busy,
            "ThrottlingException" => ErrorKind::Throttled,
            // Landfall looks for the job that has the id, and this service answers everything with an error.
            "ResourceExistsException" => ErrorKind::Busy,
            "InternalFailureException" => ErrorKind::Unavailable,
            // This means that the result is not there yet.
            "PreconditionNotMetException" => return None,
            other => panic!("{other} is not known here"),
        })
    };
    for (operation, path) in [
        ("StartDashboardSnapshotJob", ""),
        ("DescribeDashboardSnapshotJob", ""),
        ("DescribeDashboardSnapshotJobResult", "/result"),
    ] {
        let errors = wire::modelled_errors("quicksight", &[operation])?;
        assert!(errors.len() >= 5, "{operation}: {errors:?}");
        let (mut codes, mut exchanges) = (Vec::new(), Vec::new());
        for ModelledError { code, status, .. } in errors {
            let mut harness = harness(Scenario::Success);
            let received = Snapshots::received("first", &sample("plain"));
            let refusal = Refusal::new(StatusCode::from_u16(status)?, code.clone().leak(), "no");
            let recorder = Recorder::new(Arc::new(RefusingAt {
                service: Arc::clone(&harness.simulated),
                path,
                refusal,
            }));
            let outcome = if operation.starts_with("Start") {
                harness.talk_to(Arc::clone(&recorder) as Arc<_>);
                harness.start(&received).await
            } else {
                let job = harness.start(&received).await?;
                harness.pass(Duration::from_secs(120)).await;
                harness.talk_to(Arc::clone(&recorder) as Arc<_>);
                harness.poll(job).await
            };
            // For a result, the code of an invalid parameter also means that it is not there yet.
            let expected = named(&code).filter(|kind| path.is_empty() || *kind != ErrorKind::InvalidEvent);
            match (outcome, expected) {
                (Ok(job), None) => assert_eq!(
                    (job.status, job.missed.count),
                    (Status::Running, 0),
                    "{operation} {code}"
                ),
                (Ok(job), Some(kind)) => {
                    let last = job.missed.last.expect("a reason");
                    assert_eq!(
                        (job.missed.in_a_row, last.error.as_str()),
                        (1, kind.name()),
                        "{operation} {code}"
                    );
                }
                (Err(error), expected) => assert_eq!(Some(error.kind), expected, "{operation} {code}: {error}"),
            }
            let exchanged = recorder.exchanges();
            let refused = exchanged.into_iter().find(|exchange| exchange.status >= 400);
            exchanges.push(refused.with_context(|| format!("{operation} was not called"))?);
            codes.push(code);
        }
        assert_eq!(wire::conform("quicksight", &exchanges)?, codes, "{operation}");
    }
    Ok(())
}

/// Refuses operations with a certain end of their path.
struct RefusingAt {
    service: Arc<QuickSight>,
    path: &'static str,
    refusal: Refusal,
}

#[async_trait]
impl SimulatedService for RefusingAt {
    fn signing_name(&self) -> &'static str {
        self.service.signing_name()
    }

    async fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        if request.uri().path().ends_with(self.path) {
            self.refusal
                .clone()
                .into_response("00000000-0000-4000-8000-000000000000")
        } else {
            self.service.handle(request).await
        }
    }

    async fn advance(&self) {}
}

#[tokio::test]
async fn requests_and_answers_conform() -> Result<()> {
    for (scenario, name, class) in [
        (Scenario::Success, "plain", ""),
        (Scenario::Success, "fullest", ""),
        (Scenario::Success, "smallest", ""),
        (Scenario::HttpsUri, "fullest", ""),
        (Scenario::FileError, "plain", ""),
        (Scenario::ServiceFailed, "plain", ""),
        (Scenario::ResultLate, "plain", "PreconditionNotMetException"),
        (Scenario::ResultLate, "plain", "InvalidParameterValueException"),
        (Scenario::Denied, "plain", "AccessDeniedException"),
        (Scenario::NotFound, "plain", "ResourceNotFoundException"),
        (Scenario::StartThrottled, "plain", "ThrottlingException"),
        (Scenario::StartUnavailable, "plain", "InternalFailureException"),
        (Scenario::Full, "plain", "LimitExceededException"),
        (Scenario::IdTaken, "plain", "ResourceExistsException"),
        (Scenario::PollThrottled, "plain", "ThrottlingException"),
    ] {
        let mut harness = harness(scenario);
        let recorder = Recorder::new(Arc::clone(&harness.simulated) as Arc<_>);
        harness.talk_to(Arc::clone(&recorder) as Arc<_>);
        harness.run("first", &sample(name)).await?;
        let said = wire::conform("quicksight", &recorder.exchanges())?;
        let operations = [
            "StartDashboardSnapshotJob",
            "DescribeDashboardSnapshotJob",
            "DescribeDashboardSnapshotJobResult",
        ];
        if class.is_empty() {
            for operation in operations {
                assert!(said.iter().any(|name| name == operation), "{scenario} {name}: {said:?}");
            }
        } else {
            assert!(said.iter().any(|name| name == class), "{scenario} {name}: {said:?}");
        }
    }
    Ok(())
}
