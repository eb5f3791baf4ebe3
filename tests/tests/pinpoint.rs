//! Endpoint exports and imports with the simulated Pinpoint, in one process: which jobs are started, found, awaited and
//! named, and which requests are never sent.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::{Request, Response, StatusCode};
use landfall::{
    clock::Clock,
    error::{Error, ErrorKind},
    invocation::{Deployment, Invocation},
    job::{Counts, Format, Job, Kind, Status},
    poll::poll,
    service::JobService,
    start::{Received, start},
};
use landfall_local::simulated::{
    Refusal, SimulatedService,
    pinpoint::{Endpoints, FAILURES, Operation, Pinpoint, Scenario, Settings, Way, samples},
    simulator::Simulator as _,
};
use landfall_pinpoint::{EndpointExports, EndpointImports, Surroundings, retirement::END_OF_SUPPORT};
use landfall_tests::{
    clock::ManualClock,
    harness::{EXPORTS, LEDGER, config},
    in_process::{Faults, sdk},
    memory_store::MemoryStore,
};
use serde_json::{Value, json};

const APPLICATION: &str = "01234567890123456789012345678901";
const SEGMENT: &str = "98765432109876543210987654321098";
const ENDPOINTS: u64 = 100;

fn before_the_end() -> DateTime<Utc> {
    END_OF_SUPPORT - TimeDelta::days(29)
}

fn surroundings(clock: &ManualClock) -> Surroundings {
    Surroundings {
        clock: Arc::new(clock.clone()),
        ..Surroundings::default()
    }
}

/// A deployment with its simulated Pinpoint.
struct World {
    store: Arc<MemoryStore>,
    clock: ManualClock,
    pinpoint: Arc<Pinpoint>,
    deployment: Deployment,
}

impl World {
    fn new(scenario: Scenario, now: DateTime<Utc>) -> Self {
        let clock = ManualClock::at(now);
        let store = Arc::new(MemoryStore::new(Arc::new(clock.clone())));
        store.create_bucket(EXPORTS);
        store.create_bucket(LEDGER);
        for (key, body) in samples(0, ENDPOINTS).unwrap() {
            store.insert(EXPORTS, key, body);
        }
        let settings = Settings {
            endpoints: ENDPOINTS,
            duration: Duration::from_secs(60),
            scenario,
            ..Settings::default()
        };
        let pinpoint = Pinpoint::new(
            Arc::clone(&store) as _,
            Arc::clone(&store) as _,
            Arc::new(clock.clone()),
            settings,
        );
        let deployment = Deployment {
            config: config().unwrap(),
            store: Arc::clone(&store) as _,
            clock: Arc::new(clock.clone()),
        };
        Self {
            store,
            clock,
            pinpoint: Arc::new(pinpoint),
            deployment,
        }
    }

    fn exports(&self) -> EndpointExports {
        EndpointExports::within(
            &sdk(Arc::clone(&self.pinpoint) as _, &Faults::none()),
            surroundings(&self.clock),
        )
    }

    fn imports(&self) -> EndpointImports {
        EndpointImports::within(
            &sdk(Arc::clone(&self.pinpoint) as _, &Faults::none()),
            surroundings(&self.clock),
        )
    }

    async fn start<S: JobService>(&self, service: &S, event: &Value) -> Result<Job, Error> {
        let received = Received {
            kind: Kind::new(S::KIND),
            execution: "arn:aws:states:eu-central-1:111122223333:execution:x:1".to_owned(),
            event: event.clone(),
            error: None,
            unreadable: None,
        };
        let invocation = Invocation {
            request_id: format!("request-{}", self.pinpoint.calls().len()),
            deadline: self.clock.now() + TimeDelta::seconds(60),
        };
        start(&self.deployment, service, &received, &invocation).await
    }

    /// Starts a job as the definition does, with retries after a transient error.
    async fn start_at_last<S: JobService>(&self, service: &S, event: &Value) -> Result<(Job, Vec<ErrorKind>), Error> {
        let mut met = Vec::new();
        loop {
            match self.start(service, event).await {
                Err(error) if error.kind.is_transient() && met.len() < 20 => met.push(error.kind),
                ended => return ended.map(|job| (job, met)),
            }
            self.clock.advance(Duration::from_secs(5));
        }
    }

    async fn poll_to_the_end<S: JobService>(&self, service: &S, mut job: Job) -> Result<Vec<Job>, Error> {
        let mut seen = Vec::new();
        while job.status == Status::Running && seen.len() < 100 {
            self.clock.advance(Duration::from_secs(3));
            job = poll(&self.deployment, service, job).await?;
            seen.push(job.clone());
        }
        Ok(seen)
    }
}

fn event(kind: &str, id: &str, detail: &Value) -> Value {
    json!({
        "version": "0", "id": id, "detail-type": kind, "source": "acme", "account": "111122223333",
        "time": "2026-10-01T05:00:00Z", "region": "eu-central-1", "resources": [], "detail": detail,
    })
}

fn export(settings: &Value) -> Value {
    let mut request = json!({"S3UrlPrefix": format!("s3://{EXPORTS}/endpoints/")});
    for (name, value) in settings.as_object().unwrap() {
        request[name] = value.clone();
    }
    let detail = json!({"ApplicationId": APPLICATION, "ExportJobRequest": request});
    event("Endpoint Export Requested", "1", &detail)
}

fn import(settings: &Value) -> Value {
    let mut request =
        json!({"Format": "CSV", "S3Url": format!("s3://{EXPORTS}/imports/endpoints.csv"), "RegisterEndpoints": true});
    for (name, value) in settings.as_object().unwrap() {
        request[name] = value.clone();
    }
    let detail = json!({"ApplicationId": APPLICATION, "ImportJobRequest": request});
    event("Endpoint Import Requested", "1", &detail)
}

fn role() -> Value {
    json!("arn:aws:iam::111122223333:role/landfall-export")
}

#[tokio::test]
async fn an_export_is_found_in_its_segment_behind_many_others() -> Result<()> {
    let world = World::new(Scenario::Success, before_the_end());
    let exports = world.exports();
    let job = world
        .start(&exports, &export(&json!({"SegmentId": SEGMENT, "SegmentVersion": 2})))
        .await?;
    let prefix = job.output.as_ref().unwrap().prefix.clone();
    assert_eq!(job.output.as_ref().unwrap().format, Some(Format::JsonlGzip));
    assert_eq!(world.pinpoint.jobs_made()[0].place, prefix.to_string());
    for number in 0..7 {
        let other =
            json!({"RoleArn": role(), "S3UrlPrefix": format!("s3://{EXPORTS}/other-{number}/"), "SegmentId": SEGMENT});
        world.pinpoint.start_elsewhere(APPLICATION, Way::Export, &other).await?;
    }
    let seen = world.poll_to_the_end(&exports, job).await?;
    let last = seen.last().unwrap();
    assert_eq!(last.status, Status::Succeeded);
    assert_eq!(
        last.counts,
        Some(Counts {
            processed: ENDPOINTS,
            failed: 0
        })
    );
    let echo = last.echo.as_ref().unwrap();
    assert_eq!(echo.compared, ["Id", "SegmentId", "S3UrlPrefix"]);
    assert_eq!(echo.differs, [] as [&str; 0]);
    let mut elsewhere = last.clone();
    elsewhere.output.as_mut().unwrap().prefix = format!("s3://{EXPORTS}/elsewhere/").parse()?;
    let observation = exports.poll(&elsewhere, None).await?;
    assert_eq!(observation.echo.unwrap().differs, ["S3UrlPrefix"]);
    let words: Vec<_> = seen.iter().filter_map(|job| job.service_status.as_deref()).collect();
    for word in ["INITIALIZING", "PROCESSING", "COMPLETING", "COMPLETED"] {
        assert!(words.contains(&word), "{word} in {words:?}");
    }
    assert_eq!(
        (seen[0].counts, seen[0].progress),
        (None, None),
        "counters must be missing at first"
    );
    // Eight jobs on pages of three. Ours, the oldest, is on the last page.
    let pages = world
        .pinpoint
        .calls()
        .into_iter()
        .filter(|call| call.operation == Operation::ListOfSegment(Way::Export));
    // There is one search more than the job needed.
    assert_eq!(pages.count(), 3 * (seen.len() + 1));
    let keys = world.store.keys(EXPORTS);
    let ours: Vec<_> = keys.iter().filter(|key| key.starts_with(&prefix.key)).collect();
    assert_eq!(ours.iter().filter(|key| key.ends_with(".gz")).count(), 3);
    assert_eq!(ours.len(), 4, "one object must be no data: {ours:?}");
    Ok(())
}

#[tokio::test]
async fn failures_are_counted_without_names_or_addresses() -> Result<()> {
    let world = World::new(Scenario::CompletedWithFailures, before_the_end());
    let exports = world.exports();
    let job = world.start(&exports, &export(&json!({}))).await?;
    let last = world.poll_to_the_end(&exports, job).await?.pop().unwrap();
    assert_eq!(last.status, Status::Succeeded);
    assert_eq!(
        last.counts,
        Some(Counts {
            processed: ENDPOINTS,
            failed: FAILURES
        })
    );
    assert_eq!(last.failures, vec!["an entry, which is not shown"; FAILURES as usize]);

    let failed = World::new(Scenario::ServiceFailed, before_the_end());
    let exports = failed.exports();
    let job = failed.start(&exports, &export(&json!({}))).await?;
    let last = failed.poll_to_the_end(&exports, job).await?.pop().unwrap();
    assert_eq!(last.status, Status::Failed);
    assert_eq!(last.service_message.as_deref(), Some("1 of 3 pieces failed"));

    let unknown = World::new(Scenario::UnknownStatus, before_the_end());
    let exports = unknown.exports();
    let job = unknown.start(&exports, &export(&json!({}))).await?;
    let last = unknown.poll_to_the_end(&exports, job).await?.pop().unwrap();
    assert_eq!(
        (last.status, last.service_status.as_deref()),
        (Status::Running, Some("SUSPENDED"))
    );
    Ok(())
}

/// Starts a job whose start call goes wrong. Returns the attempts, the jobs at the service, the start calls, and the
/// errors on the way.
async fn settled<S: JobService>(world: &World, service: &S, event: &Value) -> (u32, usize, usize, Vec<ErrorKind>) {
    let (job, met) = world.start_at_last(service, event).await.unwrap();
    assert!(world.pinpoint.jobs_made().iter().any(|made| made.id == job.service_id));
    (
        job.attempt,
        world.pinpoint.jobs_made().len(),
        world.pinpoint.start_calls(),
        met,
    )
}

#[tokio::test]
async fn a_lost_start_is_found_and_not_repeated() -> Result<()> {
    for segment in [json!({}), json!({"SegmentId": SEGMENT})] {
        for scenario in [
            Scenario::LostAnswer,
            Scenario::StartThrottledButAccepted,
            Scenario::SparseLists,
        ] {
            let world = World::new(scenario, before_the_end());
            let (attempt, jobs, starts, met) = settled(&world, &world.exports(), &export(&segment)).await;
            assert_eq!(
                (attempt, jobs, starts, met.len()),
                (1, 1, 1, 1),
                "export, {scenario}: {met:?}"
            );
            let world = World::new(scenario, before_the_end());
            let (attempt, jobs, starts, met) = settled(&world, &world.imports(), &import(&segment)).await;
            assert_eq!(
                (attempt, jobs, starts, met.len()),
                (1, 1, 1, 1),
                "import, {scenario}: {met:?}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_start_without_effect_is_repeated_and_an_export_gets_its_own_prefix() -> Result<()> {
    for scenario in [Scenario::StartThrottled, Scenario::StartUnavailable] {
        let world = World::new(scenario, before_the_end());
        let (attempt, jobs, starts, met) = settled(&world, &world.exports(), &export(&json!({}))).await;
        // If the first call made a job that is listed late, their files do not mix.
        assert_eq!((attempt, jobs, starts), (2, 1, 2), "{scenario}");
        // The lists are only trusted after a while.
        assert_eq!(met[1..], vec![ErrorKind::Busy; met.len() - 1], "{scenario}: {met:?}");
        let world = World::new(scenario, before_the_end());
        let (attempt, jobs, starts, _) = settled(&world, &world.imports(), &import(&json!({}))).await;
        assert_eq!((attempt, jobs, starts), (1, 1, 2), "{scenario}");
    }
    for way in [Way::Export, Way::Import] {
        let world = World::new(Scenario::Full, before_the_end());
        let (attempt, jobs, starts, met) = match way {
            Way::Export => settled(&world, &world.exports(), &export(&json!({}))).await,
            Way::Import => settled(&world, &world.imports(), &import(&json!({}))).await,
        };
        assert_eq!((attempt, jobs, starts), (1, 1, 3), "{way:?}");
        assert_eq!(met, [ErrorKind::Busy, ErrorKind::Busy], "{way:?}");
        let lists = world
            .pinpoint
            .calls()
            .iter()
            .filter(|call| call.operation == Operation::List(way))
            .count();
        assert_eq!(lists, 0, "a full service made no job, so nothing may be looked for");
    }
    Ok(())
}

#[tokio::test]
async fn after_an_ambiguous_call_an_export_gets_its_own_prefix_and_an_import_stops() -> Result<()> {
    let world = World::new(Scenario::EmptyDefinition, before_the_end());
    let (attempt, jobs, starts, _) = settled(&world, &world.exports(), &export(&json!({}))).await;
    assert_eq!((attempt, jobs, starts), (2, 2, 2));
    let places: Vec<_> = world.pinpoint.jobs_made().into_iter().map(|job| job.place).collect();
    assert!(places[1].ends_with("-2/") && !places[0].ends_with("-2/"), "{places:?}");

    let world = World::new(Scenario::EmptyDefinition, before_the_end());
    let imports = world.imports();
    let error = world.start_at_last(&imports, &import(&json!({}))).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::JobFailed);
    let id = world.pinpoint.jobs_made()[0].id.clone();
    assert!(
        error.message.contains(&id) && error.message.contains("Landfall.Rerun"),
        "{}",
        error.message
    );
    assert_eq!(world.pinpoint.start_calls(), 1);
    Ok(())
}

#[tokio::test]
async fn the_oldest_same_import_since_the_start_call_is_ours() -> Result<()> {
    let world = World::new(Scenario::LostAnswer, before_the_end());
    let same = json!({
        "RoleArn": role(), "Format": "CSV", "S3Url": format!("s3://{EXPORTS}/imports/endpoints.csv"), "RegisterEndpoints": true,
    });
    let mut other = same.clone();
    other["Format"] = json!("JSON");
    world.pinpoint.start_elsewhere(APPLICATION, Way::Import, &same).await?;
    world.clock.advance(Duration::from_secs(60));
    let imports = world.imports();
    assert_eq!(
        world.start(&imports, &import(&json!({}))).await.unwrap_err().kind,
        ErrorKind::Unavailable
    );
    let ours = world.pinpoint.jobs_made()[1].id.clone();
    world.clock.advance(Duration::from_secs(2));
    world.pinpoint.start_elsewhere(APPLICATION, Way::Import, &other).await?;
    world.pinpoint.start_elsewhere(APPLICATION, Way::Import, &same).await?;
    let job = world.start(&imports, &import(&json!({}))).await?;
    assert_eq!(
        (job.service_id, job.adopted, world.pinpoint.start_calls()),
        (ours, true, 1)
    );
    Ok(())
}

#[tokio::test]
async fn an_import_counts_what_its_source_holds() -> Result<()> {
    for (settings, objects) in [
        (json!({}), 1),
        (
            json!({"Format": "JSON", "S3Url": format!("s3://{EXPORTS}/imports/endpoints.json"), "SegmentId": SEGMENT}),
            1,
        ),
        // A folder with subfolders. The CSV in it is not of the asked format.
        (
            json!({"Format": "JSON", "S3Url": format!("s3://{EXPORTS}/imports/daily/")}),
            2,
        ),
    ] {
        let world = World::new(Scenario::Success, before_the_end());
        let imports = world.imports();
        let job = world.start(&imports, &import(&settings)).await?;
        let source = job.source.clone().unwrap();
        assert_eq!((source.objects, source.rows), (objects, ENDPOINTS), "{settings}");
        assert_eq!((job.output.is_none(), world.pinpoint.start_calls()), (true, 1));
        let last = world.poll_to_the_end(&imports, job).await?.pop().unwrap();
        assert_eq!(last.status, Status::Succeeded);
        assert_eq!(
            last.counts,
            Some(Counts {
                processed: ENDPOINTS,
                failed: 0
            })
        );
        let echo = last.echo.unwrap();
        assert!(echo.compared.contains(&"S3Url".to_owned()) && echo.compared.contains(&"Format".to_owned()));
        assert_eq!(echo.differs, [] as [&str; 0], "{settings}");
    }
    Ok(())
}

#[tokio::test]
async fn a_bad_source_never_reaches_the_service() -> Result<()> {
    let csv = "Id,ChannelType,Address\n1,EMAIL,secret@example.com\n";
    let packed = Endpoints::new(0, 3).export("a", 0..3, 1)?;
    let long = format!("Id,Attributes.{}\n1,x\n", "n".repeat(51));
    let just = format!("Id,Attributes.{}\n1,x\n", "n".repeat(50));
    type File<'a> = (&'a str, &'a [u8]);
    // Files under `in/`, the format, what is imported, and the expected message; none if the source is valid.
    /// Files, format, source, and how the source is refused.
    type Case<'a> = (&'a [File<'a>], &'a str, &'a str, Option<(ErrorKind, &'a str)>);
    let cases: &[Case<'_>] = &[
        (&[("a.csv", csv.as_bytes())], "CSV", "a.csv", None),
        (&[("a.txt", csv.as_bytes())], "CSV", "a.txt", None),
        (
            &[
                ("a.csv", csv.as_bytes()),
                ("b.json", b"{"),
                ("_SUCCESS", b""),
                ("sub/", b""),
            ],
            "CSV",
            "",
            None,
        ),
        (&[("a.csv", just.as_bytes())], "CSV", "a.csv", None),
        (&[("a.csv", b"Id\n1\n2\n")], "CSV", "a.csv", None),
        (
            &[],
            "CSV",
            "a.csv",
            Some((ErrorKind::NotFound, "in/a.csv does not exist")),
        ),
        (
            &[("b.csv", csv.as_bytes())],
            "JSON",
            "",
            Some((ErrorKind::NotFound, "holds no file in format JSON")),
        ),
        (
            &[("a/1.csv", csv.as_bytes())],
            "CSV",
            "a",
            Some((ErrorKind::InvalidEvent, "end the URL with a slash")),
        ),
        (
            &[("a.csv", csv.as_bytes()), ("a.csv.old", csv.as_bytes())],
            "CSV",
            "a.csv",
            Some((ErrorKind::InvalidEvent, "others begin with it")),
        ),
        (
            &[("a.csv", csv.as_bytes()), ("b.csv.GZ", &packed)],
            "CSV",
            "",
            Some((ErrorKind::InvalidEvent, "in/b.csv.GZ is compressed (.gz)")),
        ),
        (
            &[("a.json", &packed)],
            "JSON",
            "a.json",
            Some((ErrorKind::InvalidEvent, "compressed by its content")),
        ),
        (
            &[("a.json", &packed)],
            "JSON",
            "",
            Some((ErrorKind::InvalidEvent, "compressed by its content")),
        ),
        (
            &[("a.csv", b"")],
            "CSV",
            "a.csv",
            Some((ErrorKind::InvalidEvent, "in/a.csv is empty")),
        ),
        (
            &[("a.csv", b"Id,Address\n")],
            "CSV",
            "a.csv",
            Some((ErrorKind::InvalidEvent, "has no row")),
        ),
        (
            &[("a.csv", b"1,EMAIL,secret@example.com\n2,EMAIL,secret@example.com\n")],
            "CSV",
            "a.csv",
            Some((ErrorKind::InvalidEvent, "needs a header row")),
        ),
        (
            &[("a.csv", b"Id,Address\n1,secret\n2\n")],
            "CSV",
            "a.csv",
            Some((
                ErrorKind::InvalidEvent,
                "in/a.csv is not sound CSV: record 2, line 3: has 1 field",
            )),
        ),
        (
            &[("a.json", b"{\"Id\":\"1\"}\n{\"Id\":\"secret")],
            "JSON",
            "a.json",
            Some((
                ErrorKind::InvalidEvent,
                "is not sound JSON: record 2, line 2: ends within a value",
            )),
        ),
        (
            &[("a.json", csv.as_bytes())],
            "JSON",
            "a.json",
            Some((ErrorKind::InvalidEvent, "holds CSV, and the request says JSON")),
        ),
        (
            &[("a.csv", long.as_bytes())],
            "CSV",
            "a.csv",
            Some((ErrorKind::InvalidEvent, "in column 2")),
        ),
        (
            &[("a.csv", csv.as_bytes()), ("README", b"secret")],
            "CSV",
            "",
            Some((ErrorKind::InvalidEvent, "in/README is of no format that can be told")),
        ),
    ];
    for (files, format, name, expected) in cases {
        let world = World::new(Scenario::Success, before_the_end());
        for (name, body) in *files {
            world
                .store
                .insert(EXPORTS, &format!("in/{name}"), Bytes::copy_from_slice(body));
        }
        let event = import(&json!({"Format": format, "S3Url": format!("s3://{EXPORTS}/in/{name}")}));
        let started = world.start(&world.imports(), &event).await;
        let what: Vec<_> = files.iter().map(|(name, _)| name).collect();
        match expected {
            None => assert!(started.is_ok(), "{what:?}: {started:?}"),
            Some((kind, text)) => {
                let error = started.unwrap_err();
                assert_eq!(error.kind, *kind, "{what:?}: {error}");
                assert!(error.message.contains(text), "{what:?}: {text} in {error}");
                assert!(!error.message.contains("secret"), "{error}");
                assert_eq!(world.pinpoint.calls().len(), 0, "{what:?}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_source_outside_of_the_allow_list_is_not_even_listed() -> Result<()> {
    let world = World::new(Scenario::Success, before_the_end());
    let event = import(&json!({"S3Url": "s3://other-bucket/imports/endpoints.csv"}));
    let error = world.start(&world.imports(), &event).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Forbidden);
    assert!(error.message.contains("$.detail.ImportJobRequest.S3Url"), "{error}");
    assert_eq!(world.store.calls().len(), 0);
    Ok(())
}

/// A service that answers every call with one error, or its reads with another answer.
struct Answers {
    status: u16,
    code: &'static str,
    message: &'static str,
    /// Whether the lists of a whole application are answered.
    lists: bool,
}

#[async_trait]
impl SimulatedService for Answers {
    fn signing_name(&self) -> &'static str {
        "mobiletargeting"
    }

    async fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        let is_list = request.method() == http::Method::GET
            && ["/jobs/export", "/jobs/import"]
                .iter()
                .any(|end| request.uri().path().ends_with(end));
        if self.lists && is_list && !request.uri().path().contains("/segments/") {
            return Response::new(Bytes::from_static(b"{\"Item\": []}"));
        }
        Refusal::new(StatusCode::from_u16(self.status).unwrap(), self.code, self.message).into_response("1")
    }

    async fn advance(&self) {}
}

const MODELLED: [(u16, &str, ErrorKind); 7] = [
    (400, "BadRequestException", ErrorKind::InvalidEvent),
    (403, "ForbiddenException", ErrorKind::Forbidden),
    (404, "NotFoundException", ErrorKind::NotFound),
    (405, "MethodNotAllowedException", ErrorKind::Internal),
    (413, "PayloadTooLargeException", ErrorKind::InvalidEvent),
    (429, "TooManyRequestsException", ErrorKind::Throttled),
    (500, "InternalServerErrorException", ErrorKind::Unavailable),
];

/// The errors of a start, a search and polls of both kinds if every call gets this answer.
async fn errors(answers: impl Fn() -> Answers, now: DateTime<Utc>) -> Vec<(&'static str, Error)> {
    let world = World::new(Scenario::Success, now);
    let client = || sdk(Arc::new(answers()), &Faults::none());
    let exports = EndpointExports::within(&client(), surroundings(&world.clock));
    let imports = EndpointImports::within(&client(), surroundings(&world.clock));
    let mut errors = vec![
        (
            "CreateExportJob",
            world.start(&exports, &export(&json!({}))).await.unwrap_err(),
        ),
        (
            "CreateImportJob",
            world.start(&imports, &import(&json!({}))).await.unwrap_err(),
        ),
    ];
    for (name, settings) in [("Get", json!({})), ("GetSegment", json!({"SegmentId": SEGMENT}))] {
        // The job was started before the errors began.
        let well = World::new(Scenario::Success, now);
        let job = well.start(&well.exports(), &export(&settings)).await.unwrap();
        errors.push((
            if name == "Get" {
                "GetExportJob"
            } else {
                "GetSegmentExportJobs"
            },
            exports.poll(&job, None).await.unwrap_err(),
        ));
        let job = well.start(&well.imports(), &import(&settings)).await.unwrap();
        errors.push((
            if name == "Get" {
                "GetImportJob"
            } else {
                "GetSegmentImportJobs"
            },
            imports.poll(&job, None).await.unwrap_err(),
        ));
    }
    errors
}

#[tokio::test]
async fn every_modelled_error_of_every_operation_has_its_name() {
    for (status, code, kind) in MODELLED {
        let answers = || Answers {
            status,
            code,
            message: "why",
            lists: false,
        };
        for (operation, error) in errors(answers, before_the_end()).await {
            assert_eq!(error.kind, kind, "{operation}, {code}: {error}");
            let said = format!("{operation} for ");
            assert!(
                error.message.contains(&said) && error.message.contains(&format!("{code} ({status}): why")),
                "{error}"
            );
            assert!(!error.message.contains("ended"), "{error}");
        }
    }
    let full = || Answers {
        status: 400,
        code: "BadRequestException",
        message: "Maximum concurrent exports limit exceeded",
        lists: false,
    };
    assert_eq!(errors(full, before_the_end()).await[0].1.kind, ErrorKind::Busy);
}

#[tokio::test]
async fn answers_of_a_retired_endpoint_are_named_so_after_the_end_of_support() {
    for (status, code, kind) in MODELLED {
        let answers = || Answers {
            status,
            code,
            message: "why",
            lists: false,
        };
        for (operation, error) in errors(answers, END_OF_SUPPORT).await {
            let expected = if matches!(status, 429 | 500) {
                kind
            } else {
                ErrorKind::Retired
            };
            assert_eq!(error.kind, expected, "{operation}, {code}: {error}");
            assert!(error.message.contains(&format!("{code} ({status}): why")), "{error}");
            if expected == ErrorKind::Retired {
                assert!(
                    error.message.contains("2026-10-30") && error.message.contains("Customer Profiles"),
                    "{error}"
                );
                // A genuine error is reported as it is.
                assert!(
                    status == 405 || error.message.contains(&format!("read this as {kind}")),
                    "{error}"
                );
            }
        }
        // If Pinpoint still answers, its errors are taken at their word, except for a method that it no longer accepts.
        let answers = || Answers {
            status,
            code,
            message: "why",
            lists: true,
        };
        for (operation, error) in errors(answers, END_OF_SUPPORT).await {
            let expected = if status == 405 { ErrorKind::Retired } else { kind };
            assert_eq!(error.kind, expected, "{operation}, {code}: {error}");
        }
    }
}

#[tokio::test]
async fn retired_and_working_services_are_told_apart() -> Result<()> {
    for (scenario, before, after) in [
        (Scenario::Retired, ErrorKind::Forbidden, ErrorKind::Retired),
        (Scenario::RetiredNotFound, ErrorKind::NotFound, ErrorKind::Retired),
        (Scenario::RetiredGone, ErrorKind::Retired, ErrorKind::Retired),
        (Scenario::Denied, ErrorKind::Forbidden, ErrorKind::Forbidden),
        (Scenario::NotFound, ErrorKind::NotFound, ErrorKind::NotFound),
    ] {
        for (now, expected) in [
            (before_the_end(), before),
            (END_OF_SUPPORT + TimeDelta::days(60), after),
        ] {
            let world = World::new(scenario, now);
            let error = world.start(&world.exports(), &export(&json!({}))).await.unwrap_err();
            assert_eq!(error.kind, expected, "export, {scenario} at {now}: {error}");
            assert_eq!(world.pinpoint.start_calls(), 1);
            let world = World::new(scenario, now);
            let error = world.start(&world.imports(), &import(&json!({}))).await.unwrap_err();
            assert_eq!(error.kind, expected, "import, {scenario} at {now}: {error}");
        }
    }
    Ok(())
}
