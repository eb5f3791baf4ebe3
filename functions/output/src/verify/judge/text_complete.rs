//! `text_complete`: whether texts end as their writer ends them.
//!
//! What must stay true: a text that is cut off right after a record still decodes to its end. It shows only because the
//! other files of the export end with a line break, and this one does not.

use std::collections::BTreeMap;

use super::{
    case::Case,
    judgement::{Judgement, pass, skipped, warn},
    words::{Examples, key, objects, verb},
};
use crate::verify::report::{Finding, Reading};

/// How the texts of one format end.
#[derive(Clone, Debug, Default)]
struct Ends {
    /// How many end with a line break.
    terminated: u64,
    /// Those that end without one.
    open: Examples,
}

/// How all texts end, by the name of their format.
#[derive(Clone, Debug, Default)]
pub(super) struct Texts(BTreeMap<&'static str, Ends>);

impl Texts {
    /// Adds a data object.
    pub(super) fn add(&mut self, reading: &Reading) {
        let (Finding::Whole(decoded), Some(format)) = (&reading.finding, reading.object.format) else {
            return;
        };
        if !format.row().is_text {
            return;
        }
        let ends = self.0.entry(format.name()).or_default();
        if decoded.unterminated {
            ends.open.add(|| key(reading));
        } else {
            ends.terminated += 1;
        }
    }

    pub(super) fn judge(&self, case: &Case<'_>) -> Judgement {
        if self.0.is_empty() {
            return skipped(if case.is_below_full() {
                case.beyond_level("how texts end was not looked at")
            } else {
                "there is no text that was decoded to its end".to_owned()
            });
        }
        let mixed: Vec<_> = self
            .0
            .iter()
            .filter(|(_, ends)| ends.terminated > 0 && !ends.open.is_empty())
            .map(|(format, ends)| {
                format!(
                    "{} of {} of {format} {} not end with a line break, unlike the others: {}",
                    ends.open.count,
                    objects(ends.open.count + ends.terminated, "data object"),
                    verb(ends.open.count, "does", "do"),
                    ends.open
                )
            })
            .collect();
        if !mixed.is_empty() {
            return warn(format!(
                "{}. They may be cut off at the border of a record: compare them with the source, or run the export again",
                mixed.join("; ")
            ));
        }
        let open: u64 = self.0.values().map(|ends| ends.open.count).sum();
        let terminated: u64 = self.0.values().map(|ends| ends.terminated).sum();
        pass(match (terminated, open) {
            (_, 0) => format!("{} with a line break at the end", objects(terminated, "text")),
            (0, _) => format!(
                "{} without a line break at the end, as all of them are",
                objects(open, "text")
            ),
            _ => format!(
                "{} with a line break at the end and {} without, as all of their format are",
                objects(terminated, "text"),
                objects(open, "text")
            ),
        })
    }
}
