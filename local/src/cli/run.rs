//! `cargo local EVENT`.
//!
//! What must stay true: the exit status is 0 only if every delivery ended in a sealed success whose receipt could be
//! read. Otherwise the named error is the last thing on stderr. Nothing is built before all events have been read.
#![allow(clippy::print_stderr)]

use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use bytes::Bytes;
use chrono::Utc;
use clap::ValueEnum;
use landfall_cli::screen::{Screen, colours, layout, print, relative};
use landfall_local::{
    account::LEDGER,
    document::{self, NamedError},
    event::{self, List},
    functions::BATCH,
    kinds::Kind,
    present::{self, Delivery, Narrator, Paint, Tone},
    world::{Execution, Options, World},
};
use serde_json::Value;

use super::{
    arguments::Run,
    done::{Done, file_name},
    keep::{clear, keep},
    refusal::refuse,
};

/// An event that is to be delivered.
struct Order {
    path: PathBuf,
    event: Value,
    /// The members that were filled in.
    filled_in: Vec<&'static str>,
    /// The names of a batch's requests.
    labels: Vec<String>,
}

/// The events to deliver, and what the world needs for them.
#[derive(Default)]
struct Orders {
    orders: Vec<Order>,
    kinds: Vec<Kind>,
    batches: bool,
    lists: Vec<List>,
}

impl Orders {
    fn read(options: &Run) -> Result<Self> {
        let mut orders = Self::default();
        for path in &options.events {
            orders.add(path, options).with_context(|| path.display().to_string())?;
        }
        Ok(orders)
    }

    fn add(&mut self, path: &Path, options: &Run) -> Result<()> {
        let mut event = event::read(path)?;
        let name = event::kind(&event)?;
        if let Some(format) = options.format {
            let name = format.to_possible_value().context("a format has no name")?;
            event::set_format(&mut event, name.get_name())?;
        }
        let filled_in = event::fill_in(&mut event, Utc::now());
        let mut labels = Vec::new();
        let asked: Vec<Kind> = if name == BATCH {
            self.batches = true;
            let list = event::list_beside(&event, path)?;
            labels = event::labels_of_batch(&event, list.as_ref());
            // If a kind does not exist, the batch itself reports it.
            let kinds = event::kinds_of_batch(&event, list.as_ref());
            self.lists.extend(list);
            kinds.iter().filter_map(|name| Kind::named(name).ok()).collect()
        } else {
            vec![Kind::named(&name)?]
        };
        for kind in asked {
            if !self.kinds.contains(&kind) {
                self.kinds.push(kind);
            }
        }
        self.orders.push(Order {
            path: path.to_owned(),
            event,
            filled_in,
            labels,
        });
        Ok(())
    }
}

pub(super) async fn run(options: &Run) -> Result<ExitCode> {
    let Orders {
        orders,
        kinds,
        batches,
        lists,
    } = Orders::read(options)?;
    let services = options.simulation.services(&kinds)?;
    if let Some(folder) = &options.out {
        clear(folder)?;
    }
    let world = World::start(Options {
        services,
        folder: options.out.clone(),
        batches,
        ..Options::for_kinds(kinds)
    })
    .await?;
    for list in lists {
        world.put(&list.bucket, &list.key, list.body).await?;
    }

    let screen = Screen::new(options.json);
    let mut all = Vec::new();
    // If a delivery breaks off, what was done before it is still reported.
    let mut broken = None;
    for order in &orders {
        let delivered = deliver(&world, order, options, &screen, &mut all).await;
        screen.rest();
        if let Err(error) = delivered {
            broken = Some(error.context(order.path.display().to_string()));
            break;
        }
    }
    if let Some(folder) = &options.out {
        screen.doing("keeping what there is");
        if let Err(error) = keep(&world, &all, folder).await {
            broken.get_or_insert(error.context("not all could be kept"));
        }
    }
    let logs = world.folder().join("logs");
    world.shutdown().await;
    drop(screen);
    let broken = broken.map(|error| format!("{error:#}"));
    let reported = report(options, &all, broken.as_deref(), &logs)?;
    // What was done has been told already.
    Ok(broken.map_or(reported, |error| refuse(false, "Local.Error", &error)))
}

/// Delivers an event as often as was asked for, all at once, and adds what became of it to `all`. Fails with the first
/// delivery that could not be made or followed.
async fn deliver(world: &World, order: &Order, options: &Run, screen: &Screen, all: &mut Vec<Done>) -> Result<()> {
    let Order { path, event, .. } = order;
    let repeat = options.repeat;
    let times = if repeat == 1 {
        String::new()
    } else {
        format!("  {repeat} times at once")
    };
    screen.heading(&format!("{}  {}{times}", event::kind(event)?, path.display()));
    if !order.filled_in.is_empty() {
        let text = event::filled_in(event, &order.filled_in);
        screen.line(&screen.paint.paint(Tone::Faint, &format!("  {text}")));
    }
    let first = all.len() + 1;
    let mut refused = None;
    let mut executions = Vec::new();
    for _ in 0..repeat {
        match world.deliver(event).await {
            Ok(execution) => executions.push(execution),
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
    }
    let followed = executions.into_iter().enumerate().map(|(i, execution)| {
        let label = if repeat == 1 {
            String::new()
        } else {
            format!("{:>3} ", format!("#{}", first + i))
        };
        follow(world, order, execution, label, options, screen)
    });
    for done in futures::future::join_all(followed).await {
        match done {
            Ok(done) => all.push(done),
            Err(error) => {
                refused.get_or_insert(error);
            }
        }
    }
    refused.map_or(Ok(()), Err)
}

async fn follow(
    world: &World,
    order: &Order,
    execution: Execution,
    label: String,
    options: &Run,
    screen: &Screen,
) -> Result<Done> {
    let mut narrator = Narrator::new(options.all);
    // Several deliveries tell much the same. The table at the end says what became of each.
    let is_told = options.repeat == 1 || options.all;
    let finished = world
        .follow(&execution, |step| {
            for line in narrator.tell(step) {
                if is_told {
                    screen.line(&line.render(&label, screen.paint));
                }
            }
            screen.doing(narrator.now().unwrap_or_default());
        })
        .await?;
    let took = execution.begun.elapsed();
    let job = finished.job();
    let receipt_uri = job
        .as_ref()
        .and_then(|job| job["outcome"]["receipt"].as_str())
        .map(str::to_owned);
    let receipt = match receipt_uri
        .as_deref()
        .and_then(|uri| uri.strip_prefix("s3://")?.split_once('/'))
    {
        Some((bucket, key)) => world
            .object(bucket, key)
            .await?
            .and_then(|body| serde_json::from_slice(&body).ok()),
        None => None,
    };
    let results = match receipt
        .as_ref()
        .and_then(|receipt: &Value| receipt["results"]["key"].as_str())
    {
        Some(key) => world.object(LEDGER, key).await?.unwrap_or_default(),
        None => Bytes::new(),
    };
    let results = results
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect();
    Ok(Done {
        event: order.path.clone(),
        filled_in: order.filled_in.clone(),
        labels: order.labels.clone(),
        execution,
        finished,
        job,
        receipt_uri,
        receipt,
        results,
        took,
    })
}

/// Prints the result and decides the exit status. It is success only if everything was delivered and kept.
fn report(options: &Run, all: &[Done], broken: Option<&str>, logs: &Path) -> Result<ExitCode> {
    let succeeded = broken.is_none() && all.iter().all(Done::is_sealed_success);
    if options.json {
        let document = document::Run {
            schema: document::RUN_SCHEMA,
            landfall: env!("CARGO_PKG_VERSION"),
            sealed_success: succeeded,
            deliveries: all.iter().map(Done::document).collect(),
            error: broken.map(|message| NamedError {
                name: "Local.Error".to_owned(),
                message: message.to_owned(),
            }),
            logs: logs.display().to_string(),
            out: options.out.as_ref().map(|folder| folder.display().to_string()),
        };
        print(&serde_json::to_string_pretty(&document)?)?;
    } else {
        let layout = layout(options.all);
        let heading = |text: &str| layout.paint.paint(Tone::Strong, text);
        let mut parts = Vec::new();
        // Each receipt is shown once, however many deliveries led to it.
        let mut shown: Vec<&str> = Vec::new();
        for done in all {
            let (Some(receipt), Some(uri)) = (&done.receipt, &done.receipt_uri) else {
                continue;
            };
            if shown.contains(&uri.as_str()) {
                continue;
            }
            shown.push(uri);
            let (name, tables) = if done.execution.kind == BATCH {
                (
                    "Summary",
                    present::summary(receipt, &done.results, &done.labels, layout),
                )
            } else {
                ("Receipt", present::receipt(receipt, layout))
            };
            parts.push(format!("\n{}  {uri}\n\n{tables}", heading(name)));
        }
        if all.len() > 1 {
            let rows: Vec<Delivery> = all.iter().enumerate().map(|(i, done)| done.delivery(i + 1)).collect();
            let tables = present::deliveries(&rows, layout);
            parts.push(format!("\n{}\n\n{tables}", heading("Deliveries")));
        }
        parts.push(match &options.out {
            Some(folder) => format!("\nKept in {}", folder.display()),
            None => format!("\nLogs are in {}; --out FOLDER keeps the files too.", relative(logs)),
        });
        print(&parts.join("\n"))?;
    }
    let mut said = Vec::new();
    for done in all {
        let Some((name, message)) = done.error() else { continue };
        // Deliveries of one event often fail alike.
        let error = (file_name(&done.event), name, message);
        if said.contains(&error) {
            continue;
        }
        let (event, name, message) = &error;
        let paint = Paint(colours(std::io::stderr().is_terminal()));
        let place = if options.events.len() > 1 {
            format!("{event}: ")
        } else {
            String::new()
        };
        eprintln!("\n{place}{}: {message}", paint.paint(Tone::Bad, name));
        said.push(error);
    }
    Ok(if succeeded {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
