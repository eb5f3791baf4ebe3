//! Which format the files of a place have, where nobody says it.
//!
//! What must stay true: content decides before names; files of several formats are held each to its own; what no decoder
//! reads is named for what it is, with what can be done.

use std::collections::BTreeMap;

use landfall::{
    error::{Error, ErrorKind, Result},
    job::NamedFile,
    s3_uri::S3Object,
    store::Listed,
};
use landfall_formats::{Content, Format, Head, sniff};
use landfall_output::verify::classify::{self, Plan};

use super::{
    names::{escaped, is_hidden},
    place::Location,
};

/// First files by which the format is recognised.
const RECOGNISED_BY: usize = 16;
/// Most files of several formats that are verified at once, each by its own.
const MAX_BY_THEMSELVES: usize = 10_000;
/// First bytes of them.
const SNIFFED: u64 = 64 << 10;

/// The formats that the first files have.
pub(super) enum Recognised {
    One(Format),
    Several,
}

/// The format that the first files have, by their content or, where that says nothing, by their names.
pub(super) async fn recognise(location: &Location) -> Result<Recognised> {
    let (bucket, prefix) = (&location.bucket, &location.key);
    let mut found: BTreeMap<&str, Format> = BTreeMap::new();
    let mut unread: Option<String> = None;
    let (mut after, mut looked_at, mut seen) = (None, 0, 0_u64);
    'looking: loop {
        let page = location.store.list_page(bucket, prefix, after.as_deref()).await?;
        for listed in &page.objects {
            let beneath = listed.key.strip_prefix(prefix.as_str()).unwrap_or(&listed.key);
            if is_hidden(beneath) || beneath.is_empty() || beneath.ends_with('/') {
                continue;
            }
            seen += 1;
            if listed.size == 0 {
                continue;
            }
            match format_of(location, listed).await? {
                Shown::Format(format) => drop(found.insert(format.name(), format)),
                Shown::Unread(content) => {
                    let remedy = content.remedy().unwrap_or("which no decoder reads");
                    unread.get_or_insert_with(|| format!("{} holds {content}, {remedy}", escaped(beneath)));
                }
                Shown::Nothing => {}
            }
            looked_at += 1;
            if looked_at == RECOGNISED_BY {
                break 'looking;
            }
        }
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    let refuse = |kind, what: String| Err(Error::new(kind, format!("{location}: {what}")));
    let mut formats = found.into_values();
    match (formats.next(), formats.next()) {
        (Some(format), None) => Ok(Recognised::One(format)),
        (Some(_), Some(_)) => Ok(Recognised::Several),
        (None, _) if seen == 0 => refuse(
            ErrorKind::NotFound,
            "nothing lies here but what a name with _ or . in front hides; look whether it is the right place, or say \
             with --format what was to land"
                .to_owned(),
        ),
        (None, _) => refuse(
            ErrorKind::InvalidEvent,
            match unread {
                Some(what) => format!("no file is of a format that can be verified: {what}"),
                None => {
                    let formats: Vec<&str> = Format::ALL.into_iter().map(Format::name).collect();
                    format!(
                        "of {seen} files none shows its format by its first bytes or its name; say it with --format, if \
                         it is one of {}",
                        formats.join(", ")
                    )
                }
            },
        ),
    }
}

/// Every file with a format as one that is asked for by itself, as the files of a dashboard are.
pub(super) async fn each_by_itself(location: &Location) -> Result<Vec<NamedFile>> {
    let (bucket, prefix) = (&location.bucket, &location.key);
    let mut files = Vec::new();
    for listed in location.store.list(bucket, prefix, MAX_BY_THEMSELVES).await? {
        let beneath = listed.key.strip_prefix(prefix.as_str()).unwrap_or(&listed.key);
        if is_hidden(beneath) || beneath.is_empty() || beneath.ends_with('/') {
            continue;
        }
        if let Shown::Format(format) = format_of(location, &listed).await? {
            files.push(NamedFile {
                label: beneath.to_owned(),
                format,
                uri: Some(S3Object {
                    bucket: bucket.clone(),
                    key: listed.key,
                }),
                error: None,
            });
        }
    }
    Ok(files)
}

/// What a file shows of its format.
enum Shown {
    Format(Format),
    /// What no decoder reads.
    Unread(Content),
    Nothing,
}

async fn format_of(location: &Location, listed: &Listed) -> Result<Shown> {
    let end = listed.size.min(SNIFFED);
    let read = location
        .store
        .read(&location.bucket, &listed.key, &listed.etag, 0, end)
        .await;
    let bytes = match read {
        Ok(bytes) => bytes,
        // What changes meanwhile is for the verification to say.
        Err(error) if matches!(error.kind, ErrorKind::OutputRejected | ErrorKind::NotFound) => {
            return Ok(Shown::Nothing);
        }
        Err(error) => return Err(error),
    };
    let content = sniff(Head {
        bytes: &bytes,
        whole: end == listed.size,
    });
    let by_name = || {
        let is_of = |format: &Format| {
            classify::plan("", &listed.key, listed.size.max(1), Some(*format), None) == Plan::Data(*format)
        };
        Format::ALL.into_iter().find(is_of)
    };
    Ok(match content.and_then(Content::format).or_else(by_name) {
        Some(format) => Shown::Format(format),
        None => content.map_or(Shown::Nothing, Shown::Unread),
    })
}
