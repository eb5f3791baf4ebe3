//! Runs a verification, with the code of the deployed function, in one call.
//!
//! What must stay true: a receipt beside the objects is compared with what is there. If it is not used, the result says
//! why. Messages name places as the user named them.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta};
use landfall::{
    clock::{Clock, SystemClock},
    error::{Error, ErrorKind, Result},
    job::{self, Level},
    store::layer::Layered,
};
use landfall_formats::Format;
use landfall_output::{
    receipt,
    verify::{self, Asker, CheckVerdict, Expectation, Limits, Previous, Report, Verdict},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    ask::Ask,
    kept,
    place::{Location, MAX_OBJECTS, Place},
    progress::{Progress, Waiting, Watched},
    recognise::{Recognised, each_by_itself, recognise},
    sealed::{self, Comparison, Sealed},
};
use crate::document::{Failure, failures};

/// The schema of [`Verified`].
pub const SCHEMA: &str = "landfall.verification/1";

/// How to see what the level listing does not show.
pub const TO_LOOK_INTO: &str =
    "ask for --level full, or for --level structure, which sees what headers and footers tell";

/// The result of a verification.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Verified {
    /// `landfall.verification/1`.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: &'static str,
    /// Landfall's version.
    pub landfall: &'static str,
    /// What was verified.
    pub place: String,
    /// The worst verdict of the checks. It is `failed` too if anything differs from the receipt, or if the receipt is
    /// that of a failed job.
    pub verdict: Verdict,
    /// The format that the data was decoded as. `None` if each file has its own.
    pub format: Option<Format>,
    /// How much was looked at.
    pub level: Level,
    /// How long it took, in seconds, including the time between the listings.
    pub seconds: f64,
    /// How long of that the verification listed, read and decoded, in seconds.
    pub working_seconds: f64,
    /// How many bytes it read. Each byte counts once.
    pub bytes_read: u64,
    /// What is wrong: one item for each check that failed or warned, and one for each faulty object.
    pub failures: Vec<Failure>,
    /// What the verification reports. `None` if only the listing was compared with a receipt.
    pub report: Option<Report>,
    /// The comparison with the receipt. `None` if there is no receipt.
    pub comparison: Option<Comparison>,
    /// Why a receipt that lies beside the objects was not used. Absent if there is none, or if it was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt_not_used: Option<String>,
}

impl Verified {
    /// Whether the output may be used: it is not rejected, and it is what the receipt of a success sealed.
    pub fn is_good(&self) -> bool {
        self.verdict != Verdict::Failed
    }
}

/// Verifies. `progress` shows how far it is.
///
/// Fails with `InvalidEvent` if the arguments do not fit together, with `OutputRejected` if something changed during
/// the comparison, and as the store fails.
pub async fn verify(ask: &Ask, progress: &Arc<Progress>) -> Result<Verified> {
    let kept = match &ask.place {
        Some(Place::Local(folder)) if kept::is_kept(folder) => Some(folder),
        _ => None,
    };
    let receipt = match (&ask.receipt, kept) {
        (Some(place), _) => Some(Location::open(place, false, &ask.access).await?),
        (None, Some(folder)) => Some(Location::file(&kept::receipt(folder).await?)?),
        (None, None) => None,
    };
    let sealed = match &receipt {
        Some(receipt) => Some(Sealed::read(receipt).await.map_err(|error| reworded(receipt, error))?),
        None => None,
    };
    let place = match (&ask.place, &ask.receipt, &sealed) {
        (Some(place), _, sealed) => match kept.zip(sealed.as_ref()) {
            Some((folder, sealed)) => Place::Local(kept::place_of(folder, &sealed.prefix)),
            None => place.clone(),
        },
        (None, Some(Place::S3(_)), Some(sealed)) => Place::S3(sealed.prefix.clone()),
        _ => {
            return Err(Error::new(
                ErrorKind::InvalidEvent,
                "name the prefix or folder to verify: only a receipt in S3 says where its output lies",
            ));
        }
    };
    let location = match (&place, receipt) {
        // One client for both.
        (Place::S3(uri), Some(receipt)) if receipt.folder.is_none() => Location {
            bucket: uri.bucket.clone(),
            key: uri.as_folder().key,
            ..receipt
        },
        _ => Location::open(&place, true, &ask.access).await?,
    };
    let (sealed, not_used) = match sealed {
        Some(sealed) => (Some(sealed), None),
        None => match beside(&location).await.map_err(|error| reworded(&location, error))? {
            Some(Ok(sealed)) => (Some(sealed), None),
            Some(Err(why)) => (None, Some(why)),
            None => (None, None),
        },
    };
    let mut verified = verify_in(ask, location.clone(), sealed, Arc::new(SystemClock), progress)
        .await
        .map_err(|error| reworded(&location, error))?;
    verified.receipt_not_used = not_used;
    Ok(verified)
}

/// The receipt that lies beside the objects, or why it cannot be used. `None` if there is none. Fails as the store
/// fails, because the next attempt could have another result.
async fn beside(location: &Location) -> Result<Option<Result<Sealed, String>>> {
    let receipt = location.beside(receipt::NAME);
    // Listed, like everything that is verified: to somebody who may not list, S3 answers 403 for an object that does
    // not exist.
    let page = receipt.store.list_page(&receipt.bucket, &receipt.key, None).await?;
    if !page.objects.iter().any(|listed| listed.key == receipt.key) {
        return Ok(None);
    }
    match Sealed::read(&receipt).await {
        Ok(sealed) => Ok(Some(Ok(sealed))),
        Err(error) if error.kind.is_transient() => Err(error),
        Err(error) => Ok(Some(Err(receipt.reword(&error.message)))),
    }
}

fn reworded(location: &Location, error: Error) -> Error {
    let mut message = location.reword(&error.message);
    // The words of S3 for a bucket in another region.
    if [
        "PermanentRedirect",
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraint",
    ]
    .iter()
    .any(|code| message.contains(code))
    {
        message.push_str("; name the bucket's region with --region");
    }
    Error::new(error.kind, message)
}

/// Does what [`verify`] does, in a store that is given.
pub async fn verify_in(
    ask: &Ask,
    location: Location,
    sealed: Option<Sealed>,
    clock: Arc<dyn Clock>,
    progress: &Arc<Progress>,
) -> Result<Verified> {
    let begun = Instant::now();
    if ask.kms_key.is_some() && location.folder.is_some() {
        return Err(Error::new(
            ErrorKind::InvalidEvent,
            format!("{location} is a folder, and no KMS key encrypts its files: leave --kms-key out"),
        ));
    }
    if ask.rows.is_some() && ask.level == Level::Listing {
        return Err(Error::new(
            ErrorKind::InvalidEvent,
            format!("--rows: the level listing looks into no object: {TO_LOOK_INTO}"),
        ));
    }
    let watched = Watched::new(&location.key, ask.level != Level::Full, Arc::clone(progress));
    let location = Location {
        store: Arc::new(Layered::new(Arc::clone(&location.store), watched)),
        ..location
    };

    // With a receipt that was named, the lowest level needs nothing but the listing, unless more is expected.
    let only_compared = sealed.is_some() && ask.is_compared() && ask.level == Level::Listing && !ask.expects_more();
    let mut working = Duration::ZERO;
    let (format, mut report) = if only_compared {
        (ask.format.or(sealed.as_ref().and_then(|sealed| sealed.format)), None)
    } else {
        let expectation = expectation(ask, &location, sealed.as_ref()).await?;
        let by_themselves = sealed.is_none() && expectation.files.is_some();
        let begun = Instant::now();
        let waiting = Arc::new(Waiting::new(clock));
        let mut report = run(&location, Arc::clone(&waiting) as Arc<dyn Clock>, &expectation).await?;
        working = begun.elapsed().saturating_sub(waiting.waited());
        if by_themselves {
            reword_named(&mut report);
        }
        (expectation.format, Some(report))
    };
    let bytes_read = progress.now()[2];
    if let Some(report) = &mut report {
        for check in &mut report.checks {
            reword(check, ask, &location);
        }
    }
    let comparison = match &sealed {
        Some(sealed) => Some(compare(ask, &location, sealed, report.as_ref()).await?),
        None => None,
    };

    let of_checks = report.as_ref().map_or(Verdict::Passed, |report| report.verdict);
    let is_refused = comparison
        .as_ref()
        .is_some_and(|comparison| !comparison.same || comparison.verdict == job::Verdict::Failed);
    Ok(Verified {
        schema: SCHEMA,
        landfall: env!("CARGO_PKG_VERSION"),
        place: location.to_string(),
        verdict: if is_refused { Verdict::Failed } else { of_checks },
        format,
        level: ask.level,
        seconds: begun.elapsed().as_secs_f64(),
        working_seconds: working.as_secs_f64(),
        bytes_read,
        failures: report
            .as_ref()
            .map_or_else(Vec::new, |report| failures(&report.checks, &report.objects)),
        report,
        comparison,
        receipt_not_used: None,
    })
}

/// Calls the verification.
async fn run(location: &Location, clock: Arc<dyn Clock>, expectation: &Expectation) -> Result<Report> {
    let limits = Limits {
        objects: MAX_OBJECTS,
        ..Limits::default()
    };
    // There is no invocation that could run out of time.
    let deadline = clock.now() + TimeDelta::days(365);
    verify::verify_within(Arc::clone(&location.store), clock, expectation, deadline, &limits).await
}

async fn expectation(ask: &Ask, location: &Location, sealed: Option<&Sealed>) -> Result<Expectation> {
    let prefix = location.uri();
    let (format, files) = match (ask.format, sealed) {
        (Some(format), _) => (Some(format), None),
        (None, Some(sealed)) => (sealed.format, sealed.named_files(&prefix)),
        (None, None) => match recognise(location).await? {
            Recognised::One(format) => (Some(format), None),
            Recognised::Several => (None, Some(each_by_itself(location).await?)),
        },
    };
    let settle = ask
        .settle
        .unwrap_or(Duration::from_secs(if location.folder.is_some() { 0 } else { 5 }));
    Ok(Expectation {
        prefix,
        format,
        started_at: ask.started_at.unwrap_or(DateTime::UNIX_EPOCH),
        allow_empty: ask.allow_empty,
        kms_key: ask.kms_key.clone(),
        settle,
        rows: ask.rows,
        strict_row_count: ask.rows.is_some(),
        failed_rows: None,
        echo: None,
        estimate: None,
        files,
        level: ask.level,
        expect: ask.expect.clone(),
        previous: sealed.map(|sealed| Previous {
            job_key: sealed.job_key.clone(),
            same_request: true,
            rows: sealed.rows,
        }),
        asker: Asker::Command,
    })
}

/// Rewords what is said about names that nobody gave: each file is decoded as its own format, and each was listed.
fn reword_named(report: &mut Report) {
    for check in &mut report.checks {
        if check.name == "named_files" && check.verdict == CheckVerdict::Pass {
            check.verdict = CheckVerdict::Skipped;
            check.reason = "nothing names the files: each file that lies here was decoded as its own format".to_owned();
        }
    }
}

/// Names places in a check's reason as the user named them. Takes back what was compared with a start that nobody
/// named.
fn reword(check: &mut verify::Check, ask: &Ask, location: &Location) {
    if check.name == "newer_than_start" && ask.started_at.is_none() && check.verdict == CheckVerdict::Pass {
        check.verdict = CheckVerdict::Skipped;
        check.reason = "the time of the start is not known: --started-at TIME names it".to_owned();
    }
    if check.name == "checksum" && location.folder.is_some() && check.verdict == CheckVerdict::Skipped {
        check.reason =
            "a folder keeps no checksums of its files: the SHA-256 of each file was computed here".to_owned();
    }
    check.reason = location.reword(&check.reason);
}

async fn compare(ask: &Ask, location: &Location, sealed: &Sealed, report: Option<&Report>) -> Result<Comparison> {
    let in_place = location.folder.is_none() && location.uri() == sealed.prefix.as_folder();
    let listing = location
        .store
        .list(&location.bucket, &location.key, MAX_OBJECTS)
        .await?;
    let mut now = sealed::present(listing, &location.key, sealed);
    for object in report.iter().flat_map(|report| &report.objects) {
        let beneath = object.key.strip_prefix(&location.key).unwrap_or(&object.key);
        if let Some(now) = now.get_mut(beneath).filter(|now| now.listed.etag == object.etag) {
            now.sha256.clone_from(&object.sha256);
            now.rows = object.rows;
        }
    }
    if ask.level == Level::Full {
        sealed::read_unproven(&location.store, &location.bucket, sealed, &mut now).await?;
    }
    Ok(sealed::compare(sealed, &now, in_place))
}
