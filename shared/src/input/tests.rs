//! Every JSON text that Lambda may pass on is read. What serde_json refuses becomes a fault with its path.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn read(text: &str) -> Input {
    Input::read(text.as_bytes()).unwrap()
}

fn faults(input: &Input) -> Vec<(&str, &str)> {
    input
        .faults
        .iter()
        .map(|fault| (fault.path.as_str(), fault.found.as_str()))
        .collect()
}

#[test]
fn valid_json_is_read_as_serde_json_reads_it() {
    for text in [
        "null",
        " {\"a\": [1, -2.5e-3, 18446744073709551616, true, {}], \"\\u00e4\\n\": \"\\ud83d\\ude00\"} ",
        "[]",
        "\"x\"",
        "1e-400",
    ] {
        let input = read(text);
        assert_eq!(input.value, serde_json::from_str::<Value>(text).unwrap());
        assert_eq!(input.clone().unreadable(), None, "{text}");
    }
}

#[test]
fn json_that_serde_json_refuses_is_reported_with_its_path() {
    let input = read(r#"{"id": 1e400, "a b": {"c": ["\ud83dx\ude00\\ud800\ud83d\ude00", -1e999]}, "\udfff": 1}"#);
    assert_eq!(
        faults(&input),
        [
            ("$", "a text with half a surrogate pair"),
            ("$.id", "a number that is too large"),
            ("$[\"a b\"].c[0]", "a text with half a surrogate pair"),
            ("$[\"a b\"].c[1]", "a number that is too large"),
        ]
    );
    assert_eq!(
        input.value,
        json!({"id": "1e400", "a b": {"c": ["\\ud83dx\\ude00\\ud800😀", "-1e999"]}, "\\udfff": 1})
    );
}

#[test]
fn a_repeated_member_is_a_fault_and_the_last_one_counts() {
    let input = read(r#"{"a": {"b": 1, "\u0062": 2}, "c": 1}"#);
    assert_eq!(faults(&input), [("$.a.b", "a member that stands there more than once")]);
    assert_eq!(input.value, json!({"a": {"b": 2}, "c": 1}));
}

#[test]
fn json_of_any_depth_is_accepted() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(read(&nested(MAX_DEPTH)).faults, Faults::default());
    for levels in [MAX_DEPTH + 1, 100_000] {
        let input = read(&nested(levels));
        let path = format!("${}", "[0]".repeat(MAX_DEPTH));
        assert_eq!(faults(&input), [(path.as_str(), "a value below 64 levels")]);
        // The value can be written and read again, also within another value.
        let text = json!({"event": input.value}).to_string();
        assert!(serde_json::from_str::<Value>(&text).is_ok());
    }
}

#[test]
fn a_hostile_event_takes_no_longer_than_others() {
    let many: String = (0..20_000).map(|n| format!("\"{n:05}\":1e999,")).collect();
    let deep = format!("{{{many}\"x\":{}1{}}}", "{\"a\":".repeat(20_000), "}".repeat(20_000));
    let began = std::time::Instant::now();
    assert_eq!(read(&deep).faults.len(), MAX_FAULTS);
    assert!(
        began.elapsed() < std::time::Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn unreadable_events_with_other_bytes_are_different() {
    let of = |text: &str| read(text).unreadable_member("event").unwrap();
    let one = of(r#"{"kind": "k", "execution": "e1", "event": {"a": 1e400}}"#);
    let same = of(r#"{"kind": "k", "execution": "e2", "event": {"a": 1e400}}"#);
    let other = of(r#"{"kind": "k", "execution": "e1", "event": {"a": 1e401}}"#);
    assert_eq!(one, same);
    assert_ne!(one.sha256, other.sha256);
    assert_eq!(one.faults.iter().next().unwrap().path, "$.a");
    // A fault outside of the event does not make the event unreadable.
    assert_eq!(
        read(r#"{"event": {}, "error": "\ud800"}"#).unreadable_member("event"),
        None
    );
}

#[test]
fn the_lambda_runtime_passes_on_any_payload() {
    // Reads a payload as lambda_runtime does.
    let payload = |text: &str| {
        let mut json = serde_json::Deserializer::from_slice(text.as_bytes());
        Input::try_from(serde_path_to_error::deserialize::<_, Payload>(&mut json).unwrap())
    };
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    for text in ["{\"a\": 1e400}", "\"\\ud800\"", "{\"a\":1,\"a\":2}", &deep] {
        assert!(!payload(text).unwrap().faults.is_empty(), "{text:.20}");
    }
    assert_eq!(payload("{\"a\": 1}").unwrap(), Input::from(json!({"a": 1})));
    let error = payload("{\"a\": ").unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidEvent);
}

proptest! {
    #[test]
    fn every_valid_json_text_is_read(text in "[\\[\\]{}\":,0-9eE.\\\\udDabtfn x-]{0,40}") {
        let is_json = serde_json::from_str::<&RawValue>(&text).is_ok();
        match Input::read(text.as_bytes()) {
            Ok(input) => {
                prop_assert!(is_json);
                if let Ok(value) = serde_json::from_str::<Value>(&text)
                    && input.faults.is_empty()
                {
                    prop_assert_eq!(input.value, value);
                } else {
                    prop_assert!(!input.faults.is_empty());
                }
            }
            Err(_) => prop_assert!(!is_json),
        }
    }
}
