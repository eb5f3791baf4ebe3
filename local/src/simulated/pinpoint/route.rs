//! Which operation a method and a path name.
//!
//! What must stay true: methods and paths are those of the API model.

use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;

use super::order::Way;
use crate::simulated::Refusal;

/// An operation of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// CreateExportJob, CreateImportJob.
    Create(Way),
    /// GetExportJob, GetImportJob.
    Get(Way),
    /// GetExportJobs, GetImportJobs.
    List(Way),
    /// GetSegmentExportJobs, GetSegmentImportJobs.
    ListOfSegment(Way),
    /// An operation that the service does not have.
    Unknown,
}

/// What a method and a path ask for.
pub(super) struct Route {
    pub(super) operation: Operation,
    pub(super) application: String,
    /// The segment's or the job's id, if the path has one.
    pub(super) id: String,
}

impl Route {
    pub(super) fn of(method: &Method, path: &str) -> Result<Self, Refusal> {
        let labels: Vec<String> = path
            .split('/')
            .map(|label| percent_decode_str(label).decode_utf8_lossy().into_owned())
            .collect();
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        /// A method of a path, and what it asks for.
        type Known<'a> = (&'a Method, fn(Way) -> Operation);
        let way = |name: &str| match name {
            "export" => Some(Way::Export),
            "import" => Some(Way::Import),
            _ => None,
        };
        let (application, id, name, operations): (_, _, _, &[Known<'_>]) = match labels.as_slice() {
            ["", "v1", "apps", application, "jobs", name] => (
                application,
                "",
                name,
                &[(&Method::POST, Operation::Create), (&Method::GET, Operation::List)],
            ),
            ["", "v1", "apps", application, "jobs", name, id] => {
                (application, *id, name, &[(&Method::GET, Operation::Get)])
            }
            ["", "v1", "apps", application, "segments", id, "jobs", name] => {
                (application, *id, name, &[(&Method::GET, Operation::ListOfSegment)])
            }
            _ => return Err(Refusal::unknown_operation()),
        };
        let way = way(name).ok_or_else(Refusal::unknown_operation)?;
        let Some((_, operation)) = operations.iter().find(|(known, _)| *known == method) else {
            let status = StatusCode::METHOD_NOT_ALLOWED;
            return Err(Refusal::new(status, "MethodNotAllowedException", "Method not allowed."));
        };
        Ok(Self {
            operation: operation(way),
            application: (*application).to_owned(),
            id: id.to_owned(),
        })
    }
}
