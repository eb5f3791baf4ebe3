//! `cargo local EVENT`.
//!
//! What must stay true: the exit status is 0 only if every delivery ended in a sealed success whose receipt could be
//! read; otherwise the named error is the last thing on stderr.
#![allow(clippy::print_stderr)]

use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result};
use bytes::Bytes;
use clap::ValueEnum;
use landfall_local::{
    deploy::LEDGER,
    event,
    functions::{BATCH, Kind},
    present::{self, Delivery, Narrator, Paint, Tone},
    watch::message_of,
    world::{Execution, Finished, Options, World},
};
use serde_json::{Value, json};

use super::{
    arguments::Run,
    keep::{clear, keep},
    screen::{Screen, colours, layout, print, relative},
};

/// What is known of one delivery at its end.
pub(super) struct Done {
    pub(super) event: PathBuf,
    pub(super) execution: Execution,
    pub(super) finished: Finished,
    pub(super) job: Option<Value>,
    pub(super) receipt_uri: Option<String>,
    pub(super) receipt: Option<Value>,
    /// What became of each request, of a batch.
    pub(super) results: Vec<Value>,
    pub(super) took: Duration,
}

impl Done {
    pub(super) fn is_sealed_success(&self) -> bool {
        self.finished.is_success()
            && self
                .receipt
                .as_ref()
                .is_some_and(|receipt| receipt["verdict"] == "succeeded")
    }

    /// The named error and its message; `None` for a sealed success.
    pub(super) fn error(&self) -> Option<(String, String)> {
        if self.is_sealed_success() {
            return None;
        }
        if self.finished.is_success() {
            let uri = self.receipt_uri.as_deref().unwrap_or("no place");
            let message = format!("the execution succeeded, but there is no receipt of a success at {uri}");
            return Some(("Landfall.Internal".to_owned(), message));
        }
        let name = self
            .finished
            .error
            .clone()
            .unwrap_or_else(|| self.finished.status.clone());
        Some((name, message_of(self.finished.cause.as_deref().unwrap_or_default())))
    }

    pub(super) fn delivery(&self, number: usize) -> Delivery {
        Delivery {
            number,
            event: file_name(&self.event),
            status: self.finished.status.clone(),
            became: present::became(self.job.as_ref(), self.error().as_ref().map(|(name, _)| name.as_str())),
            job_key: self.key().unwrap_or_default().to_owned(),
            took: self.took,
        }
    }

    /// Of the job or the batch.
    pub(super) fn key(&self) -> Option<&str> {
        let job = self.job.as_ref()?;
        job["job_key"].as_str().or(job["batch_key"].as_str())
    }

    pub(super) fn document(&self) -> Value {
        let error = self
            .error()
            .map(|(name, message)| json!({"name": name, "message": message}));
        json!({
            "event": self.event.display().to_string(),
            "kind": self.execution.kind,
            "execution": self.execution.arn,
            "status": self.finished.status,
            "sealed_success": self.is_sealed_success(),
            "seconds": self.took.as_secs_f64(),
            "job_key": self.key(),
            "adopted": self.job.as_ref().map(|job| job["adopted"].clone()),
            "error": error,
            "states": self.finished.states(),
            "receipt_uri": self.receipt_uri,
            "receipt": self.receipt,
            "results": (self.execution.kind == BATCH).then_some(&self.results),
        })
    }
}

pub(super) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).display().to_string()
}

pub(super) async fn run(options: &Run) -> Result<ExitCode> {
    let mut events = Vec::new();
    let mut kinds: Vec<Kind> = Vec::new();
    let (mut batches, mut lists) = (false, Vec::new());
    for path in &options.events {
        let mut event = event::read(path)?;
        let named = |error: anyhow::Error| error.context(path.display().to_string());
        if let Some(format) = options.format {
            let name = format.to_possible_value().context("a format has no name")?;
            event::set_format(&mut event, name.get_name()).map_err(named)?;
        }
        let name = event::kind(&event).map_err(named)?;
        let asked: Vec<Kind> = if name == BATCH {
            batches = true;
            let list = event::list_beside(&event, path).map_err(named)?;
            // Of a kind that does not exist a batch says so itself.
            let kinds = event::kinds_of_batch(&event, list.as_ref());
            lists.extend(list);
            kinds.iter().filter_map(|name| Kind::named(name).ok()).collect()
        } else {
            vec![Kind::named(&name).map_err(named)?]
        };
        for kind in asked {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        events.push((path, event));
    }

    options.simulation.check(&kinds)?;
    if let Some(folder) = &options.out {
        clear(folder)?;
    }
    let world = World::start(Options {
        customer_profiles: options.simulation.settings(&kinds),
        pinpoint: options.simulation.pinpoint(&kinds),
        quicksight: options.simulation.quicksight(&kinds),
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
    // What breaks off loses nothing of what was done before it.
    let mut broken = None;
    for (path, event) in &events {
        let delivered = deliver(&world, path, event, options.repeat, &screen, &mut all).await;
        screen.rest();
        if let Err(error) = delivered {
            broken = Some(error.context(path.display().to_string()));
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
    let reported = report(options, &all, broken.is_none(), &logs)?;
    broken.map_or(Ok(reported), Err)
}

/// Delivers an event as often as was asked for, at once, and adds what became of it to `all`. Fails with the first
/// delivery that could not be made or followed.
async fn deliver(
    world: &World,
    path: &Path,
    event: &Value,
    repeat: u16,
    screen: &Screen,
    all: &mut Vec<Done>,
) -> Result<()> {
    screen.heading(&format!("{}  {}", event::kind(event)?, path.display()));
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
        follow(world, path, execution, label, screen)
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

async fn follow(world: &World, path: &Path, execution: Execution, label: String, screen: &Screen) -> Result<Done> {
    let mut narrator = Narrator::default();
    let finished = world
        .follow(&execution, |step| {
            for line in narrator.tell(step) {
                screen.line(&line.render(&label, screen.paint));
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
        event: path.to_owned(),
        execution,
        finished,
        job,
        receipt_uri,
        receipt,
        results,
        took,
    })
}

/// Prints the result and decides the exit status, which tells of success only if everything was delivered and kept.
fn report(options: &Run, all: &[Done], is_whole: bool, logs: &Path) -> Result<ExitCode> {
    let succeeded = is_whole && all.iter().all(Done::is_sealed_success);
    if options.json {
        let document = json!({
            "sealed_success": succeeded,
            "deliveries": all.iter().map(Done::document).collect::<Vec<_>>(),
            "logs": logs.display().to_string(),
            "out": options.out.as_ref().map(|folder| folder.display().to_string()),
        });
        print(&serde_json::to_string_pretty(&document)?)?;
    } else {
        let layout = layout();
        let heading = |text: &str| layout.paint.paint(Tone::Strong, text);
        let mut parts = Vec::new();
        // The same receipt once, however many deliveries led to it.
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
                ("Summary", present::summary(receipt, &done.results, layout))
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
        // Deliveries of one event mostly fail alike.
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
