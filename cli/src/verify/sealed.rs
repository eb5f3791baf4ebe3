//! What is there now, compared with what a receipt sealed.
//!
//! What must stay true:
//! * [`compare`] is a pure function.
//! * Keys are compared beneath the prefix, so that a copy elsewhere can be compared with the receipt of the original.
//! * Equal sizes with equal ETags or equal SHA-256 mean the same content. A SHA-256 outweighs an ETag, which a copy
//!   changes. What neither proves counts as unproven, never as unchanged.
//! * A receipt that does not list all objects is refused. It is not compared in part.

use std::{collections::BTreeMap, sync::Arc};

use landfall::{
    error::{Error, ErrorKind, Result},
    job::{NamedFile, Verdict},
    s3_uri::{S3Object, S3Uri},
    store::{Listed, ObjectStore},
};
use landfall_formats::Format;
use landfall_output::{
    receipt,
    verify::{Role, VerifiedObject},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use super::{
    names::{escaped, is_hidden},
    place::Location,
};

/// The name of the list of all objects. It lies beside a receipt that does not hold them itself.
pub const OBJECTS_NAME: &str = "_objects.jsonl";
/// How many bytes one read has.
const RANGE: u64 = 8 << 20;
/// The longest line of a list of objects. A key has at most 1,024 bytes.
const MAX_LINE: usize = 64 << 10;
/// How many objects are hashed side by side.
const SIDE_BY_SIDE: usize = 4;

/// The members of a receipt that are needed here. Others may come and go.
#[derive(Debug, Deserialize)]
struct Outline {
    verdict: Verdict,
    kind: String,
    job_key: String,
    #[serde(default)]
    output: Option<OutputOutline>,
}

#[derive(Debug, Deserialize)]
struct OutputOutline {
    prefix: S3Uri,
    #[serde(default)]
    format: Option<Format>,
    rows: u64,
    objects: Vec<VerifiedObject>,
    #[serde(default)]
    objects_omitted: u64,
    #[serde(default)]
    objects_file: Option<ListOutline>,
}

#[derive(Debug, Deserialize)]
struct ListOutline {
    #[serde(default)]
    uri: Option<S3Uri>,
    bytes: u64,
    sha256: String,
}

/// What a receipt sealed.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// Where the receipt lies.
    pub place: String,
    /// How the job ended.
    pub verdict: Verdict,
    /// The job's key.
    pub job_key: String,
    /// Where the output lay.
    pub prefix: S3Uri,
    /// The format of the whole output. `None` if every file has its own.
    pub format: Option<Format>,
    /// Rows of the whole output.
    pub rows: u64,
    /// All objects by their keys beneath the prefix.
    pub objects: BTreeMap<String, VerifiedObject>,
}

impl Sealed {
    /// Reads a receipt, and the list of objects beside it if it has one. Fails with `NotFound` if either is missing,
    /// and with `InvalidEvent` if nothing can be compared with it.
    pub async fn read(receipt: &Location) -> Result<Self> {
        let place = receipt.to_string();
        let invalid = |what: String| Error::new(ErrorKind::InvalidEvent, format!("{place}: {what}"));
        let body = receipt
            .get()
            .await?
            .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("{place}: there is no such receipt")))?;
        let outline: serde_json::Value = serde_json::from_slice(&body)
            .map_err(|error| invalid(format!("it is not JSON ({error}), so it is not a receipt")))?;
        let schema = outline["schema"].as_str().unwrap_or_default();
        if schema != receipt::SCHEMA {
            return Err(invalid(format!(
                "its schema is {:?}, and that of a receipt {:?}; name a {}",
                escaped(schema),
                receipt::SCHEMA,
                receipt::NAME
            )));
        }
        let outline: Outline = serde_json::from_value(outline)
            .map_err(|error| invalid(format!("it is not a receipt as {} has it: {error}", receipt::SCHEMA)))?;
        let Some(output) = outline.output else {
            return Err(invalid(format!(
                "it is the receipt of {} {}, which {} without an output to compare with",
                outline.kind,
                outline.job_key,
                outline.verdict.name()
            )));
        };
        let mut sealed = Self {
            place: place.clone(),
            verdict: outline.verdict,
            job_key: outline.job_key,
            prefix: output.prefix,
            format: output.format,
            rows: output.rows,
            objects: BTreeMap::new(),
        };
        match &output.objects_file {
            Some(list) => sealed.read_list(receipt, list).await?,
            None if output.objects_omitted > 0 => {
                return Err(invalid(format!(
                    "it leaves {} objects out and names no list of all, so a whole output cannot be compared with it; \
                     the report that it names in verification.report has no more",
                    output.objects_omitted
                )));
            }
            None => {
                for object in output.objects {
                    sealed.add(object)?;
                }
            }
        }
        Ok(sealed)
    }

    fn add(&mut self, mut object: VerifiedObject) -> Result<()> {
        let Some(beneath) = object.key.strip_prefix(&self.prefix.as_folder().key).map(str::to_owned) else {
            return Err(Error::new(
                ErrorKind::InvalidEvent,
                format!(
                    "{}: it lists {}, which does not lie beneath its own prefix {}",
                    self.place,
                    escaped(&object.key),
                    self.prefix
                ),
            ));
        };
        object.key.clone_from(&beneath);
        self.objects.insert(beneath, object);
        Ok(())
    }

    /// Reads the list of all objects. It must have the SHA-256 that the receipt names.
    async fn read_list(&mut self, receipt: &Location, named: &ListOutline) -> Result<()> {
        let name = named.uri.as_ref().and_then(|uri| uri.key.rsplit('/').next());
        let mut list = receipt.beside(name.filter(|name| !name.is_empty()).unwrap_or(OBJECTS_NAME));
        let mut head = list.store.head(&list.bucket, &list.key).await?;
        // A receipt that is not beside the data may name a list elsewhere.
        if let (None, Some(uri), true) = (&head, &named.uri, receipt.folder.is_none()) {
            list.bucket.clone_from(&uri.bucket);
            list.key.clone_from(&uri.key);
            head = list.store.head(&list.bucket, &list.key).await?;
        }
        let place = list.to_string();
        let Some(head) = head else {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!(
                    "{place}: the list of all objects that belongs to the receipt {} is missing; put it there",
                    self.place
                ),
            ));
        };
        let wrong = |what: String| Error::new(ErrorKind::InvalidEvent, format!("{place}: {what}"));
        if head.size != named.bytes {
            return Err(wrong(format!(
                "it has {} bytes, and the receipt {} sealed {}; it is not the list that belongs to it",
                head.size, self.place, named.bytes
            )));
        }
        // Checked before anything in the list is believed. It is read twice, both times with the same ETag.
        let sha256 = hash(&*list.store, &list.bucket, &list.key, &head.etag, head.size).await?;
        if !sha256.eq_ignore_ascii_case(&named.sha256) {
            return Err(wrong(format!(
                "its SHA-256 is {sha256}, and the receipt {} sealed {}; it is not the list that belongs to it",
                self.place,
                escaped(&named.sha256)
            )));
        }
        let (mut rest, mut number) = (Vec::new(), 0_u64);
        for start in (0..head.size).step_by(RANGE as usize) {
            let end = head.size.min(start + RANGE);
            let chunk = list.store.read(&list.bucket, &list.key, &head.etag, start, end).await?;
            rest.extend_from_slice(&chunk);
            let mut begin = 0;
            while let Some(length) = rest[begin..].iter().position(|&byte| byte == b'\n') {
                number += 1;
                self.add(line(&rest[begin..begin + length]).map_err(|what| wrong(format!("line {number}: {what}")))?)?;
                begin += length + 1;
            }
            rest.drain(..begin);
            if rest.len() > MAX_LINE {
                return Err(wrong(format!("line {} is longer than that of an object", number + 1)));
            }
        }
        if !rest.is_empty() {
            self.add(line(&rest).map_err(|what| wrong(format!("line {}: {what}", number + 1)))?)?;
        }
        Ok(())
    }

    /// The data files as named files beneath another prefix. `None` if all have the same format.
    pub(super) fn named_files(&self, prefix: &S3Uri) -> Option<Vec<NamedFile>> {
        if self.format.is_some() {
            return None;
        }
        let data = self.objects.values().filter(|object| object.role == Role::Data);
        let named = data.filter_map(|object| {
            Some(NamedFile {
                label: object.key.clone(),
                format: object.format?,
                uri: Some(S3Object {
                    bucket: prefix.bucket.clone(),
                    key: format!("{}{}", prefix.key, object.key),
                }),
                error: None,
            })
        });
        Some(named.collect())
    }
}

fn line<T: DeserializeOwned>(line: &[u8]) -> Result<T, String> {
    serde_json::from_slice(line).map_err(|error| format!("it is not an object of a receipt: {error}"))
}

/// The SHA-256 in hex of an object that has this ETag. Fails with `OutputRejected` if the object changed.
async fn hash(store: &dyn ObjectStore, bucket: &str, key: &str, etag: &str, size: u64) -> Result<String> {
    let mut hasher = Sha256::new();
    for start in (0..size).step_by(RANGE as usize) {
        let bytes = store.read(bucket, key, etag, start, size.min(start + RANGE)).await?;
        hasher = tokio::task::spawn_blocking(move || {
            hasher.update(&bytes);
            hasher
        })
        .await
        .map_err(|_| Error::internal("hashing gave up"))?;
    }
    Ok(hex::encode(hasher.finalize()))
}

/// An object as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Now {
    /// As it was listed, with its whole key.
    pub listed: Listed,
    /// SHA-256 of its bytes in hex, if they were read.
    pub sha256: Option<String>,
    /// Its rows, if they were counted.
    pub rows: Option<u64>,
}

/// One thing in which an object differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Difference {
    /// `size`, `etag`, `sha256` or `rows`.
    pub what: &'static str,
    /// What the receipt says.
    pub sealed: String,
    /// What is there now.
    pub now: String,
}

/// An object that is not as it was sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Change {
    /// Its key beneath the prefix.
    pub key: String,
    /// How it differs.
    pub differences: Vec<Difference>,
}

/// An object that only one side has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Lone {
    /// Its key beneath the prefix.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
}

/// What is there now, compared with a receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Comparison {
    /// Where the receipt lies.
    pub receipt: String,
    /// How its job ended. The output of a failed job must not be used, even if nothing has changed since.
    pub verdict: Verdict,
    /// Its job's key.
    pub job_key: String,
    /// Where the output lay when it was sealed.
    pub prefix: String,
    /// Whether nothing changed, vanished or was added.
    pub same: bool,
    /// How many objects have the same content.
    pub unchanged: u64,
    /// How many of them were written again since then.
    pub rewritten: u64,
    /// How many have the same size, but their content was not compared.
    pub unproven: u64,
    /// Objects with another content, in key order.
    pub changed: Vec<Change>,
    /// Sealed objects that are missing, in key order.
    pub vanished: Vec<Lone>,
    /// Objects that were not sealed, in key order.
    pub added: Vec<Lone>,
}

/// The objects of a listing that a comparison looks at, by their keys beneath the prefix. Objects that their name hides
/// are left out, unless they were sealed. So are the markers of folders, because a copy does not keep them.
pub fn present(listing: Vec<Listed>, prefix: &str, sealed: &Sealed) -> BTreeMap<String, Now> {
    let beneath = |listed: Listed| {
        let key = listed.key.strip_prefix(prefix).unwrap_or(&listed.key).to_owned();
        let now = Now {
            listed,
            sha256: None,
            rows: None,
        };
        (key, now)
    };
    listing
        .into_iter()
        .map(beneath)
        .filter(|(key, now)| !is_marker(key, now.listed.size) && (!is_hidden(key) || sealed.objects.contains_key(key)))
        .collect()
}

fn is_marker(key: &str, size: u64) -> bool {
    size == 0 && (key.is_empty() || key.ends_with('/'))
}

/// Reads and hashes the objects whose content only a SHA-256 can tell. Fails with `OutputRejected` if one changes.
pub async fn read_unproven(
    store: &Arc<dyn ObjectStore>,
    bucket: &str,
    sealed: &Sealed,
    now: &mut BTreeMap<String, Now>,
) -> Result<()> {
    use futures::{StreamExt, TryStreamExt};

    let open: Vec<Listed> = now
        .iter()
        .filter(|(key, now)| {
            sealed.objects.get(*key).is_some_and(|sealed| {
                sealed.sha256.is_some()
                    && now.sha256.is_none()
                    && sealed.size == now.listed.size
                    && sealed.etag != now.listed.etag
            })
        })
        .map(|(_, now)| now.listed.clone())
        .collect();
    let mut hashed: BTreeMap<String, String> = futures::stream::iter(open)
        .map(|listed| async move {
            let sha256 = hash(&**store, bucket, &listed.key, &listed.etag, listed.size).await?;
            Ok::<_, Error>((listed.key, sha256))
        })
        .buffer_unordered(SIDE_BY_SIDE)
        .try_collect()
        .await?;
    for now in now.values_mut() {
        if let Some(sha256) = hashed.remove(&now.listed.key) {
            now.sha256 = Some(sha256);
        }
    }
    Ok(())
}

/// Compares. `in_place` says that the objects lie where they were sealed, so that another ETag means a change.
pub fn compare(sealed: &Sealed, now: &BTreeMap<String, Now>, in_place: bool) -> Comparison {
    let mut comparison = Comparison {
        receipt: sealed.place.clone(),
        verdict: sealed.verdict,
        job_key: sealed.job_key.clone(),
        prefix: sealed.prefix.to_string(),
        same: false,
        unchanged: 0,
        rewritten: 0,
        unproven: 0,
        changed: Vec::new(),
        vanished: Vec::new(),
        added: Vec::new(),
    };
    for (key, sealed) in &sealed.objects {
        if is_marker(key, sealed.size) {
            continue;
        }
        let Some(now) = now.get(key) else {
            comparison.vanished.push(Lone {
                key: key.clone(),
                size: sealed.size,
            });
            continue;
        };
        let differences = differences(sealed, now, in_place);
        if !differences.is_empty() {
            comparison.changed.push(Change {
                key: key.clone(),
                differences,
            });
        } else if sealed.etag == now.listed.etag {
            comparison.unchanged += 1;
        } else if sealed.size == 0 || (sealed.sha256.is_some() && now.sha256.is_some()) {
            comparison.unchanged += 1;
            comparison.rewritten += u64::from(in_place);
        } else {
            comparison.unproven += 1;
        }
    }
    for (key, now) in now.iter().filter(|(key, _)| !sealed.objects.contains_key(*key)) {
        comparison.added.push(Lone {
            key: key.clone(),
            size: now.listed.size,
        });
    }
    comparison.same = comparison.changed.is_empty() && comparison.vanished.is_empty() && comparison.added.is_empty();
    comparison
}

fn differences(sealed: &VerifiedObject, now: &Now, in_place: bool) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut hold = |what, sealed: &dyn ToString, now: &dyn ToString| {
        let (sealed, now) = (sealed.to_string(), now.to_string());
        if sealed != now {
            differences.push(Difference { what, sealed, now });
        }
    };
    hold("size", &sealed.size, &now.listed.size);
    let hashes = sealed.sha256.as_ref().zip(now.sha256.as_ref());
    match hashes {
        Some((sealed_hash, now_hash)) => {
            hold("sha256", sealed_hash, now_hash);
            // The same content has the same number of rows, whatever another version of the decoder counts.
            if sealed_hash == now_hash {
                return differences;
            }
        }
        None if sealed.etag == now.listed.etag => return differences,
        None if in_place && (sealed.size > 0 || now.listed.size > 0) => hold("etag", &sealed.etag, &now.listed.etag),
        None => {}
    }
    if let (Some(sealed), Some(now)) = (sealed.rows, now.rows) {
        hold("rows", &sealed, &now);
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(key: &str, size: u64, etag: &str, sha256: Option<&str>, rows: Option<u64>) -> VerifiedObject {
        serde_json::from_value(serde_json::json!({
            "key": key, "role": "data", "size": size, "etag": etag, "sha256": sha256, "rows": rows,
            "last_modified": "2026-11-01T05:00:00Z",
        }))
        .unwrap()
    }

    fn now(size: u64, etag: &str, sha256: Option<&str>, rows: Option<u64>) -> Now {
        Now {
            listed: Listed {
                key: String::new(),
                size,
                etag: etag.to_owned(),
                last_modified: chrono::DateTime::default(),
            },
            sha256: sha256.map(str::to_owned),
            rows,
        }
    }

    /// The result for one object: a word, or the names of what differs.
    fn of(before: &VerifiedObject, after: &Now, in_place: bool) -> String {
        let sealed = Sealed {
            place: "r".to_owned(),
            verdict: Verdict::Succeeded,
            job_key: "k".to_owned(),
            prefix: "s3://bucket/p/".parse().unwrap(),
            format: None,
            rows: 0,
            objects: [(before.key.clone(), before.clone())].into(),
        };
        let found = compare(&sealed, &[(before.key.clone(), after.clone())].into(), in_place);
        let names: Vec<_> = found
            .changed
            .iter()
            .flat_map(|change| &change.differences)
            .map(|one| one.what)
            .collect();
        match (found.unchanged, found.rewritten, found.unproven) {
            (1, 0, 0) => "unchanged".to_owned(),
            (1, 1, 0) => "rewritten".to_owned(),
            (0, 0, 1) => "unproven".to_owned(),
            _ => names.join(" "),
        }
    }

    #[test]
    fn content_is_compared_by_etag_sha256_size_and_rows() {
        let sealed = object("a", 9, "e", Some("5"), Some(3));
        for (after, in_place, elsewhere) in [
            (now(9, "e", None, None), "unchanged", "unchanged"),
            (now(9, "f", Some("5"), None), "rewritten", "unchanged"),
            // Another version of the decoder may count differently, although the bytes are the same.
            (now(9, "f", Some("5"), Some(4)), "rewritten", "unchanged"),
            (now(9, "f", Some("6"), Some(3)), "sha256", "sha256"),
            (now(9, "f", Some("6"), Some(4)), "sha256 rows", "sha256 rows"),
            (now(9, "e", Some("6"), Some(3)), "sha256", "sha256"),
            (now(9, "f", None, None), "etag", "unproven"),
            (now(9, "f", None, Some(4)), "etag rows", "rows"),
            (now(8, "f", None, None), "size etag", "size"),
            (now(8, "f", Some("6"), Some(2)), "size sha256 rows", "size sha256 rows"),
        ] {
            assert_eq!(of(&sealed, &after, true), in_place, "{after:?}");
            assert_eq!(of(&sealed, &after, false), elsewhere, "{after:?}");
        }
        // Two empty objects are the same.
        let empty = object("a", 0, "e", None, None);
        assert_eq!(of(&empty, &now(0, "f", None, None), false), "unchanged");
        assert_eq!(of(&empty, &now(0, "f", None, None), true), "rewritten");
    }
}
