//! What a verification stores in the ledger bucket between invocations.
//!
//! What must stay true: each invocation writes beneath a prefix of its own. Only the state of a slice is written by
//! several invocations, by compare-and-set. What another version of Landfall wrote is refused.
//!
//! A [`SavedWork`] says how far the verification is. Each of its rounds is a [`StoredRound`]: a prefix with the tasks
//! and the state of each slice.

use std::collections::BTreeSet;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use landfall::{
    error::{Error, Result},
    store::{Condition, ObjectStore, Written},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{expectation::Expectation, settle::Stability};

/// The schema of [`SavedWork`].
pub(super) const WORK_SCHEMA: &str = "landfall.work/1";

/// Where an invocation stores the work of a verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desk {
    /// The ledger bucket.
    pub bucket: String,
    /// A prefix that only this invocation writes to.
    pub prefix: String,
    /// Key of the list of objects, if there are too many for the report.
    pub objects: String,
}

/// A slice, as the state machine hands it to the function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// Key of the verification's work.
    pub work: String,
    /// Key of the slice, without its ending.
    #[serde(alias = "batch")]
    pub slice: String,
    /// ARN of the execution that verifies, for the log. The list of slices does not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<String>,
}

/// How far a verification is, as stored between invocations.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SavedWork {
    pub(super) schema: String,
    pub(super) expectation: Expectation,
    pub(super) settling: Stability,
    /// Objects that were listed and read, but that the last listing does not have.
    pub(super) gone: BTreeSet<String>,
    pub(super) listed_at: Option<DateTime<Utc>>,
    /// When slices were first planned.
    pub(super) planned_at: Option<DateTime<Utc>>,
    pub(super) rounds: Vec<StoredRound>,
    #[serde(alias = "batches")]
    pub(super) slices: u64,
    /// How often slices that nobody finished were run again.
    #[serde(default)]
    pub(super) repeats: u32,
}

/// A round whose slices are in the ledger bucket.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct StoredRound {
    pub(super) prefix: String,
    #[serde(alias = "batches")]
    pub(super) slices: u64,
}

impl StoredRound {
    pub(super) fn slice(&self, number: u64) -> String {
        // Earlier versions called a slice a batch, and a verification that they planned may be under way.
        format!("{}batch-{number:05}", self.prefix)
    }
}

pub(super) fn tasks_key(slice: &str) -> String {
    format!("{slice}.tasks.json")
}

pub(super) fn state_key(slice: &str) -> String {
    format!("{slice}.state.json")
}

impl SavedWork {
    pub(super) fn new(expectation: &Expectation) -> Self {
        Self {
            schema: WORK_SCHEMA.to_owned(),
            expectation: expectation.clone(),
            settling: Stability::default(),
            gone: BTreeSet::new(),
            listed_at: None,
            planned_at: None,
            rounds: Vec::new(),
            slices: 0,
            repeats: 0,
        }
    }

    pub(super) async fn load(store: &dyn ObjectStore, bucket: &str, key: &str) -> Result<Self> {
        let (file, _) = load::<Self>(store, bucket, key)
            .await?
            .ok_or_else(|| Error::internal(format!("s3://{bucket}/{key} was deleted; start the execution anew")))?;
        if file.schema == WORK_SCHEMA {
            return Ok(file);
        }
        Err(Error::internal(format!(
            "s3://{bucket}/{key} is of schema {}, this version reads {WORK_SCHEMA}; start the execution anew",
            file.schema
        )))
    }
}

pub(super) async fn load<T: DeserializeOwned>(
    store: &dyn ObjectStore,
    bucket: &str,
    key: &str,
) -> Result<Option<(T, String)>> {
    let Some(stored) = store.get(bucket, key).await? else {
        return Ok(None);
    };
    let value = serde_json::from_slice(&stored.body).map_err(|error| {
        Error::internal(format!(
            "s3://{bucket}/{key} is not what Landfall writes there: {error}"
        ))
    })?;
    Ok(Some((value, stored.etag)))
}

/// JSON without blanks, because there is much of it and nobody reads it.
pub(super) fn encode<T: Serialize>(value: &T) -> Result<Bytes> {
    serde_json::to_vec(value)
        .map(Bytes::from)
        .map_err(|error| Error::internal(format!("cannot write JSON: {error}")))
}

/// Writes an object that only this invocation writes. If a retry finds the object with the same content, that is a
/// success.
pub(super) async fn write(store: &dyn ObjectStore, bucket: &str, key: &str, body: Bytes) -> Result<()> {
    if store.put(bucket, key, body.clone(), Condition::Absent).await? != Written::Refused {
        return Ok(());
    }
    match store.get(bucket, key).await? {
        Some(standing) if standing.body == body => Ok(()),
        _ => Err(Error::internal(format!(
            "s3://{bucket}/{key} was written by somebody else"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use landfall::job::Verifying;
    use serde_json::json;

    use super::*;

    /// Earlier versions called a slice a batch, and a verification that they planned may still be under way.
    #[test]
    fn plans_of_earlier_versions_can_be_read() {
        let item: Item = serde_json::from_value(json!({"work": "w", "batch": "b"})).unwrap();
        assert_eq!(item.slice, "b");
        let round: StoredRound = serde_json::from_value(json!({"prefix": "p/", "batches": 3})).unwrap();
        assert_eq!((round.slices, round.slice(2)), (3, "p/batch-00002".to_owned()));
        let mut work = serde_json::to_value(SavedWork::new(&Expectation::of(
            "s3://exports/run=1/".parse().unwrap(),
            None,
        )))
        .unwrap();
        let members = work.as_object_mut().unwrap();
        members.remove("slices");
        members.insert("batches".to_owned(), json!(4));
        assert_eq!(serde_json::from_value::<SavedWork>(work).unwrap().slices, 4);
        let verifying = json!({"manifest": {"bucket": "b", "key": "k"}, "work": "w", "batches": 5, "concurrency": 2});
        assert_eq!(serde_json::from_value::<Verifying>(verifying).unwrap().slices, 5);
    }
}
