//! An S3 that does not keep its word.
//!
//! What must stay true: runs in such a world are found out by the promises; it is what shows that they can be broken.

use async_trait::async_trait;
use landfall::{
    error::Result,
    store::{
        Condition, ObjectStore, Written,
        layer::{Answer, Call, Layer},
    },
};

use crate::plan::Broken;

/// The layer of a store that ignores one of the conditions.
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
                // Over whatever is there, until nobody comes between.
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
