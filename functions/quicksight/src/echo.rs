//! What the service says of a job, held against what was asked for.
//!
//! What must stay true: only what the service tells is compared, and what differs is told by its name and never by its
//! value. Values of parameters are left out: the service need not tell them, and the id of a job holds a hash of them.

use aws_sdk_quicksight::{
    operation::describe_dashboard_snapshot_job::DescribeDashboardSnapshotJobOutput,
    types::SnapshotConfiguration as Configuration,
};
use landfall::job::Echo;

use crate::{ids::Ids, request::Recorded};

/// In what two configurations differ: in their files, or in where these go.
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
    // Whether the service keeps a slash at the end is not documented.
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

/// What a description of a job says, held against the recorded request.
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
