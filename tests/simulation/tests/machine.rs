//! Compares the simulator's interpreter with that of the local world. Given the recorded answers of an execution's
//! tasks, it enters the same states with the same inputs, retries as often, and ends in the same way.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use landfall::job::TaskError;
use landfall_local::{
    deploy::Retries,
    edge::lambda::Fault,
    simulated::{
        customer_profiles::{CustomerProfiles, Scenario, Settings},
        simulator::Recipe,
    },
    world::{Finished, Options, World},
};
use landfall_simulation::{
    kinds::Kind,
    machine::{End, Happening, Machine, Surroundings, Work},
    world::{machine, read},
};
use landfall_tests::kinds::SegmentSnapshots;
use serde_json::{Value, json};

const KIND: &str = "segment-snapshot";

fn sample() -> Value {
    serde_json::from_str(include_str!("../../../events/segment-snapshot.json")).unwrap()
}

async fn world(scenario: Scenario) -> Result<World> {
    let mut options = Options::for_kind(KIND)?;
    options.retries = Retries::Short;
    options.services = vec![Recipe::of::<CustomerProfiles>(Settings {
        profiles: 50,
        duration: Duration::from_secs(1),
        scenario,
        ..Settings::default()
    })];
    World::start(options).await
}

type Answer = Result<Value, TaskError>;

/// What the other interpreter did.
struct Recorded {
    execution: String,
    input: Value,
    entered: Vec<(String, Value)>,
    answers: VecDeque<Answer>,
}

fn text(value: &Value) -> Value {
    value
        .as_str()
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}

fn recorded(finished: &Finished, execution: &str) -> Result<Recorded> {
    let history = &finished.history;
    let mut recorded = Recorded {
        execution: execution.to_owned(),
        input: text(&history[0]["executionStartedEventDetails"]["input"]),
        entered: Vec::new(),
        answers: VecDeque::new(),
    };
    for event in history {
        let kind = event["type"].as_str().context("an event without type")?;
        if kind.ends_with("StateEntered") {
            let details = &event["stateEnteredEventDetails"];
            let name = details["name"].as_str().context("a state without name")?;
            recorded.entered.push((name.to_owned(), text(&details["input"])));
        }
        match kind {
            "TaskSucceeded" => {
                let output = &event["taskSucceededEventDetails"]["output"];
                recorded.answers.push_back(Ok(text(output)));
            }
            "TaskFailed" => {
                let details = &event["taskFailedEventDetails"];
                recorded.answers.push_back(Err(TaskError {
                    error: details["error"].as_str().unwrap_or_default().to_owned(),
                    cause: details["cause"].as_str().unwrap_or_default().to_owned(),
                }));
            }
            _ => {}
        }
    }
    Ok(recorded)
}

/// Replays the recorded answers.
struct Replay {
    execution: String,
    input: Value,
    answers: Mutex<VecDeque<Answer>>,
    entered: Mutex<Vec<(String, Value)>>,
    retried: Mutex<usize>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

#[async_trait]
impl Surroundings for Replay {
    async fn work(&self, _: &str, _: Work, _: Duration) -> Result<Value, TaskError> {
        let answer = locked(&self.answers).pop_front();
        answer.unwrap_or_else(|| {
            Err(TaskError {
                error: "Replay.Over".to_owned(),
                cause: "the recorded execution asked for less".to_owned(),
            })
        })
    }

    async fn items(&self, _: &str, _: &str) -> Result<Vec<Value>, TaskError> {
        Ok(Vec::new())
    }

    async fn wait(&self, _: Duration) {}

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }

    /// A time before every deadline, as in the recording.
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH
    }

    fn jitter(&self) -> f64 {
        1.0
    }

    fn entered(&self, state: &str, input: &Value) {
        locked(&self.entered).push((state.to_owned(), input.clone()));
    }

    fn happened(&self, happening: Happening) {
        if matches!(happening, Happening::Retried { .. }) {
            *locked(&self.retried) += 1;
        }
    }

    fn execution(&self) -> &str {
        &self.execution
    }

    fn input(&self) -> &Value {
        &self.input
    }
}

/// Compares one execution with the interpreter here.
async fn hold(machine: &Machine, finished: &Finished, arn: &str) -> Result<()> {
    let recorded = recorded(finished, arn)?;
    let history = &finished.history;
    let failures = recorded.answers.iter().filter(|answer| answer.is_err()).count();
    let replay = Replay {
        execution: recorded.execution.clone(),
        input: recorded.input.clone(),
        answers: Mutex::new(recorded.answers.clone()),
        entered: Mutex::default(),
        retried: Mutex::default(),
    };
    let mut end = machine.run(&replay, recorded.input.clone()).await;
    let redriven = history.iter().filter(|event| event["type"] == "ExecutionRedriven");
    for _ in redriven.clone() {
        let End::Broken { state, input, .. } = end else {
            panic!("it was redriven, but ended here: {end:?}");
        };
        end = machine.go_on(&replay, state, input).await;
    }
    let entered = locked(&replay.entered).clone();
    let names = |entered: &[(String, Value)]| -> Vec<String> { entered.iter().map(|(name, _)| name.clone()).collect() };
    assert_eq!(names(&entered), names(&recorded.entered));
    for ((name, here), (_, there)) in entered.iter().zip(&recorded.entered) {
        assert_eq!(here, there, "the input of {name}");
    }
    assert!(locked(&replay.answers).is_empty(), "all recorded answers must be used");
    let retried = *locked(&replay.retried);
    let caught = entered.windows(2).filter(|pair| {
        let is_sealed = pair[0].0 != "Status" && pair[1].0 == "Seal" && pair[1].1["error"].is_object();
        is_sealed || pair[1].0 == "Missed"
    });
    // An execution is redriven once for each error that nothing caught.
    let broken = redriven.count();
    assert!(retried + broken == failures || retried + broken + caught.count() == failures);
    match end {
        End::Succeeded(output) => {
            assert!(finished.is_success());
            assert_eq!(Some(output), finished.output);
        }
        End::Failed { error, .. } => {
            assert_eq!(finished.status, "FAILED");
            assert_eq!(Some(error.error), finished.error);
            assert_eq!(Some(error.cause), finished.cause);
        }
        End::Broken { state, error, .. } => panic!("it fails in {state}: {error:?}"),
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn both_interpreters_take_the_same_steps() -> Result<()> {
    let machine = machine(&Kind::of::<SegmentSnapshots>())?;

    // A success, two deliveries at the same time, and one after the end.
    let good = world(Scenario::Success).await?;
    let event = sample();
    let (one, two) = tokio::try_join!(good.deliver(&event), good.deliver(&event))?;
    for execution in [&one, &two] {
        hold(&machine, &good.wait(execution).await?, &execution.arn).await?;
    }
    let again = good.deliver(&sample()).await?;
    hold(&machine, &good.wait(&again).await?, &again.arn).await?;

    // A cancel that comes too late.
    let again = good.wait(&again).await?;
    let sealed = again.output.as_ref().context("it gave nothing")?;
    let asked = json!({"cancel": {"job_key": sealed["job_key"]}});
    let cancel = good.deliver_text(KIND, &asked.to_string()).await?;
    let cancelled = good.wait(&cancel).await?;
    assert_eq!(cancelled.states()[..3], ["Receive", "Asked", "Seal"]);
    hold(&machine, &cancelled, &cancel.arn).await?;

    // Each function dies once, Start dies before answering, and Lambda throttles.
    let mut crashed = sample();
    crashed["id"] = json!("00000000-0000-4000-8000-00000000000a");
    for (function, fault) in [
        ("segment-snapshot-start", Fault::DieAfter),
        ("segment-snapshot-poll", Fault::Throttle),
        ("verify-output", Fault::ServiceError),
        ("seal-receipt", Fault::DieBefore),
    ] {
        let next = good.lambda().invocations(function) + 1;
        good.lambda().inject(function, next, fault)?;
    }
    let execution = good.deliver(&crashed).await?;
    let finished = good.wait(&execution).await?;
    hold(&machine, &finished, &execution.arn).await?;

    // A seal that fails for good and is redriven.
    let mut redriven = sample();
    redriven["id"] = json!("00000000-0000-4000-8000-00000000000b");
    let refusal = Fault::error("Landfall.Forbidden", "the ledger bucket refuses it");
    good.lambda().break_down("seal-receipt", refusal)?;
    let execution = good.deliver(&redriven).await?;
    assert_eq!(good.wait(&execution).await?.status, "FAILED");
    good.lambda().mend("seal-receipt")?;
    good.redrive(&execution).await?;
    let finished = good.wait(&execution).await?;
    assert!(finished.is_success(), "{finished:#?}");
    hold(&machine, &finished, &execution.arn).await?;

    // A poll function that cannot run for a while. In the local world the pauses after missed polls do not grow.
    let text = include_str!("../../../statemachine/export-job.asl.json");
    let steady = text.replace("States.MathAdd($.missed.rest_seconds, 15)", "$.missed.rest_seconds");
    assert_ne!(steady, text);
    let steady = read(&steady, &Kind::of::<SegmentSnapshots>())?;
    let mut stalled = sample();
    stalled["id"] = json!("00000000-0000-4000-8000-00000000000c");
    let poll = "segment-snapshot-poll";
    let before = good.lambda().invocations(poll);
    good.lambda().break_down(poll, Fault::Throttle)?;
    let execution = good.deliver(&stalled).await?;
    // Four tries for each of four polls, and the first try of the next poll.
    let tried = async {
        while good.lambda().invocations(poll) < before + 17 {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(300), tried).await?;
    good.lambda().mend(poll)?;
    let finished = good.wait(&execution).await?;
    assert!(
        finished.states().iter().any(|state| state == "Resumed"),
        "{finished:#?}"
    );
    hold(&steady, &finished, &execution.arn).await?;

    // A start that fails with a transient error, one that the service refuses, and an event that is no request.
    for scenario in [
        Scenario::LostAnswer,
        Scenario::Denied,
        Scenario::ServiceFailed,
        Scenario::OutputCorrupt,
    ] {
        let world = world(scenario).await?;
        let execution = world.deliver(&sample()).await?;
        hold(&machine, &world.wait(&execution).await?, &execution.arn).await?;
        if scenario == Scenario::Denied {
            let mut wrong = sample();
            wrong["detail"]["DataFormat"] = json!("XML");
            let execution = world.deliver(&wrong).await?;
            hold(&machine, &world.wait(&execution).await?, &execution.arn).await?;
        }
    }
    Ok(())
}
