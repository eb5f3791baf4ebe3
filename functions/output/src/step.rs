//! The step that verifies: from a job to its report.
//!
//! What must stay true: rejected output is a finding, written to the report and carried on to the seal; an error is
//! raised only for what kept the check from being made.

use std::time::Duration;

use landfall::{
    error::{Error, ErrorKind, Result},
    event::sha256_hex,
    invocation::{Deployment, Invocation},
    job::{Job, Output, ReportPointer, Status},
    ledger::{Ledger, encode},
};

use crate::verify::{self, Check, Expectation, Report, Role};

/// Most failed checks that an error message spells out; the report and the receipt have all.
const SPELLED_OUT: usize = 5;

/// Runs the step.
pub async fn verify_job(deployment: &Deployment, mut job: Job, invocation: &Invocation) -> Result<Job> {
    if job.status != Status::Succeeded {
        return Err(Error::internal(format!(
            "{} is not done, so there is nothing to verify",
            job.label()
        )));
    }
    let report = match (&job.output, &job.source) {
        (Some(output), _) => {
            let store = std::sync::Arc::clone(&deployment.store);
            let clock = std::sync::Arc::clone(&deployment.clock);
            verify::verify(store, clock, &expectation(&job, output), invocation.deadline)
                .await
                .map_err(|error| error.context(format!("verifying {}", job.label())))?
        }
        (None, Some(source)) => verify::judge::judge_source(source, job.counts, deployment.clock.now()),
        (None, None) => {
            return Err(Error::internal(format!(
                "{} neither writes nor reads, so there is nothing to verify",
                job.label()
            )));
        }
    };

    let sha256 = sha256_hex(&encode(&report)?);
    // Named by its content: a repeated step that finds the same writes nothing new.
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
        None => report.objects.iter().filter(|object| object.role == Role::Data).count() as u64,
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
