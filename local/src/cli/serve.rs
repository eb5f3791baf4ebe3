//! `cargo local serve`.
//!
//! What must stay true: stdout holds nothing but what a shell can evaluate; what people read goes to stderr.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::io::IsTerminal;

use anyhow::{Context, Result};
use landfall_local::{
    deploy::{EXPORTS, LEDGER, REGION},
    functions::{Kind, SEAL, VERIFY},
    places,
    present::{Paint, Tone},
    python,
    world::{Options, World},
};

use super::{
    arguments::Serve,
    screen::{colours, relative},
};

pub(super) async fn serve(options: &Serve) -> Result<()> {
    let kinds = options
        .kinds
        .iter()
        .map(|name| Kind::named(name))
        .collect::<Result<Vec<_>>>()?;
    options.simulation.check(&kinds)?;
    let world = World::start(Options {
        customer_profiles: options.simulation.settings(&kinds),
        pinpoint: options.simulation.pinpoint(&kinds),
        quicksight: options.simulation.quicksight(&kinds),
        port: options.port,
        ..Options::for_kinds(kinds.clone())
    })
    .await?;
    let paint = Paint(colours(std::io::stdout().is_terminal()));
    let (url, port) = (world.edge().url(), world.edge().address().port());
    let heading = |text: &str| println!("\n{}", paint.paint(Tone::Strong, text));
    heading("Environment for aws, boto3 and every AWS SDK");
    for (name, value) in [
        ("AWS_ENDPOINT_URL", url.as_str()),
        ("AWS_REGION", REGION),
        ("AWS_DEFAULT_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
    ] {
        println!("export {name}={value}");
    }
    heading("What is there");
    for kind in &kinds {
        let machine = world.state_machine(kind.name).unwrap_or_default();
        println!("state machine  {machine}");
        for name in [kind.start(), kind.poll()] {
            println!("function       {name}");
        }
    }
    println!("function       {VERIFY}\nfunction       {SEAL}");
    println!("buckets        s3://{EXPORTS}/  s3://{LEDGER}/");
    println!("logs           {}", relative(&world.folder().join("logs")));
    let kind = kinds.first().context("there is no kind of job")?;
    let machine = world.state_machine(kind.name).unwrap_or_default();
    let sample = format!("events/{}.json", kind.name);
    heading("To try");
    println!("aws stepfunctions start-execution --state-machine-arn {machine} --input file://{sample}");
    println!("aws stepfunctions list-executions --state-machine-arn {machine}");
    println!("aws s3 ls --recursive s3://{EXPORTS}/");
    println!(
        "aws lambda invoke --function-name {} --payload fileb://{sample} /dev/stdout",
        kind.start()
    );
    println!(
        "cargo lambda invoke {} --invoke-address 127.0.0.1 --invoke-port {port} --data-file {sample}",
        kind.start()
    );
    // The environment that moto was installed into has boto3.
    let python = python::ensure(&places::workspace()?)?.python();
    println!(
        "{} -c 'import boto3; print(boto3.client(\"s3\").list_buckets()[\"Buckets\"])'",
        relative(&python)
    );
    println!("\nCtrl-C ends it.");
    std::future::pending().await
}
