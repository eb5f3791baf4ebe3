//! Invented endpoints, as Pinpoint exports them, and as people write them for an import.
//!
//! What must stay true: an endpoint follows from the seed and its number alone. Its people are those of
//! [`super::super::profiles`] and all invented. Members that are unset are absent.

use std::{io::Write, ops::Range};

use anyhow::{Context, Result};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Map, Value, json};

use crate::simulated::{derived_hex, derived_uuid, profiles::Profiles};

/// The endpoints of an application.
#[derive(Clone, Debug)]
pub struct Endpoints {
    seed: u64,
    profiles: Profiles,
}

impl Endpoints {
    /// `total` endpoints that follow from `seed`.
    pub fn new(seed: u64, total: u64) -> Self {
        Self {
            seed,
            profiles: Profiles::new(seed, total),
        }
    }

    /// The endpoint with this number, counted from 0, without the members that the service adds.
    pub fn endpoint(&self, number: u64) -> Value {
        let row = self.profiles.row(number);
        let values: Map<String, Value> = self
            .profiles
            .columns()
            .zip(row)
            .filter_map(|(name, value)| {
                Some((name.to_owned(), Value::String(value.filter(|value| !value.is_empty())?)))
            })
            .collect();
        let value = |name: &str| values.get(name).cloned();
        let (channel, address) = match (value("EmailAddress"), value("PhoneNumber"), number % 7) {
            (_, _, 6) => ("GCM", json!(derived_hex(self.seed, &["token", &number.to_string()]))),
            (Some(email), _, 0..=3) => ("EMAIL", email),
            (_, Some(phone), _) => ("SMS", phone),
            (Some(email), _, _) => ("EMAIL", email),
            _ => ("APNS", json!(derived_hex(self.seed, &["token", &number.to_string()]))),
        };
        let mut attributes = Map::new();
        for (name, value) in &values {
            if let Some(name) = name.strip_prefix("Attributes.") {
                // Several values, as an attribute may have.
                let list = if number.is_multiple_of(5) {
                    json!([value, "second"])
                } else {
                    json!([value])
                };
                attributes.insert(name.to_owned(), list);
            }
        }
        let mut endpoint = json!({
            "Id": derived_uuid(self.seed, &["endpoint", &number.to_string()]),
            "ChannelType": channel,
            "Address": address,
            "OptOut": if number.is_multiple_of(11) { "ALL" } else { "NONE" },
            "User": {
                "UserId": derived_hex(self.seed, &["user", &(number / 2).to_string()]),
                "UserAttributes": {"FirstName": [value("FirstName")], "LastName": [value("LastName")]},
            },
        });
        let mut set = |name: &str, value: Value| {
            if value.as_object().is_none_or(|members| !members.is_empty()) {
                endpoint[name] = value;
            }
        };
        set("Attributes", Value::Object(attributes));
        if !number.is_multiple_of(3) {
            set(
                "Metrics",
                json!({"visits": number % 97, "basket": (number % 1000) as f64 / 8.0}),
            );
        }
        if matches!(channel, "GCM" | "APNS") {
            let (platform, make) = if channel == "APNS" {
                ("iOS", "Apple")
            } else {
                ("Android", "Example")
            };
            set(
                "Demographic",
                json!({"Platform": platform, "Make": make, "AppVersion": "2.1", "Locale": "de_CH", "Timezone": "Europe/Zurich"}),
            );
        }
        let mut location = Map::new();
        for (name, from) in [
            ("City", "Address.City"),
            ("PostalCode", "Address.PostalCode"),
            ("Country", "Address.Country"),
        ] {
            if let Some(value) = value(from) {
                location.insert(name.to_owned(), value);
            }
        }
        set("Location", Value::Object(location));
        endpoint
    }

    /// The line of an export: the endpoint with the members that the service adds.
    fn exported(&self, application: &str, number: u64) -> Value {
        let mut endpoint = self.endpoint(number);
        for (name, value) in [
            ("ApplicationId", json!(application)),
            (
                "EndpointStatus",
                json!(if number.is_multiple_of(13) {
                    "INACTIVE"
                } else {
                    "ACTIVE"
                }),
            ),
            ("CohortId", json!((number % 100).to_string())),
            (
                "RequestId",
                json!(derived_uuid(self.seed, &["put", &number.to_string()])),
            ),
            ("CreationDate", json!("2024-02-29T12:00:00.000Z")),
            ("EffectiveDate", json!("2026-03-01T08:30:00.123Z")),
        ] {
            endpoint[name] = value;
        }
        endpoint
    }

    /// An export's file: JSON lines in as many gzip members as asked for.
    pub fn export(&self, application: &str, numbers: Range<u64>, members: u64) -> Result<Vec<u8>> {
        let mut file = Vec::new();
        let (count, members) = (numbers.end - numbers.start, members.max(1));
        for member in 0..members {
            let mut gzip = GzEncoder::new(&mut file, Compression::fast());
            for number in numbers.start + count * member / members..numbers.start + count * (member + 1) / members {
                serde_json::to_writer(&mut gzip, &self.exported(application, number))?;
                gzip.write_all(b"\n")?;
            }
            gzip.finish()?;
        }
        Ok(file)
    }

    /// A file for an import, as JSON lines.
    pub fn json(&self, numbers: Range<u64>) -> Result<Vec<u8>> {
        let mut file = Vec::new();
        for number in numbers {
            serde_json::to_writer(&mut file, &self.endpoint(number))?;
            file.push(b'\n');
        }
        Ok(file)
    }

    /// A file for an import, as CSV with nested members in dot notation.
    pub fn csv(&self, numbers: Range<u64>) -> Result<Vec<u8>> {
        const COLUMNS: [&str; 9] = [
            "Id",
            "ChannelType",
            "Address",
            "OptOut",
            "Location.City",
            "Location.Country",
            "User.UserId",
            "User.UserAttributes.FirstName",
            "User.UserAttributes.LastName",
        ];
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(COLUMNS)?;
        for number in numbers {
            let endpoint = self.endpoint(number);
            writer.write_record(COLUMNS.map(|column| {
                let value = endpoint
                    .pointer(&format!("/{}", column.replace('.', "/")))
                    .unwrap_or(&Value::Null);
                let value = value.get(0).unwrap_or(value);
                value.as_str().unwrap_or_default().to_owned()
            }))?;
        }
        writer.into_inner().context("cannot write CSV")
    }
}

/// Files beneath `imports/` for the sample events of imports: good files, and one of each sort that is refused.
pub fn samples(seed: u64, endpoints: u64) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let all = Endpoints::new(seed, endpoints);
    let half = endpoints / 2;
    let json = all.json(0..endpoints)?;
    let mut cut_off = json.clone();
    cut_off.truncate(json.len().saturating_sub(20));
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&json)?;
    Ok(vec![
        ("imports/endpoints.csv", all.csv(0..endpoints)?),
        ("imports/endpoints.json", json),
        ("imports/daily/1.json", all.json(0..half)?),
        ("imports/daily/more/2.json", all.json(half..endpoints)?),
        ("imports/daily/other.csv", all.csv(0..1.min(endpoints))?),
        ("imports/cut-off.json", cut_off),
        // Compressed in spite of its name.
        ("imports/packed.json", packed.finish()?),
    ])
}

/// The entries of an import's file.
pub(super) fn entries(body: &[u8], is_csv: bool) -> Result<Vec<Value>> {
    if !is_csv {
        let lines = body
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.trim_ascii().is_empty());
        // A line that is not JSON is an entry that fails.
        return Ok(lines
            .map(|line| serde_json::from_slice(line).unwrap_or(Value::Null))
            .collect());
    }
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(body);
    let header = reader.headers().context("no header")?.clone();
    let mut entries = Vec::new();
    for record in reader.records() {
        let record = record?;
        let members = header
            .iter()
            .zip(&record)
            .map(|(name, value)| (name.to_owned(), json!(value)));
        entries.push(Value::Object(members.collect()));
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::MultiGzDecoder;

    use super::*;

    #[test]
    fn an_export_is_gzip_of_json_lines() {
        let endpoints = Endpoints::new(7, 100);
        let file = endpoints.export("app", 10..40, 3).unwrap();
        let mut text = String::new();
        MultiGzDecoder::new(file.as_slice()).read_to_string(&mut text).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 30);
        for line in &lines {
            assert_eq!(line["ApplicationId"], "app");
            assert!(
                line["Attributes"]
                    .as_object()
                    .is_none_or(|all| all.values().all(Value::is_array))
            );
        }
        assert_eq!(
            file,
            endpoints.export("app", 10..40, 3).unwrap(),
            "nothing in it is random"
        );
        assert!(
            !endpoints.export("app", 0..0, 1).unwrap().is_empty(),
            "a file without rows is a gzip member"
        );
    }

    #[test]
    fn sample_imports_have_all_rows() {
        let endpoints = Endpoints::new(7, 100);
        let mut csv = csv::Reader::from_reader(endpoints.csv(0..100).unwrap().leak() as &[u8]);
        assert_eq!(csv.records().map(Result::unwrap).count(), 100);
        assert_eq!(
            endpoints
                .json(0..100)
                .unwrap()
                .iter()
                .filter(|byte| **byte == b'\n')
                .count(),
            100
        );
        assert_eq!(samples(0, 9).unwrap().len(), 7);
    }
}
