//! `cargo local serve`.
//!
//! What must stay true: stdout holds only what a shell can evaluate. What people read goes to stderr.
#![allow(clippy::print_stderr)]

use std::io::IsTerminal;

use anyhow::{Context, Result};
use landfall_cli::screen::{colours, print, relative};
use landfall_local::{
    account::{BUS, EXPORTS, LEDGER, REGION},
    functions::{SEAL, VERIFY},
    kinds::Kind,
    places,
    present::{Paint, Tone},
    python,
    world::{Options, World},
};

use super::arguments::Serve;

pub(super) async fn serve(options: &Serve) -> Result<()> {
    let kinds = options
        .kinds
        .iter()
        .map(|name| Kind::named(name))
        .collect::<Result<Vec<_>>>()?;
    let services = options.simulation.services(&kinds)?;
    let world = World::start(Options {
        services,
        port: options.port,
        ..Options::for_kinds(kinds.clone())
    })
    .await?;
    world.deploy_rules().await?;
    world.deploy_stack().await?;
    let (url, port) = (world.edge().url(), world.edge().address().port());
    // A shell evaluates this, so stdout holds nothing else.
    let exports: Vec<String> = [
        ("AWS_ENDPOINT_URL", url.as_str()),
        ("AWS_REGION", REGION),
        ("AWS_DEFAULT_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
    ]
    .iter()
    .map(|(name, value)| format!("export {name}={value}"))
    .collect();
    let paint = Paint(colours(std::io::stderr().is_terminal()));
    let heading = |text: &str| eprintln!("\n{}", paint.paint(Tone::Strong, text));
    heading("Environment for aws, boto3 and every AWS SDK");
    print(&exports.join("\n"))?;
    heading("What is there");
    for kind in &kinds {
        let machine = world.state_machine(kind.name).unwrap_or_default();
        eprintln!("state machine  {machine}");
        for name in [kind.start(), kind.poll()] {
            eprintln!("function       {name}");
        }
    }
    eprintln!("function       {VERIFY}\nfunction       {SEAL}");
    eprintln!("buckets        s3://{EXPORTS}/  s3://{LEDGER}/");
    eprintln!("buses          default, {BUS}: both start executions by the rules of template.yaml");
    eprintln!("announcements  on the bus {BUS}, kept in {}", world.announcements_url());
    eprintln!("logs           {}", relative(&world.folder().join("logs")));
    let kind = kinds.first().context("there is no kind of job")?;
    let machine = world.state_machine(kind.name).unwrap_or_default();
    let sample = format!("events/{}.json", kind.name);
    heading("To try, in another terminal that has the environment");
    eprintln!("aws stepfunctions start-execution --state-machine-arn {machine} --input file://{sample}");
    eprintln!("cargo landfall jobs");
    eprintln!("aws stepfunctions list-executions --state-machine-arn {machine}");
    eprintln!("aws events put-events --entries \"$(jq -c '{ENTRY}' {sample})\"");
    eprintln!("aws sqs receive-message --queue-url {}", world.announcements_url());
    eprintln!("aws s3 ls --recursive s3://{EXPORTS}/");
    eprintln!(
        "aws lambda invoke --function-name {} --payload fileb://{sample} /dev/stdout",
        kind.start()
    );
    eprintln!(
        "cargo lambda invoke {} --invoke-address 127.0.0.1 --invoke-port {port} --data-file {sample}",
        kind.start()
    );
    // The Python environment of moto has boto3.
    let python = python::ensure(&places::workspace()?)?.python();
    eprintln!(
        "{} -c 'import boto3; print(boto3.client(\"s3\").list_buckets()[\"Buckets\"])'",
        relative(&python)
    );
    eprintln!("\nCtrl-C ends it.");
    std::future::pending().await
}

/// A jq filter that turns an event into an entry of PutEvents.
const ENTRY: &str = "[{Source: .source, DetailType: .\"detail-type\", Detail: (.detail | tostring)}]";
