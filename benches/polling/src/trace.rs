//! Traces: the durations of a request's runs, in order.

use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};

/// The longest duration in seconds. A job has at most a day.
const LONGEST: f64 = 80_000.0;

/// Medians of the requests, in seconds: 20 s to 3 h.
pub const MEDIANS: [f64; 7] = [20.0, 60.0, 180.0, 600.0, 1_800.0, 3_600.0, 10_800.0];

/// How the durations of a request vary from run to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// By 2 %.
    Steady,
    /// By 10 %, and one run in twenty takes three to eight times as long.
    HeavyTailed,
    /// By 10 %, and by 3 % from run to run: up through twenty runs, and down through twenty.
    Drifting,
    /// By 10 %, and three runs in ten take six times as long.
    Bimodal,
    /// By half.
    Erratic,
    /// By 10 %, and each run is the first one.
    FirstRun,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 6] = [
        Self::Steady,
        Self::HeavyTailed,
        Self::Drifting,
        Self::Bimodal,
        Self::Erratic,
        Self::FirstRun,
    ];

    /// The name that people read.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::HeavyTailed => "heavy-tailed",
            Self::Drifting => "drifting",
            Self::Bimodal => "bimodal",
            Self::Erratic => "erratic",
            Self::FirstRun => "first run",
        }
    }

    /// The durations in seconds of `runs` runs of a request with this median, in order.
    #[must_use]
    pub fn durations(self, median: f64, runs: usize, seed: u64) -> Vec<f64> {
        let mut random = StdRng::seed_from_u64(seed);
        (0..runs).map(|run| self.duration(median, run, &mut random)).collect()
    }

    fn duration(self, median: f64, run: usize, random: &mut StdRng) -> f64 {
        let deviation = match self {
            Self::Steady => 0.02,
            Self::HeavyTailed | Self::Drifting | Self::Bimodal | Self::FirstRun => 0.10,
            Self::Erratic => 0.50,
        };
        let usual = median * (deviation * normal(random)).exp();
        let factor = match self {
            Self::HeavyTailed if random.random_bool(0.05) => random.random_range(3.0..8.0),
            Self::Bimodal if random.random_bool(0.3) => 6.0,
            Self::Drifting => 1.03f64.powi(20 - (run as i32 % 40 - 20).abs()),
            _ => 1.0,
        };
        (usual * factor).clamp(1.0, LONGEST)
    }
}

/// A random number of the standard normal distribution, by Box and Muller.
fn normal(random: &mut impl Rng) -> f64 {
    let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.random::<f64>()).cos()
}
