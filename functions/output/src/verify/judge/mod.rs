//! The checks.
//!
//! What must stay true: all of this is a pure function of the [`Reading`]s, in the order of their keys, and of the
//! [`Circumstances`]; what is kept does not grow with the number of readings, which may be millions, but for what
//! [`duplicates`] keeps up to its bound; each check stands for itself, has one published name, and gives a reason that says what was found, at which object, and what to do.
//! What is not known is never taken for good: at the level `full`, data that was not decoded fails at least one check;
//! below it, what was not looked at is skipped.

mod agreement;
mod asker;
mod checksum;
mod duplicates;
mod encryption;
mod expected;
mod extras;
mod listing;
mod named;
mod presence;
mod rows;
mod source;
#[cfg(test)]
mod tests;
mod texts;
mod words;

use std::collections::BTreeSet;

use chrono::{DateTime, SubsecRound, Utc};
use landfall::{job::Level, store::CLOCK_SKEW};

use self::{
    agreement::Agreement,
    asker::Words,
    checksum::Checksums,
    duplicates::Duplicates,
    encryption::Keys,
    expected::{Columns, Total},
    extras::Extras,
    listing::listing_stable,
    named::Named,
    source::service_failures,
    texts::Texts,
    words::{Examples, REASON_LENGTH, cut, key, objects, printable, time},
};
pub use self::{asker::Asker, source::judge_source};
use super::{
    Expectation, classify,
    report::{Check, CheckVerdict, Finding, Reading, Role, Verdict},
    settle::Settling,
};
use landfall_formats::{Document, Format, Remedy};

/// What helps where what was written broke on its way.
const RERUN: &str = "run the export again";

/// What the checks of readings came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The worst of the checks.
    pub verdict: Verdict,
    /// Every check, in a fixed order.
    pub checks: Vec<Check>,
    /// Rows of all data objects that decoded to their end; at the level `structure` as the objects themselves count
    /// them, if all do.
    pub rows: u64,
    /// Bytes of all data objects.
    pub bytes: u64,
    /// Data objects.
    pub data_objects: u64,
}

/// What is known beside the readings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Circumstances<'a> {
    /// How the listing settled.
    pub settling: &'a Settling,
    /// Objects that were left out for a name that begins with `_` or `.`.
    pub hidden: u64,
    /// When it is judged.
    pub now: DateTime<Utc>,
}

/// Gathers what the checks need to know, reading by reading: counts, and the first few examples of what is wrong.
#[derive(Clone, Debug)]
pub struct Tally {
    asked: Expectation,
    /// Data objects, and bytes in them.
    data: u64,
    bytes: u64,
    /// Data objects by how much of them is known.
    whole: u64,
    framed: u64,
    listed: u64,
    /// Data objects that are cut off, empty, of another format, or not looked at as the level asks.
    broken: u64,
    /// Those of them that were looked at and are something else than they should be.
    unproved: bool,
    /// Rows that were decoded, the objects that they are of, and those of these with at least one.
    rows: u64,
    counted: u64,
    with_rows: u64,
    /// Documents that were read to their end, and those of which the ends were looked at.
    documents: u64,
    framed_documents: u64,
    /// Rows that objects count themselves, and those objects.
    framed_rows: u64,
    framed_counted: u64,
    /// Objects that were not decoded and are not known to be without a row.
    filled: u64,
    /// Whether nothing of the data so far has a row.
    without_rows: bool,
    formats: BTreeSet<&'static str>,
    wrong: Examples,
    /// What can be done about those that are wrong.
    advice: BTreeSet<&'static str>,
    uncounted: Examples,
    /// Empty lines of which nobody says whether they are rows.
    empty_lines: u64,
    /// Data objects that their decoder says something of, and what.
    remarked: Examples,
    stale: Examples,
    empty: Examples,
    named: Named,
    keys: Keys,
    checksums: Checksums,
    agreement: Agreement,
    duplicates: Duplicates,
    extras: Extras,
    columns: Columns,
    texts: Texts,
    /// When the oldest data object was written, and its key.
    oldest: Option<(DateTime<Utc>, String)>,
}

impl Tally {
    /// Nothing so far.
    #[must_use]
    pub fn new(expectation: &Expectation) -> Self {
        Self {
            data: 0,
            bytes: 0,
            whole: 0,
            framed: 0,
            listed: 0,
            broken: 0,
            unproved: false,
            rows: 0,
            counted: 0,
            with_rows: 0,
            documents: 0,
            framed_documents: 0,
            framed_rows: 0,
            framed_counted: 0,
            filled: 0,
            without_rows: true,
            formats: BTreeSet::new(),
            wrong: Examples::default(),
            advice: BTreeSet::new(),
            uncounted: Examples::default(),
            empty_lines: 0,
            remarked: Examples::default(),
            stale: Examples::default(),
            empty: Examples::default(),
            named: Named::new(expectation),
            keys: Keys::default(),
            checksums: Checksums::default(),
            agreement: Agreement::default(),
            duplicates: Duplicates::default(),
            extras: Extras::default(),
            columns: Columns::new(expectation.expect.columns.as_ref()),
            texts: Texts::default(),
            oldest: None,
            asked: expectation.clone(),
        }
    }

    /// Takes up a reading; they come in the order of their keys.
    pub fn add(&mut self, reading: &Reading) {
        match reading.object.role {
            Role::Data => self.add_data(reading),
            Role::Extra => self.extras.add(&self.asked, reading),
        }
    }

    /// Judges.
    #[must_use]
    pub fn judge(mut self, circumstances: &Circumstances<'_>) -> Judged {
        if self.is_untold() {
            self.columns.add_untold(self.extras.untold);
        }
        let case = Case {
            tally: &self,
            asked: &self.asked,
            settling: circumstances.settling,
        };
        let (asked, expect, total) = (&self.asked, &self.asked.expect, case.total());
        let words = case.words();
        let untold = self.is_untold().then(|| case.untold());
        let judged = [
            ("output_present", case.output_present()),
            ("newer_than_start", case.newer_than_start()),
            ("listing_stable", listing_stable(asked, circumstances.settling)),
            ("no_empty_files", case.no_empty_files()),
            ("format", case.format()),
            ("text_complete", case.text_complete()),
            (
                "columns_agree",
                // Of files that are named each is asked for by itself.
                self.agreement.judge(asked.format.is_some(), asked.level, words),
            ),
            ("no_duplicates", case.no_duplicates()),
            ("rows_counted", case.rows_counted()),
            ("row_count_matches", case.row_count_matches()),
            ("service_failures", service_failures(asked.failed_rows, words)),
            ("named_files", self.named.judge(asked)),
            ("encryption", case.encryption()),
            ("checksum", self.checksums.judge(self.data, case.not_read())),
            (
                "extra_objects",
                self.extras.judge(circumstances.hidden, untold.as_deref()),
            ),
            (
                "required_columns",
                self.columns.judge(expect.columns.as_ref(), asked.level, words),
            ),
            ("expected_rows", expected::rows(expect, total.clone(), words)),
            (
                "row_change",
                expected::change(expect, total.clone(), asked.previous.as_ref(), words),
            ),
            (
                "data_age",
                expected::age(
                    expect,
                    self.oldest.as_ref(),
                    untold.as_deref(),
                    circumstances.now,
                    words,
                ),
            ),
        ];
        let checks = checks(judged);
        Judged {
            verdict: Verdict::of(&checks),
            checks,
            rows: match total {
                Ok(total) if !total.decoded => total.rows,
                _ => self.rows,
            },
            bytes: self.bytes,
            data_objects: self.data,
        }
    }

    fn add_data(&mut self, reading: &Reading) {
        let object = &reading.object;
        self.data += 1;
        self.bytes = self.bytes.saturating_add(object.size);
        self.formats.extend(object.format.map(Format::name));
        self.columns.add(reading);
        self.texts.add(reading);
        self.named.add(reading);
        self.checksums.add(reading);
        self.agreement.add(reading);
        self.duplicates.add(reading);
        self.add_finding(reading);

        if object.last_modified < self.oldest_allowed() {
            self.stale
                .add(|| format!("{} of {}", key(reading), time(object.last_modified)));
        }
        if self
            .oldest
            .as_ref()
            .is_none_or(|(oldest, _)| object.last_modified < *oldest)
        {
            self.oldest = Some((object.last_modified, object.key.clone()));
        }
        if object.size == 0 {
            self.empty.add(|| key(reading));
        }
        if let Some(asked) = &self.asked.kms_key {
            self.keys.add(asked, reading);
        }
    }

    fn add_finding(&mut self, reading: &Reading) {
        let object = &reading.object;
        self.add_remarks(reading);
        // Only text may be an export without a single byte.
        let may_be_empty = matches!(object.format, Some(Format::Csv | Format::Jsonl));
        let level = self.asked.level;
        let has_no_row = match &reading.finding {
            Finding::Whole(decoded) => {
                self.whole += 1;
                if let Some(rows) = object.rows {
                    self.rows = self.rows.saturating_add(rows);
                    self.counted += 1;
                    self.with_rows += u64::from(rows > 0);
                }
                self.documents += u64::from(decoded.document.is_some());
                if decoded.document == Some(Document { pages: None }) {
                    self.uncounted.add(|| key(reading));
                }
                decoded.rows == 0 && decoded.document.is_none()
            }
            Finding::Framed(_) if level > Level::Structure => {
                self.broken += 1;
                self.wrong.add(|| format!("{}: was not decoded", key(reading)));
                false
            }
            Finding::Framed(framed) => {
                self.framed += 1;
                if framed.document.is_some() {
                    self.framed_documents += 1;
                } else if let Some(rows) = framed.rows {
                    self.framed_rows = self.framed_rows.saturating_add(rows);
                    self.framed_counted += 1;
                }
                let has_no_row = framed.rows == Some(0) && framed.document.is_none();
                self.filled += u64::from(!has_no_row && object.size > 0);
                has_no_row
            }
            Finding::Listed if level > Level::Listing => {
                self.broken += 1;
                self.wrong.add(|| format!("{}: was not looked at", key(reading)));
                false
            }
            Finding::Listed => {
                self.listed += 1;
                self.filled += u64::from(object.size > 0);
                object.size == 0 && may_be_empty
            }
            Finding::Defective(defect) => {
                self.broken += 1;
                self.unproved = true;
                self.advice.insert(defect.remedy.map_or(RERUN, Remedy::advice));
                self.wrong.add(|| format!("{}: {defect}", key(reading)));
                false
            }
            Finding::Foreign(what) => {
                self.broken += 1;
                self.unproved = true;
                if !classify::has_advice(what) {
                    self.advice.insert(self.asked.asker.words().other_format);
                }
                self.wrong.add(|| format!("{} {what}", key(reading)));
                false
            }
            Finding::Empty => {
                self.broken += 1;
                may_be_empty
            }
            // Not of data.
            Finding::Extra(_) | Finding::Untold => {
                self.broken += 1;
                self.wrong.add(|| format!("{}: was not read", key(reading)));
                false
            }
        };
        self.without_rows &= has_no_row;
    }

    fn add_remarks(&mut self, reading: &Reading) {
        let (remarks, empty_lines) = match &reading.finding {
            Finding::Whole(decoded) => (&decoded.remarks, decoded.empty_lines),
            Finding::Framed(framed) => (&framed.remarks, 0),
            _ => return,
        };
        self.empty_lines = self.empty_lines.saturating_add(empty_lines);
        if empty_lines == 0 && remarks.is_empty() {
            return;
        }
        self.remarked.add(|| {
            let empty = match empty_lines {
                0 => String::new(),
                lines => format!(
                    "has {}, nulls of its one column to some writers and nothing to others, which are not counted",
                    objects(lines, "empty line")
                ),
            };
            let between = if empty.is_empty() || remarks.is_empty() {
                ""
            } else {
                "; "
            };
            format!("{} {empty}{between}{remarks}", key(reading))
        });
    }

    /// Whether all that may be data lies there under names that do not tell.
    const fn is_untold(&self) -> bool {
        self.data == 0 && self.extras.untold > 0
    }

    fn oldest_allowed(&self) -> DateTime<Utc> {
        self.asked.started_at.trunc_subsecs(0) - CLOCK_SKEW
    }
}

fn checks<const N: usize>(judged: [(&str, Judgement); N]) -> Vec<Check> {
    let check = |(name, (verdict, reason)): (&str, Judgement)| Check {
        name: name.to_owned(),
        verdict,
        reason: cut(&printable(&reason), REASON_LENGTH),
    };
    judged.into_iter().map(check).collect()
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
    tally: &'a Tally,
    asked: &'a Expectation,
    settling: &'a Settling,
}

impl Case<'_> {
    fn words(&self) -> &'static Words {
        self.asked.asker.words()
    }

    fn data_objects(&self) -> String {
        objects(self.tally.data, "data object")
    }

    /// Whether every data object that is there decoded to its end.
    fn all_counted(&self) -> bool {
        self.settling.settled && self.tally.whole == self.tally.data && !self.tally.is_untold()
    }

    /// Whether nothing is wrong but that less was looked at than could be.
    fn is_only_of_lower_level(&self) -> bool {
        let tally = self.tally;
        self.settling.settled && tally.broken == 0 && self.is_below_full()
    }

    /// Whether something was looked at less than it could be.
    const fn is_below_full(&self) -> bool {
        self.tally.framed + self.tally.listed > 0 || self.tally.is_untold()
    }

    /// That no name tells what is data.
    fn untold(&self) -> String {
        self.beyond_level("which objects are data was not looked at")
    }

    /// Skipped, since there is no data object that it could be held of.
    fn without_data(&self) -> Judgement {
        if self.tally.is_untold() {
            skipped(self.untold())
        } else {
            skipped("there is no data object")
        }
    }

    /// That something was not looked at, as was asked.
    fn beyond_level(&self, what: &str) -> String {
        format!(
            "{what}, as {} asks (level {}); to have it, {}",
            self.words().who,
            self.asked.level,
            self.words().raise_level
        )
    }

    /// The rows of the whole output; if they are not known, why.
    fn total(&self) -> Result<Total, String> {
        let tally = self.tally;
        let counted = tally.counted + tally.framed_counted;
        let documents = tally.documents + tally.framed_documents;
        let empty_lines = tally.empty_lines;
        let decoded = |rows| {
            Ok(Total {
                rows,
                empty_lines,
                decoded: true,
            })
        };
        if self.settling.settled && tally.broken == 0 && counted == 0 && documents > 0 {
            return Err("nothing that landed has rows".to_owned());
        }
        if self.all_counted() {
            return decoded(tally.rows);
        }
        let is_framed = tally.whole + tally.framed_counted + tally.framed_documents == tally.data;
        if self.settling.settled && is_framed && !tally.is_untold() {
            return Ok(Total {
                rows: tally.rows.saturating_add(tally.framed_rows),
                empty_lines,
                decoded: false,
            });
        }
        if self.settling.settled && self.asked.allow_empty && tally.without_rows && !tally.is_untold() {
            return decoded(0);
        }
        Err(if self.is_only_of_lower_level() {
            self.beyond_level("the rows were not counted")
        } else {
            "not all data could be counted: see the other failed checks".to_owned()
        })
    }

    fn newer_than_start(&self) -> Judgement {
        let stale = &self.tally.stale;
        if self.tally.data == 0 {
            return self.without_data();
        }
        if stale.is_empty() {
            return pass(format!(
                "all were written after the start at {}",
                time(self.asked.started_at)
            ));
        }
        fail(format!(
            "{} of {} are older than the job, which was started at {}: {stale}. They are of another run: let every run \
             write beneath a prefix of its own",
            stale.count,
            self.data_objects(),
            time(self.asked.started_at)
        ))
    }

    fn no_empty_files(&self) -> Judgement {
        let empty = &self.tally.empty;
        if self.tally.data == 0 {
            return self.without_data();
        }
        if empty.is_empty() {
            return pass(format!("{} of at least one byte", self.data_objects()));
        }
        let found = format!("{} of {} of zero bytes: {empty}", empty.count, self.data_objects());
        if self.asked.allow_empty && self.tally.without_rows {
            return warn(format!(
                "{found}; taken for an export without rows, which {} allows",
                self.words().who_allows
            ));
        }
        fail(format!("{found}. The export did not write what it began; run it again"))
    }

    fn format(&self) -> Judgement {
        let tally = self.tally;
        let asked = match self.asked.format {
            Some(format) => format.name().to_owned(),
            None => tally.formats.iter().copied().collect::<Vec<_>>().join(", "),
        };
        if !tally.wrong.is_empty() {
            return fail(format!(
                "{} of {} cannot be decoded as {}: {}. Do not use these files{}",
                tally.wrong.count,
                self.data_objects(),
                if asked.is_empty() {
                    "what they are named as"
                } else {
                    &asked
                },
                tally.wrong,
                tally
                    .advice
                    .iter()
                    .map(|advice| format!("; {advice}"))
                    .collect::<String>(),
            ));
        }
        let (verdict, reason) = self.decoded_as(&asked);
        if tally.remarked.is_empty() {
            return (verdict, reason);
        }
        warn(format!(
            "{reason}. Somebody should look at {} of them: {}",
            tally.remarked.count, tally.remarked
        ))
    }

    /// How far data objects are known to be of the format that was asked for, where none is known not to be.
    fn decoded_as(&self, asked: &str) -> Judgement {
        let tally = self.tally;
        if tally.framed > 0 {
            // The last bytes of gzip tell nothing.
            let which = if tally.formats.contains(Format::JsonlGzip.name()) {
                "begins"
            } else {
                "ends"
            };
            return pass(format!(
                "{}: their {which} are those of {asked}; not decoded, as {} asks (level {})",
                objects(tally.framed + tally.whole, "data object"),
                self.words().who,
                self.asked.level
            ));
        }
        if tally.whole == 0 {
            return skipped(if self.is_below_full() {
                self.beyond_level("what the objects hold was not looked at")
            } else {
                "there is no data object to decode".to_owned()
            });
        }
        if !tally.uncounted.is_empty() {
            return warn(format!(
                "{} decoded as {asked}, of which by their structure only, because they are large or encrypted: {}",
                objects(tally.whole, "data object"),
                tally.uncounted
            ));
        }
        pass(format!(
            "{} decoded to the end as {asked}",
            objects(tally.whole, "data object")
        ))
    }

    fn encryption(&self) -> Judgement {
        if self.asked.kms_key.is_none() {
            return skipped(self.words().no_key);
        }
        if self.tally.data == 0 {
            return self.without_data();
        }
        if self.asked.level == Level::Listing {
            return skipped(self.beyond_level("a listing does not say with which key objects are encrypted"));
        }
        self.tally.keys.judge(&self.data_objects())
    }

    /// Why the bytes of data objects were not read, if they were not.
    fn not_read(&self) -> Option<String> {
        self.is_below_full()
            .then(|| self.beyond_level("the objects' bytes were not hashed"))
    }

    fn no_duplicates(&self) -> Judgement {
        self.tally.duplicates.judge().unwrap_or_else(|| {
            skipped(
                self.not_read()
                    .unwrap_or_else(|| "there is no data object with rows".to_owned()),
            )
        })
    }

    fn text_complete(&self) -> Judgement {
        self.tally.texts.judge().unwrap_or_else(|| {
            skipped(if self.is_below_full() {
                self.beyond_level("how texts end was not looked at")
            } else {
                "there is no text that was decoded to its end".to_owned()
            })
        })
    }
}
