//! The work of a job: files are written or read.
//!
//! What must stay true: work is done when it is due by the clock, and never twice. A job ends after its last part. AWS
//! documents neither the names of files nor which files of a folder are read.

use anyhow::bail;
use landfall::heavy::heavy;
use serde_json::Value;

use super::{
    FAILURES, Job, Part, Service,
    endpoints::{Endpoints, entries},
    locked,
    order::Way,
    scenario::{Outcome, Output},
};
use crate::simulated::derived_uuid;

/// The first bytes of each member of a gzip file.
const GZIP: [u8; 3] = [0x1f, 0x8b, 8];

impl Service {
    /// Does what is due for a job.
    pub(super) async fn advance(&self, job: &Job) {
        let _turn = job.turn.lock().await;
        loop {
            let age = (self.clock.now() - job.created).to_std().unwrap_or_default();
            let next = {
                let progress = locked(&job.progress);
                if progress.end.is_some() {
                    return;
                }
                job.parts.get(progress.done).cloned().map(|part| (progress.done, part))
            };
            let worked = match next {
                Some((number, part)) if age >= part.due => self.work(job, number, part).await,
                Some(_) => return,
                None if age < self.settings.duration || self.behaviour.outcome == Outcome::Never => return,
                None => {
                    let status = match self.behaviour.outcome {
                        Outcome::Fails => "FAILED",
                        Outcome::Says(status) => status,
                        _ => "COMPLETED",
                    };
                    locked(&job.progress).end = Some((status, self.clock.now()));
                    return;
                }
            };
            if let Err(error) = worked {
                tracing::warn!(job = job.id, "the work of a simulated job failed: {error:#}");
                locked(&job.progress).end = Some(("FAILED", self.clock.now()));
            }
        }
    }

    /// Does one part of the work.
    async fn work(&self, job: &Job, number: usize, part: Part) -> anyhow::Result<()> {
        let is_last = number + 1 == job.parts.len();
        let lost = is_last && matches!(self.behaviour.outcome, Outcome::Fails | Outcome::Never);
        let (processed, failed_entries) = match job.order.way {
            Way::Export => self.export(job, number, part, lost).await?,
            Way::Import => self.import(job).await?,
        };
        let mut progress = locked(&job.progress);
        progress.done += 1;
        progress.processed += processed;
        progress.failures += failed_entries.len() as u64;
        let room = 100 - progress.failed_entries.len().min(100);
        progress.failed_entries.extend(failed_entries.into_iter().take(room));
        Ok(())
    }

    async fn export(&self, job: &Job, number: usize, mut part: Part, lost: bool) -> anyhow::Result<(u64, Vec<String>)> {
        let order = &job.order;
        let processed = part.numbers.end - part.numbers.start;
        let generator = Endpoints::new(self.settings.seed, self.settings.endpoints);
        let mut failed = Vec::new();
        if number == 0 && self.behaviour.outcome == Outcome::CompletesWithFailures {
            let end = part.numbers.end.min(part.numbers.start + FAILURES);
            failed = (part.numbers.start..end)
                .map(|i| generator.endpoint(i).to_string())
                .collect();
            part.numbers.start = end;
        }
        if number == 0 {
            // Other objects may lie beside the files. AWS's samples therefore keep only `*.gz`.
            let text = format!("Amazon Pinpoint export {}\n", job.id);
            self.sink
                .put(
                    &order.bucket,
                    &format!("{}export-info.txt", order.prefix),
                    text.into(),
                    None,
                )
                .await?;
        }
        if lost || self.behaviour.output == Output::Missing {
            return Ok((processed, failed));
        }
        let application = order.application.clone();
        // A gzip file may have several members.
        let members = if number == 1 { 3 } else { 1 };
        // Off the threads that answer requests: a large part takes seconds.
        let body = heavy(move || {
            let mut body = generator.export(&application, part.numbers, members)?;
            if part.truncated {
                let middle = body.len() / 2;
                // If it were cut between two members, it would be a whole file with fewer rows.
                let is_border = body[middle..].starts_with(&GZIP);
                body.truncate(middle - usize::from(is_border));
            }
            anyhow::Ok(body)
        })
        .await??;
        // The names of the files are not documented (reference P2).
        let uuid = derived_uuid(self.settings.seed, &["export", &job.id]);
        let day = job.created.format("%Y/%m/%d");
        let key = format!("{}{day}/{uuid}-{number:05}.gz", order.prefix);
        self.sink.put(&order.bucket, &key, body.into(), None).await?;
        Ok((processed, failed))
    }

    /// Reads the source. Gives the number of rows and the entries that failed.
    async fn import(&self, job: &Job) -> anyhow::Result<(u64, Vec<String>)> {
        let order = &job.order;
        let is_csv = order.definition["Format"] == "CSV";
        let keys = self.source.list(&order.bucket, &order.prefix).await?;
        // In a mixed folder only files of the format are read. AWS does not document how they are told apart.
        let suffixes: &[&str] = if is_csv {
            &[".csv"]
        } else {
            &[".json", ".jsonl", ".ndjson"]
        };
        let keys = keys
            .into_iter()
            .filter(|key| *key == order.prefix || suffixes.iter().any(|suffix| key.ends_with(suffix)));
        let (mut rows, mut failed) = (0, Vec::new());
        for key in keys {
            let body = self.source.get(&order.bucket, &key).await?;
            if body.starts_with(b"\x1f\x8b") {
                bail!("{key} is compressed");
            }
            for entry in entries(&body, is_csv)? {
                rows += 1;
                let has = |pointer: &str| {
                    entry
                        .pointer(pointer)
                        .and_then(Value::as_str)
                        .is_some_and(|text| !text.is_empty())
                };
                if !(has("/Address") || has("/Id") || has("/User.UserId") || has("/User/UserId")) {
                    failed.push(entry.to_string());
                }
            }
        }
        if rows == 0 {
            bail!("there is nothing to import");
        }
        if self.behaviour.outcome == Outcome::CompletesWithFailures {
            let address = "invented@example.com";
            failed.extend((0..FAILURES.min(rows)).map(|i| format!("Invalid Address {address} at line {i}")));
        }
        Ok((rows, failed))
    }
}
