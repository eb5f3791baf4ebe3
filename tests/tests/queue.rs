//! Jobs that wait for a slot or for the quota of the next day, and jobs that are picked up after they were given up.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use landfall::{
    error::{Error, ErrorKind},
    hash::sha256_hex,
    https::{Https, Trust},
    job::{Job, Status},
    ledger::Ledger,
    queue::{GRACE, Queue, Quota, Slots},
    service::JobService,
    start::Received,
};
use landfall_customer_profiles::SegmentSnapshots;
use landfall_local::simulated::{
    SimulatedService,
    customer_profiles::{self, Scenario},
    pinpoint, quicksight,
    simulator::{Made, Simulator as _},
};
use landfall_pinpoint::{EndpointExports, EndpointImports};
use landfall_quicksight::DashboardSnapshots;
use landfall_tests::{
    harness::{EXPORTS, Harness, LEDGER},
    in_process::{Faults, Harm, Moment},
    memory_store::{Call, Op},
};
use serde_json::{Value, json};

/// How long a simulated job runs.
const DURATION: Duration = Duration::from_secs(45);

/// How often a step is retried after an error that does not mean that it must wait.
const TRIES: u32 = 12;

/// How often the definition retries a job that waits.
const MOST_ASKED: u32 = 700;

fn sample(text: &str) -> Value {
    serde_json::from_str(text).expect("the sample is JSON")
}

fn dashboard(id: usize) -> Value {
    let mut event = sample(include_str!("../../events/dashboard-snapshot.json"));
    event["id"] = json!(format!("event-{id}"));
    event
}

fn segment(id: usize) -> Value {
    let mut event = sample(include_str!("../../events/segment-snapshot.json"));
    event["id"] = json!(format!("event-{id}"));
    event
}

fn export(id: usize) -> Value {
    let mut event = sample(include_str!("../../events/endpoint-export.json"));
    event["id"] = json!(format!("event-{id}"));
    event
}

/// What an execution does next.
enum Next {
    Start,
    Poll(Box<Job>),
    Verify(Box<Job>),
    Seal(Value),
    Done(Value),
}

/// One execution among others.
struct Execution {
    received: Received,
    next: Next,
    due: DateTime<Utc>,
    /// How often this step failed. Tries that were told to wait count as `asked`.
    tries: u32,
    asked: u32,
}

impl Execution {
    fn new<S: JobService>(name: String, kind_of: &Received, event: &Value, due: DateTime<Utc>) -> Self {
        let execution = kind_of
            .execution
            .rsplit_once(':')
            .map_or(name.clone(), |(head, _)| format!("{head}:{name}"));
        Self {
            received: Received {
                kind: S::kind(),
                execution,
                event: event.clone(),
                error: None,
                unreadable: None,
            },
            next: Next::Start,
            due,
            tries: 0,
            asked: 0,
        }
    }

    fn go_on(&mut self, next: Next, due: DateTime<Utc>) {
        (self.next, self.due, self.tries) = (next, due, 0);
    }

    /// When the definition retries, with jitter.
    fn pause(&self, error: &Error) -> Duration {
        let (first, rate, n) = if error.kind == ErrorKind::Busy {
            (2.0, 1.5, self.asked)
        } else {
            (5.0, 2.0, self.tries)
        };
        let most = f64::min(first * f64::powi(rate, n.min(100).try_into().unwrap_or(100)), 300.0);
        let hash = sha256_hex(format!("{}/{n}", self.received.execution).as_bytes());
        let share = f64::from(u16::from_str_radix(&hash[..4], 16).unwrap_or_default()) / f64::from(u16::MAX);
        Duration::from_secs_f64(most * share)
    }
}

/// Executions that run side by side, each step at the time that the definition gives it.
struct Crowd<'a, S, M> {
    harness: &'a Harness<S, M>,
    executions: Vec<Execution>,
    /// Whether steps that are due at the same time run at once. Not used with faults, which count the calls of one
    /// invocation.
    at_once: bool,
}

impl<'a, S: JobService, M: SimulatedService + 'static> Crowd<'a, S, M> {
    fn new(harness: &'a Harness<S, M>, events: &[Value]) -> Self {
        let now = harness.now();
        let executions = events.iter().enumerate().map(|(number, event)| {
            let received = Harness::<S, M>::received("x", event);
            Execution::new::<S>(format!("execution-{number}"), &received, event, now)
        });
        Self {
            harness,
            executions: executions.collect(),
            at_once: true,
        }
    }

    fn one_by_one(mut self) -> Self {
        self.at_once = false;
        self
    }

    /// Runs until all executions have ended. Returns their outcomes in the order of the events.
    async fn run(mut self) -> Result<Vec<Value>> {
        while let Some(due) = self.next_due() {
            let wait = (due - self.harness.now()).to_std().unwrap_or_default();
            self.harness.pass(wait).await;
            let now = self.harness.now();
            let harness = self.harness;
            let due = self
                .executions
                .iter_mut()
                .filter(|execution| execution.due <= now && !matches!(execution.next, Next::Done(_)));
            if self.at_once {
                for stepped in join_all(due.map(|execution| step(harness, execution))).await {
                    stepped?;
                }
            } else {
                for execution in due {
                    step(harness, execution).await?;
                }
            }
        }
        let outcomes = self.executions.into_iter().map(|execution| match execution.next {
            Next::Done(outcome) => outcome,
            _ => Value::Null,
        });
        Ok(outcomes.collect())
    }

    fn next_due(&self) -> Option<DateTime<Utc>> {
        let open = self
            .executions
            .iter()
            .filter(|execution| !matches!(execution.next, Next::Done(_)));
        open.map(|execution| execution.due).min()
    }
}

/// Runs one step of one execution with the retries and catches of the definition.
async fn step<S: JobService, M: SimulatedService + 'static>(
    harness: &Harness<S, M>,
    execution: &mut Execution,
) -> Result<()> {
    harness.faults.revive();
    let result = match &execution.next {
        Next::Start => harness.start(&execution.received).await.map(|job| {
            let wait = if job.status == Status::Running {
                job.wait_seconds
            } else {
                0
            };
            (wait, following(job))
        }),
        Next::Poll(job) => harness.poll((**job).clone()).await.map(|job| {
            let wait = if job.status == Status::Running {
                job.wait_seconds
            } else {
                0
            };
            (wait, following(job))
        }),
        Next::Verify(job) => harness
            .verify((**job).clone())
            .await
            .map(|job| (0, Next::Seal(json!(job)))),
        Next::Seal(input) => match harness.seal(input.clone()).await {
            Ok(sealed) => Ok((0, Next::Done(serde_json::to_value(&sealed)?))),
            Err(error) => Err(error),
        },
        Next::Done(_) => return Ok(()),
    };
    let died = harness.faults.revive();
    let now = harness.now();
    match result {
        Ok((wait, next)) if !died => execution.go_on(next, now + TimeDelta::seconds(wait.into())),
        Ok(_) => {
            execution.tries += 1;
            execution.due = now + TimeDelta::seconds(30);
        }
        Err(error) if error.kind == ErrorKind::Busy && !died && matches!(execution.next, Next::Start) => {
            anyhow::ensure!(
                execution.asked < MOST_ASKED,
                "the tries must outlast the wait for a slot: {error}"
            );
            execution.due = now + execution.pause(&error);
            execution.asked += 1;
        }
        Err(error) if (died || error.kind.is_transient()) && execution.tries < TRIES => {
            // At least 30 s later, so that a fault is followed by few further tries.
            execution.due = now + TimeDelta::seconds(30).max(TimeDelta::from_std(execution.pause(&error))?);
            execution.tries += 1;
        }
        Err(error) => {
            let failed = match &execution.next {
                Next::Start => json!(Received {
                    error: Some(error.into()),
                    ..execution.received.clone()
                }),
                Next::Poll(job) | Next::Verify(job) => json!(Job {
                    error: Some(error.into()),
                    ..(**job).clone()
                }),
                Next::Seal(_) | Next::Done(_) => anyhow::bail!("the seal failed: {error}"),
            };
            execution.go_on(Next::Seal(failed), now);
        }
    }
    Ok(())
}

fn following(job: Job) -> Next {
    match job.status {
        Status::Running => Next::Poll(Box::new(job)),
        Status::Succeeded => Next::Verify(Box::new(job)),
        _ => Next::Seal(json!(job)),
    }
}

fn verdicts(outcomes: &[Value], verdict: &str) -> usize {
    outcomes
        .iter()
        .filter(|outcome| outcome["outcome"]["verdict"] == verdict)
        .count()
}

/// The most jobs that ran at a time, from the times of their start.
fn most_at_once(made: &[DateTime<Utc>]) -> usize {
    let runs_at = |at: &DateTime<Utc>| {
        made.iter()
            .filter(|made| **made <= *at && *at < **made + DURATION)
            .count()
    };
    made.iter().map(runs_at).max().unwrap_or_default()
}

/// The jobs that have a slot now.
fn slots<S: JobService, M>(harness: &Harness<S, M>) -> Vec<String> {
    let key = Queue::key(&S::kind());
    let slots = harness
        .store
        .body(LEDGER, &key)
        .map(|body| serde_json::from_slice::<Slots>(&body));
    let slots = slots.transpose().expect("the queue is readable");
    slots.map_or_else(Vec::new, |found| {
        found.slots.into_iter().map(|slot| slot.job_key).collect()
    })
}

fn dashboards(limit: u64, faults: Arc<Faults>) -> Result<Harness<DashboardSnapshots, quicksight::QuickSight>> {
    let settings = quicksight::Settings {
        rows: 3,
        duration: DURATION,
        ..quicksight::Settings::default()
    };
    let mut harness = Harness::dashboards(settings, faults)?;
    harness.configure(|config| config.max_running = limit);
    Ok(harness)
}

fn exports(limit: u64, faults: Arc<Faults>) -> Result<Harness<EndpointExports, pinpoint::Pinpoint>> {
    let settings = pinpoint::Settings {
        endpoints: 3,
        files: 1,
        duration: DURATION,
        ..pinpoint::Settings::default()
    };
    let mut harness = Harness::exports(settings, faults)?;
    harness.configure(|config| config.max_running = limit);
    Ok(harness)
}

fn segments(scenario: Scenario, faults: Arc<Faults>) -> Result<Harness> {
    let settings = customer_profiles::Settings {
        profiles: 3,
        files: 1,
        duration: DURATION,
        scenario,
        ..customer_profiles::Settings::default()
    };
    <Harness>::new(settings, faults)
}

/// Many events at once, more than there are slots.
#[tokio::test]
async fn a_burst_of_jobs_waits_for_slots_and_ends_sealed() -> Result<()> {
    const EVENTS: usize = 40;
    const LIMIT: usize = 4;
    let mut harness = segments(Scenario::Success, Faults::none())?;
    harness.configure(|config| config.max_running = LIMIT as u64);
    let events: Vec<Value> = (0..EVENTS).map(segment).collect();
    let outcomes = Crowd::new(&harness, &events).run().await?;
    assert_eq!(verdicts(&outcomes, "succeeded"), EVENTS, "{outcomes:#?}");

    let made: Vec<_> = harness
        .simulated
        .jobs_made()
        .iter()
        .map(|snapshot| snapshot.created)
        .collect();
    assert_eq!((made.len(), harness.simulated.start_calls()), (EVENTS, EVENTS));
    assert_eq!(most_at_once(&made), LIMIT, "all slots must be used, and no more");
    assert_eq!(slots(&harness), Vec::<String>::new());
    // A job without a slot reads, and writes its reason once. The queue is written twice for each job, and others that
    // see the same free slot try to write it.
    let queue = Queue::key(&SegmentSnapshots::kind());
    let calls = harness.store.calls();
    let written = |key: &str| {
        let is_put = |call: &&Call| call.op == Op::Put && call.key.starts_with(key);
        calls.iter().filter(is_put).count()
    };
    assert!(
        written(&queue) < 8 * EVENTS,
        "the queue must be written rarely, but was written {} times",
        written(&queue)
    );
    // Each try begins with a call that is refused.
    let tries = calls
        .iter()
        .filter(|call| call.op == Op::Get && call.key == queue)
        .count();
    assert!(
        written("jobs/") < tries + 6 * EVENTS,
        "{} writes of entries in {tries} tries",
        written("jobs/")
    );
    Ok(())
}

/// A try at a full queue costs the same few requests, however long the queue is.
#[tokio::test]
async fn asking_for_a_slot_is_cheap_and_starts_nothing() -> Result<()> {
    let harness = dashboards(2, Faults::none())?;
    for id in 0..2 {
        harness
            .start(&Harness::<DashboardSnapshots, quicksight::QuickSight>::received(
                "a",
                &dashboard(id),
            ))
            .await?;
    }
    let waiting = Harness::<DashboardSnapshots, quicksight::QuickSight>::received("b", &dashboard(2));
    let error = harness.start(&waiting).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Busy);
    assert!(error.message.contains("2 jobs of its kind run already"), "{error}");
    let job_key = landfall::trigger::identify(&DashboardSnapshots::kind(), &waiting.event)?.job_key;
    let uri = format!(
        "s3://{LEDGER}/{}",
        Ledger::entry_key(&DashboardSnapshots::kind(), &job_key)
    );
    let attempt = harness.json(&uri)?["attempts"][0].clone();
    assert_eq!(attempt["state"], "waiting");
    assert!(
        attempt["error"]["Cause"]
            .as_str()
            .is_some_and(|cause| cause.contains("waits in line")),
        "{attempt}"
    );

    let before = harness.store.calls().len();
    let versions = harness
        .store
        .versions(LEDGER, &Ledger::entry_key(&DashboardSnapshots::kind(), &job_key));
    assert_eq!(harness.start(&waiting).await.unwrap_err().kind, ErrorKind::Busy);
    assert!(
        harness.store.calls().len() - before <= 5,
        "{:?}",
        &harness.store.calls()[before..]
    );
    assert_eq!(
        harness
            .store
            .versions(LEDGER, &Ledger::entry_key(&DashboardSnapshots::kind(), &job_key)),
        versions
    );
    assert_eq!(harness.simulated.start_calls(), 2);
    Ok(())
}

/// With one slot and two jobs, each call of the run is lost before or after its effect, alone or with its function.
#[tokio::test]
async fn no_lost_call_leaks_a_slot_or_lets_two_jobs_run() -> Result<()> {
    let events = [0, 1].map(export);
    let quiet = exports(1, Faults::none())?;
    let outcomes = Crowd::new(&quiet, &events).one_by_one().run().await?;
    assert_eq!(verdicts(&outcomes, "succeeded"), 2);
    let calls = quiet.faults.calls();
    for call in 0..calls {
        for moment in [Moment::Before, Moment::After] {
            for harm in [Harm::Lose, Harm::Die] {
                let case = format!("call {call} of {calls}, {moment:?}, {harm:?}");
                let harness = exports(1, Faults::at(call, moment, harm))?;
                let crowd = Crowd::new(&harness, &events).one_by_one();
                let outcomes = crowd.run().await.with_context(|| case.clone())?;
                assert_eq!(verdicts(&outcomes, "succeeded"), 2, "{case}: {outcomes:#?}");
                let made: Vec<_> = harness.simulated.jobs_made().iter().map(|job| job.created).collect();
                assert_eq!((made.len(), most_at_once(&made)), (2, 1), "{case}");
                assert_eq!(slots(&harness), Vec::<String>::new(), "{case}");
            }
        }
    }
    Ok(())
}

/// A job that has ended has no slot, whatever the queue says. A forgotten job has its slot until some time after its
/// deadline.
#[tokio::test]
async fn a_slot_comes_free_without_its_owner() -> Result<()> {
    type Dashboards = Harness<DashboardSnapshots, quicksight::QuickSight>;
    let harness = dashboards(1, Faults::none())?;
    let queue = Queue::key(&DashboardSnapshots::kind());
    // The seal could not return the slot.
    let job = harness.start(&Dashboards::received("one", &dashboard(0))).await?;
    let taken = harness.store.body(LEDGER, &queue).context("no queue")?;
    let outcome = harness.run("one", &dashboard(0)).await?;
    assert_eq!(outcome["outcome"]["verdict"], "succeeded");
    assert_eq!(slots(&harness), Vec::<String>::new());
    harness.store.insert(LEDGER, &queue, taken);
    assert_eq!(slots(&harness), [job.job_key]);

    // Its execution was stopped while the job ran.
    let mut event = dashboard(1);
    event["detail"]["Landfall"] = json!({"DeadlineSeconds": 600});
    let forgotten = harness.start(&Dashboards::received("two", &event)).await?;
    assert_eq!(slots(&harness), [forgotten.job_key]);
    let next = Dashboards::received("three", &dashboard(2));
    harness.pass(Duration::from_secs(600)).await;
    assert_eq!(harness.start(&next).await.unwrap_err().kind, ErrorKind::Busy);
    harness.pass(GRACE.to_std()?).await;
    let started = harness.start(&next).await?;
    assert_eq!(slots(&harness), [started.job_key]);
    Ok(())
}

/// A job has one slot, whichever execution starts it, and finds it again.
#[tokio::test]
async fn a_job_that_is_started_again_keeps_its_slot() -> Result<()> {
    // The calls are the entry, two of the queue, and the start call. The function dies after it took the slot.
    let harness = dashboards(1, Faults::at(3, Moment::Before, Harm::Die))?;
    let received = Harness::<DashboardSnapshots, quicksight::QuickSight>::received("one", &dashboard(0));
    harness.start(&received).await.unwrap_err();
    harness.faults.revive();
    assert_eq!(slots(&harness).len(), 1);
    assert_eq!(harness.simulated.start_calls(), 0);
    harness.pass(Duration::from_secs(66)).await;
    let job = harness.start(&received).await?;
    assert_eq!(slots(&harness), [job.job_key]);
    Ok(())
}

/// Without a limit the queue is neither read nor written.
#[tokio::test]
async fn without_a_limit_there_is_no_queue() -> Result<()> {
    let harness = dashboards(0, Faults::none())?;
    harness.run("one", &dashboard(0)).await?;
    let calls = harness.store.calls();
    assert!(
        !calls
            .iter()
            .any(|call| call.key.starts_with("slots/") || call.key.starts_with("starts/"))
    );
    Ok(())
}

/// A job that waits for a slot until its deadline is given up and sealed by the first delivery that notices.
#[tokio::test]
async fn a_job_that_waits_past_its_deadline_is_sealed_as_timed_out() -> Result<()> {
    let harness = dashboards(1, Faults::none())?;
    let first = Harness::<DashboardSnapshots, quicksight::QuickSight>::received("first", &dashboard(0));
    harness.start(&first).await?;
    let mut event = dashboard(1);
    event["detail"]["Landfall"] = json!({"DeadlineSeconds": 500});
    // Two deliveries of one trigger.
    let outcomes = Crowd::new(&harness, &[event.clone(), event]).run().await?;
    assert_eq!(verdicts(&outcomes, "failed"), 2);
    assert_eq!(outcomes[0]["job_key"], outcomes[1]["job_key"]);
    for outcome in &outcomes {
        let error = &outcome["outcome"]["error"];
        assert_eq!(error["Error"], "Landfall.TimedOut", "{outcome:#}");
        assert!(
            error["Cause"]
                .as_str()
                .is_some_and(|cause| cause.contains("1 job of its kind runs already")),
            "{error}"
        );
    }
    let announced = outcomes
        .iter()
        .filter(|outcome| outcome["outcome"]["announce"] == true)
        .count();
    assert_eq!(announced, 1);
    assert_eq!(harness.simulated.jobs_made().len(), 1);
    Ok(())
}

/// If the quota of a day is used up, a job starts on the next day. It is given up if its deadline comes first.
#[tokio::test]
async fn a_job_waits_for_the_next_day_if_the_quota_is_used_up() -> Result<()> {
    let mut harness = segments(Scenario::Success, Faults::none())?;
    harness.configure(|config| (config.max_starts_per_day, config.max_running) = (2, 1));
    let begun = harness.now();
    let mut events: Vec<Value> = (0..5).map(segment).collect();
    for event in &mut events {
        event["detail"]["Landfall"] = json!({"DeadlineSeconds": 86_400});
    }
    // This job waits neither for the quota of the other domain nor for a slot that one of those jobs holds for hours.
    let mut other = segment(99);
    other["detail"]["DomainName"] = json!("another-domain");
    other["detail"]["Landfall"] = json!({"DeadlineSeconds": 3_600});
    events.push(other);
    let outcomes = Crowd::new(&harness, &events).run().await?;
    // The deadline is at 5 in the morning of the second day.
    assert_eq!(verdicts(&outcomes, "succeeded"), 5, "{outcomes:#?}");
    assert_eq!(outcomes[5]["outcome"]["verdict"], "succeeded");
    for outcome in outcomes
        .iter()
        .filter(|outcome| outcome["outcome"]["verdict"] == "failed")
    {
        let error = &outcome["outcome"]["error"];
        assert_eq!(error["Error"], "Landfall.TimedOut", "{outcome:#}");
        let cause = error["Cause"].as_str().context("no cause")?;
        assert!(cause.contains("2 start calls were made for example-support"), "{cause}");
    }
    let snapshots = harness.simulated.jobs_made();
    let of_day = |day| {
        let is_of_day = |made: &&Made| made.created.date_naive() == day;
        snapshots.iter().filter(is_of_day).count()
    };
    let second = begun.date_naive() + TimeDelta::days(1);
    assert_eq!((of_day(begun.date_naive()), of_day(second)), (3, 2));
    assert_eq!(slots(&harness), Vec::<String>::new());
    let key = Quota::key(&SegmentSnapshots::kind(), "example-support", second);
    let calls = harness.json(&format!("s3://{LEDGER}/{key}"))?;
    assert_eq!(calls["calls"].as_array().map(Vec::len), Some(2), "{calls:#}");
    Ok(())
}

/// If the service throttles without end, because someone else has used up the day's quota, start calls become rarer and
/// rarer.
#[tokio::test]
async fn start_calls_become_rare_while_the_service_throttles() -> Result<()> {
    let harness = segments(Scenario::QuotaExceeded, Faults::none())?;
    let mut event = segment(0);
    event["detail"]["Landfall"] = json!({"DeadlineSeconds": 86_400});
    let outcomes = Crowd::new(&harness, &[event]).run().await?;
    let error = &outcomes[0]["outcome"]["error"];
    assert_eq!(error["Error"], "Landfall.TimedOut", "{error}");
    assert!(
        error["Cause"]
            .as_str()
            .is_some_and(|cause| cause.contains("ThrottlingException")),
        "{error}"
    );
    let calls = harness.simulated.calls();
    let last = calls.last().context("no call")?.at - calls[0].at;
    assert!(
        (7..=8).contains(&calls.len()) && last > TimeDelta::hours(10),
        "there must be few calls; there were {} in {last}",
        calls.len()
    );
    Ok(())
}

/// Second attempts and the calls of orphans count, too.
#[tokio::test]
async fn every_start_call_counts_towards_the_quota() -> Result<()> {
    for scenario in [
        Scenario::LostAnswer,
        Scenario::StartThrottledButAccepted,
        Scenario::StartUnavailable,
    ] {
        let mut harness = segments(scenario, Faults::none())?;
        harness.configure(|config| config.max_starts_per_day = 2);
        let outcome = harness.run("one", &segment(0)).await?;
        assert_eq!(outcome["outcome"]["verdict"], "succeeded", "{scenario}");
        assert_eq!(harness.simulated.start_calls(), 2, "{scenario}");
        let next = <Harness>::received("two", &segment(1));
        let error = harness.start(&next).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Busy, "{scenario}: {error}");
        assert!(error.message.contains("on this day"), "{scenario}: {error}");
        assert_eq!(harness.simulated.start_calls(), 2, "{scenario}");
    }
    Ok(())
}

#[tokio::test]
async fn a_call_that_never_left_does_not_count_towards_the_quota() -> Result<()> {
    let mut harness = segments(Scenario::Success, Faults::none())?;
    harness.configure(|config| config.max_starts_per_day = 1);
    let service = Arc::clone(&harness.simulated);
    harness.talk_to_as(Arc::clone(&service) as Arc<_>, |sdk, _| {
        let client = Https::new(Trust::Amazon).expect("nothing is read before the first request");
        let nobody = sdk.to_builder().endpoint_url("http://127.0.0.1:1").http_client(client);
        SegmentSnapshots::new(&nobody.build())
    });
    let error = harness
        .start(&<Harness>::received("one", &segment(0)))
        .await
        .unwrap_err();
    assert!(error.message.contains("never left"), "{error}");
    harness.talk_to_as(service, |sdk, _| SegmentSnapshots::new(sdk));
    let outcome = harness.run("two", &segment(1)).await?;
    assert_eq!(outcome["outcome"]["verdict"], "succeeded");
    Ok(())
}

/// Any call may be lost, with a quota of two calls and one job: at most two calls are made, and the job starts or
/// waits.
#[tokio::test]
async fn every_start_call_is_counted_whichever_call_is_lost() -> Result<()> {
    let quiet = segments(Scenario::Success, Faults::none())?;
    quiet.run("one", &segment(0)).await?;
    for call in 0..quiet.faults.calls() + 4 {
        for moment in [Moment::Before, Moment::After] {
            for harm in [Harm::Lose, Harm::Die] {
                let case = format!("call {call}, {moment:?}, {harm:?}");
                let mut harness = segments(Scenario::Success, Faults::at(call, moment, harm))?;
                harness.configure(|config| config.max_starts_per_day = 2);
                let outcomes = Crowd::new(&harness, &[segment(0)])
                    .run()
                    .await
                    .with_context(|| case.clone())?;
                assert_eq!(verdicts(&outcomes, "succeeded"), 1, "{case}: {outcomes:#?}");
                let day = DateTime::parse_from_rfc3339("2026-11-01T05:00:02Z")?.date_naive();
                let key = Quota::key(&SegmentSnapshots::kind(), "example-support", day);
                let counted = harness.json(&format!("s3://{LEDGER}/{key}"))?["calls"]
                    .as_array()
                    .map_or(0, Vec::len);
                let made = harness.simulated.start_calls();
                assert!(
                    made <= counted && counted <= 2,
                    "{case}: {made} calls, {counted} counted"
                );
            }
        }
    }
    Ok(())
}

/// An import that waits for a slot does not read its source.
#[tokio::test]
async fn an_import_that_waits_reads_no_source() -> Result<()> {
    let mut imports = Harness::<EndpointImports, _>::usual(3, DURATION, Faults::none())?;
    imports.configure(|config| config.max_running = 1);
    let import = |id: usize| {
        let mut event = sample(include_str!("../../events/endpoint-import.json"));
        event["id"] = json!(format!("event-{id}"));
        event
    };
    let outcomes = Crowd::new(&imports, &(0..3).map(import).collect::<Vec<_>>())
        .run()
        .await?;
    assert_eq!(verdicts(&outcomes, "succeeded"), 3, "{outcomes:#?}");
    let made: Vec<_> = imports.simulated.jobs_made().iter().map(|job| job.created).collect();
    assert_eq!(
        (made.len(), most_at_once(&made), imports.simulated.start_calls()),
        (3, 1, 3)
    );
    let is_of_source = |call: &&Call| matches!(call.op, Op::Head | Op::Read) && call.bucket == EXPORTS;
    let reads = imports.store.calls().iter().filter(is_of_source).count();
    assert!(
        (3..10).contains(&reads),
        "a waiting import must not read its source, but there were {reads} reads"
    );
    Ok(())
}
