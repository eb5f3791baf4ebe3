//! The whole flow: the deployed definition on an interpreter, the functions' own binaries, and simulated services.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use landfall_local::{
    account::{BUS, EXPORTS, LEDGER},
    aws::ServiceError,
    deploy::{self, Retries},
    edge::lambda::Fault,
    functions::{SEAL, VERIFY},
    simulated::{
        SimulatedService,
        customer_profiles::{CustomerProfiles, Scenario, Settings},
        simulator::Recipe,
        simulator::Simulator as _,
    },
    world::{Execution, Finished, Options, World},
};
use landfall_tests::patient;
use serde_json::{Value, json};

const KIND: &str = "segment-snapshot";
const PROFILES: u64 = 500;

fn options(scenario: Scenario) -> Options {
    let mut options = Options::for_kind(KIND).expect("the kind is known");
    options.retries = Retries::Short;
    patient(&mut options);
    options.services = vec![Recipe::of::<CustomerProfiles>(Settings {
        profiles: PROFILES,
        duration: Duration::from_secs(1),
        scenario,
        ..Settings::default()
    })];
    options
}

fn sample() -> Value {
    serde_json::from_str(include_str!("../../events/segment-snapshot.json")).expect("the sample is JSON")
}

/// The sample event with another id, which makes it another trigger.
fn event(id: &str, detail: &Value) -> Value {
    let mut event = sample();
    event["id"] = json!(id);
    for (name, value) in detail.as_object().into_iter().flatten() {
        event["detail"][name] = value.clone();
    }
    event
}

async fn run(scenario: Scenario, event: &Value) -> Result<(World, Finished)> {
    let world = World::start(options(scenario)).await?;
    let execution = world.deliver(event).await?;
    let finished = world.wait(&execution).await?;
    Ok((world, finished))
}

async fn receipts(world: &World) -> Result<(Vec<String>, Vec<String>)> {
    let in_exports = world
        .list(EXPORTS, "")
        .await?
        .into_iter()
        .filter(|key| key.ends_with("_receipt.json"))
        .collect();
    Ok((in_exports, world.list(LEDGER, "receipts/").await?))
}

/// Checks that a failure is sealed in the ledger and announced, ends in `Fail`, and leaves nothing beside the data that
/// looks sealed.
async fn assert_failed(world: &World, finished: &Finished, name: &str) -> Result<Value> {
    assert_eq!(finished.status, "FAILED", "{finished:#?}");
    assert_eq!(finished.error.as_deref(), Some(name), "{:?}", finished.cause);
    let (in_exports, in_ledger) = receipts(world).await?;
    assert_eq!(in_exports, Vec::<String>::new());
    assert_eq!(in_ledger.len(), 1, "{in_ledger:?}");
    let receipt = world.json(&format!("s3://{LEDGER}/{}", in_ledger[0])).await?;
    assert_eq!(receipt["verdict"], "failed");
    assert_eq!(receipt["error"]["Error"], name);
    let announced = world.announcements().await?;
    assert_eq!(announced.len(), 1, "{announced:#?}");
    assert_eq!(announced[0]["detail-type"], "Export Job Failed");
    assert_eq!(announced[0]["source"], "landfall");
    assert_eq!(announced[0]["detail"]["error"]["Error"], name);
    assert_eq!(
        announced[0]["detail"]["receipt"],
        format!("s3://{LEDGER}/{}", in_ledger[0])
    );
    Ok(receipt)
}

fn failed_checks(receipt: &Value) -> Vec<&str> {
    let checks = receipt["verification"]["checks"].as_array().into_iter().flatten();
    checks
        .filter(|check| check["verdict"] == "fail")
        .filter_map(|check| check["name"].as_str())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_in_every_format_is_sealed_once_and_announced_once() -> Result<()> {
    let world = World::start(options(Scenario::Success)).await?;
    for (number, format) in ["CSV", "JSONL", "ORC"].into_iter().enumerate() {
        let execution = world.deliver(&event(format, &json!({"DataFormat": format}))).await?;
        let finished = world.wait(&execution).await?;
        assert!(finished.is_success(), "{finished:#?}");
        let states = finished.states();
        assert_eq!(states[..5], ["Receive", "Asked", "Start", "Status", "Wait"]);
        assert_eq!(
            states[states.len() - 7..],
            [
                "Verify",
                "Verified",
                "Seal",
                "Sealed",
                "Announce",
                "Outcome",
                "Succeeded"
            ]
        );

        let job = finished.job().context("no job")?;
        let uri = job["outcome"]["receipt"].as_str().context("no receipt")?;
        let job_key = job["job_key"].as_str().context("no key")?;
        assert_eq!(
            uri,
            format!("s3://{EXPORTS}/segments/high-value-customers/run={job_key}/_receipt.json")
        );
        let receipt = world.json(uri).await?;
        assert_eq!(receipt["verdict"], "succeeded");
        assert_eq!(receipt["output"]["rows"], PROFILES);
        assert_eq!(receipt["output"]["format"], format);
        assert_eq!(receipt["output"]["object_count"], 3);
        assert_eq!(failed_checks(&receipt), Vec::<&str>::new());
        let checks = receipt["verification"]["checks"].as_array().context("no checks")?;
        let checksum = checks.iter().find(|check| check["name"] == "checksum");
        let checksum = checksum.context("no checksum")?;
        assert_eq!(checksum["verdict"], "pass", "{checksum}");
        let reason = checksum["reason"].as_str().unwrap_or_default();
        assert!(reason.starts_with("the CRC64NVME that S3 keeps of "), "{reason}");
        // The receipt counts the states that the history shows.
        assert_eq!(receipt["usage"]["state_transitions"], states.len() as u64);
        let report = world
            .json(receipt["verification"]["report"].as_str().context("no report")?)
            .await?;
        assert_eq!(report["rows"], PROFILES);

        let announced = world.announcements().await?;
        assert_eq!(announced.len(), 1, "{announced:#?}");
        assert_eq!(announced[0]["detail-type"], "Export Job Succeeded");
        assert_eq!(announced[0]["detail"]["receipt"], uri);
        assert_eq!(world.simulated::<CustomerProfiles>()?.start_calls(), number + 1);
    }
    let (in_exports, in_ledger) = receipts(&world).await?;
    assert_eq!((in_exports.len(), in_ledger.len()), (3, 0));

    // The same event once more after the end gets the first outcome. Nothing is started or announced.
    let again = world.deliver(&event("CSV", &json!({"DataFormat": "CSV"}))).await?;
    let again = world.wait(&again).await?;
    assert!(again.is_success());
    assert_eq!(
        again.states(),
        [
            "Receive",
            "Asked",
            "Start",
            "Status",
            "Seal",
            "Sealed",
            "Outcome",
            "Succeeded"
        ]
    );
    assert_eq!(world.simulated::<CustomerProfiles>()?.start_calls(), 3);
    assert_eq!(world.announcements().await?, Vec::<Value>::new());

    // A rerun is another job.
    let rerun = event("CSV", &json!({"DataFormat": "CSV", "Landfall": {"Rerun": 1}}));
    let rerun = world.deliver(&rerun).await?;
    assert!(world.wait(&rerun).await?.is_success());
    assert_eq!(world.simulated::<CustomerProfiles>()?.start_calls(), 4);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_event_twice_at_once_is_one_job() -> Result<()> {
    let world = World::start(options(Scenario::Success)).await?;
    let event = sample();
    let (one, two) = tokio::try_join!(world.deliver(&event), world.deliver(&event))?;
    let (one, two) = tokio::try_join!(world.wait(&one), world.wait(&two))?;
    assert!(one.is_success() && two.is_success(), "{one:#?}\n{two:#?}");
    let (one, two) = (one.job().context("no job")?, two.job().context("no job")?);
    assert_eq!(one["job_key"], two["job_key"]);
    assert_eq!(one["outcome"]["receipt"], two["outcome"]["receipt"]);
    assert_eq!(one["service_id"], two["service_id"]);
    assert!(one["adopted"] != two["adopted"] || one["adopted"] == true);
    assert_eq!(world.simulated::<CustomerProfiles>()?.start_calls(), 1);
    let (in_exports, in_ledger) = receipts(&world).await?;
    assert_eq!((in_exports.len(), in_ledger.len()), (1, 0));
    assert_eq!(world.announcements().await?.len(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_the_service_fails_is_sealed_as_failed() -> Result<()> {
    let (world, finished) = run(Scenario::ServiceFailed, &sample()).await?;
    let receipt = assert_failed(&world, &finished, "Landfall.JobFailed").await?;
    assert_eq!(receipt["service"]["status"], "FAILED");
    assert!(receipt["service"]["message"].is_string());
    assert!(!finished.states().contains(&"Verify".to_owned()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_poll_is_no_news() -> Result<()> {
    for scenario in [Scenario::PollThrottled, Scenario::PollUnavailable] {
        let (world, finished) = run(scenario, &sample()).await?;
        assert!(finished.is_success(), "{scenario}: {finished:#?}");
        assert_eq!(world.simulated::<CustomerProfiles>()?.start_calls(), 1);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_start_is_forbidden() -> Result<()> {
    let (world, finished) = run(Scenario::Denied, &sample()).await?;
    let receipt = assert_failed(&world, &finished, "Landfall.Forbidden").await?;
    assert_eq!(receipt["attempts"][0]["state"], "refused");
    assert_eq!(world.simulated::<CustomerProfiles>()?.start_calls(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_segment_is_not_found() -> Result<()> {
    let (world, finished) = run(Scenario::NotFound, &sample()).await?;
    assert_failed(&world, &finished, "Landfall.NotFound").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_output_is_rejected() -> Result<()> {
    let (world, finished) = run(Scenario::OutputMissing, &sample()).await?;
    let receipt = assert_failed(&world, &finished, "Landfall.OutputRejected").await?;
    assert_eq!(failed_checks(&receipt), ["output_present"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn corrupt_output_is_rejected_in_every_format() -> Result<()> {
    for format in ["CSV", "JSONL", "ORC"] {
        let (world, finished) = run(Scenario::OutputCorrupt, &event(format, &json!({"DataFormat": format}))).await?;
        let receipt = assert_failed(&world, &finished, "Landfall.OutputRejected").await?;
        assert!(failed_checks(&receipt).contains(&"format"), "{format}: {receipt:#}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_past_its_deadline_is_given_up() -> Result<()> {
    let event = event("late", &json!({"Landfall": {"DeadlineSeconds": 3}}));
    let (world, finished) = run(Scenario::Stuck, &event).await?;
    let receipt = assert_failed(&world, &finished, "Landfall.TimedOut").await?;
    assert_eq!(receipt["service"]["status"], "IN_PROGRESS");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_segment_fails_unless_it_may_be_empty() -> Result<()> {
    let world = World::start(options(Scenario::EmptySegment)).await?;
    let execution = world
        .deliver(&event(
            "a",
            &json!({"Landfall": {"Verification": {"AllowEmpty": true}}}),
        ))
        .await?;
    assert!(world.wait(&execution).await?.is_success());
    let execution = world.deliver(&event("b", &json!({}))).await?;
    assert_eq!(
        world.wait(&execution).await?.error.as_deref(),
        Some("Landfall.OutputRejected")
    );
    Ok(())
}

/// The start call is made, but its answer never arrives. The job continues as a second attempt under its own prefix,
/// and the receipt lists nothing that the lost call writes.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_start_goes_on_as_a_second_attempt() -> Result<()> {
    for scenario in [
        Scenario::LostAnswer,
        Scenario::StartThrottledButAccepted,
        Scenario::StartThrottled,
    ] {
        let (world, finished) = run(scenario, &sample()).await?;
        assert!(finished.is_success(), "{scenario}: {finished:#?}");
        assert_eq!(world.simulated::<CustomerProfiles>()?.start_calls(), 2, "{scenario}");
        let (in_exports, _) = receipts(&world).await?;
        assert_eq!(in_exports.len(), 1);
        assert!(in_exports[0].ends_with("-2/_receipt.json"), "{in_exports:?}");
        let receipt = world.json(&format!("s3://{EXPORTS}/{}", in_exports[0])).await?;
        assert_eq!(receipt["output"]["rows"], PROFILES);
        assert_eq!(receipt["attempts"][0]["state"], "uncertain");
        assert_eq!(receipt["attempts"][1]["state"], "started");
    }
    Ok(())
}

/// Customer Profiles, but without an answer to the first start call, which has its effect.
struct Silent(Arc<CustomerProfiles>);

#[async_trait]
impl SimulatedService for Silent {
    fn signing_name(&self) -> &'static str {
        self.0.signing_name()
    }

    async fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        let before = self.0.start_calls();
        let response = self.0.handle(request).await;
        if (before, self.0.start_calls()) == (0, 1) {
            std::future::pending::<()>().await;
        }
        response
    }

    /// Lets the service work on its jobs.
    async fn advance(&self) {}
}

/// The function dies after it made the start call and before it recorded the id. Nobody touches the job until the lease
/// is over. Then the next invocation makes the second attempt.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_crashes_waits_for_its_lease_and_goes_on() -> Result<()> {
    let mut options = options(Scenario::Success);
    // The lease ends with the invocation's deadline, so a short time-out keeps the test short. With less than 25 s
    // left, no start call is made.
    options
        .timeouts
        .insert("segment-snapshot-start".to_owned(), Duration::from_secs(30));
    let world = World::start(options).await?;
    let silent = Silent(world.simulated::<CustomerProfiles>()?);
    world.edge().add_service(Arc::new(silent));
    let execution = world.deliver(&sample()).await?;
    let simulated = world.simulated::<CustomerProfiles>()?;
    let called = async {
        while simulated.jobs_made().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(300), called)
        .await
        .context("no start call was made")?;
    world.lambda().kill("segment-snapshot-start");
    let finished = world.wait(&execution).await?;
    assert!(finished.is_success(), "{finished:#?}");
    let errors = finished.history.iter().map(|event| &event["taskFailedEventDetails"]);
    let mut errors: Vec<_> = errors.filter_map(|error| error["error"].as_str()).collect();
    // On a busy machine too little time may be left for a start call, which is then made later.
    errors.retain(|error| *error != "Landfall.Unavailable");
    errors.dedup();
    assert_eq!(errors, ["Runtime.ExitError", "Landfall.Busy"]);
    assert_eq!(world.simulated::<CustomerProfiles>()?.start_calls(), 2);
    let (in_exports, _) = receipts(&world).await?;
    assert_eq!(in_exports.len(), 1);
    assert!(in_exports[0].ends_with("-2/_receipt.json"), "{in_exports:?}");
    let receipt = world.json(&format!("s3://{EXPORTS}/{}", in_exports[0])).await?;
    assert_eq!(receipt["output"]["rows"], PROFILES);
    // The owner of the claim recorded nothing more.
    assert_eq!(receipt["attempts"][0]["state"], "claimed");
    assert_eq!(receipt["attempts"][1]["state"], "started");
    assert_eq!(world.announcements().await?.len(), 1);
    Ok(())
}

/// The function dies after it recorded the id and before it answers. The next invocation adopts the job.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_adopted_if_its_start_crashes_before_answering() -> Result<()> {
    let world = World::start(options(Scenario::Success)).await?;
    world.lambda().inject("segment-snapshot-start", 1, Fault::DieAfter)?;
    let execution = world.deliver(&sample()).await?;
    let finished = world.wait(&execution).await?;
    assert!(finished.is_success(), "{finished:#?}");
    assert_eq!(world.simulated::<CustomerProfiles>()?.start_calls(), 1);
    assert_eq!(world.lambda().invocations("segment-snapshot-start"), 2);
    assert_eq!(finished.job().context("no job")?["adopted"], true);
    Ok(())
}

/// With one slot and three events, the jobs run one after the other, and all are sealed.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_wait_for_a_slot_in_a_full_queue() -> Result<()> {
    let mut options = options(Scenario::Success);
    let limit = BTreeMap::from([("LANDFALL_MAX_RUNNING".to_owned(), "1".to_owned())]);
    options
        .function_variables
        .insert("segment-snapshot-start".to_owned(), limit);
    let world = World::start(options).await?;
    let events = ["a", "b", "c"].map(|id| event(id, &json!({"Landfall": {"Name": "nightly"}})));
    let deliveries = events
        .iter()
        .map(|event| async { world.wait(&world.deliver(event).await?).await });
    let all = futures::future::try_join_all(deliveries).await?;
    assert!(all.iter().all(Finished::is_success), "{all:#?}");

    let made = world.simulated::<CustomerProfiles>()?.jobs_made();
    assert_eq!(
        (made.len(), world.simulated::<CustomerProfiles>()?.start_calls()),
        (3, 3)
    );
    for pair in made.windows(2) {
        let apart = pair[1].created - pair[0].created;
        assert!(
            apart.num_milliseconds() >= 1000,
            "the jobs must run one after the other, but began {apart} apart"
        );
    }
    let waited = |finished: &&Finished| {
        let mut errors = finished.history.iter().map(|event| &event["taskFailedEventDetails"]);
        errors.any(|error| error["error"] == "Landfall.Busy" && error["cause"].to_string().contains("waits in line"))
    };
    assert_eq!(all.iter().filter(waited).count(), 2);
    // The log line that the template turns into a metric.
    let log = std::fs::read_to_string(world.folder().join("logs/segment-snapshot-start.log"))?;
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let shares: Vec<u64> = lines
        .filter_map(|line| line.pointer("/fields/waited_percent")?.as_u64())
        .collect();
    assert!(
        shares.len() >= 2 && shares.iter().all(|percent| *percent <= 100),
        "{shares:?}"
    );
    // Each line of an invocation names its job, and each seal counts its job once.
    for function in ["segment-snapshot-start", "seal-receipt"] {
        let lines = logged(&world, function)?;
        // The runtime logs the error again in a span of its own.
        let ours = lines
            .iter()
            .filter(|line| line["span"]["name"] != "Lambda runtime invoke");
        for line in ours {
            let whose = line.get("span").unwrap_or(line);
            assert_eq!(whose["kind"], KIND, "{function}: {line}");
            assert!(whose["job_key"].is_string(), "{function}: {line}");
        }
    }
    nothing_of_what_was_exported_is_logged(&world).await?;
    let counted: Vec<Value> = logged(&world, "seal-receipt")?
        .into_iter()
        .filter(|line| line.get("_aws").is_some())
        .collect();
    assert_eq!(counted.len(), 3, "{counted:?}");
    for line in &counted {
        let [of_kind, of_name] = [0, 1].map(|n| &line["_aws"]["CloudWatchMetrics"][n]);
        assert_eq!(
            (&of_kind["Namespace"], &of_kind["Dimensions"]),
            (&json!("Landfall/landfall"), &json!([["kind"]]))
        );
        assert_eq!(of_name["Dimensions"], json!([["name"]]));
        for metric in of_kind["Metrics"].as_array().into_iter().flatten() {
            let name = metric["Name"].as_str().context("a metric has no name")?;
            assert!(line[name].is_number(), "{name} in {line}");
        }
        assert_eq!((&line["Succeeded"], &line["Failed"]), (&json!(1), &json!(0)));
    }
    let (in_exports, in_ledger) = receipts(&world).await?;
    assert_eq!((in_exports.len(), in_ledger.len()), (3, 0));
    let line = world.json(&format!("s3://{LEDGER}/slots/{KIND}.json")).await?;
    assert_eq!(line["slots"], json!([]));
    Ok(())
}

/// Checks that the functions logged no address of the data, no link and no credential.
async fn nothing_of_what_was_exported_is_logged(world: &World) -> Result<()> {
    let keys = world.list(EXPORTS, "").await?;
    let mut planted = vec![
        "X-Amz-".to_owned(),
        "AWS4-HMAC".to_owned(),
        "SECRET_ACCESS_KEY".to_owned(),
    ];
    for key in keys.iter().filter(|key| key.contains("/run=") && !key.contains("/_")) {
        let data = world.object(EXPORTS, key).await?.context("no data")?;
        let text = String::from_utf8_lossy(&data).into_owned();
        let addresses = text
            .split([',', '"', '\n', ' '])
            .filter(|value| value.contains('@') && value.len() > 6);
        planted.extend(addresses.take(50).map(str::to_owned));
    }
    assert!(planted.len() > 20, "the data must have addresses: {planted:?}");
    for function in [
        "segment-snapshot-start",
        "segment-snapshot-poll",
        "verify-output",
        "seal-receipt",
    ] {
        let log = std::fs::read_to_string(world.folder().join(format!("logs/{function}.log")))?;
        for secret in &planted {
            assert!(!log.contains(secret), "{function} logs {secret}");
        }
    }
    Ok(())
}

/// The log lines of a function.
fn logged(world: &World, function: &str) -> Result<Vec<Value>> {
    let log = std::fs::read_to_string(world.folder().join(format!("logs/{function}.log")))?;
    Ok(log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

/// The service needs longer than the event allows, and finishes later. The documented call seals the job.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_ends_late_is_picked_up() -> Result<()> {
    let mut options = options(Scenario::Success);
    options.services = vec![Recipe::of::<CustomerProfiles>(Settings {
        profiles: PROFILES,
        duration: Duration::from_secs(20),
        ..Settings::default()
    })];
    let world = World::start(options).await?;
    let execution = world
        .deliver(&event("late", &json!({"Landfall": {"DeadlineSeconds": 2}})))
        .await?;
    let finished = world.wait(&execution).await?;
    let failed = assert_failed(&world, &finished, "Landfall.TimedOut").await?;

    let pick_up = event("pick-up", &json!({"Landfall": {"PickUp": failed["job_key"]}}));
    let picked = world.wait(&world.deliver(&pick_up).await?).await?;
    assert!(picked.is_success(), "{picked:#?}");
    let uri = picked.job().context("no job")?["outcome"]["receipt"].clone();
    let receipt = world.json(uri.as_str().context("no receipt")?).await?;
    assert_eq!(receipt["picks_up"], failed["job_key"]);
    assert_eq!(receipt["output"]["rows"], PROFILES);
    assert_eq!(world.simulated::<CustomerProfiles>()?.start_calls(), 1);
    assert_eq!(world.announcements().await?.len(), 1);
    Ok(())
}

/// Waits until an execution has entered a state.
async fn entered(world: &World, execution: &Execution, state: &str) -> Result<()> {
    let entered = async {
        loop {
            let history = world.aws().execution_history(&execution.arn).await?;
            if history
                .iter()
                .any(|event| event["stateEnteredEventDetails"]["name"] == state)
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(300), entered)
        .await
        .with_context(|| format!("{state} was not entered"))?
}

/// Lambda throttles the poll function for longer than any retry lasts. The job is announced as stalled, waits, and goes
/// on once the function runs again.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_outlasts_a_poll_function_that_cannot_run() -> Result<()> {
    let world = World::start(options(Scenario::Success)).await?;
    world.lambda().break_down("segment-snapshot-poll", Fault::Throttle)?;
    let execution = world.deliver(&sample()).await?;
    entered(&world, &execution, "Stalled").await?;
    world.lambda().mend("segment-snapshot-poll")?;
    let finished = world.wait(&execution).await?;
    assert!(finished.is_success(), "{finished:#?}");
    let states = finished.states();
    let count = |name: &str| states.iter().filter(|state| *state == name).count();
    assert!(count("Missed") >= 4, "{states:?}");
    assert_eq!(
        (count("Stalled"), count("Resumed"), count("Overdue")),
        (1, 1, count("Missed"))
    );

    let announced = world.announcements().await?;
    let kinds: Vec<_> = announced
        .iter()
        .map(|event| event["detail-type"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(
        kinds,
        ["Export Job Stalled", "Export Job Resumed", "Export Job Succeeded"]
    );
    let job = finished.job().context("no job")?;
    let stalled = &announced[0]["detail"];
    assert_eq!(stalled["kind"], KIND);
    assert_eq!(stalled["missed_polls"], 4);
    assert_eq!(stalled["reason"]["Error"], "Lambda.TooManyRequestsException");
    assert!(
        stalled["what_to_do"]
            .as_str()
            .is_some_and(|text| text.contains("has not failed"))
    );
    for detail in [stalled, &announced[1]["detail"]] {
        for (name, value) in [
            ("job_key", &job["job_key"]),
            ("name", &job["name"]),
            ("service_id", &job["service_id"]),
        ] {
            assert_eq!(&detail[name], value, "{name}");
        }
        assert_eq!(detail["execution"], execution.arn);
    }
    let receipt = world
        .json(job["outcome"]["receipt"].as_str().context("no receipt")?)
        .await?;
    assert_eq!(receipt["missed_polls"]["unanswered"], count("Missed"));
    assert_eq!(
        receipt["missed_polls"]["last"]["Error"],
        "Lambda.TooManyRequestsException"
    );
    Ok(())
}

/// No function polls the job until its deadline. Then the definition gives it up by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_poll_function_that_never_runs_ends_the_job_at_its_deadline() -> Result<()> {
    let world = World::start(options(Scenario::Success)).await?;
    world.lambda().break_down("segment-snapshot-poll", Fault::DieBefore)?;
    let event = event("dead", &json!({"Landfall": {"DeadlineSeconds": 3}}));
    let execution = world.deliver(&event).await?;
    let finished = world.wait(&execution).await?;
    let receipt = assert_failed(&world, &finished, "Landfall.TimedOut").await?;
    assert_eq!(receipt["missed_polls"]["last"]["Error"], "Runtime.ExitError");
    let cause = finished.cause.as_deref().unwrap_or_default();
    assert!(cause.contains("brought no news, so it may have ended"), "{cause}");
    assert!(finished.states().windows(2).any(|pair| pair == ["Overdue", "Seal"]));
    Ok(())
}

/// A function that crashes or hangs is reported as by Lambda, and retried.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_of_any_function_is_survived() -> Result<()> {
    let world = World::start(options(Scenario::Success)).await?;
    for function in ["segment-snapshot-poll", "verify-output", "seal-receipt"] {
        world.lambda().inject(function, 1, Fault::DieBefore)?;
    }
    world.lambda().inject("seal-receipt", 2, Fault::DieAfter)?;
    let execution = world.deliver(&sample()).await?;
    let finished = world.wait(&execution).await?;
    assert!(finished.is_success(), "{finished:#?}");
    assert_eq!(world.lambda().invocations("seal-receipt"), 3);
    assert_eq!(world.announcements().await?.len(), 1);
    let (in_exports, in_ledger) = receipts(&world).await?;
    assert_eq!((in_exports.len(), in_ledger.len()), (1, 0));
    let errors: Vec<_> = finished
        .history
        .iter()
        .filter_map(|event| event["taskFailedEventDetails"]["error"].as_str())
        .collect();
    assert_eq!(errors, ["Runtime.ExitError"; 4]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_event_is_sealed_and_announced_too() -> Result<()> {
    let event: Value = serde_json::from_str(include_str!("../../events/malformed-request.json"))?;
    let (world, finished) = run(Scenario::Success, &event).await?;
    assert_failed(&world, &finished, "Landfall.InvalidEvent").await?;
    let cause = finished.cause.context("no cause")?;
    for place in [
        "$.detail.DomainName",
        "$.detail.DataFormat",
        "$.detail.DestinationUri",
        "$.detail.SegmentDefinitonName",
    ] {
        assert!(cause.contains(place), "{place} in {cause}");
    }
    assert_eq!(world.simulated::<CustomerProfiles>()?.start_calls(), 0);
    Ok(())
}

/// All versions of an object, newest first.
async fn versions(world: &World, key: &str) -> Result<Vec<String>> {
    let listed = world.s3().list_object_versions().bucket(EXPORTS).prefix(key);
    let listed = listed.send().await?;
    let ids = listed.versions().iter().filter_map(|version| version.version_id());
    Ok(ids.map(str::to_owned).collect())
}

/// Checks that a redrive leaves one start call, one receipt that was written once, and one announcement by this
/// execution since the last check. `jobs` is the number of all jobs so far.
async fn assert_ended_once(world: &World, execution: &Execution, finished: &Finished, jobs: usize) -> Result<()> {
    assert!(finished.is_success(), "{finished:#?}");
    let job = finished.job().context("no job")?;
    let uri = job["outcome"]["receipt"].as_str().context("no receipt")?;
    let receipt = world.json(uri).await?;
    assert_eq!(receipt["verdict"], "succeeded");
    assert_eq!(receipt["output"]["rows"], PROFILES);
    let key = uri.strip_prefix(&format!("s3://{EXPORTS}/")).context("elsewhere")?;
    assert_eq!(versions(world, key).await?.len(), 1);
    let (in_exports, in_ledger) = receipts(world).await?;
    assert_eq!((in_exports.len(), in_ledger.len()), (jobs, 0));
    assert_eq!(world.simulated::<CustomerProfiles>()?.start_calls(), jobs);
    let announced = world.announcements().await?;
    assert_eq!(announced.len(), 1, "{announced:#?}");
    assert_eq!(announced[0]["detail-type"], "Export Job Succeeded");
    assert_eq!(announced[0]["detail"]["receipt"], uri);
    // Step Functions adds both members, and a rule can match either.
    let machine = execution.arn.replace(":execution:", ":stateMachine:");
    let (machine, _) = machine.rsplit_once(':').context("not an execution")?;
    assert_eq!(announced[0]["resources"], json!([machine, execution.arn]));
    Ok(())
}

/// Redrives an execution that failed and waits for its end. Returns the states entered since.
async fn redrive(world: &World, execution: &Execution, before: &Finished) -> Result<(Finished, Vec<String>)> {
    world.redrive(execution).await?;
    let finished = world.wait(execution).await?;
    let states = finished.states();
    // The history of the execution continues.
    assert!(states.starts_with(&before.states()), "{states:?}");
    let since = states[before.states().len()..].to_vec();
    Ok((finished, since))
}

const SEALED: [&str; 5] = ["Seal", "Sealed", "Announce", "Outcome", "Succeeded"];

/// Nothing catches the errors of Seal. Whether or not its work is done, a redrive finishes it.
#[tokio::test(flavor = "multi_thread")]
async fn a_seal_that_fails_for_good_is_finished_by_a_redrive() -> Result<()> {
    let world = World::start(options(Scenario::Success)).await?;
    let failed_in_seal = |finished: &Finished, error: &str| {
        assert_eq!(finished.status, "FAILED", "{finished:#?}");
        assert_eq!(finished.error.as_deref(), Some(error), "{:?}", finished.cause);
        assert_eq!(finished.states().last().map(String::as_str), Some("Seal"));
    };

    // Seal writes the receipt, and dies before answering until all retries are used up.
    world.lambda().break_down(SEAL, Fault::DieAfter)?;
    let execution = world.deliver(&event("crashed", &json!({}))).await?;
    let failed = world.wait(&execution).await?;
    failed_in_seal(&failed, "Runtime.ExitError");
    assert_eq!(world.lambda().invocations(SEAL), 7);
    assert_eq!(world.announcements().await?, Vec::<Value>::new());
    world.lambda().mend(SEAL)?;
    let (finished, since) = redrive(&world, &execution, &failed).await?;
    assert_eq!(since, SEALED);
    assert_ended_once(&world, &execution, &finished, 1).await?;

    // First Seal is refused before it has written anything. Then a foreign object is in place of the receipt.
    let refusal = Fault::error("Landfall.Forbidden", "the policy of the ledger bucket refuses it");
    world.lambda().break_down(SEAL, refusal)?;
    let execution = world.deliver(&event("refused", &json!({}))).await?;
    let refused = world.wait(&execution).await?;
    failed_in_seal(&refused, "Landfall.Forbidden");
    world.lambda().mend(SEAL)?;
    let job_key = refused.job().context("no job")?["job_key"].clone();
    let job_key = job_key.as_str().context("no key")?;
    let place = format!("segments/high-value-customers/run={job_key}/_receipt.json");
    world.put(EXPORTS, &place, "{\"by\": \"somebody\"}").await?;
    let (taken, since) = redrive(&world, &execution, &refused).await?;
    failed_in_seal(&taken, "Landfall.Internal");
    assert_eq!(since, ["Seal"]);
    let cause = taken.cause.as_deref().unwrap_or_default();
    assert!(
        cause.contains(&place) && cause.contains("move it away and redrive"),
        "{cause}"
    );
    assert_eq!(world.announcements().await?, Vec::<Value>::new());
    for version in versions(&world, &place).await? {
        let delete = world.s3().delete_object().bucket(EXPORTS).key(&place);
        delete.version_id(version).send().await?;
    }
    let (finished, since) = redrive(&world, &execution, &taken).await?;
    assert_eq!(since, SEALED);
    assert_ended_once(&world, &execution, &finished, 2).await?;

    // A succeeded execution cannot be redriven.
    let error = world.redrive(&execution).await.unwrap_err();
    let error = error.downcast_ref::<ServiceError>().context("not refused")?;
    assert_eq!(error.code, "ExecutionNotRedrivable");
    Ok(())
}

/// Deletes the event bus that jobs are announced on; [`deploy::bus`] makes it again.
async fn delete_bus(world: &World) -> Result<()> {
    let bus = json!({"Name": BUS});
    world.aws().call("events", "AWSEvents.DeleteEventBus", &bus).await?;
    Ok(())
}

/// Nothing catches the errors of Announce either: the job is sealed, and nobody has been told.
#[tokio::test(flavor = "multi_thread")]
async fn an_announcement_that_fails_for_good_is_made_by_a_redrive() -> Result<()> {
    let world = World::start(options(Scenario::Success)).await?;
    delete_bus(&world).await?;
    let execution = world.deliver(&sample()).await?;
    let failed = world.wait(&execution).await?;
    assert_eq!(failed.status, "FAILED", "{failed:#?}");
    assert_eq!(failed.states().last().map(String::as_str), Some("Announce"));
    let tries = failed.history.iter().filter(|event| event["type"] == "TaskFailed");
    assert_eq!(tries.count(), 11);
    deploy::bus(world.aws()).await?;
    let (finished, since) = redrive(&world, &execution, &failed).await?;
    assert_eq!(since, ["Announce", "Outcome", "Succeeded"]);
    assert_ended_once(&world, &execution, &finished, 1).await?;
    assert_eq!(world.lambda().invocations(SEAL), 1);
    Ok(())
}

/// A failure that ended in `Failed` is sealed, so a redrive changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_does_not_change_a_sealed_failure() -> Result<()> {
    let world = World::start(options(Scenario::Denied)).await?;
    let execution = world.deliver(&sample()).await?;
    let failed = world.wait(&execution).await?;
    let receipt = assert_failed(&world, &failed, "Landfall.Forbidden").await?;
    let (again, since) = redrive(&world, &execution, &failed).await?;
    assert_eq!(since, ["Failed"]);
    assert_eq!((again.status, again.error), (failed.status, failed.error));
    assert_eq!(world.announcements().await?, Vec::<Value>::new());
    let (_, in_ledger) = receipts(&world).await?;
    assert_eq!(world.json(&format!("s3://{LEDGER}/{}", in_ledger[0])).await?, receipt);
    assert_eq!(world.simulated::<CustomerProfiles>()?.start_calls(), 1);
    Ok(())
}

/// Stops an execution in a state that waits, or in a task that has failed and is about to be retried.
async fn stop_in(world: &World, execution: &Execution, state: &str) -> Result<()> {
    loop {
        let history = world.aws().execution_history(&execution.arn).await?;
        let entered = history
            .iter()
            .position(|event| event["stateEnteredEventDetails"]["name"] == state);
        let in_it = entered.map_or(&[][..], |at| &history[at..]);
        let is_held = in_it
            .iter()
            .any(|event| event["type"] == "TaskFailed" || event["type"] == "WaitStateEntered");
        if is_held {
            return world.stop(execution).await;
        }
        let last = history
            .last()
            .and_then(|event| event["type"].as_str())
            .unwrap_or_default();
        let runs = last == "ExecutionStarted" || !last.starts_with("Execution");
        ensure!(runs, "{last} before it could be stopped in {state}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// An execution may be stopped in any state, with the work of that state done or not. A redrive continues it.
#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_goes_on_from_every_state() -> Result<()> {
    let world = World::start(options(Scenario::Success)).await?;
    let start = "segment-snapshot-start";
    let states = [
        ("Start", Some(start)),
        ("Wait", None),
        ("Poll", Some("segment-snapshot-poll")),
        ("Verify", Some(VERIFY)),
        ("Seal", Some(SEAL)),
        ("Announce", None),
    ];
    for (number, (state, function)) in states.into_iter().enumerate() {
        let mut detail = json!({});
        match (state, function) {
            // The work is done but the answer lost. Then Lambda throttles, which every state retries for some time.
            (_, Some(function)) => {
                let next = world.lambda().invocations(function) + 1;
                world.lambda().inject(function, next, Fault::DieAfter)?;
                world.lambda().break_down(function, Fault::Throttle)?;
            }
            ("Wait", _) => detail = json!({"Landfall": {"Poll": {"MinSeconds": 4, "MaxSeconds": 4}}}),
            _ => delete_bus(&world).await?,
        }
        let execution = world.deliver(&event(state, &detail)).await?;
        stop_in(&world, &execution, state).await.with_context(|| state)?;
        let stopped = world.wait(&execution).await?;
        assert_eq!(stopped.status, "ABORTED", "{state}: {stopped:#?}");
        assert_eq!(stopped.states().last().map(String::as_str), Some(state));
        match function {
            Some(function) => world.lambda().mend(function)?,
            None if state == "Announce" => {
                deploy::bus(world.aws()).await?;
            }
            None => {}
        }
        let (finished, since) = redrive(&world, &execution, &stopped).await?;
        assert_eq!(since[0], state);
        let again = since
            .iter()
            .filter(|state| ["Receive", "Start"].contains(&state.as_str()));
        assert_eq!(again.count(), usize::from(state == "Start"), "{since:?}");
        assert_ended_once(&world, &execution, &finished, number + 1).await?;
    }
    Ok(())
}
