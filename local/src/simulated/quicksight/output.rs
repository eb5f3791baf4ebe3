//! The files of a job.
//!
//! What must stay true: a file follows from the seed, the job and what was asked for. AWS documents neither names, nor
//! extensions, nor the number of objects of a file. A comment at each choice says so.

use anyhow::Result;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use landfall::heavy::heavy;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::{
    Job, Service,
    files::{self, Table},
    order::{File, FileFormat},
    scenario::Last,
};
use crate::simulated::{derived_hex, derived_uuid};

/// How many rows a worksheet has at most, without its header.
const WORKSHEET_ROWS: u64 = 1_048_575;

/// The characters that S3 leaves unescaped in a presigned link.
const LINK: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

impl Service {
    /// Writes the objects of one file of the order, and gives its S3Results.
    pub(super) async fn write(&self, job: &Job, number: usize, file: &File, last: Last) -> Vec<Value> {
        // Whether a CSV file with several sheet selections is several objects is not documented (reference Q3).
        let parts: Vec<Vec<String>> = match file.format {
            FileFormat::Csv => file.selections.clone(),
            FileFormat::Pdf | FileFormat::Excel => vec![file.selections.concat()],
        };
        let count = parts.len();
        let mut results = Vec::new();
        for (part, visuals) in parts.into_iter().enumerate() {
            let flaw = if part + 1 == count { last } else { Last::Whole };
            let result = self.write_part(job, (number, part), file.format, visuals, flaw).await;
            let told = match result {
                Ok(uri) if flaw == Last::RlsChanged => json!({
                    "S3Uri": uri,
                    "ErrorInfo": [{ "ErrorType": "RLS_CHANGED", "ErrorMessage": "Row-level security settings have changed." }],
                }),
                Ok(uri) => json!({ "S3Uri": uri }),
                Err(error) => {
                    tracing::warn!(job = job.name.job, "a file of the snapshot was not written: {error:#}");
                    let message = format!("{error:#}");
                    json!({ "ErrorInfo": [{ "ErrorType": "FILE_NOT_GENERATED", "ErrorMessage": message }] })
                }
            };
            let mut told = told;
            let destination = &job.order.configuration["DestinationConfiguration"]["S3Destinations"][0];
            told["S3DestinationConfiguration"] = destination.clone();
            results.push(told);
        }
        results
    }

    async fn write_part(
        &self,
        job: &Job,
        (file, part): (usize, usize),
        format: FileFormat,
        visuals: Vec<String>,
        flaw: Last,
    ) -> Result<String> {
        if flaw == Last::HasError {
            anyhow::bail!("The visual could not be exported.");
        }
        let (seed, now) = (self.settings.seed, self.clock.now());
        let place = format!("{file}/{part}");
        // The service gives unique names of its own. Their form and extension are not documented (reference Q1).
        let name = derived_uuid(seed, &["file", &job.name.dashboard, &job.name.job, &place]);
        let key = format!("{}{name}.{}", job.order.prefix, format.extension());
        let rows = self.settings.rows;
        // Off the threads that answer requests: a large workbook takes seconds.
        let body = heavy(move || encode(seed, format, &visuals, rows, now, flaw)).await??;
        if flaw != Last::Missing {
            self.sink.put(&job.order.bucket, &key, Bytes::from(body), None).await?;
        }
        let bucket = &job.order.bucket;
        if !self.behaviour.links {
            return Ok(format!("s3://{bucket}/{key}"));
        }
        let path = utf8_percent_encode(&key, LINK);
        let region = &self.settings.region;
        let signature = derived_hex(seed, &["signature", &key]);
        Ok(format!(
            "https://{bucket}.s3.{region}.amazonaws.com/{path}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=300\
             &X-Amz-SignedHeaders=host&X-Amz-Signature={signature}{signature}"
        ))
    }
}

/// The bytes of a file. The real service limits the number of rows too, but does not document the limit.
fn encode(
    seed: u64,
    format: FileFormat,
    visuals: &[String],
    rows: u64,
    now: DateTime<Utc>,
    flaw: Last,
) -> Result<Vec<u8>> {
    let tables: Vec<Table<'_>> = visuals
        .iter()
        .map(|visual| Table {
            seed,
            visual,
            rows: rows.min(WORKSHEET_ROWS),
        })
        .collect();
    let none = Table {
        seed,
        visual: "",
        rows: 0,
    };
    let first = tables.first().unwrap_or(&none);
    let format = match (flaw, format) {
        (Last::WrongFormat, FileFormat::Pdf) => FileFormat::Csv,
        (Last::WrongFormat, _) => FileFormat::Pdf,
        (_, format) => format,
    };
    let is_corrupt = flaw == Last::Corrupt;
    let mut body = match format {
        FileFormat::Csv => return files::csv(first, is_corrupt),
        FileFormat::Pdf => files::document(first)?,
        FileFormat::Excel => files::workbook(&tables, now)?,
    };
    if is_corrupt {
        body.truncate(body.len() / 2);
    }
    Ok(body)
}
