//! One row for each kind, with what the tests need to know about it.
//!
//! What must stay true: everything that the tests need to know about a kind is here and nowhere else. The conformance
//! suite (`tests/kinds.rs`) and everything that uses [`each_kind`](crate::each_kind) run for each row.

use std::{ops::Range, sync::Arc, time::Duration};

use anyhow::Result;
use aws_config::SdkConfig;
use chrono::{DateTime, Utc};
use landfall::{clock::Clock, service::JobService};
pub use landfall_customer_profiles::SegmentSnapshots;
use landfall_local::{
    account::EXPORTS,
    simulated::{
        customer_profiles::{self, CustomerProfiles},
        pinpoint::{self, Pinpoint},
        quicksight::{self, QuickSight},
        simulator::{Asked, Simulator},
    },
};
use landfall_pinpoint::Surroundings;
pub use landfall_pinpoint::{EndpointExports, EndpointImports};
pub use landfall_quicksight::DashboardSnapshots;
use serde_json::{Value, json};

use crate::memory_store::MemoryStore;

/// The role that Landfall assumes to act for a registered user of Quick Sight.
pub const SESSION_ROLE: &str = "arn:aws:iam::111122223333:role/landfall-user-session";

/// Passes each kind to a macro, as a module name and the type of its service.
#[macro_export]
macro_rules! each_kind {
    ($with:ident) => {
        $with! {
            segment_snapshot: $crate::kinds::SegmentSnapshots,
            dashboard_snapshot: $crate::kinds::DashboardSnapshots,
            endpoint_export: $crate::kinds::EndpointExports,
            endpoint_import: $crate::kinds::EndpointImports,
        }
    };
}

/// How a job of a scenario can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// It ends as a success unless something else goes wrong.
    Good,
    /// It may end either way.
    Open,
    /// It cannot end as a success.
    Bad,
}

/// How a job that a lost start call made is found again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundBy {
    /// Nothing. It writes under its own prefix, so another job does no harm.
    Nothing,
    /// By the place that it writes to.
    Place,
    /// By what it reads and when it was made.
    Source,
    /// By our key, which is its id.
    Key,
}

/// What the service says about an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Nothing,
    /// How many rows it has.
    Rows,
    /// Which files there are, each with rows of its own.
    Files,
}

type Scenario<S> = <<S as Subject>::Simulated as Simulator>::Scenario;

/// A kind, with what the tests need of it.
pub trait Subject: JobService + 'static {
    type Simulated: Simulator;

    const SAMPLE: &'static str;

    /// The service and operation of the start call, as botocore's models name them.
    const START_CALL: (&'static str, &'static str);

    /// The service that the kind passes a role to, as IAM names it. `None` if it passes no role.
    const PASSES_ROLE_TO: Option<&'static str>;

    /// How a job that a lost start call made is found again.
    const FOUND_BY: FoundBy;

    /// What the service says about an output.
    const TOLD: Told;

    /// The prefix in the bucket of exports that the sample event writes to.
    const DESTINATION: &'static str;

    /// How many data objects a job of the sample event may write, if the service chooses.
    const FILES: Range<u64>;

    /// Makes the kind's handlers with their clients.
    fn connect(sdk: &SdkConfig, clock: Arc<dyn Clock>) -> Self;

    /// Writes what the sample event reads into the bucket of exports.
    fn prepare(_store: &MemoryStore, _rows: u64) -> Result<()> {
        Ok(())
    }

    /// The scenarios whose runs take only a few milliseconds.
    fn scenarios() -> Vec<Scenario<Self>> {
        <Self::Simulated as Simulator>::scenarios().to_vec()
    }

    /// The resource that IAM is asked about for a request with this path: the end of an ARN.
    fn resource(path: &[&str]) -> Option<String>;

    /// How a job of this scenario can end.
    fn outlook(scenario: Scenario<Self>) -> Outlook;

    /// Users that the sample event may name as `Landfall.RegisteredUser` instead of its own reader.
    fn readers() -> Vec<Value> {
        Vec::new()
    }

    fn sample() -> Result<Value> {
        Ok(serde_json::from_str(Self::SAMPLE)?)
    }

    /// Settings of a service whose jobs have so many rows and take so long.
    fn usual(rows: u64, duration: Duration) -> <Self::Simulated as Simulator>::Settings {
        let asked = Asked {
            rows: Some(rows),
            duration: Some(duration),
            ..Asked::default()
        };
        <Self::Simulated as Simulator>::settings(&asked, Default::default())
    }
}

impl Subject for SegmentSnapshots {
    type Simulated = CustomerProfiles;
    const SAMPLE: &'static str = include_str!("../../events/segment-snapshot.json");
    const START_CALL: (&'static str, &'static str) = ("customer-profiles", "CreateSegmentSnapshot");
    const PASSES_ROLE_TO: Option<&'static str> = Some("profile.amazonaws.com");
    const FOUND_BY: FoundBy = FoundBy::Nothing;
    const TOLD: Told = Told::Nothing;
    const DESTINATION: &'static str = "segments/high-value-customers/";
    const FILES: Range<u64> = 1..4;

    fn connect(sdk: &SdkConfig, _: Arc<dyn Clock>) -> Self {
        Self::new(sdk)
    }

    /// Leaves out the scenario with many files, which takes too long. Tests make slices small instead.
    fn scenarios() -> Vec<customer_profiles::Scenario> {
        let all = customer_profiles::Scenario::ALL.iter().copied();
        all.filter(|one| *one != customer_profiles::Scenario::ManyFiles)
            .collect()
    }

    fn resource(path: &[&str]) -> Option<String> {
        match path {
            ["domains", domain, "segment-estimates", ..] => Some(format!("domains/{domain}")),
            ["domains", domain, _, segment, ..] => Some(format!("domains/{domain}/segment-definitions/{segment}")),
            _ => None,
        }
    }

    fn outlook(scenario: customer_profiles::Scenario) -> Outlook {
        use customer_profiles::Scenario as At;
        match scenario {
            At::Denied
            | At::EmptySegment
            | At::NotFound
            | At::OutputCorrupt
            | At::OutputEmptyFile
            | At::OutputMissing
            | At::OutputWrongFormat
            | At::PollNotFound
            | At::QuotaExceeded
            | At::ServiceFailed
            | At::Stuck
            | At::UnknownStatus => Outlook::Bad,
            At::LateFile => Outlook::Open,
            _ => Outlook::Good,
        }
    }
}

/// Settings for Pinpoint before its end of support.
fn supported(clock: Arc<dyn Clock>) -> Surroundings {
    Surroundings {
        end_of_support: DateTime::<Utc>::MAX_UTC,
        clock,
    }
}

fn resource_of_pinpoint(path: &[&str]) -> Option<String> {
    match path {
        ["v1", rest @ ..] => Some(rest.join("/")),
        _ => None,
    }
}

fn outlook_at_pinpoint(scenario: pinpoint::Scenario) -> Outlook {
    use pinpoint::Scenario as At;
    match scenario {
        At::CompletedWithFailures
        | At::Denied
        | At::NotFound
        | At::Retired
        | At::RetiredGone
        | At::RetiredNotFound
        | At::ServiceFailed
        | At::Stuck
        | At::UnknownStatus => Outlook::Bad,
        At::EmptyDefinition | At::Full => Outlook::Open,
        _ => Outlook::Good,
    }
}

impl Subject for EndpointExports {
    type Simulated = Pinpoint;
    const SAMPLE: &'static str = include_str!("../../events/endpoint-export.json");
    const START_CALL: (&'static str, &'static str) = ("pinpoint", "CreateExportJob");
    const PASSES_ROLE_TO: Option<&'static str> = Some("pinpoint.amazonaws.com");
    const FOUND_BY: FoundBy = FoundBy::Place;
    const TOLD: Told = Told::Rows;
    const DESTINATION: &'static str = "endpoints/all/";
    const FILES: Range<u64> = 1..4;

    fn connect(sdk: &SdkConfig, clock: Arc<dyn Clock>) -> Self {
        Self::within(sdk, supported(clock))
    }

    fn resource(path: &[&str]) -> Option<String> {
        resource_of_pinpoint(path)
    }

    fn outlook(scenario: pinpoint::Scenario) -> Outlook {
        use pinpoint::Scenario as At;
        match scenario {
            At::EmptySegment | At::OutputCorrupt | At::OutputMissing => Outlook::Bad,
            other => outlook_at_pinpoint(other),
        }
    }
}

impl Subject for EndpointImports {
    type Simulated = Pinpoint;
    const SAMPLE: &'static str = include_str!("../../events/endpoint-import.json");
    const START_CALL: (&'static str, &'static str) = ("pinpoint", "CreateImportJob");
    const PASSES_ROLE_TO: Option<&'static str> = Some("pinpoint.amazonaws.com");
    const FOUND_BY: FoundBy = FoundBy::Source;
    const TOLD: Told = Told::Rows;
    const DESTINATION: &'static str = "";
    const FILES: Range<u64> = 1..2;

    fn connect(sdk: &SdkConfig, clock: Arc<dyn Clock>) -> Self {
        Self::within(sdk, supported(clock))
    }

    fn prepare(store: &MemoryStore, rows: u64) -> Result<()> {
        for (key, body) in pinpoint::samples(0, rows)? {
            store.insert(EXPORTS, key, body);
        }
        Ok(())
    }

    fn resource(path: &[&str]) -> Option<String> {
        resource_of_pinpoint(path)
    }

    fn outlook(scenario: pinpoint::Scenario) -> Outlook {
        outlook_at_pinpoint(scenario)
    }
}

impl Subject for DashboardSnapshots {
    type Simulated = QuickSight;
    const SAMPLE: &'static str = include_str!("../../events/dashboard-snapshot.json");
    const START_CALL: (&'static str, &'static str) = ("quicksight", "StartDashboardSnapshotJob");
    const PASSES_ROLE_TO: Option<&'static str> = None;
    const FOUND_BY: FoundBy = FoundBy::Key;
    const TOLD: Told = Told::Files;
    const DESTINATION: &'static str = "dashboards/sales-overview/";
    /// The sample asks for a CSV and a PDF.
    const FILES: Range<u64> = 2..3;

    fn connect(sdk: &SdkConfig, _: Arc<dyn Clock>) -> Self {
        Self::new(sdk, Some(SESSION_ROLE.to_owned()))
    }

    fn resource(path: &[&str]) -> Option<String> {
        match path {
            ["accounts", _, "dashboards", dashboard, "snapshot-jobs"] => Some(format!("dashboard/{dashboard}")),
            ["accounts", _, "dashboards", dashboard, "snapshot-jobs", job, ..] => {
                Some(format!("dashboard/{dashboard}/snapshot-job/{job}"))
            }
            _ => None,
        }
    }

    fn outlook(scenario: quicksight::Scenario) -> Outlook {
        use quicksight::Scenario as At;
        match scenario {
            At::Denied
            | At::FileError
            | At::NotFound
            | At::OutputCorrupt
            | At::OutputMissing
            | At::OutputWrongFormat
            | At::RlsChanged
            | At::ServiceFailed
            | At::Stuck
            | At::UnknownStatus => Outlook::Bad,
            // Only registered users have sessions; the sample event's readers are anonymous.
            At::IdTaken | At::IdentityCenterUser | At::SessionDenied => Outlook::Open,
            _ => Outlook::Good,
        }
    }

    fn readers() -> Vec<Value> {
        vec![
            json!({ "UserArn": "arn:aws:quicksight:us-east-1:111122223333:user/default/anna" }),
            json!({ "UserName": "anna", "Namespace": "default" }),
            json!({ "Email": "anna@example.com", "Namespace": "default", "IdentityRegion": "us-east-1" }),
        ]
    }
}
