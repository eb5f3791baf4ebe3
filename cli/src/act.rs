//! The events that run a job again.
//!
//! What must stay true: nothing here calls a service. A rerun or a pick-up is the job's own event with some members of
//! `Landfall` changed. A second delivery of it is therefore the same job. A generation that a job has already is not
//! used again.

use landfall::{
    error::{Error, ErrorKind, Result},
    job::{Kind, Level, Verdict},
    ledger::Ledger,
    members::OPTIONS,
    store::ObjectStore,
    trigger::{STARTED_BY, identify},
};
use serde_json::{Map, Value, json};

/// How many generations of a job are looked through at most for a free one.
const MAX_GENERATIONS: u32 = 100;

/// How a job is run again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Again {
    /// It is exported anew.
    Rerun,
    /// Landfall goes on with the export of the job with this key: it is awaited, verified and sealed.
    PickUp {
        /// The failed job.
        job_key: String,
        /// Whether an export without a row is a success now.
        allow_empty: bool,
        /// How much of the output is looked at now.
        level: Option<Level>,
    },
}

/// The event that runs a job again, and the key of the job that it asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// The event to deliver.
    pub event: Value,
    /// The key of the job that it asks for.
    pub job_key: String,
    /// The generation, if the event has one.
    pub rerun: Option<u32>,
    /// A jq filter that turns the job's own event into this one. It is shown in place of the event, which may hold
    /// secrets.
    pub filter: String,
}

/// The event of a job as it was delivered, without the members that Step Functions added.
#[must_use]
pub fn event_of(input: &Value) -> Value {
    let mut event = input.clone();
    if let Some(members) = event.as_object_mut() {
        members.remove(STARTED_BY);
    }
    event
}

/// The event that runs a job again, with the first generation that no job has yet. Fails with `Busy` if such a job is
/// open already, and with `InvalidEvent` if a pick-up has succeeded already.
pub async fn order(store: &dyn ObjectStore, ledger: &str, kind: &str, event: &Value, again: &Again) -> Result<Order> {
    let kind = Kind::new(kind);
    let ledger = Ledger::new(store, ledger, "landfall");
    let own = event["detail"][OPTIONS]["Rerun"]
        .as_u64()
        .and_then(|n| u32::try_from(n).ok());
    let first = match again {
        Again::Rerun => own.unwrap_or(0).saturating_add(1),
        Again::PickUp { .. } => 0,
    };
    for generation in first..first.saturating_add(MAX_GENERATIONS) {
        let rerun = (generation > 0).then_some(generation);
        let changed = changed(event, again, rerun)?;
        let job_key = identify(&kind, &changed)?.job_key;
        let Some(found) = ledger.load(&kind, &job_key).await? else {
            return Ok(Order {
                event: changed,
                job_key,
                rerun,
                filter: filter(again, rerun),
            });
        };
        match (found.entry.outcome.map(|outcome| outcome.verdict), again) {
            (None, _) => {
                return Err(Error::new(
                    ErrorKind::Busy,
                    format!("{kind} {job_key} is doing this already: `landfall watch {job_key}` follows it"),
                ));
            }
            (Some(Verdict::Succeeded), Again::PickUp { job_key: failed, .. }) => {
                return Err(Error::new(
                    ErrorKind::InvalidEvent,
                    format!("{kind} {failed} was picked up already: {job_key} succeeded with its export"),
                ));
            }
            (Some(_), _) => {}
        }
    }
    Err(Error::new(
        ErrorKind::InvalidEvent,
        format!("{MAX_GENERATIONS} jobs of this event have ended already: send a new event"),
    ))
}

/// The event of another generation, or of a pick-up.
fn changed(event: &Value, again: &Again, rerun: Option<u32>) -> Result<Value> {
    let mut event = event.clone();
    let detail = event["detail"]
        .as_object_mut()
        .ok_or_else(|| Error::new(ErrorKind::InvalidEvent, "the event has no detail"))?;
    let options = detail.entry(OPTIONS).or_insert_with(|| Value::Object(Map::new()));
    if options.is_null() {
        *options = json!({});
    }
    let options = options.as_object_mut().ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidEvent,
            "$.detail.Landfall of the event is not an object",
        )
    })?;
    match rerun {
        Some(rerun) => options.insert("Rerun".to_owned(), json!(rerun)),
        None => options.remove("Rerun"),
    };
    // The rerun of a pick-up exports anew.
    options.remove("PickUp");
    if let Again::PickUp {
        job_key,
        allow_empty,
        level,
    } = again
    {
        options.insert("PickUp".to_owned(), json!(job_key));
        let mut verification = options.get("Verification").cloned().unwrap_or(json!({}));
        if *allow_empty {
            verification["AllowEmpty"] = json!(true);
        }
        if let Some(level) = level {
            verification["Level"] = json!(level.name());
        }
        if verification.as_object().is_some_and(|members| !members.is_empty()) {
            options.insert("Verification".to_owned(), verification);
        }
    }
    Ok(event)
}

/// The change that [`changed`] makes, as a jq filter.
fn filter(again: &Again, rerun: Option<u32>) -> String {
    let mut filter = match rerun {
        Some(rerun) => format!(".detail.Landfall.Rerun = {rerun}"),
        None => "del(.detail.Landfall.Rerun)".to_owned(),
    };
    match again {
        Again::Rerun => filter.push_str(" | del(.detail.Landfall.PickUp)"),
        Again::PickUp {
            job_key,
            allow_empty,
            level,
        } => {
            filter.push_str(&format!(" | .detail.Landfall.PickUp = \"{job_key}\""));
            if *allow_empty {
                filter.push_str(" | .detail.Landfall.Verification.AllowEmpty = true");
            }
            if let Some(level) = level {
                filter.push_str(&format!(" | .detail.Landfall.Verification.Level = \"{level}\""));
            }
        }
    }
    filter
}

/// A text as one argument of a shell.
pub fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@+,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::Arc};

    use super::*;
    use crate::verify::folder::FolderStore;

    fn event() -> Value {
        json!({"id": "e", "source": "s", "detail-type": "Segment Snapshot Requested", "time": "2026-11-01T05:00:00Z",
               "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID": "arn", "detail": {"DomainName": "d", "Landfall": {"Name": "n"}}})
    }

    async fn ordered(folder: &tempfile::TempDir, again: &Again) -> Result<Order> {
        let store: Arc<dyn ObjectStore> = Arc::new(FolderStore::open(folder.path()).unwrap());
        order(store.as_ref(), "ledger", "segment-snapshot", &event_of(&event()), again).await
    }

    /// Writes the job of an order into the ledger, with this verdict.
    fn keep(folder: &tempfile::TempDir, order: &Order, verdict: Option<&str>) {
        let mut entry = json!({
            "schema": "landfall.ledger/1", "kind": "segment-snapshot", "request": {}, "created_at": "2026-11-01T05:00:00Z",
            "deadline_at": "2026-11-01T11:00:00Z", "written_by": "w", "attempts": [],
            "trigger": {"job_key": order.job_key, "event_id": "e", "source": "s", "time": "2026-11-01T05:00:00Z",
                        "schedule": null, "account": null, "region": null, "request_sha256": "aa"},
        });
        if let Some(verdict) = verdict {
            entry["outcome"] = json!({"verdict": verdict, "receipt": "s3://ledger/r", "sealed_by": "arn", "polls": 1,
                                      "sealed_at": "2026-11-01T05:10:00Z", "landfall": "0.1.0"});
        }
        let path = folder
            .path()
            .join(format!("jobs/segment-snapshot/{}.json", order.job_key));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, entry.to_string()).unwrap();
    }

    #[tokio::test]
    async fn a_rerun_takes_the_first_free_generation() {
        let folder = tempfile::tempdir().unwrap();
        let first = ordered(&folder, &Again::Rerun).await.unwrap();
        assert_eq!(
            (first.rerun, &first.event["detail"]["Landfall"]),
            (Some(1), &json!({"Name": "n", "Rerun": 1}))
        );
        assert_eq!(first.event.get(STARTED_BY), None);
        assert_eq!(
            first.filter,
            ".detail.Landfall.Rerun = 1 | del(.detail.Landfall.PickUp)"
        );
        keep(&folder, &first, Some("failed"));
        let second = ordered(&folder, &Again::Rerun).await.unwrap();
        assert_eq!(second.rerun, Some(2));
        assert_ne!(first.job_key, second.job_key);
        keep(&folder, &second, None);
        let error = ordered(&folder, &Again::Rerun).await.unwrap_err();
        assert!(
            error.kind == ErrorKind::Busy && error.message.contains(&second.job_key),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_job_is_picked_up_until_a_pick_up_succeeds() {
        let folder = tempfile::tempdir().unwrap();
        let again = Again::PickUp {
            job_key: "20261101T050000Z-0123abcd".to_owned(),
            allow_empty: true,
            level: Some(Level::Structure),
        };
        let first = ordered(&folder, &again).await.unwrap();
        assert_eq!(
            first.event["detail"]["Landfall"],
            json!({"Name": "n", "PickUp": "20261101T050000Z-0123abcd", "Verification": {"AllowEmpty": true, "Level": "structure"}})
        );
        assert!(first.job_key.starts_with("20261101T050000Z-"), "{first:?}");
        assert_eq!(
            first.filter,
            "del(.detail.Landfall.Rerun) | .detail.Landfall.PickUp = \"20261101T050000Z-0123abcd\" | \
             .detail.Landfall.Verification.AllowEmpty = true | .detail.Landfall.Verification.Level = \"structure\""
        );
        keep(&folder, &first, Some("failed"));
        let second = ordered(&folder, &again).await.unwrap();
        assert_eq!(second.rerun, Some(1));
        keep(&folder, &second, Some("succeeded"));
        let error = ordered(&folder, &again).await.unwrap_err();
        assert!(error.message.contains("was picked up already"), "{error}");
    }

    #[test]
    fn arguments_are_quoted_for_the_shell() {
        assert_eq!(quoted("arn:aws:states:a:b"), "arn:aws:states:a:b");
        assert_eq!(quoted(r#"{"a": "it's"}"#), r#"'{"a": "it'\''s"}'"#);
        assert_eq!(quoted(""), "''");
    }
}
