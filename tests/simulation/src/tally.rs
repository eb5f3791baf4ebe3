//! Counts requests by the second while a world runs.
//!
//! What must stay true: a request is counted where it arrives, and passed on unchanged.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use landfall::store::{
    ObjectStore,
    layer::{Answer, Call, Layer},
};
use landfall_local::simulated::SimulatedService;

use crate::{edge::starts_a_job, kinds::LEDGER, time::Timeline};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counted {
    Transition,
    Invocation,
    ServiceStart,
    ServiceLook,
    LedgerRead,
    LedgerWrite,
}

impl Counted {
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Transition, "state transitions"),
        (Self::Invocation, "invocations"),
        (Self::ServiceStart, "start calls"),
        (Self::ServiceLook, "looks at a job"),
        (Self::LedgerRead, "ledger reads"),
        (Self::LedgerWrite, "ledger writes"),
    ];
}

/// The counts of each second.
#[derive(Debug, Default)]
pub struct Tally(Mutex<BTreeMap<Counted, BTreeMap<u64, u64>>>);

impl Tally {
    pub fn count(&self, what: Counted, at: Duration) {
        *self.counts().entry(what).or_default().entry(at.as_secs()).or_default() += 1;
    }

    fn count_now(&self, what: Counted) {
        if let Ok(timeline) = Timeline::current() {
            self.count(what, timeline.elapsed());
        }
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<Counted, BTreeMap<u64, u64>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many there were in total, and in the busiest second.
    pub fn all_and_most(&self, what: Counted) -> (u64, u64) {
        let counts = self.counts();
        let Some(seconds) = counts.get(&what) else {
            return (0, 0);
        };
        (
            seconds.values().sum(),
            seconds.values().copied().max().unwrap_or_default(),
        )
    }
}

/// Counts the requests to the ledger.
pub struct CountingLedger(pub Arc<Tally>);

#[async_trait]
impl Layer for CountingLedger {
    async fn call(&self, call: Call<'_>, store: &dyn ObjectStore) -> landfall::error::Result<Answer> {
        match &call {
            Call::Get { bucket: LEDGER, .. } | Call::Head { bucket: LEDGER, .. } => {
                self.0.count_now(Counted::LedgerRead);
            }
            Call::Put { bucket: LEDGER, .. } => self.0.count_now(Counted::LedgerWrite),
            _ => {}
        }
        call.make(store).await
    }
}

/// Counts the requests to a service.
pub struct CountingService {
    pub service: Arc<dyn SimulatedService>,
    pub tally: Arc<Tally>,
}

#[async_trait]
impl SimulatedService for CountingService {
    fn signing_name(&self) -> &'static str {
        self.service.signing_name()
    }

    async fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        let is_start = starts_a_job(&request);
        self.tally.count_now(match is_start {
            true => Counted::ServiceStart,
            false => Counted::ServiceLook,
        });
        self.service.handle(request).await
    }

    async fn advance(&self) {
        self.service.advance().await;
    }
}
