//! The first step of a batch: it makes an event of each request, once.
//!
//! What must stay true: the record is written by one conditional write, after everything that it points to. A delivery
//! that finds a record goes by it. The event of a request follows from the batch key and the request's number. So its
//! job is the same, however often the batch is delivered, and two equal requests are two jobs. A wrong request is
//! recorded as wrong, and the others go on.

use std::collections::BTreeMap;

use landfall::{
    config::Config,
    error::{Error, ErrorKind, Result},
    fault::Faults,
    input::Input,
    invocation::{Deployment, Invocation},
    job::{Kind, ObjectRef, TaskError},
    ledger::Ledger,
    members::OPTIONS,
    s3_uri::S3Uri,
    span,
    start::Received,
    store::upload::Upload,
    trigger::{identify, rejected_key},
};
use serde::Serialize;
use serde_json::{Map, Value, json, value::to_raw_value};

use crate::{
    event::{Asked, Request, RequestShape, Requests, kind, parse},
    limits::{MAX_CAUSE, MAX_EVENT_BYTES},
    record::{
        Batch, Item, JobKeys, Lines, Plan, Planned, RECORD_SCHEMA, Record, SCHEMA, Status, items_key, record_key,
        requests_key, summary_key,
    },
    source::{self, Source, Unread},
};

/// Members of the batch's event that the events of its requests get too.
const INHERITED: [&str; 5] = ["version", "source", "account", "time", "region"];

pub async fn plan(deployment: &Deployment, input: impl Into<Input>, invocation: &Invocation) -> Result<Batch> {
    let received = Received::of(kind(), input, invocation);
    // If a single request could not be read completely, only that request has a fault.
    let mut unreadable = received.unreadable.as_ref().map(|unreadable| unreadable.faults.clone());
    let in_requests = unreadable.as_mut().map(source::take_faults).unwrap_or_default();
    let asked = admit_what_was_read(&deployment.config, &received.event, &unreadable.unwrap_or_default())?;
    let batch_key = &asked.trigger.job_key;
    span::is_of_batch(batch_key, asked.options.name.as_deref());
    let owner = format!("{}/{}", received.execution, invocation.request_id);
    let planner = Planner {
        deployment,
        received: &received,
        asked: &asked,
        in_requests,
        ledger: Ledger::new(deployment.store.as_ref(), &deployment.config.ledger_bucket, owner),
        invocation: &invocation.request_id,
    };
    let batch = planner
        .run()
        .await
        .map_err(|error| error.context(format!("planning the batch {batch_key}")))?;
    tracing::info!(
        decided = if batch.status == Status::Sealed {
            "was_sealed"
        } else {
            "planned"
        },
        requests = batch.requests,
        accepted = batch.accepted,
        "the batch is planned"
    );
    Ok(batch)
}

/// Reads an event and lets it through the gate. Calls no service.
pub fn admit(config: &Config, event: &Value) -> Result<Asked> {
    admit_what_was_read(config, event, &Faults::default())
}

fn admit_what_was_read(config: &Config, event: &Value, unreadable: &Faults) -> Result<Asked> {
    let asked = parse(event, unreadable)?;
    if let Requests::At(uri) = &asked.requests {
        config.allowed.check_location("$.detail.RequestsUri", uri)?;
    }
    Ok(asked)
}

/// The value that goes through the state machine, made from a record.
pub(crate) fn batch(record: &Record, execution: &str, is_sealed: bool) -> Batch {
    let mut batch = Batch {
        schema: SCHEMA.to_owned(),
        batch_key: record.trigger.job_key.clone(),
        name: record.name.clone(),
        execution: execution.to_owned(),
        status: Status::Ended,
        requests: 0,
        accepted: 0,
        items: None,
        concurrency: 1,
        round: 1,
        wait_seconds: 0,
        error: None,
        outcome: None,
        announcement: None,
    };
    if let Plan::Planned {
        requests,
        accepted,
        items,
        concurrency,
        ..
    } = &record.plan
    {
        batch.requests = *requests;
        batch.accepted = *accepted;
        batch.concurrency = *concurrency;
        if *accepted > 0 && !is_sealed {
            batch.status = Status::Running;
            batch.items = Some(items.clone());
        }
    }
    if is_sealed {
        batch.status = Status::Sealed;
    }
    batch
}

struct Planner<'a> {
    deployment: &'a Deployment,
    received: &'a Received,
    asked: &'a Asked,
    /// The places in the event's requests that could not be read.
    in_requests: Faults,
    ledger: Ledger<'a>,
    invocation: &'a str,
}

impl Planner<'_> {
    async fn run(&self) -> Result<Batch> {
        let trigger = &self.asked.trigger;
        let key = record_key(&trigger.job_key);
        let record = match self.ledger.get::<Record>(&key).await? {
            Some(standing) => standing,
            None => {
                let record = self.record().await?;
                if self.ledger.put_once(&key, &record).await? {
                    record
                } else {
                    // Another delivery has written the record, or an earlier try of this write has.
                    self.ledger.get(&key).await?.ok_or_else(|| {
                        Error::new(
                            ErrorKind::Busy,
                            format!("its record {key} was there and is not any more"),
                        )
                    })?
                }
            }
        };
        if record.trigger.request_sha256 != trigger.request_sha256 {
            return Err(Error::new(
                ErrorKind::InvalidEvent,
                "its IdempotencyKey was used before, for another batch; use another key",
            ));
        }
        let summary = self
            .deployment
            .store
            .head(self.ledger.bucket(), &summary_key(&trigger.job_key))
            .await?;
        Ok(batch(&record, &self.received.execution, summary.is_some()))
    }

    async fn record(&self) -> Result<Record> {
        let plan = match &self.asked.requests {
            Requests::Inline(requests) => {
                self.plan(None, source::inline(requests, self.in_requests.clone()))
                    .await?
            }
            Requests::At(uri) => {
                let (source, body) = source::fetch(self.deployment.store.as_ref(), uri).await?;
                let requests = source::listed(uri, &body)?;
                self.plan(Some(source), requests).await?
            }
        };
        Ok(Record {
            schema: RECORD_SCHEMA.to_owned(),
            trigger: self.asked.trigger.clone(),
            name: self.asked.options.name.clone(),
            planned_by: self.received.execution.clone(),
            planned_at: self.deployment.clock.now(),
            plan,
        })
    }

    /// Writes the two lists of a batch: all requests, and those that are run.
    async fn plan(&self, source: Option<Source>, unread: source::Requests<'_>) -> Result<Plan> {
        let batch_key = &self.asked.trigger.job_key;
        let (list_key, items_key) = (
            requests_key(batch_key, self.invocation),
            items_key(batch_key, self.invocation),
        );
        let (mut list, mut items) = (self.upload(&list_key), self.upload(&items_key));
        let written = self.write(unread, &mut list, &mut items).await;
        let (requests, accepted) = match written {
            Ok(counts) => counts,
            Err(error) => {
                for upload in [list, items] {
                    give_up(upload).await;
                }
                return Err(error);
            }
        };
        let list = list.finish().await?;
        items.finish().await?;
        let limit = self.deployment.config.batch_concurrency;
        Ok(Plan::Planned {
            source,
            requests,
            accepted,
            list: Lines {
                key: list_key,
                bytes: list.bytes,
                sha256: list.sha256,
            },
            items: ObjectRef {
                bucket: self.ledger.bucket().to_owned(),
                key: items_key,
            },
            concurrency: self.asked.options.max_concurrency.unwrap_or(limit).min(limit),
        })
    }

    fn upload(&self, key: &str) -> Upload<'_> {
        let place = S3Uri {
            bucket: self.ledger.bucket().to_owned(),
            key: key.to_owned(),
        };
        Upload::new(self.deployment.store.as_ref(), place)
    }

    /// Writes a line for each request, and an item for each request that is run. Answers the numbers of both.
    async fn write(
        &self,
        unread: source::Requests<'_>,
        list: &mut Upload<'_>,
        items: &mut Upload<'_>,
    ) -> Result<(u64, u64)> {
        let mut reader = Reader {
            config: &self.deployment.config,
            event: &self.received.event,
            batch_key: &self.asked.trigger.job_key,
            shape: RequestShape::new()?,
            taken: BTreeMap::new(),
        };
        let (mut requests, mut accepted) = (0, 0);
        items.write(b"[").await?;
        for unread in unread {
            let (planned, item) = reader.read(requests, unread)?;
            let mut line = json_of(&planned)?;
            line.push(b'\n');
            list.write(&line).await?;
            if let Some(item) = item {
                items.write(if accepted == 0 { b"\n" } else { b",\n" }).await?;
                items.write(&json_of(&item)?).await?;
                accepted += 1;
            }
            requests += 1;
        }
        items.write(b"\n]\n").await?;
        Ok((requests, accepted))
    }
}

/// Makes the events of requests.
struct Reader<'a> {
    config: &'a Config,
    event: &'a Value,
    batch_key: &'a str,
    shape: RequestShape,
    /// The job keys of earlier requests, each with the hash of its request.
    taken: BTreeMap<(Kind, String), String>,
}

impl Reader<'_> {
    fn read(&mut self, index: u64, unread: Unread) -> Result<(Planned, Option<Item>)> {
        let mut planned = Planned {
            index,
            kind: None,
            name: None,
            job: None,
            error: None,
        };
        let Input { value, faults, .. } = match unread.value {
            Ok(input) => input,
            Err(why) => {
                planned.error = Some(rejection(format!("{}: it is no JSON: {why}", unread.place)));
                return Ok((planned, None));
            }
        };
        planned.kind = named(value.get("Kind")).map(Kind::new);
        planned.name = value
            .get("Detail")
            .and_then(|detail| named(detail.get(OPTIONS)?.get("Name")));
        if !faults.is_empty() {
            planned.error = Some(rejection(text(&faults.beneath(&unread.place))));
            return Ok((planned, None));
        }
        match self.item(index, &unread.place, &value)? {
            Ok((job, item)) => {
                planned.job = Some(job);
                Ok((planned, Some(item)))
            }
            Err(why) => {
                planned.error = Some(rejection(why));
                Ok((planned, None))
            }
        }
    }

    /// The job of a request, and the item that runs it. The inner error says why there is none.
    fn item(&mut self, index: u64, place: &str, value: &Value) -> Result<Result<(JobKeys, Item), String>> {
        let request = match self.shape.read(place, value) {
            Ok(request) => request,
            Err(faults) => return Ok(Err(text(&faults))),
        };
        let mut faults = Faults::default();
        let kind = Kind::new(request.kind.as_str());
        let Some(machine) = self.config.machines.get(&kind) else {
            let kinds: Vec<_> = self.config.machines.keys().map(Kind::as_str).collect();
            faults.add(
                format!("{place}.Kind"),
                Value::from(request.kind),
                format!("must be a kind that this deployment runs: {}", kinds.join(", ")),
            );
            return Ok(Err(text(&faults)));
        };
        let event = self.event_of(index, &kind, request);
        let trigger = match identify(&kind, &event) {
            Ok(trigger) => trigger,
            Err(error) => return Ok(Err(format!("{place}: {}", error.message))),
        };
        let size = event.to_string().len();
        if size > MAX_EVENT_BYTES {
            faults.add(
                format!("{place}.Detail"),
                format!("{size} bytes, as an event of its own"),
                format!("must have at most {MAX_EVENT_BYTES}; send larger ones as events of their own"),
            );
            return Ok(Err(text(&faults)));
        }
        let key = (kind.clone(), trigger.job_key.clone());
        let first = self.taken.entry(key).or_insert_with(|| trigger.request_sha256.clone());
        if *first != trigger.request_sha256 {
            faults.add(
                format!("{place}.Detail.{OPTIONS}.IdempotencyKey"),
                "the key of another request of this batch",
                "requests that differ need keys that differ; without one each has its own",
            );
            return Ok(Err(text(&faults)));
        }
        let job = JobKeys {
            job_key: trigger.job_key,
            request_sha256: trigger.request_sha256,
            rejected_key: rejected_key(&kind, &event)?,
        };
        let event = to_raw_value(&event).map_err(not_json)?;
        let machine = machine.clone();
        Ok(Ok((job, Item { index, machine, event })))
    }

    /// The event that would ask for the request's job alone.
    fn event_of(&self, index: u64, kind: &Kind, request: Request) -> Value {
        let inherited = INHERITED
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), self.event.get(name)?.clone())));
        let mut event: Map<String, Value> = inherited.collect();
        let mut detail = request.detail;
        let options = detail.entry(OPTIONS).or_insert(Value::Null);
        if options.is_null() {
            *options = json!({});
        }
        // All requests have the batch's time, and the eight hex digits that tell jobs of one time apart are too few for
        // ten thousand of them. The event has no schedule, because one schedule would make all requests one trigger.
        if let Some(options) = options.as_object_mut()
            && options.get("IdempotencyKey").is_none_or(Value::is_null)
        {
            let key = format!("{}-{index:04}", self.batch_key);
            options.insert("IdempotencyKey".to_owned(), key.into());
        }
        for (name, value) in [
            ("id", json!(format!("{}/{index}", self.batch_key))),
            ("detail-type", json!(kind.detail_type())),
            ("resources", json!([])),
            ("detail", Value::Object(detail)),
        ] {
            event.insert(name.to_owned(), value);
        }
        Value::Object(event)
    }
}

/// A name in a request, cut to 128 characters. It is read even if other members of the request are wrong.
fn named(value: Option<&Value>) -> Option<String> {
    let text = value?.as_str()?;
    Some(text.chars().take(128).collect())
}

fn rejection(why: String) -> TaskError {
    TaskError {
        error: ErrorKind::InvalidEvent.name().to_owned(),
        cause: why.chars().take(MAX_CAUSE).collect(),
    }
}

fn text(faults: &Faults) -> String {
    let lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

pub(crate) fn json_of<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(not_json)
}

fn not_json(error: serde_json::Error) -> Error {
    Error::internal(format!("cannot write JSON: {error}"))
}

/// Deletes the parts of an upload. If that fails, the lifecycle rule of the bucket removes them.
pub(crate) async fn give_up(upload: Upload<'_>) {
    if let Err(error) = upload.abort().await {
        tracing::warn!(
            error = error.kind.name(),
            code = error.code,
            "an upload is left to the bucket's lifecycle"
        );
    }
}
