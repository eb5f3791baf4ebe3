//! Checks what an import reads, before Pinpoint does.
//!
//! What must stay true: each file that Pinpoint would import was decoded to its last byte. If it is unclear whether
//! Pinpoint would take a file for its format, the import is refused. A message names the object and the place, never a
//! value.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use landfall::{
    error::{Error, ErrorKind},
    heavy::heavy,
    job::{Format, Source},
    s3_uri::S3Uri,
    store::{Listed, ObjectStore},
};
use landfall_formats::{Content, Decoded, Defect, Head, sniff};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The longest name of an attribute, in characters.
const MAX_ATTRIBUTE_NAME: usize = 50;
/// Bytes of one read.
const RANGE: u64 = 8 << 20;
/// How many objects are read at a time.
const READERS: usize = 8;
/// How many objects a message names.
const NAMED: usize = 10;
/// How many objects are listed, with those of other formats.
const MAX_LISTED: usize = 100_000;

/// The formats of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum ImportFormat {
    /// Comma-separated values with a header row.
    Csv,
    /// One JSON object on each line.
    Json,
}

impl ImportFormat {
    pub const fn format(self) -> Format {
        match self {
            Self::Csv => Format::Csv,
            Self::Json => Format::Jsonl,
        }
    }

    /// The name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Csv => "CSV",
            Self::Json => "JSON",
        }
    }
}

/// How much one import may read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes of all files. AWS says 1 GB; this is the smaller meaning of that.
    pub(crate) bytes: u64,
    /// Number of files.
    pub(crate) files: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 1_000_000_000,
            files: 10_000,
        }
    }
}

/// The suffix that says that a file is compressed, if the name has one.
pub(crate) fn compressed_suffix(name: &str) -> Option<&'static str> {
    const SUFFIXES: [&str; 12] = [
        ".gz", ".gzip", ".tgz", ".zip", ".bz2", ".xz", ".zst", ".lz4", ".snappy", ".br", ".7z", ".z",
    ];
    let name = name.to_ascii_lowercase();
    SUFFIXES.into_iter().find(|suffix| name.ends_with(suffix))
}

/// The format that a name says; `None` if it says none.
fn format_by_name(key: &str) -> Option<Named> {
    let name = key.rsplit('/').next().unwrap_or(key).to_ascii_lowercase();
    let (_, suffix) = name.rsplit_once('.')?;
    match (Format::of_suffix(suffix), suffix) {
        (Some(format), _) => Some(Named::Format(format)),
        (None, "parquet" | "avro" | "xls" | "xml" | "html" | "md" | "crc") => Some(Named::Other),
        (None, _) => None,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    Format(Format),
    /// A format that Landfall does not decode.
    Other,
}

/// Checks everything that an import reads. Fails with `NotFound`, `InvalidEvent`, or `Busy` if an object changes
/// meanwhile.
pub(crate) async fn check(
    store: &dyn ObjectStore,
    uri: S3Uri,
    format: ImportFormat,
    limits: &Limits,
) -> Result<Source, Error> {
    let found = find(store, &uri).await?;
    let chosen = choose(&uri, found, format, limits)?;
    let is_alone = !is_folder(&uri);
    let checked = chosen
        .into_iter()
        .map(|object| check_object(store, &uri.bucket, object, format, is_alone));
    // In key order, so that the same fault is reported each time.
    let checked: Vec<Option<(u64, u64)>> = stream::iter(checked).buffered(READERS).try_collect().await?;
    let (mut objects, mut bytes, mut rows) = (0, 0, 0);
    for (size, count) in checked.into_iter().flatten() {
        objects += 1;
        bytes += size;
        rows += count;
    }
    if rows == 0 {
        return Err(invalid(format!(
            "{uri} holds no row in format {}: there is nothing to import",
            format.name()
        )));
    }
    Ok(Source {
        uri,
        format: format.format(),
        objects,
        bytes,
        rows,
    })
}

fn is_folder(uri: &S3Uri) -> bool {
    uri.key.is_empty() || uri.key.ends_with('/')
}

/// The objects that the URL names. Pinpoint treats the URL as a prefix of keys, so this refuses a URL that could be
/// read in two ways.
async fn find(store: &dyn ObjectStore, uri: &S3Uri) -> Result<Vec<Listed>, Error> {
    let listed = store.list(&uri.bucket, &uri.key, MAX_LISTED).await?;
    if is_folder(uri) {
        return Ok(listed);
    }
    let others = listed.iter().filter(|object| object.key != uri.key).count();
    match (others, listed.len()) {
        (_, 0) => Err(Error::new(
            ErrorKind::NotFound,
            format!("{uri} does not exist; nothing was imported"),
        )),
        (0, _) => Ok(listed),
        (_, all) if all == others => Err(invalid(format!(
            "{uri} is no object, but {others} keys begin with it, and Pinpoint would import them all: end the URL with a \
             slash to import a folder"
        ))),
        _ => Err(invalid(format!(
            "{uri} is an object, but the keys of {others} others begin with it, and Pinpoint may import them too: rename \
             the object, or import a folder of its own"
        ))),
    }
}

/// Leaves out files that Pinpoint does not read, and refuses those that it cannot.
fn choose(uri: &S3Uri, found: Vec<Listed>, format: ImportFormat, limits: &Limits) -> Result<Vec<Listed>, Error> {
    let is_alone = !is_folder(uri);
    let (mut chosen, mut faults) = (Vec::new(), Vec::new());
    for object in found {
        let named = format_by_name(&object.key);
        let is_ours = named == Some(Named::Format(format.format())) || is_alone;
        if let Some(suffix) = compressed_suffix(&object.key) {
            faults.push(format!(
                "s3://{}/{} is compressed ({suffix}), and Pinpoint imports no compressed files: unpack it, or take it out",
                uri.bucket, object.key
            ));
        } else if object.size == 0 && is_ours {
            faults.push(format!("s3://{}/{} is empty", uri.bucket, object.key));
        } else if is_ours || (named.is_none() && object.size > 0) {
            chosen.push(object);
        }
    }
    if !faults.is_empty() {
        let more = match faults.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        faults.truncate(NAMED);
        return Err(invalid(format!("{}{more}", faults.join("; "))));
    }
    if chosen.is_empty() {
        let text = format!("{uri} holds no file in format {}; nothing was imported", format.name());
        return Err(Error::new(ErrorKind::NotFound, text));
    }
    let bytes: u64 = chosen.iter().map(|object| object.size).sum();
    if chosen.len() > limits.files || bytes > limits.bytes {
        return Err(invalid(format!(
            "{uri} holds {bytes} bytes in {} files; an import job takes at most {} bytes in {} files: split it",
            chosen.len(),
            limits.bytes,
            limits.files
        )));
    }
    Ok(chosen)
}

/// Decodes an object and answers its size and rows; `None` for a file of another format, which Pinpoint ignores.
async fn check_object(
    store: &dyn ObjectStore,
    bucket: &str,
    object: Listed,
    format: ImportFormat,
    is_alone: bool,
) -> Result<Option<(u64, u64)>, Error> {
    let place = format!("s3://{bucket}/{}", object.key);
    let mut decoder = format
        .format()
        .row()
        .open(&Bytes::new())
        .map_err(|defect| defective(&place, format, &defect))?;
    let mut start = 0;
    while start < object.size {
        let end = object.size.min(start + RANGE);
        let chunk = store
            .read(bucket, &object.key, &object.etag, start, end)
            .await
            .map_err(|error| match error.kind {
                ErrorKind::OutputRejected => Error::new(
                    ErrorKind::Busy,
                    format!("{place} changes while it is read; it is read again later, and imported once it is still"),
                ),
                _ => error,
            })?;
        if start == 0 && !is_wanted(&place, &object, &chunk, format, is_alone)? {
            return Ok(None);
        }
        start = end;
        let pushed;
        (decoder, pushed) = blocking(move || {
            let pushed = decoder.push(&chunk);
            (decoder, pushed)
        })
        .await?;
        pushed.map_err(|defect| defective(&place, format, &defect))?;
    }
    let decoded = decoder.finish().map_err(|defect| defective(&place, format, &defect))?;
    if decoded.rows == 0 {
        return Err(invalid(format!(
            "{place} has no row: there is nothing to import from it"
        )));
    }
    if !decoded.remarks.is_empty() {
        return Err(invalid(format!(
            "{place} {}. How Pinpoint takes that is not documented: write it anew without it",
            decoded.remarks
        )));
    }
    check_columns(&place, &decoded, format)?;
    Ok(Some((object.size, decoded.rows)))
}

/// Decides from the first bytes whether an object is imported.
fn is_wanted(place: &str, object: &Listed, first: &Bytes, format: ImportFormat, is_alone: bool) -> Result<bool, Error> {
    let content = sniff(Head {
        bytes: first,
        whole: first.len() as u64 == object.size,
    });
    match content {
        Some(Content::Gzip | Content::Zip) => Err(invalid(format!(
            "{place} is compressed by its content, and Pinpoint imports no compressed files: unpack it"
        ))),
        Some(content) if content.format() == Some(format.format()) => Ok(true),
        _ if is_alone || format_by_name(&object.key) == Some(Named::Format(format.format())) => match content {
            Some(other) => Err(invalid(format!(
                "{place} holds {other}, and the request says {}",
                format.name()
            ))),
            // There is too little to tell, such as a single column. The decoder finds out.
            None => Ok(true),
        },
        Some(_) => Ok(false),
        None => Err(invalid(format!(
            "{place} is of no format that can be told, and Pinpoint may take it for {}: name it by its format, or take it \
             out of the folder",
            format.name()
        ))),
    }
}

/// Checks what the names of the columns show.
fn check_columns(place: &str, decoded: &Decoded, format: ImportFormat) -> Result<(), Error> {
    // Of JSON lines only the names at the first level are kept.
    if format == ImportFormat::Json {
        return Ok(());
    }
    let is = |column: &String, name: &str| column.trim().eq_ignore_ascii_case(name);
    let identifies = |column: &String| ["Id", "Address", "User.UserId"].iter().any(|name| is(column, name));
    if !decoded.columns.iter().any(identifies) {
        return Err(invalid(format!(
            "{place} has no column Id, Address or User.UserId in its first line: it needs a header row, and one of them"
        )));
    }
    let custom = |column: &'_ String| {
        ["Attributes.", "Metrics.", "User.UserAttributes."]
            .iter()
            .find_map(|group| column.strip_prefix(group).map(|name| name.chars().count()))
    };
    let too_long = |column: &String| custom(column).is_some_and(|length| length > MAX_ATTRIBUTE_NAME);
    if let Some(number) = decoded.columns.iter().position(too_long) {
        return Err(invalid(format!(
            "{place} names an attribute in column {} whose name is longer than {MAX_ATTRIBUTE_NAME} characters",
            number + 1
        )));
    }
    Ok(())
}

fn defective(place: &str, format: ImportFormat, defect: &Defect) -> Error {
    invalid(format!("{place} is not sound {}: {defect}", format.name()))
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidEvent, message)
}

/// Runs work that keeps a processor busy, so that other tasks go on.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    heavy(work).await.map_err(|_| Error::internal("a decoder gave up"))
}
