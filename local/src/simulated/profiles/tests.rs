//! The invented profiles depend on their seed alone, and other readers decode the same values in every format.

use std::collections::BTreeSet;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatchReader};
use bytes::Bytes;
use orc_rust::ArrowReaderBuilder;

use super::*;

fn from_csv(file: &[u8]) -> (Vec<String>, Vec<Vec<String>>) {
    let mut reader = csv::Reader::from_reader(file);
    let header = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let rows = reader
        .records()
        .map(|row| row.unwrap().iter().map(str::to_owned).collect())
        .collect();
    (header, rows)
}

fn from_orc(file: Vec<u8>) -> (Vec<String>, Vec<Row>) {
    let reader = ArrowReaderBuilder::try_new(Bytes::from(file)).unwrap().build();
    let header = reader.schema().fields().iter().map(|f| f.name().clone()).collect();
    let mut rows = Vec::new();
    for batch in reader {
        let batch = batch.unwrap();
        for i in 0..batch.num_rows() {
            let value = |column: &ArrayRef| {
                let column = column.as_string::<i32>();
                column.is_valid(i).then(|| column.value(i).to_owned())
            };
            rows.push(batch.columns().iter().map(value).collect());
        }
    }
    (header, rows)
}

#[test]
fn every_format_decodes_to_the_same_profiles() {
    let profiles = Profiles::new(7, 2500);
    let rows: Vec<Row> = (100..2400).map(|number| profiles.row(number)).collect();
    let header: Vec<&str> = profiles.columns().collect();

    let (csv_header, csv_rows) = from_csv(&profiles.encode(DataFormat::Csv, 100..2400).unwrap());
    assert_eq!(csv_header, header);
    let flat: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|value| value.clone().unwrap_or_default()).collect())
        .collect();
    assert_eq!(csv_rows, flat);

    let (orc_header, orc_rows) = from_orc(profiles.encode(DataFormat::Orc, 100..2400).unwrap());
    assert_eq!(orc_header, header);
    assert_eq!(orc_rows, rows);

    let jsonl = String::from_utf8(profiles.encode(DataFormat::Jsonl, 100..2400).unwrap()).unwrap();
    assert_eq!(jsonl.matches('\n').count(), rows.len());
    for (line, row) in jsonl.split('\n').zip(&rows) {
        let profile: Value = serde_json::from_str(line).unwrap();
        for (name, value) in header.iter().zip(row) {
            let pointer = format!("/{}", name.replacen('.', "/", 1));
            match (profile.pointer(&pointer), value) {
                (Some(Value::String(found)), Some(value)) => assert_eq!(found, value),
                (Some(found @ Value::Object(_)), Some(value)) => assert_eq!(found.to_string(), *value),
                (None, None) => {}
                other => panic!("{name}: {other:?}"),
            }
        }
    }
}

#[test]
fn every_column_has_a_value_in_some_profile() {
    for (seed, total) in [(0, 1), (1, 2), (2, 7), (3, 100), (4, 1000)] {
        let profiles = Profiles::new(seed, total);
        let mut missing: BTreeSet<&str> = profiles.columns().collect();
        for number in 0..total {
            for (name, value) in profiles.columns().zip(profiles.row(number)) {
                if value.is_some_and(|value| !value.is_empty()) {
                    missing.remove(name);
                }
            }
        }
        assert!(missing.is_empty(), "seed {seed}, {total} profiles: {missing:?}");
    }
}

#[test]
fn columns_depend_on_the_seed_alone() {
    let columns = |seed, total| Profiles::new(seed, total).columns().collect::<Vec<_>>();
    let sets: BTreeSet<_> = (0..20).map(|seed| columns(seed, 10)).collect();
    assert!(sets.len() > 15);
    assert_eq!(columns(3, 10), columns(3, 100_000));
    for set in sets {
        assert_eq!(set[0], "ProfileId", "the value that a truncated row ends in");
        assert!(set.len() > 12);
    }
    let names: BTreeSet<_> = ATTRIBUTES.iter().map(|attribute| attribute.name).collect();
    assert_eq!(names.len(), ATTRIBUTES.len());
    assert!(names.iter().all(|name| name.matches('.').count() <= 1));
}

#[test]
fn a_profile_depends_on_seed_and_number_alone() {
    let profiles = Profiles::new(11, 50);
    assert_eq!(profiles.row(17), Profiles::new(11, 50).row(17));
    assert_ne!(profiles.row(17), profiles.row(18));
    assert_ne!(profiles.row(17)[0], Profiles::new(12, 50).row(17)[0]);
    let ids: BTreeSet<_> = (0..5000).map(|number| profiles.row(number).swap_remove(0)).collect();
    assert_eq!(ids.len(), 5000);
}

#[test]
fn profiles_have_invented_people_and_awkward_values() {
    let profiles = Profiles::new(0, 3000);
    let mut all = String::new();
    let (mut none, mut empty, mut longest) = (0, 0, 0);
    let phone = regex::Regex::new(r"^\+1 \(2\d\d\) 555-01\d\d$").unwrap();
    let mail = regex::Regex::new(r"^[a-z.]*(\+|user)[0-9]+@([a-z]+\.)?example\.(com|org|net)$").unwrap();
    for number in 0..3000 {
        for (name, value) in profiles.columns().zip(profiles.row(number)) {
            match value {
                None => none += 1,
                Some(value) if value.is_empty() => empty += 1,
                Some(value) => {
                    assert!(!name.contains("Phone") || phone.is_match(&value), "{value}");
                    assert!(!name.contains("Email") || mail.is_match(&value), "{value}");
                    longest = longest.max(value.chars().count());
                    all.push_str(&value);
                }
            }
        }
    }
    assert!(none > 0 && empty > 0 && longest > 2000, "{none} {empty} {longest}");
    for awkward in [
        ",",
        "\"",
        "\n",
        "\r\n",
        "\t",
        "\\",
        "é",
        "ß",
        "Ω",
        "東",
        "你",
        "안",
        "ש",
        "م",
        "न",
        "ї",
        "🎉",
        "👩‍👩‍👧‍👦",
    ] {
        let present = all.contains(awkward) || awkward == "Ω" && all.contains('Θ');
        assert!(present, "{awkward:?}");
    }
}

#[test]
fn a_truncated_file_cannot_be_read() {
    let profiles = Profiles::new(5, 40);
    for numbers in [0..40, 0..1, 39..40, 10..13] {
        let csv = profiles.encode_truncated(DataFormat::Csv, numbers.clone()).unwrap();
        assert!(
            csv::Reader::from_reader(csv.as_slice())
                .records()
                .any(|row| row.is_err())
        );
        let jsonl = profiles.encode_truncated(DataFormat::Jsonl, numbers.clone()).unwrap();
        let mut values = serde_json::Deserializer::from_slice(&jsonl).into_iter::<Value>();
        assert!(values.any(|value| value.is_err_and(|error| error.is_eof())));
        let orc = profiles.encode_truncated(DataFormat::Orc, numbers.clone()).unwrap();
        assert!(orc.starts_with(b"ORC"));
        assert!(ArrowReaderBuilder::try_new(Bytes::from(orc)).is_err());
    }
    for format in DataFormat::ALL {
        profiles.encode_truncated(format, 0..0).unwrap();
    }
}

#[test]
fn zero_profiles_make_a_file_without_rows() {
    let profiles = Profiles::new(5, 0);
    let (header, rows) = from_csv(&profiles.encode(DataFormat::Csv, 0..0).unwrap());
    assert!(header.len() > 12 && rows.is_empty());
    assert!(profiles.encode(DataFormat::Jsonl, 0..0).unwrap().is_empty());
    let (_, rows) = from_orc(profiles.encode(DataFormat::Orc, 0..0).unwrap());
    assert!(rows.is_empty());
}

#[test]
fn formats_have_the_names_of_the_model() {
    for format in DataFormat::ALL {
        assert_eq!(DataFormat::from_name(format.name()), Some(format));
        assert_eq!(format.extension(), format.name().to_lowercase());
        assert_ne!(format.another(), format);
    }
    assert_eq!(DataFormat::from_name("csv"), None);
}
