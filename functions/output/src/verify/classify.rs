//! Decides which objects are the export's data.
//!
//! What must stay true: nothing that could be data is ignored. Either it fails a check, or it is listed as extra.
//!
//! AWS documents neither the names of the files nor the name of the test file among them. So an object with a known
//! suffix is data, and must have the suffix's format. An object with any other name is data only if its first bytes
//! show that.

use serde::{Deserialize, Serialize};

use landfall_formats::{Content, Format, Head, begins_as_csv, sniff, sniff_gzip};

/// What to do with an object, decided from its name and size alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Plan {
    /// Nothing. By Hive's convention, which Athena and Spark follow, names that begin with `_` or `.` are not data.
    Ignore,
    /// The object is not data, and need not be read.
    Extra,
    /// The object is data of this format, or claims to be. Read it to its end.
    Data(Format),
    /// The object claims to be data of this format, but is empty.
    Empty(Format),
    /// The object claims to be data of another format. The text says what shows that.
    Foreign(String),
    /// The object's content decides whether it is data of this format.
    Sniff(Format),
}

/// Decides what to do with an object. `asked` is the format of the whole output; `None` if only the files that the
/// service names are data. `named` is the object's format if the service names it as a file of the export.
#[must_use]
pub fn plan(prefix: &str, key: &str, size: u64, asked: Option<Format>, named: Option<Format>) -> Plan {
    if let Some(format) = named {
        return if size == 0 {
            Plan::Empty(format)
        } else {
            Plan::Data(format)
        };
    }
    if is_hidden(prefix, key) {
        return Plan::Ignore;
    }
    let Some(asked) = asked else {
        return Plan::Extra;
    };
    if key.ends_with('/') && size == 0 {
        return Plan::Extra;
    }
    let compressed = asked.row().is_compressed();
    match Suffix::of(key) {
        Suffix::Plain(format) if format == asked => {}
        // AWS's own samples read the gzip objects of such an export, and nothing else.
        Suffix::Gzip(_) if compressed => {}
        Suffix::Plain(_) | Suffix::Unknown if compressed && size > 0 => return Plan::Sniff(asked),
        Suffix::Plain(_) if compressed => return Plan::Extra,
        Suffix::Plain(format) => return Plan::Foreign(format!("has the suffix of {format}")),
        Suffix::Gzip(Some(_)) => {
            return Plan::Foreign("has the suffix of a gzip-compressed file, which was not asked for".to_owned());
        }
        Suffix::Gzip(None) | Suffix::Unknown if size == 0 => return Plan::Extra,
        Suffix::Gzip(None) | Suffix::Unknown => return Plan::Sniff(asked),
    }
    if size == 0 {
        Plan::Empty(asked)
    } else {
        Plan::Data(asked)
    }
}

/// Decides from the first bytes of a [`Plan::Sniff`] object whether it is data, and says what it looks like. A broken
/// table is not counted as data, because any prose could be one. It is reported as "looks like CSV", so that nobody
/// takes it for the service's test file.
#[must_use]
pub fn is_data(head: Head<'_>, asked: Format) -> (bool, Option<Content>) {
    let content = sniff(head);
    let is_data = content.and_then(Content::format) == Some(asked);
    (
        is_data,
        content.or_else(|| begins_as_csv(head.bytes).then_some(Content::Csv)),
    )
}

/// The format that the first bytes of a [`Plan::Data`] object show, if it is another one; `None` if only decoding can
/// tell.
#[must_use]
pub fn foreign(head: Head<'_>, asked: Format) -> Option<String> {
    let content = sniff(head)?;
    if asked.row().begins_behind_others(head.bytes) {
        return None;
    }
    if content.format() != Some(asked) {
        return Some(match (content, content.remedy()) {
            (Content::Csv, _) => "looks like CSV".to_owned(),
            (_, Some(remedy)) => format!("holds {content}, {remedy}"),
            (_, None) => format!("holds {content}"),
        });
    }
    // Of compressed files, only JSON lines are read.
    let within = if content == Content::Gzip {
        sniff_gzip(head)?
    } else {
        return None;
    };
    let remedy = within
        .remedy()
        .unwrap_or("but of compressed files only JSON lines are read: have it written without gzip (gzip -d)");
    Some(format!("holds {within} within gzip, {remedy}"))
}

/// Whether the description of an object includes advice. Advice follows a colon, and nothing else has a colon.
#[must_use]
pub fn has_advice(what: &str) -> bool {
    what.contains(": ")
}

/// Whether a part of the path beneath the prefix begins with `_` or `.`.
fn is_hidden(prefix: &str, key: &str) -> bool {
    let beneath = key.strip_prefix(prefix).unwrap_or(key);
    beneath
        .split('/')
        .any(|part| part.starts_with('_') || part.starts_with('.'))
}

enum Suffix {
    Plain(Format),
    /// The suffix of gzip, after the suffix of this format.
    Gzip(Option<Format>),
    Unknown,
}

impl Suffix {
    fn of(key: &str) -> Self {
        let name = key.rsplit('/').next().unwrap_or(key).to_ascii_lowercase();
        let plain = |name: &str| Format::of_suffix(name.rsplit_once('.')?.1);
        match (plain(&name), name.strip_suffix(".gz")) {
            (Some(format), _) => Self::Plain(format),
            (None, Some(inner)) => Self::Gzip(plain(inner)),
            (None, None) => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(key: &str, size: u64) -> Plan {
        plan("out/run=1/", &format!("out/run=1/{key}"), size, Some(Format::Csv), None)
    }

    #[test]
    fn the_suffix_of_a_name_decides_whether_an_object_is_data() {
        assert_eq!(csv("part-0.csv", 1), Plan::Data(Format::Csv));
        assert_eq!(csv("a/b/PART.CSV", 1), Plan::Data(Format::Csv));
        assert_eq!(csv("part-0.csv", 0), Plan::Empty(Format::Csv));
        assert_eq!(csv("part-0.json", 1), Plan::Foreign("has the suffix of JSONL".into()));
        assert_eq!(csv("part-0.jsonl", 0), Plan::Foreign("has the suffix of JSONL".into()));
        assert_eq!(csv("part-0.orc", 1), Plan::Foreign("has the suffix of ORC".into()));
        assert!(matches!(csv("part-0.csv.gz", 1), Plan::Foreign(_)));
        assert!(matches!(csv("part-0.pdf", 1), Plan::Foreign(_)));
        assert!(matches!(csv("part-0.xlsx", 1), Plan::Foreign(_)));
        assert_eq!(csv("part-0.gz", 1), Plan::Sniff(Format::Csv));
        assert_eq!(csv("part-0", 1), Plan::Sniff(Format::Csv));
        assert_eq!(csv("csv", 1), Plan::Sniff(Format::Csv));
        assert_eq!(csv("test.txt", 1), Plan::Sniff(Format::Csv));
        assert_eq!(csv("test", 0), Plan::Extra);
        assert_eq!(csv("folder/", 0), Plan::Extra);
        assert_eq!(csv("", 0), Plan::Extra);
    }

    #[test]
    fn hidden_names_are_not_data() {
        assert_eq!(csv("_receipt.json", 9), Plan::Ignore);
        assert_eq!(csv("_temporary/part-0.csv", 9), Plan::Ignore);
        assert_eq!(csv("a/.part-0.csv.crc", 9), Plan::Ignore);
        assert_eq!(csv("a_b.csv", 9), Plan::Data(Format::Csv));
        // Only the part after the prefix decides whether a name is hidden.
        assert_eq!(
            plan("_out/", "_out/a.csv", 9, Some(Format::Csv), None),
            Plan::Data(Format::Csv)
        );
    }

    #[test]
    fn only_gzip_names_are_data_of_a_gzip_export() {
        let of = |key: &str, size| plan("", key, size, Some(Format::JsonlGzip), None);
        for key in ["a.json.gz", "a.gz", "A.GZ"] {
            assert_eq!(of(key, 1), Plan::Data(Format::JsonlGzip), "{key}");
            assert_eq!(of(key, 0), Plan::Empty(Format::JsonlGzip), "{key}");
        }
        for key in ["a.json", "a.csv", "a"] {
            assert_eq!(of(key, 1), Plan::Sniff(Format::JsonlGzip), "{key}");
            assert_eq!(of(key, 0), Plan::Extra, "{key}");
        }
    }

    #[test]
    fn objects_that_the_service_names_are_data() {
        for key in ["_a", "part-0", "a.json", "a.csv"] {
            for asked in [None, Some(Format::Csv)] {
                let of = |size, named| plan("", key, size, asked, named);
                assert_eq!(of(9, Some(Format::Pdf)), Plan::Data(Format::Pdf), "{key}");
                assert_eq!(of(0, Some(Format::Pdf)), Plan::Empty(Format::Pdf), "{key}");
            }
        }
        assert_eq!(plan("", "a.csv", 9, None, None), Plan::Extra);
        assert_eq!(plan("", "_a.csv", 9, None, None), Plan::Ignore);
    }

    #[test]
    fn content_decides_where_the_name_says_nothing() {
        let whole = |bytes| Head { bytes, whole: true };
        assert_eq!(is_data(whole(b"a,b\n1,2\n"), Format::Csv), (true, Some(Content::Csv)));
        assert_eq!(
            is_data(whole(b"a,b\n1,2\n"), Format::Jsonl),
            (false, Some(Content::Csv))
        );
        assert_eq!(is_data(whole(b"test"), Format::Csv), (false, None));
        assert_eq!(
            is_data(whole(b"{\"a\":1}\n"), Format::Jsonl),
            (true, Some(Content::Json))
        );
        assert_eq!(is_data(whole(b"ORC\x0a\x00"), Format::Orc), (true, Some(Content::Orc)));
        assert_eq!(is_data(whole(b"ORC\x0a\x00"), Format::Csv), (false, Some(Content::Orc)));

        assert_eq!(foreign(whole(b"a\n1\n"), Format::Csv), None);
        // The name of a column may begin with the letters ORC.
        assert_eq!(foreign(whole(b"ORCID\n0001\n"), Format::Csv), None);
        assert_eq!(foreign(whole(b"ORCID,Name\n"), Format::Csv), None);
        assert_eq!(foreign(whole(b"ORC\x0a\x00"), Format::Csv).unwrap(), "holds ORC");
        assert_eq!(foreign(whole(b"{\"a\":1}\n"), Format::Csv).unwrap(), "holds JSON");
        assert_eq!(foreign(whole(b"\x1f\x8b\x08"), Format::Csv).unwrap(), "holds gzip");
        assert_eq!(foreign(whole(b"a,b\n1,2\n"), Format::Orc).unwrap(), "looks like CSV");
        assert_eq!(foreign(whole(b"<html>\n%PDF-1.7\n"), Format::Pdf), None);
        assert_eq!(
            foreign(whole(b"a,b\n1,%PDF-1.7\n"), Format::Orc).unwrap(),
            "looks like CSV"
        );
        // A format without a decoder has a remedy.
        for format in Format::ALL {
            for (bytes, says) in [
                (
                    &b"PAR1\x15\x04\x15"[..],
                    "holds Parquet, which Landfall does not decode: have it written as ORC",
                ),
                (
                    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
                    "holds an Office file of the kind of .xls, which",
                ),
                (
                    b"[{\"a\":1}]\n",
                    "holds a JSON array, which is one value over the whole file",
                ),
            ] {
                let what = foreign(whole(bytes), format).unwrap();
                assert!(what.starts_with(says) && has_advice(&what), "{what}");
            }
        }
        let page = whole(b"<html>\n<body>, <p>\n");
        for format in [
            Format::Csv,
            Format::Jsonl,
            Format::JsonlGzip,
            Format::Orc,
            Format::Pdf,
            Format::Excel,
        ] {
            let what = foreign(page, format).unwrap();
            assert!(what.starts_with("holds HTML or XML, ") && has_advice(&what), "{what}");
            assert_eq!(is_data(page, format), (false, Some(Content::Markup)));
        }
    }
}
