//! Changes by compare-and-set.
//!
//! What must stay true: what is written was decided on the very version that it replaces. A decision may be taken several
//! times, so it is a pure function of what stands there.

use std::time::Duration;

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use super::{Cas, Entry, Ledger, Versioned, encode};
use crate::{
    error::{Error, ErrorKind, Result},
    hash::spread,
    store::{Clock, Condition, Written},
};

/// How often a lost race is followed by another look.
pub const MAX_TURNS: u32 = 8;

/// The longest pause after the first lost race for a shared value; it doubles with each.
const PAUSE: Duration = Duration::from_millis(100);

/// The longest pause after any.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What to do about what stands there.
#[derive(Clone, Debug, PartialEq)]
pub enum Change<T, L> {
    /// Write this instead.
    To(T),
    /// Leave it as it is, for this reason.
    Leave(L),
}

/// What a change of an entry came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Changed<L> {
    /// It was written.
    Written(Versioned),
    /// It was left as it is.
    Left(L, Versioned),
}

impl Ledger<'_> {
    /// Changes an entry, beginning with the version that is known. `decide` is asked again for each version that somebody
    /// else wrote meanwhile.
    ///
    /// Fails with `Busy` if others keep changing it, and with `Internal` if it was deleted.
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

    /// Changes a small JSON object that many jobs share; `decide` gets `None` if there is none yet. After a lost race it
    /// pauses, each `contender` for another time. `None` if the object was written, and else why it was left.
    ///
    /// A write that succeeded while its answer was lost is taken for a lost race. So `decide` has to see by the value
    /// whether its change was made already.
    ///
    /// Fails with `Busy` if others keep changing it.
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

    /// [`Ledger::change_value`] of an object that is not read as JSON for sure.
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
            let longest = (PAUSE * 2u32.saturating_pow(turn)).min(LONGEST_PAUSE);
            clock.sleep(longest.mul_f64(spread(contender, turn))).await;
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
