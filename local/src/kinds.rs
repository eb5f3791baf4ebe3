//! The kinds of jobs that run on this machine.
//!
//! What must stay true: a kind of the program `landfall` runs here as soon as its service is simulated. No code here
//! knows a kind by its name.

use std::{fmt, sync::LazyLock};

use anyhow::{Context, Result};
use landfall_cli::kinds;

use crate::simulated::{SERVICES, simulator::Service};

/// A kind of job. Its functions are `<kind>-start` and `<kind>-poll`.
#[derive(Clone, Copy)]
pub struct Kind {
    /// Its name, such as `segment-snapshot`.
    pub name: &'static str,
    /// The service that is simulated for it.
    pub service: Service,
}

/// Every kind.
pub static KINDS: LazyLock<Vec<Kind>> = LazyLock::new(|| {
    let kind = |name: &'static str| {
        let signing_name = kinds::row(name)?.service.signing_name;
        let service = SERVICES
            .into_iter()
            .find(|service| service.signing_name == signing_name)?;
        Some(Kind { name, service })
    };
    kinds::KINDS.into_iter().filter_map(kind).collect()
});

/// The services of these kinds, each once.
pub fn services(kinds: &[Kind]) -> Vec<Service> {
    let mut services: Vec<Service> = Vec::new();
    for Kind { service, .. } in kinds {
        if !services.iter().any(|other| other.signing_name == service.signing_name) {
            services.push(*service);
        }
    }
    services
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Kind {}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Kind {
    /// The kind with this name.
    pub fn named(name: &str) -> Result<Self> {
        KINDS.iter().copied().find(|kind| kind.name == name).with_context(|| {
            let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
            format!("there is no kind of job {name:?}; there is {}", names.join(", "))
        })
    }

    /// The name of the function that starts its jobs.
    pub fn start(self) -> String {
        format!("{}-start", self.name)
    }

    /// The name of the function that polls its jobs.
    pub fn poll(self) -> String {
        format!("{}-poll", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_found_by_name() {
        assert_eq!(
            Kind::named("segment-snapshot").unwrap().start(),
            "segment-snapshot-start"
        );
        let error = Kind::named("moon-landing").unwrap_err().to_string();
        assert!(error.contains("segment-snapshot"), "{error}");
    }

    #[test]
    fn each_service_is_listed_once() {
        let names: Vec<&str> = services(&KINDS).iter().map(|service| service.signing_name).collect();
        assert_eq!(names, SERVICES.map(|service| service.signing_name));
    }

    #[test]
    fn every_kind_runs_here() {
        let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
        assert_eq!(names, kinds::KINDS);
    }
}
