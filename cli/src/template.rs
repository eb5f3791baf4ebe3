//! A first event of a kind.
//!
//! What must stay true: only what a kind cannot do without is asked for. Right answers make a right event.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::kinds;
pub use crate::kinds::Question;

/// The questions of a kind.
pub fn questions(kind: &str) -> &'static [Question] {
    kinds::row(kind).map_or(&[], |kind| kind.questions)
}

/// The name of the file of a kind's schema.
pub fn schema_file(kind: &str) -> String {
    format!("{kind}-event.schema.json")
}

/// The event of a kind with these answers.
pub fn event(kind: &str, answers: &[(&Question, String)]) -> Result<Value> {
    let row = kinds::row(kind).with_context(|| format!("there is no kind of job {kind:?}"))?;
    let mut detail = (row.detail)();
    for (question, answer) in answers {
        let place = detail.pointer_mut(question.place);
        *place.with_context(|| format!("{} has no place in a {kind}", question.name))? = json!(answer);
    }
    Ok(json!({
        "$schema": schema_file(kind),
        "detail-type": kinds::detail_type(kind),
        "source": "com.example",
        "detail": detail,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{check, kinds::KINDS};

    #[test]
    fn valid_answers_make_a_valid_event() {
        for kind in KINDS {
            let answer = |question: &Question| match question.name {
                "S3Url" => "s3://bucket/endpoints.csv",
                "AwsAccountId" => "111122223333",
                "ApplicationId" => "01234567890123456789012345678901",
                _ => "example",
            };
            let answers: Vec<_> = questions(kind)
                .iter()
                .map(|question| (question, question.default.unwrap_or(answer(question)).to_owned()))
                .collect();
            let event = event(kind, &answers).unwrap();
            let faults = check::faults(&event).unwrap();
            assert!(faults.is_empty(), "{kind}: {faults:?}");
            assert!(
                !event.to_string().contains("\"\""),
                "{kind}: something is not asked for: {event}"
            );
        }
    }
}
