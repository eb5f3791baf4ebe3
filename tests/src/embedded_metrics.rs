//! CloudWatch's embedded metric format, as AWS specifies it.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The JSON Schema of a metrics document.
#[must_use]
pub fn schema() -> Value {
    serde_json::from_str(include_str!("../data/embedded-metric-format.schema.json")).unwrap_or_default()
}

/// Checks that each metric that a document names is a number in its root, and each dimension a text of at most 1,024
/// characters.
pub fn check_targets(document: &Value) -> Result<()> {
    let directives = document.pointer("/_aws/CloudWatchMetrics").and_then(Value::as_array);
    for directive in directives.context("no directives")? {
        let sets = directive["Dimensions"].as_array().into_iter().flatten();
        for dimension in sets.filter_map(Value::as_array).flatten().filter_map(Value::as_str) {
            let value = document[dimension]
                .as_str()
                .with_context(|| format!("{dimension} is no text"))?;
            ensure!((1..=1024).contains(&value.chars().count()), "{dimension} is too long");
        }
        for metric in directive["Metrics"].as_array().into_iter().flatten() {
            let name = metric["Name"].as_str().context("a metric has no name")?;
            ensure!(document[name].is_number(), "{name} is no number");
        }
    }
    Ok(())
}
