//! Reads the links by which Quick Sight names its files.
//!
//! What must stay true: a link is reduced to bucket and key at once. Neither the link nor its query, which may be a
//! credential, appears in an error. Only hosts of S3 are accepted, so that no other host can look like a bucket.

use std::borrow::Cow;

use landfall::s3_uri::S3Object;
use percent_encoding::percent_decode_str;

/// Why a link cannot be read. Holds nothing of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable(pub(crate) &'static str);

/// The object that `s3://bucket/key` or an `https://` link of S3 names. The link may be virtual-hosted or path style;
/// plain, dual-stack, FIPS or accelerated; presigned or not.
pub(crate) fn read(link: &str) -> Result<S3Object, Unreadable> {
    let place = match link.split_once("://") {
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("s3") => format!("s3://{}", &link["s3://".len()..]),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => {
            let (bucket, key) = read_https(rest)?;
            format!("s3://{bucket}/{key}")
        }
        _ => return Err(Unreadable("it begins with neither s3:// nor https://")),
    };
    let object: S3Object = place
        .parse()
        .map_err(|why: landfall::s3_uri::InvalidS3Uri| Unreadable(why.0))?;
    if object.key.ends_with('/') {
        return Err(Unreadable("it names a folder and no object"));
    }
    // In a query these would be part of a credential, and no key has them.
    let key = object.key.to_ascii_lowercase();
    if ["x-amz-", "signature="].iter().any(|part| key.contains(part)) {
        return Err(Unreadable("it has the query of a link"));
    }
    Ok(object)
}

/// Bucket and decoded key of a link without its `https://`.
fn read_https(rest: &str) -> Result<(Cow<'_, str>, String), Unreadable> {
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (bucket, path) = match bucket_of_host(host)? {
        Some(bucket) => (Cow::Owned(bucket), path),
        None => {
            let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
            (Cow::Borrowed(bucket), key)
        }
    };
    let key = percent_decode_str(path)
        .decode_utf8()
        .map_err(|_| Unreadable("its key is not UTF-8"))?;
    Ok((bucket, key.into_owned()))
}

/// The bucket that a host of S3 begins with; `None` for path style.
fn bucket_of_host(host: &str) -> Result<Option<String>, Unreadable> {
    const FOREIGN: Unreadable = Unreadable("its host is none of S3's");
    let host = host.to_ascii_lowercase();
    let host = host.strip_suffix(":443").unwrap_or(&host);
    let labels = host
        .strip_suffix(".amazonaws.com")
        .or_else(|| host.strip_suffix(".amazonaws.com.cn"))
        .ok_or(FOREIGN)?;
    // Read from the end, because a bucket's name may have dots, and labels that look like S3's own.
    let mut labels: Vec<&str> = labels.split('.').collect();
    labels.pop_if(|label| is_region(label));
    labels.pop_if(|label| *label == "dualstack");
    let endpoint = labels.pop().ok_or(FOREIGN)?;
    let is_endpoint = match endpoint.strip_prefix("s3-") {
        None => endpoint == "s3",
        Some(rest) => matches!(rest, "fips" | "accelerate" | "external-1") || is_region(rest),
    };
    if !is_endpoint || labels.iter().any(|label| label.is_empty()) {
        return Err(FOREIGN);
    }
    Ok((!labels.is_empty()).then(|| labels.join(".")))
}

/// Whether a label looks like a region, such as `eu-central-1` or `us-gov-east-1`.
fn is_region(label: &str) -> bool {
    let mut parts: Vec<&str> = label.split('-').collect();
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit());
    let is_word = |part: &&str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_lowercase());
    // The first word is short. In `s3-website-eu-central-1`, which answers without encryption, it is not.
    parts.pop().is_some_and(is_number)
        && parts.len() >= 2
        && parts.iter().all(is_word)
        && parts.first().is_some_and(|word| word.len() <= 4)
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form_of_link_gives_bucket_and_key() {
        for (link, uri) in [
            ("s3://exports/a/b.csv", "s3://exports/a/b.csv"),
            ("S3://exports/a/b.csv", "s3://exports/a/b.csv"),
            ("https://exports.s3.amazonaws.com/a/b.csv", "s3://exports/a/b.csv"),
            (
                "https://exports.s3.eu-central-1.amazonaws.com/a/b.csv",
                "s3://exports/a/b.csv",
            ),
            (
                "https://exports.s3-eu-central-1.amazonaws.com/a/b.csv",
                "s3://exports/a/b.csv",
            ),
            (
                "https://exports.s3.dualstack.eu-central-1.amazonaws.com/a",
                "s3://exports/a",
            ),
            (
                "https://exports.s3-fips.us-gov-west-1.amazonaws.com/a",
                "s3://exports/a",
            ),
            (
                "https://exports.s3-fips.dualstack.us-east-1.amazonaws.com/a",
                "s3://exports/a",
            ),
            ("https://exports.s3-accelerate.amazonaws.com/a", "s3://exports/a"),
            ("https://exports.s3.cn-north-1.amazonaws.com.cn/a", "s3://exports/a"),
            ("https://s3.amazonaws.com/exports/a/b.csv", "s3://exports/a/b.csv"),
            (
                "https://s3.eu-central-1.amazonaws.com/exports/a/b.csv",
                "s3://exports/a/b.csv",
            ),
            ("https://s3-eu-central-1.amazonaws.com/exports/a", "s3://exports/a"),
            (
                "https://s3.dualstack.eu-central-1.amazonaws.com/exports/a",
                "s3://exports/a",
            ),
            ("https://s3.eu-central-1.amazonaws.com:443/exports/a", "s3://exports/a"),
            ("HTTPS://Exports.S3.EU-WEST-1.AMAZONAWS.COM/A", "s3://exports/A"),
            // A bucket's name may have dots, and labels that look like those of S3.
            (
                "https://my.s3.exports.s3.eu-central-1.amazonaws.com/a",
                "s3://my.s3.exports/a",
            ),
            (
                "https://exports.eu-central-1.s3.eu-central-1.amazonaws.com/a",
                "s3://exports.eu-central-1/a",
            ),
            ("https://s3.dualstack.s3.amazonaws.com/a", "s3://s3.dualstack/a"),
            // Only links are encoded, and a plus sign is a plus sign.
            (
                "https://exports.s3.amazonaws.com/run%3D1/a%20b+c%2B.csv",
                "s3://exports/run=1/a b+c+.csv",
            ),
            ("https://exports.s3.amazonaws.com/%C3%A4.csv", "s3://exports/ä.csv"),
            ("s3://exports/run=1/a b+c.csv", "s3://exports/run=1/a b+c.csv"),
            // Keys that S3 allows.
            ("s3://exports/run=1//a.csv", "s3://exports/run=1//a.csv"),
            ("s3://exports/run=1/50% #1?.csv", "s3://exports/run=1/50% #1?.csv"),
            (
                "https://exports.s3.amazonaws.com/run%3D1//a%3Fb%2F%2Fc",
                "s3://exports/run=1//a?b//c",
            ),
            // The query of a presigned link is dropped, wherever it is.
            (
                "https://exports.s3.amazonaws.com/a.pdf?X-Amz-Signature=0a&X-Amz-Security-Token=t/t",
                "s3://exports/a.pdf",
            ),
            (
                "https://s3.eu-central-1.amazonaws.com/exports/a.pdf?X-Amz-Signature=0a#top",
                "s3://exports/a.pdf",
            ),
        ] {
            assert_eq!(read(link).map(|uri| uri.to_string()), Ok(uri.to_owned()), "{link}");
        }
    }

    #[test]
    fn a_link_to_anything_but_an_object_is_refused() {
        for link in [
            "",
            "exports/a",
            "http://exports.s3.amazonaws.com/a",
            "ftp://exports/a",
            "https://",
            "https://exports.s3.amazonaws.com",
            "https://exports.s3.amazonaws.com/",
            "https://exports.s3.amazonaws.com/folder/",
            "https://s3.amazonaws.com/exports",
            "https://s3.amazonaws.com/",
            "s3://exports",
            "s3://exports/",
            // Hosts that are not S3's, however similar they look.
            "https://example.com/exports/a",
            "https://exports.s3.amazonaws.com.example.com/a",
            "https://exports.s3.amazonaws.com@example.com/a",
            "https://user:password@exports.s3.amazonaws.com/a",
            "https://exports.s3.amazonaws.com:8443/a",
            "https://exports.s4.amazonaws.com/a",
            "https://exports.s3-website-eu-central-1.amazonaws.com/a",
            "https://amazonaws.com/exports/a",
            "https://.s3.amazonaws.com/a",
            "https://sqs.eu-central-1.amazonaws.com/a",
            "s3://exports/a?X-Amz-Signature=0a",
            "s3://exports/a?AWSAccessKeyId=b&Signature=0a",
            "https://exports.s3.amazonaws.com/a%0Ab",
            "https://exports.s3.amazonaws.com/%FF",
        ] {
            assert!(read(link).is_err(), "{link}");
        }
    }

    proptest! {
        #[test]
        fn every_link_to_an_object_gives_that_object(
            bucket in "[a-z0-9][a-z0-9-]{1,20}[a-z0-9](\\.[a-z0-9]{1,8}){0,2}",
            key in "([a-zA-Z0-9=_. +äß-]{1,8}/){0,3}[a-zA-Z0-9=_+äß-]{1,12}",
            region in prop::sample::select(vec!["us-east-1", "eu-central-1", "ap-southeast-4", "us-gov-west-1", "mx-central-1"]),
            query in prop::option::of("[A-Za-z0-9=&/%?-]{0,40}"),
        ) {
            let uri = format!("s3://{bucket}/{key}");
            let encoded: Vec<_> = key.split('/').map(|part| utf8_percent_encode(part, NON_ALPHANUMERIC).to_string()).collect();
            let encoded = encoded.join("/");
            let query = query.map(|query| format!("?{query}")).unwrap_or_default();
            for link in [
                format!("https://{bucket}.s3.amazonaws.com/{encoded}{query}"),
                format!("https://{bucket}.s3.{region}.amazonaws.com/{encoded}{query}"),
                format!("https://{bucket}.s3.dualstack.{region}.amazonaws.com/{encoded}{query}"),
                format!("https://s3.{region}.amazonaws.com/{bucket}/{encoded}{query}"),
                uri.clone(),
            ] {
                prop_assert_eq!(read(&link).map(|uri| uri.to_string()), Ok(uri.clone()), "{}", link);
            }
        }

        #[test]
        fn no_link_makes_the_parser_panic(link in "(s3|https|HTTPS|)(://)?[ -~äß]{0,60}") {
            if let Ok(uri) = read(&link) {
                prop_assert!(uri.to_string().parse::<S3Object>().is_ok());
                prop_assert!(!uri.key.ends_with('/'));
            }
        }
    }
}
