//! An S3 that breaks its own rules.
//!
//! What must stay true: the promises notice a run with such an S3. This shows that they can be broken.

use async_trait::async_trait;
use landfall::{
    error::Result,
    store::{
        Condition, ObjectStore, Written,
        layer::{Answer, Call, Layer},
    },
};

use crate::plan::Broken;

/// A store layer that ignores one of the conditions.
pub struct Careless(pub Broken);

#[async_trait]
impl Layer for Careless {
    async fn call(&self, call: Call<'_>, store: &dyn ObjectStore) -> Result<Answer> {
        let ignored = match &call {
            Call::Put { condition, .. } => match condition {
                Condition::Absent => self.0 == Broken::IgnoresAbsent,
                Condition::Unchanged(_) => self.0 == Broken::IgnoresMatch,
            },
            _ => false,
        };
        match call {
            Call::Put { bucket, key, body, .. } if ignored => loop {
                // Overwrites whatever is there, unless someone writes in between.
                let head = store.head(bucket, key).await?;
                let condition = head.map_or(Condition::Absent, |head| Condition::Unchanged(head.etag));
                let written = store.put(bucket, key, body.clone(), condition).await?;
                if written != Written::Refused {
                    return Ok(Answer::Written(written));
                }
            },
            call => call.make(store).await,
        }
    }
}
