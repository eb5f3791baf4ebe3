//! Rules that the model states only in its descriptions, and rules of Landfall.
//!
//! What must stay true: the rules are checked on events that may be wrong elsewhere, so nothing is assumed about other
//! members.

use landfall::{fault::Faults, members::OPTIONS};
use serde_json::{Value, json};

use super::MAX_EXCEL_VISUALS;

/// JSON pointer from `detail` to the bucket.
pub(crate) const BUCKET: &str = "/SnapshotConfiguration/DestinationConfiguration/S3Destinations/0/BucketConfiguration";

/// JSON path to the bucket.
pub(crate) const BUCKET_PATH: &str =
    "$.detail.SnapshotConfiguration.DestinationConfiguration.S3Destinations[0].BucketConfiguration";

/// Checks `detail`.
pub(crate) fn check(detail: &Value, faults: &mut Faults) {
    if let Some(id) = detail.get("SnapshotJobId") {
        faults.add(
            "$.detail.SnapshotJobId",
            id,
            "leave it out: Landfall takes the job key, so that no job is started twice. To choose what counts as the \
             same job, set Landfall.IdempotencyKey",
        );
    }
    let user = &detail[OPTIONS]["RegisteredUser"];
    let configuration = detail.get("UserConfiguration").filter(|value| !value.is_null());
    if !user.is_null() && configuration.is_some() {
        faults.add(
            "$.detail.UserConfiguration",
            "a value beside Landfall.RegisteredUser",
            "leave it out: a call that acts for a registered user names no anonymous one, and Quick Sight refuses both",
        );
    } else if detail.is_object() && user.is_null() && !has_anonymous_users(detail) {
        faults.add(
            "$.detail.UserConfiguration.AnonymousUsers",
            "nothing",
            "say for whom the snapshot is made: one anonymous user, [{}] where the data has no row-level security, or in \
             its stead a registered user of Quick Sight in Landfall.RegisteredUser. The function's own role is neither",
        );
    }
    let bucket = detail.pointer(BUCKET);
    let has = |name: &str| bucket.and_then(|bucket| bucket.get(name)).is_some_and(Value::is_string);
    if has("BucketPrefix") && !has("BucketName") {
        faults.add(
            format!("{BUCKET_PATH}.BucketName"),
            "nothing",
            "it is required with BucketPrefix; without both the deployment's default destination is taken",
        );
    }
    let groups = detail
        .pointer("/SnapshotConfiguration/FileGroups")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    check_groups(groups, faults);
}

fn has_anonymous_users(detail: &Value) -> bool {
    match detail.get("UserConfiguration") {
        None | Some(Value::Null) => false,
        // The schema checks whether the value is right.
        Some(user) => !user.is_object() || user.get("AnonymousUsers").is_some_and(|users| !users.is_null()),
    }
}

fn check_groups(groups: &[Value], faults: &mut Faults) {
    const PATH: &str = "$.detail.SnapshotConfiguration.FileGroups";
    let is_empty = |group: &Value| group.is_object() && group.get("Files").is_none();
    if !groups.is_empty() && groups.iter().all(is_empty) {
        faults.add(
            PATH,
            "groups without Files",
            "ask for one file at least: there would be nothing to wait for",
        );
    }
    for (format, most) in [("PDF", 1), ("EXCEL", 1), ("CSV", 5)] {
        let is_one = |group: &&Value| group.pointer("/Files/0/FormatType").and_then(Value::as_str) == Some(format);
        let count = groups.iter().filter(is_one).count();
        if count > most {
            faults.add(
                PATH,
                format!("{count} {format} files"),
                format!("a call makes at most {most} of them. Ask for the rest in another event"),
            );
        }
    }
    for (index, group) in groups.iter().enumerate() {
        if let Some(file) = group.pointer("/Files/0") {
            check_file(file, &format!("{PATH}[{index}].Files[0]"), faults);
        }
    }
}

fn check_file(file: &Value, path: &str, faults: &mut Faults) {
    let selections = file
        .get("SheetSelections")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let format = match file.get("FormatType").and_then(Value::as_str) {
        Some(format @ ("PDF" | "CSV" | "EXCEL")) => format,
        _ => return,
    };
    let scope_needed = if format == "PDF" {
        "ALL_VISUALS"
    } else {
        "SELECTED_VISUALS"
    };
    if format == "PDF" && selections.len() > 1 {
        faults.add(
            format!("{path}.SheetSelections"),
            format!("{} sheet selections", selections.len()),
            "a PDF takes one",
        );
    }
    let mut visuals = 0;
    for (index, selection) in selections
        .iter()
        .enumerate()
        .filter(|(_, selection)| selection.is_object())
    {
        let path = format!("{path}.SheetSelections[{index}]");
        if let Some(scope @ ("ALL_VISUALS" | "SELECTED_VISUALS")) =
            selection.get("SelectionScope").and_then(Value::as_str)
            && scope != scope_needed
        {
            faults.add(
                format!("{path}.SelectionScope"),
                json!(scope),
                format!("{format} takes {scope_needed}"),
            );
        }
        let ids = match selection.get("VisualIds") {
            None | Some(Value::Null) => 0,
            Some(Value::Array(ids)) => ids.len(),
            // The schema checks the type.
            Some(_) => continue,
        };
        visuals += ids;
        let path = format!("{path}.VisualIds");
        let found = match ids {
            0 => "no visual ids".to_owned(),
            1 => "1 visual id".to_owned(),
            _ => format!("{ids} visual ids"),
        };
        match format {
            "PDF" if selection.get("VisualIds").is_some_and(|ids| !ids.is_null()) => {
                faults.add(path, found, "a PDF is of the whole sheet: leave it out");
            }
            "CSV" if ids != 1 => {
                let allowed = "CSV takes exactly one, of a table or pivot table, in each sheet selection";
                faults.add(path, found, allowed);
            }
            "EXCEL" if ids == 0 => {
                let allowed = "EXCEL takes at least one, of a table or pivot table, in each sheet selection";
                faults.add(path, found, allowed);
            }
            _ => {}
        }
    }
    if format == "EXCEL" && visuals > MAX_EXCEL_VISUALS {
        faults.add(
            format!("{path}.SheetSelections"),
            format!("{visuals} visual ids in all"),
            format!("a workbook takes at most {MAX_EXCEL_VISUALS}"),
        );
    }
}

/// Checks the members of `detail` that repeat or replace a part of the envelope.
pub(crate) fn check_envelope(event: &Value, faults: &mut Faults) {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
    match (text("/account"), text("/detail/AwsAccountId")) {
        (None, None) if event.get("detail").is_some_and(Value::is_object) => faults.add(
            "$.detail.AwsAccountId",
            "nothing",
            "it is required where the event itself names no account",
        ),
        (Some(envelope), Some(own)) if envelope != own => faults.add(
            "$.detail.AwsAccountId",
            json!(own),
            format!("must be the event's own account, which is {envelope}; leave it out"),
        ),
        _ => {}
    }
    let of_arn = text("/detail/Landfall/RegisteredUser/UserArn").and_then(|arn| arn.split(':').nth(4));
    let account = text("/account").or_else(|| text("/detail/AwsAccountId"));
    if let (Some(account), Some(of_arn)) = (account, of_arn)
        && account != of_arn
    {
        faults.add(
            "$.detail.Landfall.RegisteredUser.UserArn",
            "a user of another account",
            format!("must be a user of the call's own account, which is {account}"),
        );
    }
    let region = text("/region").filter(|region| !region.is_empty());
    let own = text(&format!("/detail{BUCKET}/BucketRegion"));
    if let (Some(region), Some(own)) = (region, own)
        && region != own
    {
        faults.add(
            format!("{BUCKET_PATH}.BucketRegion"),
            json!(own),
            format!("must be the region of the call, which is {region}; leave it out"),
        );
    }
}
