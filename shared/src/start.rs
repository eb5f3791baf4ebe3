//! The first step: parse, authorise, claim in the ledger, start or adopt.
//!
//! What must stay true: no start call is made without a claim that is in the ledger first, nor, where the deployment has a
//! limit, without a place in the line; whoever finds a claim with an id adopts it; whoever finds one without an id waits
//! until its owner cannot be at it any more and then looks before it starts again. What one cannot look for gets a new
//! attempt with a prefix of its own, so outputs never mix.

use std::{future::Future, time::Duration};

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    config::Config,
    error::{Error, ErrorKind, Result, moment},
    event::{self, Requested, Trigger},
    history::Histories,
    input::{Input, Unreadable, read_value},
    invocation::{Deployment, Invocation},
    job::{self, Job, Kind, Missed, Output, Status, TaskError},
    ledger::{Attempt, AttemptState, Entry, Ledger, Orphan, Versioned},
    line::{self, Line, Quota},
    polling::{self, Bounds, Sight},
    s3_uri::S3Uri,
    service::{Aim, CALL_LIMIT, Found, JobService, StartCall, StartError},
    span,
};

mod never_left;
mod pick_up;

/// Most attempts of one job. Reached only if a service accepts calls and loses every answer.
pub const MAX_ATTEMPTS: u32 = 9;

/// How long the service is left alone after the second attempt that brought no id; four times as long after each further
/// one.
const FIRST_REST: TimeDelta = TimeDelta::minutes(1);

/// The longest rest, in first ones: 12 hours. So the longest deadline takes fewer than [`MAX_ATTEMPTS`].
const LONGEST_REST_FACTOR: i32 = 720;

/// How often a lost race in the ledger is followed by another look within one invocation.
const MAX_TURNS: usize = 8;

/// Time that an invocation keeps for its last words.
const RESERVE: TimeDelta = TimeDelta::seconds(5);

/// Added to the owner's deadline: clocks differ, and Lambda ends a function a little late.
const LEASE_MARGIN: TimeDelta = TimeDelta::seconds(5);

/// What the state machine hands to the first step, and to the last one if the first failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Received {
    /// The state machine's kind.
    pub kind: Kind,
    /// ARN of the execution.
    pub execution: String,
    /// The event as it came.
    pub event: Value,
    /// Why the first step failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskError>,
    /// What of the event could not be read.
    #[serde(skip)]
    pub unreadable: Option<Unreadable>,
}

impl Received {
    /// Reads the input of the first step of a service's kind.
    pub fn read<S: JobService>(input: impl Into<Input>, invocation: &Invocation) -> Self {
        Self::of(S::kind(), input, invocation)
    }

    /// Reads the input of a first step: what the state machine hands over, or a bare event as `cargo lambda invoke`
    /// sends it, which then stands for an execution of its own.
    pub fn of(kind: Kind, input: impl Into<Input>, invocation: &Invocation) -> Self {
        let input = input.into();
        match Self::handed_over(input.clone()) {
            Ok(received) => received,
            Err(_) => Self {
                kind,
                execution: format!("invocation:{}", invocation.request_id),
                event: input.value.clone(),
                error: None,
                unreadable: input.unreadable(),
            },
        }
    }

    /// Reads what the state machine hands over, whatever the event is. Fails with `Internal` if it is something else.
    pub fn handed_over(input: Input) -> Result<Self> {
        let received = read_value(input.value.clone())?;
        Ok(Self {
            unreadable: input.unreadable_member("event"),
            ..received
        })
    }

    /// What stands for the trigger of an event that no job is made of, or whose delivery failed for itself.
    pub fn rejected(&self, now: DateTime<Utc>) -> Result<Trigger> {
        let trigger = event::rejected_trigger(&self.kind, &self.event, now)?;
        let Some(unreadable) = &self.unreadable else {
            return Ok(trigger);
        };
        // Not all that tells it from others is in the value.
        let text = Value::from(unreadable.sha256.as_str());
        Ok(Trigger {
            job_key: event::rejected_key(&self.kind, &text)?,
            request_sha256: unreadable.sha256.clone(),
            ..trigger
        })
    }
}

/// What to do about an entry that is there already.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// The job has an outcome.
    Sealed,
    /// The last attempt has an id.
    Adopt,
    /// The service refused the last attempt.
    Refused,
    /// Somebody may still be at the start call.
    WaitUntil(DateTime<Utc>),
    /// The start call was lost, or its owner.
    Settle,
    /// There is no attempt yet, or the last one stands in line and nothing was started: claim it, by number.
    Claim(u32),
}

fn decide(entry: &Entry, now: DateTime<Utc>) -> Step {
    if entry.outcome.is_some() {
        return Step::Sealed;
    }
    let Some(attempt) = entry.attempts.last() else {
        return Step::Claim(1);
    };
    match attempt.state {
        AttemptState::Started => Step::Adopt,
        AttemptState::Refused => Step::Refused,
        AttemptState::Uncertain => Step::Settle,
        AttemptState::Waiting => Step::Claim(attempt.number),
        AttemptState::Claimed if now <= attempt.lease_until => Step::WaitUntil(attempt.lease_until),
        AttemptState::Claimed => Step::Settle,
    }
}

/// Runs the first step.
pub async fn start<S: JobService>(
    deployment: &Deployment,
    service: &S,
    received: &Received,
    invocation: &Invocation,
) -> Result<Job> {
    let config = &deployment.config;
    if let Some(unreadable) = &received.unreadable {
        event::refuse::<S>(&received.event, config.default_destination.as_ref(), &unreadable.faults)?;
    }
    let requested = admit::<S>(config, &received.event)?;
    span::is_of(&requested.trigger.job_key, requested.options.name.as_deref());
    let owner = format!("{}/{}", received.execution, invocation.request_id);
    let starter = Starter {
        deployment,
        service,
        received,
        invocation,
        requested: &requested,
        ledger: Ledger::new(deployment.store.as_ref(), &config.ledger_bucket, owner.clone()),
        owner,
    };
    let label = format!("{} {}", S::KIND, requested.trigger.job_key);
    starter.run().await.map_err(|error| error.context(label))
}

/// Reads an event and lets it through the gate. Nothing is called.
pub fn admit<S: JobService>(config: &Config, event: &Value) -> Result<Requested<S::Request>> {
    let requested = event::parse::<S>(event, config.default_destination.as_ref())?;
    check_gate::<S>(config, event, &requested)?;
    Ok(requested)
}

/// Holds all that an event names against the allow list. The default role was set by the deployment itself.
fn check_gate<S: JobService>(config: &Config, event: &Value, requested: &Requested<S::Request>) -> Result<()> {
    let named = S::named_resources(event.get("detail").unwrap_or(&Value::Null));
    if let Some(destination) = &requested.destination {
        let path = named
            .destination
            .as_ref()
            .map_or("the default destination", |destination| destination.path);
        config.allowed.check_location(path, destination)?;
    }
    if let Some(source) = &named.source {
        let uri = source
            .value
            .parse()
            .map_err(|why| Error::internal(format!("{}: {why}", source.path)))?;
        config.allowed.check_location(source.path, &uri)?;
    }
    if let Some(role) = &named.role {
        config.allowed.check_role(role.path, &role.value)?;
    }
    if let Some(key) = named.kms_key.as_ref().filter(|key| !key.value.is_empty()) {
        config.allowed.check_key(key.path, &key.value)?;
    }
    if let Some(domain) = &named.domain {
        config.allowed.check_domain(domain.path, &domain.value)?;
    }
    if let Some(dashboard) = &named.dashboard {
        config.allowed.check_dashboard(dashboard.path, &dashboard.value)?;
    }
    Ok(())
}

struct Starter<'a, S: JobService> {
    deployment: &'a Deployment,
    service: &'a S,
    received: &'a Received,
    invocation: &'a Invocation,
    requested: &'a Requested<S::Request>,
    ledger: Ledger<'a>,
    owner: String,
}

impl<S: JobService> Starter<'_, S> {
    async fn run(&self) -> Result<Job> {
        let (mut current, mut is_ours) = match &self.requested.options.pick_up {
            Some(picked) => (self.pick_up(picked).await?, false),
            None => match self.ledger.create_or_load(self.entry()?).await? {
                Ok(created) => (created, true),
                Err(Some(standing)) => (standing, false),
                Err(None) => (self.reload().await?, false),
            },
        };
        let mut has_place = false;
        for _ in 0..MAX_TURNS {
            if is_ours {
                match self.launch(current, has_place).await? {
                    Ok(started) => return self.job(&started.entry, false).await,
                    Err(changed) => current = changed,
                }
            }
            has_place = false;
            if current.entry.trigger.request_sha256 != self.requested.trigger.request_sha256 {
                return Err(Error::new(
                    ErrorKind::InvalidEvent,
                    "its IdempotencyKey was used before, for another request; use another key",
                ));
            }
            let claimed = match decide(&current.entry, self.now()) {
                Step::Sealed | Step::Adopt => return self.job(&current.entry, true).await,
                Step::Refused => return Err(recorded_refusal(&current.entry)),
                Step::WaitUntil(until) => {
                    return Err(Error::new(
                        ErrorKind::Busy,
                        format!(
                            "another delivery of the same trigger is starting it; its claim ends at {}",
                            moment(until)
                        ),
                    ));
                }
                Step::Claim(number) => {
                    in_time(&current.entry, self.now())?;
                    // Before the claim: who stands in line writes nothing.
                    if let Err(error) = self.look_at_line(&current.entry).await {
                        return self.wait(current, error).await;
                    }
                    has_place = true;
                    self.claim(current, number).await?
                }
                Step::Settle => match self.settle(current).await? {
                    Settled::Claimed(claimed) => claimed,
                    Settled::Started(started) => return self.job(&started.entry, true).await,
                },
            };
            is_ours = claimed.is_some();
            current = match claimed {
                Some(claimed) => claimed,
                None => self.reload().await?,
            };
        }
        Err(Error::new(ErrorKind::Busy, "others keep changing its ledger entry"))
    }

    /// Settles a start call that was lost, or whose owner was. `Claimed(None)` if somebody else did so meanwhile.
    async fn settle(&self, current: Versioned) -> Result<Settled> {
        let Some(attempt) = current.entry.attempts.last() else {
            return Ok(Settled::Claimed(None));
        };
        let number = attempt.number;
        match self.service.find(&self.call(attempt)).await? {
            Found::Started(service_id) => {
                let recorded = self.record_started(current, service_id).await?;
                Ok(recorded.map_or(Settled::Claimed(None), Settled::Started))
            }
            Found::Absent => self.claim(current, number).await.map(Settled::Claimed),
            Found::Unknowable if number < MAX_ATTEMPTS => {
                in_time(&current.entry, self.now())?;
                rested(attempt, self.now())?;
                self.claim(current, number + 1).await.map(Settled::Claimed)
            }
            Found::Unknowable => Err(Error::new(
                ErrorKind::JobFailed,
                format!("{MAX_ATTEMPTS} start calls were made and none of them brought an id"),
            )),
        }
    }

    /// Claims an attempt, new or lost; `None` if somebody else changed the entry meanwhile.
    async fn claim(&self, current: Versioned, number: u32) -> Result<Option<Versioned>> {
        let mut entry = current.entry;
        in_time(&entry, self.now())?;
        let mut attempt = self.attempt(number);
        // The first call of the attempt may have made a job, which is not to be taken for an older one.
        if let Some(first) = entry.attempts.iter().find(|attempt| attempt.number == number) {
            attempt.claimed_at = first.claimed_at;
            attempt.unreachable_since = first.unreachable_since;
        }
        // Each attempt has a prefix of its own, and the role and the account may be others by now.
        entry.request = S::record(&self.call(&attempt).request)?;
        entry.attempts.retain(|attempt| attempt.number != number);
        entry.attempts.push(attempt);
        // It may have changed while the job stood in line.
        entry.source = None;
        entry.takes_place |= self.has_line();
        self.ledger.update(entry, current.etag).await
    }

    /// Makes the start call of a claim that is ours. The inner error is the entry as somebody else changed it.
    async fn launch(&self, current: Versioned, has_place: bool) -> Result<Result<Versioned, Versioned>> {
        let Some(attempt) = current.entry.attempts.last().cloned() else {
            return Err(Error::internal("a claim was written without an attempt"));
        };
        // Once it has passed, we were paused and somebody else may be at it.
        let is_ours = || self.now() <= attempt.lease_until;
        if !is_ours() {
            return self.reload().await.map(Err);
        }
        // Before the source, which may take minutes to read and is read anew after the line.
        if !has_place && let Err(error) = self.enter_line(&current.entry).await {
            return self.put_off(current, error).await;
        }
        let current = match self.read_source(current).await? {
            Ok(current) => current,
            Err(changed) => return Ok(Err(changed)),
        };
        if let Err(error) = self.count(&current.entry, &attempt).await {
            return self.put_off(current, error).await;
        }
        if !is_ours() {
            return self.reload().await.map(Err);
        }
        // A call whose answer nobody is left to hear is as good as lost. A source took its time, and would do so again.
        if current.entry.source.is_none() && self.now() + CALL_LIMIT + RESERVE >= self.invocation.deadline {
            let error = Error::new(
                ErrorKind::Unavailable,
                "S3 answers so slowly that too little time is left for the start call",
            );
            return self.put_off(current, error).await;
        }
        match self.service.start(&self.call(&attempt)).await {
            Ok(service_id) => {
                // Whatever happens to the ledger, the id stands in the log.
                tracing::info!(attempt = attempt.key, service_id, "the service started the job");
                let record = || self.record_started(current.clone(), service_id.clone());
                match self.hold_on_to(&service_id, record).await? {
                    Some(started) => Ok(Ok(started)),
                    None => {
                        let record = || self.record_orphan(&attempt, service_id.clone());
                        self.hold_on_to(&service_id, record).await.map(Err)
                    }
                }
            }
            Err(StartError::Refused(error)) => self.fail(current, AttemptState::Refused, error).await,
            Err(StartError::Full(error)) => self.fail(current, AttemptState::Waiting, error).await,
            Err(StartError::NeverLeft(error)) => self.never_left(current, &attempt, error).await,
            Err(StartError::Uncertain(error)) => self.fail(current, AttemptState::Uncertain, error).await,
        }
    }

    /// Checks what the job reads, before the service sees it.
    async fn read_source(&self, current: Versioned) -> Result<Result<Versioned, Versioned>> {
        if current.entry.source.is_some() {
            return Ok(Ok(current));
        }
        match self
            .service
            .source(self.deployment.store.as_ref(), &self.requested.request)
            .await
        {
            Ok(None) => Ok(Ok(current)),
            Ok(Some(source)) => {
                let mut entry = current.entry;
                entry.source = Some(source);
                match self.ledger.update(entry, current.etag).await? {
                    Some(noted) => Ok(Ok(noted)),
                    None => self.reload().await.map(Err),
                }
            }
            Err(error) => self.put_off(current, error).await,
        }
    }

    /// Ends a claim before anything was asked of the service: a passing error leaves the attempt to be claimed again.
    async fn put_off<T>(&self, current: Versioned, error: Error) -> Result<T> {
        let state = if error.kind.is_transient() {
            AttemptState::Waiting
        } else {
            AttemptState::Refused
        };
        self.fail(current, state, error).await
    }

    /// Whether jobs of the kind need a place.
    fn has_line(&self) -> bool {
        self.deployment.config.max_running > 0
    }

    /// Gets the job a place, if there is a limit. Fails with `Busy` while there is none free.
    async fn enter_line(&self, entry: &Entry) -> Result<()> {
        if !self.has_line() {
            return Ok(());
        }
        let limit = self.deployment.config.max_running;
        let until = entry.deadline_at + line::GRACE;
        let kind = S::kind();
        let line = Line::new(&self.ledger, self.deployment.clock.as_ref(), &kind);
        if line.enter(limit, &entry.trigger.job_key, until).await? {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Busy,
            format!(
                "{} already, as many as the deployment lets run at a time; it waits in line until one of them has ended, and \
                 is given up at {}",
                if limit == 1 {
                    "1 job of its kind runs".to_owned()
                } else {
                    format!("{limit} jobs of its kind run")
                },
                moment(entry.deadline_at)
            ),
        ))
    }

    /// The line as it is for a job that stands in it: first the day's quota, so that no place is held for hours.
    async fn look_at_line(&self, entry: &Entry) -> Result<()> {
        let kind = S::kind();
        if let Some(quota) = self.quota(&kind)?
            && !quota.is_left().await?
        {
            return Err(used_up(&quota, entry));
        }
        self.enter_line(entry).await
    }

    /// Counts the start call of an attempt that is about to be made, if the service has a daily quota. Fails with `Busy`
    /// if it is used up; the job has no place then.
    async fn count(&self, entry: &Entry, attempt: &Attempt) -> Result<()> {
        let kind = S::kind();
        let Some(quota) = self.quota(&kind)? else {
            return Ok(());
        };
        if quota.count(&attempt.key).await? {
            return Ok(());
        }
        if self.has_line() {
            let line = Line::new(&self.ledger, self.deployment.clock.as_ref(), &kind);
            line.leave(&entry.trigger.job_key).await?;
        }
        Err(used_up(&quota, entry))
    }

    fn quota<'b>(&'b self, kind: &'b Kind) -> Result<Option<Quota<'b>>> {
        let limit = self.deployment.config.max_starts_per_day;
        let Some(scope) = S::daily_quota_of(&self.requested.request).filter(|_| limit > 0) else {
            return Ok(None);
        };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if scope.is_empty() || !scope.chars().all(is_plain) {
            return Err(Error::internal(format!("{scope:?} is no name to count start calls by")));
        }
        Ok(Some(Quota {
            ledger: &self.ledger,
            clock: self.deployment.clock.as_ref(),
            kind,
            scope,
            limit,
        }))
    }

    /// Stands in line: notes why, unless that is noted already, and fails with it.
    async fn wait<T>(&self, current: Versioned, error: Error) -> Result<T> {
        let noted = current.entry.attempts.last().and_then(|attempt| attempt.error.as_ref());
        if !error.kind.is_transient() {
            return Err(error);
        }
        if noted.is_some_and(|noted| noted.cause == error.message) {
            line::log_wait(&current.entry, self.now());
            return Err(error);
        }
        self.fail(current, AttemptState::Waiting, error).await
    }

    /// Records the id of a job that was just made. Without it the job is lost, so every error is met with further tries for
    /// as long as the invocation lasts: also a refusal may end, such as one by a policy that is being replaced.
    async fn hold_on_to<T, F: Future<Output = Result<T>>>(
        &self,
        service_id: &str,
        record: impl Fn() -> F,
    ) -> Result<T> {
        let mut pause = Duration::from_secs(1);
        loop {
            let error = match record().await {
                Err(error) => error,
                recorded => return recorded,
            };
            let next = self.now() + pause + RESERVE;
            if next >= self.invocation.deadline {
                return Err(error.context(format!(
                    "the service started {service_id}, and this could not be recorded: look at what became of it before a \
                     rerun, which starts another one"
                )));
            }
            tracing::warn!(
                service_id,
                error = error.kind.name(),
                "the started job is not recorded yet: {}",
                error.message
            );
            self.deployment.clock.sleep(pause).await;
            pause *= 2;
        }
    }

    async fn record_started(&self, current: Versioned, service_id: String) -> Result<Option<Versioned>> {
        let now = self.now();
        self.change_attempt(current, |attempt| {
            attempt.state = AttemptState::Started;
            attempt.service_id = Some(service_id.clone());
            attempt.started_at = Some(now);
            attempt.error = None;
            attempt.unreachable_since = None;
        })
        .await
    }

    /// Changes the last attempt as long as it is as we know it. `None` if somebody else changed it; what they note beside
    /// it, such as an orphan, takes it from nobody.
    async fn change_attempt(&self, mut current: Versioned, change: impl Fn(&mut Attempt)) -> Result<Option<Versioned>> {
        let known = current.entry.attempts.last().cloned();
        for _ in 0..MAX_TURNS {
            let mut entry = current.entry;
            if entry.outcome.is_some() || entry.attempts.last() != known.as_ref() {
                return Ok(None);
            }
            entry.attempts.last_mut().into_iter().for_each(&change);
            match self.ledger.update(entry, current.etag).await? {
                Some(changed) => return Ok(Some(changed)),
                None => current = self.reload().await?,
            }
        }
        Err(Error::new(ErrorKind::Busy, "others keep changing its ledger entry"))
    }

    /// Notes why a start call brought no id, and fails with it. If somebody else changed the attempt meanwhile, they know
    /// better.
    async fn fail<T>(&self, current: Versioned, state: AttemptState, error: Error) -> Result<T> {
        self.fail_since(current, state, error, None).await
    }

    /// [`Self::fail`], with since when no request of the attempt has reached the service.
    async fn fail_since<T>(
        &self,
        current: Versioned,
        state: AttemptState,
        error: Error,
        unreachable_since: Option<DateTime<Utc>>,
    ) -> Result<T> {
        let now = self.now();
        if state == AttemptState::Waiting {
            line::log_wait(&current.entry, now);
        }
        self.change_attempt(current, |attempt| {
            attempt.state = state;
            attempt.unreachable_since = unreachable_since;
            attempt.error = Some(error.clone().into());
            // The call is over.
            attempt.lease_until = now;
        })
        .await?;
        Err(error)
    }

    /// Notes a job that we started after somebody else had taken our claim over, so that the receipt can name it.
    async fn record_orphan(&self, attempt: &Attempt, service_id: String) -> Result<Versioned> {
        for _ in 0..MAX_TURNS {
            let current = self.reload().await?;
            // Services that take our key as the job's id give both of us the same job.
            if current
                .entry
                .attempts
                .iter()
                .any(|other| other.service_id.as_ref() == Some(&service_id))
            {
                return Ok(current);
            }
            let mut entry = current.entry;
            entry.orphans.push(Orphan {
                attempt: attempt.number,
                service_id: service_id.clone(),
                prefix: attempt.prefix.clone(),
            });
            if let Some(noted) = self.ledger.update(entry, current.etag).await? {
                return Ok(noted);
            }
        }
        Err(Error::new(
            ErrorKind::Busy,
            format!("others keep changing its entry; orphan job {service_id} is not noted"),
        ))
    }

    async fn reload(&self) -> Result<Versioned> {
        let job_key = &self.requested.trigger.job_key;
        self.ledger.load(&S::kind(), job_key).await?.ok_or_else(|| {
            Error::internal(format!(
                "its ledger entry was deleted from s3://{} while it ran",
                self.ledger.bucket()
            ))
        })
    }

    fn now(&self) -> DateTime<Utc> {
        self.deployment.clock.now()
    }

    fn entry(&self) -> Result<Entry> {
        let requested = self.requested;
        let attempt = self.attempt(1);
        let request = S::record(&self.call(&attempt).request)?;
        let now = self.now();
        Ok(Entry {
            schema: crate::ledger::SCHEMA.to_owned(),
            kind: S::kind(),
            trigger: requested.trigger.clone(),
            name: requested.options.name.clone(),
            request,
            format: S::format(&requested.request),
            source: None,
            created_at: now,
            deadline_at: self.deadline_from(now),
            attempts: vec![attempt],
            takes_place: self.has_line(),
            picks_up: None,
            picked_up_by: Vec::new(),
            orphans: Vec::new(),
            outcome: None,
            written_by: String::new(),
        })
    }

    /// When a job that begins at `now` is given up.
    fn deadline_from(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let asked = self.requested.options.deadline_seconds;
        let seconds = asked.unwrap_or(self.deployment.config.deadline.as_secs());
        let deadline = now + TimeDelta::seconds(i64::try_from(seconds).unwrap_or(i64::from(u32::MAX)));
        // Whole seconds, since the state machine compares it as a text.
        match deadline.trunc_subsecs(0) {
            whole if whole < deadline => whole + TimeDelta::seconds(1),
            whole => whole,
        }
    }

    fn attempt(&self, number: u32) -> Attempt {
        let job_key = &self.requested.trigger.job_key;
        let key = if number == 1 {
            job_key.clone()
        } else {
            format!("{job_key}-{number}")
        };
        let now = self.now();
        Attempt {
            number,
            prefix: match &self.requested.destination {
                Some(destination) => destination.join(&format!("run={key}/")),
                None => S3Uri {
                    bucket: self.ledger.bucket().to_owned(),
                    key: format!("runs/{}/{key}/", S::KIND),
                },
            },
            key,
            state: AttemptState::Claimed,
            owner: self.owner.clone(),
            claimed_at: now,
            lease_until: self.invocation.deadline + LEASE_MARGIN,
            service_id: None,
            started_at: None,
            error: None,
            unreachable_since: None,
        }
    }

    fn call(&self, attempt: &Attempt) -> StartCall<S::Request> {
        let trigger = &self.requested.trigger;
        let aim = Aim {
            attempt_key: &attempt.key,
            prefix: &attempt.prefix,
            role: self.deployment.config.default_role.as_deref(),
            account: trigger.account.as_deref(),
            region: self.deployment.config.region.as_deref().or(trigger.region.as_deref()),
        };
        StartCall {
            request: S::aim(self.requested.request.clone(), &aim),
            attempt_key: attempt.key.clone(),
            prefix: attempt.prefix.clone(),
            claimed_at: attempt.claimed_at,
            over_at: attempt.lease_until,
        }
    }

    /// The job as the ledger has it.
    async fn job(&self, entry: &Entry, adopted: bool) -> Result<Job> {
        let requested = self.requested;
        let options = &requested.options;
        let config = &self.deployment.config;
        let attempt = entry.attempts.last();
        let poll = options.poll.clone().unwrap_or_default();
        let seconds = |option: Option<u64>, default| option.map_or(default, Duration::from_secs);
        let min = seconds(poll.min_seconds, config.polling.min);
        let polling = Bounds {
            min,
            max: seconds(poll.max_seconds, config.polling.max).max(min),
        };
        let verification = options.verification.clone().unwrap_or_default();
        let started_at = attempt.map_or(entry.created_at, |attempt| attempt.claimed_at);
        let accepted_at = attempt.and_then(|attempt| attempt.started_at).unwrap_or(started_at);
        let history = match &entry.outcome {
            Some(_) => Vec::new(),
            None => {
                let histories = Histories::new(self.deployment.store.as_ref(), &config.ledger_bucket);
                histories.recall(&S::kind(), &entry.trigger.request_sha256).await
            }
        };
        let now = self.now();
        let sight = Sight {
            elapsed: (now - accepted_at).to_std().unwrap_or_default(),
            remaining: (entry.deadline_at - now).to_std().unwrap_or_default(),
            // Whoever adopts a job does not know when it was looked at last.
            is_first: !adopted,
            progress: None,
            quiet_polls: 0,
            spread: spread(&requested.trigger.job_key, 0),
            history: &history,
        };
        let named = S::named_resources(self.received.event.get("detail").unwrap_or(&Value::Null));
        let kms_key = named.kms_key.map(|key| key.value).filter(|key| !key.is_empty());
        let outcome = entry.outcome.as_ref().map(|outcome| job::Outcome {
            verdict: outcome.verdict,
            error: outcome.error.clone(),
            receipt: outcome.receipt.clone(),
            // A job that was sealed before this delivery has been announced by the execution that sealed it.
            announce: false,
            sealed_by: outcome.sealed_by.clone(),
            sealed_at: outcome.sealed_at,
        });
        Ok(Job {
            schema: job::SCHEMA.to_owned(),
            kind: S::kind(),
            job_key: requested.trigger.job_key.clone(),
            name: entry.name.clone(),
            execution: self.received.execution.clone(),
            status: if outcome.is_some() {
                Status::Sealed
            } else {
                Status::Running
            },
            request: entry.request.clone(),
            request_sha256: entry.trigger.request_sha256.clone(),
            service_id: attempt
                .and_then(|attempt| attempt.service_id.clone())
                .unwrap_or_default(),
            attempt: attempt.map_or(0, |attempt| attempt.number),
            adopted,
            started_at,
            accepted_at,
            deadline_at: entry.deadline_at,
            verifying: None,
            output: attempt.filter(|_| S::WRITES_OUTPUT).map(|attempt| Output {
                prefix: attempt.prefix.clone(),
                format: entry.format,
                kms_key,
                allow_empty: verification.allow_empty.unwrap_or(false),
                strict_row_count: verification.row_count == Some(event::RowCount::Fail),
                settle_seconds: verification.settle_seconds.unwrap_or(config.settle.as_secs()),
                level: verification.level.unwrap_or_default(),
                expect: verification.expect.clone().unwrap_or_default(),
            }),
            source: entry.source.clone(),
            polling,
            wait_seconds: match &entry.picks_up {
                // It was started long ago and has most likely ended.
                Some(_) => u32::try_from(polling.min.min(sight.remaining).as_secs())
                    .unwrap_or(u32::MAX)
                    .max(1),
                None => polling::next_wait(polling, sight),
            },
            history,
            polls: 0,
            missed: Missed {
                rest_seconds: u32::try_from(polling.min.as_secs()).unwrap_or(u32::MAX),
                ..Missed::default()
            },
            service_status: None,
            service_message: None,
            progress: None,
            counts: None,
            failures: Vec::new(),
            files: None,
            running_at: None,
            ended_at: None,
            service_ended_at: None,
            report: None,
            error: None,
            outcome,
            announcement: None,
        })
    }
}

/// What settling a lost start call came to.
enum Settled {
    /// We hold a claim, or somebody else changed the entry.
    Claimed(Option<Versioned>),
    /// The job was found.
    Started(Versioned),
}

/// Fails with `TimedOut` if a job may not be started any more.
fn in_time(entry: &Entry, now: DateTime<Utc>) -> Result<()> {
    if now < entry.deadline_at {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::TimedOut,
        format!(
            "it was not started by its deadline {}; {}",
            moment(entry.deadline_at),
            last_refusal(entry)
        ),
    ))
}

/// Fails with `Busy` while the service is left alone after start calls that brought no id. Each further one may make a job
/// that nobody hears of, and what fails again and again is an outage, or a quota that others have used up: so they are few,
/// and far between.
fn rested(attempt: &Attempt, now: DateTime<Utc>) -> Result<()> {
    if attempt.number < 2 {
        return Ok(());
    }
    let rest = FIRST_REST * 4i32.saturating_pow(attempt.number - 2).min(LONGEST_REST_FACTOR);
    let until = attempt.lease_until + rest;
    if now >= until {
        return Ok(());
    }
    let why = attempt.error.as_ref().map_or_else(
        || "its function died in the last one".to_owned(),
        |error| format!("the last one met {}", error.error),
    );
    Err(Error::new(
        ErrorKind::Busy,
        format!(
            "{} start calls brought no id, {why}; the next one is made after {}",
            attempt.number,
            moment(until)
        ),
    ))
}

fn used_up(quota: &Quota<'_>, entry: &Entry) -> Error {
    Error::new(
        ErrorKind::Busy,
        format!(
            "{} start call{} made for {} on this day (UTC), as many as the deployment allows; it waits in line for the next \
             day, and is given up at {}",
            quota.limit,
            if quota.limit == 1 { " was" } else { "s were" },
            quota.scope,
            moment(entry.deadline_at)
        ),
    )
}

/// Why the last attempt brought no job, for a message.
fn last_refusal(entry: &Entry) -> String {
    let recorded = entry.attempts.last().and_then(|attempt| attempt.error.as_ref());
    recorded.map_or_else(
        || "the start call was lost".to_owned(),
        |error| format!("the last try met {}: {}", error.error, error.cause),
    )
}

fn recorded_refusal(entry: &Entry) -> Error {
    let recorded = entry.attempts.last().and_then(|attempt| attempt.error.as_ref());
    recorded.map_or_else(
        || Error::internal("the service refused it, and the reason is not recorded"),
        |error| {
            Error::new(
                ErrorKind::from_name(&error.error).unwrap_or(ErrorKind::Internal),
                error.cause.clone(),
            )
        },
    )
}

/// A number from 0 to 1 that spreads jobs which started together, the same for the same job and poll.
pub(crate) fn spread(job_key: &str, poll: u32) -> f64 {
    let hash = event::sha256_hex(format!("{job_key}/{poll}").as_bytes());
    u16::from_str_radix(&hash[..4], 16).map_or(0.5, |number| f64::from(number) / f64::from(u16::MAX))
}
