//! Collects what the checks need, reading by reading, and judges.
//!
//! What must stay true: readings come in key order. What is kept of them does not grow with their number, except for
//! what [`no_duplicates`](super::no_duplicates) keeps, which is limited.

use chrono::{DateTime, Utc};

use super::{
    case::Case, checksum::Checksums, columns_agree::Agreement, counts::Counts, data_age::Oldest, encryption::Keys,
    expected_rows, extra_objects::Extras, format::Formats, judgement::published, listing_stable, named_files::Named,
    newer_than_start::Stale, no_duplicates::Duplicates, no_empty_files::EmptyFiles, output_present,
    required_columns::Columns, row_change, row_count_matches, rows_counted, segment_estimate, service_echo,
    service_failures, text_complete::Texts,
};
use crate::verify::{
    Expectation,
    report::{Check, Reading, Role, Verdict},
    settle::Stability,
};

/// The result of all checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The worst verdict of the checks.
    pub verdict: Verdict,
    /// All checks, in a fixed order.
    pub checks: Vec<Check>,
    /// Rows of all data objects that decoded to their end. At the level `structure`, rows by the objects' own counts,
    /// if all objects have one.
    pub rows: u64,
    /// Bytes of all data objects.
    pub bytes: u64,
    /// Number of data objects.
    pub data_objects: u64,
}

/// What is known in addition to the readings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Circumstances<'a> {
    /// Whether and how the listing stopped changing.
    pub settling: &'a Stability,
    /// How many objects were left out because their name begins with `_` or `.`.
    pub hidden: u64,
    /// The time of the judgement.
    pub now: DateTime<Utc>,
}

/// What the checks need of the readings: counts, and the first examples of what is wrong.
#[derive(Clone, Debug)]
pub struct Tally {
    asked: Expectation,
    counts: Counts,
    stale: Stale,
    empty: EmptyFiles,
    formats: Formats,
    texts: Texts,
    agreement: Agreement,
    duplicates: Duplicates,
    named: Named,
    keys: Keys,
    checksums: Checksums,
    extras: Extras,
    columns: Columns,
    oldest: Oldest,
}

impl Tally {
    #[must_use]
    pub fn new(expectation: &Expectation) -> Self {
        Self {
            counts: Counts::default(),
            stale: Stale::default(),
            empty: EmptyFiles::default(),
            formats: Formats::default(),
            texts: Texts::default(),
            agreement: Agreement::default(),
            duplicates: Duplicates::default(),
            named: Named::new(expectation),
            keys: Keys::default(),
            checksums: Checksums::default(),
            extras: Extras::default(),
            columns: Columns::new(expectation.expect.columns.as_ref()),
            oldest: Oldest::default(),
            asked: expectation.clone(),
        }
    }

    /// Adds a reading. They must come in key order.
    pub fn add(&mut self, reading: &Reading) {
        if reading.object.role == Role::Extra {
            self.extras.add(&self.asked, reading);
            return;
        }
        self.counts.add(self.asked.level, reading);
        self.stale.add(&self.asked, reading);
        self.empty.add(reading);
        self.formats.add(&self.asked, reading);
        self.texts.add(reading);
        self.agreement.add(reading);
        self.duplicates.add(reading);
        self.named.add(reading);
        self.keys.add(&self.asked, reading);
        self.checksums.add(reading);
        self.columns.add(reading);
        self.oldest.add(reading);
    }

    /// Judges. The checks are listed in the order in which they are published.
    #[must_use]
    pub fn judge(mut self, circumstances: &Circumstances<'_>) -> Judged {
        let case = Case {
            asked: &self.asked,
            counts: &self.counts,
            extras: &self.extras,
            settling: circumstances.settling,
        };
        if case.is_untold() {
            self.columns.add_untold(self.extras.untold);
        }
        let (asked, expect) = (&self.asked, &self.asked.expect);
        let (words, total, untold) = (case.words(), case.total(), case.untold());
        let checks = published([
            ("output_present", output_present::judge(&case)),
            ("newer_than_start", self.stale.judge(&case)),
            ("listing_stable", listing_stable::judge(asked, circumstances.settling)),
            ("no_empty_files", self.empty.judge(&case)),
            ("format", self.formats.judge(&case)),
            ("text_complete", self.texts.judge(&case)),
            (
                "columns_agree",
                // Files that the service names were each asked for separately.
                self.agreement.judge(asked.format.is_some(), asked.level, words),
            ),
            ("no_duplicates", self.duplicates.judge(case.not_read())),
            ("rows_counted", rows_counted::judge(&case)),
            ("row_count_matches", row_count_matches::judge(&case)),
            ("service_failures", service_failures::judge(asked.failed_rows, words)),
            ("service_echo", service_echo::judge(asked.echo.as_ref())),
            ("named_files", self.named.judge(asked)),
            ("encryption", self.keys.judge(&case)),
            ("checksum", self.checksums.judge(self.counts.objects, case.not_read())),
            (
                "extra_objects",
                self.extras.judge(circumstances.hidden, untold.as_deref()),
            ),
            (
                "required_columns",
                self.columns.judge(expect.columns.as_ref(), asked.level, words),
            ),
            ("expected_rows", expected_rows::judge(expect, total.clone(), words)),
            (
                "segment_estimate",
                segment_estimate::judge(expect, total.clone(), asked.estimate.as_ref(), words),
            ),
            (
                "row_change",
                row_change::judge(expect, total.clone(), asked.previous.as_ref(), words),
            ),
            (
                "data_age",
                self.oldest.judge(expect, untold.as_deref(), circumstances.now, words),
            ),
        ]);
        Judged {
            verdict: Verdict::of(&checks),
            checks,
            rows: match total {
                Ok(total) if !total.decoded => total.rows,
                _ => self.counts.rows,
            },
            bytes: self.counts.bytes,
            data_objects: self.counts.objects,
        }
    }
}
