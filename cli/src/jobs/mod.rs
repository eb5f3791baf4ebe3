//! The jobs of a deployment: what the ledger and the executions say of them, one row each.

mod collect;
mod document;
mod filter;
mod row;
mod table;

#[cfg(test)]
mod tests;

pub use self::{
    collect::{Found, Sources, collect},
    document::{Jobs, SCHEMA, Totals},
    filter::Filter,
    row::{Row, Status, what},
    table::{WIDTH, table},
};
