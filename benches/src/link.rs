//! A link of a fixed rate that all connections of the server share.
//!
//! What must stay true: in any time, no more bytes pass than the rate allows, plus those of [`CATCH_UP`], for any
//! number of connections. A link in constant use reaches its rate. Bytes are never copied.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{Stream, stream};
use tokio::time::sleep_until;

/// Bytes that pass at once: few enough that no connection has the link for long, and enough that there are few parts.
const PART: usize = 64 * 1024;

/// How long a pause the link may catch up on. Timers are late by a millisecond or two, which would make it slower than
/// its rate.
const CATCH_UP: Duration = Duration::from_millis(10);

/// The link.
#[derive(Debug)]
pub struct Link {
    bytes_per_second: f64,
    /// When the last of the accepted bytes has passed.
    free: Mutex<Instant>,
}

impl Link {
    /// A link with so many megabytes (10^6 bytes) a second, more than none.
    #[must_use]
    pub fn new(megabytes_per_second: u64) -> Self {
        Self {
            bytes_per_second: megabytes_per_second as f64 * 1e6,
            free: Mutex::new(Instant::now()),
        }
    }

    /// Accepts so many bytes. Returns when they have passed, after all bytes that were accepted before.
    fn admit(&self, bytes: usize, now: Instant) -> Instant {
        let takes = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second);
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        *free = (*free).max(now.checked_sub(CATCH_UP).unwrap_or(now)) + takes;
        *free
    }

    /// The bytes in parts, each of which comes when it has passed.
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
            // Waiting for a moment in the past would cost a turn of the timer.
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

    /// When each connection has all its parts of 100 kB. A connection asks for a part when it has the previous one, and
    /// its timer is late by `late`.
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
                // 1 ms for each part.
                let link = Link::new(100);
                let begin = Instant::now() + Duration::from_secs(1);
                let ended = carry(&link, connections, 1000, late, begin);
                // The link may catch up on the pause before.
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
