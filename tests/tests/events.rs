//! Every sample event is accepted, or refused with the expected text.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};
use chrono::Utc;
use landfall::{
    config::Config,
    job::Kind,
    service::{JobService, NamedResources},
    start::admit,
};
use landfall_batch::event::Requests;
use landfall_customer_profiles::SegmentSnapshots;
use landfall_local::event;
use landfall_tests::{
    documents::{PAGES, blocks},
    each_kind,
    harness::config,
};
use serde_json::{Value, json};

/// What a kind does with an event, in words.
fn outcome<S: JobService>(config: &Config, event: &Value) -> String {
    match admit::<S>(config, event) {
        Ok(requested) => {
            let destination = requested
                .destination
                .map_or("no destination".to_owned(), |uri| uri.to_string());
            format!("accepted as {}\nto {destination}", requested.trigger.job_key)
        }
        Err(error) => format!("refused with {error}"),
    }
}

/// What is done with an event that asks for a batch, in words.
fn outcome_of_batch(config: &Config, event: &Value) -> String {
    match landfall_batch::plan::admit(config, event) {
        Ok(asked) => match asked.requests {
            Requests::Inline(requests) => format!("accepted as {}\n{} requests", asked.trigger.job_key, requests.len()),
            Requests::At(uri) => format!("accepted as {}\nrequests in {uri}", asked.trigger.job_key),
        },
        Err(error) => format!("refused with {error}"),
    }
}

type Reader = fn(&Config, &Value) -> String;

macro_rules! outcomes {
    ($($name:ident: $kind:ty),* $(,)?) => { [$((<$kind>::kind(), outcome::<$kind> as Reader)),*] };
}

macro_rules! gates {
    ($($name:ident: $kind:ty),* $(,)?) => { [$((<$kind>::KIND, <$kind>::named_resources as See)),*] };
}

type See = fn(&Value) -> NamedResources;

fn readers() -> BTreeMap<Kind, Reader> {
    let of_batches = (landfall_batch::event::kind(), outcome_of_batch as Reader);
    each_kind!(outcomes).into_iter().chain([of_batches]).collect()
}

fn samples() -> Result<BTreeMap<String, Value>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events");
    let mut samples = BTreeMap::new();
    for file in fs::read_dir(&folder)? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let name = path
                .file_stem()
                .and_then(|name| name.to_str())
                .context("a name that is not UTF-8")?;
            let event = serde_json::from_slice(&fs::read(&path)?).with_context(|| format!("{name} is not JSON"))?;
            samples.insert(name.to_owned(), event);
        }
    }
    Ok(samples)
}

#[test]
fn every_sample_has_its_outcome() -> Result<()> {
    let (config, readers) = (config()?, readers());
    let samples = samples()?;
    assert!(samples.len() >= 10, "{} samples", samples.len());
    for (name, event) in samples {
        let detail_type = event["detail-type"]
            .as_str()
            .with_context(|| format!("{name} has no detail-type"))?;
        let kind = Kind::of_detail_type(detail_type).with_context(|| format!("{name} is of no kind"))?;
        let Some(reader) = readers.get(&kind) else { continue };
        let outcome = reader(&config, &event);
        let expected = match name.split('-').next() {
            Some("malformed") => "refused with Landfall.InvalidEvent",
            Some("forbidden") => "refused with Landfall.Forbidden",
            _ => "accepted",
        };
        assert!(outcome.starts_with(expected), "{name}: {outcome}");
        insta::assert_snapshot!(name, outcome);
    }
    Ok(())
}

/// `landfall check` compares an event with the same allow lists as the functions do.
#[test]
fn the_command_line_checks_the_same_resources_as_the_functions() -> Result<()> {
    let mut seen = 0;
    for (name, event) in samples()? {
        for (kind, see) in each_kind!(gates) {
            let detail = &event["detail"];
            assert_eq!(
                landfall_cli::allowed::named(kind, detail),
                see(detail),
                "{name} as {kind}"
            );
            seen += usize::from(see(detail) != NamedResources::default());
        }
    }
    assert!(seen >= 20, "{seen}");
    Ok(())
}

/// The deployment decides which domains and dashboards may be exported. An endpoint belongs to neither.
#[test]
fn a_name_that_the_deployment_does_not_allow_is_refused() -> Result<()> {
    let readers = readers();
    let allowing = |domains: &str, dashboards: &str| -> Result<Vec<(String, String)>> {
        let mut config = config()?;
        config.allowed.domains = vec![domains.to_owned()];
        config.allowed.dashboards = vec![dashboards.to_owned()];
        let mut outcomes = Vec::new();
        for (name, event) in samples()? {
            let kind = event["detail-type"].as_str().and_then(Kind::of_detail_type);
            if let Some(reader) = kind.and_then(|kind| readers.get(&kind))
                && !name.starts_with("malformed")
                && !name.starts_with("forbidden")
            {
                outcomes.push((name, reader(&config, &event)));
            }
        }
        Ok(outcomes)
    };
    let mut refused = 0;
    for ((name, neither), (_, dashboards_alone)) in allowing("other-*", "*-other")?.into_iter().zip(allowing("", "*")?)
    {
        let (is_segment, is_dashboard) = (name.starts_with("segment"), name.starts_with("dashboard"));
        for (outcome, is_refused) in [(neither, is_segment || is_dashboard), (dashboards_alone, is_segment)] {
            let expected = if is_refused {
                "refused with Landfall.Forbidden"
            } else {
                "accepted"
            };
            assert!(outcome.starts_with(expected), "{name}: {outcome}");
            let member = if is_segment {
                "$.detail.DomainName"
            } else {
                "$.detail.DashboardId"
            };
            assert_eq!(outcome.contains(member), is_refused, "{name}: {outcome}");
            refused += usize::from(is_refused);
        }
    }
    assert!(refused >= 6, "expected many refused events, found {refused}");
    Ok(())
}

/// Each event in the README and its pages can be sent as it is, and so can each request of a batch.
#[test]
fn the_events_in_the_pages_are_valid() -> Result<()> {
    let (config, readers) = (config()?, readers());
    let mut seen = Vec::new();
    for page in PAGES {
        let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(page))?;
        for block in blocks(&page).into_iter().filter(|block| block.language == "json") {
            let mut event: Value = serde_json::from_str(&block.text)?;
            event::fill_in(&mut event, Utc::now());
            let asked = Kind::new(event::kind(&event)?);
            let outcome = readers[&asked](&config, &event);
            assert!(outcome.starts_with("accepted"), "{}: {outcome}", block.text);
            for request in event["detail"]["Requests"].as_array().into_iter().flatten() {
                let kind = Kind::new(request["Kind"].as_str().context("a request of no kind")?);
                let mut alone = event.clone();
                alone["detail-type"] = json!(kind.detail_type());
                alone["detail"] = request["Detail"].clone();
                let outcome = readers[&kind](&config, &alone);
                assert!(outcome.starts_with("accepted"), "{request}: {outcome}");
            }
            seen.push(asked);
        }
    }
    assert_eq!(seen, [SegmentSnapshots::kind(), landfall_batch::event::kind()]);
    Ok(())
}

/// All faults are reported at once, a missing id with its remedy. Members that EventBridge fills in count as missing
/// here.
#[test]
fn an_event_without_an_id_is_told_what_to_do() -> Result<()> {
    let mut event: Value = serde_json::from_str(include_str!("../../events/segment-snapshot-smallest.json"))?;
    let members = event.as_object_mut().context("no event")?;
    members.remove("id");
    members.remove("time");
    let told = outcome::<SegmentSnapshots>(&config()?, &event);
    for part in [
        "has 2 faults",
        "$.id: found nothing",
        "$.detail.Landfall.IdempotencyKey",
        "$.time: found nothing",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
    event["time"] = json!("2026-13-01T05:00:00Z");
    let told = outcome::<SegmentSnapshots>(&config()?, &event);
    assert!(
        told.contains("found \"2026-13-01T05:00:00Z\"; must be a time such as"),
        "{told}"
    );
    event["time"] = json!("2026-11-01T05:00:00Z");
    event["detail"]["Landfall"] = json!({"IdempotencyKey": "a"});
    assert!(outcome::<SegmentSnapshots>(&config()?, &event).starts_with("accepted as a-"));
    Ok(())
}
