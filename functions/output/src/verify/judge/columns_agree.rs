//! `columns_agree`: whether the parts of an output have the same columns.
//!
//! What must stay true: the check fails only if the columns certainly differ. The memory for it does not grow with the
//! number of objects, and holds no name of a column.
//!
//! The columns of CSV and ORC are compared. The keys of JSON lines are not, because they may vary from row to row.
//! Documents have no columns, and nothing says which row of a workbook names them. Files that a service names are
//! separate tables.

use std::collections::BTreeSet;

use landfall::job::Level;
use landfall_formats::Columns;

use super::{
    asker::Words,
    judgement::{Judgement, fail, pass, skipped, warn},
    words::{Examples, NAMED, key, objects, verb},
};
use crate::verify::{
    report::{Finding, Reading},
    shape::ColumnShape,
};

/// How many different shapes have counts of their own. The objects of further shapes are counted together.
const MAX_SHAPES: usize = 16;

/// The objects of one shape.
#[derive(Clone, Debug)]
struct Group {
    shape: ColumnShape,
    count: u64,
    /// The first keys of the group.
    first: Vec<String>,
}

/// The columns of all data objects, as far as they are known.
#[derive(Clone, Debug, Default)]
pub(super) struct Agreement {
    groups: Vec<Group>,
    /// Objects with further shapes.
    others: Examples,
    /// Objects whose columns were seen.
    tables: u64,
    /// Whether one of them is of a format with a line of headings, which may be missing.
    has_headings: bool,
    /// Objects with two columns of the same name.
    twice: Examples,
    /// Objects of JSON lines.
    lines: u64,
    /// Documents and workbooks.
    without: u64,
    /// Objects whose columns were not looked at.
    unseen: u64,
}

impl Agreement {
    /// Adds a data object.
    pub(super) fn add(&mut self, reading: &Reading) {
        let format = reading.object.format;
        if let Some(ColumnShape {
            twice: Some((one, other)),
            ..
        }) = &reading.shape
        {
            self.twice
                .add(|| format!("{} (columns {one} and {other})", key(reading)));
        }
        match (format.map(|format| format.row().columns), &reading.finding) {
            (Some(Columns::Pages | Columns::Tables), _) => self.without += 1,
            (Some(Columns::Keys), _) => self.lines += 1,
            (Some(columns @ (Columns::Headings | Columns::Schema)), Finding::Whole(_) | Finding::Framed(_)) => {
                match &reading.shape {
                    Some(shape) => {
                        self.tables += 1;
                        self.has_headings |= columns == Columns::Headings;
                        self.group(reading, shape);
                    }
                    None => self.unseen += 1,
                }
            }
            (_, Finding::Listed) => self.unseen += 1,
            _ => {}
        }
    }

    fn group(&mut self, reading: &Reading, shape: &ColumnShape) {
        if let Some(group) = self.groups.iter_mut().find(|group| group.shape.agrees(shape)) {
            group.count += 1;
            if group.first.len() < NAMED {
                group.first.push(key(reading));
            }
        } else if self.groups.len() < MAX_SHAPES {
            self.groups.push(Group {
                shape: shape.clone(),
                count: 1,
                first: vec![key(reading)],
            });
        } else {
            self.others
                .add(|| format!("{} has {}", key(reading), objects(shape.columns, "column")));
        }
    }

    /// `is_one` says that all data objects are parts of one output.
    pub(super) fn judge(&self, is_one: bool, level: Level, words: &Words) -> Judgement {
        if is_one && let Some(found) = self.differences() {
            let headings = if self.has_headings && self.may_lack_headings() {
                " If the files have no line of headings, each of them counts one row too few."
            } else {
                ""
            };
            return fail(format!("{found}. {}.{headings}", words.apart));
        }
        if !self.twice.is_empty() {
            return warn(format!(
                "{} with one name for two columns: {}. Name each column once: most readers take one of the two, or refuse \
                 the file",
                objects(self.twice.count, "data object"),
                self.twice
            ));
        }
        if self.tables == 0 {
            return skipped(match (self.unseen, self.lines, self.without) {
                (1.., _, _) if level < Level::Full => format!(
                    "the columns of {} were not looked at, as {} asks (level {level}); to have it, {}",
                    objects(self.unseen, "data object"),
                    words.who,
                    words.raise_level
                ),
                (_, 1.., _) => "the keys of JSON lines may vary from row to row".to_owned(),
                (_, _, 1..) => "documents and workbooks have no columns that could be compared".to_owned(),
                _ => "there is no data object with columns".to_owned(),
            });
        }
        if !is_one {
            return skipped("each file was asked for separately, so it may have columns of its own");
        }
        let columns = self.groups.first().map_or(0, |group| group.shape.columns);
        pass(match self.tables {
            1 => format!("1 data object of {}", objects(columns, "column")),
            tables => format!("{tables} data objects have the same {}", objects(columns, "column")),
        })
    }

    /// How objects differ from the shape that most objects have; `None` if none differs.
    fn differences(&self) -> Option<String> {
        if self.groups.len() < 2 {
            return None;
        }
        // If several shapes have the same number of objects, take the first.
        let most = self.groups.iter().max_by_key(|group| group.count)?;
        let most = self.groups.iter().find(|group| group.count == most.count)?;
        let mut differing = Examples::default();
        for group in self.groups.iter().filter(|group| !group.shape.agrees(&most.shape)) {
            let how = if group.shape.columns != most.shape.columns {
                format!("has {}", objects(group.shape.columns, "column"))
            } else if group.shape.sorted == most.shape.sorted {
                "has them in another order".to_owned()
            } else {
                "has columns of other names".to_owned()
            };
            differing.append(group.count, group.first.iter().map(|key| format!("{key} {how}")));
        }
        differing.append(self.others.count, self.others.first());
        let others = match most.count - 1 {
            0 => " has".to_owned(),
            others => format!(" and {} have", objects(others, "other")),
        };
        Some(format!(
            "{} of {} {} from the {} that {}{others}: {differing}",
            differing.count,
            objects(self.tables, "data object"),
            verb(differing.count, "differs", "differ"),
            objects(most.shape.columns, "column"),
            most.first.first()?,
        ))
    }

    /// Whether the files may have no line of headings: all have the same number of columns, and no two have the same
    /// names.
    fn may_lack_headings(&self) -> bool {
        let first = self.groups.first().map(|group| group.shape.columns);
        let names: BTreeSet<u64> = self.groups.iter().map(|group| group.shape.sorted).collect();
        let alone = |group: &Group| group.count == 1 && Some(group.shape.columns) == first;
        names.len() == self.groups.len() && self.groups.iter().all(alone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::{
        CheckVerdict,
        judge::{
            Asker,
            tests::{reading, table},
        },
    };
    use landfall_formats::Format;

    fn of(format: Format, name: &str, columns: &[&str]) -> Reading {
        let mut reading = reading(name, 9, table(1, columns));
        reading.object.format = Some(format);
        reading.shape = reading.finding.shape();
        reading
    }

    fn csv(name: &str, columns: &[&str]) -> Reading {
        of(Format::Csv, name, columns)
    }

    fn judged(is_one: bool, readings: &[Reading]) -> (CheckVerdict, String) {
        let mut agreement = Agreement::default();
        for reading in readings {
            agreement.add(reading);
        }
        agreement.judge(is_one, Level::Full, Asker::Event.words())
    }

    #[test]
    fn the_reason_names_the_objects_whose_columns_differ() {
        let parts = [
            csv("a", &["id"]),
            csv("b", &["id", "email"]),
            csv("c", &["id", "email"]),
            csv("d", &["email", "id"]),
            csv("e", &["id", "mail"]),
        ];
        assert_eq!(
            judged(true, &parts),
            (
                CheckVerdict::Fail,
                "3 of 5 data objects differ from the 2 columns that run=1/b and 1 other have: run=1/a has 1 column, run=1/d has \
                 them in another order, run=1/e has columns of other names. They cannot be read as one table: find out \
                 which run or which writer each of them is of, and run the export again."
                    .to_owned()
            )
        );
        let (verdict, reason) = judged(true, &parts[3..]);
        assert_eq!(verdict, CheckVerdict::Fail);
        assert!(
            reason.starts_with("1 of 2 data objects differs from the 2 columns that run=1/d has: run=1/e"),
            "{reason}"
        );
        assert!(
            reason.ends_with("If the files have no line of headings, each of them counts one row too few."),
            "{reason}"
        );
        // These objects are tables of their own.
        assert_eq!(judged(false, &parts).0, CheckVerdict::Skipped);
        assert_eq!(judged(true, &parts[1..3]).0, CheckVerdict::Pass);
        assert_eq!(judged(true, &parts[..1]).0, CheckVerdict::Pass);
    }

    #[test]
    fn columns_are_compared_only_for_csv_and_orc() {
        for (format, verdict) in [
            (Format::Orc, CheckVerdict::Fail),
            (Format::Csv, CheckVerdict::Fail),
            (Format::Jsonl, CheckVerdict::Skipped),
            (Format::JsonlGzip, CheckVerdict::Skipped),
            (Format::Excel, CheckVerdict::Skipped),
        ] {
            let parts = [of(format, "a", &["a"]), of(format, "b", &["b"])];
            assert_eq!(judged(true, &parts).0, verdict, "{format}");
        }
    }

    #[test]
    fn a_repeated_column_name_warns() {
        for format in [Format::Csv, Format::Jsonl] {
            for is_one in [true, false] {
                let (verdict, reason) = judged(is_one, &[of(format, "a", &["id", "x", "id"])]);
                assert_eq!(verdict, CheckVerdict::Warn);
                assert!(reason.contains(": run=1/a (columns 1 and 3)."), "{reason}");
            }
        }
    }

    #[test]
    fn only_a_few_sets_of_columns_are_kept() {
        let mut agreement = Agreement::default();
        for n in 0..1_000 {
            agreement.add(&csv(&format!("{n}"), &[&n.to_string()]));
        }
        assert_eq!(
            (agreement.groups.len(), agreement.others.count),
            (MAX_SHAPES, 1_000 - MAX_SHAPES as u64)
        );
        let (_, reason) = agreement.judge(true, Level::Full, Asker::Event.words());
        assert!(
            reason.starts_with("999 of 1000 data objects differ from the 1 column that run=1/0 has: "),
            "{reason}"
        );
        assert!(
            reason.contains("run=1/5 has columns of other names and 994 more."),
            "{reason}"
        );
    }
}
