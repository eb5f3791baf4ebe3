//! The kinds of jobs, as far as this program tells them apart.
//!
//! What must stay true: nothing of the machine's own is read: the published schemas are compiled in, so that the installed
//! program checks events outside of a checkout.

use landfall::job;

/// The names of all kinds of jobs.
pub const KINDS: [&str; 4] = [
    "segment-snapshot",
    "endpoint-export",
    "endpoint-import",
    "dashboard-snapshot",
];

/// The name of batches among the kinds of events.
pub const BATCH: &str = "export-batch";

/// The published schema of the events of a kind, as JSON.
pub fn schema(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "segment-snapshot" => include_str!("../../docs/schema/segment-snapshot-event.schema.json"),
        "endpoint-export" => include_str!("../../docs/schema/endpoint-export-event.schema.json"),
        "endpoint-import" => include_str!("../../docs/schema/endpoint-import-event.schema.json"),
        "dashboard-snapshot" => include_str!("../../docs/schema/dashboard-snapshot-event.schema.json"),
        BATCH => include_str!("../../docs/schema/export-batch-event.schema.json"),
        _ => return None,
    })
}

/// The `detail-type` of the events of a kind.
pub fn detail_type(kind: &str) -> String {
    job::Kind::new(kind).detail_type()
}

/// What the stack's outputs call a kind: `SegmentSnapshot`.
pub fn in_template(kind: &str) -> String {
    let name = detail_type(kind);
    name.trim_end_matches(" Requested").replace(' ', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_schema_and_its_name_in_the_template() {
        let template = include_str!("../../template.yaml");
        for kind in KINDS.into_iter().chain([BATCH]) {
            assert!(
                schema(kind).is_some_and(|schema| schema.contains(&detail_type(kind))),
                "{kind}"
            );
            let output = format!("\n  {}StateMachineArn:\n", in_template(kind));
            assert!(template.contains(&output), "{output}");
        }
        assert_eq!(schema("moon-landing"), None);
    }
}
