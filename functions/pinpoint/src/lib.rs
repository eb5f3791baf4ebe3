//! Endpoint exports and imports of Amazon Pinpoint.
//!
//! What must stay true:
//! * CreateExportJob and CreateImportJob have no client token, so the SDK must never repeat them. After a lost answer,
//!   the service's own lists are searched: an export is recognised by its own prefix, an import by what it reads and
//!   when it was made. If an import cannot be identified, it is never started again, because it changes the users'
//!   data.
//! * Pinpoint calls entries of the data failures. Only words of a fixed list leave this crate.
//! * Pinpoint's support ended on 2026-10-30. An answer that may come from a retired endpoint is reported as retired,
//!   and the error that it would otherwise mean is reported too.
//!
//! The shapes of the requests come from the API model of 2016-12-01 and from the last public text of the developer
//! guide.

mod client;
pub mod errors;
mod exports;
mod failures;
pub mod functions;
mod imports;
mod lost;
pub mod retirement;
mod source;

pub use client::Surroundings;
pub use exports::{CreateExportJob, EndpointExports, ExportJobRequest};
pub use imports::{CreateImportJob, EndpointImports, ImportJobRequest};
pub use source::ImportFormat;
