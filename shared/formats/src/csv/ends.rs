//! What the beginning and the end of a text show.
//!
//! What must stay true: a text that decodes to its end is never refused because of its ends.

use super::{
    automaton::{End, Place, Quotes, step},
    readings::CsvDecoder,
};
use crate::{content::Head, decoded::Framed, decoder::Decoder, defect::Defect, text::text_tail};

/// Checks the first and the last bytes of an object, at most 64 KiB each. Both are the whole object if it is not
/// larger. The first bytes are decoded. The last bytes must be text in which each record has as many fields as the
/// header and none is cut off, in some state at their beginning.
pub(crate) fn frame(head: Head<'_>, tail: &[u8]) -> Result<Framed, Defect> {
    let mut decoder = Box::new(CsvDecoder::new());
    decoder.push(head.bytes)?;
    if head.whole {
        return Ok(Framed::of_begin(decoder.finish()?));
    }
    let tail = text_tail(tail)?;
    let (readings, remark) = decoder.readings().open();
    let records = decoder.readings().holding();
    let Some(header) = records.header else {
        return Ok(Framed::default());
    };
    let fits = readings.into_iter().any(|(quotes, header)| {
        let places = [
            Place::Fresh,
            Place::Field,
            Place::Plain,
            Place::Quoted,
            Place::Backslash,
            Place::Closed,
        ];
        // Without a complete header, nothing is known of the records.
        header.is_none_or(|header| {
            let mut places = places.into_iter();
            places.any(|place| ends_well(tail, place, header.fields, quotes))
        })
    });
    if !fits {
        return Err(Defect::new(
            "ends with records that do not fit its header: it is cut off or damaged",
        ));
    }
    let mut framed = Framed {
        columns: records.columns(header),
        column_count: header.fields,
        ..Framed::default()
    };
    if let Some(remark) = remark {
        framed.remarks.add(remark);
    }
    Ok(framed)
}

/// Whether all records are complete if the bytes begin at `place` in the first one.
fn ends_well(tail: &[u8], mut place: Place, fields: u64, quotes: Quotes) -> bool {
    let wanted = fields - 1;
    // It is not known how many delimiters the first record has before these bytes.
    let (mut first, mut delimiters) = (place != Place::Fresh, 0);
    for byte in tail.iter().chain(b"\n") {
        let end;
        (place, end) = step(place, *byte, b',', quotes);
        match end {
            End::Nothing => {}
            End::Field => delimiters += 1,
            End::Text => return false,
            End::Record if delimiters > wanted || (!first && delimiters < wanted) => return false,
            End::Record => (first, delimiters) = (false, 0),
        }
    }
    place == Place::Fresh
}
