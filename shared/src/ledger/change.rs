//! Changes by compare-and-set.
//!
//! What must stay true: what is written was decided from the very version that it replaces. A decision may be made
//! several times, so it must be a pure function of that version.

use std::time::Duration;

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use super::{Cas, Entry, Ledger, Versioned, encode};
use crate::{
    clock::Clock,
    error::{Error, ErrorKind, Result},
    hash::spread,
    store::{Condition, Written},
};

/// How many versions a change looks at before it gives up.
pub const MAX_TURNS: u32 = 8;

/// The longest pause after the first lost race for a shared object. Each further lost race doubles it.
const PAUSE: Duration = Duration::from_millis(100);

/// The longest pause after any lost race.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What to do with the version that was read.
#[derive(Clone, Debug, PartialEq)]
pub enum Change<T, L> {
    /// Write this value instead.
    To(T),
    /// Leave it, for this reason.
    Leave(L),
}

/// The result of a change of an entry.
#[derive(Clone, Debug, PartialEq)]
pub enum Changed<L> {
    /// The new version.
    Written(Versioned),
    /// Nothing was written, for this reason; the version that was read.
    Left(L, Versioned),
}

impl Ledger<'_> {
    /// Changes an entry. `decide` gets `current` first, and then each version that somebody else wrote meanwhile.
    ///
    /// Fails with `Busy` if others keep changing the entry, and with `Internal` if it was deleted.
    pub async fn change<L>(
        &self,
        mut current: Versioned,
        decide: impl Fn(&Entry) -> Change<Entry, L>,
    ) -> Result<Changed<L>> {
        for _ in 0..MAX_TURNS {
            let entry = match decide(&current.entry) {
                Change::To(entry) => entry,
                Change::Leave(why) => return Ok(Changed::Left(why, current)),
            };
            let (kind, job_key) = (entry.kind.clone(), entry.trigger.job_key.clone());
            match self.update(entry, current.etag).await? {
                Cas::Won(written) => return Ok(Changed::Written(written)),
                Cas::Lost(other) => current = other,
                Cas::Vanished => return Err(self.deleted(&kind, &job_key)),
            }
        }
        let key = Self::entry_key(&current.entry.kind, &current.entry.trigger.job_key);
        Err(contended(&key))
    }

    /// Changes a small JSON object that many jobs share. `decide` gets `None` if there is no object yet. Answers `None`
    /// if the object was written, otherwise why it was left. After a lost race it pauses; the length of the pause
    /// depends on `contender`, so that contenders try again at different times.
    ///
    /// If a write succeeds but its answer is lost, this looks like a lost race. So `decide` has to see from the value
    /// whether its change was made already.
    ///
    /// Fails with `Busy` if others keep changing the object.
    pub async fn change_value<T: Serialize + DeserializeOwned, L>(
        &self,
        key: &str,
        clock: &dyn Clock,
        contender: &str,
        decide: impl Fn(Option<T>) -> Change<T, L>,
    ) -> Result<Option<L>> {
        let decide = |found: Option<&[u8]>| {
            let found = found.map(|body| self.decode(key, body)).transpose()?;
            Ok(match decide(found) {
                Change::To(value) => Change::To(encode(&value)?),
                Change::Leave(why) => Change::Leave(why),
            })
        };
        self.change_object(key, clock, contender, decide).await
    }

    /// Like [`Ledger::change_value`], for an object that `decide` decodes, because it may not be the JSON that is
    /// expected.
    pub async fn change_object<L>(
        &self,
        key: &str,
        clock: &dyn Clock,
        contender: &str,
        decide: impl Fn(Option<&[u8]>) -> Result<Change<Bytes, L>>,
    ) -> Result<Option<L>> {
        for turn in 0..MAX_TURNS {
            let stored = self.store.get(self.bucket, key).await?;
            let body = match decide(stored.as_ref().map(|stored| stored.body.as_ref()))? {
                Change::To(body) => body,
                Change::Leave(why) => return Ok(Some(why)),
            };
            let condition = stored.map_or(Condition::Absent, |stored| Condition::Unchanged(stored.etag));
            if self.store.put(self.bucket, key, body, condition).await? != Written::Refused {
                return Ok(None);
            }
            if turn + 1 < MAX_TURNS {
                let longest = (PAUSE * 2u32.saturating_pow(turn)).min(LONGEST_PAUSE);
                clock.sleep(longest.mul_f64(spread(contender, turn))).await;
            }
        }
        Err(contended(key))
    }
}

fn contended(key: &str) -> Error {
    Error::new(
        ErrorKind::Busy,
        format!("others keep changing {key}; it was tried {MAX_TURNS} times"),
    )
}
