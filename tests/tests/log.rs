//! What the functions log: everything that happened and to which job, but no text of anyone else.
//!
//! The functions run with their own handlers and the deployed subscriber, at the level TRACE. Events, answers of the
//! services and objects hold planted names, addresses, links and credentials.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::{
    fs,
    io::Write,
    panic::catch_unwind,
    path::Path,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use landfall::{
    config::Logging, heavy::heavy, input::Input, invocation::Invocation, logging, runtime::Handler,
    service::JobService, span,
};
use landfall_local::simulated::{
    SimulatedService, customer_profiles, json_response,
    pinpoint::{self, Pinpoint},
    quicksight::{self, QuickSight},
};
use landfall_pinpoint::{EndpointExports, EndpointImports};
use landfall_quicksight::DashboardSnapshots;
use landfall_tests::{
    each_kind,
    harness::{EXPORTS, Harness},
    in_process::Faults,
    kinds::Subject,
};
use serde_json::{Value, json};

/// Every planted value contains this word.
const WORD: &str = "planted";
const PLANTS: [&str; 6] = [
    "Anna Planted",
    "anna.planted@example.com",
    "https://planted.s3.eu-central-1.amazonaws.com/key?X-Amz-Credential=AKIAPLANTED00000000&X-Amz-Signature=planted",
    "AKIAPLANTED00000000",
    "FwoGZXIvYXdzEPlantedSessionToken//////////wEaDPlanted",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYPLANTEDKEY",
];

/// Other secrets: the credentials of the clients, and parts that only a signed request has.
const SECRETS: [&str; 6] = [
    "anotreal",
    "notrealrn",
    "notarealsession",
    "aws4-hmac",
    "x-amz-",
    "authorization",
];

/// Everything that the tests of this process log.
static LOG: LazyLock<Mutex<Vec<u8>>> = LazyLock::new(Mutex::default);

struct Sink;

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The tests take turns, so that each sees only its own lines.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

async fn begin() -> tokio::sync::MutexGuard<'static, ()> {
    let turn = TURN.lock().await;
    listen();
    turn
}

fn listen() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let logging = Logging {
            level: tracing::level_filters::LevelFilter::TRACE,
            json: true,
        };
        tracing::dispatcher::set_global_default(logging::dispatch(&logging, || Sink)).unwrap();
        logging::log_panics();
    });
    LOG.lock().unwrap().clear();
}

fn logged() -> String {
    String::from_utf8(LOG.lock().unwrap().clone()).unwrap()
}

fn lines() -> Vec<Value> {
    let log = logged();
    log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The planted values that a text contains.
fn found_in(text: &str) -> Vec<&'static str> {
    let text = text.to_lowercase();
    let words = [WORD].into_iter().chain(SECRETS);
    words.filter(|word| text.contains(word)).collect()
}

#[track_caller]
fn nothing_planted_is_logged(case: &str) {
    let log = logged();
    assert_eq!(found_in(&log), [""; 0], "{case}: {log}");
}

/// A service whose answers contain planted values.
struct Planting<M> {
    service: Arc<M>,
    /// The numbers of the calls that it refuses, with status and code.
    refuses: Option<Refused>,
    calls: AtomicUsize,
}

/// Members of answers with text for people.
const SAID: [&str; 6] = [
    "Message",
    "message",
    "StatusMessage",
    "ErrorMessage",
    "StatusCodeMessage",
    "ErrorType",
];

fn plant(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                if SAID.contains(&name.as_str()) && value.is_string() {
                    *value = json!(PLANTS.join(" "));
                } else if name == "Failures" {
                    *value = json!(PLANTS);
                } else {
                    plant(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(plant),
        _ => {}
    }
}

#[async_trait]
impl<M: SimulatedService> SimulatedService for Planting<M> {
    fn signing_name(&self) -> &'static str {
        self.service.signing_name()
    }

    async fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        if let Some((refused, status, code)) = &self.refuses
            && refused.contains(&number)
        {
            let said = PLANTS.join(" ");
            let mut refusal = json_response(*status, "a-request", &json!({"Message": said, "message": said}));
            let code = HeaderValue::from_static(code);
            refusal.headers_mut().insert("x-amzn-errortype", code);
            return refusal;
        }
        let (parts, body) = self.service.handle(request).await.into_parts();
        let Ok(mut value) = serde_json::from_slice::<Value>(&body) else {
            return Response::from_parts(parts, body);
        };
        plant(&mut value);
        Response::from_parts(parts, Bytes::from(value.to_string()))
    }

    async fn advance(&self) {
        self.service.advance().await;
    }
}

/// Runs an execution with its handlers, including the values that pass between them.
async fn execution<S, M>(harness: &Harness<S, M>, event: &Value) -> Result<Value>
where
    S: JobService + 'static,
    M: SimulatedService + 'static,
{
    let handlers = harness.handlers();
    let retried = async |handler: &Handler, input: &Value| {
        let mut answer = harness.call(handler, input).await;
        for _ in 0..6 {
            match &answer {
                Err(error) if error.kind.is_transient() => {}
                _ => break,
            }
            harness.pass(Duration::from_secs(90)).await;
            answer = harness.call(handler, input).await;
        }
        answer
    };
    let mut value = json!(Harness::<S, M>::received("first", event));
    let raised = |error| json!(landfall::job::TaskError::from(error));
    match retried(&handlers.start, &value).await {
        Ok(job) => value = job,
        Err(error) => value["error"] = raised(error),
    }
    while value["status"] == "running" {
        harness
            .pass(Duration::from_secs(value["wait_seconds"].as_u64().context("no wait")?))
            .await;
        match harness
            .call(&handlers.poll, &json!({"job": value, "event": event}))
            .await
        {
            Ok(job) => value = job,
            Err(error) => {
                value["error"] = raised(error);
                break;
            }
        }
    }
    if value["status"] == "succeeded" {
        match retried(&handlers.verify, &value).await {
            Ok(job) => value = job,
            Err(error) => value["error"] = raised(error),
        }
    }
    Ok(harness.call(&handlers.seal, &value).await?)
}

fn sample(name: &str) -> Value {
    let events = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events");
    serde_json::from_slice(&fs::read(events.join(name)).unwrap()).unwrap()
}

fn segments(scenario: customer_profiles::Scenario) -> Harness {
    let settings = customer_profiles::Settings {
        profiles: 40,
        duration: Duration::from_secs(45),
        scenario,
        ..Default::default()
    };
    Harness::new(settings, Faults::none()).unwrap()
}

fn dashboards(scenario: quicksight::Scenario) -> Harness<DashboardSnapshots, QuickSight> {
    let settings = quicksight::Settings {
        rows: 40,
        duration: Duration::from_secs(45),
        scenario,
        ..Default::default()
    };
    Harness::dashboards(settings, Faults::none()).unwrap()
}

fn of_pinpoint(scenario: pinpoint::Scenario) -> pinpoint::Settings {
    pinpoint::Settings {
        endpoints: 40,
        duration: Duration::from_secs(45),
        scenario,
        ..Default::default()
    }
}

fn exports(scenario: pinpoint::Scenario) -> Harness<EndpointExports, Pinpoint> {
    Harness::exports(of_pinpoint(scenario), Faults::none()).unwrap()
}

fn imports(scenario: pinpoint::Scenario) -> Harness<EndpointImports, Pinpoint> {
    let harness = Harness::imports(of_pinpoint(scenario), Faults::none()).unwrap();
    let data = "ChannelType,Address,User.UserAttributes.Name\nEMAIL,anna.planted@example.com,Anna Planted\n";
    harness.store.insert(EXPORTS, "imports/endpoints.csv", data);
    harness
}

/// The calls that are refused, with status and code.
type Refused = (std::ops::Range<usize>, StatusCode, &'static str);

/// Runs a kind's sample event at a service without faults.
async fn told_of<S: Subject>(refuses: Option<Refused>) -> Result<Value> {
    let harness = Harness::<S, S::Simulated>::usual(5, Duration::from_secs(5), Faults::none())?;
    told(harness, &S::sample()?, refuses).await
}

/// Runs an event with a service whose answers contain planted values.
async fn told<S, M>(mut harness: Harness<S, M>, event: &Value, refuses: Option<Refused>) -> Result<Value>
where
    S: JobService + 'static,
    M: SimulatedService + 'static,
{
    let service = Arc::clone(&harness.simulated);
    harness.talk_to(Arc::new(Planting {
        service,
        refuses,
        calls: AtomicUsize::new(0),
    }));
    execution(&harness, event).await
}

#[test]
fn the_search_finds_planted_secrets() {
    let _turn = TURN.blocking_lock();
    listen();
    tracing::info!(target: "landfall_quicksight::errors", "the service says: {}", PLANTS[0]);
    assert_eq!(found_in(&logged()), [WORD]);
    LOG.lock().unwrap().clear();
    // Other crates log requests, inputs and whole errors.
    for other in [
        "lambda_runtime::layers",
        "aws_smithy_runtime::client",
        "hyper_util",
        "rustls",
    ] {
        match other {
            "hyper_util" => tracing::error!(target: "hyper_util", "{}", PLANTS[1]),
            "rustls" => tracing::error!(target: "rustls", "{}", PLANTS[1]),
            "lambda_runtime::layers" => tracing::error!(target: "lambda_runtime::layers", "{}", PLANTS[1]),
            _ => tracing::error!(target: "aws_smithy_runtime::client", "{}", PLANTS[1]),
        }
    }
    assert_eq!(logged(), "");
}

#[test]
fn a_panic_is_logged_with_its_place() {
    let _turn = TURN.blocking_lock();
    listen();
    assert!(catch_unwind(|| panic!("{} is no row", PLANTS[0])).is_err());
    nothing_planted_is_logged("a panic");
    let place = lines()[0]["fields"]["place"].to_string();
    assert!(place.contains("tests/log.rs:"), "{place}");
}

#[tokio::test]
async fn nothing_that_a_service_says_is_logged() -> Result<()> {
    let _turn = begin().await;
    let denied = |calls: std::ops::Range<usize>| Some((calls, StatusCode::FORBIDDEN, "AccessDeniedException"));
    let broken =
        |calls: std::ops::Range<usize>| Some((calls, StatusCode::INTERNAL_SERVER_ERROR, "InternalServerException"));
    let mut outcomes = Vec::new();
    for refuses in [None, denied(0..1), denied(1..4), broken(0..1), broken(1..4)] {
        macro_rules! each {
            ($($name:ident: $kind:ty),* $(,)?) => { $(outcomes.push(told_of::<$kind>(refuses.clone()).await?);)* };
        }
        each_kind!(each);
        use customer_profiles::Scenario::{ServiceFailed, Success};
        for scenario in [Success, ServiceFailed] {
            outcomes.push(
                told(
                    segments(scenario),
                    &sample("segment-snapshot-estimate.json"),
                    refuses.clone(),
                )
                .await?,
            );
            outcomes.push(told(segments(scenario), &sample("segment-snapshot.json"), refuses.clone()).await?);
        }
        use quicksight::Scenario as OfQuickSight;
        for scenario in [
            OfQuickSight::Success,
            OfQuickSight::ServiceFailed,
            OfQuickSight::FileError,
            OfQuickSight::HttpsUri,
        ] {
            outcomes.push(
                told(
                    dashboards(scenario),
                    &sample("dashboard-snapshot.json"),
                    refuses.clone(),
                )
                .await?,
            );
            let event = "dashboard-snapshot-registered-user.json";
            outcomes.push(told(dashboards(scenario), &sample(event), refuses.clone()).await?);
        }
        use pinpoint::Scenario as OfPinpoint;
        for scenario in [
            OfPinpoint::Success,
            OfPinpoint::ServiceFailed,
            OfPinpoint::CompletedWithFailures,
        ] {
            outcomes.push(told(exports(scenario), &sample("endpoint-export.json"), refuses.clone()).await?);
            outcomes.push(told(imports(scenario), &sample("endpoint-import.json"), refuses.clone()).await?);
        }
    }
    nothing_planted_is_logged("answers");
    // The functions received the planted values, and the executions hold them.
    let have = outcomes
        .iter()
        .filter(|outcome| outcome.to_string().contains("Planted"));
    assert!(have.count() > 20, "{outcomes:#?}");
    let decided = lines().into_iter().filter(|line| line["fields"]["decided"].is_string());
    assert!(decided.count() > 200);
    // The code and status of an answer may be logged.
    assert!(logged().contains("AccessDeniedException (403)"));
    Ok(())
}

#[tokio::test]
async fn nothing_that_an_event_holds_is_logged() -> Result<()> {
    let _turn = begin().await;
    let mut refused = 0;
    for (kind, event) in [
        (0, "segment-snapshot-fullest.json"),
        (0, "segment-snapshot-expectations.json"),
        (1, "dashboard-snapshot-fullest.json"),
        (1, "dashboard-snapshot-registered-user.json"),
        (2, "endpoint-export-fullest.json"),
        (3, "endpoint-import-fullest.json"),
    ] {
        let whole = sample(event);
        let mut events: Vec<Value> = PLANTS
            .iter()
            .map(|plant| with(&whole, "/detail/Planted", json!(plant)))
            .collect();
        for (number, place) in leaves(&whole["detail"], "/detail").into_iter().enumerate() {
            // The name and key of an export are logged, because they say which export it is.
            if !["/Landfall/Name", "/Landfall/IdempotencyKey"]
                .iter()
                .any(|own| place.ends_with(own))
            {
                events.push(with(&whole, &place, json!(PLANTS[number % PLANTS.len()])));
            }
        }
        for event in events {
            let outcome = match kind {
                0 => execution(&segments(Default::default()), &event).await?,
                1 => execution(&dashboards(Default::default()), &event).await?,
                2 => execution(&exports(Default::default()), &event).await?,
                _ => execution(&imports(Default::default()), &event).await?,
            };
            refused += usize::from(outcome["outcome"]["verdict"] == "failed");
            nothing_planted_is_logged(&event.to_string());
            LOG.lock().unwrap().clear();
        }
    }
    assert!(refused > 50, "{refused}");
    Ok(())
}

fn with(event: &Value, place: &str, value: Value) -> Value {
    let mut event = event.clone();
    match event.pointer_mut(place) {
        Some(there) => *there = value,
        None => {
            let (parent, name) = place.rsplit_once('/').unwrap();
            event.pointer_mut(parent).unwrap()[name] = value;
        }
    }
    event
}

/// The paths of all values that are neither objects nor arrays.
fn leaves(value: &Value, place: &str) -> Vec<String> {
    match value {
        Value::Object(members) => {
            let each = members
                .iter()
                .flat_map(|(name, value)| leaves(value, &format!("{place}/{name}")));
            each.collect()
        }
        Value::Array(items) => {
            let each = items.iter().enumerate();
            each.flat_map(|(index, value)| leaves(value, &format!("{place}/{index}")))
                .collect()
        }
        _ => vec![place.to_owned()],
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_an_object_holds_is_logged() -> Result<()> {
    let _turn = begin().await;
    let person = "Anna Planted,anna.planted@example.com";
    for spoiled in [
        format!("{person}\n{person}\n"),
        format!("name,mail\n{person},more\n"),
        format!("name,mail\n\"{person}"),
        format!("{{\"Name\": \"{person}\"}}\n{{\"Name\": \"{person}\n"),
        format!("<table><tr><td>{person}</td></tr></table>"),
    ] {
        let harness = segments(Default::default());
        let event = sample("segment-snapshot-expectations.json");
        let handlers = harness.handlers();
        let mut job = harness
            .call(
                &handlers.start,
                &json!(Harness::<
                    landfall_customer_profiles::SegmentSnapshots,
                    customer_profiles::CustomerProfiles,
                >::received("first", &event)),
            )
            .await?;
        let prefix = job["output"]["prefix"].as_str().context("no prefix")?.to_owned();
        let folder = prefix
            .strip_prefix(&format!("s3://{EXPORTS}/"))
            .context("another bucket")?
            .to_owned();
        while job["status"] == "running" {
            harness.pass(Duration::from_secs(60)).await;
            job = harness
                .call(&handlers.poll, &json!({"job": job, "event": event}))
                .await?;
        }
        harness.store.insert(
            EXPORTS,
            &format!("{folder}anna.planted@example.com.csv"),
            spoiled.clone(),
        );
        let destination = folder.split("run=").next().unwrap_or_default();
        harness.store.insert(
            EXPORTS,
            &format!("{destination}_latest.json"),
            format!("{{\"schema\": \"{person}\"}}"),
        );
        job = harness.call(&handlers.verify, &job).await?;
        let sealed = harness.call(&handlers.seal, &job).await?;
        assert_eq!(sealed["outcome"]["verdict"], "failed", "{spoiled}");
        assert!(sealed.to_string().contains("planted"), "{sealed:#}");
        nothing_planted_is_logged(&spoiled);
    }
    // A success with a foreign object in place of its pointer.
    let harness = segments(Default::default());
    let event = sample("segment-snapshot.json");
    let folder = event["detail"]["DestinationUri"]
        .as_str()
        .unwrap_or("s3://landfall-exports/");
    let key = format!(
        "{}_latest.json",
        folder.strip_prefix(&format!("s3://{EXPORTS}/")).unwrap_or_default()
    );
    harness
        .store
        .insert(EXPORTS, &key, format!("{{\"schema\": \"{person}\"}}"));
    let sealed = execution(&harness, &event).await?;
    assert_eq!(sealed["outcome"]["verdict"], "succeeded", "{sealed:#}");
    nothing_planted_is_logged("a pointer");
    assert!(
        logged().contains("the object there was not written by Landfall"),
        "{}",
        logged()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_line_names_its_job_and_each_state_its_decision() -> Result<()> {
    let _turn = begin().await;
    let harness = segments(Default::default());
    let mut event = sample("segment-snapshot.json");
    event["detail"]["Landfall"]["Name"] = json!("nightly");
    let sealed = execution(&harness, &event).await?;
    assert_eq!(sealed["outcome"]["verdict"], "succeeded", "{sealed:#}");
    let lines = lines();
    for line in &lines {
        for field in [
            "state",
            "kind",
            "job_key",
            "execution",
            "request_id",
            "attempt",
            "export",
        ] {
            let is_late = ["attempt"].contains(&field) && line["span"]["state"] == "Start";
            assert!(is_late || !line["span"][field].is_null(), "{field}: {line}");
        }
        let span = &line["span"];
        assert_eq!(
            (&span["kind"], &span["export"]),
            (&json!("segment-snapshot"), &json!("nightly"))
        );
        assert_eq!(span["job_key"], sealed["job_key"]);
        assert_eq!(span["execution"], sealed["execution"]);
    }
    let decided: Vec<(String, String)> = lines
        .iter()
        .filter(|line| !line["fields"]["decided"].is_null())
        .map(|line| (&line["span"]["state"], &line["fields"]["decided"]))
        .map(|(state, decided)| (state.as_str().unwrap().to_owned(), decided.as_str().unwrap().to_owned()))
        .collect();
    let polls = decided.iter().filter(|(state, _)| state == "Poll").count();
    assert_eq!(decided[0], ("Start".to_owned(), "started".to_owned()));
    assert_eq!(polls as u64, sealed["polls"].as_u64().unwrap());
    let last: Vec<_> = decided
        .iter()
        .rev()
        .take(3)
        .map(|(state, decided)| (state.as_str(), decided.as_str()))
        .collect();
    assert_eq!(
        last,
        [("Seal", "succeeded"), ("Verify", "passed"), ("Poll", "succeeded")]
    );
    assert_eq!(decided.len(), polls + 3);

    // The span is kept in work on other threads.
    LOG.lock().unwrap().clear();
    let invocation = Invocation {
        request_id: "a-request".to_owned(),
        deadline: harness.now(),
    };
    let input = Input::from(json!({"job_key": "a-key"}));
    let work = heavy(|| tracing::info!(target: "landfall_output::verify", "elsewhere"));
    let (done, known) = span::within(&input.value, &invocation, work).await;
    done?;
    assert_eq!(known.fields()["job_key"], "a-key");
    assert_eq!(self::lines()[0]["span"]["job_key"], "a-key");
    Ok(())
}

/// Covers code that the runs above cannot reach: no log line of a deployed crate contains the message of an error.
#[test]
fn no_log_line_is_made_of_an_error_message() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut folders = vec![
        root.join("shared/src"),
        root.join("shared/formats/src"),
        root.join("functions"),
    ];
    let mut lines = 0;
    while let Some(folder) = folders.pop() {
        for found in fs::read_dir(folder)? {
            let path = found?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let source = fs::read_to_string(&path)?;
            for level in ["trace", "debug", "info", "warn", "error"] {
                for call in source.split(&format!("tracing::{level}!(")).skip(1) {
                    let call = call.split(");").next().unwrap_or_default();
                    let told = [".message", ".cause", "error}", "?error", "%error"]
                        .into_iter()
                        .find(|word| call.contains(word));
                    assert_eq!(told, None, "{}: {level}!({call})", path.display());
                    lines += 1;
                }
            }
        }
    }
    assert!(lines > 25, "{lines}");
    Ok(())
}
