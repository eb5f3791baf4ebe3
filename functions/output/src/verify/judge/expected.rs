//! What the event expects beyond what every output must be.
//!
//! What must stay true: an expectation that could not be looked at is violated, never taken for met; each says for
//! itself whether that warns or fails.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use landfall::{
    expect::{Expectations, ExpectedColumns, OnViolation},
    job::Level,
};
use landfall_formats::{Format, MAX_COLUMN_NAME};

use super::{
    Judgement,
    asker::Words,
    fail, pass, skipped, warn,
    words::{Examples, cut, key, objects, shown, time},
};
use crate::verify::{
    Previous,
    report::{Finding, Reading},
};

/// What the rows of an output came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Total {
    pub(super) rows: u64,
    /// Empty lines of which nobody says whether they are rows, too.
    pub(super) empty_lines: u64,
    /// Whether they were decoded; if not, the objects' own footers count them.
    pub(super) decoded: bool,
}

impl Total {
    fn words(self) -> String {
        let how = if self.decoded {
            ""
        } else {
            " by the footers, not decoded"
        };
        format!("{}{how}", objects(self.rows, "row"))
    }
}

fn violated(on_violation: OnViolation, member: &str, reason: &str, words: &Words) -> Judgement {
    let reason = format!("{reason}. {}{member}", words.expect);
    match on_violation {
        OnViolation::Warn => warn(reason),
        OnViolation::Fail => fail(reason),
    }
}

/// What is known of the columns.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    /// The required names as decoders keep names, each with its place in `found`.
    required: BTreeMap<String, usize>,
    /// Data objects that have columns.
    tables: u64,
    lacking: Examples,
    /// Data objects without a row, of which columns cannot be told.
    bare: u64,
    /// Documents and workbooks.
    without: u64,
    /// Data objects whose columns were not looked at.
    unseen: u64,
    /// Data objects that are not whole.
    broken: u64,
}

impl Columns {
    pub(super) fn new(expected: Option<&ExpectedColumns>) -> Self {
        let names = expected.map(|columns| columns.required.as_slice()).unwrap_or_default();
        let mut required = BTreeMap::new();
        for name in names {
            let place = required.len();
            required.entry(kept_name(name)).or_insert(place);
        }
        Self {
            required,
            ..Self::default()
        }
    }

    /// Takes up a data object.
    pub(super) fn add(&mut self, reading: &Reading) {
        if self.required.is_empty() {
            return;
        }
        let has_none = matches!(reading.object.format, Some(Format::Pdf | Format::Excel));
        match &reading.finding {
            Finding::Whole(decoded) if has_none || decoded.document.is_some() => self.without += 1,
            Finding::Whole(decoded) if decoded.column_count == 0 && decoded.rows == 0 => self.bare += 1,
            Finding::Whole(decoded) => self.hold(reading, &decoded.columns, decoded.column_count),
            Finding::Framed(framed) if has_none || framed.document.is_some() => self.without += 1,
            Finding::Framed(framed) if framed.column_count == 0 => self.unseen += 1,
            Finding::Framed(framed) => self.hold(reading, &framed.columns, framed.column_count),
            Finding::Listed if has_none => self.without += 1,
            Finding::Listed => self.unseen += 1,
            Finding::Defective(_) | Finding::Foreign(_) | Finding::Empty => self.broken += 1,
            Finding::Extra(_) | Finding::Untold => {}
        }
    }

    fn hold(&mut self, reading: &Reading, columns: &[String], count: u64) {
        self.tables += 1;
        let mut found = vec![false; self.required.len()];
        for column in columns {
            if let Some(place) = self.required.get(column)
                && let Some(found) = found.get_mut(*place)
            {
                *found = true;
            }
        }
        if found.iter().all(|found| *found) {
            return;
        }
        let is_missing = |place: usize| found.get(place) == Some(&false);
        let mut missing: Vec<_> = self.required.iter().filter(|(_, place)| is_missing(**place)).collect();
        missing.sort_unstable_by_key(|(_, place)| **place);
        self.lacking.add(|| {
            let names: Examples = missing
                .iter()
                .map(|(name, _)| cut(&format!("{name:?}"), MAX_COLUMN_NAME))
                .collect();
            match columns.len() as u64 {
                kept if kept < count => format!(
                    "{} lacks {names} among its first {kept} of {count} columns",
                    key(reading)
                ),
                _ => format!("{} lacks {names}", key(reading)),
            }
        });
    }

    /// Takes up objects of which it was not looked at whether they are data.
    pub(super) fn add_untold(&mut self, objects: u64) {
        self.unseen += objects;
    }

    pub(super) fn judge(&self, expected: Option<&ExpectedColumns>, level: Level, words: &Words) -> Judgement {
        let Some(expected) = expected else {
            return skipped(format!("{} no columns", words.expects));
        };
        let violated = |reason: &str| violated(expected.on_violation, "Columns", reason, words);
        if !self.lacking.is_empty() {
            return violated(&format!(
                "{} of {} without a column that must be there: {}",
                self.lacking.count,
                objects(self.tables, "data object"),
                self.lacking
            ));
        }
        if self.unseen > 0 {
            return violated(&format!(
                "the columns of {} were not looked at, as {} asks (level {level})",
                objects(self.unseen, "data object"),
                words.who
            ));
        }
        if self.broken > 0 {
            return skipped(format!(
                "{} could not be looked at: see the other checks",
                objects(self.broken, "data object")
            ));
        }
        let without = match self.without {
            0 => String::new(),
            without => format!("documents and workbooks, which have none: {without}"),
        };
        if self.tables == 0 {
            return match self.without {
                0 => skipped("there is no data object with a row or a heading"),
                _ => warn(format!(
                    "nothing that landed has columns to hold against those that {}: {without}",
                    words.expects
                )),
            };
        }
        let between = if without.is_empty() { "" } else { "; " };
        pass(format!(
            "{} with all of the {} that {}{between}{without}",
            objects(self.tables, "data object"),
            objects(self.required.len() as u64, "column"),
            words.expects
        ))
    }
}

/// A column's name as the decoders keep it.
fn kept_name(name: &str) -> String {
    name.chars()
        .take(MAX_COLUMN_NAME)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

pub(super) fn rows(expect: &Expectations, total: Result<Total, String>, words: &Words) -> Judgement {
    let Some(expected) = &expect.rows else {
        return skipped(format!("{} no number of rows", words.expects));
    };
    let violated = |reason: &str| violated(expected.on_violation, "Rows", reason, words);
    let total = match total {
        Ok(total) => total,
        Err(why) => return violated(&why),
    };
    let found = total.words();
    let beyond = |rows: u64| match (expected.min, expected.max) {
        (Some(min), _) if rows < min => Some(format!("fewer than {min}")),
        (_, Some(max)) if rows > max => Some(format!("more than {max}")),
        _ => None,
    };
    let least = expected.min.map(|min| format!("at least {min}"));
    let most = expected.max.map(|max| format!("at most {max}"));
    let bounds = least.into_iter().chain(most).collect::<Vec<_>>().join(" and ");
    let with_lines = total.rows.saturating_add(total.empty_lines);
    match (beyond(total.rows), beyond(with_lines)) {
        (None, None) => pass(format!("{found}; {bounds} are expected")),
        (Some(why), _) if total.empty_lines == 0 => violated(&format!("{found}, {why}")),
        _ => violated(&format!(
            "{found}, and {with_lines} if empty lines of one column count; {bounds} are expected. Say in EmptyLines whether \
             they count"
        )),
    }
}

pub(super) fn change(
    expect: &Expectations,
    total: Result<Total, String>,
    previous: Option<&Previous>,
    words: &Words,
) -> Judgement {
    let Some(expected) = &expect.change else {
        return skipped(format!(
            "{} nothing of the change since the former export",
            words.expects
        ));
    };
    let Some(previous) = previous else {
        return skipped(words.no_previous);
    };
    let former = shown(&previous.job_key);
    if !previous.same_request {
        return warn(format!(
            "the newest receipt there is of another request, that of {former}, so that its rows prove nothing; give each \
             request a destination of its own"
        ));
    }
    let violated = |reason: &str| violated(expected.on_violation, "Change", reason, words);
    let total = match total {
        Ok(total) => total,
        Err(why) => return violated(&why),
    };
    let (rows, before, most) = (total.rows, previous.rows, expected.max_percent);
    let found = format!("{}, and {former} had {before}", total.words());
    let difference = u128::from(rows.abs_diff(before));
    if difference == 0 {
        return pass(format!("{found}: no change"));
    }
    let direction = if rows < before { "fewer" } else { "more" };
    if before == 0 {
        return violated(&format!("{found}: of no rows any change is infinite"));
    }
    // In hundredths of a percent, rounded up, so that what is beyond the bound does not look like it.
    let hundredths = (difference * 10_000).div_ceil(u128::from(before));
    let found = format!("{found}: {}.{:02} % {direction}", hundredths / 100, hundredths % 100);
    if difference * 100 > u128::from(most) * u128::from(before) {
        violated(&format!("{found}, and at most {most} % are expected"))
    } else {
        pass(format!("{found}; at most {most} % are expected"))
    }
}

/// `untold` says why the oldest data object is not known, if so.
pub(super) fn age(
    expect: &Expectations,
    oldest: Option<&(DateTime<Utc>, String)>,
    untold: Option<&str>,
    now: DateTime<Utc>,
    words: &Words,
) -> Judgement {
    let Some(expected) = &expect.age else {
        return skipped(format!("{} nothing of the data's age", words.expects));
    };
    let Some((written, key)) = oldest else {
        return match untold {
            Some(why) => violated(expected.on_violation, "Age", why, words),
            None => skipped("there is no data object"),
        };
    };
    let seconds = u64::try_from((now - *written).num_seconds()).unwrap_or_default();
    let found = format!(
        "the oldest data object, {}, was written at {}, {seconds} s before it was judged",
        shown(key),
        time(*written)
    );
    if seconds > expected.max_seconds {
        violated(
            expected.on_violation,
            "Age",
            &format!("{found}, and at most {} s are expected", expected.max_seconds),
            words,
        )
    } else {
        pass(format!("{found}; at most {} s are expected", expected.max_seconds))
    }
}
