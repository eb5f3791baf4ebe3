//! The checks as a whole.

mod reasons;

use chrono::{DateTime, TimeDelta};
use landfall::{
    expect::{Expectations, ExpectedAge, ExpectedChange, ExpectedColumns, ExpectedRows, OnViolation},
    job::{Level, NamedFile},
    store::checksum::Algorithm,
};
use landfall_formats::{Content, Decoded, Defect, Document, Format, Framed, Remark};
use proptest::{collection::vec, option, prelude::*, sample::select};

use super::{Asker, Circumstances, Judged, Tally, extra_objects::TEST_FILE, words::*};
use crate::verify::{
    CheckVerdict, Expectation, Finding, MAX_OBJECTS, Previous, Reading, Role, Verdict, VerifiedObject,
    hash::Compared,
    settle::{Changes, Stability},
};

fn asked() -> Expectation {
    Expectation::of("s3://exports/run=1/".parse().unwrap(), Some(Format::Csv))
}

fn at(level: Level) -> Expectation {
    Expectation { level, ..asked() }
}

pub(super) fn reading(name: &str, size: u64, finding: Finding) -> Reading {
    let data = !matches!(finding, Finding::Extra(_));
    let rows = match &finding {
        Finding::Whole(decoded) => decoded.document.is_none().then_some(decoded.rows),
        _ => None,
    };
    Reading {
        object: VerifiedObject {
            key: format!("run=1/{name}"),
            role: if data { Role::Data } else { Role::Extra },
            format: data.then_some(Format::Csv),
            size,
            etag: "\"e\"".to_owned(),
            version_id: None,
            last_modified: DateTime::UNIX_EPOCH,
            sha256: rows.map(|_| "00".repeat(32)),
            rows,
            pages: None,
            error: None,
            error_line: None,
            error_record: None,
            encryption: None,
            kms_key: None,
        },
        finding,
        compared: None,
        shape: None,
    }
}

pub(super) fn whole(rows: u64) -> Finding {
    Finding::Whole(Decoded {
        rows,
        ..Decoded::default()
    })
}

fn framed(rows: Option<u64>) -> Finding {
    Finding::Framed(Framed {
        rows,
        ..Framed::default()
    })
}

/// The finding for a table with these columns.
pub(super) fn table(rows: u64, columns: &[&str]) -> Finding {
    Finding::Whole(Decoded {
        rows,
        columns: columns.iter().map(|&name| name.to_owned()).collect(),
        column_count: columns.len() as u64,
        ..Decoded::default()
    })
}

fn document() -> Finding {
    Finding::Whole(Decoded {
        document: Some(Document { pages: Some(1) }),
        ..Decoded::default()
    })
}

fn settled() -> Stability {
    Stability {
        listings: 2,
        settled: true,
        ..Stability::default()
    }
}

/// Judges at a time one minute after the objects were written.
fn judged_as(asked: &Expectation, readings: &[Reading], settling: &Stability) -> Judged {
    let mut tally = Tally::new(asked);
    for reading in readings {
        tally.add(reading);
    }
    tally.judge(&Circumstances {
        settling,
        hidden: 0,
        now: DateTime::UNIX_EPOCH + TimeDelta::seconds(60),
    })
}

fn judged(asked: &Expectation, readings: &[Reading]) -> Judged {
    judged_as(asked, readings, &settled())
}

#[track_caller]
fn check<'a>(judged: &'a Judged, name: &str) -> (CheckVerdict, &'a str) {
    let check = judged.checks.iter().find(|check| check.name == name).unwrap();
    (check.verdict, &check.reason)
}

#[track_caller]
fn verdict(judged: &Judged, name: &str) -> CheckVerdict {
    check(judged, name).0
}

use CheckVerdict::{Fail, Pass, Skipped, Warn};

#[test]
fn an_object_that_is_not_whole_fails_the_output() {
    let bad = [
        reading("b.csv", 9, Finding::Defective(Defect::new("is cut off"))),
        reading("b.csv", 9, Finding::Foreign("holds gzip".to_owned())),
        reading("b.csv", 0, Finding::Empty),
        reading("b.csv", 9, framed(Some(1))),
        reading("b.csv", 9, Finding::Listed),
    ];
    for allow_empty in [false, true] {
        let asked = Expectation { allow_empty, ..asked() };
        for bad in &bad {
            let judged = judged(&asked, &[reading("a.csv", 9, whole(1)), bad.clone()]);
            assert_eq!(judged.verdict, Verdict::Failed, "{bad:?}");
            assert_eq!(verdict(&judged, "rows_counted"), Skipped);
        }
        let judged = judged_as(&asked, &[reading("a.csv", 9, whole(1))], &Stability::default());
        assert_eq!(verdict(&judged, "listing_stable"), Fail);
        assert_eq!(verdict(&judged, "rows_counted"), Skipped);
    }
}

#[test]
fn the_remarks_of_a_decoder_warn() {
    let mut decoded = Decoded {
        rows: 1,
        ..Decoded::default()
    };
    decoded
        .remarks
        .add(Remark::new("ends its rows with CR alone").on_line(1));
    let readings = [
        reading("a.csv", 9, whole(1)),
        reading("b.csv", 9, Finding::Whole(decoded)),
    ];
    let judged = judged(&asked(), &readings);
    assert_eq!(
        check(&judged, "format"),
        (
            Warn,
            "2 data objects decoded to the end as CSV. Somebody should look at 1 of them: run=1/b.csv ends its \
             rows with CR alone (line 1)"
        )
    );
    assert_eq!((judged.verdict, judged.rows), (Verdict::PassedWithWarnings, 2));

    let mut framed = Framed::default();
    framed.remarks.add(Remark::new("has zeros behind its end"));
    let asked = Expectation {
        level: Level::Structure,
        ..asked()
    };
    let judged = judged_as(&asked, &[reading("a.csv", 9, Finding::Framed(framed))], &settled());
    let (verdict, reason) = check(&judged, "format");
    assert_eq!(verdict, Warn);
    assert!(reason.ends_with("run=1/a.csv has zeros behind its end"), "{reason}");
}

#[test]
fn empty_lines_warn_and_count_only_as_the_event_says() {
    let of = |min, max| {
        let rows = ExpectedRows {
            min: Some(min),
            max: Some(max),
            empty_lines: None,
            on_violation: OnViolation::Fail,
        };
        let asked = expecting(Expectations {
            rows: Some(rows),
            ..Expectations::default()
        });
        let decoded = Decoded {
            rows: 3,
            empty_lines: 2,
            ..Decoded::default()
        };
        judged(&asked, &[reading("a.csv", 9, Finding::Whole(decoded))])
    };
    let both = of(3, 5);
    assert_eq!(check(&both, "expected_rows").0, Pass);
    let (verdict, reason) = check(&both, "format");
    assert_eq!(verdict, Warn);
    assert!(
        reason.ends_with(
            "run=1/a.csv has 2 empty lines, which are not counted as rows: some writers write a null of a single column \
             that way, others mean nothing"
        ),
        "{reason}"
    );
    for (min, max) in [(3, 4), (4, 5), (3, 3), (5, 5), (4, 4), (6, 9)] {
        let judged = of(min, max);
        let (verdict, reason) = check(&judged, "expected_rows");
        assert_eq!(verdict, Fail, "{min} to {max}");
        assert!(reason.contains("Say in EmptyLines whether they count"), "{reason}");
    }
}

#[test]
fn the_reported_rows_are_compared_with_all_objects() {
    let asked = Expectation {
        rows: Some(1),
        ..asked()
    };
    let readings = [reading("a.csv", 9, whole(1)), reading("b.csv", 0, Finding::Empty)];
    assert_eq!(verdict(&judged(&asked, &readings), "row_count_matches"), Fail);
    let judged = judged(&asked, &readings[..1]);
    assert_eq!(verdict(&judged, "row_count_matches"), Pass);
    assert_eq!((judged.rows, judged.bytes, judged.data_objects), (1, 9, 1));
}

#[test]
fn one_small_unknown_object_passes_and_more_warns() {
    let of = |extra: Vec<Reading>| {
        let mut readings = vec![reading("a.csv", 9, whole(1))];
        readings.extend(extra);
        verdict(&judged(&asked(), &readings), "extra_objects")
    };
    let unknown = |name, size| reading(name, size, Finding::Extra(None));
    assert_eq!(of(vec![]), Pass);
    assert_eq!(
        of(vec![unknown("x", TEST_FILE), unknown("y/", 0), unknown("z", 0)]),
        Pass
    );
    assert_eq!(of(vec![unknown("x", TEST_FILE + 1)]), Warn);
    assert_eq!(of(vec![unknown("x", 1), unknown("y", 1)]), Warn);
    assert_eq!(of(vec![reading("x", 1, Finding::Extra(Some(Content::Gzip)))]), Warn);
}

#[test]
fn every_check_has_its_own_name() {
    let judged = judged(&asked(), &[]);
    let mut names: Vec<_> = judged.checks.iter().map(|check| check.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 21);
}

/// The reasons for an output with many faults, word for word.
#[test]
fn reasons_count_all_objects_and_name_the_first() {
    let mut readings: Vec<_> = (0..7)
        .map(|n| reading(&format!("a{n}.csv"), 9, Finding::Defective(Defect::new("is cut off"))))
        .collect();
    readings.push(reading("b.csv", 0, Finding::Empty));
    readings.push(reading("c.csv", 9, whole(3)));
    readings.push(reading("x", 70_000, Finding::Extra(None)));
    readings[7].object.last_modified -= TimeDelta::hours(1);
    readings[8].compared = Some(Compared::Different(Algorithm::Sha256));
    let asked = Expectation {
        kms_key: Some("alias/a".to_owned()),
        rows: Some(4),
        ..asked()
    };
    let judged = judged(&asked, &readings);
    let texts: Vec<_> = judged
        .checks
        .iter()
        .filter(|check| !matches!(check.verdict, Pass | Skipped))
        .map(|check| (check.name.as_str(), check.reason.as_str()))
        .collect();
    assert_eq!(
        texts,
        [
            (
                "newer_than_start",
                "1 of 9 data objects is older than the job, which was started at 1970-01-01T00:00:00Z, and so of another \
                 run: run=1/b.csv of 1969-12-31T23:00:00Z. Let every run write beneath a prefix of its own"
            ),
            (
                "no_empty_files",
                "1 of 9 data objects of zero bytes: run=1/b.csv. The export did not write what it began; run it \
                 again"
            ),
            (
                "format",
                "7 of 9 data objects cannot be decoded as CSV: run=1/a0.csv: is cut off, run=1/a1.csv: is cut \
                 off, run=1/a2.csv: is cut off, run=1/a3.csv: is cut off, run=1/a4.csv: is cut off and 2 more. Do \
                 not use these files; run the export again"
            ),
            (
                "row_count_matches",
                "the service reports 4 rows, and not all data could be counted: see the other failed checks"
            ),
            (
                "encryption",
                "9 of 9 data objects not encrypted as asked: run=1/a0.csv is not encrypted with a KMS key, \
                 run=1/a1.csv is not encrypted with a KMS key, run=1/a2.csv is not encrypted with a KMS key, \
                 run=1/a3.csv is not encrypted with a KMS key, run=1/a4.csv is not encrypted with a KMS key and \
                 4 more. Look at the export role's rights on the key and at the bucket's default encryption"
            ),
            (
                "checksum",
                "1 data object read with another checksum than S3 keeps: run=1/c.csv (SHA-256). Verify again; if it \
                 stays, run the export again"
            ),
            (
                "extra_objects",
                "1 object not taken for data: run=1/x (70000 bytes). Make sure that none of them belongs to the \
                 export"
            ),
        ]
    );
    assert_eq!(
        check(&judged, "rows_counted"),
        (
            Skipped,
            "3 rows in 1 of 9 data objects; the others, or what changed, could not be counted: see the failed checks"
        )
    );
    assert_eq!(
        check(&judged, "output_present"),
        (Pass, "1 of 9 data objects hold rows")
    );
}

#[test]
fn checks_beyond_the_level_are_skipped() {
    let kms = |asked: Expectation| Expectation {
        kms_key: Some("alias/a".to_owned()),
        rows: Some(5),
        ..asked
    };
    let readings = [
        reading("a.csv", 9, Finding::Listed),
        reading("b.csv", 8, Finding::Listed),
    ];
    let judged_listing = judged(&kms(at(Level::Listing)), &readings);
    assert_eq!(judged_listing.verdict, Verdict::Passed);
    for name in [
        "format",
        "text_complete",
        "rows_counted",
        "row_count_matches",
        "columns_agree",
        "no_duplicates",
        "encryption",
        "checksum",
    ] {
        let (verdict, reason) = check(&judged_listing, name);
        assert_eq!(verdict, Skipped, "{name}");
        assert!(reason.contains("level listing"), "{name}: {reason}");
        assert!(reason.contains("Landfall.Verification.Level"), "{name}: {reason}");
    }
    assert_eq!(
        check(&judged_listing, "output_present"),
        (
            Pass,
            "2 of 2 data objects hold at least one byte; what they hold was not decoded, as the event asks (level \
             listing)"
        )
    );
    assert_eq!((judged_listing.rows, judged_listing.bytes), (0, 17));
    // The facts in a listing are judged.
    let empty = judged(&at(Level::Listing), &[reading("a.csv", 0, Finding::Listed)]);
    assert_eq!(verdict(&empty, "no_empty_files"), Fail);
    assert_eq!(verdict(&empty, "output_present"), Fail);
    let foreign = reading("a.orc", 9, Finding::Foreign("has the suffix of ORC".to_owned()));
    assert_eq!(verdict(&judged(&at(Level::Listing), &[foreign]), "format"), Fail);

    let readings = [reading("a.csv", 9, framed(None)), reading("b.csv", 9, framed(Some(2)))];
    let asked = kms(at(Level::Structure));
    let judged_structure = judged(&asked, &readings);
    assert_eq!(
        check(&judged_structure, "format"),
        (
            Pass,
            "2 data objects: their ends are those of CSV; not decoded, as the event asks (level structure)"
        )
    );
    for name in [
        "text_complete",
        "columns_agree",
        "no_duplicates",
        "rows_counted",
        "row_count_matches",
        "checksum",
    ] {
        let (verdict, reason) = check(&judged_structure, name);
        assert_eq!(verdict, Skipped, "{name}");
        assert!(reason.contains("level structure"), "{name}: {reason}");
    }
    // The metadata of every object was read.
    assert_eq!(verdict(&judged_structure, "encryption"), Fail);
    // Every object must be read as far as the level asks.
    let listed = judged(&at(Level::Structure), &[reading("a.csv", 9, Finding::Listed)]);
    assert_eq!(verdict(&listed, "format"), Fail);
    // If the event insists on the count, the check needs it or fails.
    let strict = Expectation {
        strict_row_count: true,
        ..asked
    };
    assert_eq!(verdict(&judged(&strict, &readings), "row_count_matches"), Fail);
}

#[test]
fn rows_in_footers_are_compared_with_the_reported_rows() {
    let asked = |rows| Expectation {
        format: Some(Format::Orc),
        rows: Some(rows),
        ..at(Level::Structure)
    };
    let readings = [reading("a", 9, framed(Some(3))), reading("b", 9, framed(Some(2)))];
    let judged_five = judged(&asked(5), &readings);
    assert_eq!(
        check(&judged_five, "rows_counted"),
        (Pass, "5 rows in 2 data objects, by the footers, not decoded")
    );
    assert_eq!(
        check(&judged_five, "row_count_matches"),
        (
            Pass,
            "5 rows stand in the footers, not decoded, as many as the service reports"
        )
    );
    assert_eq!((judged_five.verdict, judged_five.rows), (Verdict::Passed, 5));
    let (verdict_of_six, reason) = check_owned(&judged(&asked(6), &readings), "row_count_matches");
    assert_eq!(verdict_of_six, Warn);
    assert!(reason.contains("the service reports 6: 1 are missing"), "{reason}");
    // Footers without rows are an export without a row.
    let none = judged(&asked(0), &[reading("a", 9, framed(Some(0)))]);
    assert_eq!(verdict(&none, "output_present"), Fail);
    // A hostile footer causes no overflow.
    let most = [
        reading("a", 9, framed(Some(u64::MAX))),
        reading("b", 9, framed(Some(2))),
    ];
    assert_eq!(judged(&asked(5), &most).rows, u64::MAX);
}

fn check_owned(judged: &Judged, name: &str) -> (CheckVerdict, String) {
    let (verdict, reason) = check(judged, name);
    (verdict, reason.to_owned())
}

fn expecting(expect: Expectations) -> Expectation {
    Expectation { expect, ..asked() }
}

fn columns(names: &[&str], on_violation: OnViolation) -> Expectation {
    expecting(Expectations {
        columns: Some(ExpectedColumns {
            required: names.iter().map(|&name| name.to_owned()).collect(),
            on_violation,
        }),
        ..Expectations::default()
    })
}

const ON: [(OnViolation, CheckVerdict); 2] = [(OnViolation::Warn, Warn), (OnViolation::Fail, Fail)];

#[test]
fn the_required_columns_must_be_in_every_table() {
    let of = |asked: &Expectation, readings: &[Reading]| check_owned(&judged(asked, readings), "required_columns");
    let good = reading("a.csv", 9, table(1, &["id", "name", "age"]));
    let bad = reading("b.csv", 9, table(1, &["name"]));
    let asked = columns(&["id", "name"], OnViolation::Fail);
    assert_eq!(
        of(&expecting(Expectations::default()), std::slice::from_ref(&bad)).0,
        Skipped
    );
    assert_eq!(
        of(&asked, std::slice::from_ref(&good)),
        (
            Pass,
            "1 data object with all of the 2 columns that the event expects".to_owned()
        )
    );
    for (on, expected) in ON {
        let (verdict, reason) = of(&columns(&["id", "name"], on), &[good.clone(), bad.clone()]);
        assert_eq!(verdict, expected);
        assert!(reason.contains("1 of 2 data objects"), "{reason}");
        assert!(reason.contains("run=1/b.csv lacks \"id\"."), "{reason}");
        assert!(reason.contains("Landfall.Verification.Expect.Columns"), "{reason}");
    }
    // Names are in the order of the event, and bounded.
    let many: Vec<String> = (0..100).map(|n| format!("{}{n:03}", "z".repeat(125))).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let (_, reason) = of(&columns(&many, OnViolation::Fail), std::slice::from_ref(&good));
    assert!(reason.contains("and 95 more"), "{reason}");
    assert!(reason.chars().count() < 1_200, "{reason}");

    // Only the first columns of a very wide object are known.
    let mut wide = bad.clone();
    if let Finding::Whole(decoded) = &mut wide.finding {
        decoded.column_count = 2_000;
    }
    let (verdict, reason) = of(&asked, &[wide]);
    assert_eq!(verdict, Fail);
    assert!(reason.contains("among its first 1 of 2000 columns"), "{reason}");

    // A name is compared in the form that decoders keep.
    let control = reading("a.csv", 9, table(1, &["a\u{fffd}b"]));
    assert_eq!(of(&columns(&["a\u{1}b"], OnViolation::Fail), &[control]).0, Pass);
}

#[test]
fn documents_and_workbooks_need_no_columns() {
    let of = |asked: &Expectation, readings: &[Reading]| check_owned(&judged(asked, readings), "required_columns");
    let asked = columns(&["id"], OnViolation::Fail);
    let good = reading("a.csv", 9, table(1, &["id"]));
    let page = reading("b.pdf", 9, document());
    let mut book = reading("c.xlsx", 9, whole(4));
    book.object.format = Some(Format::Excel);
    let (verdict, reason) = of(&asked, &[good.clone(), page.clone(), book.clone()]);
    assert_eq!(verdict, Pass);
    assert!(
        reason.ends_with("; documents and workbooks, which have none: 2"),
        "{reason}"
    );
    assert_eq!(of(&asked, &[page, book]).0, Warn);
    assert_eq!(of(&asked, &[]).0, Skipped);
    assert_eq!(of(&asked, &[reading("a.csv", 9, whole(0))]).0, Skipped);
    // Rows without columns lack all required columns.
    assert_eq!(of(&asked, &[reading("a.csv", 9, whole(1))]).0, Fail);
    let broken = reading("b.csv", 9, Finding::Defective(Defect::new("is cut off")));
    assert_eq!(of(&asked, &[good.clone(), broken]).0, Skipped);

    let structure = Expectation {
        level: Level::Structure,
        ..asked.clone()
    };
    let header = |names: &[&str]| {
        Finding::Framed(Framed {
            columns: names.iter().map(|&name| name.to_owned()).collect(),
            column_count: names.len() as u64,
            ..Framed::default()
        })
    };
    assert_eq!(of(&structure, &[reading("a.csv", 9, header(&["id"]))]).0, Pass);
    assert_eq!(of(&structure, &[reading("a.csv", 9, header(&["x"]))]).0, Fail);
    let (verdict, reason) = of(&structure, &[reading("a.csv", 9, header(&[]))]);
    assert_eq!(verdict, Fail);
    assert!(reason.contains("level structure"), "{reason}");
    let listing = Expectation {
        level: Level::Listing,
        ..asked
    };
    assert_eq!(of(&listing, &[reading("a.csv", 9, Finding::Listed)]).0, Fail);
}

#[test]
fn the_rows_must_be_within_the_expected_bounds() {
    let of = |min, max, on_violation, readings: &[Reading]| {
        let rows = Some(ExpectedRows {
            min,
            max,
            empty_lines: None,
            on_violation,
        });
        let asked = expecting(Expectations {
            rows,
            ..Expectations::default()
        });
        check_owned(&judged(&asked, readings), "expected_rows")
    };
    let five = [reading("a.csv", 9, whole(2)), reading("b.csv", 9, whole(3))];
    for (on, violated) in ON {
        for (min, max, expected) in [
            (Some(5), None, Pass),
            (None, Some(5), Pass),
            (Some(5), Some(5), Pass),
            (Some(6), None, violated),
            (None, Some(4), violated),
            (Some(6), Some(9), violated),
            (Some(1), Some(4), violated),
        ] {
            assert_eq!(of(min, max, on, &five).0, expected, "{min:?} {max:?}");
        }
        // Rows that were not counted are not within the bounds.
        let broken = [reading("a.csv", 9, Finding::Defective(Defect::new("is cut off")))];
        assert_eq!(of(Some(0), None, on, &broken).0, violated);
        assert_eq!(of(Some(0), None, on, &[reading("a.pdf", 9, document())]).0, violated);
    }
    let (_, reason) = of(Some(6), None, OnViolation::Fail, &five);
    assert_eq!(
        reason,
        "5 rows, fewer than 6. The limit is in the event, Landfall.Verification.Expect.Rows"
    );
    let (_, reason) = of(Some(1), Some(9), OnViolation::Fail, &five);
    assert_eq!(reason, "5 rows; at least 1 and at most 9 are expected");

    let asked = |level| Expectation {
        allow_empty: true,
        level,
        ..expecting(Expectations {
            rows: Some(ExpectedRows {
                min: None,
                max: Some(9),
                empty_lines: None,
                on_violation: OnViolation::Fail,
            }),
            ..Expectations::default()
        })
    };
    let of = |level, finding| {
        let size = u64::from(finding != Finding::Empty);
        check_owned(&judged(&asked(level), &[reading("a", size, finding)]), "expected_rows")
    };
    assert_eq!(of(Level::Full, Finding::Empty).0, Pass);
    let (verdict, reason) = of(Level::Structure, framed(Some(9)));
    assert_eq!((verdict, reason.contains("by the footers")), (Pass, true), "{reason}");
    assert_eq!(of(Level::Structure, framed(Some(10))).0, Fail);
    let (verdict, reason) = of(Level::Structure, framed(None));
    assert_eq!((verdict, reason.contains("level structure")), (Fail, true), "{reason}");
}

#[test]
fn the_rows_must_not_change_more_than_expected() {
    let of = |previous: Option<(u64, bool)>, percent, on_violation, rows| {
        let asked = Expectation {
            previous: previous.map(|(rows, same_request)| Previous {
                job_key: "former".to_owned(),
                same_request,
                rows,
            }),
            ..expecting(Expectations {
                change: Some(ExpectedChange {
                    max_percent: percent,
                    on_violation,
                }),
                ..Expectations::default()
            })
        };
        let finding = if rows == u64::MAX {
            Finding::Defective(Defect::new("is cut off"))
        } else {
            whole(rows)
        };
        check_owned(&judged(&asked, &[reading("a.csv", 9, finding)]), "row_change")
    };
    for (on, violated) in ON {
        for (before, percent, rows, expected) in [
            (100, 10, 110, Pass),
            (100, 10, 90, Pass),
            (100, 10, 111, violated),
            (100, 10, 89, violated),
            (100, 0, 100, Pass),
            (100, 0, 101, violated),
            (100_000, 10, 110_001, violated),
            (0, 1_000_000, 0, Pass),
            (0, 1_000_000, 1, violated),
            (u64::MAX - 1, 100, 0, Pass),
            (u64::MAX - 1, 99, 0, violated),
            (1, 1_000_000, u64::MAX, violated),
        ] {
            assert_eq!(
                of(Some((before, true)), percent, on, rows).0,
                expected,
                "{before} {percent} {rows}"
            );
        }
        // The rows of another request are not compared.
        let (verdict, reason) = of(Some((100, false)), 10, on, 100);
        assert_eq!(verdict, Warn);
        assert!(reason.contains("of another request"), "{reason}");
        assert!(reason.contains("a destination of its own"), "{reason}");
        assert_eq!(of(None, 10, on, 100).0, Skipped);
    }
    let (_, reason) = of(Some((100_000, true)), 10, OnViolation::Fail, 110_001);
    assert!(
        reason.contains("110001 rows, and former had 100000: 10.01 % more"),
        "{reason}"
    );
    assert!(reason.contains("at most 10 % are expected"), "{reason}");
}

#[test]
fn the_data_must_not_be_older_than_expected() {
    let of = |max_seconds, on_violation, readings: &[Reading]| {
        let asked = expecting(Expectations {
            age: Some(ExpectedAge {
                max_seconds,
                on_violation,
            }),
            ..Expectations::default()
        });
        check_owned(&judged(&asked, readings), "data_age")
    };
    let mut readings = [reading("a.csv", 9, whole(1)), reading("b.csv", 9, whole(1))];
    readings[0].object.last_modified += TimeDelta::seconds(30);
    for (on, violated) in ON {
        assert_eq!(of(60, on, &readings).0, Pass);
        let (verdict, reason) = of(59, on, &readings);
        assert_eq!(verdict, violated);
        assert!(reason.contains("run=1/b.csv"), "{reason}");
        assert!(reason.contains("60 s before"), "{reason}");
        assert_eq!(of(30, on, &readings[..1]).0, Pass);
        assert_eq!(of(1, on, &[]).0, Skipped);
    }
    // Clocks differ.
    readings[0].object.last_modified += TimeDelta::hours(1);
    assert_eq!(of(1, OnViolation::Fail, &readings[..1]).0, Pass);
}

#[test]
fn a_text_without_the_line_end_of_the_others_is_named() {
    let text = |name: &str, format, unterminated| {
        let mut reading = reading(
            name,
            9,
            Finding::Whole(Decoded {
                rows: 1,
                unterminated,
                ..Decoded::default()
            }),
        );
        reading.object.format = Some(format);
        reading
    };
    let of = |readings: &[Reading]| check_owned(&judged(&asked(), readings), "text_complete");
    let (whole_a, whole_b) = (text("a", Format::Csv, false), text("b", Format::Csv, false));
    let open = text("c", Format::Csv, true);
    assert_eq!(of(&[whole_a.clone(), whole_b.clone()]).0, Pass);
    assert_eq!(of(std::slice::from_ref(&open)).0, Pass);
    assert_eq!(of(&[open.clone(), open.clone()]).0, Pass);
    let (verdict, reason) = of(&[whole_a.clone(), whole_b, open.clone()]);
    assert_eq!(verdict, Warn);
    assert!(reason.contains("1 of 3 data objects of CSV"), "{reason}");
    assert!(reason.contains("run=1/c"), "{reason}");
    assert!(reason.contains("may be cut off at the border of a record"), "{reason}");
    // Each format may have its own writer.
    assert_eq!(of(&[whole_a, text("d", Format::Jsonl, true)]).0, Pass);
    let mut orc = open;
    orc.object.format = Some(Format::Orc);
    assert_eq!(of(&[orc]).0, Skipped);
}

fn any_reading() -> impl Strategy<Value = Reading> {
    let finding = prop_oneof![
        6 => (0_u64..3, any::<bool>(), 0_usize..3).prop_map(|(rows, unterminated, columns)| {
            Finding::Whole(Decoded {
                rows,
                unterminated,
                columns: (0..columns).map(|n| format!("column {n}")).collect(),
                column_count: columns as u64,
                ..Decoded::default()
            })
        }),
        1 => option::of(1_u64..3).prop_map(|pages| Finding::Whole(Decoded {
            document: Some(Document { pages }),
            ..Decoded::default()
        })),
        1 => "[a-z\n]{0,300}".prop_map(|what| Finding::Defective(Defect::new(what))),
        1 => "[a-z]{0,9}".prop_map(Finding::Foreign),
        2 => Just(Finding::Empty),
        1 => select(vec![None, Some(Content::Gzip)]).prop_map(Finding::Extra),
        1 => option::of(0_u64..3).prop_map(framed),
        1 => Just(Finding::Listed),
    ];
    (
        ".{0,300}",
        select(vec![0_u64, 1, 9, TEST_FILE + 1]),
        finding,
        -20_i64..20,
        select(vec![None, Some("AES256"), Some("aws:kms")]),
        select(vec![
            None,
            Some("arn:aws:kms:r:1:key/a"),
            Some("arn:aws:kms:r:1:key/b"),
            Some("a"),
        ]),
        select(vec![
            None,
            Some(Compared::Same(Algorithm::Crc64Nvme)),
            Some(Compared::Different(Algorithm::Sha256)),
            Some(Compared::OfParts("CRC32".to_owned())),
            Some(Compared::NotComputed("SHA-1".to_owned())),
        ]),
        select(vec![Format::Csv, Format::Jsonl, Format::Orc, Format::Pdf]),
    )
        .prop_map(|(name, size, finding, age, encryption, key, compared, format)| {
            // Only an object of zero bytes can be found empty.
            let size = if finding == Finding::Empty { 0 } else { size };
            let mut reading = reading(&name, size, finding);
            reading.object.format = reading.object.format.map(|_| format);
            reading.object.last_modified -= TimeDelta::seconds(age);
            reading.object.encryption = encryption.map(str::to_owned);
            reading.object.kms_key = key.map(str::to_owned);
            reading.compared = compared;
            reading.shape = reading.finding.shape();
            reading
        })
}

fn any_asked() -> impl Strategy<Value = Expectation> {
    (
        select(vec![None, Some(Format::Csv), Some(Format::Orc)]),
        any::<bool>(),
        select(vec![None, Some("arn:aws:kms:r:1:key/a"), Some("alias/a"), Some("a")]),
        option::of(0_u64..9),
        any::<bool>(),
        option::of(0_u64..2),
        option::of(vec(0_usize..9, 0..8)),
    )
        .prop_map(
            |(format, allow_empty, kms_key, rows, strict_row_count, failed_rows, files)| Expectation {
                format,
                allow_empty,
                kms_key: kms_key.map(str::to_owned),
                rows,
                strict_row_count,
                failed_rows,
                files: files.map(|files| {
                    files
                        .into_iter()
                        .map(|n| NamedFile {
                            label: format!("file {n}"),
                            format: Format::Csv,
                            uri: (n > 1).then(|| format!("s3://exports/run=1/{n}").parse().unwrap()),
                            error: (n == 0).then(|| "GONE\nfor good".to_owned()),
                        })
                        .collect()
                }),
                ..asked()
            },
        )
}

fn any_settling() -> impl Strategy<Value = Stability> {
    let changes = || {
        vec("[a-z]{1,3}", 0..30).prop_map(|keys| {
            let mut changes = Changes::default();
            keys.iter().for_each(|key| changes.added.add(key));
            changes
        })
    };
    (any::<bool>(), changes(), changes(), option::weighted(0.2, "[a-z]{1,9}")).prop_map(
        |(settled, last, earlier, disturbed)| {
            let mut settling = Stability {
                listings: 3,
                settled,
                last,
                earlier,
                ..Stability::default()
            };
            disturbed.iter().for_each(|key| settling.disturbed.add(key));
            settling
        },
    )
}

proptest! {
    /// Whatever was written: reasons are bounded, and output that is not whole fails.
    #[test]
    fn verdicts_are_never_too_good_and_reasons_are_bounded(
        asked in any_asked(),
        readings in vec(any_reading(), 0..12),
        settling in any_settling(),
    ) {
        let judged = judged_as(&asked, &readings, &settling);
        prop_assert_eq!(judged.checks.len(), 21);
        for check in &judged.checks {
            prop_assert!(check.reason.chars().count() <= REASON_LENGTH, "{}", check.name);
            prop_assert!(!check.reason.is_empty());
            prop_assert!(!check.reason.contains(char::is_control), "{:?}", check.reason);
        }
        let of_data = |reading: &&Reading| reading.object.role == Role::Data;
        let data: Vec<_> = readings.iter().filter(of_data).collect();
        prop_assert_eq!(judged.data_objects, data.len() as u64);
        prop_assert_eq!(judged.bytes, data.iter().map(|reading| reading.object.size).sum::<u64>());
        let is_whole = |reading: &&Reading| matches!(reading.finding, Finding::Whole(_));
        let is_empty = |reading: &&Reading| reading.finding == Finding::Empty;
        if !data.iter().all(|reading| is_whole(reading) || is_empty(reading)) || !settling.settled {
            prop_assert_eq!(judged.verdict, Verdict::Failed);
        }
        if !data.iter().all(is_whole) {
            prop_assert_eq!(verdict(&judged, "rows_counted"), Skipped);
        }
    }
}

/// Arbitrary expectations that little output meets.
fn any_expect() -> impl Strategy<Value = Expectations> {
    let on_violation = OnViolation::Fail;
    let columns = option::of(Just(ExpectedColumns {
        required: vec!["id".to_owned()],
        on_violation,
    }));
    let rows = option::of(Just(ExpectedRows {
        min: Some(1),
        max: Some(2),
        empty_lines: None,
        on_violation,
    }));
    let change = option::of(Just(ExpectedChange {
        max_percent: 1,
        on_violation,
    }));
    let age = option::of(Just(ExpectedAge {
        max_seconds: 1,
        on_violation,
    }));
    (columns, rows, change, age).prop_map(|(columns, rows, change, age)| Expectations {
        segment_estimate: None,
        columns,
        rows,
        change,
        age,
    })
}

proptest! {
    /// The command line has no event to change, and no service that counts rows or names files.
    #[test]
    fn the_command_line_gets_advice_that_it_can_follow(
        asked in any_asked(),
        expect in any_expect(),
        level in select(vec![Level::Listing, Level::Structure, Level::Full]),
        readings in vec(any_reading(), 0..6),
        framed_rows in option::of(option::of(0_u64..3)),
        settling in any_settling(),
    ) {
        let asked = Expectation {
            asker: Asker::Command,
            failed_rows: None,
            expect,
            level,
            ..asked
        };
        let mut readings = readings;
        readings.extend(framed_rows.map(|rows| reading("z", 9, framed(rows))));
        for check in judged_as(&asked, &readings, &settling).checks {
            for of_event in [" event", "Landfall.", "the service reports", "the service names", "the request"] {
                prop_assert!(!check.reason.contains(of_event), "{}: {}", check.name, check.reason);
            }
        }
    }
}

/// A million readings take no more memory than a thousand.
#[test]
fn the_memory_of_a_tally_does_not_grow_with_the_objects() {
    let asked = Expectation {
        expect: columns(&["id"], OnViolation::Fail).expect,
        kms_key: Some("alias/a".to_owned()),
        files: Some(Vec::new()),
        ..asked()
    };
    let of = |count: usize| {
        let mut tally = Tally::new(&asked);
        for n in 0..count {
            let finding = match n % 4 {
                0 => table(1, &["x"]),
                1 => Finding::Defective(Defect::new("is cut off")),
                2 => Finding::Empty,
                _ => Finding::Extra(None),
            };
            let mut reading = reading(&format!("{n:07}"), (n % 2) as u64, finding);
            reading.object.last_modified -= TimeDelta::hours(1);
            reading.compared = Some(Compared::Different(Algorithm::Crc64Nvme));
            reading.shape = table(1, &[["a", "b", "c"][n % 3]; 3][..n % 4]).shape();
            tally.add(&reading);
        }
        // The printed form shows everything that is kept. Only the digits of counts may be added.
        format!("{tally:?}").len()
    };
    assert!(of(MAX_OBJECTS * 20) < of(MAX_OBJECTS) + 100);
}
