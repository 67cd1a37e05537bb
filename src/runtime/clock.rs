//! The only `now()`.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::domain::Timestamp;

/// The wall clock. A clock set before 1970 reads as 1970.
#[expect(clippy::disallowed_methods, reason = "this is the one place that asks")]
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A clock that never goes back and, on Linux, stops while the machine sleeps. For measuring lengths only.
#[expect(clippy::disallowed_methods, reason = "this is the one place that asks")]
pub(crate) fn monotonic() -> Instant {
    Instant::now()
}
