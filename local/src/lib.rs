//! Runs the whole flow on one machine: the deployed definition and the function binaries, without an AWS account.
//!
//! One process serves one loopback port, the [`edge`]. Every AWS client of a run calls it.
//!
//! * It answers the Lambda Invoke and Runtime APIs, and so runs the functions' own binaries as child processes.
//! * It answers the services with the [`simulated`] ones.
//! * It passes everything else (Step Functions, S3, EventBridge, SQS) to a `moto_server`. The command installs that
//!   server by itself.
//!
//! [`world::World`] puts it together. The flow tests drive it in-process, and `cargo local` drives it from the
//! terminal.

pub mod account;
pub mod aws;
pub mod children;
pub mod deploy;
pub mod document;
pub mod edge;
pub mod event;
pub mod functions;
pub mod kinds;
pub mod moto;
pub mod places;
pub mod python;
pub mod rules;
pub mod simulated;
pub mod stack;
pub mod template;
pub mod watch;
pub mod world;

pub use landfall_cli::present;
