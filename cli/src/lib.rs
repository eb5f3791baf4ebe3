//! What people see of jobs, and what they do about them.
//!
//! The program `landfall` asks a deployment (its ledger, its receipts, its executions) and acts on it. `cargo local`
//! shows its runs with the same words and tables. It needs none of the clients, so those are behind the feature
//! `account`.

pub mod access;
#[cfg(feature = "account")]
pub mod account;
pub mod act;
pub mod allowed;
pub mod check;
pub mod cost;
pub mod doctor;
pub mod document;
pub mod event;
pub mod executions;
pub mod follow;
pub mod jobs;
pub mod kinds;
pub mod next;
#[cfg(feature = "account")]
pub mod plain_calls;
pub mod present;
#[cfg(feature = "account")]
pub mod report;
pub mod screen;
pub mod show;
pub mod steps;
pub mod template;
pub mod verify;
