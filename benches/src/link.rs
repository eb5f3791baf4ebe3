//! A link of a fixed rate, which all connections of the server share.
//!
//! What must stay true: whatever the number of connections, no more bytes pass in any time than the rate allows, but for
//! those of [`CATCH_UP`]; a link in use without a break reaches its rate; bytes are never copied.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{Stream, stream};
use tokio::time::sleep_until;

/// Bytes that pass in one go: so few that no connection has the link for long, so many that there are few parts.
const PART: usize = 64 * 1024;

/// How long the link may have stood still and still make up for it. Timers are late by a millisecond or two, by which it
/// would else be slower than its rate.
const CATCH_UP: Duration = Duration::from_millis(10);

/// The link.
#[derive(Debug)]
pub struct Link {
    bytes_per_second: f64,
    /// When the last of the bytes that were let in so far has passed.
    free: Mutex<Instant>,
}

impl Link {
    /// A link of so many megabytes (10^6 bytes) a second, more than none.
    #[must_use]
    pub fn new(megabytes_per_second: u64) -> Self {
        Self {
            bytes_per_second: megabytes_per_second as f64 * 1e6,
            free: Mutex::new(Instant::now()),
        }
    }

    /// Lets so many bytes in now; gives when they have passed, after all that were let in before them.
    fn admit(&self, bytes: usize, now: Instant) -> Instant {
        let takes = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second);
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        *free = (*free).max(now.checked_sub(CATCH_UP).unwrap_or(now)) + takes;
        *free
    }

    /// The bytes in parts, each of which is there when it has passed.
    pub fn carry(
        self: Arc<Self>,
        bytes: Bytes,
    ) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + Sync + 'static {
        stream::unfold((self, bytes), |(link, mut bytes)| async move {
            if bytes.is_empty() {
                return None;
            }
            let part = bytes.split_to(bytes.len().min(PART));
            let passed = link.admit(part.len(), Instant::now());
            // Asking the timer for what is past would cost a turn of it.
            if passed > Instant::now() {
                sleep_until(passed.into()).await;
            }
            Some((Ok(part), (link, bytes)))
        })
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt as _;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// When each of so many connections has all its parts of 100 kB. It asks for one when it has the one before, for which
    /// it waits by a timer that is late.
    fn carry(link: &Link, connections: usize, parts: usize, late: Duration, begin: Instant) -> Vec<Duration> {
        let mut next = vec![(begin, 0); connections];
        while let Some((now, had)) = next.iter_mut().filter(|(_, had)| *had < parts).min() {
            let passed = link.admit(100_000, *now);
            if passed > *now {
                *now = passed + late;
            }
            *had += 1;
        }
        next.into_iter().map(|(ended, _)| ended - begin).collect()
    }

    #[test]
    fn connections_share_the_rate() {
        for connections in [1, 2, 8] {
            for late in [Duration::ZERO, MS, 2 * MS] {
                // 1 ms a part.
                let link = Link::new(100);
                let begin = Instant::now() + Duration::from_secs(1);
                let ended = carry(&link, connections, 1000, late, begin);
                // It makes up for having stood still before.
                let all = 1000 * connections as u32 * MS - CATCH_UP;
                let last = *ended.iter().max().unwrap();
                assert!((all..=all + late).contains(&last), "{connections}, {late:?}: {last:?}");
            }
        }
    }

    #[test]
    fn an_idle_link_saves_up_no_bandwidth() {
        let link = Link::new(100);
        let begin = Instant::now() + Duration::from_secs(1);
        let later = begin + Duration::from_secs(3600);
        let first = carry(&link, 1, 1000, Duration::ZERO, begin);
        assert_eq!(carry(&link, 1, 1000, Duration::ZERO, later), first);
    }

    #[tokio::test]
    async fn a_link_sends_slices_of_the_bytes_without_copying() {
        let bytes = Bytes::from(vec![7; PART + 1]);
        let link = Arc::new(Link::new(10_000));
        let parts: Vec<Bytes> = link.carry(bytes.clone()).try_collect().await.unwrap();
        assert_eq!(parts.iter().map(Bytes::len).collect::<Vec<_>>(), [PART, 1]);
        assert_eq!(parts[0].as_ptr(), bytes.as_ptr());
        assert_eq!(parts[1].as_ptr(), bytes[PART..].as_ptr());
    }
}
