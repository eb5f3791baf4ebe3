//! The step that verifies: from a job to its report.
//!
//! What must stay true: rejected output is a finding, written to the report and carried on to the seal; an error is
//! raised only for what kept the check from being made.

use std::time::Duration;

use landfall::{
    error::{Error, ErrorKind, Result},
    event::sha256_hex,
    invocation::{Deployment, Invocation},
    job::{Job, ReportPointer, Status},
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
    let Some(output) = &job.output else {
        return Err(Error::internal(format!(
            "{} writes nothing, so there is nothing to verify",
            job.label()
        )));
    };
    let format = output.format.ok_or_else(|| {
        Error::internal(format!(
            "{} has no format that its output could be held against",
            job.label()
        ))
    })?;
    let expectation = Expectation {
        prefix: output.prefix.clone(),
        format,
        started_at: job.started_at,
        allow_empty: output.allow_empty,
        kms_key: output.kms_key.clone(),
        settle: Duration::from_secs(output.settle_seconds),
        rows: job.counts.map(|counts| counts.processed),
        files: None,
    };
    let store = std::sync::Arc::clone(&deployment.store);
    let clock = std::sync::Arc::clone(&deployment.clock);
    let report = verify::verify(store, clock, &expectation, invocation.deadline)
        .await
        .map_err(|error| error.context(format!("verifying {}", job.label())))?;

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
        let message = rejection(&job, &expectation, &report);
        job.error = Some(Error::new(ErrorKind::OutputRejected, message).into());
    }
    let objects = report.objects.iter().filter(|object| object.role == Role::Data).count() as u64;
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

fn rejection(job: &Job, expectation: &Expectation, report: &Report) -> String {
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
    format!(
        "what {} wrote beneath {} is not a complete export; do not use it. Failed checks:{reasons}{more}",
        job.label(),
        expectation.prefix
    )
}
