//! Invented customer profiles, and the files that an export makes of them.
//!
//! What must stay true: a profile follows from the seed, its number and the size of the segment alone. Any part of a
//! segment can therefore be written by itself, and memory does not grow with the segment. All people are invented:
//! names are put together at random, mail goes to `example.com`, phone numbers are `555-01xx`. Values hold what breaks
//! careless readers: commas, quotes, line breaks, tabs, many scripts, emoji, empty and long texts. Each column of an
//! export has a value in at least one of its profiles, because Customer Profiles exports only such attributes.

mod person;

use std::{io::Write, ops::Range};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Map, Value};

use self::person::{ATTRIBUTES, Attribute, ENGAGEMENT_PREFERENCES, Person};
use super::orc;

/// A format that Customer Profiles exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataFormat {
    /// With a header row, nested attributes flattened to `Address.City`.
    Csv,
    /// One JSON object a line, nested.
    Jsonl,
    /// Flattened as in CSV; zlib, several stripes where large.
    Orc,
}

impl DataFormat {
    /// Every format, in the order of the model.
    pub const ALL: [Self; 3] = [Self::Csv, Self::Jsonl, Self::Orc];

    /// The value of the model's enum.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Csv => "CSV",
            Self::Jsonl => "JSONL",
            Self::Orc => "ORC",
        }
    }

    /// The format that a value of the model's enum means. These values are in capitals.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// The extension of a file's name. AWS documents none (reference CP1).
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
            Self::Orc => "orc",
        }
    }

    /// A format that is not this one.
    pub(crate) const fn another(self) -> Self {
        match self {
            Self::Csv | Self::Orc => Self::Jsonl,
            Self::Jsonl => Self::Csv,
        }
    }
}

/// The profiles of a segment.
#[derive(Clone, Debug)]
pub struct Profiles {
    seed: u64,
    total: u64,
    columns: Vec<&'static Attribute>,
}

/// One profile: a value, an empty value or none for each column.
pub type Row = Vec<Option<String>>;

impl Profiles {
    /// `total` profiles. They and their attributes follow from `seed`.
    pub fn new(seed: u64, total: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let columns = ATTRIBUTES
            .iter()
            .filter(|attribute| rng.random_range(0..100) < attribute.used);
        Self {
            seed,
            total,
            columns: columns.collect(),
        }
    }

    /// The attributes of which at least one profile has a value, in the order of a file's columns.
    pub fn columns(&self) -> impl ExactSizeIterator<Item = &'static str> + '_ {
        self.columns.iter().map(|attribute| attribute.name)
    }

    /// The profile with this number, counted from 0.
    pub fn row(&self, number: u64) -> Row {
        let mut person = Person::new(self.seed, number);
        let value = |(column, attribute): (usize, &&'static Attribute)| {
            // Each column has one profile that certainly fills it.
            let sure = self.total > 0 && column as u64 % self.total == number;
            if sure || person.chance(attribute.filled) {
                Some((attribute.value)(&mut person))
            } else {
                person.chance(25).then(String::new)
            }
        };
        self.columns.iter().enumerate().map(value).collect()
    }

    /// Writes a file with the profiles of these numbers.
    pub fn write(&self, format: DataFormat, numbers: Range<u64>, out: impl Write) -> anyhow::Result<()> {
        match format {
            DataFormat::Csv => self.write_csv(numbers, true, out),
            DataFormat::Jsonl => self.write_jsonl(numbers, out),
            DataFormat::Orc => self.write_orc(numbers, out),
        }
    }

    /// [`Self::write`] into memory.
    pub fn encode(&self, format: DataFormat, numbers: Range<u64>) -> anyhow::Result<Vec<u8>> {
        let mut file = Vec::new();
        self.write(format, numbers, &mut file)?;
        Ok(file)
    }

    /// A file that ends in the middle: within a row in CSV and JSONL, before the footer in ORC.
    pub(crate) fn encode_truncated(&self, format: DataFormat, numbers: Range<u64>) -> anyhow::Result<Vec<u8>> {
        /// Shorter than the first value of any row.
        const OF_THE_ROW: usize = 16;
        let middle = numbers.start + numbers.end.saturating_sub(numbers.start) / 2;
        if format == DataFormat::Orc || middle >= numbers.end {
            let mut file = self.encode(format, numbers)?;
            file.truncate(file.len() / 2);
            return Ok(file);
        }
        let mut file = self.encode(format, numbers.start..middle)?;
        let mut row = Vec::new();
        match format {
            DataFormat::Csv => self.write_csv(middle..middle + 1, false, &mut row)?,
            DataFormat::Jsonl | DataFormat::Orc => self.write_jsonl(middle..middle + 1, &mut row)?,
        }
        row.truncate(OF_THE_ROW);
        file.extend(row);
        Ok(file)
    }

    // AWS documents neither the header row, nor the flattening, nor that nulls have no notation (reference CP4).
    fn write_csv(&self, numbers: Range<u64>, header: bool, out: impl Write) -> anyhow::Result<()> {
        let mut writer = csv::Writer::from_writer(out);
        if header {
            writer.write_record(self.columns())?;
        }
        for number in numbers {
            let row = self.row(number);
            writer.write_record(row.iter().map(|value| value.as_deref().unwrap_or_default()))?;
        }
        writer.flush()?;
        Ok(())
    }

    fn write_jsonl(&self, numbers: Range<u64>, mut out: impl Write) -> anyhow::Result<()> {
        for number in numbers {
            serde_json::to_writer(&mut out, &self.nested(self.row(number)))?;
            out.write_all(b"\n")?;
        }
        Ok(())
    }

    /// A profile in the form that the API gives it: `Address` and `Attributes` are objects, and absent members are left
    /// out.
    fn nested(&self, row: Row) -> Map<String, Value> {
        let mut profile = Map::new();
        for (name, value) in self.columns().zip(row) {
            let Some(value) = value else { continue };
            match name.split_once('.') {
                Some((outer, inner)) => {
                    let object = profile.entry(outer).or_insert_with(|| Value::Object(Map::new()));
                    if let Value::Object(object) = object {
                        object.insert(inner.to_owned(), Value::String(value));
                    }
                }
                None if name == ENGAGEMENT_PREFERENCES && !value.is_empty() => {
                    let preferences = serde_json::from_str(&value).unwrap_or(Value::String(value));
                    profile.insert(name.to_owned(), preferences);
                }
                None => {
                    profile.insert(name.to_owned(), Value::String(value));
                }
            }
        }
        profile
    }

    fn write_orc(&self, numbers: Range<u64>, out: impl Write) -> anyhow::Result<()> {
        let mut writer = orc::Writer::new(out, self.columns().map(str::to_owned).collect())?;
        for number in numbers {
            let row = self.row(number);
            writer.row(row.iter().map(Option::as_deref))?;
        }
        writer.finish()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
