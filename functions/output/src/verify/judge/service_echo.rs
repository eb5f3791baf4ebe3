//! `service_echo`: whether the service says that the job has the request that was sent.
//!
//! What must stay true: if the service names another destination, key or format than was asked for, the job is not ours
//! or was changed, so the check fails. If the service does not say, that is no difference.

use landfall::job::Echo;

use super::{
    judgement::{Judgement, fail, pass, skipped},
    words::objects,
};

pub(super) fn judge(echo: Option<&Echo>) -> Judgement {
    match echo {
        None => skipped("the service does not say what it was asked for"),
        Some(echo) if echo.compared.is_empty() => skipped("the service does not say what it was asked for"),
        Some(echo) if echo.differs.is_empty() => pass(format!(
            "the service describes the job as it was asked for: {}",
            echo.compared.join(", ")
        )),
        Some(echo) => fail(format!(
            "the service describes the job differently from the request, in {}: {}. It may be another job than the one \
             that was started; do not load these files, look at the job in the service, and run the export again",
            objects(echo.differs.len() as u64, "member"),
            echo.differs.join(", ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::report::CheckVerdict;

    #[test]
    fn only_values_that_the_service_gives_are_compared() {
        let mut echo = Echo::default();
        assert_eq!(judge(None).0, CheckVerdict::Skipped);
        for unsaid in [None, Some(""), Some("no value was set")] {
            echo.compare("DataFormat", Some("CSV"), unsaid);
        }
        echo.compare(
            "EncryptionKey",
            None,
            Some("arn:aws:kms:eu-central-1:111122223333:key/the-default"),
        );
        assert_eq!(judge(Some(&echo)).0, CheckVerdict::Skipped);
        echo.compare("DataFormat", Some("CSV"), Some("CSV"));
        assert_eq!(judge(Some(&echo)).0, CheckVerdict::Pass);
        echo.compare("DestinationUri", Some("s3://a/"), Some("s3://b/"));
        let (verdict, reason) = judge(Some(&echo));
        assert_eq!(verdict, CheckVerdict::Fail);
        assert!(
            reason.contains("1 member: DestinationUri") && !reason.contains("s3://"),
            "{reason}"
        );
    }
}
