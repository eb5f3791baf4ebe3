//! Checks the definition against the code: names of errors, statuses and limits.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use landfall::{
    cancel::MEMBER,
    error::ErrorKind,
    job::{Missed, Status, TaskError, Verdict},
    limits::MAX_DEADLINE_SECONDS,
    poll::STALLED,
    polling::MAX_POLLS,
    slices,
};
use serde_json::{Value, json};

fn definition() -> Value {
    serde_json::from_str(include_str!("../../statemachine/export-job.asl.json")).expect("the definition is JSON")
}

fn state(name: &str) -> Value {
    definition()["States"][name].clone()
}

/// A state of the executions that the map starts.
fn slice_state(name: &str) -> Value {
    state("VerifySlices")["ItemProcessor"]["States"][name].clone()
}

/// Collects every text of a member with this name, anywhere in a value.
fn members<'a>(value: &'a Value, name: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(object) => {
            found.extend(object.get(name));
            object.values().for_each(|value| members(value, name, found));
        }
        Value::Array(items) => items.iter().for_each(|value| members(value, name, found)),
        _ => {}
    }
}

fn retried_errors(state: &Value) -> BTreeSet<String> {
    let mut found = Vec::new();
    members(&state["Retry"], "ErrorEquals", &mut found);
    found
        .into_iter()
        .flat_map(|errors| errors.as_array().into_iter().flatten())
        .filter_map(|error| error.as_str().map(str::to_owned))
        .collect()
}

#[test]
fn the_definition_names_only_errors_that_exist() {
    let definition = definition();
    let mut found = Vec::new();
    members(&definition, "ErrorEquals", &mut found);
    let names: BTreeSet<&str> = found
        .into_iter()
        .flat_map(|errors| errors.as_array().into_iter().flatten())
        .filter_map(Value::as_str)
        .collect();
    let ours: Vec<_> = names.iter().filter(|name| name.starts_with("Landfall.")).collect();
    assert!(!ours.is_empty());
    for name in ours {
        assert!(
            ErrorKind::from_name(name).is_some(),
            "{name} must be an error of the functions"
        );
    }
}

/// Every task retries transient errors and no others.
#[test]
fn exactly_the_transient_errors_are_tried_again() {
    let lambda = [
        // The union of the two lists that AWS documents.
        "Lambda.ClientExecutionTimeoutException",
        "Lambda.ServiceException",
        "Lambda.AWSLambdaException",
        "Lambda.SdkClientException",
        "Lambda.TooManyRequestsException",
        // Errors of a function that crashed or timed out.
        "Lambda.Unknown",
        "Runtime.ExitError",
        "Runtime.OutOfMemory",
        "Sandbox.Timedout",
        "States.Timeout",
    ];
    let ours = ErrorKind::ALL
        .into_iter()
        .filter(|kind| kind.is_transient())
        .map(|kind| kind.name());
    let expected: BTreeSet<String> = lambda.into_iter().chain(ours).map(str::to_owned).collect();
    let mut functions: Vec<_> = ["Start", "Poll", "Verify", "Seal"]
        .into_iter()
        .map(|name| (name, state(name)))
        .collect();
    functions.push(("Slice", slice_state("Slice")));
    for (name, state) in functions {
        assert_eq!(retried_errors(&state), expected, "{name}");
        for retrier in state["Retry"].as_array().into_iter().flatten() {
            assert_eq!(retrier["JitterStrategy"], "FULL", "{name}: {retrier}");
            assert!(
                retrier["BackoffRate"].as_f64().is_some_and(|rate| rate > 1.0),
                "{name}: {retrier}"
            );
            assert!(
                retrier["MaxDelaySeconds"].is_u64() && retrier["MaxAttempts"].is_u64(),
                "{name}: {retrier}"
            );
        }
    }
}

/// The longest pauses of a retrier, in seconds.
fn pauses(retrier: &Value) -> Result<Vec<f64>> {
    let number = |name: &str| retrier[name].as_f64().with_context(|| format!("no {name}"));
    let (first, rate, most) = (
        number("IntervalSeconds")?,
        number("BackoffRate")?,
        number("MaxDelaySeconds")?,
    );
    let tries = retrier["MaxAttempts"].as_i64().context("no MaxAttempts")?;
    Ok((0..i32::try_from(tries)?)
        .map(|n| (first * rate.powi(n)).min(most))
        .collect())
}

/// How long errors that pass may last: the mean of all pauses of a retrier, where each pause is a random part of its
/// bound. Step Functions counts the tries of a retrier over the whole stay in a state. So Start, in which jobs wait for
/// a slot for up to a day, has more of each.
#[test]
fn retries_outlast_errors_that_pass() -> Result<()> {
    for (error, elsewhere, in_start) in [
        // An outage of S3.
        ("Landfall.Unavailable", 150.0, 3.0 * 3600.0),
        // Other functions use up the account's concurrency.
        ("Lambda.TooManyRequestsException", 0.7 * 3600.0, 3.0 * 3600.0),
        // Long enough for a function that crashed by chance, but not for one that always crashes.
        ("Runtime.ExitError", 5.0, 120.0),
    ] {
        for name in ["Start", "Poll", "Verify", "Seal", "Slice"] {
            // A poll without news is followed by others until the deadline.
            if name == "Poll" {
                continue;
            }
            let state = if name == "Slice" {
                slice_state(name)
            } else {
                state(name)
            };
            let retriers = state["Retry"].as_array().context("nothing is tried again")?;
            let retrier = retriers
                .iter()
                .find(|retrier| retrier["ErrorEquals"].to_string().contains(error))
                .with_context(|| format!("{name} does not try {error} again"))?;
            let mean = pauses(retrier)?.iter().sum::<f64>() / 2.0;
            let least = if name == "Start" { in_start } else { elsewhere };
            assert!(
                mean >= least,
                "{name} retries {error} for {mean} s on average, and must for {least} s"
            );
        }
    }
    Ok(())
}

/// An input that asks for a cancel goes to Seal, whatever else it holds. The retries of Seal outlast a start call: the
/// time-out of the longest start function, and the margin of its lease.
#[test]
fn a_cancel_goes_to_the_seal_which_outlasts_a_start_call() -> Result<()> {
    assert_eq!(state("Receive")["Next"], "Asked");
    let asked = json!([{"Variable": format!("$.event.{MEMBER}"), "IsPresent": true, "Next": "Seal"}]);
    assert_eq!(state("Asked")["Choices"], asked);
    assert_eq!(state("Asked")["Default"], "Start");

    let retriers = state("Seal")["Retry"].clone();
    let busy = retriers
        .as_array()
        .into_iter()
        .flatten()
        .find(|retrier| retrier["ErrorEquals"] == json!([ErrorKind::Busy.name()]))
        .context("Seal does not try Busy by itself")?;
    let pauses = pauses(busy)?;
    // Each pause is a random part of its bound.
    let mean = pauses.iter().sum::<f64>() / 2.0;
    let deviation = (pauses.iter().map(|pause| pause * pause / 12.0).sum::<f64>()).sqrt();
    let least = 6.0f64.mul_add(-deviation, mean);
    assert!(least > 910.0, "{least} s, {mean} s on average");
    Ok(())
}

#[test]
fn every_error_on_the_way_is_sealed() {
    for name in ["Start", "Verify", "VerifySlices"] {
        let caught = json!([{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Seal"}]);
        assert_eq!(state(name)["Catch"], caught, "{name}");
    }
    // If Seal or Announce fails, the execution fails in that state, so that a redrive resumes it there.
    for name in ["Seal", "Announce"] {
        assert!(state(name)["Catch"].is_null(), "{name}");
    }
    // A failed poll is no error of the job. It is counted, and the job is polled again.
    let caught = json!([{"ErrorEquals": ["States.ALL"], "ResultPath": "$.missed.last", "Next": "Missed"}]);
    assert_eq!(state("Poll")["Catch"], caught);
    assert_eq!(state("Missed")["Next"], "Overdue");
    assert_eq!(state("Rest")["Next"], "Poll");
    // If these announcements fail, the execution continues without them.
    for (name, next) in [("Stalled", "Rest"), ("Resumed", "Told")] {
        let caught = json!([{"ErrorEquals": ["States.ALL"], "ResultPath": "$.missed.untold", "Next": next}]);
        assert_eq!(state(name)["Catch"], caught, "{name}");
        assert_eq!(state(name)["Next"], next, "{name}");
    }
    // Only a verdict leads to a success.
    let mut nexts = Vec::new();
    let definition = definition();
    members(&definition, "Next", &mut nexts);
    assert_eq!(nexts.iter().filter(|next| **next == "Succeeded").count(), 1);
    assert_eq!(state("Outcome")["Choices"][0]["Variable"], "$.outcome.verdict");
    assert_eq!(
        state("Outcome")["Choices"][0]["StringEquals"],
        json!(Verdict::Succeeded)
    );
    assert_eq!(state("Outcome")["Default"], "Failed");
}

/// The job comes out of the map unchanged, and one function verifies both jobs and slices.
#[test]
fn a_verification_in_slices_comes_back_to_verify() {
    assert_eq!(state("Verify")["Next"], "Verified");
    let left = json!([{"Variable": "$.verifying", "IsPresent": true, "Next": "VerifySlices"}]);
    assert_eq!(state("Verified")["Choices"], left);
    assert_eq!(state("Verified")["Default"], "Seal");
    let map = state("VerifySlices");
    assert_eq!(map["Next"], "Verify");
    assert_eq!(map["ResultPath"], Value::Null);
    assert!(map.as_object().is_some_and(|map| map.contains_key("ResultPath")));
    assert_eq!(
        map["ItemReader"]["Parameters"],
        json!({"Bucket.$": "$.verifying.manifest.bucket", "Key.$": "$.verifying.manifest.key"})
    );
    assert_eq!(map["MaxConcurrencyPath"], "$.verifying.concurrency");
    assert_eq!(
        map["ItemSelector"],
        json!({"slice.$": "$$.Map.Item.Value", "execution.$": "$$.Execution.Id"})
    );

    let (slice, verify) = (slice_state("Slice"), state("Verify"));
    for member in ["Resource", "Retry", "TimeoutSeconds"] {
        assert_eq!(slice[member], verify[member], "{member}");
    }
    assert_eq!(
        slice["Parameters"]["FunctionName"],
        verify["Parameters"]["FunctionName"]
    );
    let payload = json!({"work.$": "$.slice.work", "slice.$": "$.slice.slice", "execution.$": "$.execution"});
    assert_eq!(slice["Parameters"]["Payload"], payload);
    // The answer is put beside the slice, so that the next invocation gets only the slice.
    assert_eq!(slice["ResultPath"], "$.answer");
    assert_eq!(slice["ResultSelector"], json!({"done.$": "$.Payload.done"}));
    assert_eq!(slice["Next"], "More");
    let done = json!([{"Variable": "$.answer.done", "BooleanEquals": true, "Next": "SliceDone"}]);
    assert_eq!(slice_state("More")["Choices"], done);
    assert_eq!(slice_state("More")["Default"], "Slice");
    let caught = json!([{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "SliceGaveUp"}]);
    assert_eq!(slice["Catch"], caught);
}

/// The limit of a state's output, which also holds for a map's result that is dropped.
const OUTPUT_LIMIT: usize = 256 << 10;
/// What a failed child would add to the result: its ARN, name, times, input and error.
const FAILED_CHILD: usize = 2 << 10;

/// Without a ResultWriter, the result of the map is the list of its children's outputs.
#[test]
fn the_results_of_all_slices_fit_in_a_states_output() -> Result<()> {
    let mut longest = 0;
    for name in ["SliceDone", "SliceGaveUp"] {
        let state = slice_state(name);
        assert_eq!(state["Type"], "Pass");
        assert_eq!(state["End"], true);
        assert!(state["Result"].is_string(), "{state}");
        longest = longest.max(state["Result"].to_string().len() + ", ".len());
    }
    assert!(state("VerifySlices")["ResultWriter"].is_null());
    let tolerated = state("VerifySlices")["ToleratedFailureCount"].as_u64();
    let tolerated = usize::try_from(tolerated.context("no number of failures")?)?;
    let size = usize::try_from(slices::MAX_SLICES)? * longest + tolerated * FAILED_CHILD;
    assert!(size < OUTPUT_LIMIT, "{size} bytes");
    Ok(())
}

#[test]
fn the_definition_knows_every_status() {
    let choices = state("Status")["Choices"].clone();
    let next = |status: Status| {
        let choice = choices
            .as_array()
            .into_iter()
            .flatten()
            .find(|choice| choice["Variable"] == "$.status" && choice["StringEquals"] == json!(status));
        choice.map_or(state("Status")["Default"].clone(), |choice| choice["Next"].clone())
    };
    assert_eq!(next(Status::Running), "Wait");
    assert_eq!(next(Status::Succeeded), "Verify");
    assert_eq!(next(Status::Failed), "Seal");
    assert_eq!(next(Status::TimedOut), "Seal");
    // A seal that someone else began may lack its receipt.
    assert_eq!(next(Status::Sealed), "Seal");
}

/// The definition uses no variables, no JSONata, and only the substitutions that the template provides.
#[test]
fn the_definition_uses_no_variables_and_only_known_substitutions() {
    let text = include_str!("../../statemachine/export-job.asl.json");
    assert!(!text.contains("JSONata") && !text.contains("\"Assign\""));
    let mut names: Vec<&str> = text
        .split("${")
        .skip(1)
        .filter_map(|rest| rest.split('}').next())
        .collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(
        names,
        [
            "EventBusName",
            "Kind",
            "Partition",
            "PollFunctionArn",
            "SealFunctionArn",
            "StartFunctionArn",
            "VerifyFunctionArn"
        ]
    );
}

/// Entered, scheduled, started, succeeded, exited.
const EVENTS_OF_TASK: u64 = 5;
/// Entered and exited.
const EVENTS_OF_OTHER: u64 = 2;
/// Scheduled, started, failed.
const EVENTS_OF_RETRY: u64 = 3;
/// The fixed limit of Step Functions.
const HISTORY_LIMIT: u64 = 25_000;

fn most_retries(state: &Value) -> u64 {
    state["Retry"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|retrier| retrier["MaxAttempts"].as_u64())
        .sum()
}

/// Entered, started, the run started, the run succeeded, succeeded, exited.
const EVENTS_OF_MAP: u64 = 6;
/// The run started, the run failed, failed.
const EVENTS_OF_MAP_RETRY: u64 = 3;

/// How often the slices of one verification run at most.
const RUNS_OF_SLICES: u64 = (slices::MAX_ROUNDS + slices::MAX_REPEATS) as u64;

/// The definition reads and writes the same members as the job has.
#[test]
fn the_definition_counts_missed_polls_in_the_members_of_the_job() -> Result<()> {
    let filled = state("Missed")["Parameters"].clone();
    let mut names: Vec<String> = filled
        .as_object()
        .context("no members")?
        .keys()
        .map(|name| name.trim_end_matches(".$").to_owned())
        .collect();
    let last = TaskError {
        error: "Lambda.TooManyRequestsException".into(),
        cause: String::new(),
    };
    let missed = serde_json::to_value(Missed {
        last: Some(last),
        ..Missed::default()
    })?;
    let mut members: Vec<String> = missed.as_object().context("no object")?.keys().cloned().collect();
    names.sort();
    members.sort();
    assert_eq!(names, members);
    for name in ["count", "unanswered", "in_a_row"] {
        assert_eq!(
            filled[format!("{name}.$")],
            format!("States.MathAdd($.missed.{name}, 1)")
        );
    }
    // A stall is announced at the same number of missed polls, whether the function or the definition counted them.
    let announced = |next: &str, choice: &Value| choice["Next"] == next;
    let of_function = state("Status")["Choices"][0].clone();
    let of_definition = state("Overdue")["Choices"][1].clone();
    assert!(announced("Stalled", &of_function) && announced("Stalled", &of_definition));
    assert_eq!(
        of_function["And"][0],
        json!({"Variable": "$.status", "StringEquals": Status::Running})
    );
    for test in [&of_function["And"][1], &of_definition] {
        assert_eq!(test["Variable"], "$.missed.in_a_row");
        assert_eq!(test["NumericEquals"], STALLED);
    }
    assert_eq!(
        state("Overdue")["Choices"][0],
        json!({
            "Variable": "$$.State.EnteredTime", "StringGreaterThanEqualsPath": "$.deadline_at", "Next": "Seal",
        })
    );
    Ok(())
}

/// How many polls may get no answer until the longest deadline: the pause after each is longer than the previous one,
/// and news does not shorten it. The shortest first pause is a second.
fn most_unanswered() -> Result<u64> {
    let rest = state("Missed")["Parameters"]["rest_seconds.$"].clone();
    let rest = rest.as_str().context("no rest")?;
    let step = rest
        .strip_prefix("States.MathAdd($.missed.rest_seconds, ")
        .and_then(|rest| rest.strip_suffix(')'));
    let step: u64 = step.context("the rest grows otherwise")?.parse()?;
    let (mut rest, mut rested, mut count) = (1, 0, 0);
    while rested < MAX_DEADLINE_SECONDS {
        rest += step;
        rested += rest;
        count += 1;
    }
    Ok(count)
}

/// The longest execution has the most polls with and without an answer, the most rounds of slices, and in every task as
/// many failures as are retried.
#[test]
fn the_longest_execution_stays_within_the_history_limit() -> Result<()> {
    let poll = state("Poll");
    let turn = EVENTS_OF_OTHER + EVENTS_OF_TASK + EVENTS_OF_OTHER;
    assert_eq!(turn, 9, "the documentation says so");
    let polls = u64::from(MAX_POLLS) * (turn + EVENTS_OF_RETRY * most_retries(&poll));
    // The states are Rest or Wait, Poll, Missed and Overdue.
    let unanswered = EVENTS_OF_OTHER + EVENTS_OF_TASK + EVENTS_OF_OTHER + EVENTS_OF_OTHER;
    assert_eq!(unanswered, 11, "the documentation says so");
    let most_unanswered = most_unanswered()?;
    assert_eq!(most_unanswered, 107, "the documentation says so");
    let polls = polls + most_unanswered * (unanswered + EVENTS_OF_RETRY * most_retries(&poll));
    // A stall takes four polls and ends with one announcement. The news after it is announced once more, and then the
    // job continues.
    let stalls = (u64::from(MAX_POLLS) + most_unanswered) / u64::from(STALLED);
    let of_stall = 2 * EVENTS_OF_TASK
        + EVENTS_OF_RETRY * (most_retries(&state("Stalled")) + most_retries(&state("Resumed")))
        + EVENTS_OF_OTHER
        + EVENTS_OF_OTHER;
    let polls = polls + stalls * of_stall;
    let tasks: u64 = ["Start", "Verify", "Seal", "Announce"]
        .into_iter()
        .map(|name| EVENTS_OF_TASK + EVENTS_OF_RETRY * most_retries(&state(name)))
        .sum();
    let (map, verify) = (state("VerifySlices"), state("Verify"));
    let round = EVENTS_OF_MAP
        + EVENTS_OF_MAP_RETRY * most_retries(&map)
        + EVENTS_OF_TASK
        + EVENTS_OF_RETRY * most_retries(&verify)
        + EVENTS_OF_OTHER;
    assert_eq!(round, 76, "docs/scale.md says so");
    let others = 10 * EVENTS_OF_OTHER + 2;
    let worst = polls + tasks + RUNS_OF_SLICES * round + others;
    assert!(
        worst < HISTORY_LIMIT - 1,
        "{worst} events, and a redrive needs fewer than 24,999"
    );
    Ok(())
}

/// A waiting job asks for a slot until its deadline. The duration of its tries is a sum of random pauses, each at most
/// its bound. So it is almost certainly no shorter than the mean less six standard deviations.
#[test]
fn retries_of_a_waiting_job_outlast_the_longest_deadline() -> Result<()> {
    let start = state("Start");
    let retriers = start["Retry"].as_array().context("nothing is tried again")?;
    let busy: Vec<_> = retriers
        .iter()
        .filter(|retrier| retrier["ErrorEquals"] == json!([ErrorKind::Busy.name(), ErrorKind::Throttled.name()]))
        .collect();
    assert_eq!(
        busy.len(),
        1,
        "errors that ask to wait must have a retrier of their own"
    );
    let bounds = pauses(busy[0])?;
    let (tries, most) = (bounds.len(), bounds.last().copied().unwrap_or_default());
    // A uniform number up to a bound has half the bound as its mean, and a twelfth of the squared bound as its
    // variance.
    let (mean, variance) = bounds.iter().fold((0.0, 0.0), |(mean, variance), bound| {
        (mean + bound / 2.0, variance + bound * bound / 12.0)
    });
    let least = mean - 6.0 * variance.sqrt();
    assert!(
        least >= MAX_DEADLINE_SECONDS as f64,
        "{tries} tries must outlast the deadline, but last {mean:.0} s on average, and almost surely {least:.0} s"
    );
    assert!(most <= 300.0, "a free slot must be noticed soon");
    Ok(())
}

/// Each slice runs in an execution with its own history.
#[test]
fn the_longest_slice_stays_within_the_history_limit() {
    let slice = slice_state("Slice");
    let turn = EVENTS_OF_TASK + EVENTS_OF_RETRY * most_retries(&slice) + EVENTS_OF_OTHER;
    let worst = u64::from(slices::MAX_TURNS) * turn + EVENTS_OF_OTHER + 2;
    assert!(worst < HISTORY_LIMIT - 1, "{worst} events");
}

/// The machine's own time-out comes after everything that still ends sealed. Otherwise the job would end unsealed.
#[test]
fn the_machine_outlives_the_longest_job() -> Result<()> {
    let machine = definition()["TimeoutSeconds"].as_u64().context("no time-out")?;
    let tasks: u64 = ["Verify", "Seal", "Announce"]
        .into_iter()
        .filter_map(|name| state(name)["TimeoutSeconds"].as_u64())
        .sum();
    let verify = state("Verify")["TimeoutSeconds"].as_u64().context("no time-out")?;
    let rounds = slices::MAX_SECONDS + RUNS_OF_SLICES * verify;
    assert!(machine > MAX_DEADLINE_SECONDS + tasks + rounds, "{machine} s");
    Ok(())
}
