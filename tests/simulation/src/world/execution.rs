//! One execution of the state machine, for one delivery.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use landfall::job::TaskError;
use serde_json::{Value, json};

use super::World;
use crate::{
    aftermath::{Announced, Passed},
    dice::Dice,
    faults::{Boundary, Fault},
    machine::{Happening, Surroundings, Work},
};

pub(super) struct Execution {
    pub(super) world: Arc<World>,
    pub(super) delivery: usize,
    pub(super) arn: String,
    pub(super) dice: Dice,
}

impl Execution {
    async fn announce(&self, entries: Value) -> Result<Value, TaskError> {
        let world = &self.world;
        world.timeline.sleep(self.dice.latency(world.weather.latency)).await;
        let now = world.timeline.elapsed();
        let fault = world
            .weather
            .fault(&self.dice, Boundary::Look, now)
            .filter(|_| world.budget.spend());
        let lost = matches!(
            fault,
            Some(Fault::LostAfter | Fault::FailedButDone | Fault::ThrottledButDone)
        );
        let failed = matches!(fault, Some(Fault::LostBefore | Fault::Failed | Fault::Throttled));
        if !failed {
            let announced = entries["Entries"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|entry| Announced {
                    delivery: self.delivery,
                    known: !lost,
                    entry: entry.clone(),
                });
            let announced: Vec<Announced> = announced.collect();
            world.log.tell(self.delivery, || {
                format!(
                    "announces {}",
                    entries["Entries"][0]["DetailType"].as_str().unwrap_or_default()
                )
            });
            world.state().announced.extend(announced);
        }
        if failed || lost {
            world.state().mishaps += 1;
            world.log.tell(self.delivery, || format!("PutEvents: {fault:?}"));
            return Err(TaskError {
                error: "EventBridge.InternalException".to_owned(),
                cause: "not now".to_owned(),
            });
        }
        Ok(json!({"FailedEntryCount": 0}))
    }
}

#[async_trait]
impl Surroundings for Execution {
    async fn work(&self, state: &str, work: Work, timeout: Duration) -> Result<Value, TaskError> {
        match work {
            Work::Invoke { function, payload } => {
                self.world.log.tell(self.delivery, || state.to_owned());
                let invoked = self.world.invoke(self.delivery, &function, payload);
                tokio::select! {
                    biased;
                    result = invoked => result.map(|payload| json!({ "Payload": payload, "StatusCode": 200 })),
                    () = self.world.timeline.sleep(timeout) => Err(TaskError {
                        error: "States.Timeout".to_owned(),
                        cause: String::new(),
                    }),
                }
            }
            Work::PutEvents(entries) => self.announce(entries).await,
        }
    }

    async fn items(&self, bucket: &str, key: &str) -> Result<Vec<Value>, TaskError> {
        let failed = |cause: String| TaskError {
            error: "States.ItemReaderFailed".to_owned(),
            cause,
        };
        let body = self.world.store.body(bucket, key);
        let body = body.ok_or_else(|| failed(format!("s3://{bucket}/{key} is not there")))?;
        serde_json::from_slice(&body).map_err(|error| failed(error.to_string()))
    }

    async fn wait(&self, duration: Duration) {
        self.world.timeline.sleep(duration).await;
    }

    fn elapsed(&self) -> Duration {
        self.world.timeline.elapsed()
    }

    fn jitter(&self) -> f64 {
        self.dice.share()
    }

    fn now(&self) -> DateTime<Utc> {
        self.world.timeline.now()
    }

    fn entered(&self, state: &str, input: &Value) {
        let deadline = input["deadline_at"].as_str();
        self.world.state().passed.push(Passed {
            delivery: self.delivery,
            state: state.to_owned(),
            at: self.now(),
            missed: input["missed"]["count"].as_u64().unwrap_or_default(),
            status: input["status"].as_str().map(str::to_owned),
            deadline_at: deadline.and_then(|deadline| deadline.parse().ok()),
        });
    }

    fn happened(&self, happening: Happening) {
        if let Happening::Caught { state, .. } = &happening {
            self.world.state().caught.push((self.delivery, state.clone()));
        }
        let (verb, state, error) = match &happening {
            Happening::Retried { state, error } => ("again", state, error),
            Happening::Caught { state, error } => ("caught", state, error),
        };
        self.world
            .log
            .tell(self.delivery, || format!("{state} {verb} after {error}"));
    }

    fn execution(&self) -> &str {
        &self.arn
    }

    fn input(&self) -> &Value {
        &self.world.plan.deliveries[self.delivery].event
    }
}
