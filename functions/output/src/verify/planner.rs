//! Cuts the objects to read into slices.
//!
//! What must stay true: memory holds one slice and a few that are being written, however many objects there are. If all
//! objects fit in one slice, nothing is written.

use std::sync::Arc;

use landfall::{
    error::{Error, Result},
    slices::MAX_SLICES,
    store::ObjectStore,
};
use tokio::task::{JoinError, JoinSet};
use tracing::Instrument as _;

use super::{
    classify::Plan,
    desk::{StoredRound, encode, tasks_key, write},
    limits::Limits,
    read::Task,
};

/// How many slices are written at a time.
const WRITTEN_AT_A_TIME: usize = 8;

/// The result of planning.
pub(super) enum Planned {
    Nothing,
    /// All objects fit in one slice.
    Here(Vec<Task>),
    /// The objects were written as slices.
    Stored(StoredRound),
}

/// Writes a slice whenever it is full.
pub(super) struct Planner<'a> {
    limits: &'a Limits,
    store: &'a Arc<dyn ObjectStore>,
    place: Option<(&'a str, String)>,
    current: Vec<Task>,
    bytes: u64,
    slices: u64,
    writing: JoinSet<Result<()>>,
}

impl<'a> Planner<'a> {
    /// `place` is the bucket and the round's prefix; `None` if this process reads all objects.
    pub(super) fn new(limits: &'a Limits, store: &'a Arc<dyn ObjectStore>, place: Option<(&'a str, String)>) -> Self {
        Self {
            limits,
            store,
            place,
            current: Vec::new(),
            bytes: 0,
            slices: 0,
            writing: JoinSet::new(),
        }
    }

    pub(super) async fn push(&mut self, task: Task) -> Result<()> {
        let size = match task.plan {
            Plan::Data(_) | Plan::Sniff(_) => task.listed.size,
            _ => 0,
        };
        let is_full = self.current.len() >= self.limits.slice_objects
            || self.bytes.saturating_add(size) > self.limits.slice_bytes;
        if self.place.is_some() && is_full && !self.current.is_empty() {
            self.flush().await?;
        }
        if self.place.is_none() && self.current.len() >= self.limits.objects {
            return Err(Error::internal(format!(
                "there are more than {} objects, the most that are verified without a ledger",
                self.limits.objects
            )));
        }
        self.bytes += size;
        self.current.push(task);
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        let Some((bucket, prefix)) = &self.place else {
            return Ok(());
        };
        if self.slices >= MAX_SLICES {
            return Err(Error::internal(format!(
                "the output is larger than {MAX_SLICES} slices of {} objects or {} bytes",
                self.limits.slice_objects, self.limits.slice_bytes
            )));
        }
        let there = StoredRound {
            prefix: prefix.clone(),
            slices: 0,
        };
        let key = tasks_key(&there.slice(self.slices));
        let body = encode(&std::mem::take(&mut self.current))?;
        self.bytes = 0;
        self.slices += 1;
        while self.writing.len() >= WRITTEN_AT_A_TIME {
            joined(self.writing.join_next().await)?;
        }
        let (store, bucket) = (Arc::clone(self.store), (*bucket).to_owned());
        self.writing
            .spawn(async move { write(store.as_ref(), &bucket, &key, body).await }.in_current_span());
        Ok(())
    }

    pub(super) async fn finish(mut self) -> Result<Planned> {
        if self.slices == 0 {
            return Ok(if self.current.is_empty() {
                Planned::Nothing
            } else {
                Planned::Here(self.current)
            });
        }
        if !self.current.is_empty() {
            self.flush().await?;
        }
        while let Some(written) = self.writing.join_next().await {
            joined(Some(written))?;
        }
        let (_, prefix) = self.place.ok_or_else(|| Error::internal("slices without a place"))?;
        Ok(Planned::Stored(StoredRound {
            prefix,
            slices: self.slices,
        }))
    }
}

fn joined(written: Option<Result<Result<()>, JoinError>>) -> Result<()> {
    match written {
        Some(written) => written.map_err(|_| Error::internal("a write stopped"))?,
        None => Ok(()),
    }
}
