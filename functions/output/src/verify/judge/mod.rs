//! The checks.
//!
//! What must stay true: all of this is a pure function of the [`Reading`]s, in the order of their keys, and of the
//! [`Circumstances`]; what is kept does not grow with the number of readings, which may be millions; each check stands
//! for itself, has one published name, and gives a reason that says what was found, at which object, and what to do.
//! What is not known is never taken for good: at the level `full`, data that was not decoded fails at least one check;
//! below it, what was not looked at is skipped.

mod asker;
mod encryption;
mod expected;
mod texts;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SubsecRound, Utc};
use landfall::{
    job::{Counts, Level, NamedFile, Source},
    store::CLOCK_SKEW,
};

pub use self::asker::Asker;
use self::{
    asker::Words,
    encryption::{SameKey, same_key},
    expected::{Columns, Total},
    texts::Texts,
    words::{Examples, REASON_LENGTH, changed, cut, extra, kept, key, objects, printable, shown, time},
};
use super::{
    Expectation,
    report::{Check, CheckVerdict, Finding, Reading, Report, Role, SCHEMA, Verdict},
    settle::Settling,
};
use landfall_formats::{Decoded, Document, Format, Framed};

/// Largest unknown object that may be the test file.
const TEST_FILE: u64 = 64 * 1024;

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
    /// Keys that the service names, and whether data lies there.
    named: BTreeMap<String, bool>,
    /// Data that the service does not name.
    unnamed: Examples,
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
    uncounted: Examples,
    /// Data objects that their decoder says something of, and what.
    remarked: Examples,
    stale: Examples,
    empty: Examples,
    misencrypted: Examples,
    unknown_keys: u64,
    compared: u64,
    other_checksums: Examples,
    extra: Examples,
    /// Those of them that may be data.
    untold: u64,
    /// Other objects that hold something, and whether one of them can be no test file.
    filled_extra: u64,
    odd_extra: bool,
    columns: Columns,
    texts: Texts,
    /// When the oldest data object was written, and its key.
    oldest: Option<(DateTime<Utc>, String)>,
}

impl Tally {
    /// Nothing so far.
    #[must_use]
    pub fn new(expectation: &Expectation) -> Self {
        let uris = expectation.files.iter().flatten().filter_map(|file| file.uri.as_ref());
        Self {
            named: uris.map(|uri| (uri.key.clone(), false)).collect(),
            unnamed: Examples::default(),
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
            uncounted: Examples::default(),
            remarked: Examples::default(),
            stale: Examples::default(),
            empty: Examples::default(),
            misencrypted: Examples::default(),
            unknown_keys: 0,
            compared: 0,
            other_checksums: Examples::default(),
            extra: Examples::default(),
            untold: 0,
            filled_extra: 0,
            odd_extra: false,
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
            Role::Extra => self.add_extra(reading),
        }
    }

    /// Judges.
    #[must_use]
    pub fn judge(mut self, circumstances: &Circumstances<'_>) -> Judged {
        if self.is_untold() {
            self.columns.add_untold(self.untold);
        }
        let case = Case {
            tally: &self,
            asked: &self.asked,
            settling: circumstances.settling,
            hidden: circumstances.hidden,
        };
        let (asked, expect, total) = (&self.asked, &self.asked.expect, case.total());
        let words = case.words();
        let untold = self.is_untold().then(|| case.untold());
        let judged = [
            ("output_present", case.output_present()),
            ("newer_than_start", case.newer_than_start()),
            ("listing_stable", case.listing_stable()),
            ("no_empty_files", case.no_empty_files()),
            ("format", case.format()),
            ("text_complete", case.text_complete()),
            ("rows_counted", case.rows_counted()),
            ("row_count_matches", case.row_count_matches()),
            ("service_failures", service_failures(asked.failed_rows, words)),
            ("named_files", case.named_files()),
            ("encryption", case.encryption()),
            ("checksum", case.checksum()),
            ("extra_objects", case.extra_objects()),
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
        match self.named.get_mut(&object.key) {
            Some(is_there) => *is_there = true,
            None => self.unnamed.add(|| key(reading)),
        }
        if let Some(asked) = &self.asked.kms_key {
            match same_key(asked, object.encryption.as_deref(), object.kms_key.as_deref()) {
                SameKey::Yes => {}
                SameKey::Unknown => self.unknown_keys += 1,
                SameKey::No(why) => self.misencrypted.add(|| format!("{} {why}", key(reading))),
            }
        }
        if let (Some(ours), Some(stored)) = (&object.sha256, &reading.stored_sha256) {
            self.compared += 1;
            let stored = aws_smithy_types::base64::decode(stored).ok();
            if stored.map(hex::encode).as_ref() != Some(ours) {
                self.other_checksums.add(|| key(reading));
            }
        }
    }

    fn add_finding(&mut self, reading: &Reading) {
        let object = &reading.object;
        if let Finding::Whole(Decoded { remarks, .. }) | Finding::Framed(Framed { remarks, .. }) = &reading.finding
            && !remarks.is_empty()
        {
            self.remarked.add(|| format!("{} {remarks}", key(reading)));
        }
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
                self.wrong.add(|| format!("{}: {defect}", key(reading)));
                false
            }
            Finding::Foreign(what) => {
                self.broken += 1;
                self.unproved = true;
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

    fn add_extra(&mut self, reading: &Reading) {
        self.extra.add(|| extra(reading));
        // Zero bytes hold nothing that could be missed.
        if reading.object.size == 0 {
            return;
        }
        self.filled_extra += 1;
        self.untold += u64::from(reading.finding == Finding::Untold);
        // Whoever names every file writes no others.
        let may_be_test_file = self.asked.format.is_some()
            && reading.object.size <= TEST_FILE
            && matches!(reading.finding, Finding::Extra(None) | Finding::Untold);
        self.odd_extra |= !may_be_test_file;
    }

    /// Whether all that may be data lies there under names that do not tell.
    const fn is_untold(&self) -> bool {
        self.data == 0 && self.untold > 0
    }

    fn oldest_allowed(&self) -> DateTime<Utc> {
        self.asked.started_at.trunc_subsecs(0) - CLOCK_SKEW
    }
}

/// Judges a job that writes nothing by what the service says of what it read.
#[must_use]
pub fn judge_source(source: &Source, counts: Option<Counts>, checked_at: DateTime<Utc>) -> Report {
    let checks = checks([
        ("source_rows_processed", source_rows_processed(source.rows, counts)),
        (
            "service_failures",
            service_failures(counts.map(|counts| counts.failed), Asker::Event.words()),
        ),
    ]);
    Report {
        schema: SCHEMA.to_owned(),
        checked_at,
        verdict: Verdict::of(&checks),
        level: Level::Full,
        rows: source.rows,
        bytes: source.bytes,
        data_objects: 0,
        all_objects: 0,
        batches: 0,
        source: Some(source.clone()),
        checks,
        objects_file: None,
        objects: Vec::new(),
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

fn service_failures(failed: Option<u64>, words: &Words) -> Judgement {
    match failed {
        None => skipped(words.no_failures),
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
    tally: &'a Tally,
    asked: &'a Expectation,
    settling: &'a Settling,
    hidden: u64,
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
        let decoded = |rows| Ok(Total { rows, decoded: true });
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

    fn output_present(&self) -> Judgement {
        let (tally, prefix, data) = (self.tally, &self.asked.prefix, self.data_objects());
        // A document without a page is a defect.
        let (with_rows, documents) = (tally.with_rows, tally.documents);
        if with_rows + documents > 0 {
            let what = match (with_rows, documents) {
                (_, 0) => "rows",
                (0, _) => "pages",
                _ => "rows or pages",
            };
            return pass(format!("{} of {data} hold {what}", with_rows + documents));
        }
        if tally.filled > 0 {
            return pass(format!(
                "{} of {data} hold at least one byte; what they hold was not decoded, as {} asks (level {})",
                tally.filled,
                self.words().who,
                self.asked.level
            ));
        }
        if tally.is_untold() {
            return skipped(self.beyond_level(&format!(
                "{} beneath {prefix} hold at least one byte, and only their content could tell whether they are data, \
                 which was not looked at: {}",
                objects(tally.untold, "object"),
                tally.extra
            )));
        }
        if self.asked.allow_empty && tally.without_rows {
            return pass(format!(
                "{data} without a row; {} allows an empty export",
                self.words().who_allows
            ));
        }
        if tally.data == 0 {
            let others = if tally.extra.is_empty() {
                "nothing lies there".to_owned()
            } else {
                format!("only other objects lie there, which prove nothing: {}", tally.extra)
            };
            let what = match self.asked.format {
                Some(format) => format!("{format} object"),
                None => format!("file that {}", self.words().names),
            };
            return fail(format!(
                "no {what} lies beneath {prefix}: {others}. Look at the job's status message, and at what the \
                 export role may write; if the export may have no rows, {}",
                self.words().allow_empty
            ));
        }
        if tally.unproved {
            return fail(format!(
                "{data} lie beneath {prefix}, and of none a row is proved; see the check format"
            ));
        }
        fail(format!(
            "{data} lie beneath {prefix}, and hold no row. If the export may have no rows, {}",
            self.words().allow_empty
        ))
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

    fn listing_stable(&self) -> Judgement {
        let settling = self.settling;
        let seconds = self.asked.settle.as_secs_f64();
        if !settling.disturbed.is_empty() {
            return fail(format!(
                "{} replaced or removed while being verified: {}. Find out who writes beneath {} besides the job, and run \
                 it again",
                if settling.disturbed.count == 1 {
                    "a data object was"
                } else {
                    "data objects were"
                },
                kept(&settling.disturbed),
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
                "{} of {} cannot be decoded as {}: {}. Do not use these files; run the export again",
                tally.wrong.count,
                self.data_objects(),
                if asked.is_empty() {
                    "what they are named as"
                } else {
                    &asked
                },
                tally.wrong
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

    fn text_complete(&self) -> Judgement {
        self.tally.texts.judge().unwrap_or_else(|| {
            skipped(if self.is_below_full() {
                self.beyond_level("how texts end was not looked at")
            } else {
                "there is no text that was decoded to its end".to_owned()
            })
        })
    }

    fn rows_counted(&self) -> Judgement {
        let tally = self.tally;
        if tally.data == 0 {
            return self.without_data();
        }
        if self.is_only_of_lower_level() {
            return match self.total() {
                Ok(total) => pass(format!(
                    "{} rows in {}, by the footers, not decoded",
                    total.rows,
                    objects(tally.counted + tally.framed_counted, "data object")
                )),
                Err(why) => skipped(why),
            };
        }
        if !self.all_counted() {
            return skipped(format!(
                "{} rows in {} of {}; the others, or what changed, could not be counted: see the failed checks",
                tally.rows,
                tally.counted,
                self.data_objects()
            ));
        }
        let documents = objects(tally.documents, "document");
        if tally.counted == 0 {
            return skipped(format!("{documents} have pages and no rows"));
        }
        let others = match tally.documents {
            0 => String::new(),
            _ => format!("; {documents} without rows"),
        };
        pass(format!(
            "{} rows in {}, each decoded{others}",
            tally.rows,
            objects(tally.counted, "data object")
        ))
    }

    fn row_count_matches(&self) -> Judgement {
        let strict = self.asked.strict_row_count;
        let counts = self.words().counts;
        let Some(reported) = self.asked.rows else {
            let reason = self.words().no_count;
            return if strict {
                warn(format!(
                    "{reason}, which {} wants the decoded rows held against",
                    self.words().who
                ))
            } else {
                skipped(reason)
            };
        };
        let (rows, how) = match self.total() {
            _ if self.all_counted() => (self.tally.rows, "were decoded"),
            Ok(total) if self.is_only_of_lower_level() => (total.rows, "stand in the footers, not decoded,"),
            Err(why) if self.is_only_of_lower_level() => {
                let reason = format!("{counts} {reported} rows, and {why}");
                return if strict { fail(reason) } else { skipped(reason) };
            }
            _ => {
                return fail(format!(
                    "{counts} {reported} rows, and not all data could be counted: see the other failed \
                     checks"
                ));
            }
        };
        if rows == reported {
            return pass(if self.all_counted() {
                format!("{rows} rows, as {counts}")
            } else {
                format!("{rows} rows {how} as many as {counts}")
            });
        }
        let found = format!(
            "{rows} rows {how} and {counts} {reported}: {} are {}",
            rows.abs_diff(reported),
            if rows < reported { "missing" } else { "too many" }
        );
        if strict {
            return fail(format!("{found}. Do not use these files; run the export again"));
        }
        warn(format!(
            "{found}. AWS does not say that the two must be equal; to have this fail, {}",
            self.words().be_strict
        ))
    }

    fn named_files(&self) -> Judgement {
        let Some(files) = self.asked.files.as_deref().filter(|files| !files.is_empty()) else {
            return match self.asked.format {
                Some(_) => skipped(self.words().no_names),
                None => fail(format!(
                    "{}, and nothing else says which objects are the output",
                    self.words().no_names
                )),
            };
        };
        let names = self.words().names;
        let named = objects(files.len() as u64, "file");
        let wrong: Examples = files.iter().filter_map(|file| self.wrong_with(file)).collect();
        if !wrong.is_empty() {
            return fail(format!(
                "{} of the {named} that {names} cannot be had: {wrong}. Run the export again",
                wrong.count
            ));
        }
        let all = format!("all {named} that {names} are there");
        let uris: BTreeSet<_> = files.iter().filter_map(|file| file.uri.as_ref()).collect();
        if uris.len() < files.len() {
            return warn(format!(
                "{all}, and some of them are one and the same object: {} in all. Look whether each of them holds what \
                 was asked for",
                objects(uris.len() as u64, "object")
            ));
        }
        if !self.tally.unnamed.is_empty() {
            return warn(format!("{all}, and further data: {}", self.tally.unnamed));
        }
        pass(all)
    }

    /// Why a file that the service names cannot be had.
    fn wrong_with(&self, file: &NamedFile) -> Option<String> {
        let prefix = &self.asked.prefix;
        let label = shown(&file.label);
        if let Some(error) = &file.error {
            return Some(format!("{label} failed with {}", shown(error)));
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
        let is_there = self.tally.named.get(&uri.key) == Some(&true);
        (!is_there).then(|| format!("{label} is to lie at {place}, and nothing does"))
    }

    fn encryption(&self) -> Judgement {
        let (tally, data) = (self.tally, self.data_objects());
        if self.asked.kms_key.is_none() {
            return skipped(self.words().no_key);
        }
        if tally.data == 0 {
            return self.without_data();
        }
        if self.asked.level == Level::Listing {
            return skipped(self.beyond_level("a listing does not say with which key objects are encrypted"));
        }
        let wrong = &tally.misencrypted;
        if !wrong.is_empty() {
            return fail(format!(
                "{} of {data} not encrypted as asked: {wrong}. Look at the export role's rights on the key and at the \
                 bucket's default encryption",
                wrong.count
            ));
        }
        if tally.unknown_keys > 0 {
            return warn(format!(
                "{} encrypted with a KMS key, which cannot be compared with the alias that was asked for; name the key \
                 by its ARN",
                objects(tally.unknown_keys, "data object")
            ));
        }
        pass(format!("{data} encrypted with the key asked for"))
    }

    fn checksum(&self) -> Judgement {
        let (tally, wrong) = (self.tally, &self.tally.other_checksums);
        if !wrong.is_empty() {
            return fail(format!(
                "{} read with another SHA-256 than S3 holds: {wrong}. Verify again; if it stays, run the export again",
                objects(wrong.count, "data object")
            ));
        }
        if tally.compared == 0 && self.is_below_full() {
            return skipped(self.beyond_level("the objects' bytes were not hashed"));
        }
        if tally.compared == 0 {
            return skipped("S3 holds no SHA-256 of a whole data object; ours are with the objects");
        }
        pass(format!(
            "the SHA-256 that S3 holds of {} of {} is that of the bytes read",
            tally.compared,
            self.data_objects()
        ))
    }

    fn extra_objects(&self) -> Judgement {
        let tally = self.tally;
        let hidden = match self.hidden {
            0 => String::new(),
            hidden => format!("; {hidden} more begin with _ or . and are left out"),
        };
        if tally.extra.is_empty() {
            return pass(format!("nothing but data lies there{hidden}"));
        }
        let found = format!(
            "{} not taken for data: {}{hidden}",
            objects(tally.extra.count, "object"),
            tally.extra
        );
        if tally.is_untold() {
            return skipped(self.untold());
        }
        if tally.filled_extra <= 1 && !tally.odd_extra {
            return pass(format!(
                "{found}; a service may write a test or information file beside the data"
            ));
        }
        warn(format!("{found}. Make sure that none of them belongs to the export"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall_formats::{Content, Defect, Remark};

    use crate::verify::{
        Previous,
        report::{MAX_OBJECTS, VerifiedObject},
        settle::Changes,
    };
    use chrono::TimeDelta;
    use landfall::expect::{Expectations, ExpectedAge, ExpectedChange, ExpectedColumns, ExpectedRows, OnViolation};
    use proptest::{collection::vec, option, prelude::*, sample::select};

    fn asked() -> Expectation {
        Expectation::of("s3://exports/run=1/".parse().unwrap(), Some(Format::Csv))
    }

    fn at(level: Level) -> Expectation {
        Expectation { level, ..asked() }
    }

    fn reading(name: &str, size: u64, finding: Finding) -> Reading {
        let data = !matches!(finding, Finding::Extra(_));
        let rows = match &finding {
            Finding::Whole(decoded) => decoded.document.is_none().then_some(decoded.rows),
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

    fn framed(rows: Option<u64>) -> Finding {
        Finding::Framed(Framed {
            rows,
            ..Framed::default()
        })
    }

    /// A table of these columns.
    fn table(rows: u64, columns: &[&str]) -> Finding {
        Finding::Whole(Decoded {
            rows,
            columns: columns.iter().map(|&name| name.to_owned()).collect(),
            column_count: columns.len() as u64,
            ..Decoded::default()
        })
    }

    fn document() -> Finding {
        Finding::Whole(Decoded {
            document: Some(Document { pages: Some(1) }),
            ..Decoded::default()
        })
    }

    fn settled() -> Settling {
        Settling {
            listings: 2,
            settled: true,
            ..Settling::default()
        }
    }

    /// A minute after the objects were written.
    fn judged_as(asked: &Expectation, readings: &[Reading], settling: &Settling) -> Judged {
        let mut tally = Tally::new(asked);
        for reading in readings {
            tally.add(reading);
        }
        tally.judge(&Circumstances {
            settling,
            hidden: 0,
            now: DateTime::UNIX_EPOCH + TimeDelta::seconds(60),
        })
    }

    fn judged(asked: &Expectation, readings: &[Reading]) -> Judged {
        judged_as(asked, readings, &settled())
    }

    #[track_caller]
    fn check<'a>(judged: &'a Judged, name: &str) -> (CheckVerdict, &'a str) {
        let check = judged.checks.iter().find(|check| check.name == name).unwrap();
        (check.verdict, &check.reason)
    }

    #[track_caller]
    fn verdict(judged: &Judged, name: &str) -> CheckVerdict {
        check(judged, name).0
    }

    use CheckVerdict::{Fail, Pass, Skipped, Warn};

    #[test]
    fn whatever_is_not_whole_fails() {
        let bad = [
            reading("b.csv", 9, Finding::Defective(Defect::new("is cut off"))),
            reading("b.csv", 9, Finding::Foreign("holds gzip".to_owned())),
            reading("b.csv", 0, Finding::Empty),
            reading("b.csv", 9, framed(Some(1))),
            reading("b.csv", 9, Finding::Listed),
        ];
        for allow_empty in [false, true] {
            let asked = Expectation { allow_empty, ..asked() };
            for bad in &bad {
                let judged = judged(&asked, &[reading("a.csv", 9, whole(1)), bad.clone()]);
                assert_eq!(judged.verdict, Verdict::Failed, "{bad:?}");
                assert_eq!(verdict(&judged, "rows_counted"), Skipped);
            }
            let judged = judged_as(&asked, &[reading("a.csv", 9, whole(1))], &Settling::default());
            assert_eq!(verdict(&judged, "listing_stable"), Fail);
            assert_eq!(verdict(&judged, "rows_counted"), Skipped);
        }
    }

    #[test]
    fn what_a_decoder_remarks_warns_and_is_named() {
        let mut decoded = Decoded {
            rows: 1,
            ..Decoded::default()
        };
        decoded
            .remarks
            .add(Remark::new("ends its rows with CR alone").on_line(1));
        let readings = [
            reading("a.csv", 9, whole(1)),
            reading("b.csv", 9, Finding::Whole(decoded)),
        ];
        let judged = judged(&asked(), &readings);
        assert_eq!(
            check(&judged, "format"),
            (
                Warn,
                "2 data objects decoded to the end as CSV. Somebody should look at 1 of them: run=1/b.csv ends its \
                 rows with CR alone (line 1)"
            )
        );
        assert_eq!((judged.verdict, judged.rows), (Verdict::PassedWithWarnings, 2));

        let mut framed = Framed::default();
        framed.remarks.add(Remark::new("has zeros behind its end"));
        let asked = Expectation {
            level: Level::Structure,
            ..asked()
        };
        let judged = judged_as(&asked, &[reading("a.csv", 9, Finding::Framed(framed))], &settled());
        let (verdict, reason) = check(&judged, "format");
        assert_eq!(verdict, Warn);
        assert!(reason.ends_with("run=1/a.csv has zeros behind its end"), "{reason}");
    }

    #[test]
    fn a_reported_number_is_never_matched_by_a_part() {
        let asked = Expectation {
            rows: Some(1),
            ..asked()
        };
        let readings = [reading("a.csv", 9, whole(1)), reading("b.csv", 0, Finding::Empty)];
        assert_eq!(verdict(&judged(&asked, &readings), "row_count_matches"), Fail);
        let judged = judged(&asked, &readings[..1]);
        assert_eq!(verdict(&judged, "row_count_matches"), Pass);
        assert_eq!((judged.rows, judged.bytes, judged.data_objects), (1, 9, 1));
    }

    #[test]
    fn a_test_file_is_expected_and_more_is_not() {
        let of = |extra: Vec<Reading>| {
            let mut readings = vec![reading("a.csv", 9, whole(1))];
            readings.extend(extra);
            verdict(&judged(&asked(), &readings), "extra_objects")
        };
        let unknown = |name, size| reading(name, size, Finding::Extra(None));
        assert_eq!(of(vec![]), Pass);
        assert_eq!(
            of(vec![unknown("x", TEST_FILE), unknown("y/", 0), unknown("z", 0)]),
            Pass
        );
        assert_eq!(of(vec![unknown("x", TEST_FILE + 1)]), Warn);
        assert_eq!(of(vec![unknown("x", 1), unknown("y", 1)]), Warn);
        assert_eq!(of(vec![reading("x", 1, Finding::Extra(Some(Content::Gzip)))]), Warn);
    }

    #[test]
    fn every_check_has_its_own_name() {
        let judged = judged(&asked(), &[]);
        let mut names: Vec<_> = judged.checks.iter().map(|check| check.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 17);
    }

    /// The reasons of an output in which much is wrong, word for word.
    #[test]
    fn reasons_count_all_and_name_the_first() {
        let mut readings: Vec<_> = (0..7)
            .map(|n| reading(&format!("a{n}.csv"), 9, Finding::Defective(Defect::new("is cut off"))))
            .collect();
        readings.push(reading("b.csv", 0, Finding::Empty));
        readings.push(reading("c.csv", 9, whole(3)));
        readings.push(reading("x", 70_000, Finding::Extra(None)));
        readings[7].object.last_modified -= TimeDelta::hours(1);
        readings[8].stored_sha256 = Some("AAAA".to_owned());
        let asked = Expectation {
            kms_key: Some("alias/a".to_owned()),
            rows: Some(4),
            ..asked()
        };
        let judged = judged(&asked, &readings);
        let texts: Vec<_> = judged
            .checks
            .iter()
            .filter(|check| !matches!(check.verdict, Pass | Skipped))
            .map(|check| (check.name.as_str(), check.reason.as_str()))
            .collect();
        assert_eq!(
            texts,
            [
                (
                    "newer_than_start",
                    "1 of 9 data objects are older than the job, which was started at 1970-01-01T00:00:00Z: \
                     run=1/b.csv of 1969-12-31T23:00:00Z. They are of another run: let every run write beneath a \
                     prefix of its own"
                ),
                (
                    "no_empty_files",
                    "1 of 9 data objects of zero bytes: run=1/b.csv. The export did not write what it began; run it \
                     again"
                ),
                (
                    "format",
                    "7 of 9 data objects cannot be decoded as CSV: run=1/a0.csv: is cut off, run=1/a1.csv: is cut \
                     off, run=1/a2.csv: is cut off, run=1/a3.csv: is cut off, run=1/a4.csv: is cut off and 2 more. Do \
                     not use these files; run the export again"
                ),
                (
                    "row_count_matches",
                    "the service reports 4 rows, and not all data could be counted: see the other failed checks"
                ),
                (
                    "encryption",
                    "9 of 9 data objects not encrypted as asked: run=1/a0.csv is not encrypted with a KMS key, \
                     run=1/a1.csv is not encrypted with a KMS key, run=1/a2.csv is not encrypted with a KMS key, \
                     run=1/a3.csv is not encrypted with a KMS key, run=1/a4.csv is not encrypted with a KMS key and \
                     4 more. Look at the export role's rights on the key and at the bucket's default encryption"
                ),
                (
                    "checksum",
                    "1 data object read with another SHA-256 than S3 holds: run=1/c.csv. Verify again; if it stays, \
                     run the export again"
                ),
                (
                    "extra_objects",
                    "1 object not taken for data: run=1/x (70000 bytes). Make sure that none of them belongs to the \
                     export"
                ),
            ]
        );
        assert_eq!(
            check(&judged, "rows_counted"),
            (
                Skipped,
                "3 rows in 1 of 9 data objects; the others, or what changed, could not be counted: see the failed checks"
            )
        );
        assert_eq!(
            check(&judged, "output_present"),
            (Pass, "1 of 9 data objects hold rows")
        );
    }

    #[test]
    fn what_a_level_leaves_out_is_skipped() {
        let kms = |asked: Expectation| Expectation {
            kms_key: Some("alias/a".to_owned()),
            rows: Some(5),
            ..asked
        };
        let readings = [
            reading("a.csv", 9, Finding::Listed),
            reading("b.csv", 8, Finding::Listed),
        ];
        let judged_listing = judged(&kms(at(Level::Listing)), &readings);
        assert_eq!(judged_listing.verdict, Verdict::Passed);
        for name in [
            "format",
            "text_complete",
            "rows_counted",
            "row_count_matches",
            "encryption",
            "checksum",
        ] {
            let (verdict, reason) = check(&judged_listing, name);
            assert_eq!(verdict, Skipped, "{name}");
            assert!(reason.contains("level listing"), "{name}: {reason}");
            assert!(reason.contains("Landfall.Verification.Level"), "{name}: {reason}");
        }
        assert_eq!(
            check(&judged_listing, "output_present"),
            (
                Pass,
                "2 of 2 data objects hold at least one byte; what they hold was not decoded, as the event asks (level \
                 listing)"
            )
        );
        assert_eq!((judged_listing.rows, judged_listing.bytes), (0, 17));
        // What a listing shows is judged.
        let empty = judged(&at(Level::Listing), &[reading("a.csv", 0, Finding::Listed)]);
        assert_eq!(verdict(&empty, "no_empty_files"), Fail);
        assert_eq!(verdict(&empty, "output_present"), Fail);
        let foreign = reading("a.orc", 9, Finding::Foreign("has the suffix of ORC".to_owned()));
        assert_eq!(verdict(&judged(&at(Level::Listing), &[foreign]), "format"), Fail);

        let readings = [reading("a.csv", 9, framed(None)), reading("b.csv", 9, framed(Some(2)))];
        let asked = kms(at(Level::Structure));
        let judged_structure = judged(&asked, &readings);
        assert_eq!(
            check(&judged_structure, "format"),
            (
                Pass,
                "2 data objects: their ends are those of CSV; not decoded, as the event asks (level structure)"
            )
        );
        for name in ["text_complete", "rows_counted", "row_count_matches", "checksum"] {
            let (verdict, reason) = check(&judged_structure, name);
            assert_eq!(verdict, Skipped, "{name}");
            assert!(reason.contains("level structure"), "{name}: {reason}");
        }
        // The metadata of every object was read.
        assert_eq!(verdict(&judged_structure, "encryption"), Fail);
        // A level that was asked for is done.
        let listed = judged(&at(Level::Structure), &[reading("a.csv", 9, Finding::Listed)]);
        assert_eq!(verdict(&listed, "format"), Fail);
        // Who insists on the count gets it or fails.
        let strict = Expectation {
            strict_row_count: true,
            ..asked
        };
        assert_eq!(verdict(&judged(&strict, &readings), "row_count_matches"), Fail);
    }

    #[test]
    fn rows_of_footers_are_held_against_the_reported() {
        let asked = |rows| Expectation {
            format: Some(Format::Orc),
            rows: Some(rows),
            ..at(Level::Structure)
        };
        let readings = [reading("a", 9, framed(Some(3))), reading("b", 9, framed(Some(2)))];
        let judged_five = judged(&asked(5), &readings);
        assert_eq!(
            check(&judged_five, "rows_counted"),
            (Pass, "5 rows in 2 data objects, by the footers, not decoded")
        );
        assert_eq!(
            check(&judged_five, "row_count_matches"),
            (
                Pass,
                "5 rows stand in the footers, not decoded, as many as the service reports"
            )
        );
        assert_eq!((judged_five.verdict, judged_five.rows), (Verdict::Passed, 5));
        let (verdict_of_six, reason) = check_owned(&judged(&asked(6), &readings), "row_count_matches");
        assert_eq!(verdict_of_six, Warn);
        assert!(reason.contains("the service reports 6: 1 are missing"), "{reason}");
        // Footers that count nothing are an export without a row.
        let none = judged(&asked(0), &[reading("a", 9, framed(Some(0)))]);
        assert_eq!(verdict(&none, "output_present"), Fail);
        // A hostile footer is no crash.
        let most = [
            reading("a", 9, framed(Some(u64::MAX))),
            reading("b", 9, framed(Some(2))),
        ];
        assert_eq!(judged(&asked(5), &most).rows, u64::MAX);
    }

    fn check_owned(judged: &Judged, name: &str) -> (CheckVerdict, String) {
        let (verdict, reason) = check(judged, name);
        (verdict, reason.to_owned())
    }

    fn expecting(expect: Expectations) -> Expectation {
        Expectation { expect, ..asked() }
    }

    fn columns(names: &[&str], on_violation: OnViolation) -> Expectation {
        expecting(Expectations {
            columns: Some(ExpectedColumns {
                required: names.iter().map(|&name| name.to_owned()).collect(),
                on_violation,
            }),
            ..Expectations::default()
        })
    }

    const ON: [(OnViolation, CheckVerdict); 2] = [(OnViolation::Warn, Warn), (OnViolation::Fail, Fail)];

    #[test]
    fn every_table_has_the_required_columns() {
        let of = |asked: &Expectation, readings: &[Reading]| check_owned(&judged(asked, readings), "required_columns");
        let good = reading("a.csv", 9, table(1, &["id", "name", "age"]));
        let bad = reading("b.csv", 9, table(1, &["name"]));
        let asked = columns(&["id", "name"], OnViolation::Fail);
        assert_eq!(
            of(&expecting(Expectations::default()), std::slice::from_ref(&bad)).0,
            Skipped
        );
        assert_eq!(
            of(&asked, std::slice::from_ref(&good)),
            (
                Pass,
                "1 data object with all of the 2 columns that the event expects".to_owned()
            )
        );
        for (on, expected) in ON {
            let (verdict, reason) = of(&columns(&["id", "name"], on), &[good.clone(), bad.clone()]);
            assert_eq!(verdict, expected);
            assert!(reason.contains("1 of 2 data objects"), "{reason}");
            assert!(reason.contains("run=1/b.csv lacks \"id\"."), "{reason}");
            assert!(reason.contains("Landfall.Verification.Expect.Columns"), "{reason}");
        }
        // Names are in the order of the event, and bounded.
        let many: Vec<String> = (0..100).map(|n| format!("{}{n:03}", "z".repeat(125))).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let (_, reason) = of(&columns(&many, OnViolation::Fail), std::slice::from_ref(&good));
        assert!(reason.contains("and 95 more"), "{reason}");
        assert!(reason.chars().count() < 1_200, "{reason}");

        // Not all columns are known of a very wide object.
        let mut wide = bad.clone();
        if let Finding::Whole(decoded) = &mut wide.finding {
            decoded.column_count = 2_000;
        }
        let (verdict, reason) = of(&asked, &[wide]);
        assert_eq!(verdict, Fail);
        assert!(reason.contains("among its first 1 of 2000 columns"), "{reason}");

        // A name is compared as decoders keep it.
        let control = reading("a.csv", 9, table(1, &["a\u{fffd}b"]));
        assert_eq!(of(&columns(&["a\u{1}b"], OnViolation::Fail), &[control]).0, Pass);
    }

    #[test]
    fn what_has_no_columns_is_told_apart() {
        let of = |asked: &Expectation, readings: &[Reading]| check_owned(&judged(asked, readings), "required_columns");
        let asked = columns(&["id"], OnViolation::Fail);
        let good = reading("a.csv", 9, table(1, &["id"]));
        let page = reading("b.pdf", 9, document());
        let mut book = reading("c.xlsx", 9, whole(4));
        book.object.format = Some(Format::Excel);
        let (verdict, reason) = of(&asked, &[good.clone(), page.clone(), book.clone()]);
        assert_eq!(verdict, Pass);
        assert!(
            reason.ends_with("; documents and workbooks, which have none: 2"),
            "{reason}"
        );
        assert_eq!(of(&asked, &[page, book]).0, Warn);
        assert_eq!(of(&asked, &[]).0, Skipped);
        assert_eq!(of(&asked, &[reading("a.csv", 9, whole(0))]).0, Skipped);
        // Rows without a column lack them all.
        assert_eq!(of(&asked, &[reading("a.csv", 9, whole(1))]).0, Fail);
        let broken = reading("b.csv", 9, Finding::Defective(Defect::new("is cut off")));
        assert_eq!(of(&asked, &[good.clone(), broken]).0, Skipped);

        let structure = Expectation {
            level: Level::Structure,
            ..asked.clone()
        };
        let header = |names: &[&str]| {
            Finding::Framed(Framed {
                columns: names.iter().map(|&name| name.to_owned()).collect(),
                column_count: names.len() as u64,
                ..Framed::default()
            })
        };
        assert_eq!(of(&structure, &[reading("a.csv", 9, header(&["id"]))]).0, Pass);
        assert_eq!(of(&structure, &[reading("a.csv", 9, header(&["x"]))]).0, Fail);
        let (verdict, reason) = of(&structure, &[reading("a.csv", 9, header(&[]))]);
        assert_eq!(verdict, Fail);
        assert!(reason.contains("level structure"), "{reason}");
        let listing = Expectation {
            level: Level::Listing,
            ..asked
        };
        assert_eq!(of(&listing, &[reading("a.csv", 9, Finding::Listed)]).0, Fail);
    }

    #[test]
    fn rows_are_within_what_is_expected() {
        let of = |min, max, on_violation, readings: &[Reading]| {
            let rows = Some(ExpectedRows { min, max, on_violation });
            let asked = expecting(Expectations {
                rows,
                ..Expectations::default()
            });
            check_owned(&judged(&asked, readings), "expected_rows")
        };
        let five = [reading("a.csv", 9, whole(2)), reading("b.csv", 9, whole(3))];
        for (on, violated) in ON {
            for (min, max, expected) in [
                (Some(5), None, Pass),
                (None, Some(5), Pass),
                (Some(5), Some(5), Pass),
                (Some(6), None, violated),
                (None, Some(4), violated),
                (Some(6), Some(9), violated),
                (Some(1), Some(4), violated),
            ] {
                assert_eq!(of(min, max, on, &five).0, expected, "{min:?} {max:?}");
            }
            // What was not counted is not within.
            let broken = [reading("a.csv", 9, Finding::Defective(Defect::new("is cut off")))];
            assert_eq!(of(Some(0), None, on, &broken).0, violated);
            assert_eq!(of(Some(0), None, on, &[reading("a.pdf", 9, document())]).0, violated);
        }
        let (_, reason) = of(Some(6), None, OnViolation::Fail, &five);
        assert_eq!(
            reason,
            "5 rows, fewer than 6. The event expects that in Landfall.Verification.Expect.Rows"
        );
        let (_, reason) = of(Some(1), Some(9), OnViolation::Fail, &five);
        assert_eq!(reason, "5 rows; at least 1 and at most 9 are expected");

        let asked = |level| Expectation {
            allow_empty: true,
            level,
            ..expecting(Expectations {
                rows: Some(ExpectedRows {
                    min: None,
                    max: Some(9),
                    on_violation: OnViolation::Fail,
                }),
                ..Expectations::default()
            })
        };
        let of = |level, finding| {
            let size = u64::from(finding != Finding::Empty);
            check_owned(&judged(&asked(level), &[reading("a", size, finding)]), "expected_rows")
        };
        assert_eq!(of(Level::Full, Finding::Empty).0, Pass);
        let (verdict, reason) = of(Level::Structure, framed(Some(9)));
        assert_eq!((verdict, reason.contains("by the footers")), (Pass, true), "{reason}");
        assert_eq!(of(Level::Structure, framed(Some(10))).0, Fail);
        let (verdict, reason) = of(Level::Structure, framed(None));
        assert_eq!((verdict, reason.contains("level structure")), (Fail, true), "{reason}");
    }

    #[test]
    fn rows_change_no_more_than_is_expected() {
        let of = |previous: Option<(u64, bool)>, percent, on_violation, rows| {
            let asked = Expectation {
                previous: previous.map(|(rows, same_request)| Previous {
                    job_key: "former".to_owned(),
                    same_request,
                    rows,
                }),
                ..expecting(Expectations {
                    change: Some(ExpectedChange {
                        max_percent: percent,
                        on_violation,
                    }),
                    ..Expectations::default()
                })
            };
            let finding = if rows == u64::MAX {
                Finding::Defective(Defect::new("is cut off"))
            } else {
                whole(rows)
            };
            check_owned(&judged(&asked, &[reading("a.csv", 9, finding)]), "row_change")
        };
        for (on, violated) in ON {
            for (before, percent, rows, expected) in [
                (100, 10, 110, Pass),
                (100, 10, 90, Pass),
                (100, 10, 111, violated),
                (100, 10, 89, violated),
                (100, 0, 100, Pass),
                (100, 0, 101, violated),
                (100_000, 10, 110_001, violated),
                (0, 1_000_000, 0, Pass),
                (0, 1_000_000, 1, violated),
                (u64::MAX - 1, 100, 0, Pass),
                (u64::MAX - 1, 99, 0, violated),
                (1, 1_000_000, u64::MAX, violated),
            ] {
                assert_eq!(
                    of(Some((before, true)), percent, on, rows).0,
                    expected,
                    "{before} {percent} {rows}"
                );
            }
            // Of another request nothing can be said.
            let (verdict, reason) = of(Some((100, false)), 10, on, 100);
            assert_eq!(verdict, Warn);
            assert!(reason.contains("of another request"), "{reason}");
            assert!(reason.contains("a destination of its own"), "{reason}");
            assert_eq!(of(None, 10, on, 100).0, Skipped);
        }
        let (_, reason) = of(Some((100_000, true)), 10, OnViolation::Fail, 110_001);
        assert!(
            reason.contains("110001 rows, and former had 100000: 10.01 % more"),
            "{reason}"
        );
        assert!(reason.contains("at most 10 % are expected"), "{reason}");
    }

    #[test]
    fn data_is_no_older_than_is_expected() {
        let of = |max_seconds, on_violation, readings: &[Reading]| {
            let asked = expecting(Expectations {
                age: Some(ExpectedAge {
                    max_seconds,
                    on_violation,
                }),
                ..Expectations::default()
            });
            check_owned(&judged(&asked, readings), "data_age")
        };
        let mut readings = [reading("a.csv", 9, whole(1)), reading("b.csv", 9, whole(1))];
        readings[0].object.last_modified += TimeDelta::seconds(30);
        for (on, violated) in ON {
            assert_eq!(of(60, on, &readings).0, Pass);
            let (verdict, reason) = of(59, on, &readings);
            assert_eq!(verdict, violated);
            assert!(reason.contains("run=1/b.csv"), "{reason}");
            assert!(reason.contains("60 s before"), "{reason}");
            assert_eq!(of(30, on, &readings[..1]).0, Pass);
            assert_eq!(of(1, on, &[]).0, Skipped);
        }
        // Clocks differ.
        readings[0].object.last_modified += TimeDelta::hours(1);
        assert_eq!(of(1, OnViolation::Fail, &readings[..1]).0, Pass);
    }

    #[test]
    fn a_text_that_ends_unlike_the_others_is_named() {
        let text = |name: &str, format, unterminated| {
            let mut reading = reading(
                name,
                9,
                Finding::Whole(Decoded {
                    rows: 1,
                    unterminated,
                    ..Decoded::default()
                }),
            );
            reading.object.format = Some(format);
            reading
        };
        let of = |readings: &[Reading]| check_owned(&judged(&asked(), readings), "text_complete");
        let (whole_a, whole_b) = (text("a", Format::Csv, false), text("b", Format::Csv, false));
        let open = text("c", Format::Csv, true);
        assert_eq!(of(&[whole_a.clone(), whole_b.clone()]).0, Pass);
        assert_eq!(of(std::slice::from_ref(&open)).0, Pass);
        assert_eq!(of(&[open.clone(), open.clone()]).0, Pass);
        let (verdict, reason) = of(&[whole_a.clone(), whole_b, open.clone()]);
        assert_eq!(verdict, Warn);
        assert!(reason.contains("1 of 3 data objects of CSV"), "{reason}");
        assert!(reason.contains("run=1/c"), "{reason}");
        assert!(reason.contains("may be cut off at the border of a record"), "{reason}");
        // Each format has its writer.
        assert_eq!(of(&[whole_a, text("d", Format::Jsonl, true)]).0, Pass);
        let mut orc = open;
        orc.object.format = Some(Format::Orc);
        assert_eq!(of(&[orc]).0, Skipped);
    }

    fn any_reading() -> impl Strategy<Value = Reading> {
        let finding = prop_oneof![
            6 => (0_u64..3, any::<bool>(), 0_usize..3).prop_map(|(rows, unterminated, columns)| {
                Finding::Whole(Decoded {
                    rows,
                    unterminated,
                    columns: (0..columns).map(|n| format!("column {n}")).collect(),
                    column_count: columns as u64,
                    ..Decoded::default()
                })
            }),
            1 => option::of(1_u64..3).prop_map(|pages| Finding::Whole(Decoded {
                document: Some(Document { pages }),
                ..Decoded::default()
            })),
            1 => "[a-z\n]{0,300}".prop_map(|what| Finding::Defective(Defect::new(what))),
            1 => "[a-z]{0,9}".prop_map(Finding::Foreign),
            2 => Just(Finding::Empty),
            1 => select(vec![None, Some(Content::Gzip)]).prop_map(Finding::Extra),
            1 => option::of(0_u64..3).prop_map(framed),
            1 => Just(Finding::Listed),
        ];
        (
            ".{0,300}",
            select(vec![0_u64, 1, 9, TEST_FILE + 1]),
            finding,
            -20_i64..20,
            select(vec![None, Some("AES256"), Some("aws:kms")]),
            select(vec![
                None,
                Some("arn:aws:kms:r:1:key/a"),
                Some("arn:aws:kms:r:1:key/b"),
                Some("a"),
            ]),
            select(vec![
                None,
                Some("AAAA"),
                Some("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
            ]),
            select(vec![Format::Csv, Format::Jsonl, Format::Orc, Format::Pdf]),
        )
            .prop_map(|(name, size, finding, age, encryption, key, stored, format)| {
                // Only an object of no bytes is found empty.
                let size = if finding == Finding::Empty { 0 } else { size };
                let mut reading = reading(&name, size, finding);
                reading.object.format = reading.object.format.map(|_| format);
                reading.object.last_modified -= TimeDelta::seconds(age);
                reading.object.encryption = encryption.map(str::to_owned);
                reading.object.kms_key = key.map(str::to_owned);
                reading.stored_sha256 = stored.map(str::to_owned);
                reading
            })
    }

    fn any_asked() -> impl Strategy<Value = Expectation> {
        (
            select(vec![None, Some(Format::Csv), Some(Format::Orc)]),
            any::<bool>(),
            select(vec![None, Some("arn:aws:kms:r:1:key/a"), Some("alias/a"), Some("a")]),
            option::of(0_u64..9),
            any::<bool>(),
            option::of(0_u64..2),
            option::of(vec(0_usize..9, 0..8)),
        )
            .prop_map(
                |(format, allow_empty, kms_key, rows, strict_row_count, failed_rows, files)| Expectation {
                    format,
                    allow_empty,
                    kms_key: kms_key.map(str::to_owned),
                    rows,
                    strict_row_count,
                    failed_rows,
                    files: files.map(|files| {
                        files
                            .into_iter()
                            .map(|n| NamedFile {
                                label: format!("file {n}"),
                                format: Format::Csv,
                                uri: (n > 1).then(|| format!("s3://exports/run=1/{n}").parse().unwrap()),
                                error: (n == 0).then(|| "GONE\nfor good".to_owned()),
                            })
                            .collect()
                    }),
                    ..asked()
                },
            )
    }

    fn any_settling() -> impl Strategy<Value = Settling> {
        let changes = || {
            vec("[a-z]{1,3}", 0..30).prop_map(|keys| {
                let mut changes = Changes::default();
                keys.iter().for_each(|key| changes.added.add(key));
                changes
            })
        };
        (any::<bool>(), changes(), changes(), option::weighted(0.2, "[a-z]{1,9}")).prop_map(
            |(settled, last, earlier, disturbed)| {
                let mut settling = Settling {
                    listings: 3,
                    settled,
                    last,
                    earlier,
                    ..Settling::default()
                };
                disturbed.iter().for_each(|key| settling.disturbed.add(key));
                settling
            },
        )
    }

    proptest! {
        /// Whatever landed: reasons are bounded, what is not whole fails, and what is kept does not grow.
        #[test]
        fn what_is_said_is_bounded_and_never_too_good(
            asked in any_asked(),
            readings in vec(any_reading(), 0..12),
            settling in any_settling(),
        ) {
            let judged = judged_as(&asked, &readings, &settling);
            prop_assert_eq!(judged.checks.len(), 17);
            for check in &judged.checks {
                prop_assert!(check.reason.chars().count() <= REASON_LENGTH, "{}", check.name);
                prop_assert!(!check.reason.is_empty());
                prop_assert!(!check.reason.contains(char::is_control), "{:?}", check.reason);
            }
            let of_data = |reading: &&Reading| reading.object.role == Role::Data;
            let data: Vec<_> = readings.iter().filter(of_data).collect();
            prop_assert_eq!(judged.data_objects, data.len() as u64);
            prop_assert_eq!(judged.bytes, data.iter().map(|reading| reading.object.size).sum::<u64>());
            let is_whole = |reading: &&Reading| matches!(reading.finding, Finding::Whole(_));
            let is_empty = |reading: &&Reading| reading.finding == Finding::Empty;
            if !data.iter().all(|reading| is_whole(reading) || is_empty(reading)) || !settling.settled {
                prop_assert_eq!(judged.verdict, Verdict::Failed);
            }
            if !data.iter().all(is_whole) {
                prop_assert_eq!(verdict(&judged, "rows_counted"), Skipped);
            }
        }
    }

    /// All that may be expected, each of it met by little.
    fn any_expect() -> impl Strategy<Value = Expectations> {
        let on_violation = OnViolation::Fail;
        let columns = option::of(Just(ExpectedColumns {
            required: vec!["id".to_owned()],
            on_violation,
        }));
        let rows = option::of(Just(ExpectedRows {
            min: Some(1),
            max: Some(2),
            on_violation,
        }));
        let change = option::of(Just(ExpectedChange {
            max_percent: 1,
            on_violation,
        }));
        let age = option::of(Just(ExpectedAge {
            max_seconds: 1,
            on_violation,
        }));
        (columns, rows, change, age).prop_map(|(columns, rows, change, age)| Expectations {
            columns,
            rows,
            change,
            age,
        })
    }

    proptest! {
        /// Who asks on a command line has no event to change, and no service that counts or names anything.
        #[test]
        fn a_command_is_advised_what_it_can_do(
            asked in any_asked(),
            expect in any_expect(),
            level in select(vec![Level::Listing, Level::Structure, Level::Full]),
            readings in vec(any_reading(), 0..6),
            framed_rows in option::of(option::of(0_u64..3)),
            settling in any_settling(),
        ) {
            let asked = Expectation {
                asker: Asker::Command,
                failed_rows: None,
                expect,
                level,
                ..asked
            };
            let mut readings = readings;
            readings.extend(framed_rows.map(|rows| reading("z", 9, framed(rows))));
            for check in judged_as(&asked, &readings, &settling).checks {
                for of_event in [" event", "Landfall.", "the service reports", "the service names", "the request"] {
                    prop_assert!(!check.reason.contains(of_event), "{}: {}", check.name, check.reason);
                }
            }
        }
    }

    /// A million readings take no more than a thousand do.
    #[test]
    fn what_is_kept_does_not_grow() {
        let asked = Expectation {
            expect: columns(&["id"], OnViolation::Fail).expect,
            kms_key: Some("alias/a".to_owned()),
            files: Some(Vec::new()),
            ..asked()
        };
        let of = |count: usize| {
            let mut tally = Tally::new(&asked);
            for n in 0..count {
                let finding = match n % 4 {
                    0 => table(1, &["x"]),
                    1 => Finding::Defective(Defect::new("is cut off")),
                    2 => Finding::Empty,
                    _ => Finding::Extra(None),
                };
                let mut reading = reading(&format!("{n:07}"), (n % 2) as u64, finding);
                reading.object.last_modified -= TimeDelta::hours(1);
                reading.stored_sha256 = Some("AAAA".to_owned());
                tally.add(&reading);
            }
            // Digits of the counts apart, what is kept is what it prints.
            format!("{tally:?}").len()
        };
        assert!(of(MAX_OBJECTS * 20) < of(MAX_OBJECTS) + 100);
    }
}
