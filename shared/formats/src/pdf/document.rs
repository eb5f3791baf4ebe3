//! The objects of a document.
//!
//! What must stay true: each entry in use leads to an object. Each stream that is deflated is complete.

use std::{collections::BTreeMap, ops::Range};

use super::{
    encrypted::Decryption,
    filters::{self, Fault},
    lexer::{Dict, Value},
    mended::Mended,
    object::{Account, MAX_OBJECTS, Object, extent, object_at},
    packed::Packed,
    rebuild,
    table::{Entry, Place},
};
use crate::defect::Defect;

/// How many bytes a deflated byte stands for at most, and a few more.
const RATIO: u64 = 1_040;
/// How many references may lead to each other.
const MAX_HOPS: usize = 16;

/// A document whose table was read.
#[derive(Debug)]
pub(super) struct Document<'a> {
    pub(super) bytes: &'a [u8],
    /// By number.
    pub(super) entries: Vec<Entry>,
    pub(super) packed: BTreeMap<u32, Packed>,
    pub(super) account: Account,
    pub(super) mended: Mended,
}

impl<'a> Document<'a> {
    pub(super) fn entry(&self, number: u32) -> Option<&Entry> {
        let at = self.entries.binary_search_by_key(&number, |entry| entry.number).ok()?;
        self.entries.get(at)
    }

    /// The object with this number.
    pub(super) fn get(&self, number: u32) -> Option<Object<'_>> {
        match self.entry(number)?.place {
            Place::Free => None,
            Place::At(at) => object_at(self.bytes, at as usize, &self.account).filter(|object| object.number == number),
            Place::In { stream, index } => {
                if self.account.is_spent() {
                    return None;
                }
                self.packed.get(&stream)?.get(number, index, &self.account)
            }
        }
    }

    /// A value with all references followed.
    pub(super) fn resolve<'b>(&'b self, mut value: Value<'b>) -> Value<'b> {
        for _ in 0..MAX_HOPS {
            let Value::Ref(number) = value else {
                return value;
            };
            value = self.get(number).map_or(Value::Null, |object| object.value);
        }
        Value::Null
    }

    pub(super) fn has_packed(&self) -> bool {
        self.entries.iter().any(|entry| matches!(entry.place, Place::In { .. }))
    }

    /// Finds each object that has an offset, at that offset or elsewhere. Answers the length of the largest one.
    pub(super) fn find_objects(&mut self, older: &[(u32, u32)]) -> Result<usize, Defect> {
        let mut largest = 0;
        let mut lost = Vec::new();
        for (index, entry) in self.entries.iter().enumerate() {
            let Place::At(at) = entry.place else {
                continue;
            };
            let object = object_at(self.bytes, at as usize, &self.account);
            let is_it = |object: &Object<'_>| object.number == entry.number && object.generation == entry.generation;
            match object.filter(is_it) {
                Some(object) => largest = largest.max(object.length),
                None => lost.push(index),
            }
            self.account.check()?;
        }
        if lost.is_empty() {
            return Ok(largest);
        }
        let found = rebuild::scan(self.bytes, &self.account)?;
        for index in lost {
            let Entry {
                number,
                generation,
                place,
            } = self.entries[index];
            let elsewhere = rebuild::last(&found, older, number, generation)
                .and_then(|at| Some((at, object_at(self.bytes, at as usize, &self.account)?)));
            self.account.check()?;
            let Some((at, object)) = elsewhere else {
                let defect = Defect::new(format!(
                    "has no object {number}, which is in use by its cross-reference table"
                ));
                return Err(match place {
                    Place::At(at) => defect.at(at.into()),
                    _ => defect,
                });
            };
            largest = largest.max(object.length);
            self.entries[index].place = Place::At(at);
            self.mended.table = true;
        }
        Ok(largest)
    }

    pub(super) fn decrypt(&self, largest: usize) -> Result<Option<Decryption>, Defect> {
        let packed = self.has_packed().then(|| {
            let at = self.entries.iter().filter_map(|entry| match entry.place {
                Place::In { stream, .. } => Some(stream),
                _ => None,
            });
            at.collect::<std::collections::BTreeSet<_>>()
        });
        let mut held = largest;
        for stream in packed.into_iter().flatten() {
            if let Some(object) = self.get(stream) {
                held += self.data(&object).map_or(0, |(range, _)| range.len());
            }
        }
        self.account.check()?;
        Decryption::of(self.bytes, self.entries.len(), held)
    }

    /// Unpacks all object streams, and finds the objects in them. Objects that a rebuilt table does not know are added.
    pub(super) fn unpack_objects(&mut self, is_rebuilt: bool) -> Result<(), Defect> {
        let mut room = MAX_OBJECTS;
        let mut streams: Vec<u32> = self
            .entries
            .iter()
            .filter_map(|entry| match (entry.place, is_rebuilt) {
                (Place::In { stream, .. }, false) => Some(stream),
                (Place::At(_), true) => Some(entry.number),
                _ => None,
            })
            .collect();
        streams.sort_unstable();
        streams.dedup();
        let mut added = Vec::new();
        for number in streams {
            let packed = match self.unpack(number, &mut room)? {
                Some(packed) => packed,
                None if is_rebuilt => continue,
                None => {
                    return Err(Defect::new(format!(
                        "has no object stream {number}, which its objects lie in"
                    )));
                }
            };
            self.account.add(packed.len());
            if is_rebuilt {
                added.extend(packed.entries(number));
            }
            self.packed.insert(number, packed);
        }
        if is_rebuilt {
            self.entries.extend(added);
            self.entries.sort_by_key(|entry| entry.number);
            self.entries.dedup_by_key(|entry| entry.number);
        }
        let mut moved = Vec::new();
        for (at, entry) in self.entries.iter().enumerate() {
            let Place::In { stream, index } = entry.place else {
                continue;
            };
            let Some(packed) = self.packed.get(&stream) else {
                continue;
            };
            match packed.index(entry.number, index) {
                Some(found) if packed.get(entry.number, found, &self.account).is_some() => {
                    if found != index {
                        moved.push((at, Place::In { stream, index: found }));
                    }
                }
                _ => {
                    self.account.check()?;
                    return Err(Defect::new(format!(
                        "has no object {} in its object stream {stream}, which is in use by its cross-reference table",
                        entry.number
                    )));
                }
            }
        }
        for (at, place) in moved {
            self.entries[at].place = place;
            self.mended.table = true;
        }
        Ok(())
    }

    fn unpack(&self, number: u32, room: &mut u64) -> Result<Option<Packed>, Defect> {
        let Some(object) = self.get(number) else {
            return Ok(None);
        };
        let Value::Dict(dict) = object.value else {
            return Ok(None);
        };
        if !self.resolve(dict.get(b"Type")).is_name(b"ObjStm") {
            return Ok(None);
        }
        let Some((range, _)) = self.data(&object) else {
            return Ok(None);
        };
        let steps = filters::steps(dict, &|value| self.resolve(value)).map_err(|fault| defect(fault, number))?;
        let unpacked =
            filters::unpack(&self.bytes[range], &steps, room, true).map_err(|fault| defect(fault, number))?;
        let count = |key: &[u8]| match self.resolve(dict.get(key)) {
            Value::Integer(count) => usize::try_from(count).ok(),
            _ => None,
        };
        Ok(Packed::new(unpacked.data.into_owned(), count(b"N"), count(b"First")))
    }

    /// The data of a stream, and whether its length is right.
    fn data(&self, object: &Object<'_>) -> Option<(Range<usize>, bool)> {
        let (Value::Dict(dict), Some(begin)) = (&object.value, object.data) else {
            return None;
        };
        let length = match self.resolve(dict.get(b"Length")) {
            Value::Integer(length) => Some(length),
            _ => None,
        };
        extent(self.bytes, length, begin, &self.account)
    }

    /// Checks that all streams are complete.
    pub(super) fn check_streams(&mut self, decryption: Option<&Decryption>) -> Result<(), Defect> {
        let mut room = self.bytes.len() as u64 * RATIO;
        let (mut lengths, mut unchecked) = (0, 0);
        for entry in &self.entries {
            let (Place::At(_), Some(object)) = (entry.place, self.get(entry.number)) else {
                continue;
            };
            let (Value::Dict(dict), Some(_)) = (&object.value, object.data) else {
                continue;
            };
            let Some((range, is_right)) = self.data(&object) else {
                self.account.check()?;
                return Err(Defect::new(format!(
                    "has a stream without an end in object {}",
                    entry.number
                )));
            };
            lengths += u64::from(!is_right);
            // The data are in another file.
            if matches!(dict.get(b"F"), Value::Other | Value::Dict(_)) {
                continue;
            }
            let is_table = dict.get(b"Type").is_name(b"XRef");
            let data = match decryption {
                // The table is never encrypted.
                Some(decryption) if !is_table => decryption
                    .data(entry.number, entry.generation)
                    .ok_or_else(|| defect(Fault::Corrupt, entry.number))?,
                _ => self.bytes[range].into(),
            };
            let steps = match filters::steps(*dict, &|value| self.resolve(value)) {
                Ok(steps) => steps,
                // Only the objects that need this stream are affected.
                Err(_) => continue,
            };
            let unpacked =
                filters::unpack(&data, &steps, &mut room, false).map_err(|fault| defect(fault, entry.number))?;
            unchecked += u64::from(unpacked.unchecked);
            self.account.check()?;
        }
        self.mended.lengths = lengths;
        self.mended.unchecked = unchecked;
        Ok(())
    }

    /// Whether the filters of a stream are known.
    pub(super) fn is_readable(&self, dict: Dict<'_>) -> bool {
        filters::steps(dict, &|value| self.resolve(value)).is_ok()
    }
}

fn defect(fault: Fault, number: u32) -> Defect {
    Defect::new(match fault {
        Fault::Corrupt => format!("has a corrupt stream in object {number}"),
        Fault::Unknown => format!("has a stream in object {number} whose filter is none of PDF's"),
        Fault::Large => format!(
            "has streams that inflate to more than is taken, the last of them in object {number}: object streams to \
             more than {} MiB, or one within another",
            MAX_OBJECTS >> 20
        ),
    })
}
