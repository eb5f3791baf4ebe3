//! Takes the bytes of JSON lines in order.
//!
//! What must stay true: another process continues at the beginning of a line, with what is known of the lines before.

use serde::{Deserialize, Serialize};

use super::{
    halves::Halves,
    lines::{Lines, MAX_LINE},
};
use crate::{
    decoded::Decoded,
    decoder::{Checkpoint, Decoder},
    defect::Defect,
    state::{MAX_STATE, json_size},
    text::{Text, TextState},
};

/// The name in its checkpoints.
const NAME: &str = "jsonl";

/// Decodes JSON lines.
#[derive(Debug, Default)]
pub struct JsonlDecoder {
    text: Text,
    lines: Lines,
}

/// Where a [`JsonlDecoder`] continues: at the beginning of a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JsonlState {
    text: TextState,
    ended: u64,
    blank: Option<u64>,
    rows: u64,
    columns: Vec<String>,
    column_count: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    halves: Option<Halves>,
}

impl JsonlDecoder {
    /// A decoder at the beginning of an object.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Continues from a state. The next byte to push is the one at the offset that came with the state.
    pub(crate) fn restored(state: JsonlState) -> Self {
        Self {
            text: Text::resume(state.text),
            lines: Lines {
                ended: state.ended,
                blank: state.blank,
                halves: state.halves,
                decoded: Decoded {
                    rows: state.rows,
                    columns: state.columns,
                    column_count: state.column_count,
                    ..Decoded::default()
                },
                ..Lines::default()
            },
        }
    }

    /// The offset of the next byte to push to another decoder, which begins a line, and the state for it. `None` if the
    /// names of the columns would take more than 256 KiB as JSON.
    pub(crate) fn state(&self) -> Option<(u64, JsonlState)> {
        let lines = &self.lines;
        let names: usize = lines.decoded.columns.iter().map(|name| json_size(name) + 3).sum();
        if names > MAX_STATE - 1024 {
            return None;
        }
        let mut text = self.text.checkpoint();
        text.offset -= lines.carry.len() as u64;
        let state = JsonlState {
            text,
            ended: lines.ended,
            blank: lines.blank,
            rows: lines.decoded.rows,
            columns: lines.decoded.columns.clone(),
            column_count: lines.decoded.column_count,
            halves: lines.halves,
        };
        Some((text.offset, state))
    }

    /// The bytes that were pushed after the offset of a checkpoint: those of a line, and those of an unfinished
    /// character.
    pub(crate) fn pending(&self) -> (&[u8], &[u8]) {
        (&self.lines.carry, self.text.pending())
    }

    /// What was decoded so far.
    pub(super) fn so_far(self) -> Decoded {
        self.lines.decoded()
    }
}

impl Decoder for JsonlDecoder {
    fn push(&mut self, chunk: &[u8]) -> Result<(), Defect> {
        let lines = &mut self.lines;
        let result = self.text.push(chunk, |bytes| lines.push(bytes));
        result.map_err(|defect| lines.placed(defect))
    }

    fn finish(self: Box<Self>) -> Result<Decoded, Defect> {
        let Self { text, mut lines } = *self;
        text.finish(|bytes| lines.push(bytes))
            .map_err(|defect| lines.placed(defect))?;
        if !lines.carry.is_empty() {
            let last = std::mem::take(&mut lines.carry);
            lines.decoded.unterminated = true;
            lines.line(&last, true)?;
        }
        Ok(lines.decoded())
    }

    fn held(&self) -> usize {
        let names: usize = self.lines.decoded.columns.iter().map(String::capacity).sum();
        self.lines.carry.capacity() + names
    }

    fn needs(&self, size: u64) -> u64 {
        size.min(MAX_LINE as u64)
    }

    fn checkpoint(&self) -> Option<Checkpoint> {
        let (offset, state) = self.state()?;
        Checkpoint::new(NAME, offset, &state)
    }

    fn resume(self: Box<Self>, checkpoint: Checkpoint) -> Result<Box<dyn Decoder>, Defect> {
        Ok(Box::new(Self::restored(checkpoint.state(NAME)?)))
    }
}
