//! Tests `landfall verify` with the built program over folders and a simulated S3, and with the library where a test
//! must interfere.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use async_trait::async_trait;
use aws_sdk_s3::types::ChecksumAlgorithm;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use landfall::{
    clock::SystemClock,
    error::{Error, ErrorKind, Result},
    store::{
        ObjectStore,
        layer::{Answer, Call, Layer, Layered},
    },
};
use landfall_cli::verify::{Ask, Location, Place, Progress, verify, verify_in};
use landfall_local::{
    account::{ACCOUNT, EXPORTS, REGION},
    children::Guard,
    deploy,
    moto::Moto,
    places, python,
};
use landfall_output::verify::{Report, Verdict};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use self::common::program;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (key, body) in files {
        write(folder.path(), key, body);
    }
    folder
}

fn write(folder: &Path, key: &str, body: &str) {
    let path = folder.join(key);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, body).unwrap();
}

/// Returns the exit status, stdout and stderr.
fn run(arguments: &[&str]) -> (i32, String, String) {
    let output = program().arg("verify").args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn run_json(arguments: &[&str]) -> (i32, Value) {
    let (status, printed, said) = run(&[arguments, &["--json"]].concat());
    assert_eq!(said, "", "JSON output must come without progress");
    (
        status,
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}")),
    )
}

fn check<'a>(document: &'a Value, name: &str) -> (&'a str, &'a str) {
    let checks = document["report"]["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == name).unwrap();
    (check["verdict"].as_str().unwrap(), check["reason"].as_str().unwrap())
}

fn path(folder: &TempDir) -> &str {
    folder.path().to_str().unwrap()
}

const ROWS: &str = "id,name\n1,a\n2,b\n";
const OTHERS: &str = "id,name\n3,c\n4,d\n";

#[test]
fn a_folder_of_good_files_passes() {
    let good = folder(&[("a.csv", ROWS), ("b/c.csv", "id,name\n3,c\n"), ("_receipt.json", "{}")]);
    let (status, printed, said) = run(&[path(&good)]);
    assert_eq!(status, 0, "{printed}{said}");
    for part in [
        path(&good),
        "passed",
        "2 objects, 3 rows, 28 B of CSV",
        "listing_stable",
        "b/c.csv",
    ] {
        assert!(printed.contains(part), "{part} in\n{printed}");
    }
    assert!(!printed.contains('\u{1b}') && !printed.contains("s3://"), "{printed}");

    let (status, document) = run_json(&[path(&good), "--rows", "3"]);
    assert_eq!(status, 0);
    assert_eq!(document["schema"], "landfall.verification/1");
    assert_eq!(
        (&document["verdict"], &document["format"], &document["level"]),
        (&json!("passed"), &json!("CSV"), &json!("full"))
    );
    assert_eq!(
        (&document["bytes_read"], &document["comparison"]),
        (&json!(28), &Value::Null)
    );
    let report: Report = serde_json::from_value(document["report"].clone()).unwrap();
    assert_eq!(
        (report.schema.as_str(), report.rows, report.objects.len()),
        ("landfall.report/1", 3, 2)
    );
    assert_eq!(check(&document, "row_count_matches").0, "pass");
    // Without the time of a start, this check is skipped.
    assert_eq!(check(&document, "newer_than_start").0, "skipped");
}

#[test]
fn a_folder_with_bad_files_fails_and_names_them() {
    let bad = folder(&[("a.csv", ROWS), ("b.csv", "id,name\n1,secret,3\n"), ("c.csv", "")]);
    let (status, printed, said) = run(&[path(&bad)]);
    assert_eq!(status, 1, "{printed}{said}");
    for part in ["failed: 2 checks failed", "b.csv: record 1, line 2", "c.csv"] {
        assert!(printed.contains(part), "{part} in\n{printed}");
    }
    assert!(
        !printed.contains("secret"),
        "no value of the data may be shown: {printed}"
    );

    let (status, document) = run_json(&[path(&bad)]);
    assert_eq!((status, &document["verdict"]), (1, &json!("failed")));
    assert_eq!(check(&document, "format").0, "fail");
    assert_eq!(check(&document, "no_empty_files").0, "fail");
    // Failures are data, so that no program must parse a sentence.
    let failures = document["failures"].as_array().unwrap();
    let of = |object: &Value| failures.iter().find(|failure| failure["object"] == *object).unwrap();
    let fault = of(&json!("b.csv"));
    assert_eq!(
        (&fault["check"], &fault["verdict"], &fault["line"], &fault["record"]),
        (&json!("format"), &json!("fail"), &json!(2), &json!(1)),
        "{failures:#?}"
    );
    assert!(failures.iter().any(|failure| failure["check"] == "no_empty_files"));
}

#[test]
fn checks_that_do_not_apply_are_counted_in_one_line() {
    let good = folder(&[("a.csv", ROWS)]);
    let (_, printed, _) = run(&[path(&good)]);
    assert!(
        printed.contains(" do not apply; --all shows why") && !printed.contains("skipped"),
        "{printed}"
    );
    let (_, printed, _) = run(&[path(&good), "--all"]);
    assert!(
        printed.contains("skipped") && printed.contains("newer_than_start"),
        "{printed}"
    );
}

#[test]
fn an_error_is_json_on_stdout_and_text_on_stderr() {
    let (status, printed, said) = run(&["no such folder", "--json"]);
    let document: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!((status, &document["schema"]), (2, &json!("landfall.error/1")));
    assert_eq!(document["error"]["name"], "Landfall.NotFound");
    assert!(said.contains(document["error"]["message"].as_str().unwrap()), "{said}");

    let output = program().arg("--version").output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed.trim(), concat!("landfall ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_options_of_the_command_decide_the_checks() {
    let good = folder(&[("a.csv", ROWS)]);
    let (status, document) = run_json(&[path(&good), "--rows", "3"]);
    assert_eq!(status, 1);
    let (verdict, reason) = check(&document, "row_count_matches");
    assert!(verdict == "fail" && reason.contains("--rows says 3"), "{reason}");

    let (status, document) = run_json(&[path(&good), "--started-at", "2999-01-01T00:00:00Z"]);
    assert_eq!((status, check(&document, "newer_than_start").0), (1, "fail"));
    let (_, document) = run_json(&[path(&good), "--started-at", "2020-01-01T00:00:00Z"]);
    assert_eq!(check(&document, "newer_than_start").0, "pass");

    let (status, document) = run_json(&[path(&good), "--format", "orc"]);
    assert_eq!((status, &document["format"]), (1, &json!("ORC")));
    for level in ["listing", "structure", "full"] {
        let (_, document) = run_json(&[path(&good), "--level", level]);
        assert_eq!(
            (&document["level"], &document["report"]["level"]),
            (&json!(level), &json!(level))
        );
    }

    let (_, document) = run_json(&[path(&good), "--level", "structure"]);
    let (verdict, reason) = check(&document, "rows_counted");
    assert!(verdict == "skipped" && reason.contains("leave --level out"), "{reason}");
    let (_, document) = run_json(&[path(&good), "--expect", "{\"Rows\": {\"Min\": 3}}"]);
    let (verdict, reason) = check(&document, "expected_rows");
    assert!(
        verdict == "fail" && reason.ends_with("fewer than 3. The limit is in --expect, member Rows"),
        "{reason}"
    );

    let header = folder(&[("a.csv", "id,name\n")]);
    let (status, document) = run_json(&[path(&header), "--format", "CSV"]);
    let (_, reason) = check(&document, "output_present");
    assert!(status == 1 && reason.contains("with --allow-empty"), "{reason}");
    assert_eq!(run_json(&[path(&header), "--format", "CSV", "--allow-empty"]).0, 0);
}

#[test]
fn the_format_is_recognised_or_asked_for() {
    // The format follows from the content, whatever the name.
    let json_lines = folder(&[("part-0", "{\"a\":1}\n{\"a\":2}\n")]);
    assert_eq!(run_json(&[path(&json_lines)]).1["format"], "JSONL");
    // It follows from the name if one column is not enough to tell.
    let column = folder(&[("a.csv", "id\n1\n2\n")]);
    assert_eq!(run_json(&[path(&column)]).1["format"], "CSV");

    // Each file has its own format, as those of a dashboard have.
    let several = folder(&[("a.csv", ROWS), ("b.csv", "city\nRome\n"), ("c.json", "{\"a\":1}\n")]);
    let (status, document) = run_json(&[path(&several)]);
    assert_eq!((status, &document["verdict"]), (0, &json!("passed")), "{document}");
    assert_eq!(
        (&document["format"], &document["report"]["rows"]),
        (&Value::Null, &json!(4))
    );
    assert_eq!(
        check(&document, "format"),
        ("pass", "3 data objects decoded to the end as CSV, JSONL")
    );
    let (verdict, reason) = check(&document, "named_files");
    assert!(
        verdict == "skipped" && reason.contains("decoded as its own format"),
        "{reason}"
    );
    assert_eq!(check(&document, "columns_agree").0, "skipped");
    write(several.path(), "c.json", "{\"a\":1");
    let (status, document) = run_json(&[path(&several)]);
    assert_eq!((status, check(&document, "format").0), (1, "fail"));
    let error = document["report"]["objects"][2]["error"].as_str().unwrap();
    assert!(error.contains("is cut off"), "{error}");
}

#[test]
fn a_file_of_an_unsupported_format_is_named_with_that_format() {
    let folder = tempfile::tempdir().unwrap();
    let gzip = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let latin_1 = b"id,name\n1,Zo\xeb\n".to_vec();
    for (name, body, expected, says) in [
        (
            "a.parquet",
            b"PAR1\x15\x04".to_vec(),
            2,
            "a.parquet holds Parquet, which Landfall does not decode: have it written",
        ),
        (
            "a.xls",
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec(),
            2,
            "a.xls holds an Office file of the kind of .xls",
        ),
        (
            "a",
            b"[{\"a\":1}]".to_vec(),
            2,
            "a holds a JSON array, which is one value over the whole file",
        ),
        (
            "a.json",
            b"[\n  {\"a\": 1}\n]\n".to_vec(),
            1,
            "holds a JSON array, which is one value over the whole file",
        ),
        (
            "a.csv.gz",
            gzip(ROWS),
            1,
            "holds CSV within gzip, but of compressed files only JSON lines are read",
        ),
        (
            "a.csv",
            latin_1,
            1,
            "is not UTF-8. Do not use these files; if its writer uses another encoding, such as Latin-1",
        ),
        (
            "b.csv",
            b"id;name;note\n1;a;x\n2;b;y\n".to_vec(),
            1,
            "looks delimited by semicolons, not by commas. Do not use these files; have its writer put commas",
        ),
    ] {
        fs::write(folder.path().join(name), body).unwrap();
        let (status, printed, said) = run(&[path(&folder), "--json"]);
        assert_eq!(status, expected, "{name}: {printed}{said}");
        let all = if status == 1 {
            let document: Value = serde_json::from_str(&printed).unwrap();
            check(&document, "format").1.to_owned()
        } else {
            said
        };
        assert!(all.contains(says), "{name}: {says} in\n{all}");
        assert!(!all.contains("run the export again") || name == "a.csv", "{all}");
        fs::remove_file(folder.path().join(name)).unwrap();
    }
}

#[test]
fn a_receipt_beside_the_files_is_compared_or_the_reason_is_given() {
    let sealed = folder(&[("a.csv", ROWS), ("b.csv", OTHERS)]);
    seal(
        sealed.path(),
        &["a.csv", "b.csv"],
        "s3://landfall-exports/run=1/",
        false,
    );
    let (status, document) = run_json(&[path(&sealed)]);
    assert_eq!(
        (status, &document["comparison"]["unchanged"]),
        (0, &json!(2)),
        "{document}"
    );
    // The file is good by itself, but not the one that was sealed.
    write(sealed.path(), "b.csv", "id,name\n3,c\n4,e\n");
    write(sealed.path(), "c.csv", "id,name\n9,x\n");
    fs::remove_file(sealed.path().join("a.csv")).unwrap();
    for level in ["full", "listing"] {
        let (status, document) = run_json(&[path(&sealed), "--level", level]);
        let found = &document["comparison"];
        assert_eq!((status, &document["verdict"]), (1, &json!("failed")), "{document}");
        assert_eq!(
            (&found["vanished"][0]["key"], &found["added"][0]["key"]),
            (&json!("a.csv"), &json!("c.csv"))
        );
        assert_eq!(
            document["report"]["data_objects"], 2,
            "the other checks must still be made"
        );
    }

    write(sealed.path(), "_receipt.json", "{}");
    let (status, document) = run_json(&[path(&sealed)]);
    assert_eq!((status, &document["comparison"]), (0, &Value::Null));
    let why = document["receipt_not_used"].as_str().unwrap();
    assert!(why.contains("_receipt.json: its schema is"), "{why}");
    let (_, printed, _) = run(&[path(&sealed)]);
    assert!(printed.contains("not used: "), "{printed}");
}

#[test]
fn parts_with_other_columns_or_the_same_bytes_are_named() {
    let parts = folder(&[("a.csv", ROWS), ("b.csv", "id,name,city\n3,c,d\n")]);
    let (status, document) = run_json(&[path(&parts)]);
    let (verdict, reason) = check(&document, "columns_agree");
    assert!(
        status == 1 && verdict == "fail" && reason.contains("b.csv has 3 columns"),
        "{reason}"
    );
    assert!(reason.contains("verify each in a folder of its own"), "{reason}");
    write(parts.path(), "b.csv", ROWS);
    let (status, document) = run_json(&[path(&parts)]);
    let (verdict, reason) = check(&document, "no_duplicates");
    assert!(
        status == 0 && verdict == "warn" && reason.contains("a.csv and b.csv"),
        "{reason}"
    );
}

#[test]
fn a_place_that_cannot_be_checked_gives_the_reason() {
    let nothing = folder(&[("_hidden", "x")]);
    let unknown = folder(&[("a", "x")]);
    let file = folder(&[("a.csv", ROWS), ("tricky\u{1b}[31m.json", "{")]);
    let in_folder = |name: &str| file.path().join(name).to_str().unwrap().to_owned();
    let (missing, a_file, tricky) = (
        in_folder("missing"),
        in_folder("a.csv"),
        in_folder("tricky\u{1b}[31m.json"),
    );
    for (arguments, expected) in [
        (vec![missing.as_str()], "there is no such folder; for a prefix in S3"),
        (vec![&a_file], "is a file: name the folder"),
        (vec![path(&nothing)], "nothing lies here"),
        (vec![path(&unknown)], "Say it with --format"),
        (vec![path(&file), "--kms-key", "k"], "leave --kms-key out"),
        (
            vec![path(&file), "--expect", "{\"Rows\": {\"Least\": 3}}"],
            "--expect: this is not what Landfall.Verification.Expect of an event may be, see docs/kinds.md",
        ),
        // An event with this option is refused, too.
        (
            vec![path(&file), "--expect", "{\"Columns\": {\"Required\": []}}"],
            "$.Columns.Required: found an array of no items",
        ),
        (
            vec![path(&file), "--expect", "{\"Rows\": {}}"],
            "$.Rows: found neither Min nor Max",
        ),
        (
            vec![path(&file), "--expect", "{\"Rows\": {\"Min\": 3, \"Max\": 2}}"],
            "$.Rows.Min: found 3; must not be larger than Max",
        ),
        (
            vec![
                path(&file),
                "--level",
                "listing",
                "--expect",
                "{\"Change\": {\"MaxPercent\": 3}}",
            ],
            "$.Change: found an object of 1 member; the level listing looks into no object: ask for --level full",
        ),
        (vec![path(&file), "--expect", "{"], "--expect: it is not JSON"),
        (
            vec![path(&file), "--expect", "none.json"],
            "--expect none.json: it is neither a file",
        ),
        (vec![path(&file), "--receipt", &missing], "there is no such receipt"),
        (vec![path(&file), "--receipt", &a_file], "it is not JSON"),
        (
            vec![path(&file), "--receipt", &tricky],
            "tricky\\u{1b}[31m.json: it is not JSON",
        ),
        (vec!["--receipt", &a_file], "it is not JSON"),
        (vec!["s3://bucket/x"], "no region is known"),
        (vec![], "required"),
        (vec!["https://bucket/x"], "neither a path nor s3://"),
        (vec!["s3://bucket/../x"], "dot segment"),
        (vec![path(&file), "--format", "XML"], "possible values: CSV"),
        (vec![path(&file), "--endpoint-url", "localhost"], "http://HOST:PORT"),
        (vec![path(&file), "--expected-bucket-owner", "1"], "12 digits"),
    ] {
        let (status, printed, said) = run(&arguments);
        assert_eq!((status, printed.as_str()), (2, ""), "{arguments:?}: {said}");
        assert!(said.contains(expected), "{expected} in\n{said}");
        assert!(!said.contains('\u{1b}'), "{said:?}");
    }
}

/// Writes a receipt for a folder, as if its files had been sealed in S3. If asked, all objects are in a list beside it.
fn seal(folder: &Path, keys: &[&str], prefix: &str, with_list: bool) -> Value {
    let key_prefix = prefix.splitn(4, '/').nth(3).unwrap();
    let objects: Vec<Value> = keys
        .iter()
        .map(|key| {
            let body = fs::read(folder.join(key)).unwrap();
            json!({
                "key": format!("{key_prefix}{key}"), "role": "data", "format": "CSV", "size": body.len(),
                "etag": format!("\"sealed {key}\""), "last_modified": "2026-11-01T05:00:00Z",
                "sha256": hex::encode(Sha256::digest(&body)),
                "rows": body.iter().filter(|&&byte| byte == b'\n').count() - 1,
            })
        })
        .collect();
    let mut output = json!({
        "prefix": prefix, "format": "CSV", "object_count": objects.len(), "rows": 0, "bytes": 0, "objects": objects,
        "objects_omitted": 0,
    });
    if with_list {
        let mut lines = String::new();
        for object in &objects {
            writeln!(lines, "{object}").unwrap();
        }
        fs::write(folder.join("_objects.jsonl"), &lines).unwrap();
        output["objects"] = json!(objects[..objects.len().min(1_000)]);
        output["objects_omitted"] = json!(objects.len().saturating_sub(1_000));
        output["objects_file"] = json!({
            "uri": format!("{prefix}_objects.jsonl"), "bytes": lines.len(),
            "sha256": hex::encode(Sha256::digest(&lines)),
        });
    }
    let receipt = json!({
        "schema": "landfall.receipt/1", "landfall": "0.1.0", "verdict": "succeeded", "kind": "segment-snapshot",
        "job_key": "20261101T050000Z-1a2b3c4d", "output": output,
    });
    write(folder, "_receipt.json", &receipt.to_string());
    receipt
}

#[test]
fn a_copy_is_compared_with_the_receipt_of_the_original() {
    let copy = folder(&[("a.csv", ROWS), ("b.csv", OTHERS), ("c/d.csv", "id,name\n5,e\n6,f\n")]);
    let keys = ["a.csv", "b.csv", "c/d.csv"];
    seal(copy.path(), &keys, "s3://landfall-exports/run=1/", false);
    let receipt = copy.path().join("_receipt.json");
    let arguments = [path(&copy), "--receipt", receipt.to_str().unwrap()];

    let (status, document) = run_json(&arguments);
    let found = &document["comparison"];
    assert_eq!(
        (status, &found["same"], &found["unchanged"]),
        (0, &json!(true), &json!(3)),
        "{found}"
    );
    assert_eq!(document["format"], "CSV");

    // What only the listing shows is not called unchanged.
    let listing = [&arguments[..], &["--level", "listing"]].concat();
    let (status, document) = run_json(&listing);
    let found = &document["comparison"];
    assert_eq!(
        (status, &found["unchanged"], &found["unproven"]),
        (0, &json!(0), &json!(3))
    );
    assert_eq!(
        (&document["report"], &document["bytes_read"]),
        (&Value::Null, &json!(0))
    );

    // Options beside the receipt are checked as well, or refused.
    for (asked, expected) in [
        (["--started-at", "2999-01-01T00:00:00Z"], "newer_than_start"),
        (["--expect", "{\"Age\": {\"MaxSeconds\": 9}}"], "data_age"),
    ] {
        fs::File::open(copy.path().join("a.csv"))
            .unwrap()
            .set_modified(std::time::SystemTime::UNIX_EPOCH)
            .unwrap();
        let (status, document) = run_json(&[&listing[..], &asked].concat());
        assert_eq!((status, &document["verdict"]), (1, &json!("failed")), "{document}");
        assert_eq!(check(&document, expected).0, "fail");
        assert_eq!(document["comparison"]["same"], true);
    }
    let (status, document) = run_json(&[&listing[..], &["--settle", "0"]].concat());
    assert_eq!((status, check(&document, "listing_stable").0), (0, "pass"));
    let (status, _, said) = run(&[&listing[..], &["--rows", "5"]].concat());
    assert!(
        status == 2 && said.contains("--rows: the level listing looks into no object"),
        "{said}"
    );

    // The file has as many bytes and rows, but one byte differs.
    write(copy.path(), "a.csv", "id,name\n1,a\n2,c\n");
    let (status, document) = run_json(&arguments);
    assert_eq!(
        (status, &document["verdict"], &document["report"]["verdict"]),
        (1, &json!("failed"), &json!("passed"))
    );
    let changed = &document["comparison"]["changed"];
    assert_eq!(
        (&changed[0]["key"], &changed[0]["differences"][0]["what"]),
        (&json!("a.csv"), &json!("sha256"))
    );
    assert_eq!(changed[0]["differences"].as_array().unwrap().len(), 1);

    write(copy.path(), "a.csv", "id,name\n1,a\n2,b\n3,c\n");
    fs::remove_file(copy.path().join("b.csv")).unwrap();
    write(copy.path(), "e.csv", ROWS);
    write(copy.path(), "_temporary/f.csv", ROWS);
    let (status, document) = run_json(&arguments);
    let found = &document["comparison"];
    assert_eq!(status, 1);
    assert_eq!(found["same"], false);
    let what: Vec<_> = found["changed"][0]["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["what"])
        .collect();
    assert_eq!(what, ["size", "sha256", "rows"]);
    assert_eq!(found["vanished"], json!([{"key": "b.csv", "size": 16}]));
    assert_eq!(found["added"], json!([{"key": "e.csv", "size": 16}]));
    assert_eq!(found["unchanged"], 1);

    let (status, printed, _) = run(&arguments);
    assert_eq!(status, 1);
    for part in [
        "failed: it differs from the receipt",
        "succeeded 20261101T050000Z-1a2b3c4d",
        "1 unchanged, 1 changed, 1 vanished, 1 added",
        "size 16 → 20, SHA-256",
        "rows 2 → 3",
        "b.csv",
        "e.csv",
    ] {
        assert!(printed.contains(part), "{part} in\n{printed}");
    }
    assert!(!printed.contains("_temporary"), "{printed}");
    // Everything, without reading any file.
    let (status, document) = run_json(&listing);
    let found = &document["comparison"];
    assert_eq!(
        (status, &found["changed"][0]["differences"][0]["what"]),
        (1, &json!("size"))
    );
}

#[test]
fn objects_beyond_those_in_the_receipt_are_read_from_its_list() {
    let many = tempfile::tempdir().unwrap();
    let keys: Vec<String> = (0..1_203).map(|number| format!("part-{number:05}.csv")).collect();
    for key in &keys {
        fs::write(many.path().join(key), format!("id,name\n1,{key}\n")).unwrap();
    }
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let mut receipt = seal(many.path(), &keys, "s3://landfall-exports/run=1/", true);
    let receipt_file = many.path().join("_receipt.json");
    let arguments = [path(&many), "--receipt", receipt_file.to_str().unwrap()];

    let (status, document) = run_json(&arguments);
    let found = &document["comparison"];
    assert_eq!(
        (status, &found["unchanged"], &found["unproven"]),
        (0, &json!(1_203), &json!(0))
    );

    // An object beyond those in the receipt and the report.
    fs::write(many.path().join("part-01201.csv"), "id,name\n1,part-01201.CSV\n").unwrap();
    fs::remove_file(many.path().join("part-01202.csv")).unwrap();
    fs::write(many.path().join("part-01203.csv"), ROWS).unwrap();
    for number in 0..20 {
        fs::remove_file(many.path().join(format!("part-{number:05}.csv"))).unwrap();
    }
    let (status, document) = run_json(&arguments);
    let found = &document["comparison"];
    assert_eq!(status, 1);
    assert_eq!(
        (&found["changed"][0]["key"], found["changed"].as_array().unwrap().len()),
        (&json!("part-01201.csv"), 1)
    );
    assert_eq!(found["vanished"].as_array().unwrap().len(), 21);
    assert_eq!(found["added"][0]["key"], "part-01203.csv");
    assert_eq!(found["unchanged"], 1_203 - 22);
    let (_, printed, _) = run(&arguments);
    assert!(printed.contains("and 9 more vanished; --json has all"), "{printed}");
    assert!(printed.contains("and 1,171 more objects"), "{printed}");

    // The list is only used if it is the one that was sealed.
    let list = many.path().join("_objects.jsonl");
    let sealed = fs::read_to_string(&list).unwrap();
    fs::write(&list, sealed.replacen("\"rows\":1", "\"rows\":2", 1)).unwrap();
    let (status, _, said) = run(&arguments);
    assert!(status == 2 && said.contains("_objects.jsonl: its SHA-256 is"), "{said}");
    fs::write(&list, &sealed[..sealed.len() - 1]).unwrap();
    let (status, _, said) = run(&arguments);
    assert!(status == 2 && said.contains("and the receipt"), "{said}");
    fs::remove_file(&list).unwrap();
    let (status, _, said) = run(&arguments);
    assert!(status == 2 && said.contains("is missing; put it there"), "{said}");

    // A receipt that names only some objects is not compared as if it named all.
    receipt["output"].as_object_mut().unwrap().remove("objects_file");
    write(many.path(), "_receipt.json", &receipt.to_string());
    let (status, _, said) = run(&arguments);
    assert!(status == 2 && said.contains("leaves 203 objects out"), "{said}");
}

#[test]
fn the_files_kept_from_a_local_run_can_be_verified() {
    let kept = folder(&[
        ("deliveries/1/delivery.json", "{}"),
        ("deliveries/1/history.json", "[]"),
        ("deliveries/1/receipt.json", "{}"),
        ("moto.log", "started"),
        ("landfall-ledger/jobs/segment-snapshot/k.json", "{}"),
        ("landfall-ledger/receipts/endpoint-import/k.json", "{\"output\": null}"),
        ("landfall-exports/segments/_latest.json", "{}"),
        ("landfall-exports/segments/run=1/a.csv", ROWS),
        ("landfall-exports/segments/run=1/b.csv", OTHERS),
    ]);
    let (status, _, said) = run(&[path(&kept)]);
    assert!(
        status == 2 && said.contains("no job in it sealed an output") && said.contains("1/delivery.json"),
        "{said}"
    );

    let exports = kept.path().join("landfall-exports");
    let first = exports.join("segments/run=1");
    seal(
        &first,
        &["a.csv", "b.csv"],
        "s3://landfall-exports/segments/run=1/",
        false,
    );
    let (status, document) = run_json(&[path(&kept)]);
    assert_eq!((status, &document["verdict"]), (0, &json!("passed")), "{document}");
    assert_eq!(
        Path::new(document["place"].as_str().unwrap()),
        first.join(""),
        "{document}"
    );
    assert_eq!(document["report"]["data_objects"], 2);
    assert_eq!(document["comparison"]["unchanged"], 2);
    // The same for the folder itself, with the receipt beside its files.
    let (status, document) = run_json(&[first.to_str().unwrap()]);
    assert_eq!((status, &document["comparison"]["unchanged"]), (0, &json!(2)));

    // With several receipts, none is chosen.
    write(&exports, "segments/run=2/a.csv", ROWS);
    let second = exports.join("segments/run=2");
    let receipt = seal(&second, &["a.csv"], "s3://landfall-exports/segments/run=2/", false);
    fs::remove_file(second.join("_receipt.json")).unwrap();
    write(
        kept.path(),
        "landfall-ledger/receipts/segment-snapshot/2.json",
        &receipt.to_string(),
    );
    let (status, _, said) = run(&[path(&kept)]);
    let named = |file: &str| format!("--receipt {}", kept.path().join(file).display());
    assert!(
        status == 2
            && said.contains("holds 2 outputs")
            && said.contains(&named("landfall-exports/segments/run=1/_receipt.json"))
            && said.contains(&named("landfall-ledger/receipts/segment-snapshot/2.json")),
        "{said}"
    );
    let chosen = kept.path().join("landfall-ledger/receipts/segment-snapshot/2.json");
    let (status, document) = run_json(&[path(&kept), "--receipt", chosen.to_str().unwrap()]);
    assert_eq!((status, &document["comparison"]["unchanged"]), (0, &json!(1)));
}

#[test]
fn the_unchanged_output_of_a_failed_job_still_fails() {
    let here = folder(&[("a.csv", ROWS)]);
    let mut receipt = seal(here.path(), &["a.csv"], "s3://landfall-exports/run=1/", false);
    receipt["verdict"] = json!("failed");
    write(here.path(), "_receipt.json", &receipt.to_string());
    let file = here.path().join("_receipt.json");
    for level in ["full", "listing"] {
        let arguments = [path(&here), "--receipt", file.to_str().unwrap(), "--level", level];
        let (status, document) = run_json(&arguments);
        assert_eq!((status, &document["verdict"]), (1, &json!("failed")));
        let found = &document["comparison"];
        assert_eq!((&found["same"], &found["verdict"]), (&json!(true), &json!("failed")));
        let (_, printed, _) = run(&arguments);
        assert!(
            printed.contains("failed: the receipt is that of a failed job\n"),
            "{printed}"
        );
    }
}

#[test]
fn a_receipt_without_a_valid_output_is_refused() {
    let here = folder(&[("a.csv", ROWS)]);
    let receipt = seal(here.path(), &["a.csv"], "s3://landfall-exports/run=1/", false);
    let mut of_other_schema = receipt.clone();
    of_other_schema["schema"] = json!("landfall.report/1");
    let mut without_output = receipt.clone();
    without_output["output"] = Value::Null;
    let mut outside = receipt.clone();
    outside["output"]["objects"][0]["key"] = json!("elsewhere/a.csv");
    let mut damaged = receipt;
    damaged["output"]["objects"][0]["size"] = json!("large");
    let file = here.path().join("_receipt.json");
    for (receipt, expected) in [
        (of_other_schema, "its schema is \"landfall.report/1\""),
        (without_output, "without an output"),
        (outside, "does not lie beneath its own prefix"),
        (damaged, "it is not a receipt as landfall.receipt/1 has it"),
    ] {
        fs::write(&file, receipt.to_string()).unwrap();
        let (status, _, said) = run(&[path(&here), "--receipt", file.to_str().unwrap()]);
        assert!(status == 2 && said.contains(expected), "{expected} in\n{said}");
    }
}

/// A store layer in which something happens before the first read of a key, and whose streams may break off.
#[derive(Default)]
struct Meddled {
    before: Mutex<BTreeMap<String, Box<dyn FnOnce() + Send>>>,
    /// How many streams break off after their first chunk.
    breaks: AtomicUsize,
}

#[async_trait]
impl Layer for Meddled {
    async fn call(&self, call: Call<'_>, store: &dyn ObjectStore) -> Result<Answer> {
        if matches!(call, Call::Read { .. } | Call::Stream { .. }) {
            let act = self.before.lock().unwrap().remove(call.key());
            if let Some(act) = act {
                act();
            }
        }
        let breaks = |left: usize| left.checked_sub(1);
        match call.make(store).await? {
            Answer::Frames(frames) if self.breaks.fetch_update(Relaxed, Relaxed, breaks).is_ok() => {
                let broken = Error::new(ErrorKind::Unavailable, "the body broke off");
                Ok(Answer::Frames(
                    frames.take(1).chain(stream::iter([Err(broken)])).boxed(),
                ))
            }
            answer => Ok(answer),
        }
    }
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_read_is_noticed() {
    let here = folder(&[("a.csv", ROWS), ("b.csv", ROWS)]);
    let changed = here.path().join("b.csv");
    let location = Location::folder(here.path()).unwrap();
    let act = move || fs::write(changed, "id,name\n3,c\n4,d\n5,e\n").unwrap();
    let meddled = Meddled {
        before: Mutex::new(BTreeMap::from([("b.csv".to_owned(), Box::new(act) as _)])),
        ..Meddled::default()
    };
    let location = Location {
        store: Arc::new(Layered::new(location.store, meddled)),
        ..Location::folder(here.path()).unwrap()
    };
    let ask = Ask {
        format: Some(landfall_formats::Format::Csv),
        ..Ask::default()
    };
    let verified = verify_in(&ask, location, None, Arc::new(SystemClock), &Arc::default())
        .await
        .unwrap();
    assert_eq!(verified.verdict, Verdict::Failed);
    let report = verified.report.unwrap();
    let stable = report.check("listing_stable").unwrap();
    assert!(
        stable
            .reason
            .contains("replaced or removed while being verified: b.csv"),
        "{stable:?}"
    );
    assert!(!stable.reason.contains("s3://"), "{stable:?}");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_asked_for_again() {
    let here = tempfile::tempdir().unwrap();
    let rows = 400_000;
    let lines: String = (0..rows).map(|row| format!("{row},some name\n")).collect();
    write(here.path(), "a.csv", &format!("id,name\n{lines}"));
    let size = fs::metadata(here.path().join("a.csv")).unwrap().len();
    let location = Location::folder(here.path()).unwrap();
    let meddled = Meddled {
        breaks: AtomicUsize::new(2),
        ..Meddled::default()
    };
    let meddled = Arc::new(Layered::new(Arc::clone(&location.store), meddled));
    let location = Location {
        store: Arc::clone(&meddled) as Arc<dyn ObjectStore>,
        ..location
    };
    let ask = Ask {
        format: Some(landfall_formats::Format::Csv),
        ..Ask::default()
    };
    let progress = Arc::new(Progress::default());
    let verified = verify_in(&ask, location, None, Arc::new(SystemClock), &progress)
        .await
        .unwrap();
    assert_eq!(meddled.layer.breaks.load(Relaxed), 0);
    assert_eq!(
        (verified.verdict, verified.report.unwrap().rows),
        (Verdict::Passed, rows)
    );
    assert_eq!(progress.now(), [1, 1, size, size]);
}

#[tokio::test]
async fn a_bucket_is_verified_and_compared_with_its_receipt() {
    let here = tempfile::tempdir().unwrap();
    let guard = Guard::start().unwrap();
    let python = tokio::task::spawn_blocking(|| python::ensure(&places::workspace().unwrap()).unwrap())
        .await
        .unwrap();
    let edge = "127.0.0.1:9".parse().unwrap();
    let moto = Moto::start(&python, &guard, edge, ACCOUNT, REGION, &here.path().join("moto.log"))
        .await
        .unwrap();
    let s3 = deploy::s3(moto.address());
    deploy::buckets(&s3).await.unwrap();
    let put = async |key: &str, body: &str| {
        let body = Bytes::copy_from_slice(body.as_bytes()).into();
        s3.put_object()
            .bucket(EXPORTS)
            .key(key)
            .body(body)
            .send()
            .await
            .unwrap();
    };
    put("run=1/a.csv", ROWS).await;
    put("run=1/b.csv", ROWS).await;
    put("run=10/other.csv", "not of it").await;
    let url = format!("http://{}", moto.address());
    let prefix = format!("s3://{EXPORTS}/run=1");
    let access = ["--endpoint-url", &url, "--region", REGION, "--settle", "0"];
    let run_there = async |arguments: &[&str]| {
        let arguments: Vec<String> = arguments.iter().chain(&access).map(|&text| text.to_owned()).collect();
        tokio::task::spawn_blocking(move || run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()))
            .await
            .unwrap()
    };

    // A prefix without a slash is a folder, too.
    let (status, printed, said) = run_there(&[&prefix, "--json"]).await;
    assert_eq!(status, 0, "{said}");
    let document: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(document["place"], format!("s3://{EXPORTS}/run=1/"));
    assert_eq!(document["report"]["rows"], 4);

    // The verified objects are sealed, and compared with what is there.
    let receipt = json!({
        "schema": "landfall.receipt/1", "verdict": "succeeded", "kind": "segment-snapshot", "job_key": "k",
        "output": {"prefix": format!("s3://{EXPORTS}/run=1/"), "format": "CSV", "rows": 4,
                   "objects": document["report"]["objects"], "objects_omitted": 0},
    });
    put("run=1/_receipt.json", &receipt.to_string()).await;
    let sealed = format!("s3://{EXPORTS}/run=1/_receipt.json");
    let (status, printed, said) = run_there(&["--receipt", &sealed]).await;
    assert_eq!(status, 0, "{said}");
    assert!(printed.contains("2 unchanged\n"), "{printed}");

    put("run=1/a.csv", ROWS).await;
    put("run=1/b.csv", "id,name\n1,a\n2,c\n").await;
    put("run=1/c.csv", ROWS).await;
    let (status, printed, _) = run_there(&["--receipt", &sealed, "--json"]).await;
    let found = &serde_json::from_str::<Value>(&printed).unwrap()["comparison"];
    assert_eq!((status, &found["unchanged"]), (1, &json!(1)), "{found}");
    assert_eq!(
        (&found["changed"][0]["key"], &found["added"][0]["key"]),
        (&json!("b.csv"), &json!("c.csv"))
    );
    // The ETag shows a change without reading anything.
    let (status, printed, _) = run_there(&["--receipt", &sealed, "--json", "--level", "listing"]).await;
    let found = &serde_json::from_str::<Value>(&printed).unwrap()["comparison"];
    assert_eq!(
        (status, &found["changed"][0]["differences"][0]["what"]),
        (1, &json!("etag")),
        "{found}"
    );

    // The same for a copy on this machine, with the library.
    let copy = folder(&[("a.csv", ROWS), ("b.csv", ROWS)]);
    write(copy.path(), "_receipt.json", &receipt.to_string());
    let ask = Ask {
        place: Some(Place::Local(copy.path().into())),
        receipt: Some(Place::Local(copy.path().join("_receipt.json"))),
        ..Ask::default()
    };
    let verified = verify(&ask, &Arc::new(Progress::default())).await.unwrap();
    assert!(verified.is_good(), "{verified:?}");
    assert_eq!(verified.comparison.unwrap().unchanged, 2);

    // The checksums that S3 keeps.
    let with = async |key: &str, body: &'static str, checksum: ChecksumAlgorithm, value: Option<&str>| {
        let put = s3.put_object().bucket(EXPORTS).key(key).body(Bytes::from(body).into());
        let put = put.checksum_algorithm(checksum);
        let put = put.set_checksum_crc64_nvme(value.map(str::to_owned));
        put.send().await.unwrap();
    };
    with("run=2/a.csv", ROWS, ChecksumAlgorithm::Crc64Nvme, None).await;
    with("run=2/b.csv", OTHERS, ChecksumAlgorithm::Crc32C, None).await;
    with("run=2/c.csv", "id,name\n5,e\n", ChecksumAlgorithm::Crc32, None).await;
    let prefix = format!("s3://{EXPORTS}/run=2/");
    let checksum = async || {
        let (status, printed, said) = run_there(&[&prefix, "--json"]).await;
        let document: Value = serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {said}"));
        let (verdict, reason) = check(&document, "checksum");
        (status, verdict.to_owned(), reason.to_owned())
    };
    let (status, verdict, reason) = checksum().await;
    assert_eq!((status, verdict.as_str()), (0, "pass"), "{reason}");
    let of_all =
        "the checksum (CRC32: 1, CRC32C: 1, CRC64NVME: 1) that S3 keeps of 3 of 3 data objects matches the bytes";
    assert!(reason.starts_with(of_all), "{reason}");
    // A checksum of other bytes, which moto accepts unchecked.
    with("run=2/a.csv", ROWS, ChecksumAlgorithm::Crc64Nvme, Some("rosUhgp5mIg=")).await;
    let (status, verdict, reason) = checksum().await;
    assert_eq!((status, verdict.as_str()), (1, "fail"), "{reason}");
    assert!(reason.contains("a.csv (CRC64NVME)"), "{reason}");

    let (status, _, said) = run_there(&["s3://no-such-bucket-here/x/"]).await;
    assert!(
        status == 2 && said.contains("NoSuchBucket") && said.contains("s3://no-such-bucket-here/x/"),
        "{said}"
    );
    let (status, _, said) = run_there(&[&format!("s3://{EXPORTS}/nothing/")]).await;
    assert!(status == 2 && said.contains("nothing lies here"), "{said}");
    let gone = verify(
        &Ask {
            receipt: Some(Place::Local(here.path().join("none"))),
            ..ask
        },
        &Arc::default(),
    )
    .await
    .unwrap_err();
    assert_eq!(gone.kind, ErrorKind::NotFound);
    moto.shutdown().await;
}
