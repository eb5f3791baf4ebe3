//! Reads the input of a function.
//!
//! What must stay true: each JSON text is read, whatever it contains. EventBridge and Step Functions pass on numbers
//! that no float holds, half surrogate pairs, any nesting, and members that occur twice. serde_json refuses a text with
//! any of these, even in a member that nobody reads. Here such a place keeps its JSON text as a string, so that two
//! different events stay different, and it is reported as a fault with its path. So a function can refuse the event
//! with an error of Landfall, and Seal still finds the kind and the execution.
//!
//! The Lambda runtime is asked for a [`Payload`], which accepts any text. [`Input::read`] goes through it level by
//! level: it splits an object into its members and an array into its items without reading them, and then reads one
//! after the other.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor},
};
use serde_json::{Map, Value, value::RawValue};

use crate::{
    error::{Error, ErrorKind, Result},
    fault::{Faults, member_path},
    hash::sha256_hex,
};

/// The deepest nesting that is read. The events of all kinds have about ten levels. What is read here is written to the
/// ledger and read again by serde_json, whose limit is 128.
pub const MAX_DEPTH: usize = 64;

const MAX_FAULTS: usize = 100;

/// A payload as Lambda sent it. The runtime passes on any text.
#[derive(Debug)]
pub struct Payload(Result<Box<RawValue>, String>);

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Box::deserialize(deserializer).map_err(|error| error.to_string())))
    }
}

/// A JSON value, with the places that could not be read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Input {
    /// A place that could not be read holds its JSON text as a string.
    pub value: Value,
    /// The places that could not be read.
    pub faults: Faults,
    /// The whole text; empty if everything could be read.
    text: String,
}

/// Why an event could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The places that could not be read.
    pub faults: Faults,
    /// SHA-256 of the event's text, in hex.
    pub sha256: String,
}

impl From<Value> for Input {
    fn from(value: Value) -> Self {
        Self {
            value,
            ..Self::default()
        }
    }
}

impl TryFrom<Payload> for Input {
    type Error = Error;

    /// Fails with `InvalidEvent` if the payload is not JSON.
    fn try_from(Payload(text): Payload) -> Result<Self> {
        text.map(|text| Self::of(&text))
            .map_err(|why| Error::new(ErrorKind::InvalidEvent, format!("the input is not JSON: {why}")))
    }
}

impl Input {
    /// Reads a text. Fails if it is not JSON.
    pub fn read(text: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(text).map(Self::of)
    }

    fn of(text: &RawValue) -> Self {
        let mut reader = Reader::default();
        let value = reader.value(text, &Path::Root, 1);
        let is_whole = reader.faults.is_empty();
        Self {
            value,
            faults: reader.faults,
            text: if is_whole { String::new() } else { text.get().to_owned() },
        }
    }

    /// What could not be read of the input; `None` if everything could.
    pub fn unreadable(self) -> Option<Unreadable> {
        (!self.faults.is_empty()).then(|| Unreadable {
            sha256: sha256_hex(self.text.as_bytes()),
            faults: self.faults,
        })
    }

    /// What could not be read of one member, with paths that begin at it; `None` if all of it could.
    pub fn unreadable_member(mut self, name: &str) -> Option<Unreadable> {
        let faults = self.faults.split_off(&format!("$.{name}"));
        if faults.is_empty() {
            return None;
        }
        let members: Members<'_> = serde_json::from_str(&self.text).unwrap_or_default();
        let member = members.0.iter().rfind(|(key, _)| name_of(key) == name);
        let text = member.map_or(self.text.as_str(), |(_, value)| value.get());
        Some(Unreadable {
            sha256: sha256_hex(text.as_bytes()),
            faults,
        })
    }
}

/// Reads a handler's input. Fails with `Internal` if it cannot be read, because Landfall itself wrote the output of the
/// state before. Faults in `error` are ignored: Step Functions cuts the cause of an error, possibly within a surrogate
/// pair.
pub fn read_input<T: DeserializeOwned>(input: impl Into<Input>) -> Result<T> {
    let mut input = input.into();
    let _ = input.faults.split_off("$.error");
    if let Some(fault) = input.faults.iter().next() {
        return Err(foreign(fault));
    }
    read_value(input.value)
}

/// Like [`read_input`], for a value whose faults do not matter.
pub fn read_value<T: DeserializeOwned>(value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(foreign)
}

fn foreign(why: impl fmt::Display) -> Error {
    Error::internal(format!("the input is not what the state before this one gives: {why}"))
}

/// The members of an object in their order, not read yet.
#[derive(Default)]
struct Members<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// The place that is being read.
enum Path<'a> {
    Root,
    Member(&'a Self, &'a str),
    Item(&'a Self, usize),
}

impl Path<'_> {
    fn text(&self) -> String {
        match self {
            Self::Root => "$".to_owned(),
            Self::Member(parent, name) => member_path(&parent.text(), name),
            Self::Item(parent, index) => format!("{}[{index}]", parent.text()),
        }
    }
}

#[derive(Default)]
struct Reader {
    faults: Faults,
}

impl Reader {
    fn value(&mut self, text: &RawValue, path: &Path<'_>, depth: usize) -> Value {
        let first = text.get().as_bytes().first();
        let read = match first {
            Some(b'{' | b'[') if depth > MAX_DEPTH => {
                self.fault(path, format!("a value below {MAX_DEPTH} levels"), "nest it less deeply");
                None
            }
            Some(b'{') => serde_json::from_str(text.get())
                .ok()
                .map(|Members(members)| self.object(&members, path, depth)),
            Some(b'[') => serde_json::from_str(text.get())
                .ok()
                .map(|items: Vec<&RawValue>| self.array(&items, path, depth)),
            Some(b'"') => Some(Value::String(self.string(text, path))),
            _ => self.plain(text, path),
        };
        read.unwrap_or_else(|| Value::String(text.get().to_owned()))
    }

    fn object(&mut self, members: &[(&RawValue, &RawValue)], path: &Path<'_>, depth: usize) -> Value {
        let mut object = Map::new();
        for (key, text) in members {
            let name = self.string(key, path);
            let here = Path::Member(path, &name);
            let value = self.value(text, &here, depth + 1);
            if object.contains_key(&name) {
                self.fault(&here, "a member that stands there more than once", "name it once");
            }
            object.insert(name, value);
        }
        Value::Object(object)
    }

    fn array(&mut self, items: &[&RawValue], path: &Path<'_>, depth: usize) -> Value {
        let read = |(index, text): (usize, &&RawValue)| self.value(text, &Path::Item(path, index), depth + 1);
        Value::Array(items.iter().enumerate().map(read).collect())
    }

    fn string(&mut self, text: &RawValue, path: &Path<'_>) -> String {
        serde_json::from_str(text.get()).unwrap_or_else(|_| {
            self.fault(
                path,
                "a text with half a surrogate pair",
                "an escape from \\ud800 to \\udfff needs its other half",
            );
            spelled_out(text.get())
        })
    }

    /// Reads a number, `true`, `false` or `null`.
    fn plain(&mut self, text: &RawValue, path: &Path<'_>) -> Option<Value> {
        let read = serde_json::from_str(text.get()).ok();
        if read.is_none() {
            self.fault(path, "a number that is too large", "must be less than 1.8e308");
        }
        read
    }

    fn fault(&mut self, path: &Path<'_>, found: impl fmt::Display, allowed: &str) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.add(path.text(), found, allowed);
        }
    }
}

fn name_of(key: &RawValue) -> String {
    serde_json::from_str(key.get()).unwrap_or_else(|_| spelled_out(key.get()))
}

/// The text of a JSON string. Each half of a surrogate pair stays an escape.
fn spelled_out(json: &str) -> String {
    let unit = |escape: &str| u16::from_str_radix(escape.strip_prefix("\\u")?.get(..4)?, 16).ok();
    let mut mended = String::with_capacity(json.len() + 8);
    let mut rest = json;
    while let Some((before, escape)) = rest.find('\\').and_then(|at| rest.split_at_checked(at)) {
        mended.push_str(before);
        let length = match unit(escape) {
            Some(0xd800..=0xdbff) if matches!(escape.get(6..).and_then(unit), Some(0xdc00..=0xdfff)) => 12,
            Some(0xd800..=0xdfff) => {
                mended.push('\\');
                6
            }
            Some(_) => 6,
            None => 2,
        };
        let (escape, after) = escape.split_at_checked(length).unwrap_or((escape, ""));
        mended.push_str(escape);
        rest = after;
    }
    mended.push_str(rest);
    serde_json::from_str(&mended).unwrap_or(mended)
}

#[cfg(test)]
mod tests;
