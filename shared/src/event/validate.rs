//! Checks whether a value conforms to a JSON Schema, and finds each place where it does not.
//!
//! What must stay true: this finds what any validator of JSON Schema 2020-12 finds, and all of it at once
//! (`tests/tests/validator.rs` compares it with the crate `jsonschema`). A schema with a keyword that is not known here
//! is refused, so that no part of a schema is silently ignored.
//!
//! Event schemas use some twenty keywords and no references. A validator of the whole standard, with resolvers, numbers
//! of any size and two engines for regular expressions, would be larger than the rest of a start function.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use regex_lite::Regex;
use serde_json::{Map, Number, Value};

use crate::error::{Error, Result};

/// Keywords that do not restrict a value.
const ANNOTATIONS: [&str; 7] = [
    "$id",
    "$schema",
    "default",
    "description",
    "readOnly",
    "title",
    "writeOnly",
];

/// White space in the regular expressions of ECMA-262, which JSON Schema uses.
const SPACE: &str = r"\t\n\x0B\x0C\r \u{A0}\u{1680}\u{2000}-\u{200A}\u{2028}\u{2029}\u{202F}\u{205F}\u{3000}\u{FEFF}";

/// What is wrong at one place of a value.
#[derive(Debug)]
pub(super) struct Violation<'a> {
    /// The place, as a JSON pointer.
    pub(super) pointer: String,
    /// The value at this place.
    pub(super) found: &'a Value,
    pub(super) what: Broken<'a>,
}

/// The rule of a schema that a value breaks.
#[derive(Debug)]
pub(super) enum Broken<'a> {
    /// This member is missing.
    Required(&'a str),
    /// These members are unknown.
    Unknown(Vec<&'a str>),
    /// The value has another type.
    Type,
    /// The value fits none of several schemas; the violations of each.
    EveryBranch(Vec<Vec<Violation<'a>>>),
    /// Any other rule: the value is out of range, for example, or does not match the pattern.
    Other,
}

/// A schema's regular expressions, compiled.
pub(super) struct Validator {
    patterns: BTreeMap<String, Regex>,
}

impl Validator {
    /// Fails with `Internal` if the schema is wrong, or has a keyword that is not known here.
    pub(super) fn new(schema: &Value) -> Result<Self> {
        let mut patterns = BTreeMap::new();
        read_schema(schema, &mut patterns)
            .map_err(|why| Error::internal(format!("the event schema is wrong: {why}")))?;
        Ok(Self { patterns })
    }

    pub(super) fn violations<'a>(&self, schema: &'a Value, value: &'a Value) -> Vec<Violation<'a>> {
        let mut violations = Vec::new();
        self.check(schema, value, "", &mut violations);
        violations
    }

    fn check<'a>(&self, schema: &'a Value, value: &'a Value, pointer: &str, violations: &mut Vec<Violation<'a>>) {
        for (keyword, rule) in schema.as_object().into_iter().flatten() {
            let mut broken = |what| {
                violations.push(Violation {
                    pointer: pointer.to_owned(),
                    found: value,
                    what,
                });
            };
            match (keyword.as_str(), value) {
                ("type", _) if !is_of_type(rule, value) => broken(Broken::Type),
                ("const", _) if !same(rule, value) => broken(Broken::Other),
                ("enum", _) if !array(rule).iter().any(|choice| same(choice, value)) => broken(Broken::Other),
                ("minimum", Value::Number(number)) if is_less(number, rule) => broken(Broken::Other),
                ("maximum", Value::Number(number)) if is_more(number, rule) => broken(Broken::Other),
                ("minLength", Value::String(text)) if count(text) < bound(rule) => broken(Broken::Other),
                ("maxLength", Value::String(text)) if count(text) > bound(rule) => broken(Broken::Other),
                ("pattern", Value::String(text)) if !self.matches(rule, text) => broken(Broken::Other),
                ("format", Value::String(text)) if rule == "date-time" && !is_date_time(text) => broken(Broken::Other),
                ("minItems", Value::Array(items)) if (items.len() as u64) < bound(rule) => broken(Broken::Other),
                ("maxItems", Value::Array(items)) if items.len() as u64 > bound(rule) => broken(Broken::Other),
                ("uniqueItems", Value::Array(items)) if rule == true && has_twins(items) => broken(Broken::Other),
                ("required", Value::Object(members)) => {
                    let names = array(rule).iter().filter_map(Value::as_str);
                    names
                        .filter(|name| !members.contains_key(*name))
                        .for_each(|name| broken(Broken::Required(name)));
                }
                ("additionalProperties", Value::Object(members)) if rule == false => {
                    let known = schema.get("properties").and_then(Value::as_object);
                    let is_known = |name: &str| known.is_some_and(|known| known.contains_key(name));
                    let unknown: Vec<_> = members
                        .keys()
                        .map(String::as_str)
                        .filter(|name| !is_known(name))
                        .collect();
                    if !unknown.is_empty() {
                        broken(Broken::Unknown(unknown));
                    }
                }
                ("properties", Value::Object(members)) => {
                    for (name, rule) in rule.as_object().into_iter().flatten() {
                        if let Some(member) = members.get(name) {
                            let name = name.replace('~', "~0").replace('/', "~1");
                            self.check(rule, member, &format!("{pointer}/{name}"), violations);
                        }
                    }
                }
                ("items", Value::Array(items)) => {
                    for (index, item) in items.iter().enumerate() {
                        self.check(rule, item, &format!("{pointer}/{index}"), violations);
                    }
                }
                ("anyOf" | "oneOf", _) => {
                    let mut branches = Vec::new();
                    for branch in array(rule) {
                        let mut violations = Vec::new();
                        self.check(branch, value, pointer, &mut violations);
                        branches.push(violations);
                    }
                    match branches.iter().filter(|branch| branch.is_empty()).count() {
                        0 => broken(Broken::EveryBranch(branches)),
                        1 => {}
                        _ if keyword == "anyOf" => {}
                        _ => broken(Broken::Other),
                    }
                }
                _ => {}
            }
        }
    }

    fn matches(&self, pattern: &Value, text: &str) -> bool {
        let pattern = pattern.as_str().and_then(|pattern| self.patterns.get(pattern));
        pattern.is_some_and(|pattern| pattern.is_match(text))
    }
}

/// Checks a schema, and compiles its regular expressions.
fn read_schema(schema: &Value, patterns: &mut BTreeMap<String, Regex>) -> Result<(), String> {
    // The schema `true` accepts each value.
    if schema == true {
        return Ok(());
    }
    let keywords = schema.as_object().ok_or_else(|| format!("{schema} is no schema"))?;
    for (keyword, rule) in keywords {
        let wrong = || format!("{keyword} is {rule}");
        let is_right = match keyword.as_str() {
            "type" | "const" => true,
            "enum" | "required" => rule.is_array(),
            "minimum" | "maximum" => rule.is_number(),
            "minLength" | "maxLength" | "minItems" | "maxItems" => rule.is_u64(),
            "uniqueItems" => rule.is_boolean(),
            // A list of allowed additional members is not supported.
            "additionalProperties" => rule.is_boolean(),
            // Formats of numbers need no check, because `minimum` and `maximum` say the same.
            "format" => rule.is_string(),
            "pattern" => {
                let pattern = rule.as_str().ok_or_else(wrong)?;
                let regex = Regex::new(&as_rust(pattern)).map_err(|error| format!("{pattern}: {error}"))?;
                patterns.insert(pattern.to_owned(), regex);
                true
            }
            "properties" => {
                let members = rule.as_object().ok_or_else(wrong)?;
                members.values().try_for_each(|schema| read_schema(schema, patterns))?;
                true
            }
            "items" => {
                read_schema(rule, patterns)?;
                true
            }
            "anyOf" | "oneOf" => {
                let branches = rule.as_array().ok_or_else(wrong)?;
                branches.iter().try_for_each(|schema| read_schema(schema, patterns))?;
                true
            }
            other => ANNOTATIONS.contains(&other),
        };
        if !is_right {
            return Err(wrong());
        }
    }
    Ok(())
}

/// Turns a regular expression of ECMA-262 into one of Rust, where `\s` stands for other characters.
fn as_rust(pattern: &str) -> String {
    pattern
        .replace(r"\S", &format!("[^{SPACE}]"))
        .replace(r"\s", &format!("[{SPACE}]"))
}

fn array(rule: &Value) -> &[Value] {
    rule.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn bound(rule: &Value) -> u64 {
    rule.as_u64().unwrap_or_default()
}

fn count(text: &str) -> u64 {
    text.chars().count() as u64
}

fn is_of_type(rule: &Value, value: &Value) -> bool {
    let is = |name: &Value| match (name.as_str(), value) {
        (Some("null"), Value::Null)
        | (Some("boolean"), Value::Bool(_))
        | (Some("number"), Value::Number(_))
        | (Some("string"), Value::String(_))
        | (Some("array"), Value::Array(_))
        | (Some("object"), Value::Object(_)) => true,
        (Some("integer"), Value::Number(number)) => is_whole(number),
        _ => false,
    };
    match rule {
        Value::Array(names) => names.iter().any(is),
        name => is(name),
    }
}

/// JSON Schema counts `1.0` as an integer.
fn is_whole(number: &Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|number| number.fract() == 0.0)
}

fn integer(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or(number.as_u64().map(i128::from))
}

/// Compares integers as integers, because a float cannot hold the largest ones exactly.
fn compare(number: &Number, other: &Number) -> Option<std::cmp::Ordering> {
    match (integer(number), integer(other)) {
        (Some(number), Some(other)) => Some(number.cmp(&other)),
        _ => number.as_f64()?.partial_cmp(&other.as_f64()?),
    }
}

fn is_less(number: &Number, rule: &Value) -> bool {
    rule.as_number()
        .is_some_and(|least| compare(number, least).is_some_and(|order| order.is_lt()))
}

fn is_more(number: &Number, rule: &Value) -> bool {
    rule.as_number()
        .is_some_and(|most| compare(number, most).is_some_and(|order| order.is_gt()))
}

/// Whether two values are equal. JSON Schema counts `1` and `1.0` as equal.
fn same(one: &Value, other: &Value) -> bool {
    let same_members = |one: &Map<String, Value>, other: &Map<String, Value>| {
        one.len() == other.len()
            && one
                .iter()
                .all(|(name, value)| other.get(name).is_some_and(|other| same(value, other)))
    };
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => compare(one, other).is_some_and(|order| order.is_eq()),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => same_members(one, other),
        _ => one == other,
    }
}

/// Whether any two items are equal.
fn has_twins(items: &[Value]) -> bool {
    // Strings are sorted and compared with their neighbours, because a long list has too many pairs. All our lists with
    // `uniqueItems` hold strings.
    let mut texts: Vec<_> = items.iter().filter_map(Value::as_str).collect();
    texts.sort_unstable();
    let others: Vec<_> = items.iter().filter(|item| !item.is_string()).collect();
    texts.windows(2).any(|pair| pair[0] == pair[1])
        || (1..others.len()).any(|end| others[..end].iter().any(|item| same(item, others[end])))
}

/// Whether a text is a time by RFC 3339. It allows second 60 only in the last minute of a day in UTC.
fn is_date_time(text: &str) -> bool {
    fn number(text: &str) -> Option<i32> {
        text.bytes().all(|c| c.is_ascii_digit()).then(|| text.parse().ok())?
    }
    fn read(text: &str) -> Option<bool> {
        let (date, time) = text.split_once(['T', 't'])?;
        if date.len() != 10 || date.as_bytes()[4] != b'-' || date.as_bytes()[7] != b'-' {
            return Some(false);
        }
        let day = [date.get(..4)?, date.get(5..7)?, date.get(8..)?].map(number);
        let [Some(year), Some(month), Some(day)] = day else {
            return Some(false);
        };
        NaiveDate::from_ymd_opt(year, month.unsigned_abs(), day.unsigned_abs())?;

        let clock = [time.get(..2)?, time.get(3..5)?, time.get(6..8)?].map(number);
        let [Some(hour), Some(minute), Some(second)] = clock else {
            return Some(false);
        };
        if time.as_bytes()[2] != b':' || time.as_bytes()[5] != b':' || hour > 23 || minute > 59 || second > 60 {
            return Some(false);
        }
        let rest = time.get(8..)?;
        let zone = match rest.strip_prefix('.') {
            Some(fraction) => {
                let zone = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
                if zone.len() == fraction.len() {
                    return Some(false);
                }
                zone
            }
            None => rest,
        };
        let ahead = match zone.as_bytes() {
            b"Z" | b"z" => 0,
            [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
                let (hours, minutes) = (number(zone.get(1..3)?)?, number(zone.get(4..)?)?);
                if hours > 23 || minutes > 59 {
                    return Some(false);
                }
                (hours * 60 + minutes) * if *sign == b'+' { 1 } else { -1 }
            }
            _ => return Some(false),
        };
        let of_day = (hour * 60 + minute - ahead).rem_euclid(24 * 60);
        Some(second < 60 || of_day == 24 * 60 - 1)
    }
    read(text).unwrap_or(false)
}
