//! What a handler gets besides its input.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::{clock::Clock, config::Config, store::ObjectStore};

/// What `main` builds once and passes to each invocation.
#[derive(Clone)]
pub struct Deployment {
    pub config: Config,
    pub store: Arc<dyn ObjectStore>,
    pub clock: Arc<dyn Clock>,
}

/// One invocation of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// Lambda's request id.
    pub request_id: String,
    /// When Lambda ends the invocation.
    pub deadline: DateTime<Utc>,
}

impl From<&lambda_runtime::Context> for Invocation {
    fn from(context: &lambda_runtime::Context) -> Self {
        let millis = i64::try_from(context.deadline).unwrap_or(i64::MAX);
        Self {
            request_id: context.request_id.clone(),
            deadline: DateTime::from_timestamp_millis(millis).unwrap_or(DateTime::<Utc>::MAX_UTC),
        }
    }
}
