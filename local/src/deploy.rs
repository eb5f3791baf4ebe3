//! Deploys into the local world what the template deploys into an account.
//!
//! What must stay true: the definition that runs is the deployed file, with only its substitutions replaced. A
//! substitution that is left over is an error.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result, bail};
use aws_sdk_s3::{
    Client as S3,
    config::{BehaviorVersion, Credentials, Region},
    types::{
        BucketLocationConstraint, BucketVersioningStatus, CreateBucketConfiguration, ServerSideEncryption,
        ServerSideEncryptionByDefault, ServerSideEncryptionConfiguration, ServerSideEncryptionRule,
        VersioningConfiguration,
    },
};
use serde_json::{Value, json};

use crate::{
    account::{ACCOUNT, BUS, EXPORTS, LEDGER, PARTITION, REGION, STACK},
    aws::Aws,
    edge::lambda::Lambda,
    functions::{BATCH, PLAN, SEAL, SUMMARY, VERIFY},
    kinds::{KINDS, Kind},
    places,
    template::template,
};

const QUEUE: &str = "landfall-announcements";

/// How the pauses of a deployed state machine are set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retries {
    /// As in the definition.
    #[default]
    AsDeployed,
    /// Every pause before a retry is at most a second, and the rests after missed polls do not grow. For tests that
    /// fail on purpose.
    Short,
}

/// The environment variables of every function. They are the template's, with shorter times.
pub fn variables() -> BTreeMap<String, String> {
    [
        ("LANDFALL_LEDGER_BUCKET", LEDGER.to_owned()),
        ("LANDFALL_ALLOWED_DESTINATIONS", format!("s3://{EXPORTS}/")),
        (
            "LANDFALL_ALLOWED_ROLES",
            format!("arn:aws:iam::{ACCOUNT}:role/landfall-*"),
        ),
        ("LANDFALL_ALLOWED_KEYS", format!("arn:aws:kms:{REGION}:{ACCOUNT}:key/*")),
        ("LANDFALL_ALLOWED_DOMAINS", "*".to_owned()),
        ("LANDFALL_ALLOWED_DASHBOARDS", "*".to_owned()),
        (
            "LANDFALL_ALLOWED_QUICK_SIGHT_USERS",
            "arn:aws:quicksight:*:111122223333:user/default/*".to_owned(),
        ),
        (
            "LANDFALL_USER_SESSION_ROLE_ARN",
            "arn:aws:iam::111122223333:role/landfall-user-session".to_owned(),
        ),
        (
            "LANDFALL_DEFAULT_ROLE_ARN",
            format!("arn:aws:iam::{ACCOUNT}:role/landfall-export"),
        ),
        ("LANDFALL_EXPECTED_BUCKET_OWNER", ACCOUNT.to_owned()),
        ("LANDFALL_POLL_MIN_SECONDS", "1".to_owned()),
        ("LANDFALL_POLL_MAX_SECONDS", "2".to_owned()),
        ("LANDFALL_SETTLE_SECONDS", "1".to_owned()),
        ("LANDFALL_DEADLINE_SECONDS", "120".to_owned()),
        ("LANDFALL_VERIFY_CONCURRENCY", "4".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// The environment variables of one function alone, as the template has them: where exports of its kind go if they name
/// no destination, how many of its jobs run at a time, and how many are started in a day.
pub fn variables_of(function: &str, kinds: &[Kind]) -> Result<BTreeMap<String, String>> {
    let template = template()?;
    let mut variables = template.settings(function)?;
    if function == PLAN {
        variables.extend(batch_variables(kinds));
    }
    let destination = "LANDFALL_DEFAULT_DESTINATION";
    if let Some(kind) = KINDS.iter().find(|kind| kind.start() == function)
        && template.is_told(function, destination)?
    {
        variables.insert(destination.to_owned(), format!("s3://{EXPORTS}/{}/", kind.name));
    }
    Ok(variables)
}

/// An S3 client of the local world.
pub fn s3(endpoint: std::net::SocketAddr) -> S3 {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .credentials_provider(Credentials::new("local", "local", None, None, "local"))
        .endpoint_url(format!("http://{endpoint}"))
        .force_path_style(true)
        .build();
    S3::from_conf(config)
}

/// Creates the buckets: versioned and encrypted, as the template has them.
pub async fn buckets(s3: &S3) -> Result<()> {
    for bucket in [EXPORTS, LEDGER] {
        let place = CreateBucketConfiguration::builder()
            .location_constraint(BucketLocationConstraint::from(REGION))
            .build();
        s3.create_bucket()
            .bucket(bucket)
            .create_bucket_configuration(place)
            .send()
            .await
            .with_context(|| format!("cannot create bucket {bucket}"))?;
        let versioning = VersioningConfiguration::builder()
            .status(BucketVersioningStatus::Enabled)
            .build();
        s3.put_bucket_versioning()
            .bucket(bucket)
            .versioning_configuration(versioning)
            .send()
            .await
            .with_context(|| format!("cannot keep versions in bucket {bucket}"))?;
        let default = ServerSideEncryptionByDefault::builder()
            .sse_algorithm(ServerSideEncryption::Aes256)
            .build()?;
        let rule = ServerSideEncryptionRule::builder()
            .apply_server_side_encryption_by_default(default)
            .build();
        let encryption = ServerSideEncryptionConfiguration::builder().rules(rule).build()?;
        s3.put_bucket_encryption()
            .bucket(bucket)
            .server_side_encryption_configuration(encryption)
            .send()
            .await
            .with_context(|| format!("cannot encrypt bucket {bucket}"))?;
    }
    Ok(())
}

/// Creates the event bus, and a rule that keeps announcements in a queue. Gives the queue's URL.
pub async fn bus(aws: &Aws) -> Result<String> {
    aws.call("events", "AWSEvents.CreateEventBus", &json!({"Name": BUS}))
        .await?;
    let queue = aws
        .call("sqs", "AmazonSQS.CreateQueue", &json!({"QueueName": QUEUE}))
        .await?;
    let url = queue["QueueUrl"]
        .as_str()
        .context("the new queue has no URL")?
        .to_owned();
    let rule = json!({"Name": QUEUE, "EventBusName": BUS, "EventPattern": r#"{"source": ["landfall"]}"#});
    aws.call("events", "AWSEvents.PutRule", &rule).await?;
    let arn = format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{QUEUE}");
    let targets = json!({"Rule": QUEUE, "EventBusName": BUS, "Targets": [{"Id": "queue", "Arn": arn}]});
    aws.call("events", "AWSEvents.PutTargets", &targets).await?;
    Ok(url)
}

/// Takes all messages out of a queue.
pub async fn take_messages(aws: &Aws, queue: &str) -> Result<Vec<Value>> {
    let mut bodies = Vec::new();
    loop {
        let input = json!({"QueueUrl": queue, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 0});
        let answer = aws.call("sqs", "AmazonSQS.ReceiveMessage", &input).await?;
        let messages = answer["Messages"].as_array().cloned().unwrap_or_default();
        if messages.is_empty() {
            return Ok(bodies);
        }
        for message in messages {
            let body = message["Body"].as_str().context("a message has no body")?;
            bodies.push(serde_json::from_str(body).with_context(|| format!("a message is not JSON: {body}"))?);
            let delete = json!({"QueueUrl": queue, "ReceiptHandle": message["ReceiptHandle"]});
            aws.call("sqs", "AmazonSQS.DeleteMessage", &delete).await?;
        }
    }
}

/// The environment variables of the function that plans batches alone: which state machine runs which kind.
fn batch_variables(kinds: &[Kind]) -> BTreeMap<String, String> {
    let machine = |kind: &Kind| {
        let name = machine_name(kind.name);
        format!("{}=arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{name}", kind.name)
    };
    let machines: Vec<String> = kinds.iter().map(machine).collect();
    [
        ("LANDFALL_MACHINES", machines.join(" ")),
        ("LANDFALL_BATCH_CONCURRENCY", "4".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// The name of the state machine of a kind, or of batches.
pub(crate) fn machine_name(kind: &str) -> String {
    format!("{STACK}-{kind}")
}

/// Creates the state machine of a kind and gives its ARN.
pub async fn state_machine(
    aws: &Aws,
    lambda: &Lambda,
    workspace: &Path,
    kind: Kind,
    retries: Retries,
) -> Result<String> {
    let substitutions = BTreeMap::from([
        ("Partition", PARTITION.to_owned()),
        ("Kind", kind.name.to_owned()),
        ("StartFunctionArn", lambda.version_arn(&kind.start())),
        ("PollFunctionArn", lambda.version_arn(&kind.poll())),
        ("VerifyFunctionArn", lambda.version_arn(VERIFY)),
        ("SealFunctionArn", lambda.version_arn(SEAL)),
        ("EventBusName", BUS.to_owned()),
    ]);
    let path = workspace.join(places::DEFINITION);
    create(aws, &path, &substitutions, &machine_name(kind.name), retries).await
}

/// Creates the state machine of batches and gives its ARN.
pub async fn batch_state_machine(aws: &Aws, lambda: &Lambda, workspace: &Path, retries: Retries) -> Result<String> {
    let substitutions = BTreeMap::from([
        ("Partition", PARTITION.to_owned()),
        ("PlanFunctionArn", lambda.version_arn(PLAN)),
        ("SummaryFunctionArn", lambda.version_arn(SUMMARY)),
        ("EventBusName", BUS.to_owned()),
    ]);
    let path = workspace.join(places::BATCH_DEFINITION);
    create(aws, &path, &substitutions, &machine_name(BATCH), retries).await
}

async fn create(
    aws: &Aws,
    path: &Path,
    substitutions: &BTreeMap<&str, String>,
    name: &str,
    retries: Retries,
) -> Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut definition =
        substitute(&text, substitutions).with_context(|| format!("cannot deploy {}", path.display()))?;
    if retries == Retries::Short {
        let mut parsed: Value = serde_json::from_str(&definition).context("the definition is not JSON")?;
        shorten(&mut parsed);
        definition = parsed.to_string();
    }
    let role = format!("arn:aws:iam::{ACCOUNT}:role/landfall-state-machine");
    aws.create_state_machine(name, &definition, &role).await
}

/// Replaces each `${Name}`. Fails with the names that have no value.
fn substitute(text: &str, values: &BTreeMap<&str, String>) -> Result<String> {
    let mut replaced = text.to_owned();
    for (name, value) in values {
        replaced = replaced.replace(&format!("${{{name}}}"), value);
    }
    let left: Vec<&str> = replaced
        .split("${")
        .skip(1)
        .map(|rest| rest.split('}').next().unwrap_or(rest))
        .collect();
    if !left.is_empty() {
        bail!("no value for ${{{}}}", left.join("}, ${"));
    }
    Ok(replaced)
}

/// Limits every pause before a retry to a second, wherever it is in the definition, and lets no rest grow.
fn shorten(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if let Some(Value::Array(retriers)) = members.get_mut("Retry") {
                for retrier in retriers.iter_mut().filter_map(Value::as_object_mut) {
                    retrier.insert("IntervalSeconds".to_owned(), json!(1));
                    retrier.insert("BackoffRate".to_owned(), json!(1.0));
                    retrier.remove("MaxDelaySeconds");
                    retrier.remove("JitterStrategy");
                }
            }
            if let Some(rest) = members.get_mut("rest_seconds.$") {
                *rest = json!("$.missed.rest_seconds");
            }
            members.values_mut().for_each(shorten);
        }
        Value::Array(items) => items.iter_mut().for_each(shorten),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_substitution_without_a_value_is_an_error() {
        let values = BTreeMap::from([("Kind", "a".to_owned()), ("Arn", "b".to_owned())]);
        assert_eq!(substitute("${Kind} ${Arn} ${Kind} $.x", &values).unwrap(), "a b a $.x");
        let error = substitute("${Kind} ${Other} ${More}", &values).unwrap_err().to_string();
        assert_eq!(error, "no value for ${Other}, ${More}");
    }

    #[test]
    fn the_pause_after_missed_polls_does_not_grow() {
        let mut definition = json!({"Parameters": {"rest_seconds.$": "States.MathAdd($.missed.rest_seconds, 15)"}});
        shorten(&mut definition);
        let as_it_was = json!({"Parameters": {"rest_seconds.$": "$.missed.rest_seconds"}});
        assert_eq!(definition, as_it_was);
    }

    #[test]
    fn only_the_pauses_of_retries_are_shortened() {
        let mut definition = json!({"States": {"A": {
            "TimeoutSeconds": 9,
            "Retry": [{"ErrorEquals": ["X"], "IntervalSeconds": 5, "BackoffRate": 2, "MaxAttempts": 6,
                       "MaxDelaySeconds": 300, "JitterStrategy": "FULL"}],
        }}});
        shorten(&mut definition);
        assert_eq!(
            definition,
            json!({"States": {"A": {
                "TimeoutSeconds": 9,
                "Retry": [{"ErrorEquals": ["X"], "IntervalSeconds": 1, "BackoffRate": 1.0, "MaxAttempts": 6}],
            }}})
        );
    }
}
