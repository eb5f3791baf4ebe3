//! What was called, and what is to happen to calls that are yet to come.
//!
//! What must stay true: calls are numbered in the order in which they come; a fault hits one numbered call, an act comes
//! before the n-th call of one operation, and each happens once.

use std::{collections::BTreeMap, ops::Range};

use landfall::error::{Error, ErrorKind, Result};

/// The operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// `list`; its key is the prefix.
    List,
    /// `head`.
    Head,
    /// `get`.
    Get,
    /// `read`.
    Read,
    /// `put`.
    Put,
    /// A call of an upload in parts.
    Upload,
}

/// A call that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What was called.
    pub op: Op,
    /// The bucket.
    pub bucket: String,
    /// The key, or the prefix of a listing.
    pub key: String,
    /// The bytes asked for by a `read`.
    pub range: Option<Range<u64>>,
}

impl Call {
    /// A call without a range.
    pub(super) fn new(op: Op, bucket: &str, key: &str) -> Self {
        Self {
            op,
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            range: None,
        }
    }
}

/// Something that somebody else does to a store `S` before a call.
type Act<S> = Box<dyn FnOnce(&S) + Send>;

/// What is done when no more parts of a body come.
pub(super) type Stalled = Box<dyn FnOnce() + Send>;

/// The calls of a store `S` so far, and what is planned for those to come.
pub(super) struct Script<S> {
    calls: Vec<Call>,
    fail_before: BTreeMap<usize, ErrorKind>,
    fail_after: BTreeMap<usize, ErrorKind>,
    acts: Vec<(Op, usize, Act<S>)>,
    /// By the number of the `read`: the parts of its body that come, and what is done when no more do.
    stalls: BTreeMap<usize, (usize, Stalled)>,
}

impl<S> Default for Script<S> {
    fn default() -> Self {
        Self {
            calls: Vec::new(),
            fail_before: BTreeMap::new(),
            fail_after: BTreeMap::new(),
            acts: Vec::new(),
            stalls: BTreeMap::new(),
        }
    }
}

impl<S> Script<S> {
    pub(super) fn fail_at(&mut self, n: usize, kind: ErrorKind) {
        self.fail_before.insert(self.calls.len() + n, kind);
    }

    pub(super) fn fail_after(&mut self, n: usize, kind: ErrorKind) {
        self.fail_after.insert(self.calls.len() + n, kind);
    }

    pub(super) fn before(&mut self, op: Op, n: usize, act: Act<S>) {
        self.acts.push((op, n, act));
    }

    pub(super) fn stall(&mut self, n: usize, parts: usize, act: Stalled) {
        self.stalls.insert(self.count(Op::Read) + n, (parts, act));
    }

    pub(super) fn calls(&self) -> &[Call] {
        &self.calls
    }

    pub(super) fn count(&self, op: Op) -> usize {
        self.calls.iter().filter(|call| call.op == op).count()
    }

    /// What somebody else does before a call of this operation, which comes next.
    pub(super) fn due(&mut self, op: Op) -> Vec<Act<S>> {
        let mut due = Vec::new();
        for (of, n, act) in std::mem::take(&mut self.acts) {
            match (of == op, n) {
                (true, 0) => due.push(act),
                (true, n) => self.acts.push((of, n - 1, act)),
                (false, n) => self.acts.push((of, n, act)),
            }
        }
        due
    }

    /// Logs a call and gives its number, or fails it if it is to have no effect.
    pub(super) fn begin(&mut self, call: Call) -> Result<usize> {
        let number = self.calls.len();
        self.calls.push(call);
        match self.fail_before.remove(&number) {
            Some(kind) => Err(injected(kind)),
            None => Ok(number),
        }
    }

    /// Fails a call that had its effect, if its answer is to be lost.
    pub(super) fn end<T>(&mut self, number: usize, answer: T) -> Result<T> {
        match self.fail_after.remove(&number) {
            Some(kind) => Err(injected(kind)),
            None => Ok(answer),
        }
    }

    /// Where the body of a call that reads stands still, if it does.
    pub(super) fn stalled(&mut self, number: usize) -> Option<(usize, Stalled)> {
        if self.stalls.is_empty() {
            return None;
        }
        let reads = self.calls[..number].iter().filter(|call| call.op == Op::Read).count();
        self.stalls.remove(&reads)
    }
}

fn injected(kind: ErrorKind) -> Error {
    Error::new(kind, "injected by the test")
}
