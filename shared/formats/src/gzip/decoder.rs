//! Decodes the JSON lines that a gzip file's members inflate to.
//!
//! What must stay true: another process continues at the beginning of a member, with the inner decoder's state at that
//! point. A line may continue in the next member, so the part of it that the inner decoder holds is stored and pushed
//! again.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::members::{MAGIC, Members, Sink};
use crate::{
    decoded::Decoded,
    decoder::{Checkpoint, Decoder},
    defect::Defect,
    jsonl::{JsonlDecoder, JsonlState, MAX_LINE},
};

/// The name in its checkpoints.
const NAME: &str = "jsonl_gzip";
/// The longest part of a line that a checkpoint stores, in bytes.
pub(super) const MAX_PENDING: usize = 256 * 1024;
pub(super) const TWICE: &str = "holds gzip within gzip: it was compressed twice";
/// A byte inflates to at most this many.
const RATIO: u64 = 1_032;

/// Inflates gzip, and decodes the JSON lines in it.
pub struct GzipDecoder {
    members: Members,
    lines: InflatedLines,
    /// Bytes that the inner decoder must get first.
    again: Vec<u8>,
}

/// Takes the bytes that members inflate to.
struct InflatedLines {
    decoder: Box<JsonlDecoder>,
    /// Where another process could continue: at one of the last members.
    place: Option<GzipState>,
    /// The first bytes that the first member inflates to.
    first: Vec<u8>,
    /// Whether a member has ended.
    ended: bool,
}

/// Where a [`GzipDecoder`] continues: at the beginning of a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct GzipState {
    /// Offset of the member.
    offset: u64,
    /// Number of members before it.
    members: u64,
    inner: JsonlState,
    /// Inflated characters that the inner decoder must get again, at most 256 KiB. The bytes of an unfinished character
    /// follow.
    text: String,
    character: Vec<u8>,
}

impl GzipDecoder {
    /// A decoder at the beginning of an object.
    #[must_use]
    pub fn new() -> Self {
        Self {
            members: Members::new(0, 0),
            lines: InflatedLines {
                decoder: Box::default(),
                place: None,
                first: Vec::new(),
                ended: false,
            },
            again: Vec::new(),
        }
    }

    /// Continues from a state. The next byte to push is the one at the state's offset.
    fn restored(state: GzipState) -> Self {
        Self {
            members: Members::new(state.offset, state.members),
            again: [state.text.as_bytes(), &state.character].concat(),
            lines: InflatedLines {
                decoder: Box::new(JsonlDecoder::restored(state.inner.clone())),
                place: Some(state),
                first: Vec::new(),
                ended: true,
            },
        }
    }

    /// Gives the inner decoder the bytes that it held when its state was stored.
    fn catch_up(&mut self) -> Result<(), Defect> {
        let again = std::mem::take(&mut self.again);
        self.lines.decoder.push(&again).map_err(inflated_defect)
    }
}

impl Default for GzipDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Sink for InflatedLines {
    fn take(&mut self, inflated: &[u8], began: u64) -> Result<(), Defect> {
        if !self.ended && self.first.len() < MAGIC.len() {
            let missing = MAGIC.len() - self.first.len();
            self.first.extend(inflated.iter().take(missing));
        }
        self.decoder.push(inflated).map_err(|defect| {
            // No text begins with these bytes, so the inner decoder has refused them.
            if !self.ended && self.first == MAGIC {
                return Defect::new(TWICE).at(began);
            }
            inflated_defect(defect)
        })
    }

    fn member(&mut self, ended: u64, offset: u64) {
        self.ended = true;
        // If many members are shorter than the copy, a copy for each would cost more than the member.
        let last = self.place.as_ref().map_or(0, |place| place.offset);
        if offset - last >= self.decoder.held() as u64
            && let Some(place) = self.here(ended, offset)
        {
            self.place = Some(place);
        }
    }
}

impl InflatedLines {
    /// The place between two members where the decoder is; `None` if the inner decoder would have to get more than 256
    /// KiB again.
    fn here(&self, members: u64, offset: u64) -> Option<GzipState> {
        let (_, inner) = self.decoder.state()?;
        let (text, character) = self.decoder.pending();
        if text.len() > MAX_PENDING {
            return None;
        }
        Some(GzipState {
            offset,
            members,
            inner,
            text: String::from_utf8(text.to_vec()).ok()?,
            character: character.to_vec(),
        })
    }
}

/// A defect of the inflated text, whose offset is not one of the object.
pub(super) fn inflated_defect(mut defect: Defect) -> Defect {
    if let Some(offset) = defect.offset.take() {
        defect.what = format!("{} (byte {offset} of the inflated text)", defect.what);
    }
    defect
}

impl Decoder for GzipDecoder {
    fn push(&mut self, chunk: &[u8]) -> Result<(), Defect> {
        if !self.again.is_empty() {
            self.catch_up()?;
        }
        self.members.push(chunk, &mut self.lines)
    }

    fn finish(mut self: Box<Self>) -> Result<Decoded, Defect> {
        self.catch_up()?;
        self.members.finish()?;
        self.lines.decoder.finish().map_err(inflated_defect)
    }

    fn held(&self) -> usize {
        let lines = &self.lines;
        let place = lines.place.as_ref().map_or(0, |place| place.text.capacity());
        self.members.held() + lines.decoder.held() + self.again.capacity() + place
    }

    fn needs(&self, size: u64) -> u64 {
        // A few bytes may inflate to a long line.
        size.saturating_mul(RATIO).min(MAX_LINE as u64)
    }

    fn checkpoint(&self) -> Option<Checkpoint> {
        let between = self.members.between().filter(|_| self.again.is_empty());
        let here = between.and_then(|(members, offset)| self.lines.here(members, offset));
        let place = here.as_ref().or(self.lines.place.as_ref())?;
        Checkpoint::new(NAME, place.offset, place)
    }

    fn resume(self: Box<Self>, checkpoint: Checkpoint) -> Result<Box<dyn Decoder>, Defect> {
        Ok(Box::new(Self::restored(checkpoint.state(NAME)?)))
    }
}

impl fmt::Debug for GzipDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GzipDecoder")
            .field("members", &self.members)
            .field("decoder", &self.lines.decoder)
            .finish_non_exhaustive()
    }
}
