//! The published JSON Schemas, made of the Rust types.

use std::collections::BTreeMap;

use landfall::{event, job::Job, service::JobService};
use landfall_batch::record::{Batch, Summary};
use landfall_customer_profiles::SegmentSnapshots;
use landfall_output::{latest::Latest, receipt::Receipt, verify::Report};
use landfall_pinpoint::{EndpointExports, EndpointImports};
use landfall_quicksight::DashboardSnapshots;
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::Value;

/// All published schemas by file name.
pub fn published() -> BTreeMap<String, Value> {
    BTreeMap::from([
        request::<SegmentSnapshots>(),
        request::<EndpointExports>(),
        request::<EndpointImports>(),
        request::<DashboardSnapshots>(),
        (
            "export-batch-event.schema.json".to_owned(),
            landfall_batch::event::schema(),
        ),
        ("batch.schema.json".to_owned(), of::<Batch>()),
        ("batch-summary.schema.json".to_owned(), of::<Summary>()),
        ("job.schema.json".to_owned(), of::<Job>()),
        ("latest.schema.json".to_owned(), of::<Latest>()),
        ("receipt.schema.json".to_owned(), of::<Receipt>()),
        ("report.schema.json".to_owned(), of::<Report>()),
    ])
}

fn request<S: JobService>() -> (String, Value) {
    (format!("{}-event.schema.json", S::KIND), event::schema::<S>())
}

fn of<T: JsonSchema>() -> Value {
    // As it is written: what is left out when it is empty is not required of it.
    SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}
