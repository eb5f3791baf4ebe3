//! The configuration of a deployment.
//!
//! What must stay true: only this module reads the environment (apart from the AWS SDK, which reads its own variables).
//! It reports all faults of the environment at once. What is not configured is not allowed.

use std::{collections::BTreeMap, time::Duration};

use aws_credential_types::Credentials;

use crate::{
    error::{Error, Result},
    gate::AllowList,
    https::Trust,
    job::Kind,
    limits::{MAX_CALLS, MAX_DEADLINE_SECONDS, MAX_PLACES},
    polling::Bounds,
    s3_uri::S3Uri,
    trace::Daemon,
};

/// What a deployment sets. Each field names its environment variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `LANDFALL_LEDGER_BUCKET`: the bucket of the ledger, the reports and the receipts of failures.
    pub ledger_bucket: String,
    /// `AWS_REGION`, which Lambda sets: the region whose services are called.
    pub region: Option<String>,
    /// `LANDFALL_EXPECTED_BUCKET_OWNER`: the account, 12 digits, that owns all buckets.
    pub bucket_owner: Option<String>,
    /// `LANDFALL_ALLOWED_DESTINATIONS`, `LANDFALL_ALLOWED_ROLES`, `LANDFALL_ALLOWED_KEYS`, `LANDFALL_ALLOWED_DOMAINS`,
    /// `LANDFALL_ALLOWED_DASHBOARDS`, `LANDFALL_ALLOWED_QUICK_SIGHT_USERS`: each a list, separated by blanks or commas.
    pub allowed: AllowList,
    /// `LANDFALL_DEFAULT_DESTINATION`: the destination of requests that name none.
    pub default_destination: Option<S3Uri>,
    /// `LANDFALL_DEFAULT_ROLE_ARN`: the role of requests that name none.
    pub default_role: Option<String>,
    /// `LANDFALL_USER_SESSION_ROLE_ARN`: the role that is assumed to act for a registered user.
    pub user_session_role: Option<String>,
    /// `LANDFALL_DEADLINE_SECONDS`: how long a job may take. 6 hours when unset.
    pub deadline: Duration,
    /// `LANDFALL_POLL_MIN_SECONDS` and `LANDFALL_POLL_MAX_SECONDS`: the shortest and the longest wait between polls. 15
    /// and 1800 when unset.
    pub polling: Bounds,
    /// `LANDFALL_SETTLE_SECONDS`: seconds between the two listings of the output. 5 when unset.
    pub settle: Duration,
    /// `LANDFALL_VERIFY_CONCURRENCY`: how many slices of one verification run at a time. 5 when unset.
    pub verify_concurrency: u64,
    /// `LANDFALL_MACHINES`: the state machines that batches may start, each as `<kind>=<ARN>`, separated by blanks or
    /// commas.
    pub machines: BTreeMap<Kind, String>,
    /// `LANDFALL_BATCH_CONCURRENCY`: how many jobs of one batch run at a time. 10 when unset.
    pub batch_concurrency: u64,
    /// `LANDFALL_MAX_RUNNING`: how many jobs of the function's kind run at a time; other jobs wait. 0 when unset, which
    /// is no limit.
    pub max_running: u64,
    /// `LANDFALL_MAX_STARTS_PER_DAY`: how many start calls are made a day, for each resource that the service counts
    /// them by. 0 when unset, which is no limit.
    pub max_starts_per_day: u64,
    /// `LANDFALL_METRICS`: the namespace of the stack's metrics. When unset, there are no metrics.
    pub metrics: Option<String>,
}

/// A variable of the environment; `None` also if it is empty, because CloudFormation cannot leave a variable out.
pub(crate) fn variable(name: &str) -> Option<String> {
    let value = std::env::var(name).ok()?.trim().to_owned();
    (!value.is_empty()).then_some(value)
}

impl Config {
    /// Reads the environment. Fails with `Internal`, naming each variable that is missing or wrong.
    pub fn from_env() -> Result<Self> {
        Self::read(variable)
    }

    /// Reads the variables through `variable`.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let mut reader = Reader {
            variable,
            faults: Vec::new(),
        };
        let config = Self {
            ledger_bucket: reader.required("LANDFALL_LEDGER_BUCKET"),
            region: reader.text("AWS_REGION"),
            bucket_owner: reader.account("LANDFALL_EXPECTED_BUCKET_OWNER"),
            allowed: AllowList {
                destinations: reader.uris("LANDFALL_ALLOWED_DESTINATIONS"),
                roles: reader.list("LANDFALL_ALLOWED_ROLES"),
                keys: reader.list("LANDFALL_ALLOWED_KEYS"),
                domains: reader.list("LANDFALL_ALLOWED_DOMAINS"),
                dashboards: reader.list("LANDFALL_ALLOWED_DASHBOARDS"),
                users: reader.list("LANDFALL_ALLOWED_QUICK_SIGHT_USERS"),
            },
            default_destination: reader.uris("LANDFALL_DEFAULT_DESTINATION").into_iter().next(),
            default_role: reader.text("LANDFALL_DEFAULT_ROLE_ARN"),
            user_session_role: reader.text("LANDFALL_USER_SESSION_ROLE_ARN"),
            deadline: reader.seconds("LANDFALL_DEADLINE_SECONDS", 6 * 60 * 60, 1, MAX_DEADLINE_SECONDS),
            polling: Bounds {
                min: reader.seconds("LANDFALL_POLL_MIN_SECONDS", 15, 1, 3600),
                max: reader.seconds("LANDFALL_POLL_MAX_SECONDS", 1800, 1, 3600),
            },
            settle: reader.seconds("LANDFALL_SETTLE_SECONDS", 5, 0, 60),
            verify_concurrency: reader.number("LANDFALL_VERIFY_CONCURRENCY", "a number", 5, 1, 10_000),
            machines: reader.machines("LANDFALL_MACHINES"),
            batch_concurrency: reader.number("LANDFALL_BATCH_CONCURRENCY", "a number", 10, 1, 10_000),
            max_running: reader.number("LANDFALL_MAX_RUNNING", "a number", 0, 0, MAX_PLACES),
            max_starts_per_day: reader.number("LANDFALL_MAX_STARTS_PER_DAY", "a number", 0, 0, MAX_CALLS),
            metrics: reader.text("LANDFALL_METRICS"),
        };
        if config.polling.min > config.polling.max {
            reader
                .faults
                .push("LANDFALL_POLL_MIN_SECONDS is larger than LANDFALL_POLL_MAX_SECONDS".to_owned());
        }
        reader.done(config)
    }
}

/// How AWS is reached, as Lambda's environment and the variables of AWS's SDKs say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// `AWS_REGION`, which Lambda sets.
    pub region: String,
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`: the credentials of the function's role.
    /// Lambda sets them for each execution environment, which ends before they expire.
    pub credentials: Credentials,
    /// `AWS_ENDPOINT_URL`: the endpoint of all services, instead of their own.
    pub endpoint_url: Option<String>,
    /// `AWS_USE_FIPS_ENDPOINT`.
    pub use_fips: Option<bool>,
    /// `AWS_USE_DUALSTACK_ENDPOINT`.
    pub use_dual_stack: Option<bool>,
    /// `LANDFALL_TRUST`: `amazon`, `system` or `automatic`, which it is when unset. `automatic` means `amazon` in the
    /// commercial regions, unless `SSL_CERT_FILE` or `SSL_CERT_DIR` says what the system trusts.
    pub trust: Trust,
}

impl Access {
    /// Reads the environment. Fails with `Internal`, naming each variable that is missing or wrong.
    pub fn from_env() -> Result<Self> {
        Self::read(variable)
    }

    /// Reads the variables through `variable`.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let mut reader = Reader {
            variable,
            faults: Vec::new(),
        };
        let region = reader.required("AWS_REGION");
        let access = Self {
            credentials: Credentials::new(
                reader.required("AWS_ACCESS_KEY_ID"),
                reader.required("AWS_SECRET_ACCESS_KEY"),
                reader.text("AWS_SESSION_TOKEN"),
                None,
                "environment",
            ),
            endpoint_url: reader.text("AWS_ENDPOINT_URL"),
            use_fips: reader.flag("AWS_USE_FIPS_ENDPOINT"),
            use_dual_stack: reader.flag("AWS_USE_DUALSTACK_ENDPOINT"),
            trust: reader.trust("LANDFALL_TRUST", &region),
            region,
        };
        reader.done(access)
    }
}

/// Whether a region is in AWS's commercial partition. Endpoints in the partitions of countries and governments may have
/// certificates from somebody else.
fn is_commercial(region: &str) -> bool {
    let parts: Vec<_> = region.split('-').collect();
    parts.len() == 3 && parts[0].len() == 2 && parts[0] != "cn"
}

/// The X-Ray daemon that Lambda runs beside the function, from `AWS_XRAY_DAEMON_ADDRESS`.
#[must_use]
pub fn xray_daemon() -> Option<Daemon> {
    variable("AWS_XRAY_DAEMON_ADDRESS")?.parse().ok().map(Daemon)
}

/// What is logged, as Lambda's own settings say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logging {
    /// `AWS_LAMBDA_LOG_LEVEL`, or else `RUST_LOG`. INFO when both are unset.
    pub level: tracing::level_filters::LevelFilter,
    /// `AWS_LAMBDA_LOG_FORMAT`: whether each line is a JSON object.
    pub json: bool,
}

impl Logging {
    /// Reads the environment. A value that cannot be read counts as unset.
    #[must_use]
    pub fn from_env() -> Self {
        Self::read(variable)
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let level = variable("AWS_LAMBDA_LOG_LEVEL").or_else(|| variable("RUST_LOG"));
        let level = level.map(|level| if level == "FATAL" { "ERROR".to_owned() } else { level });
        Self {
            level: level
                .and_then(|level| level.parse().ok())
                .unwrap_or(tracing::level_filters::LevelFilter::INFO),
            json: variable("AWS_LAMBDA_LOG_FORMAT").is_some_and(|format| format.eq_ignore_ascii_case("json")),
        }
    }
}

struct Reader<F> {
    variable: F,
    faults: Vec<String>,
}

impl<F: Fn(&str) -> Option<String>> Reader<F> {
    fn done<T>(self, read: T) -> Result<T> {
        if self.faults.is_empty() {
            return Ok(read);
        }
        Err(Error::internal(format!(
            "the function's environment is wrong: {}",
            self.faults.join("; ")
        )))
    }

    /// As [`variable`]: an empty variable counts as unset.
    fn text(&self, name: &str) -> Option<String> {
        (self.variable)(name)
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
    }

    fn required(&mut self, name: &str) -> String {
        self.text(name).unwrap_or_else(|| {
            self.faults.push(format!("{name} is not set"));
            String::new()
        })
    }

    fn list(&self, name: &str) -> Vec<String> {
        let text = self.text(name).unwrap_or_default();
        text.split(|c: char| c == ',' || c.is_whitespace())
            .filter(|item| !item.is_empty())
            .map(str::to_owned)
            .collect()
    }

    fn uris(&mut self, name: &str) -> Vec<S3Uri> {
        let mut uris = Vec::new();
        for item in self.list(name) {
            match item.parse() {
                Ok(uri) => uris.push(uri),
                Err(why) => self.faults.push(format!("{name}: {item}: {why}")),
            }
        }
        uris
    }

    fn machines(&mut self, name: &str) -> BTreeMap<Kind, String> {
        let mut machines = BTreeMap::new();
        for item in self.list(name) {
            match item.split_once('=') {
                Some((kind, arn)) if !kind.is_empty() && arn.starts_with("arn:") => {
                    machines.insert(Kind::new(kind), arn.to_owned());
                }
                _ => self.faults.push(format!("{name}: {item} is not <kind>=<ARN>")),
            }
        }
        machines
    }

    fn account(&mut self, name: &str) -> Option<String> {
        let account = self.text(name)?;
        if account.len() != 12 || !account.bytes().all(|c| c.is_ascii_digit()) {
            self.faults.push(format!("{name} is not an account id of 12 digits"));
        }
        Some(account)
    }

    fn flag(&mut self, name: &str) -> Option<bool> {
        let text = self.text(name)?;
        let flag = text.to_ascii_lowercase().parse().ok();
        if flag.is_none() {
            self.faults.push(format!("{name} is {text}, not true or false"));
        }
        flag
    }

    fn trust(&mut self, name: &str, region: &str) -> Trust {
        match self.text(name).as_deref() {
            Some("amazon") => Trust::Amazon,
            Some("system") => Trust::System,
            None | Some("automatic") if self.text("SSL_CERT_FILE").or(self.text("SSL_CERT_DIR")).is_some() => {
                Trust::System
            }
            None | Some("automatic") if is_commercial(region) => Trust::Amazon,
            None | Some("automatic") => Trust::System,
            Some(other) => {
                self.faults
                    .push(format!("{name} is {other}, not amazon, system or automatic"));
                Trust::default()
            }
        }
    }

    fn seconds(&mut self, name: &str, default: u64, least: u64, most: u64) -> Duration {
        Duration::from_secs(self.number(name, "a number of seconds", default, least, most))
    }

    fn number(&mut self, name: &str, what: &str, default: u64, least: u64, most: u64) -> u64 {
        let Some(text) = self.text(name) else {
            return default;
        };
        match text.parse::<u64>() {
            Ok(value) if (least..=most).contains(&value) => value,
            _ => {
                self.faults
                    .push(format!("{name} is {text}, not {what} from {least} to {most}"));
                default
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Config> {
        Config::read(|name| {
            variables
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_defaults_allow_nothing() {
        let config = read(&[("LANDFALL_LEDGER_BUCKET", "ledger")]).unwrap();
        assert_eq!(config.allowed, AllowList::default());
        assert_eq!(config.deadline, Duration::from_secs(21_600));
        assert_eq!(config.polling.min, Duration::from_secs(15));
        assert_eq!(config.default_role, None);
        assert_eq!((config.max_running, config.max_starts_per_day), (0, 0));
    }

    #[test]
    fn lists_are_separated_by_blanks_or_commas() {
        let config = read(&[
            ("LANDFALL_LEDGER_BUCKET", "ledger"),
            ("LANDFALL_ALLOWED_DESTINATIONS", "s3://aaa/x/, s3://bbb/"),
            ("LANDFALL_ALLOWED_ROLES", "arn:a arn:b\n"),
            ("LANDFALL_ALLOWED_DOMAINS", "shop test-*"),
            ("LANDFALL_ALLOWED_DASHBOARDS", "*"),
            ("LANDFALL_DEFAULT_ROLE_ARN", " "),
            ("LANDFALL_MACHINES", "endpoint-export=arn:x segment-snapshot=arn:y"),
        ])
        .unwrap();
        assert_eq!(config.machines[&Kind::new("segment-snapshot")], "arn:y");
        assert_eq!(config.machines.len(), 2);
        assert_eq!(config.allowed.destinations.len(), 2);
        assert_eq!(config.allowed.roles, ["arn:a", "arn:b"]);
        assert_eq!(config.allowed.domains, ["shop", "test-*"]);
        assert_eq!(config.allowed.dashboards, ["*"]);
        assert_eq!(config.default_role, None);
    }

    fn access(variables: &[(&str, &str)]) -> Result<Access> {
        let given = [
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "very secret"),
        ];
        Access::read(|name| {
            let all = variables.iter().chain(&given);
            let mut named = all.filter(|(key, _)| *key == name);
            named.next().map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn credentials_and_region_are_read_without_showing_the_secret() {
        let role = access(&[("AWS_SESSION_TOKEN", "token")]).unwrap();
        assert_eq!(role.credentials.access_key_id(), "id");
        assert_eq!(role.credentials.session_token(), Some("token"));
        assert_eq!((role.endpoint_url.as_deref(), role.use_fips), (None, None));
        assert!(!format!("{role:?}").contains("secret\""), "{role:?}");
        assert!(!format!("{role:?}").contains("very"), "{role:?}");
        let message = Access::read(|_| None).unwrap_err().message;
        for name in ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            assert!(message.contains(&format!("{name} is not set")), "{message}");
        }
    }

    #[test]
    fn regions_with_amazons_certificates_trust_only_amazon() {
        let trust = |variables: &[(&str, &str)]| access(variables).unwrap().trust;
        for region in [
            "eu-central-1",
            "us-east-1",
            "ap-southeast-2",
            "il-central-1",
            "mx-central-1",
        ] {
            assert_eq!(trust(&[("AWS_REGION", region)]), Trust::Amazon, "{region}");
        }
        for region in [
            "cn-north-1",
            "us-gov-west-1",
            "us-iso-east-1",
            "eu-isoe-west-1",
            "eusc-de-east-1",
        ] {
            assert_eq!(trust(&[("AWS_REGION", region)]), Trust::System, "{region}");
            assert_eq!(
                trust(&[("AWS_REGION", region), ("LANDFALL_TRUST", "amazon")]),
                Trust::Amazon
            );
        }
        assert_eq!(trust(&[("SSL_CERT_FILE", "/opt/proxy.pem")]), Trust::System);
        assert_eq!(trust(&[("SSL_CERT_DIR", "/opt")]), Trust::System);
        assert_eq!(
            trust(&[("LANDFALL_TRUST", "automatic"), ("AWS_REGION", "eu-west-1")]),
            Trust::Amazon
        );
        assert_eq!(
            trust(&[("LANDFALL_TRUST", "automatic"), ("AWS_REGION", "cn-north-1")]),
            Trust::System
        );
        assert_eq!(
            trust(&[("LANDFALL_TRUST", "automatic"), ("SSL_CERT_DIR", "/opt")]),
            Trust::System
        );
        assert_eq!(trust(&[("LANDFALL_TRUST", "system")]), Trust::System);
        let message = access(&[("LANDFALL_TRUST", "all"), ("AWS_USE_FIPS_ENDPOINT", "yes")]).unwrap_err();
        assert!(
            message
                .message
                .contains("LANDFALL_TRUST is all, not amazon, system or automatic"),
            "{message:?}"
        );
        assert!(
            message
                .message
                .contains("AWS_USE_FIPS_ENDPOINT is yes, not true or false"),
            "{message:?}"
        );
        assert_eq!(
            access(&[("AWS_USE_FIPS_ENDPOINT", "TRUE")]).unwrap().use_fips,
            Some(true)
        );
    }

    #[test]
    fn the_log_level_and_format_are_those_that_lambda_sets() {
        let logging = |variables: &'static [(&str, &str)]| {
            Logging::read(|name| {
                let mut named = variables.iter().filter(|(key, _)| *key == name);
                named.next().map(|(_, value)| (*value).to_owned())
            })
        };
        use tracing::level_filters::LevelFilter;
        assert_eq!(
            logging(&[]),
            Logging {
                level: LevelFilter::INFO,
                json: false
            }
        );
        let both = logging(&[
            ("AWS_LAMBDA_LOG_LEVEL", "WARN"),
            ("RUST_LOG", "debug"),
            ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
        ]);
        assert_eq!(
            both,
            Logging {
                level: LevelFilter::WARN,
                json: true
            }
        );
        assert_eq!(logging(&[("AWS_LAMBDA_LOG_LEVEL", "FATAL")]).level, LevelFilter::ERROR);
        assert_eq!(logging(&[("RUST_LOG", "landfall=debug")]).level, LevelFilter::INFO);
    }

    #[test]
    fn every_wrong_setting_is_named() {
        let message = read(&[
            ("LANDFALL_EXPECTED_BUCKET_OWNER", "12"),
            ("LANDFALL_ALLOWED_DESTINATIONS", "bucket/x"),
            ("LANDFALL_POLL_MIN_SECONDS", "3600"),
            ("LANDFALL_DEADLINE_SECONDS", "soon"),
            ("LANDFALL_MACHINES", "segment-snapshot"),
        ])
        .unwrap_err()
        .message;
        for name in [
            "LANDFALL_LEDGER_BUCKET is not set",
            "LANDFALL_EXPECTED_BUCKET_OWNER is not an account",
            "LANDFALL_ALLOWED_DESTINATIONS: bucket/x: it does not begin with s3://",
            "LANDFALL_POLL_MIN_SECONDS is larger",
            "LANDFALL_DEADLINE_SECONDS is soon",
            "LANDFALL_MACHINES: segment-snapshot is not <kind>=<ARN>",
        ] {
            assert!(message.contains(name), "{name} in {message}");
        }
    }
}
