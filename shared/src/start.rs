//! The first step: it reads the event, lets it through the gate, claims the job in the ledger, and starts or adopts it.
//!
//! What must stay true: before a start call is made, the claim is in the ledger and, if the deployment has a limit, the
//! job has a slot in the queue. If an entry has an id, the job is adopted. If it has a claim without an id, nothing is
//! started until the owner's invocation is over; then the service is asked what became of the call. If the service
//! cannot say, the job gets a new attempt with a prefix of its own, so the outputs of two attempts never mix. A job
//! that was cancelled is not claimed.
//!
//! [`admit`] reads the event and lets it through the gate. Then the job's ledger entry is created; if it is there
//! already, [`decision`] says what to do. An invocation that holds the claim takes a slot, reads the source, counts the
//! call and makes it ([`Starter::launch`]). It records the result ([`record`]) and makes the [`Job`] from the entry
//! ([`job`]).

mod admit;
mod capacity;
mod decision;
mod job;
mod never_left;
mod pick_up;
mod received;
mod record;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};

pub(crate) use self::admit::check_user;
pub use self::{admit::admit, decision::MAX_ATTEMPTS, received::Received};
use self::{
    capacity::Capacity,
    decision::{Step, decide, in_time, recorded_refusal, rested},
    job::Delivery,
    record::{RESERVE, Recorded, Recorder},
};
use crate::{
    error::{Error, ErrorKind, Result, moment},
    event::{self, Requested},
    history,
    invocation::{Deployment, Invocation},
    job::{Job, Kind, Status},
    ledger::{Attempt, AttemptState, Cas, Entry, Ledger, Versioned},
    s3_uri::S3Uri,
    service::{Aim, CALL_LIMIT, Found, JobService, StartCall, StartError},
    span,
    trigger::identify,
};

/// How many versions of the entry one invocation looks at before it gives up.
const MAX_TURNS: usize = 8;

/// Added to the owner's deadline, because clocks differ and Lambda ends a function a little late.
const LEASE_MARGIN: TimeDelta = TimeDelta::seconds(5);

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
    let requested = admit::<S>(config, &received.event).inspect_err(|_| {
        // If the event is refused, the log can still say which job it asked for.
        if let Ok(trigger) = identify(&received.kind, &received.event) {
            span::is_of(&trigger.job_key, None);
        }
    })?;
    span::is_of(&requested.trigger.job_key, requested.options.name.as_deref());
    let owner = format!("{}/{}", received.execution, invocation.request_id);
    let starter = Starter {
        deployment,
        service,
        received,
        invocation,
        requested: &requested,
        ledger: &Ledger::new(deployment.store.as_ref(), &config.ledger_bucket, owner.clone()),
        kind: &S::kind(),
        owner,
    };
    let label = format!("{} {}", S::KIND, requested.trigger.job_key);
    let job = starter.run().await.map_err(|error| error.context(label))?;
    log_decision(&job, deployment.clock.now());
    Ok(job)
}

/// Logs what the step decided. While the job runs, the line has the job's age, of which the template makes metrics.
fn log_decision(job: &Job, now: DateTime<Utc>) {
    span::is_of_attempt(job.attempt);
    let decided = match job.status {
        Status::Sealed => "was_sealed",
        _ if job.adopted => "adopted",
        _ => "started",
    };
    let is_running = job.status == Status::Running;
    tracing::info!(
        decided,
        service_id = job.service_id,
        age_seconds = is_running.then(|| job.age(now)),
        wait_seconds = is_running.then_some(job.wait_seconds),
        "the job is in the ledger"
    );
}

struct Starter<'a, S: JobService> {
    deployment: &'a Deployment,
    service: &'a S,
    received: &'a Received,
    invocation: &'a Invocation,
    requested: &'a Requested<S::Request>,
    ledger: &'a Ledger<'a>,
    kind: &'a Kind,
    owner: String,
}

/// Whether the entry is as this invocation wrote it.
enum Claim {
    /// It is, so the claim in it is ours.
    Ours(Versioned),
    /// It is not: somebody else changed it, or it is of a job that is picked up.
    NotOurs(Versioned),
}

/// The result of making a start call.
enum Launched {
    /// The service made the job, and its id is recorded.
    Started(Versioned),
    /// Somebody else changed the entry.
    Overtaken(Versioned),
}

/// The result of looking for a lost start call.
enum Resolved {
    /// The service made the job, and its id is recorded.
    Started(Versioned),
    /// The attempt is to be called, if we hold the claim.
    Claimed(Claim),
    /// Somebody else changed the entry.
    Overtaken(Versioned),
}

impl<S: JobService> Starter<'_, S> {
    async fn run(&self) -> Result<Job> {
        let mut claim = match &self.requested.options.pick_up {
            Some(picked) => Claim::NotOurs(self.pick_up(picked).await?),
            None => self.written(self.ledger.create(self.entry()?).await?)?,
        };
        let mut has_slot = false;
        for _ in 0..MAX_TURNS {
            let current = match claim {
                Claim::NotOurs(current) => current,
                Claim::Ours(current) => match self.launch(current, has_slot).await? {
                    Launched::Started(started) => {
                        let mut job = self.job(&started.entry, false).await?;
                        // The job is recorded, so it is not lost if the estimate fails.
                        if job.status == Status::Running && job.expects_estimate() {
                            job.estimate = self.service.estimate(&self.requested.request).await;
                        }
                        return Ok(job);
                    }
                    Launched::Overtaken(changed) => changed,
                },
            };
            has_slot = false;
            if current.entry.trigger.request_sha256 != self.requested.trigger.request_sha256 {
                return Err(Error::new(
                    ErrorKind::InvalidEvent,
                    "its IdempotencyKey was used before, for another request; use another key",
                ));
            }
            claim = match decide(&current.entry, &self.owner, self.now()) {
                Step::Sealed | Step::Adopt => return self.job(&current.entry, true).await,
                Step::Cancelled(error) => return Err(error),
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
                    // Check the limits before claiming, so that a waiting job costs no write.
                    if let Err(error) = self.capacity().look(&current.entry).await {
                        return self.recorder().waits(current, error).await;
                    }
                    has_slot = true;
                    self.claim(current, number).await?
                }
                Step::ResolveLost => match self.resolve_lost(current).await? {
                    Resolved::Started(started) => return self.job(&started.entry, true).await,
                    Resolved::Claimed(claim) => claim,
                    Resolved::Overtaken(changed) => Claim::NotOurs(changed),
                },
            };
        }
        Err(Error::new(ErrorKind::Busy, "others keep changing its ledger entry"))
    }

    /// Finds out what became of a start call whose answer or whose owner was lost.
    async fn resolve_lost(&self, current: Versioned) -> Result<Resolved> {
        let Some(attempt) = current.entry.attempts.last() else {
            return Ok(Resolved::Overtaken(current));
        };
        let number = attempt.number;
        match self.service.find(&self.call(attempt)).await? {
            Found::Started(service_id) => Ok(match self.recorder().started(current, service_id).await? {
                Recorded::Written(started) => Resolved::Started(started),
                Recorded::Overtaken(changed) => Resolved::Overtaken(changed),
            }),
            Found::Absent => self.claim(current, number).await.map(Resolved::Claimed),
            Found::Unknowable if number < MAX_ATTEMPTS => {
                in_time(&current.entry, self.now())?;
                rested(attempt, self.now())?;
                self.claim(current, number + 1).await.map(Resolved::Claimed)
            }
            Found::Unknowable => Err(Error::new(
                ErrorKind::JobFailed,
                format!("{MAX_ATTEMPTS} start calls were made and none of them brought an id"),
            )),
        }
    }

    /// Claims an attempt: a new one, or one whose call was lost.
    async fn claim(&self, current: Versioned, number: u32) -> Result<Claim> {
        let mut entry = current.entry;
        in_time(&entry, self.now())?;
        let mut attempt = self.attempt(number);
        // The first call of the attempt may have made a job. It must not look older than the claim.
        if let Some(first) = entry.attempt(number) {
            attempt.claimed_at = first.claimed_at;
            attempt.unreachable_since = first.unreachable_since;
        }
        // Each attempt has its own prefix, and the role and the account may have changed since.
        entry.request = S::record(&self.call(&attempt).request)?;
        entry.attempts.retain(|attempt| attempt.number != number);
        entry.attempts.push(attempt);
        // The source may have changed while the job waited.
        entry.source = None;
        entry.takes_slot |= self.capacity().has_queue();
        self.written(self.ledger.update(entry, current.etag).await?)
    }

    fn written(&self, cas: Cas) -> Result<Claim> {
        match cas {
            Cas::Won(written) => Ok(Claim::Ours(written)),
            Cas::Lost(standing) => Ok(Claim::NotOurs(standing)),
            Cas::Vanished => Err(self.ledger.deleted(self.kind, &self.requested.trigger.job_key)),
        }
    }

    /// Makes the start call of a claim that we hold.
    async fn launch(&self, current: Versioned, has_slot: bool) -> Result<Launched> {
        let Some(attempt) = current.entry.attempts.last().cloned() else {
            return Err(Error::internal("a claim was written without an attempt"));
        };
        span::is_of_attempt(attempt.number);
        let (recorder, capacity) = (self.recorder(), self.capacity());
        // After the lease another invocation may be making the call. We get here late if Lambda paused us.
        let is_ours = || self.now() <= attempt.lease_until;
        if !is_ours() {
            return self.reload().await.map(Launched::Overtaken);
        }
        // Take a slot first. Reading the source may take minutes, and would have to be repeated after waiting for a
        // slot.
        if !has_slot && let Err(error) = capacity.enter_queue(&current.entry).await {
            return recorder.put_off(current, error).await;
        }
        let current = match self.read_source(current).await? {
            Claim::Ours(current) => current,
            Claim::NotOurs(changed) => return Ok(Launched::Overtaken(changed)),
        };
        if let Err(error) = capacity.count(&current.entry, &attempt).await {
            return recorder.put_off(current, error).await;
        }
        if !is_ours() {
            return self.reload().await.map(Launched::Overtaken);
        }
        // Don't start a call that Lambda could kill before its id is recorded. Jobs with a source are exempt, because a
        // retry would spend the same minutes again.
        if current.entry.source.is_none() && self.now() + CALL_LIMIT + RESERVE >= self.invocation.deadline {
            let error = Error::new(
                ErrorKind::Unavailable,
                "S3 answers so slowly that too little time is left for the start call",
            );
            return recorder.put_off(current, error).await;
        }
        match self.service.start(&self.call(&attempt)).await {
            Ok(service_id) => self.record(current, &attempt, service_id).await,
            Err(StartError::Refused(error)) => recorder.failed(current, AttemptState::Refused, error).await,
            Err(StartError::Full(error)) => recorder.failed(current, AttemptState::Waiting, error).await,
            Err(StartError::NeverLeft(error)) => self.never_left(current, &attempt, error).await,
            Err(StartError::Uncertain(error)) => recorder.failed(current, AttemptState::Uncertain, error).await,
        }
    }

    /// Records the job that the service made: in its attempt, or as an orphan if somebody else took the claim over.
    async fn record(&self, current: Versioned, attempt: &Attempt, service_id: String) -> Result<Launched> {
        // If the ledger cannot be written, the id is at least in the log.
        tracing::info!(attempt = attempt.key, service_id, "the service started the job");
        let recorder = self.recorder();
        let started = || recorder.started(current.clone(), service_id.clone());
        match recorder.insist(&service_id, started).await? {
            Recorded::Written(started) => Ok(Launched::Started(started)),
            Recorded::Overtaken(_) => {
                let orphan = || recorder.orphan(&current, attempt, &service_id);
                recorder.insist(&service_id, orphan).await.map(Launched::Overtaken)
            }
        }
    }

    /// Reads what the job reads, before the service does.
    async fn read_source(&self, current: Versioned) -> Result<Claim> {
        if current.entry.source.is_some() {
            return Ok(Claim::Ours(current));
        }
        let store = self.deployment.store.as_ref();
        match self.service.source(store, &self.requested.request).await {
            Ok(None) => Ok(Claim::Ours(current)),
            Ok(Some(source)) => {
                let mut entry = current.entry;
                entry.source = Some(source);
                self.written(self.ledger.update(entry, current.etag).await?)
            }
            Err(error) => self.recorder().put_off(current, error).await,
        }
    }

    fn recorder(&self) -> Recorder<'_> {
        Recorder {
            ledger: self.ledger,
            clock: self.deployment.clock.as_ref(),
            deadline: self.invocation.deadline,
        }
    }

    fn capacity(&self) -> Capacity<'_> {
        Capacity {
            ledger: self.ledger,
            clock: self.deployment.clock.as_ref(),
            config: &self.deployment.config,
            kind: self.kind,
            scope: S::daily_quota_of(&self.requested.request),
        }
    }

    async fn reload(&self) -> Result<Versioned> {
        self.ledger.reload(self.kind, &self.requested.trigger.job_key).await
    }

    fn now(&self) -> DateTime<Utc> {
        self.deployment.clock.now()
    }

    fn entry(&self) -> Result<Entry> {
        let requested = self.requested;
        let attempt = self.attempt(1);
        let now = self.now();
        Ok(Entry {
            name: requested.options.name.clone(),
            request: S::record(&self.call(&attempt).request)?,
            format: S::format(&requested.request),
            deadline_at: self.deadline_from(now),
            attempts: vec![attempt],
            takes_slot: self.capacity().has_queue(),
            skips_manifest: requested.options.manifest == Some(false),
            ..Entry::new(S::kind(), requested.trigger.clone(), now)
        })
    }

    /// When a job that begins at `now` is given up.
    fn deadline_from(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let asked = self.requested.options.deadline_seconds;
        let seconds = asked.unwrap_or(self.deployment.config.deadline.as_secs());
        let deadline = now + TimeDelta::seconds(i64::try_from(seconds).unwrap_or(i64::from(u32::MAX)));
        // Whole seconds, because the state machine compares the deadline as a text.
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
            user: self.requested.options.registered_user.as_ref(),
        };
        StartCall {
            request: S::aim(self.requested.request.clone(), &aim),
            attempt_key: attempt.key.clone(),
            prefix: attempt.prefix.clone(),
            claimed_at: attempt.claimed_at,
            over_at: attempt.lease_until,
        }
    }

    /// The job as this delivery hands it on.
    async fn job(&self, entry: &Entry, adopted: bool) -> Result<Job> {
        let history = match &entry.outcome {
            Some(_) => Vec::new(),
            None => history::recall(self.ledger, self.kind, &entry.trigger.request_sha256).await,
        };
        let delivery = Delivery::<S> {
            execution: &self.received.execution,
            event: &self.received.event,
            requested: self.requested,
            config: &self.deployment.config,
            adopted,
            history,
            now: self.now(),
        };
        Ok(delivery.job(entry))
    }
}
