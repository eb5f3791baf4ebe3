//! Endpoint exports and imports of Amazon Pinpoint.
//!
//! What must stay true:
//! * CreateExportJob and CreateImportJob have no client token, so neither is ever tried again by the SDK. A lost answer is
//!   settled by looking through the service's own lists: an export is known by its own prefix, an import by what it reads
//!   and when it was made. An import that cannot be told is never started again, since it changes the users' data.
//! * What Pinpoint calls failures are entries of the data. Of them only words of a fixed list leave this crate.
//! * Pinpoint's support ended on 2026-10-30. What a retired endpoint may answer is named so, and never hides an error
//!   that a living one may have given.
//!
//! Source of the requests' shapes: the API model of 2016-12-01, and the last public text of the developer guide.

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
