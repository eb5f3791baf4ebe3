//! Decides whether an answer means that Pinpoint is gone.
//!
//! What must stay true: before the end of support each error keeps its own name, unless the service itself says that it
//! is gone. After the end of support, an answer that a retired endpoint may give counts as retired, unless the service
//! answers otherwise, because AWS does not document what callers get. The message always gives the other meaning too,
//! so that a genuine 403 is found.

use chrono::{DateTime, Utc};

/// The day on which AWS ends the support, `2026-10-30T00:00:00Z`. AWS names no hour and no time zone.
pub const END_OF_SUPPORT: DateTime<Utc> = match DateTime::from_timestamp(1_793_318_400, 0) {
    Some(day) => day,
    None => DateTime::<Utc>::MAX_UTC,
};

/// What users can do instead.
pub const INSTEAD: &str = "keep and export profiles with Amazon Connect Customer Profiles (kind segment-snapshot) instead; \
                           the SMS, MMS, voice and push channels live on as AWS End User Messaging";

/// A failed call, as far as it matters here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer<'a> {
    /// The error's code, such as `ForbiddenException`.
    pub code: Option<&'a str>,
    /// The HTTP status.
    pub status: Option<u16>,
    /// The service's message.
    pub message: Option<&'a str>,
    /// Whether the request never left, so that there was no answer.
    pub never_left: bool,
}

/// What an answer says about the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The error means what its code says.
    AtItsWord,
    /// Both a living and a retired service may answer this.
    Unclear,
    /// The service, or this operation, is gone.
    Gone,
}

/// Codes for a wrong signature. They say nothing about the service behind the signature check.
const OF_THE_SIGNATURE: [&str; 5] = [
    "ExpiredTokenException",
    "InvalidSignatureException",
    "IncompleteSignatureException",
    "SignatureDoesNotMatch",
    "RequestExpired",
];

/// Codes that a Pinpoint with these operations does not give for a well-formed request.
const OF_NO_SERVICE: [&str; 3] = [
    "MethodNotAllowedException",
    "UnknownOperationException",
    "MissingAuthenticationTokenException",
];

/// Words with which AWS says that a service has ended.
const FAREWELLS: [&str; 6] = [
    "end of support",
    "end of life",
    "no longer supported",
    "no longer available",
    "discontinued",
    "retired",
];

/// Judges a failed call by its answer and the date.
pub fn judge(answer: Answer<'_>, now: DateTime<Utc>, end_of_support: DateTime<Utc>) -> Judgement {
    if answer.status == Some(410) {
        return Judgement::Gone;
    }
    let is = |codes: &[&str]| answer.code.is_some_and(|code| codes.contains(&code));
    if now < end_of_support || is(&OF_THE_SIGNATURE) {
        return Judgement::AtItsWord;
    }
    if answer.never_left {
        return Judgement::Unclear;
    }
    // A service that answers 429 or 5xx exists.
    let is_refusal = answer
        .status
        .is_some_and(|status| (400..500).contains(&status) && status != 429);
    if !is_refusal {
        return Judgement::AtItsWord;
    }
    let message = answer.message.unwrap_or_default().to_lowercase();
    let says_so = FAREWELLS.iter().any(|farewell| message.contains(farewell));
    if answer.status == Some(405) || is(&OF_NO_SERVICE) || says_so {
        return Judgement::Gone;
    }
    Judgement::Unclear
}

/// What to add to the error of an endpoint that cannot be reached, once the support has ended.
pub fn of_unreachable(now: DateTime<Utc>, end_of_support: DateTime<Utc>) -> Option<String> {
    let answer = Answer {
        never_left: true,
        ..Answer::default()
    };
    (judge(answer, now, end_of_support) == Judgement::Unclear).then(|| {
        format!(
            "The support of Amazon Pinpoint ended on {}, and its endpoint may be gone: {INSTEAD}",
            end_of_support.format("%Y-%m-%d")
        )
    })
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn answer<'a>(code: &'a str, status: u16) -> Answer<'a> {
        Answer {
            code: Some(code),
            status: Some(status),
            ..Answer::default()
        }
    }

    #[test]
    fn pinpoint_ends_on_the_announced_day() {
        assert_eq!(END_OF_SUPPORT.to_rfc3339(), "2026-10-30T00:00:00+00:00");
    }

    #[test]
    fn answers_are_judged_by_error_and_end_of_support() {
        use Judgement::{AtItsWord, Gone, Unclear};
        let never_left = Answer {
            never_left: true,
            ..Answer::default()
        };
        let farewell = Answer {
            message: Some("Amazon Pinpoint has reached End of Support."),
            ..answer("ForbiddenException", 403)
        };
        for (answer, before, after) in [
            (answer("BadRequestException", 400), AtItsWord, Unclear),
            (answer("ForbiddenException", 403), AtItsWord, Unclear),
            (answer("AccessDeniedException", 403), AtItsWord, Unclear),
            (answer("NotFoundException", 404), AtItsWord, Unclear),
            (answer("PayloadTooLargeException", 413), AtItsWord, Unclear),
            (answer("MethodNotAllowedException", 405), AtItsWord, Gone),
            (answer("UnknownOperationException", 404), AtItsWord, Gone),
            (answer("MissingAuthenticationTokenException", 403), AtItsWord, Gone),
            (answer("GoneException", 410), Gone, Gone),
            (farewell, AtItsWord, Gone),
            (never_left, AtItsWord, Unclear),
            (answer("ExpiredTokenException", 403), AtItsWord, AtItsWord),
            (answer("InvalidSignatureException", 403), AtItsWord, AtItsWord),
            (answer("TooManyRequestsException", 429), AtItsWord, AtItsWord),
            (answer("InternalServerErrorException", 500), AtItsWord, AtItsWord),
            (answer("ServiceUnavailable", 503), AtItsWord, AtItsWord),
            (Answer::default(), AtItsWord, AtItsWord),
        ] {
            let at = |now| judge(answer, now, END_OF_SUPPORT);
            assert_eq!(
                at(END_OF_SUPPORT - TimeDelta::nanoseconds(1)),
                before,
                "before: {answer:?}"
            );
            assert_eq!(at(END_OF_SUPPORT), after, "after: {answer:?}");
            assert_eq!(at(DateTime::<Utc>::MAX_UTC), after, "long after: {answer:?}");
        }
    }
}
