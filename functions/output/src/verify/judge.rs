//! The checks.
//!
//! What must stay true: all of this is a pure function of the [`Evidence`]; each check stands for itself, has one
//! published name, and gives a reason that says what was found, at which object, and what to do. What is not known is
//! never taken for good: data that was not decoded fails at least one check.

use std::{collections::BTreeSet, fmt::Write as _};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use landfall::job::{Counts, NamedFile, Source};
use serde::{Deserialize, Serialize};

use super::{
    Expectation,
    report::{Check, CheckVerdict, Finding, Reading, Report, Role, SCHEMA, Verdict},
    settle::{Changes, Settling},
};
use crate::formats::{Document, Format};

/// How far our clock may run ahead of S3's.
pub const CLOCK_SKEW: TimeDelta = TimeDelta::seconds(5);
/// Objects that one reason names.
const NAMED: usize = 5;
/// Characters of a key in a reason.
const KEY_LENGTH: usize = 200;
/// Characters of a reason.
const REASON_LENGTH: usize = 2_000;
/// Largest unknown object that may be the test file.
const TEST_FILE: u64 = 64 * 1024;

/// All that the checks are judged by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The objects of the last listing that were read, in the order of their keys.
    pub readings: Vec<Reading>,
    /// How the listing settled.
    pub settling: Settling,
    /// Objects that were left out for a name that begins with `_` or `.`.
    pub hidden: u64,
}

/// Judges what was found.
#[must_use]
pub fn judge(expectation: &Expectation, evidence: Evidence, checked_at: DateTime<Utc>) -> Report {
    let case = Case {
        asked: expectation,
        data: evidence
            .readings
            .iter()
            .filter(|reading| reading.object.role == Role::Data)
            .collect(),
        extra: evidence
            .readings
            .iter()
            .filter(|reading| reading.object.role == Role::Extra)
            .collect(),
        settling: &evidence.settling,
        hidden: evidence.hidden,
    };
    let judged: [(&str, Judgement); 12] = [
        ("output_present", case.output_present()),
        ("newer_than_start", case.newer_than_start()),
        ("listing_stable", case.listing_stable()),
        ("no_empty_files", case.no_empty_files()),
        ("format", case.format()),
        ("rows_counted", case.rows_counted()),
        ("row_count_matches", case.row_count_matches()),
        ("service_failures", service_failures(expectation.failed_rows)),
        ("named_files", case.named_files()),
        ("encryption", case.encryption()),
        ("checksum", case.checksum()),
        ("extra_objects", case.extra_objects()),
    ];
    let checks = checks(judged);
    let (rows, bytes) = (case.rows(), case.data.iter().map(|reading| reading.object.size).sum());
    Report {
        schema: SCHEMA.to_owned(),
        checked_at,
        verdict: Verdict::of(&checks),
        rows,
        bytes,
        source: None,
        checks,
        objects: evidence.readings.into_iter().map(|reading| reading.object).collect(),
    }
}

/// Judges a job that writes nothing by what the service says of what it read.
#[must_use]
pub fn judge_source(source: &Source, counts: Option<Counts>, checked_at: DateTime<Utc>) -> Report {
    let checks = checks([
        ("source_rows_processed", source_rows_processed(source.rows, counts)),
        ("service_failures", service_failures(counts.map(|counts| counts.failed))),
    ]);
    Report {
        schema: SCHEMA.to_owned(),
        checked_at,
        verdict: Verdict::of(&checks),
        rows: source.rows,
        bytes: source.bytes,
        source: Some(source.clone()),
        checks,
        objects: Vec::new(),
    }
}

fn checks<const N: usize>(judged: [(&str, Judgement); N]) -> Vec<Check> {
    let check = |(name, (verdict, reason)): (&str, Judgement)| Check {
        name: name.to_owned(),
        verdict,
        reason: cut(&reason, REASON_LENGTH),
    };
    judged.into_iter().map(check).collect()
}

fn service_failures(failed: Option<u64>) -> Judgement {
    match failed {
        None => skipped("the service reports no number of failed rows"),
        Some(0) => pass("the service reports no failed row"),
        Some(failed) => fail(format!(
            "the job completed with failures: the service reports {failed} failed rows. The receipt names the first of \
             them, as far as the service does; mend them and run it again"
        )),
    }
}

/// AWS calls the number that of the rows that were handled, and does not say whether those that failed are among them.
fn source_rows_processed(rows: u64, counts: Option<Counts>) -> Judgement {
    let Some(Counts { processed, failed }) = counts else {
        return warn(format!(
            "the service does not say how many of the {rows} rows of the source it handled: look at what it made of \
             them"
        ));
    };
    if processed == rows {
        return pass(format!("all {rows} rows of the source were handled"));
    }
    if processed > rows {
        return warn(format!(
            "the service handled {processed} rows, and the source had {rows} when it was read before the start: make \
             sure that nobody writes there while a job runs"
        ));
    }
    if processed.saturating_add(failed) >= rows {
        return pass(format!(
            "all {rows} rows of the source were handled: {processed} processed, {failed} failed"
        ));
    }
    fail(format!(
        "the service handled {processed} of the {rows} rows of the source, and {failed} failed: {} are unaccounted \
         for. Run the job again",
        rows - processed - failed
    ))
}

type Judgement = (CheckVerdict, String);

fn pass(reason: impl Into<String>) -> Judgement {
    (CheckVerdict::Pass, reason.into())
}

fn warn(reason: impl Into<String>) -> Judgement {
    (CheckVerdict::Warn, reason.into())
}

fn fail(reason: impl Into<String>) -> Judgement {
    (CheckVerdict::Fail, reason.into())
}

fn skipped(reason: impl Into<String>) -> Judgement {
    (CheckVerdict::Skipped, reason.into())
}

struct Case<'a> {
    asked: &'a Expectation,
    data: Vec<&'a Reading>,
    extra: Vec<&'a Reading>,
    settling: &'a Settling,
    hidden: u64,
}

impl Case<'_> {
    /// Rows of what decoded to its end.
    fn rows(&self) -> u64 {
        self.data.iter().filter_map(|reading| reading.object.rows).sum()
    }

    /// Whether every data object that is there decoded to its end.
    fn all_counted(&self) -> bool {
        self.settling.settled
            && self
                .data
                .iter()
                .all(|reading| matches!(reading.finding, Finding::Whole(_)))
    }

    /// The documents, which have pages and no rows.
    fn documents(&self) -> impl Iterator<Item = Document> {
        self.data.iter().filter_map(|reading| match &reading.finding {
            Finding::Whole(decoded) => decoded.document,
            _ => None,
        })
    }

    fn is_empty_export(&self) -> bool {
        let no_rows = |reading: &&Reading| match &reading.finding {
            Finding::Whole(decoded) => decoded.rows == 0 && decoded.document.is_none(),
            // Only text may be an export without a single byte.
            Finding::Empty => matches!(reading.object.format, Some(Format::Csv | Format::Jsonl)),
            _ => false,
        };
        self.data.iter().all(no_rows)
    }

    fn output_present(&self) -> Judgement {
        let prefix = &self.asked.prefix;
        let with_rows = self.data.iter().filter(|reading| reading.object.rows > Some(0)).count();
        // A document without a page is a defect.
        let documents = self.documents().count();
        if with_rows + documents > 0 {
            let what = match (with_rows, documents) {
                (_, 0) => "rows",
                (0, _) => "pages",
                _ => "rows or pages",
            };
            return pass(format!(
                "{} of {} hold {what}",
                with_rows + documents,
                objects(self.data.len(), "data object")
            ));
        }
        if self.asked.allow_empty && self.is_empty_export() {
            return pass(format!(
                "{} without a row; the request allows an empty export",
                objects(self.data.len(), "data object")
            ));
        }
        if self.data.is_empty() {
            let others = if self.extra.is_empty() {
                "nothing lies there".to_owned()
            } else {
                format!(
                    "only other objects lie there, which prove nothing: {}",
                    named(self.extra.iter().map(|reading| extra(reading)))
                )
            };
            let what = match self.asked.format {
                Some(format) => format!("{format} object"),
                None => "file that the service names".to_owned(),
            };
            return fail(format!(
                "no {what} lies beneath {prefix}: {others}. Look at the job's status message, and at what the \
                 export role may write; if the export may have no rows, allow that in the event"
            ));
        }
        if self
            .data
            .iter()
            .any(|reading| matches!(reading.finding, Finding::Defective(_) | Finding::Foreign(_)))
        {
            return fail(format!(
                "{} lie beneath {prefix}, and of none a row is proved; see the check format",
                objects(self.data.len(), "data object")
            ));
        }
        fail(format!(
            "{} lie beneath {prefix}, and hold no row. If the export may have no rows, allow that in the event",
            objects(self.data.len(), "data object")
        ))
    }

    fn newer_than_start(&self) -> Judgement {
        if self.data.is_empty() {
            return skipped("there is no data object");
        }
        let oldest_allowed = self.asked.started_at.trunc_subsecs(0) - CLOCK_SKEW;
        let stale: Vec<_> = self
            .data
            .iter()
            .filter(|reading| reading.object.last_modified < oldest_allowed)
            .collect();
        if stale.is_empty() {
            return pass(format!(
                "all were written after the start at {}",
                time(self.asked.started_at)
            ));
        }
        fail(format!(
            "{} of {} are older than the job, which was started at {}: {}. They are of another run: let every run \
             write beneath a prefix of its own",
            stale.len(),
            objects(self.data.len(), "data object"),
            time(self.asked.started_at),
            named(
                stale
                    .iter()
                    .map(|reading| format!("{} of {}", key(reading), time(reading.object.last_modified)))
            )
        ))
    }

    fn listing_stable(&self) -> Judgement {
        let settling = self.settling;
        let seconds = self.asked.settle.as_secs_f64();
        if !settling.disturbed.is_empty() {
            return fail(format!(
                "{} replaced or removed while being read: {}. Find out who writes beneath {} besides the job, and run \
                 it again",
                if settling.disturbed.len() == 1 {
                    "a data object was"
                } else {
                    "data objects were"
                },
                named(settling.disturbed.iter().map(|key| shown(key))),
                self.asked.prefix
            ));
        }
        if !settling.settled {
            let last = if settling.last.is_empty() {
                "an object could not be read as it was listed".to_owned()
            } else {
                changed(&settling.last)
            };
            return fail(format!(
                "{} listings, each at least {seconds} s after the one before, did not come to a rest; at last: {last}. \
                 Something still writes beneath {}: find out what, and verify again",
                settling.listings, self.asked.prefix
            ));
        }
        let before = if settling.earlier.is_empty() {
            String::new()
        } else {
            format!("; before that: {}", changed(&settling.earlier))
        };
        pass(format!(
            "the last two of {} listings, at least {seconds} s apart, are equal{before}",
            settling.listings
        ))
    }

    fn no_empty_files(&self) -> Judgement {
        let empty: Vec<_> = self.data.iter().filter(|reading| reading.object.size == 0).collect();
        if self.data.is_empty() {
            return skipped("there is no data object");
        }
        if empty.is_empty() {
            return pass(format!(
                "{} of at least one byte",
                objects(self.data.len(), "data object")
            ));
        }
        let found = format!(
            "{} of {} of zero bytes: {}",
            empty.len(),
            objects(self.data.len(), "data object"),
            named(empty.iter().map(|reading| key(reading)))
        );
        if self.asked.allow_empty && self.is_empty_export() {
            return warn(format!(
                "{found}; taken for an export without rows, which the request allows"
            ));
        }
        fail(format!("{found}. The export did not write what it began; run it again"))
    }

    fn format(&self) -> Judgement {
        let mut wrong = Vec::new();
        let mut uncounted = Vec::new();
        let mut formats = BTreeSet::new();
        let mut read = 0_usize;
        for reading in &self.data {
            formats.extend(reading.object.format.map(Format::name));
            match &reading.finding {
                Finding::Whole(decoded) => {
                    read += 1;
                    if decoded.document == Some(Document { pages: None }) {
                        uncounted.push(key(reading));
                    }
                }
                Finding::Defective(defect) => wrong.push(format!("{}: {defect}", key(reading))),
                Finding::Foreign(what) => wrong.push(format!("{} {what}", key(reading))),
                Finding::Empty | Finding::Extra(_) => {}
            }
        }
        let asked = match self.asked.format {
            Some(format) => format.name().to_owned(),
            None => formats.into_iter().collect::<Vec<_>>().join(", "),
        };
        if !wrong.is_empty() {
            return fail(format!(
                "{} of {} cannot be decoded as {}: {}. Do not use these files; run the export again",
                wrong.len(),
                objects(self.data.len(), "data object"),
                if asked.is_empty() {
                    "what they are named as"
                } else {
                    &asked
                },
                named(wrong.iter().cloned())
            ));
        }
        if read == 0 {
            return skipped("there is no data object to decode");
        }
        if !uncounted.is_empty() {
            return warn(format!(
                "{} decoded as {asked}, of which by their structure only, because they are large or encrypted: {}",
                objects(read, "data object"),
                named(uncounted.into_iter())
            ));
        }
        pass(format!(
            "{} decoded to the end as {asked}",
            objects(read, "data object")
        ))
    }

    fn rows_counted(&self) -> Judgement {
        let counted = self.data.iter().filter(|reading| reading.object.rows.is_some()).count();
        let rows = self.rows();
        if self.data.is_empty() {
            return skipped("there is no data object");
        }
        if !self.all_counted() {
            return skipped(format!(
                "{rows} rows in {counted} of {}; the others, or what changed, could not be counted: see the failed \
                 checks",
                objects(self.data.len(), "data object")
            ));
        }
        let documents = self.documents().count();
        if counted == 0 {
            return skipped(format!("{} have pages and no rows", objects(documents, "document")));
        }
        let others = match documents {
            0 => String::new(),
            _ => format!("; {} without rows", objects(documents, "document")),
        };
        pass(format!(
            "{rows} rows in {}, each decoded{others}",
            objects(counted, "data object")
        ))
    }

    fn row_count_matches(&self) -> Judgement {
        let strict = self.asked.strict_row_count;
        let Some(reported) = self.asked.rows else {
            let reason = "the service reports no number of rows";
            return if strict {
                warn(format!("{reason}, which the event wants the decoded rows held against"))
            } else {
                skipped(reason)
            };
        };
        let rows = self.rows();
        if !self.all_counted() {
            return fail(format!(
                "the service reports {reported} rows, and not all data could be counted: see the other failed checks"
            ));
        }
        if rows == reported {
            return pass(format!("{rows} rows, as the service reports"));
        }
        let found = format!(
            "{rows} rows were decoded and the service reports {reported}: {} are {}",
            rows.abs_diff(reported),
            if rows < reported { "missing" } else { "too many" }
        );
        if strict {
            return fail(format!("{found}. Do not use these files; run the export again"));
        }
        warn(format!(
            "{found}. AWS does not say that the two must be equal; to have this fail, set \
             Landfall.Verification.RowCount in the event to \"fail\""
        ))
    }

    fn named_files(&self) -> Judgement {
        let Some(files) = self.asked.files.as_deref().filter(|files| !files.is_empty()) else {
            return match self.asked.format {
                Some(_) => skipped("the service names no files"),
                None => fail("the service names no file, and nothing else says which objects are the output"),
            };
        };
        let wrong: Vec<String> = files.iter().filter_map(|file| self.wrong_with(file)).collect();
        if !wrong.is_empty() {
            return fail(format!(
                "{} of the {} that the service names cannot be had: {}. Run the export again",
                wrong.len(),
                objects(files.len(), "file"),
                named(wrong.into_iter())
            ));
        }
        let all = format!("all {} that the service names are there", objects(files.len(), "file"));
        let uris: BTreeSet<_> = files.iter().filter_map(|file| file.uri.as_ref()).collect();
        if uris.len() < files.len() {
            return warn(format!(
                "{all}, and some of them are one and the same object: {} in all. Look whether each of them holds what \
                 was asked for",
                objects(uris.len(), "object")
            ));
        }
        let unnamed: Vec<_> = self
            .data
            .iter()
            .filter(|reading| !uris.iter().any(|uri| uri.key == reading.object.key))
            .collect();
        if !unnamed.is_empty() {
            return warn(format!(
                "{all}, and further data: {}",
                named(unnamed.iter().map(|reading| key(reading)))
            ));
        }
        pass(all)
    }

    /// Why a file that the service names cannot be had.
    fn wrong_with(&self, file: &NamedFile) -> Option<String> {
        let prefix = &self.asked.prefix;
        let label = shown(&file.label);
        if let Some(error) = &file.error {
            return Some(format!("{label} failed with {}", cut(error, KEY_LENGTH)));
        }
        let Some(uri) = &file.uri else {
            return Some(format!("{label} has neither a place nor an error"));
        };
        let place = shown(&uri.to_string());
        if !uri.is_within(prefix) {
            return Some(format!(
                "{label} lies at {place}, outside of this run's prefix {prefix}"
            ));
        }
        let is_there = self.data.iter().any(|reading| reading.object.key == uri.key);
        (!is_there).then(|| format!("{label} is to lie at {place}, and nothing does"))
    }

    fn encryption(&self) -> Judgement {
        let Some(asked) = &self.asked.kms_key else {
            return skipped("the request names no KMS key; S3 encrypts by the bucket's default, see the objects");
        };
        if self.data.is_empty() {
            return skipped("there is no data object");
        }
        let mut wrong = Vec::new();
        let mut unknown = 0_usize;
        for reading in &self.data {
            let object = &reading.object;
            match same_key(asked, object.encryption.as_deref(), object.kms_key.as_deref()) {
                SameKey::Yes => {}
                SameKey::Unknown => unknown += 1,
                SameKey::No(why) => wrong.push(format!("{} {why}", key(reading))),
            }
        }
        if !wrong.is_empty() {
            return fail(format!(
                "{} of {} not encrypted as asked: {}. Look at the export role's rights on the key and at the bucket's \
                 default encryption",
                wrong.len(),
                objects(self.data.len(), "data object"),
                named(wrong.iter().cloned())
            ));
        }
        if unknown > 0 {
            return warn(format!(
                "{} encrypted with a KMS key, which cannot be compared with the alias that was asked for; name the key \
                 by its ARN",
                objects(unknown, "data object")
            ));
        }
        pass(format!(
            "{} encrypted with the key asked for",
            objects(self.data.len(), "data object")
        ))
    }

    fn checksum(&self) -> Judgement {
        let mut compared = 0_usize;
        let mut wrong = Vec::new();
        for reading in &self.data {
            let (Some(ours), Some(stored)) = (&reading.object.sha256, &reading.stored_sha256) else {
                continue;
            };
            compared += 1;
            let stored = aws_smithy_types::base64::decode(stored).ok();
            if stored.map(hex::encode).as_ref() != Some(ours) {
                wrong.push(key(reading));
            }
        }
        if !wrong.is_empty() {
            return fail(format!(
                "{} read with another SHA-256 than S3 holds: {}. Verify again; if it stays, run the export again",
                objects(wrong.len(), "data object"),
                named(wrong.into_iter())
            ));
        }
        if compared == 0 {
            return skipped("S3 holds no SHA-256 of a whole data object; ours are with the objects");
        }
        pass(format!(
            "the SHA-256 that S3 holds of {compared} of {} is that of the bytes read",
            objects(self.data.len(), "data object")
        ))
    }

    fn extra_objects(&self) -> Judgement {
        let hidden = match self.hidden {
            0 => String::new(),
            hidden => format!("; {hidden} more begin with _ or . and are left out"),
        };
        if self.extra.is_empty() {
            return pass(format!("nothing but data lies there{hidden}"));
        }
        let found = format!(
            "{} not taken for data: {}{hidden}",
            objects(self.extra.len(), "object"),
            named(self.extra.iter().map(|reading| extra(reading)))
        );
        // Zero bytes hold nothing that could be missed.
        let filled: Vec<_> = self.extra.iter().filter(|reading| reading.object.size > 0).collect();
        // Whoever names every file writes no others.
        let may_be_test_file = |reading: &Reading| {
            self.asked.format.is_some() && reading.object.size <= TEST_FILE && reading.finding == Finding::Extra(None)
        };
        if filled.len() <= 1 && filled.iter().all(|reading| may_be_test_file(reading)) {
            return pass(format!(
                "{found}; a service may write a test or information file beside the data"
            ));
        }
        warn(format!("{found}. Make sure that none of them belongs to the export"))
    }
}

enum SameKey {
    Yes,
    Unknown,
    No(&'static str),
}

/// Holds the key that was asked for against what S3 says of an object.
fn same_key(asked: &str, encryption: Option<&str>, found: Option<&str>) -> SameKey {
    if !encryption.is_some_and(|encryption| encryption.starts_with("aws:kms")) {
        return SameKey::No("is not encrypted with a KMS key");
    }
    let Some(found) = found else {
        return SameKey::No("is encrypted with a KMS key that S3 does not name");
    };
    match (KeyName::of(asked), KeyName::of(found)) {
        (KeyName::Alias, _) | (_, KeyName::Alias) if asked == found => SameKey::Yes,
        (KeyName::Alias, _) | (_, KeyName::Alias) => SameKey::Unknown,
        (KeyName::Arn, KeyName::Arn) if asked == found => SameKey::Yes,
        (KeyName::Arn, KeyName::Arn) => SameKey::No("is encrypted with another KMS key"),
        // At least one of them is without account and region.
        (KeyName::Arn | KeyName::Id, KeyName::Arn | KeyName::Id) if key_id(asked) == key_id(found) => SameKey::Yes,
        _ => SameKey::No("is encrypted with another KMS key"),
    }
}

enum KeyName {
    Arn,
    Id,
    Alias,
}

impl KeyName {
    fn of(text: &str) -> Self {
        if text.starts_with("alias/") || text.contains(":alias/") {
            Self::Alias
        } else if text.starts_with("arn:") {
            Self::Arn
        } else {
            Self::Id
        }
    }
}

fn key_id(text: &str) -> &str {
    text.rsplit_once("key/").map_or(text, |(_, id)| id)
}

fn objects(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn key(reading: &Reading) -> String {
    shown(&reading.object.key)
}

fn extra(reading: &Reading) -> String {
    let size = reading.object.size;
    match &reading.finding {
        Finding::Extra(Some(content)) => {
            format!("{} ({size} bytes, looks like {content})", key(reading))
        }
        _ => format!("{} ({size} bytes)", key(reading)),
    }
}

/// A key as it can be printed.
fn shown(key: &str) -> String {
    cut(&key.escape_debug().to_string(), KEY_LENGTH)
}

fn cut(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(length - 1).collect();
    cut.push('…');
    cut
}

/// The first few of a list.
fn named(mut items: impl ExactSizeIterator<Item = String>) -> String {
    let more = items.len().saturating_sub(NAMED);
    let mut text = items.by_ref().take(NAMED).collect::<Vec<_>>().join(", ");
    if more > 0 {
        let _ = write!(text, " and {more} more");
    }
    text
}

fn changed(changes: &Changes) -> String {
    [
        ("added", &changes.added),
        ("replaced", &changes.replaced),
        ("removed", &changes.removed),
    ]
    .into_iter()
    .filter(|(_, keys)| !keys.is_empty())
    .map(|(what, keys)| format!("{what} {}", named(keys.iter().map(|key| shown(key)))))
    .collect::<Vec<_>>()
    .join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        formats::{Content, Decoded, Defect},
        verify::report::VerifiedObject,
    };
    use std::time::Duration;

    fn asked() -> Expectation {
        Expectation {
            prefix: "s3://exports/run=1/".parse().unwrap(),
            format: Some(Format::Csv),
            started_at: DateTime::UNIX_EPOCH,
            allow_empty: false,
            kms_key: None,
            settle: Duration::from_secs(5),
            rows: None,
            strict_row_count: false,
            failed_rows: None,
            files: None,
        }
    }

    fn reading(name: &str, size: u64, finding: Finding) -> Reading {
        let data = !matches!(finding, Finding::Extra(_));
        let rows = match &finding {
            Finding::Whole(decoded) => Some(decoded.rows),
            _ => None,
        };
        Reading {
            object: VerifiedObject {
                key: format!("run=1/{name}"),
                role: if data { Role::Data } else { Role::Extra },
                format: data.then_some(Format::Csv),
                size,
                etag: "\"e\"".to_owned(),
                version_id: None,
                last_modified: DateTime::UNIX_EPOCH,
                sha256: rows.map(|_| "00".repeat(32)),
                rows,
                pages: None,
                encryption: None,
                kms_key: None,
            },
            finding,
            stored_sha256: None,
        }
    }

    fn whole(rows: u64) -> Finding {
        Finding::Whole(Decoded {
            rows,
            ..Decoded::default()
        })
    }

    fn judged(asked: &Expectation, readings: Vec<Reading>, settling: Settling) -> Report {
        let evidence = Evidence {
            readings,
            settling,
            hidden: 0,
        };
        judge(asked, evidence, DateTime::UNIX_EPOCH)
    }

    fn settled() -> Settling {
        Settling {
            listings: 2,
            settled: true,
            ..Settling::default()
        }
    }

    fn verdict(report: &Report, name: &str) -> CheckVerdict {
        report.check(name).unwrap().verdict
    }

    #[test]
    fn whatever_is_not_whole_fails() {
        let bad = [
            reading("b.csv", 9, Finding::Defective(Defect::new("is cut off"))),
            reading("b.csv", 9, Finding::Foreign("holds gzip".to_owned())),
            reading("b.csv", 0, Finding::Empty),
        ];
        for allow_empty in [false, true] {
            for bad in &bad {
                let asked = Expectation { allow_empty, ..asked() };
                let report = judged(&asked, vec![reading("a.csv", 9, whole(1)), bad.clone()], settled());
                assert_eq!(report.verdict, Verdict::Failed, "{bad:?}");
                assert_eq!(verdict(&report, "rows_counted"), CheckVerdict::Skipped);
            }
            let asked = Expectation { allow_empty, ..asked() };
            let report = judged(&asked, vec![reading("a.csv", 9, whole(1))], Settling::default());
            assert_eq!(verdict(&report, "listing_stable"), CheckVerdict::Fail);
            assert_eq!(verdict(&report, "rows_counted"), CheckVerdict::Skipped);
        }
    }

    #[test]
    fn a_reported_number_is_never_matched_by_a_part() {
        let asked = Expectation {
            rows: Some(1),
            ..asked()
        };
        let report = judged(
            &asked,
            vec![reading("a.csv", 9, whole(1)), reading("b.csv", 0, Finding::Empty)],
            settled(),
        );
        assert_eq!(verdict(&report, "row_count_matches"), CheckVerdict::Fail);
        let report = judged(&asked, vec![reading("a.csv", 9, whole(1))], settled());
        assert_eq!(verdict(&report, "row_count_matches"), CheckVerdict::Pass);
        assert_eq!((report.rows, report.bytes), (1, 9));
    }

    #[test]
    fn a_test_file_is_expected_and_more_is_not() {
        let of = |extra: Vec<Reading>| {
            let mut readings = vec![reading("a.csv", 9, whole(1))];
            readings.extend(extra);
            verdict(&judged(&asked(), readings, settled()), "extra_objects")
        };
        let unknown = |name, size| reading(name, size, Finding::Extra(None));
        assert_eq!(of(vec![]), CheckVerdict::Pass);
        assert_eq!(
            of(vec![unknown("x", TEST_FILE), unknown("y/", 0), unknown("z", 0)]),
            CheckVerdict::Pass
        );
        assert_eq!(of(vec![unknown("x", TEST_FILE + 1)]), CheckVerdict::Warn);
        assert_eq!(of(vec![unknown("x", 1), unknown("y", 1)]), CheckVerdict::Warn);
        assert_eq!(
            of(vec![reading("x", 1, Finding::Extra(Some(Content::Gzip)))]),
            CheckVerdict::Warn
        );
    }

    #[test]
    fn every_check_has_its_own_name() {
        let report = judged(&asked(), Vec::new(), settled());
        let mut names: Vec<_> = report.checks.iter().map(|check| check.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 12);
    }

    #[test]
    fn texts_are_cut_and_printable() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüß", 3), "äö…");
        assert_eq!(shown("a\nb"), "a\\nb");
        let items = |count: usize| named((0..count).map(|n| n.to_string()).collect::<Vec<_>>().into_iter());
        assert_eq!(items(2), "0, 1");
        assert_eq!(items(7), "0, 1, 2, 3, 4 and 2 more");
    }
}
