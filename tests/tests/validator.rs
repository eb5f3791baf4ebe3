//! The functions find the same faults in an event as another validator, the crate `jsonschema`.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::{collections::BTreeSet, fs, path::Path, sync::LazyLock};

use jsonschema::{ValidationError, error::ValidationErrorKind};
use landfall::{
    event::{EventSchema, schema},
    fault::Faults,
};
use landfall_tests::each_kind;
use proptest::{collection::vec, prelude::*, sample::Index};
use serde_json::{Map, Value, json};

macro_rules! schemas {
    ($($name:ident: $kind:ty),* $(,)?) => { [$(schema::<$kind>()),*] };
}

/// The functions' schemas of events, each for both validators.
static SCHEMAS: LazyLock<Vec<(EventSchema, jsonschema::Validator)>> = LazyLock::new(|| {
    let mut batch = landfall_batch::event::schema();
    let requests = batch
        .pointer_mut("/properties/detail/properties/Requests/items")
        .unwrap();
    let request = std::mem::replace(requests, json!(true));
    let of_batches = [landfall_batch::event::schema(), batch, request];
    each_kind!(schemas)
        .into_iter()
        .chain(of_batches)
        .map(|schema| {
            let theirs = jsonschema::options()
                .should_validate_formats(true)
                .build(&schema)
                .unwrap();
            (EventSchema::new(schema).unwrap(), theirs)
        })
        .collect()
});

/// The sample events.
static EVENTS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    paths
        .iter()
        .map(|path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap())
        .collect()
});

/// The paths of all faults that our validator finds.
fn ours(shape: &EventSchema, event: &Value) -> BTreeSet<String> {
    let mut faults = Faults::default();
    shape.check(event, &mut faults);
    faults.iter().map(|fault| fault.path.clone()).collect()
}

/// The paths of all faults that the crate finds.
fn theirs(validator: &jsonschema::Validator, event: &Value) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for error in validator.iter_errors(event) {
        collect(&error, &mut paths);
    }
    paths
}

fn collect(error: &ValidationError<'_>, paths: &mut BTreeSet<String>) {
    let pointer = error.instance_path().as_str();
    let path = path_of(pointer);
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            paths.insert(member(&path, property.as_str().unwrap()));
        }
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            paths.extend(unexpected.iter().map(|name| member(&path, name)));
        }
        // For an optional member, only the faults of the branch with the right type count.
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            let is_other_type = |error: &ValidationError<'_>| {
                error.instance_path().as_str() == pointer && matches!(error.kind(), ValidationErrorKind::Type { .. })
            };
            match context.iter().find(|errors| !errors.iter().any(is_other_type)) {
                Some(errors) => errors.iter().for_each(|error| collect(error, paths)),
                None => {
                    paths.insert(path);
                }
            }
        }
        _ => {
            paths.insert(path);
        }
    }
}

fn path_of(pointer: &str) -> String {
    pointer.split('/').skip(1).fold("$".to_owned(), |path, segment| {
        let name = segment.replace("~1", "/").replace("~0", "~");
        match name.parse::<usize>() {
            Ok(index) => format!("{path}[{index}]"),
            Err(_) => member(&path, &name),
        }
    })
}

fn member(path: &str, name: &str) -> String {
    let plain = regex::Regex::new("^[A-Za-z_][A-Za-z0-9_-]*$").unwrap();
    if plain.is_match(name) {
        format!("{path}.{name}")
    } else {
        format!("{path}[{}]", Value::from(name))
    }
}

/// Values at the limits of the schemas and beyond.
fn value() -> impl Strategy<Value = Value> {
    let texts = prop::sample::select(vec![
        "",
        " ",
        "\u{a0}",
        "\u{feff}",
        "\u{85}",
        "x",
        "abc\n",
        "ä-Ö",
        "CSV",
        "csv",
        "JSONL",
        "full",
        "warn",
        "id_1-2",
        "012345678901",
        "01234567890",
        "1234567890123",
        "s3://bucket/prefix/",
        "s3://Bucket",
        "s3://b\n/",
        "s3:/bucket/",
        "arn:aws:iam::012345678901:role/x",
        "arn:aws-cn:iam::1:role\n",
        "arn:aws:iam:::role/x",
        "arn:aws:iam:\n:1:r",
        "20261101T050000Z-1a2b3c4d",
        "20261101T050000Z-1a2b3c4g",
        "2026-11-01T05:00:00Z",
    ]);
    let number = prop_oneof![
        prop::sample::select(vec![
            0_u64,
            1,
            2,
            60,
            61,
            128,
            3600,
            3601,
            86_400,
            86_401,
            1_000_000,
            1_000_001,
            u64::MAX
        ])
        .prop_map(Value::from),
        prop::sample::select(vec![-1_i64, i64::MIN, i64::from(i32::MIN) - 1, i64::from(i32::MAX) + 1])
            .prop_map(Value::from),
        prop::sample::select(vec![0.0, -0.0, 0.5, 1.0, 60.5, 3600.0, 1e20, -1e300]).prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number,
        texts.prop_map(Value::from),
        (0_usize..600).prop_map(|length| Value::from("a".repeat(length))),
        moment().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            inner.clone().prop_map(|item| json!([item, item])),
            (name(), inner).prop_map(|(name, member)| json!({name: member})),
        ]
    })
}

/// Texts that are times, or almost.
fn moment() -> impl Strategy<Value = String> {
    let day = (
        prop::sample::select(vec!["2026-", "2024-", "1900-", "2000-", "0000-", "026-", "2026"]),
        prop::sample::select(vec![
            "02-28", "02-29", "02-30", "04-31", "12-31", "13-01", "00-10", "1-1", "11-00",
        ]),
    );
    let time = (
        prop::sample::select(vec!["T", "t", " ", "TT", ""]),
        prop::sample::select(vec![
            "05:00:00",
            "23:59:60",
            "00:29:60",
            "24:00:00",
            "5:00:00",
            "05:60:00",
            "05:00",
            "05:00:61",
            "é5:00:00",
        ]),
        prop::sample::select(vec!["", ".5", ".123456789012", ".", ".x"]),
        prop::sample::select(vec![
            "Z", "z", "+00:30", "-23:30", "+24:00", "-00:60", "+0030", "", "ZZ", "+00:00 ",
        ]),
    );
    (day, time).prop_map(|((year, day), (t, time, fraction, zone))| format!("{year}{day}{t}{time}{fraction}{zone}"))
}

/// Names of members of events, or almost.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "id",
            "time",
            "detail",
            "Landfall",
            "DomainName",
            "domainName",
            "Poll",
            "MinSeconds",
            "Verification",
            "Expect",
            "Rows",
            "Min",
            "Columns",
            "Required",
            "Exactly",
            "Name",
            "Rerun",
            "a/b",
            "~",
            "0",
            "12",
            "",
            "ä",
            "x.y",
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ]
}

#[derive(Clone, Debug)]
enum Change {
    Put(Value),
    Add(String, Value),
    Remove,
    Repeat,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => value().prop_map(Change::Put),
        2 => (name(), value()).prop_map(|(name, value)| Change::Add(name, value)),
        2 => Just(Change::Remove),
        1 => Just(Change::Repeat),
    ]
}

/// The JSON pointers of all values within a value.
fn places(value: &Value, here: &str, places: &mut Vec<String>) {
    places.push(here.to_owned());
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                self::places(item, &format!("{here}/{index}"), places);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                self::places(member, &format!("{here}/{name}"), places);
            }
        }
        _ => {}
    }
}

fn apply(event: &mut Value, at: Index, change: Change) {
    let mut all = Vec::new();
    places(event, "", &mut all);
    let place = at.get(&all).clone();
    match change {
        Change::Put(value) => *event.pointer_mut(&place).unwrap() = value,
        Change::Add(name, value) => match event.pointer_mut(&place).unwrap() {
            Value::Object(members) => {
                members.insert(name, value);
            }
            Value::Array(items) => items.push(value),
            other => *other = Value::Object(Map::from_iter([(name, value)])),
        },
        Change::Remove => {
            if let Some((parent, name)) = place.rsplit_once('/') {
                let name = name.replace("~1", "/").replace("~0", "~");
                match event.pointer_mut(parent).unwrap() {
                    Value::Object(members) => drop(members.remove(&name)),
                    Value::Array(items) => drop(items.remove(name.parse().unwrap())),
                    _ => {}
                }
            }
        }
        Change::Repeat => {
            if let Value::Array(items) = event.pointer_mut(&place).unwrap() {
                let mut twice = items.clone();
                items.append(&mut twice);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn our_validator_and_jsonschema_find_the_same_faults(
        event in any::<Index>(),
        changes in vec((any::<Index>(), change()), 0..5),
    ) {
        let mut event = event.get(&EVENTS).clone();
        for (at, change) in changes {
            apply(&mut event, at, change);
        }
        for (shape, validator) in SCHEMAS.iter() {
            prop_assert_eq!(ours(shape, &event), theirs(validator, &event));
        }
    }

    #[test]
    fn our_validator_and_jsonschema_agree_about_times(text in moment()) {
        let schema = json!({"type": "string", "format": "date-time"});
        let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
        let text = Value::from(text);
        prop_assert_eq!(ours(&EventSchema::new(schema).unwrap(), &text), theirs(&validator, &text));
    }
}

#[test]
fn our_validator_and_jsonschema_accept_every_valid_sample() {
    let right = |event: &&Value| SCHEMAS.iter().any(|(shape, _)| ours(shape, event).is_empty());
    let found = EVENTS.iter().filter(right).count();
    assert!(found >= 10, "{found} of {}", EVENTS.len());
}

#[test]
fn a_schema_with_unsupported_keywords_is_refused() {
    for (schema, why) in [
        (json!({"multipleOf": 2}), "multipleOf is 2"),
        (json!({"properties": {"a": {"$ref": "#"}}}), "$ref is"),
        (json!({"items": {"pattern": "(?=a)"}}), "(?=a)"),
        (
            json!({"additionalProperties": {"type": "string"}}),
            "additionalProperties is",
        ),
        (json!({"items": false}), "false is no schema"),
    ] {
        let error = EventSchema::new(schema).err().unwrap();
        assert!(error.message.contains(why), "{error:?}");
    }
}
