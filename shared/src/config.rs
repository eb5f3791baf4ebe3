//! The configuration of a deployment.
//!
//! What must stay true: this is the only module that reads the environment (the AWS SDK reads its own variables), it
//! names every fault of it at once, and what is not configured is not allowed.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    error::{Error, Result},
    gate::AllowList,
    job::Kind,
    limits::{MAX_CALLS, MAX_DEADLINE_SECONDS, MAX_PLACES},
    polling::Bounds,
    s3_uri::S3Uri,
};

/// What a deployment sets. Each field names its environment variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `LANDFALL_LEDGER_BUCKET`: the bucket of the ledger, the reports and the receipts of failures.
    pub ledger_bucket: String,
    /// `AWS_REGION`, which Lambda sets: the region that the services are called in.
    pub region: Option<String>,
    /// `LANDFALL_EXPECTED_BUCKET_OWNER`: the account, 12 digits, that every bucket must belong to.
    pub bucket_owner: Option<String>,
    /// `LANDFALL_ALLOWED_DESTINATIONS`, `LANDFALL_ALLOWED_ROLES`, `LANDFALL_ALLOWED_KEYS`, `LANDFALL_ALLOWED_DOMAINS`,
    /// `LANDFALL_ALLOWED_DASHBOARDS`, `LANDFALL_ALLOWED_QUICK_SIGHT_USERS`: each a list separated by blanks or commas.
    pub allowed: AllowList,
    /// `LANDFALL_DEFAULT_DESTINATION`: where exports go whose request names no destination.
    pub default_destination: Option<S3Uri>,
    /// `LANDFALL_DEFAULT_ROLE_ARN`: the role of requests that name none.
    pub default_role: Option<String>,
    /// `LANDFALL_USER_SESSION_ROLE_ARN`: the role whose sessions act for registered users.
    pub user_session_role: Option<String>,
    /// `LANDFALL_DEADLINE_SECONDS`: how long a job may take. 6 hours when unset.
    pub deadline: Duration,
    /// `LANDFALL_POLL_MIN_SECONDS` and `LANDFALL_POLL_MAX_SECONDS`: bounds of the waits between polls. 15 and 1800
    /// when unset.
    pub polling: Bounds,
    /// `LANDFALL_SETTLE_SECONDS`: time between the two listings of the output. 5 when unset.
    pub settle: Duration,
    /// `LANDFALL_VERIFY_CONCURRENCY`: batches of one verification that run at a time. 5 when unset.
    pub verify_concurrency: u64,
    /// `LANDFALL_MACHINES`: the state machines that batches may start, `<kind>=<ARN>` each, separated by blanks or commas.
    pub machines: BTreeMap<Kind, String>,
    /// `LANDFALL_BATCH_CONCURRENCY`: most jobs of one batch that run at a time. 10 when unset.
    pub batch_concurrency: u64,
    /// `LANDFALL_MAX_RUNNING`: jobs of the function's kind that run at a time; the others stand in line. 0, no limit,
    /// when unset.
    pub max_running: u64,
    /// `LANDFALL_MAX_STARTS_PER_DAY`: start calls a day, of each part of the service that has such a quota. 0, no limit,
    /// when unset.
    pub max_starts_per_day: u64,
    /// `LANDFALL_METRICS`: the namespace of the stack's metrics. None are kept when unset.
    pub metrics: Option<String>,
}

impl Config {
    /// Reads the process's environment. Fails with `Internal`, naming every variable that is missing or wrong.
    pub fn from_env() -> Result<Self> {
        Self::read(|name| std::env::var(name).ok())
    }

    /// Reads variables from anywhere.
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
        if reader.faults.is_empty() {
            Ok(config)
        } else {
            Err(Error::internal(format!(
                "the function's environment is wrong: {}",
                reader.faults.join("; ")
            )))
        }
    }
}

struct Reader<F> {
    variable: F,
    faults: Vec<String>,
}

impl<F: Fn(&str) -> Option<String>> Reader<F> {
    /// An unset and an empty variable are the same: CloudFormation cannot leave one out.
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
    fn defaults_allow_nothing() {
        let config = read(&[("LANDFALL_LEDGER_BUCKET", "ledger")]).unwrap();
        assert_eq!(config.allowed, AllowList::default());
        assert_eq!(config.deadline, Duration::from_secs(21_600));
        assert_eq!(config.polling.min, Duration::from_secs(15));
        assert_eq!(config.default_role, None);
        assert_eq!((config.max_running, config.max_starts_per_day), (0, 0));
    }

    #[test]
    fn lists_take_blanks_and_commas() {
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

    #[test]
    fn every_fault_is_named() {
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
