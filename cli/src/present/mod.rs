//! What a run looks like to a person.
//!
//! What must stay true: everything here is a pure function from steps and receipts to text, so it looks the same
//! wherever it is shown. It reads only members that all jobs and receipts share. If one is missing it shows less, and
//! it never fails. It knows no service.

mod deliveries;
mod narrator;
mod paint;
mod receipt;
mod verified;
mod words;

#[cfg(test)]
mod tests;

pub use self::{
    deliveries::{Delivery, became, deliveries},
    narrator::{Line, Narrator},
    paint::{Layout, Paint, Tone},
    receipt::{receipt, summary},
    verified::{verified, verifying},
    words::{bytes, counted, grouped, wrapped},
};
