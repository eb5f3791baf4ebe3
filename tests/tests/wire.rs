//! botocore's models judge what the functions send and what the simulated services answer. Every modelled error has a
//! name of ours.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use landfall::{
    error::ErrorKind,
    job::{Job, Status},
    remedy::find,
    runtime::calling_once,
    service::JobService,
    store::{Condition, ObjectStore as _, s3::S3Store},
};
use landfall_local::simulated::{
    Refusal, SimulatedService,
    customer_profiles::{Scenario, Settings},
    pinpoint::{self, Pinpoint},
    quicksight::{self, QuickSight},
    simulator::Simulator as _,
};
use landfall_pinpoint::EndpointImports;
use landfall_quicksight::{DashboardSnapshots, errors};
use landfall_tests::{
    harness::{EXPORTS, Harness},
    in_process::{Faults, Harm, Moment, sdk},
    wire::{self, Exchange, ModelledError, Recorder, Refusing, RefusingAt},
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
async fn estimates_conform() -> Result<()> {
    for (segment, scenario) in [
        ("groups", Scenario::Success),
        ("by-sql", Scenario::Success),
        ("groups", Scenario::EstimateFailed),
        ("groups", Scenario::EstimateDenied),
    ] {
        let mut event: Value = serde_json::from_str(include_str!("../../events/segment-snapshot-estimate.json"))?;
        event["detail"]["SegmentDefinitionName"] = json!(segment);
        let said = wire::conform("customer-profiles", &exchanges(scenario, &event).await?)?;
        let needed: &[&str] = match scenario {
            Scenario::EstimateDenied => &["AccessDeniedException"],
            _ => &["GetSegmentDefinition", "CreateSegmentEstimate", "GetSegmentEstimate"],
        };
        for name in needed {
            assert!(said.iter().any(|said| said == name), "{scenario}: {name} in {said:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn refusals_of_the_simulated_service_are_exceptions_of_botocore() -> Result<()> {
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

/// How a function comes to call an operation.
#[derive(Clone, Copy)]
enum Reach {
    Start,
    /// The start call was lost, so the function looks for its job.
    Find,
    Poll,
}

/// Whether a refused poll leaves the job running and records the name of the error.
fn is_missed(job: &Job, kind: ErrorKind) -> bool {
    let last = job.missed.last.as_ref().map(|last| last.error.as_str());
    (job.status, job.missed.in_a_row, last) == (Status::Running, 1, Some(kind.name()))
}

/// Lets a service answer one operation with each error of botocore's model. botocore must raise each error as its own
/// class, and the function must give it the name that `named` says.
async fn every_error_has_its_name<S: JobService, M: SimulatedService + 'static>(
    service: &str,
    operation: &str,
    event: &Value,
    reach: Reach,
    make: impl Fn(Arc<Faults>) -> Result<Harness<S, M>>,
    named: impl Fn(&str) -> Option<ErrorKind>,
) -> Result<()> {
    let errors = wire::modelled_errors(service, &[operation])?;
    assert!(errors.len() >= 5, "{operation}: {errors:?}");
    let (mut codes, mut exchanges) = (Vec::new(), Vec::new());
    for ModelledError { code, status, .. } in errors {
        let expected = named(&code).with_context(|| format!("{operation}: {code} is not known here"))?;
        let faults = match reach {
            Reach::Find => Faults::at(start_call(&make, event).await?, Moment::After, Harm::Lose),
            _ => Faults::none(),
        };
        let mut harness = make(faults)?;
        let refusal = Refusal::new(StatusCode::from_u16(status)?, code.clone().leak(), "no");
        let recorder = Recorder::new(Arc::new(Refusing(harness.simulated.signing_name(), refusal)));
        let received = Harness::<S, M>::received("one", event);
        let outcome = match reach {
            Reach::Start => {
                harness.talk_to(Arc::clone(&recorder) as Arc<_>);
                harness.start(&received).await
            }
            Reach::Find => {
                harness.start(&received).await.expect_err("the answer is lost");
                harness.talk_to(Arc::clone(&recorder) as Arc<_>);
                harness.start(&received).await
            }
            Reach::Poll => {
                let job = harness.start(&received).await?;
                harness.talk_to(Arc::clone(&recorder) as Arc<_>);
                harness.poll(job).await
            }
        };
        match outcome {
            // A failed poll says nothing about the job.
            Ok(job) => assert!(
                matches!(reach, Reach::Poll) && is_missed(&job, expected),
                "{operation} {code} passed: {job:?}"
            ),
            Err(error) => assert_eq!(error.kind, expected, "{operation} {code}: {error}"),
        }
        let first = recorder
            .exchanges()
            .into_iter()
            .next()
            .with_context(|| format!("{operation} was not called"))?;
        codes.push(code);
        exchanges.push(first);
    }
    assert_eq!(wire::conform(service, &exchanges)?, codes, "{operation}");
    Ok(())
}

/// The number of the start call in a run: the first call that reaches the service.
async fn start_call<S: JobService, M: SimulatedService + 'static>(
    make: impl Fn(Arc<Faults>) -> Result<Harness<S, M>>,
    event: &Value,
) -> Result<usize> {
    for call in 0..10 {
        let mut harness = make(Faults::at(call, Moment::After, Harm::Die))?;
        let recorder = Recorder::new(Arc::clone(&harness.simulated) as Arc<_>);
        harness.talk_to(Arc::clone(&recorder) as Arc<_>);
        let received = Harness::<S, M>::received("one", event);
        harness.start(&received).await.expect_err("a call is lost");
        if !recorder.exchanges().is_empty() {
            return Ok(call);
        }
    }
    anyhow::bail!("{} must make a start call", S::KIND)
}

#[tokio::test]
async fn every_error_of_customer_profiles_has_its_name() -> Result<()> {
    let named = |code: &str| {
        Some(match code {
            "BadRequestException" => ErrorKind::InvalidEvent,
            "AccessDeniedException" => ErrorKind::Forbidden,
            "ResourceNotFoundException" => ErrorKind::NotFound,
            "ThrottlingException" => ErrorKind::Throttled,
            "InternalServerException" => ErrorKind::Unavailable,
            _ => return None,
        })
    };
    for (operation, reach) in [
        ("CreateSegmentSnapshot", Reach::Start),
        ("GetSegmentSnapshot", Reach::Poll),
    ] {
        let make = |faults| <Harness>::new(Settings::default(), faults);
        every_error_has_its_name("customer-profiles", operation, &event("plain"), reach, make, named).await?;
    }
    Ok(())
}

fn pinpoint_settings() -> pinpoint::Settings {
    pinpoint::Settings {
        endpoints: 20,
        ..pinpoint::Settings::default()
    }
}

fn imports(settings: pinpoint::Settings, faults: Arc<Faults>) -> Result<Harness<EndpointImports, Pinpoint>> {
    let harness = Harness::imports(settings, faults)?;
    for (key, body) in pinpoint::samples(0, 20)? {
        harness.store.insert(EXPORTS, key, body);
    }
    Ok(harness)
}

/// The sample event of a Pinpoint kind, for a segment or for a whole application.
fn pinpoint_event(kind: &str, of_segment: bool) -> Value {
    let (text, request) = match kind {
        "import" => (include_str!("../../events/endpoint-import.json"), "ImportJobRequest"),
        _ => (include_str!("../../events/endpoint-export.json"), "ExportJobRequest"),
    };
    let mut event: Value = serde_json::from_str(text).expect("the sample is JSON");
    if of_segment {
        event["detail"][request]["SegmentId"] = json!("98765432109876543210987654321098");
    }
    event
}

#[tokio::test]
async fn every_error_of_pinpoint_has_its_name() -> Result<()> {
    let named = |code: &str| {
        Some(match code {
            "BadRequestException" | "PayloadTooLargeException" => ErrorKind::InvalidEvent,
            "ForbiddenException" => ErrorKind::Forbidden,
            "NotFoundException" => ErrorKind::NotFound,
            "MethodNotAllowedException" => ErrorKind::Internal,
            "TooManyRequestsException" => ErrorKind::Throttled,
            "InternalServerErrorException" => ErrorKind::Unavailable,
            _ => return None,
        })
    };
    for (operation, reach, of_segment) in [
        ("CreateExportJob", Reach::Start, false),
        ("GetExportJob", Reach::Poll, false),
        ("GetExportJobs", Reach::Find, false),
        ("GetSegmentExportJobs", Reach::Poll, true),
    ] {
        let event = pinpoint_event("export", of_segment);
        let make = |faults| Harness::exports(pinpoint_settings(), faults);
        every_error_has_its_name("pinpoint", operation, &event, reach, make, named).await?;
    }
    for (operation, reach, of_segment) in [
        ("CreateImportJob", Reach::Start, false),
        ("GetImportJob", Reach::Poll, false),
        ("GetImportJobs", Reach::Find, false),
        ("GetSegmentImportJobs", Reach::Poll, true),
    ] {
        let event = pinpoint_event("import", of_segment);
        let make = |faults| imports(pinpoint_settings(), faults);
        every_error_has_its_name("pinpoint", operation, &event, reach, make, named).await?;
    }
    Ok(())
}

/// Records all calls and answers of a run.
async fn run<S: JobService, M: SimulatedService + 'static>(
    mut harness: Harness<S, M>,
    event: &Value,
) -> Result<Vec<Exchange>> {
    let recorder = Recorder::new(Arc::clone(&harness.simulated) as Arc<_>);
    harness.talk_to(Arc::clone(&recorder) as Arc<_>);
    harness.run("one", event).await?;
    Ok(recorder.exchanges())
}

#[tokio::test]
async fn pinpoint_conforms() -> Result<()> {
    use pinpoint::Scenario as At;
    let mut seen = std::collections::BTreeSet::new();
    for of_segment in [false, true] {
        for scenario in [
            At::Success,
            At::LostAnswer,
            At::CompletedWithFailures,
            At::PollThrottled,
            At::Full,
            At::Denied,
        ] {
            let settings = || pinpoint::Settings {
                scenario,
                ..pinpoint_settings()
            };
            let exports = Harness::exports(settings(), Faults::none())?;
            let mut exchanges = run(exports, &pinpoint_event("export", of_segment)).await?;
            let imports = imports(settings(), Faults::none())?;
            exchanges.extend(run(imports, &pinpoint_event("import", of_segment)).await?);
            // Exceeded limits are recognised by their text. Their code is undocumented, so it cannot be judged.
            exchanges.retain(|exchange| !exchange.answer.contains("limit exceeded"));
            seen.extend(wire::conform("pinpoint", &exchanges)?);
        }
    }
    for operation in [
        "CreateExportJob",
        "GetExportJob",
        "GetExportJobs",
        "GetSegmentExportJobs",
        "CreateImportJob",
        "GetImportJob",
        "GetImportJobs",
        "GetSegmentImportJobs",
        "TooManyRequestsException",
        "ForbiddenException",
    ] {
        assert!(seen.contains(operation), "{operation} in {seen:?}");
    }
    Ok(())
}

fn dashboard_event(name: &str) -> Value {
    let text = match name {
        "fullest" => include_str!("../../events/dashboard-snapshot-fullest.json"),
        "smallest" => include_str!("../../events/dashboard-snapshot-smallest.json"),
        "user" => include_str!("../../events/dashboard-snapshot-registered-user.json"),
        _ => include_str!("../../events/dashboard-snapshot.json"),
    };
    serde_json::from_str(text).expect("the sample is JSON")
}

#[tokio::test]
async fn dashboard_snapshots_conform() -> Result<()> {
    use quicksight::Scenario as At;
    let mut seen = std::collections::BTreeSet::new();
    for (name, scenario) in [
        ("plain", At::Success),
        ("smallest", At::Success),
        ("fullest", At::Success),
        ("plain", At::ServiceFailed),
        ("plain", At::FileError),
        ("plain", At::HttpsUri),
        ("plain", At::LostAnswer),
        ("plain", At::PollThrottled),
        ("plain", At::Full),
        ("plain", At::Denied),
        ("plain", At::NotFound),
        ("user", At::Success),
        ("user", At::RlsChanged),
        ("user", At::TokenThrottled),
        ("user", At::IdentityCenterUser),
        ("user", At::SessionDenied),
    ] {
        let settings = quicksight::Settings {
            scenario,
            rows: 20,
            ..quicksight::Settings::default()
        };
        let exchanges = run(Harness::dashboards(settings, Faults::none())?, &dashboard_event(name)).await?;
        seen.extend(wire::conform("quicksight", &exchanges).with_context(|| format!("{name} {scenario}"))?);
    }
    for operation in [
        "StartDashboardSnapshotJob",
        "DescribeDashboardSnapshotJob",
        "DescribeDashboardSnapshotJobResult",
        "GetIdentityContext",
        "AssumeRole",
        "AccessDenied",
        "PreconditionNotMetException",
        "LimitExceededException",
        "AccessDeniedException",
        "ResourceNotFoundException",
        "ThrottlingException",
    ] {
        assert!(seen.contains(operation), "{operation} in {seen:?}");
    }
    Ok(())
}

#[tokio::test]
async fn every_error_of_quick_sight_has_its_name() -> Result<()> {
    let named = |code: &str| {
        Some(match code {
            "InvalidParameterValueException" => ErrorKind::InvalidEvent,
            "AccessDeniedException" | "UnsupportedUserEditionException" | "UnsupportedPricingPlanException" => {
                ErrorKind::Forbidden
            }
            "ResourceNotFoundException" => ErrorKind::NotFound,
            "LimitExceededException" => ErrorKind::Busy,
            "ThrottlingException" => ErrorKind::Throttled,
            "InternalFailureException" => ErrorKind::Unavailable,
            // The id is in use, and the poll that follows gets the same answer.
            "ResourceExistsException" => ErrorKind::Busy,
            _ => return None,
        })
    };
    let event = dashboard_event("plain");
    for (operation, reach) in [
        ("StartDashboardSnapshotJob", Reach::Start),
        ("DescribeDashboardSnapshotJob", Reach::Poll),
    ] {
        let make = |faults| {
            Harness::dashboards(
                quicksight::Settings {
                    rows: 20,
                    ..Default::default()
                },
                faults,
            )
        };
        every_error_has_its_name("quicksight", operation, &event, reach, make, named).await?;
    }
    Ok(())
}

/// Refuses the calls of STS as STS does, and passes the rest on.
struct RefusingSts(Arc<dyn SimulatedService>, String, StatusCode);

#[async_trait]
impl SimulatedService for RefusingSts {
    fn signing_name(&self) -> &'static str {
        self.0.signing_name()
    }

    async fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        if request.uri().path() != "/" {
            return self.0.handle(request).await;
        }
        let code = &self.1;
        let mut response = Response::new(Bytes::from(format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>"
        )));
        *response.status_mut() = self.2;
        response
    }

    async fn advance(&self) {}
}

/// The two calls before a start for a registered user: each error has a row that names it, and no job is made.
#[tokio::test]
async fn every_error_of_a_session_has_its_name() -> Result<()> {
    for (service, operation, table) in [
        ("quicksight", "GetIdentityContext", errors::OF_IDENTITY),
        ("sts", "AssumeRole", errors::OF_SESSIONS),
    ] {
        for ModelledError { code, status, .. } in wire::modelled_errors(service, &[operation])? {
            let row = find(table, &code).with_context(|| format!("{operation}: {code} must have a row"))?;
            let status = StatusCode::from_u16(status)?;
            let mut harness = Harness::dashboards(quicksight::Settings::default(), Faults::none())?;
            let simulated = Arc::clone(&harness.simulated) as Arc<dyn SimulatedService>;
            harness.talk_to(match service {
                "sts" => Arc::new(RefusingSts(simulated, code.clone(), status)),
                _ => Arc::new(RefusingAt {
                    service: simulated,
                    path: "/identity-context",
                    refusal: Refusal::new(status, code.clone().leak(), "no"),
                }),
            });
            let received = Harness::<DashboardSnapshots, QuickSight>::received("one", &dashboard_event("user"));
            let error = harness.start(&received).await.expect_err("it is refused");
            assert_eq!(error.kind, row.kind, "{operation} {code}: {error}");
            assert!(error.message.contains(row.remedy), "{operation} {code}: {error}");
            assert!(harness.simulated.jobs_made().is_empty());
        }
    }
    Ok(())
}

/// Every error that botocore's models give for the operations that are called has a row with its remedy, which the
/// cause shows.
#[test]
fn every_modelled_error_has_a_remedy() -> Result<()> {
    let snapshots = [
        "StartDashboardSnapshotJob",
        "DescribeDashboardSnapshotJob",
        "DescribeDashboardSnapshotJobResult",
    ];
    let profiles = [
        "CreateSegmentSnapshot",
        "GetSegmentSnapshot",
        "GetSegmentDefinition",
        "CreateSegmentEstimate",
        "GetSegmentEstimate",
    ];
    let pinpoint = [
        "CreateExportJob",
        "GetExportJob",
        "GetExportJobs",
        "GetSegmentExportJobs",
        "CreateImportJob",
        "GetImportJob",
        "GetImportJobs",
        "GetSegmentImportJobs",
    ];
    for (service, operations, table) in [
        ("quicksight", &snapshots[..], errors::OF_SNAPSHOTS),
        ("quicksight", &["GetIdentityContext"], errors::OF_IDENTITY),
        ("sts", &["AssumeRole"], errors::OF_SESSIONS),
        (
            "customer-profiles",
            &profiles,
            landfall_customer_profiles::errors::OF_CALLS,
        ),
        ("pinpoint", &pinpoint, landfall_pinpoint::errors::OF_CALLS),
    ] {
        for ModelledError { operation, code, .. } in wire::modelled_errors(service, operations)? {
            assert!(find(table, &code).is_some(), "{operation}: {code} must have a row");
        }
    }
    Ok(())
}

/// The result of a finished job: an error that means "not ready yet" does not end the job, and every other error has
/// its name.
#[tokio::test]
async fn every_error_of_a_result_has_its_name() -> Result<()> {
    let operation = "DescribeDashboardSnapshotJobResult";
    let (mut codes, mut exchanges) = (Vec::new(), Vec::new());
    for ModelledError { code, status, .. } in wire::modelled_errors("quicksight", &[operation])? {
        let settings = quicksight::Settings {
            rows: 20,
            ..quicksight::Settings::default()
        };
        let mut harness = Harness::dashboards(settings, Faults::none())?;
        let event = dashboard_event("plain");
        let job = harness
            .start(&Harness::<DashboardSnapshots, QuickSight>::received("one", &event))
            .await?;
        harness.pass(Duration::from_secs(120)).await;
        let refusal = Refusal::new(StatusCode::from_u16(status)?, code.clone().leak(), "no");
        let service = Arc::clone(&harness.simulated) as Arc<_>;
        let recorder = Recorder::new(Arc::new(RefusingAt {
            service,
            path: "/result",
            refusal,
        }));
        harness.talk_to(Arc::clone(&recorder) as Arc<_>);
        let expected = match code.as_str() {
            "PreconditionNotMetException" | "InvalidParameterValueException" => None,
            "AccessDeniedException" | "UnsupportedUserEditionException" => Some(ErrorKind::Forbidden),
            "ResourceNotFoundException" => Some(ErrorKind::NotFound),
            "ThrottlingException" => Some(ErrorKind::Throttled),
            "InternalFailureException" => Some(ErrorKind::Unavailable),
            _ => anyhow::bail!("{code} is not known here"),
        };
        let outcome = harness.poll(job).await;
        match (outcome, expected) {
            (Ok(job), None) => assert_eq!((job.status, job.missed.count), (Status::Running, 0), "{code}"),
            (Ok(job), Some(kind)) => assert!(is_missed(&job, kind), "{code}: {job:?}"),
            (Err(error), _) => panic!("{code}: {error}"),
        }
        codes.push(code);
        exchanges.extend(recorder.exchanges().pop());
    }
    assert_eq!(codes.len(), 7, "{codes:?}");
    assert_eq!(wire::conform("quicksight", &exchanges)?, codes);
    Ok(())
}

/// The judge refuses exchanges that do not conform.
#[tokio::test]
async fn the_judge_refuses_wrong_exchanges() -> Result<()> {
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

/// An S3 that refuses everything.
struct RefusingS3(StatusCode, &'static str);

#[async_trait]
impl SimulatedService for RefusingS3 {
    fn signing_name(&self) -> &'static str {
        "s3"
    }

    async fn handle(&self, _: Request<Bytes>) -> Response<Bytes> {
        let Self(status, code) = self;
        let body = format!("<Error><Code>{code}</Code><Message>no</Message><HostId>of-a-host</HostId></Error>");
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = *status;
        response
    }

    async fn advance(&self) {}
}

/// Among them is S3's answer for a bucket in another region, which the SDK does not follow.
#[tokio::test]
async fn every_error_of_s3_has_its_name() -> Result<()> {
    for (status, code, kind) in [
        (301, "PermanentRedirect", ErrorKind::NotFound),
        (400, "AuthorizationHeaderMalformed", ErrorKind::NotFound),
        (404, "NoSuchBucket", ErrorKind::NotFound),
        (403, "AccessDenied", ErrorKind::Forbidden),
        (503, "SlowDown", ErrorKind::Throttled),
        (500, "InternalError", ErrorKind::Unavailable),
        (400, "InvalidRequest", ErrorKind::Internal),
        (400, "RequestTimeout", ErrorKind::Unavailable),
        (408, "SomethingNew", ErrorKind::Unavailable),
        (400, "ExpiredToken", ErrorKind::Forbidden),
    ] {
        let service = Arc::new(RefusingS3(StatusCode::from_u16(status)?, code));
        let sdk = calling_once(&sdk(service, &Faults::none()));
        let store = S3Store::new(aws_sdk_s3::Client::new(&sdk), None);
        let absent = Condition::Absent;
        for error in [
            store.list_page("exports", "run=1/", None).await.unwrap_err(),
            store.get("exports", "run=1/part.csv").await.unwrap_err(),
            store
                .put("exports", "run=1/part.csv", Bytes::new(), absent)
                .await
                .unwrap_err(),
        ] {
            assert_eq!(error.kind, kind, "{code}: {error}");
            assert!(error.message.contains(code), "{error}");
            assert!(error.message.contains("s3://exports/run=1/"), "{error}");
            assert!(!error.message.contains("of-a-host"), "{error}");
        }
    }
    Ok(())
}
