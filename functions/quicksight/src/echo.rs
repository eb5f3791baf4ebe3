//! Compares what the service says of a job with what was asked for.
//!
//! What must stay true: only what the service says is compared. A difference is reported by name, never by value.
//! Values of parameters are not compared: the service need not say them, and the id of the job holds a hash of them.

use aws_sdk_quicksight::{
    operation::describe_dashboard_snapshot_job::DescribeDashboardSnapshotJobOutput,
    types::SnapshotConfiguration as Configuration,
};
use landfall::job::Echo;

use crate::{ids::Ids, request::Recorded};

/// What differs between two configurations: the files, or the destination.
pub(crate) fn differences(wanted: &Configuration, told: &Configuration) -> Vec<&'static str> {
    let mut differences = Vec::new();
    if files(wanted) != files(told) {
        differences.push("the files");
    }
    if place(wanted) != place(told) {
        differences.push("the destination");
    }
    differences
}

fn place(configuration: &Configuration) -> Option<(String, String, String)> {
    let destination = configuration.destination_configuration()?.s3_destinations().first()?;
    let bucket = destination.bucket_configuration()?;
    // AWS does not document whether the service keeps a slash at the end.
    let prefix = bucket.bucket_prefix().trim_matches('/').to_owned();
    Some((
        bucket.bucket_name().to_owned(),
        prefix,
        bucket.bucket_region().to_owned(),
    ))
}

fn files(configuration: &Configuration) -> impl PartialEq + use<> {
    let files = configuration.file_groups().iter().flat_map(|group| group.files());
    let selections = files.map(|file| {
        let selections = file.sheet_selections().iter().map(|selection| {
            let visuals = selection.visual_ids().to_vec();
            (
                selection.sheet_id().to_owned(),
                selection.selection_scope().clone(),
                visuals,
            )
        });
        (file.format_type().clone(), selections.collect::<Vec<_>>())
    });
    selections.collect::<Vec<_>>()
}

/// Compares the description of a job with the recorded request.
pub(crate) fn of(request: &Recorded, ids: Ids<'_>, told: &DescribeDashboardSnapshotJobOutput) -> Echo {
    let mut echo = Echo::default();
    echo.compare("SnapshotJobId", Some(ids.job), told.snapshot_job_id());
    echo.compare("DashboardId", Some(ids.dashboard), told.dashboard_id());
    echo.compare("AwsAccountId", Some(ids.account), told.aws_account_id());
    if let (Ok(wanted), Some(told)) = (request.sdk_configuration(), told.snapshot_configuration()) {
        let mut compare = |name: &str, is_same| echo.note(&format!("SnapshotConfiguration.{name}"), is_same);
        compare("FileGroups", files(&wanted) == files(told));
        compare("DestinationConfiguration", place(&wanted) == place(told));
    }
    if let Some(told) = told.user_configuration() {
        let keys = told.anonymous_users().iter().map(|user| {
            let mut keys = user.row_level_permission_tag_keys().to_vec();
            keys.sort();
            keys
        });
        let keys: Vec<_> = keys.collect();
        echo.note("UserConfiguration", keys == request.tag_keys());
    }
    echo
}
