//! Every test, file and promise that the page of the guarantees names exists.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::{collections::BTreeSet, fs, path::PathBuf};

use landfall_simulation::promises;
use regex::Regex;

fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn page() -> String {
    fs::read_to_string(workspace().join("docs/guarantees.md")).unwrap()
}

#[test]
fn every_test_and_file_that_is_named_exists() {
    let page = page();
    let file = Regex::new(r"`([a-z_/-]*tests(?:/[a-z_/]+)?\.rs)`").unwrap();
    let files: BTreeSet<&str> = file
        .captures_iter(&page)
        .map(|found| found.get(1).unwrap().as_str())
        .collect();
    assert!(files.len() >= 5, "{files:?}");
    let mut sources = fs::read_to_string(workspace().join("tests/simulation/tests/seeds.rs")).unwrap();
    for file in files {
        sources += &fs::read_to_string(workspace().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
    // A name with three underscores or more is that of a test.
    let test = Regex::new(r"`([a-z0-9]+(?:_[a-z0-9]+){3,})`").unwrap();
    let tests: BTreeSet<&str> = test
        .captures_iter(&page)
        .map(|found| found.get(1).unwrap().as_str())
        .collect();
    assert!(tests.len() >= 9, "{tests:?}");
    for test in tests {
        let declared = Regex::new(&format!(r"#\[(tokio::)?test[^\n]*\n\s*(async )?fn {test}\(")).unwrap();
        assert!(
            declared.is_match(&sources),
            "{test} must be a test in the files that the page names"
        );
    }
}

#[test]
fn every_promise_is_in_the_page() {
    let page = page();
    let rows = Regex::new(r"(?m)^\| `([a-z-]+)` \|").unwrap();
    let named: BTreeSet<&str> = rows
        .captures_iter(&page)
        .map(|found| found.get(1).unwrap().as_str())
        .collect();
    for promise in promises::ALL {
        assert!(named.contains(promise), "{promise} must be in the page");
    }
}
