//! What people read: runs, receipts, batches and verifications are printed from made-up steps and documents.

use std::time::Duration;

use chrono::{DateTime, Utc};
use landfall::job::{self, Level};
use landfall_output::verify::Verdict;
use serde_json::{Value, json};

use super::*;
use crate::{
    steps::{Step, What},
    verify::{
        Verified,
        sealed::{Comparison, Lone},
    },
};

const PLAIN: Paint = Paint(false);
const WHOLE: Layout = Layout {
    paint: PLAIN,
    width: None,
    all: false,
};

fn at(milliseconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(milliseconds).unwrap()
}

fn step(milliseconds: i64, state: &str, what: What) -> Step {
    Step {
        at: at(milliseconds),
        state: state.to_owned(),
        what,
    }
}

fn entered(ms: i64, state: &str, state_type: &str, input: Value) -> Step {
    let state_type = state_type.to_owned();
    step(ms, state, What::Entered { state_type, input })
}

fn exited(ms: i64, state: &str, state_type: &str, output: Value) -> Step {
    let state_type = state_type.to_owned();
    step(ms, state, What::Exited { state_type, output })
}

#[test]
fn a_run_is_printed_state_by_state() {
    let event = json!({"event": {"detail-type": "Segment Snapshot Requested"}});
    let started = json!({"job_key": "k", "service_id": "abc", "adopted": false, "status": "running", "polls": 0,
                         "wait_seconds": 2});
    let mut polled = started.clone();
    polled["polls"] = json!(1);
    polled["service_status"] = json!("IN_PROGRESS");
    polled["progress"] = json!({"done": 1500, "total": 3000});
    let steps = [
        step(0, "", What::Started),
        entered(0, "Start", "Task", event),
        step(
            100,
            "Start",
            What::TaskFailed {
                error: "Landfall.Unavailable".into(),
                message: "wait\nmore".into(),
            },
        ),
        step(200, "Start", What::Retried { attempt: 2 }),
        exited(400, "Start", "Task", started.clone()),
        entered(400, "Status", "Choice", started.clone()),
        exited(400, "Status", "Choice", started.clone()),
        entered(400, "Wait", "Wait", started.clone()),
        exited(2400, "Wait", "Wait", started.clone()),
        entered(2400, "Poll", "Task", started),
        exited(2500, "Poll", "Task", polled.clone()),
        entered(2500, "Verify", "Task", polled.clone()),
        exited(3000, "Verify", "Task", {
            let mut verified = polled;
            verified["report"] = json!({"objects": 3, "rows": 10_000, "bytes": 1_234_567, "verdict": "passed"});
            verified
        }),
        step(
            3100,
            "",
            What::Ended {
                status: "SUCCEEDED".into(),
                error: None,
                message: None,
            },
        ),
    ];
    let mut narrator = Narrator::default();
    let lines: Vec<String> = steps
        .iter()
        .flat_map(|step| narrator.tell(step))
        .map(|line| line.render("", PLAIN))
        .collect();
    assert_eq!(
        lines,
        [
            "   0.1 s  Start      Landfall.Unavailable: wait",
            "   0.2 s  Start      tries again (second time)",
            "   0.2 s  Start      started abc  → Wait",
            "   2.4 s  Poll       IN_PROGRESS  1,500 of 3,000 (50%)  → Verify",
            "   2.5 s  Verify     3 objects, 10,000 rows, 1.2 MB: passed",
        ]
    );
}

#[test]
fn a_poll_is_printed_only_if_it_brings_news() {
    let job = |polls: u32, status: &str| {
        json!({"job_key": "k", "service_id": "abc", "adopted": false, "status": "running", "polls": polls,
               "service_status": status, "wait_seconds": 1 + polls % 2, "deadline_at": "1970-01-01T00:02:00Z"})
    };
    let mut steps = vec![
        step(0, "", What::Started),
        entered(0, "Start", "Task", json!({})),
        exited(700, "Start", "Task", job(0, "")),
    ];
    for poll in 1..=40 {
        let (before, status) = (
            job(poll - 1, "IN_PROGRESS"),
            if poll < 40 { "IN_PROGRESS" } else { "COMPLETED" },
        );
        let at = i64::from(poll) * 1000;
        steps.push(entered(at, "Wait", "Wait", before.clone()));
        steps.push(exited(at + 800, "Wait", "Wait", before.clone()));
        steps.push(entered(at + 800, "Poll", "Task", before));
        steps.push(exited(at + 900, "Poll", "Task", job(poll, status)));
        steps.push(entered(at + 900, "Status", "Choice", job(poll, status)));
    }
    steps.push(entered(41_000, "Verify", "Task", job(40, "COMPLETED")));
    let told = |all: bool| -> Vec<String> {
        let mut narrator = Narrator::new(all);
        let lines = steps.iter().flat_map(|step| narrator.tell(step));
        lines.map(|line| line.render("", PLAIN)).collect()
    };
    assert_eq!(
        told(false),
        [
            "   0.0 s  Start      started abc, deadline in 2 min  → Wait",
            "   1.8 s  Poll       IN_PROGRESS  → Wait",
            "  40.8 s  Poll       COMPLETED  (40 polls, every 1 to 2 s)  → Verify",
        ]
    );
    assert_eq!(told(true).len(), 81);
}

#[test]
fn checks_that_do_not_apply_share_one_line() {
    let checks: Vec<Value> = ["pass", "skipped", "skipped"]
        .map(|verdict| json!({"name": format!("a_{verdict}_b"), "verdict": verdict, "reason": "why"}))
        .into();
    let whole = json!({"verdict": "succeeded", "verification": {"checks": checks}});
    let text = receipt(&whole, WHOLE);
    assert!(
        text.contains("a_pass_b") && text.contains("2 checks do not apply; --all shows why"),
        "{text}"
    );
    assert!(!text.contains("a_skipped_b"), "{text}");
    let text = receipt(&whole, Layout { all: true, ..WHOLE });
    assert!(text.contains("a_skipped_b") && !text.contains("--all"), "{text}");
}

#[test]
fn each_reason_to_wait_in_the_queue_is_printed_once() {
    let busy = |ms, why: &str| {
        let (error, message) = ("Landfall.Busy".into(), why.into());
        step(ms, "Start", What::TaskFailed { error, message })
    };
    let started = json!({"job_key": "k", "service_id": "abc", "adopted": false, "status": "running"});
    let mut steps = vec![step(0, "", What::Started), entered(0, "Start", "Task", json!({}))];
    for turn in 0..50 {
        steps.push(busy(
            1000 * turn + 100,
            if turn < 40 { "12 jobs run" } else { "200 were started" },
        ));
        steps.push(step(1000 * turn + 900, "Start", What::Retried { attempt: 2 }));
    }
    let mut narrator = Narrator::default();
    let mut lines: Vec<Line> = steps.iter().flat_map(|step| narrator.tell(step)).collect();
    assert_eq!(narrator.now(), Some("Start waits, asked 50 times"));
    let ended = [
        exited(50_000, "Start", "Task", started.clone()),
        entered(50_000, "Wait", "Wait", json!({"wait_seconds": 2})),
    ];
    lines.extend(ended.iter().flat_map(|step| narrator.tell(step)));
    let lines: Vec<String> = lines.iter().map(|line| line.render("", PLAIN)).collect();
    assert_eq!(
        lines,
        [
            "   0.1 s  Start      waits: 12 jobs run",
            "  40.1 s  Start      waits: 200 were started",
            "  49.9 s  Start      waited 49.8 s, asked 51 times",
            "  49.9 s  Start      started abc  → Wait",
        ]
    );
}

#[test]
fn a_receipt_is_shown_even_if_members_are_missing() {
    let whole = json!({
        "verdict": "succeeded", "kind": "segment-snapshot", "job_key": "k", "polls": 4,
        "service": {"id": "abc", "status": "COMPLETED"},
        "times": {"claimed_at": "2026-11-01T05:00:00Z", "sealed_at": "2026-11-01T05:00:08.500Z"},
        "output": {"prefix": "s3://b/run=k/", "format": "CSV", "object_count": 1, "rows": 1000, "bytes": 999,
                   "objects": [{"key": "run=k/part-0.csv", "rows": 1000, "size": 999}], "objects_omitted": 2},
        "verification": {"checks": [{"name": "landed", "verdict": "pass", "reason": "1 object"}]},
        "usage": {"state_transitions": 20, "invocations": 7},
    });
    let text = receipt(&whole, WHOLE);
    for part in [
        "succeeded",
        "segment-snapshot k",
        "abc COMPLETED",
        "1 object, 1,000 rows, 999 B of CSV",
        "8.5 s, 4 polls, 20 state transitions; at AWS about $0.000501",
        "landed",
        "part-0.csv",
        "and 2 more objects",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    assert!(!text.contains('\u{1b}'));
    assert!(receipt(&json!({}), WHOLE).lines().count() < 3);
}

#[test]
fn a_summary_is_shown_worst_first() {
    let whole = json!({
        "verdict": "failed", "error": {"Error": "Landfall.BatchFailed"}, "name": "nightly",
        "trigger": {"job_key": "k"}, "counts": {"requests": 30, "succeeded": 29, "failed": 0, "rejected": 1},
        "objects": 29, "rows": 2900, "bytes": 29_000,
    });
    let mut results: Vec<Value> = (0..29)
        .map(|index| json!({"index": index, "kind": "a", "became": "succeeded", "rows": 100, "job_key": "j"}))
        .collect();
    results.push(json!({"index": 29, "kind": "b\u{1b}", "became": "rejected",
                        "error": {"Error": "Landfall.InvalidEvent", "Cause": "1 fault:\n  $.x: wrong"}}));
    let labels: Vec<String> = (0..30).map(|index| format!("segment-{index}")).collect();
    let text = summary(&whole, &results, &labels, WHOLE);
    for part in [
        "k nightly",
        "30 requests, 29 succeeded, 1 rejected",
        "29 objects, 2,900 rows, 29.0 kB",
        "b\\u{1b}",
        "segment-29",
        "Landfall.InvalidEvent: $.x: wrong",
        "and 10 more requests",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    assert!(
        text.find("rejected ")
            .zip(text.find("succeeded  "))
            .is_none_or(|(bad, good)| bad < good)
    );
    assert!(!text.contains('\u{1b}'));
    assert!(summary(&json!({}), &[], &[], WHOLE).lines().count() < 3);
}

#[test]
fn a_batch_is_printed_state_by_state() {
    let event = json!({"event": {"detail-type": "Export Batch Requested"}});
    let planned = json!({"batch_key": "k", "round": 1, "requests": 4, "accepted": 3, "concurrency": 2,
                         "status": "running"});
    let mut again = planned.clone();
    again["round"] = json!(2);
    let mut sealed = again.clone();
    sealed["outcome"] = json!({"verdict": "succeeded"});
    let jobs = What::Jobs {
        running: 1,
        succeeded: 2,
        failed: 0,
    };
    let steps = [
        step(0, "", What::Started),
        entered(0, "Plan", "Task", event),
        exited(100, "Plan", "Task", planned.clone()),
        entered(100, "Requests", "Map", planned.clone()),
        step(900, "", jobs),
        entered(1000, "Summary", "Task", planned),
        exited(1100, "Summary", "Task", again.clone()),
        entered(2000, "Summary", "Task", again),
        exited(2100, "Summary", "Task", sealed),
        entered(2100, "Announce", "Task", json!({})),
    ];
    let mut narrator = Narrator::default();
    let lines: Vec<String> = steps
        .iter()
        .flat_map(|step| narrator.tell(step))
        .map(|line| line.render("", PLAIN))
        .collect();
    assert_eq!(
        lines,
        [
            "   0.0 s  Plan       4 requests, 1 rejected, 2 at a time  → Requests",
            "   0.9 s  Requests   1 running, 2 succeeded",
            "   1.0 s  Summary    some have no outcome: they are run again, second time  → Summary",
            "   2.0 s  Summary    succeeded  → Announce",
        ]
    );
}

fn verification() -> Verified {
    let object = |key: &str, rows: Option<u64>, size: u64| {
        json!({"key": format!("p/{key}"), "role": "data", "size": size, "etag": "e", "rows": rows,
               "last_modified": "2026-11-01T05:00:00Z"})
    };
    let check =
        |name: &str, verdict: &str| json!({"name": name, "verdict": verdict, "reason": "of a reason ".repeat(9)});
    let report = json!({
        "schema": "landfall.report/1", "checked_at": "2026-11-01T05:00:00Z", "verdict": "failed", "data_objects": 2,
        "all_objects": 3, "rows": 1000, "bytes": 2000, "checks": [check("format", "fail"), check("checksum", "warn")],
        "objects": [object("a.csv", Some(1000), 1500), object("b\u{1b}.csv", None, 500)],
    });
    Verified {
        schema: crate::verify::SCHEMA,
        landfall: "0.1.0",
        place: "s3://bucket/p/".to_owned(),
        verdict: Verdict::Failed,
        format: Some(landfall_formats::Format::Csv),
        level: Level::Full,
        seconds: 7.0,
        working_seconds: 2.0,
        bytes_read: 2_000_000,
        failures: Vec::new(),
        report: Some(serde_json::from_value(report).unwrap()),
        comparison: None,
        receipt_not_used: None,
    }
}

#[test]
fn a_verification_is_shown_verdict_first() {
    let plain = |width| Layout { width, ..WHOLE };
    let mut verified = verification();
    let text = super::verified(&verified, plain(None));
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    assert_eq!(
        lines[..4],
        [
            " verdict  failed: 1 check failed, 1 check warned",
            " output   2 objects, 1,000 rows, 2.0 kB of CSV, and 1 other object",
            " level    full: every byte read",
            " took     7.0 s; 2.0 MB read at 1.0 MB/s",
        ]
    );
    // Only objects that are not proved are listed, and their keys are escaped.
    assert!(
        text.contains("b\\u{1b}.csv") && !text.contains('\u{1b}') && !text.contains("a.csv"),
        "{text}"
    );
    assert!(
        lines.iter().any(|line| line.len() > 100),
        "lines must not be cut for a program:\n{text}"
    );
    let narrow = super::verified(&verified, plain(Some(60)));
    assert!(narrow.lines().all(|line| line.chars().count() <= 60), "{narrow}");

    let lone = |number: u64| Lone {
        key: number.to_string(),
        size: number,
    };
    verified.comparison = Some(Comparison {
        receipt: "r.json".to_owned(),
        verdict: job::Verdict::Succeeded,
        job_key: "k".to_owned(),
        prefix: "s3://bucket/p/".to_owned(),
        same: false,
        unchanged: 2_000,
        rewritten: 1,
        unproven: 3,
        changed: Vec::new(),
        vanished: (0..20).map(lone).collect(),
        added: vec![lone(99)],
    });
    let text = super::verified(&verified, plain(None));
    for part in [
        "failed: 1 check failed, it differs from the receipt",
        "2,000 unchanged, of which 1 written again with the same content, 3 of the same size, content not compared, \
         20 vanished, 1 added",
        "and 8 more vanished; --json has all",
        "99 B",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
}

#[test]
fn progress_is_one_line() {
    let at = |numbers, level| verifying(numbers, level, Duration::from_secs(2));
    assert_eq!(at([0, 0, 0, 0], Level::Full), "listing");
    assert_eq!(
        at([1, 4, 20_000_000, 80_000_000], Level::Full),
        "1 of 4 objects, 20.0 MB of 80.0 MB at 10.0 MB/s, about 6 s left"
    );
    assert_eq!(
        at([4, 4, 80_000_000, 80_000_000], Level::Full),
        "4 of 4 objects, 80.0 MB of 80.0 MB at 40.0 MB/s"
    );
    assert_eq!(at([1, 1, 0, 9], Level::Listing), "1 of 1 object");
}

#[test]
fn numbers_and_sizes_are_easy_to_read() {
    assert_eq!(grouped(0), "0");
    assert_eq!(grouped(999), "999");
    assert_eq!(grouped(1_234_567), "1,234,567");
    assert_eq!(bytes(999), "999 B");
    assert_eq!(bytes(1_500), "1.5 kB");
    assert_eq!(bytes(u64::MAX / 1_000_000), "18446.7 GB");
}

#[test]
fn colours_are_used_only_if_asked_for() {
    assert_eq!(Paint(true).paint(Tone::Good, "x"), "\u{1b}[32mx\u{1b}[0m");
    assert_eq!(PLAIN.paint(Tone::Bad, "x"), "x");
}
