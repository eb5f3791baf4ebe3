//! The store in memory passes the contract of object stores, also behind a layer, and its planned faults hit their
//! calls.

use landfall::store::layer::Layered;

use super::*;
use crate::{
    clock::ManualClock,
    in_process::{Faults, Losing},
    store_contract::{self, Exempt},
};

fn store() -> MemoryStore {
    MemoryStore::new(Arc::new(ManualClock::at(DateTime::UNIX_EPOCH)))
}

#[tokio::test]
async fn the_contract_holds() -> anyhow::Result<()> {
    let store = store();
    store.create_bucket("b");
    store_contract::writes(&store, "b", "missing", Exempt::default()).await?;
    store_contract::pages(&store, "b").await
}

/// A layer that changes nothing passes each call and answer on unchanged.
#[tokio::test]
async fn the_contract_holds_behind_a_layer() -> anyhow::Result<()> {
    let store = store();
    store.create_bucket("b");
    let faults = Faults::none();
    let layered = Layered::new(Arc::new(store), Losing(Arc::clone(&faults)));
    store_contract::writes(&layered, "b", "missing", Exempt::default()).await?;
    store_contract::pages(&layered, "b").await?;
    assert!(faults.calls() > 20, "{} calls", faults.calls());
    Ok(())
}

#[tokio::test]
async fn a_deleted_object_is_absent() -> Result<()> {
    let store = store();
    store.insert("b", "k", "1");
    store.remove("b", "k");
    assert_eq!(store.get("b", "k").await?, None);
    assert!(store.list("b", "", 10).await?.is_empty());
    assert!(matches!(
        store.put("b", "k", "5".into(), Condition::Absent).await?,
        Written::Done { .. }
    ));
    assert_eq!(store.versions("b", "k"), 3);
    Ok(())
}

#[tokio::test]
async fn planned_faults_hit_the_planned_call() -> Result<()> {
    let store = store();
    store.create_bucket("b");
    store.fail_at(0, ErrorKind::Throttled);
    store.fail_after(1, ErrorKind::Unavailable);
    let put = || store.put("b", "k", "1".into(), Condition::Absent);
    assert_eq!(put().await.unwrap_err().kind, ErrorKind::Throttled);
    assert_eq!(store.body("b", "k"), None);
    assert_eq!(put().await.unwrap_err().kind, ErrorKind::Unavailable);
    assert_eq!(store.body("b", "k"), Some("1".into()));
    assert_eq!(put().await?, Written::Refused);
    store.before(Op::List, 1, |store| store.remove("b", "k"));
    assert_eq!(store.list("b", "", 10).await?.len(), 1);
    assert_eq!(store.list("b", "", 10).await?.len(), 0);
    assert_eq!(store.list("other", "", 10).await.unwrap_err().kind, ErrorKind::NotFound);
    assert_eq!(store.count(Op::List), 3);
    Ok(())
}
