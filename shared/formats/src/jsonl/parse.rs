//! Parses a line with serde_json.
//!
//! What must stay true: no message quotes a value. The parser's own message may.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::error::Category;

use crate::{
    decoded::{MAX_COLUMNS, column_name},
    defect::Defect,
};

/// What is wrong, in our own words, because the parser's message may quote a value.
pub(super) fn fault(error: &serde_json::Error, line: &[u8], last: bool) -> Defect {
    let column = error.column();
    let category = match error.classify() {
        Category::Syntax if last && ends_within_number(error, line) => Category::Eof,
        category => category,
    };
    Defect::new(match category {
        Category::Data => "is not a JSON object".to_owned(),
        Category::Eof if last => format!("ends within a value at column {column} without a line break: it is cut off"),
        Category::Eof => format!("ends within a value at column {column}"),
        Category::Syntax | Category::Io => format!("is not JSON from column {column} on"),
    })
}

/// Whether one more digit would make the line the beginning of a value. The parser reports `12.` as wrong, and not as
/// cut off.
fn ends_within_number(error: &serde_json::Error, line: &[u8]) -> bool {
    error.column() >= line.len()
        && matches!(line.last(), Some(b'-' | b'+' | b'.' | b'e' | b'E'))
        && serde_json::from_slice::<Object>(&[line, b"0"].concat())
            .is_err_and(|error| error.classify() == Category::Eof)
}

/// Any JSON object, parsed and discarded.
pub(super) struct Object;

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Object, A::Error> {
                while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Object)
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// The keys of an object.
pub(super) struct Keys {
    pub(super) names: Vec<String>,
    pub(super) count: u64,
}

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Keys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Keys, A::Error> {
                let (mut names, mut count) = (Vec::new(), 0);
                while let Some((name, IgnoredAny)) = members.next_entry::<String, IgnoredAny>()? {
                    count += 1;
                    if names.len() < MAX_COLUMNS {
                        names.push(column_name(&name));
                    }
                }
                Ok(Keys { names, count })
            }
        }

        deserializer.deserialize_map(Members)
    }
}
