//! The services, simulated.
//!
//! What must stay true: a simulated service accepts and refuses what the real one does, with the same status, code and
//! body. It writes real files through the same S3 that the functions read. Nothing in it is random: answers, ids and
//! files follow from the seed, the clock and the calls.

mod answer;
pub mod customer_profiles;
mod derived;
mod orc;
pub mod pinpoint;
pub mod profiles;
pub mod quicksight;
pub mod scenario;
mod service;
pub mod simulator;

pub(crate) use self::derived::{derived_bytes, derived_hex, derived_uuid, uuid};
pub use self::{
    answer::{Call, ConnectionCut, Failure, Refusal, json_response},
    service::{SimulatedService, Sink, Source},
};

/// Every service that is simulated. A new service is one more line.
pub const SERVICES: [simulator::Service; 3] = [
    simulator::Service::of::<customer_profiles::CustomerProfiles>(),
    simulator::Service::of::<pinpoint::Pinpoint>(),
    simulator::Service::of::<quicksight::QuickSight>(),
];
