//! Reasons of single checks in which numbers matter, word for word.

use super::*;

fn document_at_structure(pages: Option<u64>) -> Finding {
    Finding::Framed(Framed {
        document: Some(Document { pages }),
        ..Framed::default()
    })
}

#[test]
fn documents_read_only_at_their_ends_have_no_rows() {
    let documents = |name: &str| reading(name, 9, document_at_structure(None));
    let asked = Expectation {
        format: Some(Format::Pdf),
        ..at(Level::Structure)
    };
    let judged = judged(&asked, &[documents("a.pdf"), documents("b.pdf")]);
    assert_eq!(
        check(&judged, "rows_counted"),
        (Skipped, "nothing that landed has rows")
    );
    assert_eq!((judged.verdict, judged.rows), (Verdict::Passed, 0));
}

#[test]
fn documents_add_no_rows_to_the_rows_of_footers() {
    let judged = judged(
        &at(Level::Structure),
        &[
            reading("a.orc", 9, framed(Some(3))),
            reading("b.pdf", 9, document_at_structure(Some(2))),
            reading("c.pdf", 9, document_at_structure(Some(2))),
        ],
    );
    assert_eq!(
        check(&judged, "rows_counted"),
        (Pass, "3 rows in 1 data object, by the footers, not decoded")
    );
    assert_eq!(judged.rows, 3);
}

/// The names of the objects do not show whether they are data, and nothing was read.
#[test]
fn required_columns_fail_if_objects_were_only_listed() {
    let asked = Expectation {
        level: Level::Listing,
        ..columns(&["id"], OnViolation::Fail)
    };
    let untold = |name: &str, size| {
        let mut reading = reading(name, size, Finding::Untold);
        reading.object.role = Role::Extra;
        reading
    };
    let judged = judged(&asked, &[untold("a", 9), untold("b", 9), untold("c", 0)]);
    let (verdict, reason) = check(&judged, "required_columns");
    assert_eq!(verdict, Fail);
    assert!(
        reason.starts_with("the columns of 2 data objects were not looked at, as the event asks (level listing)"),
        "{reason}"
    );
}

#[test]
fn the_reason_for_missing_rows_mentions_empty_lines() {
    let of = |reported| {
        let asked = Expectation {
            rows: Some(reported),
            ..asked()
        };
        let decoded = Decoded {
            rows: 3,
            empty_lines: 2,
            ..Decoded::default()
        };
        check_owned(
            &judged(&asked, &[reading("a.csv", 9, Finding::Whole(decoded))]),
            "row_count_matches",
        )
    };
    let beginning = |reported, amount: &str| {
        let (verdict, reason) = of(reported);
        assert_eq!(verdict, Warn);
        let found = format!("3 rows were decoded and the service reports {reported}: {amount}");
        assert!(reason.starts_with(&found), "{reason}");
    };
    beginning(
        5,
        "2 are missing, as many as there are empty lines in files of one column. ",
    );
    beginning(4, "1 are missing. ");
    beginning(6, "3 are missing. ");
    beginning(1, "2 are too many. ");
    assert_eq!(of(3).0, Pass);
}
