//! The verify step: from a job to its report.
//!
//! What must stay true: wrong output is a finding. It is written to the report and goes on to Seal in the job. The step
//! raises an error only if something kept it from checking the output.
//!
//! If the output does not fit in one invocation, the job comes back with [`Job::verifying`]. Then the state machine
//! runs [`verify_slice`] for each slice, and enters the step again.

use std::{sync::Arc, time::Duration};

use landfall::{
    error::{Error, ErrorKind, Result},
    hash::sha256_hex,
    input::{Input, read_input},
    invocation::{Deployment, Invocation},
    job::{Job, Output, ReportPointer, Status, Verifying},
    ledger::{Ledger, encode},
    span,
};
use serde::Serialize;

use crate::{
    latest,
    verify::{self, Asker, Begin, Check, Desk, Expectation, Item, Limits, Previous, Report, Turn},
};

/// How many failed checks an error message lists. The report and the receipt have all.
const SPELLED_OUT: usize = 5;

/// The answer of the function.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Verified {
    /// To the input of a job.
    Job(Box<Job>),
    /// To the input of a slice.
    Slice {
        /// Whether the slice was read to its end. If not, it must be invoked again.
        done: bool,
    },
}

/// Runs the step, for a job or for a slice.
pub async fn verify_step(
    deployment: &Deployment,
    input: impl Into<Input>,
    invocation: &Invocation,
) -> Result<Verified> {
    let input = input.into();
    if ["slice", "batch"].iter().any(|name| input.value.get(name).is_some()) {
        let item: Item = read_input(input)?;
        name_job_of(&item);
        let done = verify_slice(deployment, &item, invocation).await?;
        tracing::info!(
            decided = if done { "slice_done" } else { "slice_goes_on" },
            slice = item.slice,
            "a slice was worked on"
        );
        return Ok(Verified::Slice { done });
    }
    let job = verify_job(deployment, read_input(input)?, invocation).await?;
    log_decision(&job);
    Ok(Verified::Job(Box::new(job)))
}

/// Adds the job of a slice to the span. The slice's key begins with the job's folder ([`folder`]).
fn name_job_of(item: &Item) {
    let mut parts = item.slice.split('/').skip(1);
    if let (Some(kind), Some(job_key)) = (parts.next(), parts.next()) {
        span::is_of_kind(kind);
        span::is_of(job_key, None);
    }
}

/// Where a verification that this invocation begins keeps its work.
fn folder(job: &Job, invocation: &Invocation) -> String {
    format!("verifications/{}/{}/{}/", job.kind, job.job_key, invocation.request_id)
}

fn log_decision(job: &Job) {
    match (&job.verifying, &job.report) {
        (Some(verifying), _) => tracing::info!(
            decided = "slices",
            slices = verifying.slices,
            "the output is read in slices"
        ),
        (None, report) => tracing::info!(
            decided = report.as_ref().map(|report| report.verdict.as_str()),
            objects = report.as_ref().map(|report| report.objects),
            rows = report.as_ref().map(|report| report.rows),
            bytes = report.as_ref().map(|report| report.bytes),
            "the output is verified"
        ),
    }
}

/// Reads a slice for as long as the invocation lasts. Says whether it was read to its end.
pub async fn verify_slice(deployment: &Deployment, item: &Item, invocation: &Invocation) -> Result<bool> {
    verify_slice_within(deployment, item, invocation, &Limits::default()).await
}

/// Like [`verify_slice`], with other limits.
pub async fn verify_slice_within(
    deployment: &Deployment,
    item: &Item,
    invocation: &Invocation,
    limits: &Limits,
) -> Result<bool> {
    let store = Arc::clone(&deployment.store);
    let clock = Arc::clone(&deployment.clock);
    let bucket = &deployment.config.ledger_bucket;
    verify::run_slice(store, clock, bucket, item, invocation.deadline, limits)
        .await
        .map_err(|error| error.context(format!("reading the slice {}", item.slice)))
}

/// Verifies a job as far as one invocation can.
pub async fn verify_job(deployment: &Deployment, job: Job, invocation: &Invocation) -> Result<Job> {
    verify_job_within(deployment, job, invocation, &Limits::default()).await
}

/// Like [`verify_job`], with other limits.
pub async fn verify_job_within(
    deployment: &Deployment,
    mut job: Job,
    invocation: &Invocation,
    limits: &Limits,
) -> Result<Job> {
    if job.status != Status::Succeeded {
        return Err(Error::internal(format!(
            "{} is not done, so there is nothing to verify",
            job.label()
        )));
    }
    let report = match (&job.output, &job.source) {
        (Some(output), _) => {
            let turn = turn(deployment, &job, output, invocation, limits)
                .await
                .map_err(|error| error.context(format!("verifying {}", job.label())))?;
            match turn {
                Turn::Report(report) => *report,
                Turn::Slices { work, manifest, slices } => {
                    job.verifying = Some(Verifying {
                        manifest,
                        work,
                        slices,
                        concurrency: deployment.config.verify_concurrency,
                    });
                    return Ok(job);
                }
            }
        }
        (None, Some(source)) => {
            verify::judge::judge_source(source, job.counts, job.echo.as_ref(), deployment.clock.now())
        }
        (None, None) => {
            return Err(Error::internal(format!(
                "{} neither writes nor reads, so there is nothing to verify",
                job.label()
            )));
        }
    };

    job.verifying = None;
    let sha256 = sha256_hex(&encode(&report)?);
    // The key comes from the content, so a repeated step with the same result writes nothing new.
    let key = format!("reports/{}/{}/{}.json", job.kind, job.job_key, &sha256[..16]);
    let ledger = Ledger::new(
        deployment.store.as_ref(),
        &deployment.config.ledger_bucket,
        invocation.request_id.clone(),
    );
    ledger.put_once(&key, &report).await?;

    if report.verdict == verify::Verdict::Failed {
        let message = rejection(&job, &report);
        job.error = Some(Error::new(ErrorKind::OutputRejected, message).into());
    }
    let objects = match &report.source {
        Some(source) => source.objects,
        None => report.data_objects,
    };
    job.report = Some(ReportPointer {
        key,
        sha256,
        verdict: report.verdict.name().to_owned(),
        objects,
        rows: report.rows,
        bytes: report.bytes,
    });
    Ok(job)
}

async fn turn(
    deployment: &Deployment,
    job: &Job,
    output: &Output,
    invocation: &Invocation,
    limits: &Limits,
) -> Result<Turn> {
    let store = Arc::clone(&deployment.store);
    let clock = Arc::clone(&deployment.clock);
    let Job { kind, job_key, .. } = job;
    let request = &invocation.request_id;
    let desk = Desk {
        bucket: deployment.config.ledger_bucket.clone(),
        prefix: folder(job, invocation),
        objects: format!("reports/{kind}/{job_key}/{request}.objects.jsonl"),
    };
    let expectation;
    let begin = match &job.verifying {
        Some(verifying) => Begin::At(&verifying.work),
        None => {
            expectation = Expectation {
                previous: previous(deployment, job, output).await?,
                ..self::expectation(job, output)
            };
            Begin::New(&expectation)
        }
    };
    verify::turn(store, clock, begin, &desk, invocation.deadline, limits).await
}

/// The earlier success that the output is compared with, if the event asks for a comparison.
async fn previous(deployment: &Deployment, job: &Job, output: &Output) -> Result<Option<Previous>> {
    let Some(destination) = latest::destination(&output.prefix).filter(|_| output.expect.change.is_some()) else {
        return Ok(None);
    };
    let previous = latest::previous(deployment.store.as_ref(), &destination, &job.request_sha256).await?;
    // Another execution of the same job may have sealed it meanwhile.
    Ok(previous.filter(|previous| previous.job_key != job.job_key))
}

fn expectation(job: &Job, output: &Output) -> Expectation {
    Expectation {
        prefix: output.prefix.clone(),
        format: output.format,
        started_at: job.started_at,
        allow_empty: output.allow_empty,
        kms_key: output.kms_key.clone(),
        settle: Duration::from_secs(output.settle_seconds),
        rows: job.counts.map(|counts| counts.processed),
        strict_row_count: output.strict_row_count,
        failed_rows: job.counts.map(|counts| counts.failed),
        files: job.files.clone(),
        echo: job.echo.clone(),
        estimate: job.estimate.clone(),
        level: output.level,
        expect: output.expect.clone(),
        previous: None,
        asker: Asker::Event,
    }
}

fn rejection(job: &Job, report: &Report) -> String {
    let failed: Vec<&Check> = report
        .checks
        .iter()
        .filter(|check| check.verdict == verify::CheckVerdict::Fail)
        .collect();
    let reasons: String = failed
        .iter()
        .take(SPELLED_OUT)
        .map(|check| format!("\n  {}: {}", check.name, check.reason))
        .collect();
    let more = failed.len().saturating_sub(SPELLED_OUT);
    let more = if more > 0 {
        format!("\n  and {more} more checks; see the receipt")
    } else {
        String::new()
    };
    let what = match &job.output {
        Some(output) => format!(
            "what {} wrote beneath {} is not a complete export; do not use it",
            job.label(),
            output.prefix
        ),
        None => format!("{} did not take in all of its source", job.label()),
    };
    format!("{what}. Failed checks:{reasons}{more}")
}
