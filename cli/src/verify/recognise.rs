//! Which format the files of a place have, if nobody says it.
//!
//! What must stay true: content decides before names. If the files have several formats, each is decoded as its own. A
//! file that no decoder reads is named for what it is, together with what can be done.

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

/// How many first files are looked at to recognise the format.
const RECOGNISED_BY: usize = 16;
/// How many files of several formats are verified at most at once, each as its own format.
const MAX_BY_THEMSELVES: usize = 10_000;
/// How many first bytes of each file are looked at.
const SNIFFED: u64 = 64 << 10;

/// The formats of the first files.
pub(super) enum Recognised {
    One(Format),
    Several,
}

/// The formats of the first files, by their content or, if that says nothing, by their names.
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
            "nothing lies here except what is hidden by a name with _ or . in front. Look whether it is the right \
             place, or say with --format what should have landed here"
                .to_owned(),
        ),
        (None, _) => refuse(
            ErrorKind::InvalidEvent,
            match unread {
                Some(what) => format!("no file is of a format that can be verified: {what}"),
                None => {
                    let formats: Vec<&str> = Format::ALL.into_iter().map(Format::name).collect();
                    format!(
                        "none of {seen} files shows its format by its first bytes or its name. Say it with --format if \
                         it is one of {}",
                        formats.join(", ")
                    )
                }
            },
        ),
    }
}

/// Every file of a known format as a named file of its own, like the files of a dashboard.
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
    /// Something that no decoder reads.
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
        // A change during the verification is the verification's to report.
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
