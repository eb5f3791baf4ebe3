//! The whole world with stand-ins for the functions: the deployed definition runs on moto's interpreter.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{collections::BTreeMap, path::Path, process::Command, time::Duration};

use landfall_local::{
    account::{EXPORTS, LEDGER},
    deploy::Retries,
    edge::lambda::Fault,
    world::{Execution, Options, World},
};
use serde_json::{Value, json};

const JOB: &str = "def handler(event, headers):
    return {'job_key': 'k', 'status': 'STATUS', 'wait_seconds': 1, 'kind': event.get('job', event)['kind']}";

const SEAL: &str = "def handler(event, headers):
    failed = 'error' in event
    outcome = {'verdict': 'failed' if failed else 'succeeded', 'announce': True,
               'error': {'Error': 'Landfall.Internal', 'Cause': 'why'}, 'receipt': 's3://landfall-ledger/r'}
    announcement = {'detail_type': 'Export Job Ended', 'resources': [], 'detail': {'failed': failed}}
    return {**event, 'outcome': outcome, 'announcement': announcement}";

/// A world in `folder` whose started jobs have this `status`, with a handler that verifies them.
async fn world_of(folder: &Path, status: &str, verify: &str) -> World {
    let job = |status: &str| JOB.replace("STATUS", status);
    let program = |name: &str, handler: &str| (name.to_owned(), common::program(folder, name, handler));
    let binaries = BTreeMap::from([
        program("segment-snapshot-start", &job(status)),
        program("segment-snapshot-poll", &job("succeeded")),
        program("verify-output", verify),
        program("seal-receipt", SEAL),
    ]);
    let options = Options {
        binaries: Some(binaries),
        retries: Retries::Short,
        folder: Some(folder.join("world")),
        ..Options::for_kind("segment-snapshot").unwrap()
    };
    World::start(options).await.unwrap()
}

#[tokio::test]
async fn an_event_runs_through_the_deployed_definition() {
    let folder = tempfile::tempdir().unwrap();
    let world = world_of(folder.path(), "running", &JOB.replace("STATUS", "succeeded")).await;
    let event = json!({"detail-type": "Segment Snapshot Requested", "detail": {}});

    // One environment dies, and its invocation is retried.
    world
        .lambda()
        .inject("segment-snapshot-poll", 1, Fault::DieBefore)
        .unwrap();
    let execution = world.deliver(&event).await.unwrap();
    let mut steps = Vec::new();
    let finished = world.follow(&execution, |step| steps.push(step.clone())).await.unwrap();
    assert!(finished.is_success(), "{finished:?}");
    let states = finished.states();
    let expected = [
        "Receive",
        "Asked",
        "Start",
        "Status",
        "Wait",
        "Poll",
        "Status",
        "Verify",
        "Verified",
        "Seal",
        "Sealed",
        "Announce",
        "Outcome",
        "Succeeded",
    ];
    assert_eq!(states, expected);
    assert_eq!(finished.job().unwrap()["outcome"]["verdict"], "succeeded");
    assert_eq!(world.lambda().invocations("segment-snapshot-poll"), 2);
    let text = format!("{steps:?}");
    assert!(
        text.contains("Runtime.ExitError") && text.contains("Retried { attempt: 2 }"),
        "{text}"
    );

    let announced = world.announcements().await.unwrap();
    assert_eq!(announced.len(), 1, "{announced:?}");
    assert_eq!(announced[0]["detail-type"], "Export Job Ended");
    assert_eq!(announced[0]["detail"], json!({"failed": false}));

    // If a function fails for good, the job is sealed and ends in Fail.
    let nth = world.lambda().invocations("segment-snapshot-start") + 1;
    let refusal = Fault::error("Landfall.InvalidEvent", "no");
    world.lambda().inject("segment-snapshot-start", nth, refusal).unwrap();
    let execution = world.deliver(&event).await.unwrap();
    let finished = world.wait(&execution).await.unwrap();
    assert_eq!(finished.status, "FAILED");
    assert_eq!(
        (finished.error.as_deref(), finished.cause.as_deref()),
        (Some("Landfall.Internal"), Some("why"))
    );

    // S3 is the same through the edge and directly.
    world.put(EXPORTS, "a b/ü=1.csv", "x").await.unwrap();
    let through_edge = landfall_local::deploy::s3(world.edge().address());
    let head = through_edge
        .head_object()
        .bucket(EXPORTS)
        .key("a b/ü=1.csv")
        .send()
        .await
        .unwrap();
    assert_eq!(head.content_length(), Some(1));
    assert!(head.version_id().is_some(), "objects must have versions: {head:?}");
    assert_eq!(
        head.server_side_encryption().map(|found| found.as_str()),
        Some("AES256")
    );
    assert_eq!(world.list(EXPORTS, "a b/").await.unwrap(), ["a b/ü=1.csv"]);
    assert_eq!(
        world.object(EXPORTS, "a b/ü=1.csv").await.unwrap().as_deref(),
        Some(&b"x"[..])
    );
    assert_eq!(world.object(LEDGER, "nothing").await.unwrap(), None);

    executions_get_names(&world).await;
    histories_are_read_backwards(&world, &execution).await;
    the_bus_starts_what_the_template_says(&world).await;
    world.shutdown().await;
}

async fn states(world: &World, operation: &str, input: Value) -> Value {
    let target = format!("AWSStepFunctions.{operation}");
    world.aws().call("states", &target, &input).await.unwrap()
}

/// Two executions that are started without a name get two UUIDs as names, as at AWS.
async fn executions_get_names(world: &World) {
    let machine = world.state_machine("segment-snapshot").unwrap();
    let input = json!({"stateMachineArn": machine, "input": "{}"});
    let mut arns = Vec::new();
    for _ in 0..2 {
        let started = states(world, "StartExecution", input.clone()).await;
        arns.push(started["executionArn"].as_str().unwrap().to_owned());
    }
    assert_ne!(arns[0], arns[1]);
    let listed = states(world, "ListExecutions", json!({"stateMachineArn": machine})).await;
    for arn in arns {
        let name = arn.rsplit(':').next().unwrap();
        assert_eq!(
            name.split('-').map(str::len).collect::<Vec<_>>(),
            [8, 4, 4, 4, 12],
            "{arn}"
        );
        let of_it = |execution: &&Value| execution["executionArn"] == arn.as_str();
        let execution = listed["executions"].as_array().unwrap().iter().find(of_it).unwrap();
        assert_eq!(execution["name"], name);
    }
}

/// The runbook's commands read the last state first.
async fn histories_are_read_backwards(world: &World, execution: &Execution) {
    let page = |more: Value| {
        let mut input = json!({"executionArn": execution.arn, "maxResults": 7});
        input
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().cloned().unwrap());
        states(world, "GetExecutionHistory", input)
    };
    let ids = |page: &Value| -> Vec<u64> {
        page["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["id"].as_u64().unwrap())
            .collect()
    };
    let forwards = world.aws().execution_history(&execution.arn).await.unwrap();
    let all: Vec<u64> = (1..=forwards.len() as u64).collect();
    assert_eq!(ids(&json!({"events": forwards})), all);
    let mut backwards = Vec::new();
    let mut token = json!({});
    loop {
        let mut input = json!({"reverseOrder": true});
        input
            .as_object_mut()
            .unwrap()
            .extend(token.as_object().cloned().unwrap());
        let found = page(input).await;
        backwards.extend(ids(&found));
        match found["nextToken"].as_str() {
            Some(next) => token = json!({"nextToken": next}),
            None => break,
        }
    }
    assert_eq!(backwards, all.into_iter().rev().collect::<Vec<_>>());
}

/// An event on a bus starts the machine whose rule in `template.yaml` matches it. No other event starts one.
async fn the_bus_starts_what_the_template_says(world: &World) {
    world.deploy_rules().await.unwrap();
    let machine = world.state_machine("segment-snapshot").unwrap();
    let count = || async { world.aws().executions(machine).await.unwrap().len() };
    let before = count().await;
    let entry = |detail_type: &str, bus: Option<&str>| json!({"Source": "test", "DetailType": detail_type, "Detail": "{\"a\": 1}", "EventBusName": bus.unwrap_or("default")});
    let entries = [
        entry("Segment Snapshot Requested", None),
        entry("Segment Snapshot Requested", Some("landfall")),
        entry("Segment Snapshot", None),
        entry("Endpoint Export Requested", None),
    ];
    let put = json!({"Entries": entries});
    let answer = world.aws().call("events", "AWSEvents.PutEvents", &put).await.unwrap();
    assert_eq!(answer["FailedEntryCount"], 0, "{answer}");
    assert_eq!(count().await, before + 2);
    let id = answer["Entries"][0]["EventId"].as_str().unwrap();
    let executions = world.aws().executions(machine).await.unwrap();
    let arn = executions.keys().find(|arn| arn.contains(id)).unwrap();
    let input = world.aws().describe_execution(arn).await.unwrap().input;
    assert_eq!(
        (&input["id"], &input["detail-type"], &input["account"], &input["detail"]),
        (
            &json!(id),
            &json!("Segment Snapshot Requested"),
            &json!("111122223333"),
            &json!({"a": 1})
        )
    );
    assert!(
        input["time"]
            .as_str()
            .unwrap()
            .parse::<chrono::DateTime<chrono::Utc>>()
            .is_ok(),
        "{input}"
    );
}

/// Answers twice with a list of slices, each of which needs two turns. The calls are recorded in a folder, because
/// several environments work at the same time.
const VERIFY: &str = "
FOLDER = 'CALLS'
def handler(event, headers):
    if 'slice' not in event:
        rounds = event.pop('rounds', 0)
        event.pop('verifying', None)
        if rounds == 2:
            return event
        manifest = {'bucket': 'landfall-ledger', 'key': 'verifications/k.json'}
        verifying = {'manifest': manifest, 'work': 'w', 'slices': 4, 'concurrency': 2}
        return {**event, 'rounds': rounds + 1, 'verifying': verifying}
    if set(event) != {'work', 'slice', 'execution'}:
        raise Failure('Landfall.Internal', f'a slice came as {sorted(event)}')
    with open(f'{FOLDER}/{event[\"slice\"]}', 'a+') as calls:
        calls.write('x')
        calls.flush()
        calls.seek(0)
        turns = len(calls.read())
    if event['slice'] == 'broken':
        raise Failure('Landfall.Internal', 'this slice cannot be read')
    if event['slice'] == 'shaken' and turns == 1:
        raise Failure('Landfall.Throttled', 'later')
    return {'done': turns % 2 == 0}
";

async fn world_of_slices(folder: &Path) -> World {
    let calls = folder.join("calls");
    std::fs::create_dir(&calls).unwrap();
    world_of(
        folder,
        "succeeded",
        &VERIFY.replace("CALLS", &calls.display().to_string()),
    )
    .await
}

/// Delivers an event whose output is verified in these slices.
async fn deliver_slices(world: &World, slices: &[&str]) -> Execution {
    let slices: Vec<_> = slices
        .iter()
        .map(|slice| json!({"work": "w", "slice": slice}))
        .collect();
    let manifest = json!(slices).to_string();
    world.put(LEDGER, "verifications/k.json", manifest).await.unwrap();
    let event = json!({"detail-type": "Segment Snapshot Requested", "detail": {}});
    world.deliver(&event).await.unwrap()
}

/// The states of an execution until its slices run for the first time.
const UNTIL_SLICES: [&str; 7] = [
    "Receive",
    "Asked",
    "Start",
    "Status",
    "Verify",
    "Verified",
    "VerifySlices",
];

/// Each slice is invoked until it is done. A slice that fails for good ends neither the others nor the job.
#[tokio::test]
async fn slices_are_run_until_all_are_done() {
    let folder = tempfile::tempdir().unwrap();
    let world = world_of_slices(folder.path()).await;
    let execution = deliver_slices(&world, &["plain", "broken", "shaken", "other"]).await;
    let finished = world.wait(&execution).await.unwrap();
    assert!(finished.is_success(), "{finished:?}");
    let states = finished.states();
    let again = ["Verify", "Verified", "VerifySlices", "Verify", "Verified"];
    let sealed = ["Seal", "Sealed", "Announce", "Outcome", "Succeeded"];
    assert_eq!(states, [&UNTIL_SLICES[..], &again, &sealed].concat());
    // The job came out of the map unchanged, and Verify removed the list of slices.
    let job = finished.job().unwrap();
    assert_eq!(job["job_key"], "k");
    assert!(job["verifying"].is_null() && job["error"].is_null(), "{job}");
    let calls = |slice: &str| {
        std::fs::read_to_string(folder.path().join("calls").join(slice))
            .unwrap()
            .len()
    };
    // Two turns in each round. The first turn of the shaken slice is retried.
    assert_eq!(["plain", "other"].map(calls), [4, 4]);
    assert_eq!(calls("shaken"), 4);
    // It fails for good once in each round.
    assert_eq!(calls("broken"), 2);
    assert_eq!(world.lambda().invocations("verify-output"), 3 + 3 * 4 + 2);
    world.shutdown().await;
}

/// A missing list of slices is an error like any other: the job ends sealed.
#[tokio::test]
async fn a_missing_list_of_slices_ends_sealed() {
    let folder = tempfile::tempdir().unwrap();
    let world = world_of_slices(folder.path()).await;
    let event = json!({"detail-type": "Segment Snapshot Requested", "detail": {}});
    let execution = world.deliver(&event).await.unwrap();
    let finished = world.wait(&execution).await.unwrap();
    assert_eq!(finished.status, "FAILED");
    assert_eq!(finished.error.as_deref(), Some("Landfall.Internal"), "{finished:?}");
    let states = finished.states();
    let sealed = ["VerifySlices", "Seal", "Sealed", "Announce", "Outcome", "Failed"];
    assert_eq!(states[states.len() - 6..], sealed);
    let announced = world.announcements().await.unwrap();
    assert_eq!(announced[0]["detail"], json!({"failed": true}));
    world.shutdown().await;
}

/// An execution that is stopped among its slices continues with them.
#[tokio::test]
async fn a_redrive_continues_with_the_slices() {
    let folder = tempfile::tempdir().unwrap();
    let world = world_of_slices(folder.path()).await;
    // The slices come after the first verification and are told to wait, no more often than one slice is retried.
    for nth in 2..=7 {
        let busy = Fault::error("Landfall.Busy", "later");
        world.lambda().inject("verify-output", nth, busy).unwrap();
    }
    let execution = deliver_slices(&world, &["one", "other"]).await;
    while world.lambda().invocations("verify-output") < 2 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.stop(&execution).await.unwrap();
    let stopped = world.wait(&execution).await.unwrap();
    assert_eq!(stopped.status, "ABORTED", "{stopped:?}");
    assert_eq!(stopped.states(), UNTIL_SLICES);

    world.redrive(&execution).await.unwrap();
    let finished = world.wait(&execution).await.unwrap();
    assert!(finished.is_success(), "{finished:?}");
    let since = finished.states().split_off(UNTIL_SLICES.len());
    assert_eq!(since[..3], ["VerifySlices", "Verify", "Verified"]);
    assert_eq!(since.last().map(String::as_str), Some("Succeeded"));
    for slice in ["one", "other"] {
        assert!(
            folder.path().join("calls").join(slice).exists(),
            "{slice} must be verified"
        );
    }
    assert_eq!(world.announcements().await.unwrap().len(), 1);
    world.shutdown().await;
}

#[test]
fn a_run_that_cannot_start_gives_its_reason_as_json() {
    let local = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_landfall-local"))
            .args(arguments)
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (status, printed, _) = local(&["no-such-event.json", "--json"]);
    let document: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!((status, &document["schema"]), (Some(2), &json!("landfall.error/1")));
    let (status, printed, _) = local(&["--version"]);
    assert_eq!(
        (status, printed.trim()),
        (Some(0), concat!("cargo local ", env!("CARGO_PKG_VERSION")))
    );
    let (status, _, said) = local(&["a.json", "--profiles", "-1"]);
    assert!(
        status == Some(2) && said.contains("'-1'") && said.contains("--profiles"),
        "{said}"
    );
    let (_, help, _) = local(&["serve", "--help"]);
    assert!(
        help.contains("lists the scenarios") && !help.contains("lost-answer"),
        "{help}"
    );
}
