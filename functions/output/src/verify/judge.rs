//! The checks.
//!
//! What must stay true: all of this is a pure function of the [`Evidence`]; each check stands for itself, has one
//! published name, and gives a reason that says what was found, at which object, and what to do. What is not known is
//! never taken for good: data that was not decoded fails at least one check.

use std::fmt::Write as _;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use landfall::s3_uri::S3Uri;
use serde::{Deserialize, Serialize};

use super::{
    Expectation,
    report::{Check, CheckVerdict, Finding, Reading, Report, Role, SCHEMA, Verdict},
    settle::{Changes, Settling},
};
use crate::formats::Format;

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
    let judged: [(&str, Judgement); 11] = [
        ("output_present", case.output_present()),
        ("newer_than_start", case.newer_than_start()),
        ("listing_stable", case.listing_stable()),
        ("no_empty_files", case.no_empty_files()),
        ("format", case.format()),
        ("rows_counted", case.rows_counted()),
        ("row_count_matches", case.row_count_matches()),
        ("named_files", case.named_files()),
        ("encryption", case.encryption()),
        ("checksum", case.checksum()),
        ("extra_objects", case.extra_objects()),
    ];
    let checks: Vec<Check> = judged
        .into_iter()
        .map(|(name, (verdict, reason))| Check {
            name: name.to_owned(),
            verdict,
            reason: cut(&reason, REASON_LENGTH),
        })
        .collect();
    let (rows, bytes) = (case.rows(), case.data.iter().map(|reading| reading.object.size).sum());
    Report {
        schema: SCHEMA.to_owned(),
        checked_at,
        verdict: Verdict::of(&checks),
        rows,
        bytes,
        checks,
        objects: evidence.readings.into_iter().map(|reading| reading.object).collect(),
    }
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
        self.settling.settled && self.data.iter().all(|reading| reading.object.rows.is_some())
    }

    fn is_empty_export(&self) -> bool {
        let no_rows = |reading: &&Reading| match &reading.finding {
            Finding::Whole(decoded) => decoded.rows == 0,
            // Only text may be an export without a single byte.
            Finding::Empty => matches!(self.asked.format, Format::Csv | Format::Jsonl),
            _ => false,
        };
        self.data.iter().all(no_rows)
    }

    fn output_present(&self) -> Judgement {
        let prefix = &self.asked.prefix;
        let with_rows = self.data.iter().filter(|reading| reading.object.rows > Some(0)).count();
        if with_rows > 0 {
            return pass(format!(
                "{with_rows} of {} hold rows",
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
            return fail(format!(
                "no {} object lies beneath {prefix}: {others}. Look at the job's status message, and at what the \
                 export role may write; if the export may have no rows, allow that in the event",
                self.asked.format
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
        let asked = self.asked.format;
        let mut wrong = Vec::new();
        let mut read = 0_usize;
        for reading in &self.data {
            match &reading.finding {
                Finding::Whole(_) => read += 1,
                Finding::Defective(defect) => wrong.push(format!("{}: {defect}", key(reading))),
                Finding::Foreign(what) => wrong.push(format!("{} {what}", key(reading))),
                Finding::Empty | Finding::Extra(_) => {}
            }
        }
        if !wrong.is_empty() {
            return fail(format!(
                "{} of {} cannot be decoded as {asked}: {}. Do not use these files; run the export again",
                wrong.len(),
                objects(self.data.len(), "data object"),
                named(wrong.iter().cloned())
            ));
        }
        if read == 0 {
            return skipped("there is no data object to decode");
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
        pass(format!(
            "{rows} rows in {}, each decoded",
            objects(counted, "data object")
        ))
    }

    fn row_count_matches(&self) -> Judgement {
        let Some(reported) = self.asked.rows else {
            return skipped("the service reports no number of rows");
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
        fail(format!(
            "{rows} rows were decoded and the service reports {reported}: {} are {}. Do not use these files; run the \
             export again",
            rows.abs_diff(reported),
            if rows < reported { "missing" } else { "too many" }
        ))
    }

    fn named_files(&self) -> Judgement {
        let Some(files) = &self.asked.files else {
            return skipped("the service names no files");
        };
        let missing: Vec<&S3Uri> = files
            .iter()
            .filter(|file| {
                file.bucket != self.asked.prefix.bucket
                    || !self.data.iter().any(|reading| reading.object.key == file.key)
            })
            .collect();
        if !missing.is_empty() {
            return fail(format!(
                "{} of the {} that the service names are not beneath {}: {}. Wait and verify again, or run the export \
                 again",
                missing.len(),
                objects(files.len(), "file"),
                self.asked.prefix,
                named(missing.iter().map(|file| shown(&file.to_string())))
            ));
        }
        let unnamed: Vec<_> = self
            .data
            .iter()
            .filter(|reading| !files.iter().any(|file| file.key == reading.object.key))
            .collect();
        if !unnamed.is_empty() {
            return warn(format!(
                "all {} that the service names are there, and further data: {}",
                objects(files.len(), "file"),
                named(unnamed.iter().map(|reading| key(reading)))
            ));
        }
        pass(format!(
            "all {} that the service names are there",
            objects(files.len(), "file")
        ))
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
        let may_be_test_file =
            |reading: &Reading| reading.object.size <= TEST_FILE && reading.finding == Finding::Extra(None);
        if filled.len() <= 1 && filled.iter().all(|reading| may_be_test_file(reading)) {
            return pass(format!("{found}; the service is known to write a test file"));
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
            format: Format::Csv,
            started_at: DateTime::UNIX_EPOCH,
            allow_empty: false,
            kms_key: None,
            settle: Duration::from_secs(5),
            rows: None,
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
                size,
                etag: "\"e\"".to_owned(),
                version_id: None,
                last_modified: DateTime::UNIX_EPOCH,
                sha256: rows.map(|_| "00".repeat(32)),
                rows,
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
        assert_eq!(names.len(), 11);
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
