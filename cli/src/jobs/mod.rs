//! The jobs of a deployment, one row each, from the ledger and the executions.

mod batches;
mod collect;
mod document;
mod filter;
mod row;
mod table;

#[cfg(test)]
mod tests;

pub use self::{
    batches::{BatchRow, batches},
    collect::{Found, Sources, collect},
    document::{Jobs, SCHEMA, Totals},
    filter::Filter,
    row::{Row, Status, what},
    table::{WIDTH, batch_lines, table},
};
