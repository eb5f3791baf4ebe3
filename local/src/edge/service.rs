//! Which part of the edge answers a request.
//!
//! What must stay true: a signed request goes to the service that it is signed for, whatever its path is. The path
//! decides only for unsigned requests.

use http::request::Parts;
use percent_encoding::percent_decode_str;

use crate::simulated::SERVICES;
pub use crate::simulated::{ConnectionCut, SimulatedService};

/// The service that a request is signed for, such as `s3` or `profile`. It is read from the `Authorization` header, or
/// from the query of a presigned link.
pub fn signing_name(parts: &Parts) -> Option<String> {
    let header = parts
        .headers
        .get(http::header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once("Credential="))
        .map(|(_, rest)| rest.split([',', ' ']).next().unwrap_or(rest).to_owned());
    let query = || {
        let (_, value) = parts
            .uri
            .query()?
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(name, _)| name.eq_ignore_ascii_case("X-Amz-Credential"))?;
        Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
    };
    // <access key>/<date>/<region>/<service>/aws4_request
    let scope = header.or_else(query)?;
    let mut fields = scope.rsplit('/');
    (fields.next() == Some("aws4_request"))
        .then(|| fields.next())
        .flatten()
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
}

/// The signing name of the service that an unsigned request's path belongs to. Only services that are never passed to
/// moto are known here.
pub fn name_by_path(path: &str) -> Option<&'static str> {
    let simulated = SERVICES.iter().map(|service| (service.path, service.signing_name));
    let mut all = simulated.chain([("/2015-03-31/functions", "lambda"), ("/environment/", RUNTIME)]);
    all.find(|(prefix, _)| path.starts_with(prefix)).map(|(_, name)| name)
}

/// The name of the Runtime API. Its requests are never signed.
pub(super) const RUNTIME: &str = "runtime";

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(uri: &str, authorization: Option<&str>) -> Parts {
        let mut request = http::Request::builder().uri(uri);
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_signature_names_the_service() {
        let signed = "AWS4-HMAC-SHA256 Credential=AKIA/20261101/eu-central-1/profile/aws4_request, SignedHeaders=host, \
                      Signature=0";
        assert_eq!(
            signing_name(&parts("/domains/x", Some(signed))).as_deref(),
            Some("profile")
        );
        let botocore =
            "AWS4-HMAC-SHA256 Credential=a/20261101/eu-central-1/s3/aws4_request,SignedHeaders=host,Signature=0";
        assert_eq!(
            signing_name(&parts("/environment/x", Some(botocore))).as_deref(),
            Some("s3")
        );
        let presigned = "/bucket/key?X-Amz-Credential=a%2F20261101%2Feu-central-1%2Fs3%2Faws4_request&X-Amz-Date=0";
        assert_eq!(signing_name(&parts(presigned, None)).as_deref(), Some("s3"));
    }

    #[test]
    fn an_unsigned_request_is_routed_by_its_path() {
        for authorization in [
            None,
            Some("Bearer x"),
            Some("AWS4-HMAC-SHA256 Credential=a/b"),
            Some("Credential="),
        ] {
            assert_eq!(signing_name(&parts("/bucket?x=y", authorization)), None);
        }
        assert_eq!(name_by_path("/domains/example/segments"), Some("profile"));
        assert_eq!(name_by_path("/v1/apps/a/jobs/export"), Some("mobiletargeting"));
        assert_eq!(name_by_path("/accounts/111122223333/dashboards/a"), Some("quicksight"));
        assert_eq!(name_by_path("/2015-03-31/functions/a/invocations"), Some("lambda"));
        assert_eq!(name_by_path("/landfall-exports/domains/"), None);
    }
}
