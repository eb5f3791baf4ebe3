//! A simulated service before it is made.
//!
//! What must stay true: a service is made of its settings, S3 and a clock, and of nothing else. A world can therefore
//! hold any number of services without knowing one. Only the service itself says what it really did.
//!
//! Each service implements [`Simulator`]. A [`Service`] is what the registry and the command line know about it. A
//! [`Recipe`] is a service with its settings. A world makes the service from it when it begins.

use std::{collections::BTreeSet, fmt, str::FromStr, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use landfall::clock::Clock;
use strum::{EnumMessage, VariantArray};

use super::{
    SimulatedService, Sink, Source,
    scenario::{UnknownScenario, description},
};

/// S3 as simulated services use it.
pub trait Storage: Sink + Source {}

impl<S: Sink + Source> Storage for S {}

/// What is asked of a service, whichever it is. What is left out is as usual, and what a service does not have is
/// ignored.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    /// How many profiles, endpoints or rows there are.
    pub rows: Option<u64>,
    /// How long a job takes.
    pub duration: Option<Duration>,
    /// How many data objects a job writes.
    pub files: Option<usize>,
    /// How many jobs run at a time.
    pub at_once: Option<usize>,
    /// The seed of ids and rows.
    pub seed: Option<u64>,
}

/// A service that can be simulated.
pub trait Simulator: SimulatedService + Sized {
    /// The name that its requests are signed for.
    const SIGNING_NAME: &'static str;
    /// The beginning of its requests' paths.
    const PATH: &'static str;
    /// The name of its jobs in the help.
    const JOBS: &'static str;
    /// Its scenarios.
    type Scenario: Copy
        + Default
        + EnumMessage
        + FromStr<Err = UnknownScenario>
        + Into<&'static str>
        + VariantArray
        + 'static;
    /// How it behaves.
    type Settings: Clone + Default + Send + Sync + 'static;

    /// All of its scenarios.
    fn scenarios() -> &'static [Self::Scenario] {
        Self::Scenario::VARIANTS
    }

    /// Makes it.
    fn simulate(storage: Arc<dyn Storage>, clock: Arc<dyn Clock>, settings: Self::Settings) -> Self;

    /// The settings for what was asked.
    fn settings(asked: &Asked, scenario: Self::Scenario) -> Self::Settings;

    /// The jobs that it made, in order.
    fn jobs_made(&self) -> Vec<Made>;

    /// The ids of the jobs that ended well.
    fn jobs_completed(&self) -> BTreeSet<String>;

    /// How many calls reached it.
    fn all_calls(&self) -> usize;

    /// How many start calls reached it, including refused ones.
    fn start_calls(&self) -> usize;
}

/// A job that a service made, whether or not the caller got the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// The service's id.
    pub id: String,
    /// Where it writes or reads: an S3 URI.
    pub place: String,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// The user of the service who started it, if the service knows one.
    pub user: Option<String>,
}

/// A service without its type.
#[derive(Clone, Copy)]
pub struct Service {
    /// The name that its requests are signed for.
    pub signing_name: &'static str,
    /// The beginning of its requests' paths.
    pub path: &'static str,
    /// The name of its jobs in the help.
    pub jobs: &'static str,
    /// The names of its scenarios, each with its text in the help.
    pub scenarios: fn() -> Vec<(&'static str, &'static str)>,
    /// The service with what was asked, and with its usual scenario if none is named.
    pub recipe: fn(&Asked, Option<&str>) -> Result<Recipe, UnknownScenario>,
}

impl Service {
    /// The row of a service.
    pub const fn of<S: Simulator>() -> Self {
        Self {
            signing_name: S::SIGNING_NAME,
            path: S::PATH,
            jobs: S::JOBS,
            scenarios: scenarios::<S>,
            recipe: recipe::<S>,
        }
    }
}

fn scenarios<S: Simulator>() -> Vec<(&'static str, &'static str)> {
    let all = S::scenarios().iter();
    all.map(|scenario| ((*scenario).into(), description(scenario)))
        .collect()
}

fn recipe<S: Simulator>(asked: &Asked, scenario: Option<&str>) -> Result<Recipe, UnknownScenario> {
    let scenario = scenario.map(str::parse::<S::Scenario>).transpose()?.unwrap_or_default();
    Ok(Recipe::of::<S>(S::settings(asked, scenario)))
}

/// Makes a service that uses this storage and this clock.
type Make = dyn Fn(Arc<dyn Storage>, Arc<dyn Clock>) -> Arc<dyn SimulatedService> + Send + Sync;

/// A service with its settings.
#[derive(Clone)]
pub struct Recipe {
    signing_name: &'static str,
    make: Arc<Make>,
}

impl Recipe {
    /// A service that behaves like this.
    pub fn of<S: Simulator>(settings: S::Settings) -> Self {
        Self {
            signing_name: S::SIGNING_NAME,
            make: Arc::new(
                move |storage: Arc<dyn Storage>, clock: Arc<dyn Clock>| -> Arc<dyn SimulatedService> {
                    Arc::new(S::simulate(storage, clock, settings.clone()))
                },
            ),
        }
    }

    /// The name that its requests are signed for.
    pub fn signing_name(&self) -> &'static str {
        self.signing_name
    }

    /// Makes the service.
    pub fn make(&self, storage: Arc<dyn Storage>, clock: Arc<dyn Clock>) -> Arc<dyn SimulatedService> {
        (self.make)(storage, clock)
    }
}

impl fmt::Debug for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recipe")
            .field("signing_name", &self.signing_name)
            .finish_non_exhaustive()
    }
}
