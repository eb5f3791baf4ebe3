//! The short benchmark: every contestant runs and counts the same rows. Times are not judged.

use std::{fs, process::Command};

use landfall_benches::data::Format;

#[test]
fn every_contestant_counts_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let (json, svg) = (folder.path().join("results.json"), folder.path().join("rates.svg"));
    let output = Command::new(env!("CARGO_BIN_EXE_landfall-benches"))
        .arg("--quick")
        .arg("--out")
        .arg(&json)
        .arg("--svg")
        .arg(&svg)
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{out}\n{err}");

    let results: serde_json::Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    let formats = results["formats"].as_array().unwrap();
    assert_eq!(formats.len(), Format::ALL.len());
    for (format, expected) in formats.iter().zip(Format::ALL) {
        assert_eq!(format["format"], expected.name());
        assert!(
            format["aims"].as_array().unwrap().is_empty(),
            "the short benchmark must not judge times"
        );
        for contestant in format["contestants"].as_array().unwrap() {
            let name = contestant["contestant"].as_str().unwrap();
            let runs = contestant["runs"].as_array().unwrap();
            if expected == Format::Orc && ["duckdb", "duckdb-local", "polars"].contains(&name) {
                assert!(contestant["unsupported"].is_string(), "{name}");
                assert!(runs.is_empty(), "{name}");
                continue;
            }
            assert_eq!(runs.len(), 1, "{name}");
            let rows = if name.starts_with("download") {
                &serde_json::Value::Null
            } else {
                &format["rows"]
            };
            assert_eq!(&runs[0]["rows"], rows, "{name}");
            assert!(runs[0]["peak_bytes"].as_u64().unwrap() > 1 << 20, "{name}");
        }
        assert!(out.contains(expected.title()));
        if !expected.is_plain_text() {
            assert!(format["paced"].is_null(), "{}", expected.name());
            continue;
        }
        assert_eq!(format["paced"]["megabytes_per_second"], 75);
        let paced = format["paced"]["contestants"].as_array().unwrap();
        let names: Vec<&str> = paced.iter().filter_map(|entry| entry["contestant"].as_str()).collect();
        assert_eq!(names, ["landfall", "download"]);
        assert!(paced.iter().all(|entry| entry["runs"].as_array().unwrap().len() == 1));
        assert!(out.contains(&format!("{} at 75 MB/s", expected.title())));
    }
    let svg = fs::read_to_string(&svg).unwrap();
    for words in ["landfall, full", "download and SHA-256", "CSV at 75 MB/s"] {
        assert!(svg.contains(words), "{words}");
    }
}
