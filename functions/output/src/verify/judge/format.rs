//! `format`: whether each data object is of its format, to its end.
//!
//! What must stay true: an object that was not decoded as the level asks fails, and the reason says what helps.

use std::collections::BTreeSet;

use landfall::job::Level;
use landfall_formats::{Document, Remedy};

use super::{
    case::Case,
    judgement::{Judgement, fail, pass, skipped, warn},
    words::{Examples, key, objects},
};
use crate::verify::{
    Expectation, classify,
    report::{Finding, Reading},
};

/// What helps if an object was damaged on its way.
const RERUN: &str = "run the export again";

/// How the data objects fit their formats.
#[derive(Clone, Debug, Default)]
pub(super) struct Formats {
    wrong: Examples,
    /// What helps with the wrong objects.
    advice: BTreeSet<&'static str>,
    /// Documents of which only the structure was decoded.
    uncounted: Examples,
    /// Objects with remarks by their decoder.
    remarked: Examples,
}

impl Formats {
    pub(super) fn add(&mut self, asked: &Expectation, reading: &Reading) {
        self.add_remarks(reading);
        match &reading.finding {
            Finding::Whole(decoded) => {
                if decoded.document == Some(Document { pages: None }) {
                    self.uncounted.add(|| key(reading));
                }
            }
            Finding::Framed(_) if asked.level > Level::Structure => {
                self.wrong.add(|| format!("{}: was not decoded", key(reading)));
            }
            Finding::Listed if asked.level > Level::Listing => {
                self.wrong.add(|| format!("{}: was not looked at", key(reading)));
            }
            // Empty objects belong to another check.
            Finding::Framed(_) | Finding::Listed | Finding::Empty => {}
            Finding::Defective(defect) => {
                self.advice.insert(defect.remedy.map_or(RERUN, Remedy::advice));
                self.wrong.add(|| format!("{}: {defect}", key(reading)));
            }
            Finding::Foreign(what) => {
                if !classify::has_advice(what) {
                    self.advice.insert(asked.asker.words().other_format);
                }
                self.wrong.add(|| format!("{} {what}", key(reading)));
            }
            // Data objects never have these findings.
            Finding::Extra(_) | Finding::Untold => self.wrong.add(|| format!("{}: was not read", key(reading))),
        }
    }

    fn add_remarks(&mut self, reading: &Reading) {
        let (remarks, empty_lines) = match &reading.finding {
            Finding::Whole(decoded) => (&decoded.remarks, decoded.empty_lines),
            Finding::Framed(framed) => (&framed.remarks, 0),
            _ => return,
        };
        if empty_lines == 0 && remarks.is_empty() {
            return;
        }
        self.remarked.add(|| {
            let empty = match empty_lines {
                0 => String::new(),
                lines => format!(
                    "has {}, which are not counted as rows: some writers write a null of a single column that way, others \
                     mean nothing",
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

    pub(super) fn judge(&self, case: &Case<'_>) -> Judgement {
        let counts = case.counts;
        let asked = match case.asked.format {
            Some(format) => format.name().to_owned(),
            None => counts.format_names(),
        };
        if !self.wrong.is_empty() {
            return fail(format!(
                "{} of {} cannot be decoded as {}: {}. Do not use these files{}",
                self.wrong.count,
                case.data_objects(),
                if asked.is_empty() {
                    "what they are named as"
                } else {
                    &asked
                },
                self.wrong,
                self.advice
                    .iter()
                    .map(|advice| format!("; {advice}"))
                    .collect::<String>(),
            ));
        }
        let (verdict, reason) = self.decoded_as(case, &asked);
        if self.remarked.is_empty() {
            return (verdict, reason);
        }
        warn(format!(
            "{reason}. Somebody should look at {} of them: {}",
            self.remarked.count, self.remarked
        ))
    }

    /// How far the data objects are known to be of the format, if none is wrong.
    fn decoded_as(&self, case: &Case<'_>, asked: &str) -> Judgement {
        let counts = case.counts;
        if counts.framed > 0 {
            let which = if counts.any_format(|row| !row.shows_its_end()) {
                "begins"
            } else {
                "ends"
            };
            return pass(format!(
                "{}: their {which} are those of {asked}; not decoded, as {} asks (level {})",
                objects(counts.framed + counts.whole, "data object"),
                case.words().who,
                case.asked.level
            ));
        }
        if counts.whole == 0 {
            return skipped(if case.is_below_full() {
                case.beyond_level("what the objects hold was not looked at")
            } else {
                "there is no data object to decode".to_owned()
            });
        }
        if !self.uncounted.is_empty() {
            return warn(format!(
                "{} decoded as {asked}; of some only the structure was decoded, because they are large or encrypted: {}",
                objects(counts.whole, "data object"),
                self.uncounted
            ));
        }
        pass(format!(
            "{} decoded to the end as {asked}",
            objects(counts.whole, "data object")
        ))
    }
}
