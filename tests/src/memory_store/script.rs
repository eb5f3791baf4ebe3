//! The log of past calls, and the plan for coming ones.
//!
//! What must stay true: calls are numbered in the order in which they come. A fault hits one numbered call, an act runs
//! before the n-th call of one operation, and each happens once.

use std::{collections::BTreeMap, ops::Range};

use landfall::error::{Error, ErrorKind, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// `list`. The key of the call is the prefix.
    List,
    Head,
    Get,
    Read,
    Put,
    /// Any call of an upload in parts.
    Upload,
}

/// A call that a store received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub op: Op,
    pub bucket: String,
    /// The key, or the prefix of a listing.
    pub key: String,
    /// The bytes that a `read` asked for.
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

/// What someone else does to a store `S` before a call.
type Act<S> = Box<dyn FnOnce(&S) + Send>;

/// What happens when a body stalls.
pub(super) type Stalled = Box<dyn FnOnce() + Send>;

/// The calls of a store `S` so far, and what is planned for coming ones.
pub(super) struct Script<S> {
    calls: Vec<Call>,
    fail_before: BTreeMap<usize, ErrorKind>,
    fail_after: BTreeMap<usize, ErrorKind>,
    acts: Vec<(Op, usize, Act<S>)>,
    /// By the number of the `read`: how many chunks come, and what happens when the body stalls.
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

    /// The acts planned for the next call of this operation.
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

    /// Logs a call and returns its number, or fails it if it is to fail before its effect.
    pub(super) fn begin(&mut self, call: Call) -> Result<usize> {
        let number = self.calls.len();
        self.calls.push(call);
        match self.fail_before.remove(&number) {
            Some(kind) => Err(injected(kind)),
            None => Ok(number),
        }
    }

    /// Fails a call after its effect if its answer is to be lost.
    pub(super) fn end<T>(&mut self, number: usize, answer: T) -> Result<T> {
        match self.fail_after.remove(&number) {
            Some(kind) => Err(injected(kind)),
            None => Ok(answer),
        }
    }

    /// Where the body of this read stalls, if it does.
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
