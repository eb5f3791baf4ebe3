//! The two ways to read quotes within quotes.
//!
//! What must stay true: if both ways can read the text and their counts differ, it is refused. The result does not
//! depend on how the bytes are cut into chunks.
//!
//! RFC 4180 doubles a quote within quotes; Spark, Hive and Glue escape it by a backslash. As long as no backslash
//! precedes a quote within quotes, both ways are the same, and one reading goes over the text. At the first such quote
//! a second reading begins, unless a quote was doubled before, which the second way does not know. A reading is dropped
//! when it meets something that it cannot read. If one reading is left at the end, it is the answer, with a remark if
//! it is the second. If both are left and their counts are equal, that is the answer too. If their counts differ, or
//! none is left, the text is refused.

use serde::{Deserialize, Serialize};

use super::{
    automaton::Quotes,
    records::{Header, MAX_HEADER, Records},
};
use crate::{
    decoded::Decoded,
    decoder::{Checkpoint, Decoder},
    defect::Defect,
    remark::Remark,
    state::{MAX_STATE, json_size},
    text::{Text, TextState},
};

/// The name in its checkpoints.
const NAME: &str = "csv";

/// Decodes CSV.
#[derive(Debug, Default)]
pub struct CsvDecoder {
    text: Text,
    readings: Readings,
}

/// Where a [`CsvDecoder`] continues, at any byte of the object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CsvState {
    text: TextState,
    readings: Readings,
}

/// The readings of a text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Readings {
    /// The reading with doubled quotes.
    doubled: Records,
    /// Where that reading failed, and why.
    denied: Option<Defect>,
    /// The reading with escaped quotes.
    escaped: Escaped,
}

/// The second reading.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Escaped {
    /// It is the same as the first.
    #[default]
    Same,
    /// It differs from the first since the record that begins on this line. The first may have failed since.
    Holds { records: Box<Records>, line: u64 },
    /// It failed.
    Denied(Defect),
}

impl CsvDecoder {
    /// A decoder at the beginning of an object.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Continues from a state. The next byte to push is the one at the offset that came with the state.
    pub(super) fn restored(state: CsvState) -> Self {
        Self {
            text: Text::resume(state.text),
            readings: state.readings,
        }
    }

    /// The offset of the next byte to push to another decoder, at most three bytes back, and the state for it. `None`
    /// if the header is so large that the state would take more than 256 KiB as JSON.
    pub(super) fn state(&self) -> Option<(u64, CsvState)> {
        let headings = self.readings.all().map(|records| json_size(&records.heading));
        if headings.sum::<usize>() > MAX_STATE - 4096 {
            return None;
        }
        let text = self.text.checkpoint();
        let readings = self.readings.clone();
        Some((text.offset, CsvState { text, readings }))
    }

    /// Rows decoded so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.readings.holding().rows
    }

    /// Number of fields in the header; `None` while it is not complete.
    #[must_use]
    pub fn width(&self) -> Option<u64> {
        self.readings.holding().header.map(|header| header.fields)
    }

    pub(super) fn readings(&self) -> &Readings {
        &self.readings
    }
}

impl Decoder for CsvDecoder {
    fn push(&mut self, chunk: &[u8]) -> Result<(), Defect> {
        let readings = &mut self.readings;
        let result = self.text.push(chunk, |bytes| readings.push(bytes));
        result.map_err(|defect| readings.holding().placed(defect))
    }

    fn finish(self: Box<Self>) -> Result<Decoded, Defect> {
        let Self { text, mut readings } = *self;
        text.finish(|bytes| readings.push(bytes))
            .map_err(|defect| readings.holding().placed(defect))?;
        readings.finish()
    }

    fn held(&self) -> usize {
        let headings = self.readings.all().map(|records| records.heading.capacity());
        headings.sum::<usize>() + self.text.pending().len()
    }

    fn needs(&self, _size: u64) -> u64 {
        // The header, in each of two readings.
        2 * MAX_HEADER as u64
    }

    fn checkpoint(&self) -> Option<Checkpoint> {
        let (offset, state) = self.state()?;
        Checkpoint::new(NAME, offset, &state)
    }

    fn resume(self: Box<Self>, checkpoint: Checkpoint) -> Result<Box<dyn Decoder>, Defect> {
        Ok(Box::new(Self::restored(checkpoint.state(NAME)?)))
    }
}

impl Readings {
    /// All readings that have not failed.
    fn all(&self) -> impl Iterator<Item = &Records> {
        let escaped = match &self.escaped {
            Escaped::Holds { records, .. } => Some(&**records),
            Escaped::Same | Escaped::Denied(_) => None,
        };
        std::iter::once(&self.doubled).chain(escaped)
    }

    /// A reading that has not failed; the first if both have not, or if both have.
    pub(super) fn holding(&self) -> &Records {
        match (&self.denied, &self.escaped) {
            (Some(_), Escaped::Holds { records, .. }) => records,
            _ => &self.doubled,
        }
    }

    /// The ways in which the rest may be read, and the remark that is certain.
    pub(super) fn open(&self) -> (Vec<(Quotes, Option<Header>)>, Option<Remark>) {
        let doubled = (Quotes::Doubled, self.doubled.header);
        match (&self.denied, &self.escaped) {
            (Some(_), Escaped::Holds { records, line }) => {
                (vec![(Quotes::Escaped, records.header)], Some(escapes().on_line(*line)))
            }
            (None, Escaped::Holds { records, .. }) => (vec![doubled, (Quotes::Escaped, records.header)], None),
            (None, Escaped::Same) if self.doubled.watch => {
                (vec![doubled, (Quotes::Escaped, self.doubled.header)], None)
            }
            (_, Escaped::Denied(_) | Escaped::Same) => (vec![doubled], None),
        }
    }

    fn push(&mut self, mut bytes: &[u8]) -> Result<(), Defect> {
        if self.denied.is_none() {
            match self.doubled.push(bytes) {
                Ok(None) => {}
                Ok(Some(at)) => {
                    self.escaped = Escaped::Holds {
                        line: self.doubled.line,
                        records: Box::new(self.doubled.fork()),
                    };
                    // Both readings have taken the bytes before.
                    bytes = &bytes[at..];
                    return self.push(bytes);
                }
                Err(defect) => self.denied = Some(self.doubled.placed(defect)),
            }
        }
        if let Escaped::Holds { records, .. } = &mut self.escaped
            && let Err(defect) = records.push(bytes)
        {
            self.escaped = Escaped::Denied(records.placed(defect));
        }
        match (&self.denied, &self.escaped) {
            (Some(doubled), Escaped::Same) => Err(doubled.clone()),
            (Some(doubled), Escaped::Denied(escaped)) => Err(neither(doubled.clone(), escaped)),
            (_, Escaped::Holds { .. }) | (None, _) => Ok(()),
        }
    }

    fn finish(self) -> Result<Decoded, Defect> {
        let doubled = match self.denied {
            Some(defect) => Err(defect),
            None => self.doubled.finish(),
        };
        let (escaped, line) = match self.escaped {
            Escaped::Same => return doubled,
            Escaped::Denied(defect) => (Err(defect), None),
            Escaped::Holds { records, line } => (records.finish(), Some(line)),
        };
        let on_line = |remark: Remark| match line {
            Some(line) => remark.on_line(line),
            None => remark,
        };
        match (doubled, escaped) {
            (Ok(doubled), Err(_)) => Ok(doubled),
            (Err(_), Ok(mut escaped)) => {
                escaped.remarks.add(on_line(escapes()));
                Ok(escaped)
            }
            (Ok(mut doubled), Ok(escaped))
                if (doubled.rows, doubled.column_count) == (escaped.rows, escaped.column_count) =>
            {
                doubled.remarks.add(on_line(Remark::new(
                    "has as many rows with quotes doubled, as RFC 4180 has it, as with quotes escaped by a backslash, as \
                     Spark, Hive and Glue write them, but not the same values: make sure that its readers take it as \
                     its writer does",
                )));
                Ok(doubled)
            }
            (Ok(doubled), Ok(escaped)) => {
                let defect = Defect::new(format!(
                    "can be read in two ways, with {} rows of {} fields if its quotes are doubled, as RFC 4180 has it, and \
                     with {} of {} if they are escaped by a backslash, as Spark, Hive and Glue write them: have its \
                     writer double them",
                    doubled.rows, doubled.column_count, escaped.rows, escaped.column_count
                ));
                Err(match line {
                    Some(line) => defect.on_line(line),
                    None => defect,
                })
            }
            (Err(doubled), Err(escaped)) => Err(neither(doubled, &escaped)),
        }
    }
}

/// The remark on a text whose quotes are escaped.
fn escapes() -> Remark {
    Remark::new(
        "escapes quotes by a backslash, as Spark, Hive and Glue do, and does not double them, as RFC 4180 has it: make \
         sure that its readers know",
    )
}

/// The defect of a text that cannot be read in either way: that of RFC 4180, and that of the other way in brackets.
fn neither(mut doubled: Defect, escaped: &Defect) -> Defect {
    doubled.what = format!(
        "{} (nor can its quotes be escaped by backslashes, as Spark, Hive and Glue write them: {escaped})",
        doubled.what
    );
    doubled
}
