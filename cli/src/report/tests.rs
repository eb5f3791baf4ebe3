//! A report about a month of made-up jobs.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Digest, page, rows};
use crate::{
    cost::Cost,
    document::NamedError,
    jobs::{Row, Status},
};

fn until() -> DateTime<Utc> {
    "2026-11-30T08:00:00Z".parse().unwrap()
}

fn row(kind: &str, what: &str, began: DateTime<Utc>, status: Status, rows: u64, minutes: i64) -> Row {
    let error = match status {
        Status::Failed => Some(("Landfall.TimedOut", "it did not end before its deadline")),
        Status::Aborted => Some(("ABORTED", "its execution was stopped")),
        _ => None,
    };
    let is_sealed = matches!(status, Status::Succeeded | Status::Failed);
    let key = format!("{}-{:08x}", began.format("%Y%m%dT%H%M%SZ"), rows % 0xffff_ffff);
    Row {
        kind: kind.to_owned(),
        job_key: key.clone(),
        name: None,
        what: what.to_owned(),
        status,
        triggered_at: began - TimeDelta::seconds(3),
        began_at: began,
        sealed_at: is_sealed.then(|| began + TimeDelta::minutes(minutes)),
        deadline_at: Some(began + TimeDelta::hours(6)),
        seconds: minutes as f64 * 60.0,
        attempts: 1,
        polls: 12,
        objects: Some(4),
        rows: (status == Status::Succeeded).then_some(rows),
        bytes: (status == Status::Succeeded).then_some(rows * 210),
        verification: None,
        cost: is_sealed.then_some(Cost {
            state_transitions: 46,
            invocations: 15,
            state_transitions_usd: 0.00115,
        }),
        error: error.map(|(name, message)| NamedError {
            name: name.to_owned(),
            message: message.to_owned(),
        }),
        waits_for: None,
        service_id: Some("snapshot-1".to_owned()),
        execution: Some(format!(
            "arn:aws:states:eu-central-1:111122223333:execution:landfall-{kind}:{key}"
        )),
        receipt: is_sealed.then(|| "s3://landfall-ledger/r.json".to_owned()),
        prefix: None,
        request_sha256: what.to_owned(),
        picks_up: None,
        picked_up_by: Vec::new(),
    }
}

/// A month of nightly jobs, newest first, as the list of jobs gives them.
fn month() -> Vec<Row> {
    let mut all = Vec::new();
    for day in 0..30_i64 {
        let at = |hour: i64| until() - TimeDelta::days(29 - day) + TimeDelta::hours(hour - 8);
        let wave = u64::try_from(day * 37 % 11).unwrap();
        all.push(row(
            "segment-snapshot",
            "high-value-customers of example-support",
            at(5),
            Status::Succeeded,
            1_200_000 + 9_000 * day.unsigned_abs() + 21_000 * wave,
            18 + day % 7,
        ));
        let status = if day == 11 || day == 12 {
            Status::Failed
        } else {
            Status::Succeeded
        };
        all.push(row(
            "segment-snapshot",
            "newsletter of example-support",
            at(6),
            status,
            640_000 + 4_000 * wave,
            11 + day % 4,
        ));
        if day % 7 == 0 {
            all.push(row(
                "dashboard-snapshot",
                "sales-overview",
                at(7),
                Status::Succeeded,
                900 + 12 * day.unsigned_abs(),
                2,
            ));
        }
        if day < 24 {
            all.push(row(
                "endpoint-export",
                "all endpoints of 0123456789abcdef",
                at(4),
                Status::Succeeded,
                88_000,
                31 + day % 5,
            ));
        }
    }
    all.push(row(
        "segment-snapshot",
        "<b>&\"big\"</b>",
        until() - TimeDelta::hours(4),
        Status::Running,
        0,
        240,
    ));
    all.push(row(
        "segment-snapshot",
        "unwanted",
        until() - TimeDelta::hours(30),
        Status::Aborted,
        0,
        4,
    ));
    all.sort_by_key(|row| std::cmp::Reverse(row.began_at));
    all
}

fn digest() -> Digest {
    let checks = ["format".to_owned(), "format".to_owned(), "row_change".to_owned()];
    Digest::of(
        &month(),
        &checks,
        until() - TimeDelta::days(29),
        until(),
        vec!["a note".to_owned()],
    )
}

#[test]
fn a_month_is_summed_up_with_its_failed_and_late_jobs() {
    let digest = digest();
    assert_eq!(digest.days.len(), 30);
    assert_eq!((digest.totals.failed, digest.totals.open), (3, 1));
    let late: Vec<_> = digest
        .late
        .iter()
        .map(|late| (late.label.as_str(), late.why.as_str()))
        .collect();
    assert_eq!(
        late,
        [
            (
                "all endpoints of 0123456789abcdef",
                "was triggered every 24 h and last at 2026-11-24 03:59: the next one is missing since 2026-11-25 03:59"
            ),
            ("<b>&\"big\"</b>", "is running since 4 h, and is given up in 2 h"),
        ]
    );
    let first = &digest.requests[0];
    assert_eq!(
        (first.label.as_str(), first.runs),
        ("high-value-customers of example-support", 30)
    );
    assert!(first.change.is_some_and(|change| change.abs() < 20.0), "{first:?}");
    // A request that comes irregularly is never late.
    assert!(
        Digest::of(&month()[..3], &[], until() - TimeDelta::days(9), until(), Vec::new())
            .late
            .len()
            <= 1
    );
}

#[test]
fn the_page_loads_nothing_from_elsewhere() {
    let page = page(&digest(), "s3://landfall-ledger/", "--stack landfall").unwrap();
    // To look at the page: LANDFALL_PAGE=report.html cargo test … the_page_loads
    if let Some(path) = std::env::var_os("LANDFALL_PAGE") {
        std::fs::write(path, &page).unwrap();
    }
    for part in [
        "<script",
        "<link",
        "<img",
        "http://www.w3.org/1999/xhtml",
        "url(",
        "@import",
    ] {
        assert!(!page.contains(part), "{part}");
    }
    let outside = page.replace("http://www.w3.org/2000/svg", "");
    assert!(!outside.contains("http"), "the page must not link elsewhere");
    assert!(page.contains("&lt;b&gt;&amp;&quot;big&quot;&lt;/b&gt;") && !page.contains("<b>&"));
    // Every colour of a chart comes from the page's own style.
    for literal in ["#010101", "#020202", "#030303", "#040404", "#050505", "#060606"] {
        assert!(!page.contains(literal), "{literal}");
    }
    assert!(page.contains("landfall pick-up 20261112T060000Z-") && page.contains("Late"));
    assert!(page.len() < 400_000, "{}", page.len());
}

#[test]
fn a_report_without_jobs_is_a_page() {
    let digest = Digest::of(&[], &[], until() - TimeDelta::days(1), until(), Vec::new());
    let page = page(&digest, "s3://landfall-ledger/", "").unwrap();
    assert!(page.contains("Nothing."), "{page}");
}

#[test]
fn a_table_has_a_line_for_each_job() {
    let jobs = month();
    let text = rows(&jobs).unwrap();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let read: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(read.len(), jobs.len());
    assert_eq!(&read[0][0], jobs[0].kind.as_str());
    assert!(
        text.starts_with("kind,job_key,name,what,status,triggered_at,"),
        "{text}"
    );
}
