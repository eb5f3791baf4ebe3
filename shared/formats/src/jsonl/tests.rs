//! What must stay true: lines are accepted exactly if serde_json accepts them, the filter accepts no line that
//! serde_json refuses, and decoding can resume at any byte in bounded memory.

use fearless_simd::{Level, dispatch};
use proptest::prelude::*;

use super::{
    filter::{BLOCK, filter},
    lines::Lines,
    parse::Object,
    *,
};
use crate::{
    content::Head,
    decoded::{Decoded, Framed, MAX_COLUMNS},
    decoder::Decoder,
    defect::Defect,
    state::MAX_STATE,
    testing::resumed,
};

fn run(text: impl AsRef<[u8]>) -> Result<Decoded, Defect> {
    in_chunks(text.as_ref(), usize::MAX)
}

fn in_chunks(bytes: &[u8], size: usize) -> Result<Decoded, Defect> {
    let mut decoder = Box::new(JsonlDecoder::new());
    for chunk in bytes.chunks(size) {
        decoder.push(chunk)?;
    }
    decoder.finish()
}

fn defect(text: impl AsRef<[u8]>) -> String {
    run(text).unwrap_err().to_string()
}

#[test]
fn each_object_is_counted() {
    let decoded = run("\u{feff}{\"a\":1,\"b\":[{\"c\":\"x\\n\"}]}\r\n{}\n{\"z\":null}").unwrap();
    assert_eq!(decoded.rows, 3);
    assert_eq!(decoded.columns, ["a", "b"]);
    assert_eq!(run("{}\n\n \r\n").unwrap().rows, 1);
    assert_eq!(run("").unwrap().rows, 0);
}

#[test]
fn each_line_is_one_whole_object() {
    assert!(defect("{}\n{\"a\":").starts_with("record 2, line 2: ends within a value at column 5 without"));
    assert!(defect("{\"a\":\n{}\n").starts_with("record 1, line 1: ends within"));
    // An object that is cut anywhere is reported as cut, within numbers and escapes, too.
    let object = br#"{"n":-12.5e-7,"m":{"k\u00e9":[1.0,0E+1,-0]},"t":[true,false,null,"x\\\u0041"],"z":6.02e23}"#;
    run(object).unwrap();
    for end in 1..object.len() {
        for before in ["", "{}\n"] {
            let found = defect([before.as_bytes(), &object[..end]].concat());
            assert!(found.contains("it is cut off"), "{end}: {found}");
        }
    }
    // Text that no further byte can complete is not cut, and neither is a cut in the middle of the text.
    for text in [
        r#"{"a":1.."#,
        r#"{"a":+"#,
        r#"{"a":--"#,
        r#"{"a":1.e"#,
        r#"{"a":01."#,
        r#"{"a":[1}."#,
        "{}-",
    ] {
        let found = defect(text);
        assert!(found.contains("is not JSON from column"), "{text}: {found}");
    }
    assert!(defect("{\"a\":12.\n{}\n").contains("is not JSON from column"));
    assert!(defect("{}\n[1]\n").starts_with("record 2, line 2: is not a JSON object"));
    assert!(defect("{}{}\n").contains("is not JSON from column 3 on"));
    assert!(defect("{}\n\n{}\n").starts_with("line 2: is blank"));
    assert!(defect("{\"a\":\"\0\"}\n").contains("NUL"));
    assert!(defect(b"{}\n{\"a\":\"\xff\"}\n").starts_with("record 2, line 2, byte 9: is not UTF-8"));
}

#[test]
fn half_a_surrogate_pair_in_a_value_warns() {
    for (text, remark) in [
        (r#"{"a":"\ud83d\ude00"}"#, ""),
        (r#"{"a":"\\ud83d"}"#, ""),
        (
            r#"{"a":"x\ud83d"}"#,
            "has 1 escape that names half of a surrogate pair alone",
        ),
        (r#"{"a":"\uDE00x"}"#, "has 1 escape that names"),
        (r#"{"a":"\ude00\ud83d"}"#, "has 2 escapes that name half"),
        (r#"{"a":["\ud83d","\ude00"]}"#, "has 2 escapes that name half"),
        (r#"{"a":"\ud83d\ud83d\ude00"}"#, "has 1 escape that names half"),
    ] {
        for text in [
            format!("{text}\n"),
            format!("{text}\n{{\"b\":\"\\ud83d\\ude00\"}}\n"),
            text.to_owned(),
        ] {
            let decoded = run(&text).unwrap();
            assert_eq!(in_chunks(text.as_bytes(), 1).as_ref(), Ok(&decoded));
            assert_eq!(cut(text.as_bytes(), text.len(), 3).as_ref(), Ok(&decoded));
            let remarks = decoded.remarks.to_string();
            assert!(
                remarks.starts_with(remark) && remarks.is_empty() == remark.is_empty(),
                "{text}: {remarks}"
            );
        }
    }
    let text = format!("{{}}\n{}", "{\"a\":\"\\udc00\"}\n".repeat(100));
    assert!(run(&text).unwrap().remarks.to_string().starts_with("has 100 escapes"));
    assert!(run(&text).unwrap().remarks.to_string().ends_with("(line 2)"));
    // A key must be valid text.
    assert!(run("{}\n{\"\\ud83d\":1}\n").is_err());
}

#[test]
fn no_defect_of_json_lines_quotes_a_value() {
    for text in [
        "\"secret\"\n",
        "{\"secret\": secret}\n",
        "{\"a\":\"secret\n",
        "secret,secret\n",
    ] {
        assert!(!defect(text).contains("secret"), "{}", defect(text));
    }
}

#[test]
fn a_line_is_at_most_16_mib_long() {
    let open = b"{\"a\":\"";
    let close = b"\"}";
    let value = vec![b'x'; MAX_LINE - open.len() - close.len()];
    let mut line = [open.as_slice(), &value, close].concat();
    assert_eq!(line.len(), MAX_LINE);
    assert_eq!(in_chunks(&line, 1 << 20).unwrap().rows, 1);
    line.push(b' ');
    assert!(run(&line).unwrap_err().what.contains("longer than 16 MiB"));
    assert_eq!(in_chunks(&line, 1 << 20), run(&line));
}

#[test]
fn memory_does_not_grow_with_the_lines() {
    let mut decoder = Box::new(JsonlDecoder::new());
    for _ in 0..100_000 {
        decoder.push(b"{\"a\":1}\n{\"b\"").unwrap();
        decoder.push(b":2}\n").unwrap();
    }
    assert!(decoder.held() < 64);
    assert_eq!(decoder.finish().unwrap().rows, 200_000);
}

/// What serde_json alone makes of a text.
fn expected(text: &[u8]) -> Result<Decoded, Defect> {
    let mut lines = Lines::default();
    let mut text = text;
    while let Some(end) = memchr::memchr(b'\n', text) {
        lines.line(&text[..end], false)?;
        text = &text[end + 1..];
    }
    if !text.is_empty() {
        lines.decoded.unterminated = true;
        lines.line(text, true)?;
    }
    Ok(lines.decoded())
}

fn cut(bytes: &[u8], cut: usize, size: usize) -> Result<Decoded, Defect> {
    let mut first = JsonlDecoder::new();
    for chunk in bytes[..cut].chunks(size) {
        first.push(chunk)?;
    }
    let (offset, mut second) = resumed(&first, Box::new(JsonlDecoder::new())).unwrap();
    assert!(offset == 0 || offset == 3 || bytes[offset as usize - 1] == b'\n');
    for chunk in bytes[offset as usize..].chunks(size) {
        second.push(chunk)?;
    }
    second.finish()
}

/// How many lines the filter accepts.
fn filtered(text: &str) -> u64 {
    let level = Level::new();
    dispatch!(level, simd => filter(simd, text.as_bytes())).0
}

#[test]
fn the_filter_accepts_ordinary_json() {
    let line = r#" {"a" : [1, -0.5e+3,true,{"b":[ ]}], "é\"\\\u00e9\n{,":{ } ,"c":"" ,"d":null,"":false}"#;
    for pad in 0..130 {
        let text = format!("{}{line}\r\n{{}}\n{line}\t\n", " ".repeat(pad));
        assert_eq!(filtered(&text), 3, "{pad}");
    }
    let nested = |depth: usize| format!("{}{{}}{}\n", "{\"a\":".repeat(depth - 1), "}".repeat(depth - 1));
    assert_eq!(filtered(&nested(64)), 1);
    assert_eq!(filtered(&nested(65)), 0);
    let long = format!("{{\"a\":\"{}\\\\\"}}\n", "x\\\"".repeat(4096));
    assert_eq!(filtered(&long.repeat(3)), 3);
}

#[test]
fn deep_nesting_does_not_overflow_the_stack() {
    let depth = 1_000_000;
    for (open, close) in [("{\"a\":", "}"), ("[", "]")] {
        let deep = format!("{{\"a\":{}1{}}}\n", open.repeat(depth), close.repeat(depth));
        assert_eq!(run(format!("{{}}\n{deep}{{}}\n")).unwrap().rows, 3);
        assert_eq!(run(&deep).unwrap().rows, 1);
        assert!(run(format!("{{}}\n{}", deep.replacen(close, "", 1))).is_err());
    }
}

#[test]
fn almost_json_is_refused() {
    for value in [
        "01",
        "-",
        "1.",
        ".5",
        "1e",
        "1e+",
        "+1",
        "0x1",
        "1_0",
        "NaN",
        "Infinity",
        "tru",
        "truee",
        "nul",
        "True",
        "'a'",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u123\"",
        "\"\t\"",
        "\"\u{1}\"",
        "\"\\\"",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{\"a\":1,}",
        "{a:1}",
        "{\"a\" 1}",
        "{\"a\"}",
        "{1:1}",
        "[1}",
        "{\"a\":1]",
        "1]",
        "",
        "\"a\"\"b\"",
        "1\"a\"",
        "\"a\"1",
        "\\n",
        "1\\\"",
        "true\\",
        "//1",
        "1 //",
        "[1]]",
        "\u{a0}1",
        "\u{feff}1",
        "1\u{b}",
        "\"a\"\\\"b\"",
    ] {
        let line = format!("{{\"a\":{value}}}\n");
        assert_eq!(filtered(&line), 0, "{value}");
        assert!(run(format!("{{}}\n{line}")).is_err(), "{value}");
    }
    for line in [
        "{}{}",
        "{},",
        "{}]",
        "[]",
        "1",
        "\"a\"",
        "{}\u{c}",
        "{\"a\":1}}",
        "}",
        ":",
        "",
    ] {
        assert_eq!(filtered(&format!("{line}\n")), 0, "{line}");
    }
    // Half surrogate pairs are accepted in values, and so are numbers that no type holds.
    for value in [
        "\"\\ud800\"",
        "\"\\udc00\\ud800\"",
        "1e999",
        "-0",
        "123456789012345678901234567890",
    ] {
        assert_eq!(run(format!("{{}}\n{{\"a\":{value}}}\n")).unwrap().rows, 2, "{value}");
    }
}

/// Found by fuzzing: whether half a pair in a key was refused depended on the place of the line.
#[test]
fn half_a_surrogate_pair_in_a_key_is_refused() {
    for before in 0..2 * BLOCK {
        for (key, right) in [
            ("\\ud83e", false),
            ("\\uDC00", false),
            ("\\ud83e\\udd17", true),
            ("\\u00f6", true),
        ] {
            let line = format!("{{\"{}{key}\":{{\"b\":[1]}}}}\n", "x".repeat(before));
            let whole = run(format!("{{}}\n{line}{{}}\n"));
            assert_eq!(whole.is_ok(), right, "{line}");
            assert_eq!(whole, in_chunks(format!("{{}}\n{line}{{}}\n").as_bytes(), 7), "{line}");
            // A line that is left to the parser gives the same result.
            let followed = run(format!("{{}}\n{line}{{\"a\":00}}\n"));
            assert_eq!(followed.unwrap_err().line, Some(if right { 3 } else { 2 }), "{line}");
        }
    }
}

#[test]
fn a_missing_last_line_break_is_reported() {
    for (text, unterminated) in [
        ("{}\n", false),
        ("{}", true),
        ("{}\n\n", false),
        ("{}\n ", true),
        ("", false),
    ] {
        assert_eq!(run(text).unwrap().unterminated, unterminated, "{text:?}");
    }
}

#[test]
fn the_checkpoint_state_is_bounded() {
    let keys: Vec<String> = (0..MAX_COLUMNS)
        .map(|n| format!("\"{n}{}\":1", "\u{10348}".repeat(128)))
        .collect();
    let mut decoder = Box::new(JsonlDecoder::new());
    decoder.push(format!("{{{}}}\n", keys.join(",")).as_bytes()).unwrap();
    assert_eq!(decoder.checkpoint(), None);
    let mut decoder = Box::new(JsonlDecoder::new());
    decoder
        .push(format!("{{{}}}\n{{\"", keys[..400].join(",")).as_bytes())
        .unwrap();
    let json = serde_json::to_string(&decoder.checkpoint().unwrap()).unwrap();
    assert!(json.len() > MAX_STATE / 2 && json.len() <= MAX_STATE);
}

fn framed(text: &str) -> Result<Framed, Defect> {
    let (head, tail) = (
        &text[..text.len().min(64 << 10)],
        &text[text.len().saturating_sub(64 << 10)..],
    );
    let whole = head.len() == text.len();
    frame(
        Head {
            bytes: head.as_bytes(),
            whole,
        },
        tail.as_bytes(),
    )
}

#[test]
fn a_look_at_the_ends_finds_a_cut_within_a_row() {
    let text = "{\"a\":1,\"b\":\"xyz\"}\n".repeat(10_000);
    assert_eq!(framed(&text).unwrap().columns, ["a", "b"]);
    assert_eq!(framed(&text[..text.len() - 1]).unwrap().column_count, 2);
    for cut in 2..18 {
        let found = framed(&text[..text.len() - cut]).unwrap_err();
        assert!(
            found
                .what
                .starts_with("has a line near its end that ends within a value"),
            "{found}"
        );
    }
    assert!(framed(&text.replacen(':', ";", 1)).is_err());
    assert!(framed("{").is_err());
    assert_eq!(framed("").unwrap(), Framed::default());
    // A line that is longer than both ends shows nothing.
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(200_000));
    assert_eq!(framed(&long).unwrap(), Framed::default());
}

/// JSON, or almost JSON.
fn line() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        "\"([a-zé,:\\{\\}\\[\\]/ ]|\\\\[\"\\\\/bfnrt]|\\\\u[0-9a-fD]{4}){0,12}\"",
        "-?(0|[1-9][0-9]{0,9})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?",
        "true|false|null",
        "\"[a-z]{60,70}\"",
    ];
    let value = scalar.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            (prop::collection::vec(inner.clone(), 0..5), " ?")
                .prop_map(|(v, s)| format!("[{}]", v.join(&format!(",{s}")))),
            (prop::collection::vec(inner, 0..5), " ?")
                .prop_map(|(v, s)| v.iter().map(|v| format!("\"k\"{s}:{s}{v}")).collect::<Vec<_>>())
                .prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    });
    prop::collection::vec(value, 0..4)
        .prop_map(|values| values.iter().map(|value| format!("\"é\":{value}")).collect::<Vec<_>>())
        .prop_map(|members| format!("{{{}}}", members.join(",")))
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    let other = prop::sample::select(b"{}[]:,\"\\ \t\r\n0-.eEu1tn/\x01\xc3".to_vec());
    let changes = prop::collection::vec((any::<prop::sample::Index>(), other, 0..4_u8), 0..3);
    let lines = prop::collection::vec((line(), prop::sample::select(vec!["\n", "\n", "\r\n", " \n"])), 0..8);
    (lines, changes, "(\u{feff})?", any::<bool>()).prop_map(|(lines, changes, begin, ended)| {
        let lines: String = lines.into_iter().map(|(line, end)| format!("{line}{end}")).collect();
        let mut text = format!("{begin}{{}}\n{lines}").into_bytes();
        for (index, byte, how) in changes {
            let at = index.index(text.len());
            match how {
                0 => text[at] = byte,
                1 => text.insert(at, byte),
                2 if text.len() > 1 => drop(text.remove(at)),
                _ => text.extend_from_within(at..),
            }
        }
        if !ended {
            text.pop();
        }
        text
    })
}

proptest! {
    #[test]
    fn json_lines_are_accepted_exactly_if_serde_json_accepts_them(text in text(), size in 1usize..300) {
        let found = run(&text);
        prop_assert_eq!(in_chunks(&text, size), found.clone());
        if let Ok(text) = std::str::from_utf8(&text) {
            prop_assert_eq!(found, expected(text.trim_start_matches('\u{feff}').as_bytes()));
        }
    }

    #[test]
    fn half_surrogate_pairs_are_counted_as_utf16_decodes_them(
        parts in prop::collection::vec(prop::sample::select(vec![
            r"\ud83d", r"\uDBFF", r"\ude00", r"\uDC00", r"\u00e9", r"\\", r"\n", r"\ud7ff", r"\ue000", "ud83d", "a",
            "\u{1f600}", "\",\"b\":\"",
        ]), 0..40),
        before in 0..70_usize,
        size in 1..90_usize,
    ) {
        let value = parts.concat();
        let mut alone = 0;
        for value in value.split("\",\"b\":\"") {
            let mut units = Vec::new();
            let mut rest = value;
            while let Some(first) = rest.chars().next() {
                let length = match rest.get(..2) {
                    Some(r"\u") => {
                        units.push(u16::from_str_radix(&rest[2..6], 16).unwrap());
                        6
                    }
                    _ if first == '\\' => { units.push(0); 2 }
                    _ => { units.extend(first.encode_utf16(&mut [0; 2]).iter()); first.len_utf8() }
                };
                rest = &rest[length..];
            }
            alone += char::decode_utf16(units).filter(Result::is_err).count();
        }
        let pad = "x".repeat(before);
        let text = format!("{{\"p\":\"{pad}\"}}\n{{\"p\":\"{pad}\",\"a\":\"{value}\"}}\n{{}}\n");
        let found = in_chunks(text.as_bytes(), size).unwrap();
        prop_assert_eq!(found.rows, 3);
        prop_assert_eq!(filtered(&text[text.find('\n').unwrap() + 1..]), if alone == 0 { 2 } else { 0 });
        let remarks = found.remarks.to_string();
        match alone {
            0 => prop_assert_eq!(remarks, ""),
            alone => prop_assert!(
                remarks.starts_with(&format!("has {alone} escape")) && remarks.ends_with("(line 2)"),
                "{}",
                remarks
            ),
        }
    }

    #[test]
    fn the_filter_accepts_no_line_that_serde_json_refuses(line in line(), place in any::<prop::sample::Index>()) {
        // Half a surrogate pair is left to the parser, which has no value for it.
        let is_value = |line: &str| serde_json::from_str::<serde_json::Value>(line).is_ok();
        prop_assert_eq!(filtered(&format!("{line}\n")), u64::from(is_value(&line)));
        // Puts each byte that means something to JSON in one place of the line.
        for byte in b"{}[]:,\"\\ \t\r\n\x01019-+.eEut/x".iter() {
            let mut changed = line.clone().into_bytes();
            let at = place.index(changed.len());
            changed[at] = *byte;
            if let Ok(changed) = String::from_utf8(changed) {
                let taken = filtered(&format!("{changed}\n"));
                let lines: Vec<&str> = changed.split('\n').collect();
                let right = lines.iter().take_while(|line| serde_json::from_str::<Object>(line).is_ok()).count();
                // If a line of a block is wrong, the filter may leave the other lines of the block to the parser, too.
                prop_assert!(taken <= right as u64, "{}", changed);
                if right == lines.len() && lines.iter().all(|line| is_value(line)) {
                    prop_assert_eq!(taken, right as u64, "{}", changed);
                }
            }
        }
    }

    #[test]
    fn the_ends_of_a_valid_text_are_accepted(text in text(), size in 1usize..300) {
        if let Ok(decoded) = run(&text) {
            let (head, tail) = (&text[..text.len().min(size)], &text[text.len().saturating_sub(size)..]);
            let found = frame(Head { bytes: head, whole: head.len() == text.len() }, tail).unwrap();
            if found != Framed::default() {
                prop_assert_eq!(found.columns, decoded.columns);
            }
        }
    }

    #[test]
    fn the_size_of_chunks_does_not_matter(text in "(\u{feff})?([\\{\\}\"a:1,\r\né ]{0,10}|\\{\"a\":\"é\"\\}\n|\\{\\}\n){0,6}", size in 1usize..9) {
        prop_assert_eq!(in_chunks(text.as_bytes(), size), run(&text));
    }
}
proptest! {
    // Each case decodes the text once for each of its bytes.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn decoding_can_resume_at_any_byte(text in text(), size in 1usize..300) {
        let whole = run(&text);
        for at in 0..=text.len() {
            prop_assert_eq!(cut(&text, at, size), whole.clone(), "cut at {}", at);
        }
    }
}
