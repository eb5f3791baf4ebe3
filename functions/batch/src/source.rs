//! Reads the list of requests, from the event or from S3.
//!
//! What must stay true: one version of the object is read. If the list can be split into requests, a bad request does
//! not affect the others. If it cannot be split, it is refused as a whole.

use bytes::{Bytes, BytesMut};
use landfall::{
    error::{Error, ErrorKind, Result},
    fault::Faults,
    hash::sha256_hex,
    input::Input,
    s3_uri::S3Uri,
    store::ObjectStore,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use crate::limits::{MAX_REQUESTS, MAX_SOURCE_BYTES};

/// Bytes of one read.
const PART: u64 = 8 << 20;

/// The object that the requests of a batch were read from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Source {
    pub uri: S3Uri,
    /// The ETag that was read.
    pub etag: String,
    pub bytes: u64,
    /// SHA-256 of the object, in hex.
    pub sha256: String,
}

/// A request that was not read yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Unread {
    /// The place of the request, with which its faults begin: `$.detail.Requests[3]`, `$[3]` or `line 4: $`.
    pub place: String,
    /// The request, or why it is not JSON.
    pub value: Result<Input, String>,
}

/// Requests in order, read one after the other.
pub type Requests<'a> = Box<dyn Iterator<Item = Unread> + Send + 'a>;

/// The place of the requests in an event.
const INLINE: &str = "$.detail.Requests";

/// Takes the faults of single requests out of an event's faults. Faults of the list itself stay.
pub fn take_faults(faults: &mut Faults) -> Faults {
    faults.take_if(|path| path.strip_prefix(INLINE).is_some_and(|rest| rest.starts_with('[')))
}

/// The requests of an event, with what could not be read of each.
pub fn inline(requests: &[Value], mut faults: Faults) -> Requests<'_> {
    Box::new(requests.iter().enumerate().map(move |(index, value)| {
        let place = format!("{INLINE}[{index}]");
        let mut input = Input::from(value.clone());
        input.faults = faults.split_off(&place);
        Unread {
            place,
            value: Ok(input),
        }
    }))
}

/// Reads a list of requests. Fails with `NotFound`, with `InvalidEvent` if the list is too large, and with the errors
/// of the store.
pub async fn fetch(store: &dyn ObjectStore, uri: &S3Uri) -> Result<(Source, Bytes)> {
    let S3Uri { bucket, key } = uri;
    let head = store.head(bucket, key).await?.ok_or_else(|| {
        Error::new(
            ErrorKind::NotFound,
            format!("$.detail.RequestsUri is {uri}, and no object is there; write it before the event is sent"),
        )
    })?;
    if head.size > MAX_SOURCE_BYTES {
        return Err(refused(
            uri,
            format!(
                "it has {} bytes, and a list of requests may have {MAX_SOURCE_BYTES}; send it in several batches",
                head.size
            ),
        ));
    }
    let mut body = BytesMut::new();
    let mut start = 0;
    while start < head.size {
        let end = head.size.min(start + PART);
        let part = match store.read(bucket, key, &head.etag, start, end).await {
            // The object was replaced meanwhile. The next try reads the new one.
            Err(error) if error.kind == ErrorKind::OutputRejected => {
                return Err(Error::new(ErrorKind::Unavailable, error.message));
            }
            part => part?,
        };
        body.extend_from_slice(&part);
        start = end;
    }
    let body = body.freeze();
    let source = Source {
        uri: uri.clone(),
        etag: head.etag,
        bytes: head.size,
        sha256: sha256_hex(&body),
    };
    Ok((source, body))
}

/// Splits a list into requests: the items of a JSON array, or one request on each line. Fails with `InvalidEvent` if
/// the list is neither, empty or too long.
pub fn listed<'a>(uri: &S3Uri, body: &'a [u8]) -> Result<Requests<'a>> {
    // Some editors put a byte order mark before a text.
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    if first == Some(&b'[') {
        let items: Vec<&RawValue> = serde_json::from_slice(body)
            .map_err(|error| refused(uri, format!("it is no JSON array of requests: {error}")))?;
        check_length(uri, items.len())?;
        let requests = items.into_iter().enumerate().map(|(index, item)| Unread {
            place: format!("$[{index}]"),
            value: Input::read(item.get().as_bytes()).map_err(|error| error.to_string()),
        });
        return Ok(Box::new(requests));
    }
    let lines = move || {
        body.split(|byte| *byte == b'\n')
            .enumerate()
            .filter(|(_, line)| !line.iter().all(u8::is_ascii_whitespace))
    };
    check_length(uri, lines().count())?;
    let requests = lines().map(|(number, line)| Unread {
        place: format!("line {}: $", number + 1),
        value: Input::read(line).map_err(|error| error.to_string()),
    });
    Ok(Box::new(requests))
}

fn check_length(uri: &S3Uri, requests: usize) -> Result<()> {
    match requests {
        0 => Err(refused(uri, "it holds no request".to_owned())),
        1..=MAX_REQUESTS => Ok(()),
        more => Err(refused(
            uri,
            format!("it holds {more} requests, and a batch may have {MAX_REQUESTS}; send it in several batches"),
        )),
    }
}

fn refused(uri: &S3Uri, why: String) -> Error {
    Error::new(
        ErrorKind::InvalidEvent,
        format!("$.detail.RequestsUri is {uri}: {why}. Nothing was started"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Vec<(String, Result<Value, String>)>> {
        let uri = "s3://bucket/list".parse().unwrap();
        let requests = listed(&uri, body.as_bytes())?;
        Ok(requests
            .map(|unread| (unread.place, unread.value.map(|input| input.value)))
            .collect())
    }

    #[test]
    fn a_list_is_a_json_array_or_json_lines() {
        let array = read("\u{feff} [ {\"a\": 1}, 2 ]\n").unwrap();
        assert_eq!(array[0], ("$[0]".to_owned(), Ok(serde_json::json!({"a": 1}))));
        assert_eq!(array[1], ("$[1]".to_owned(), Ok(serde_json::json!(2))));
        let lines = read("{\"a\": 1}\r\n\n \n{\"a\": 2}").unwrap();
        let places: Vec<_> = lines.iter().map(|(place, _)| place.as_str()).collect();
        assert_eq!(places, ["line 1: $", "line 4: $"]);
        assert!(lines.iter().all(|(_, value)| value.is_ok()));
    }

    #[test]
    fn a_bad_line_does_not_affect_the_others() {
        let lines = read("{\"a\": 1}\n{\"a\": \n{\"a\": 3}\n").unwrap();
        let good: Vec<_> = lines.iter().map(|(_, value)| value.is_ok()).collect();
        assert_eq!(good, [true, false, true]);
    }

    #[test]
    fn a_list_that_is_empty_broken_or_too_long_is_refused() {
        for (body, why) in [
            ("", "holds no request"),
            (" \n\n", "holds no request"),
            ("[]", "holds no request"),
            ("[{]", "no JSON array"),
            ("[1] 2", "no JSON array"),
        ] {
            let error = read(body).unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidEvent);
            assert!(error.message.contains(why), "{body:?}: {}", error.message);
        }
        let error = read(&"{}\n".repeat(MAX_REQUESTS + 1)).unwrap_err();
        assert!(error.message.contains("10001 requests"), "{}", error.message);
        assert_eq!(read(&"{}\n".repeat(MAX_REQUESTS)).unwrap().len(), MAX_REQUESTS);
    }
}
