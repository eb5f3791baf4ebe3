//! Turns the result of a snapshot job into the files that it names.
//!
//! What must stay true: each requested file is in the list, with a URI or with the reason why it has none. A file that
//! the service does not mention has an error. No text of the service brings a link with it.

use aws_sdk_quicksight::types::{SnapshotJobResult, SnapshotJobResultFileGroup, SnapshotJobS3Result};
use landfall::{
    job::{Format, NamedFile},
    remedy::find,
    s3_uri::S3Uri,
};

use crate::{errors, request::FileGroup, s3_link, text::plain};

/// How many files are kept. A PDF, a workbook and 5 CSVs with 5 sheet selections each are 27. More would make the job
/// larger than a few KB.
const FILES_MAX: usize = 30;

/// The error of a file that the service does not mention.
const UNNAMED: &str = "the service names no file";

/// The files of a job, in the order of the request. `prefix` is the run's own; a file elsewhere is an error.
pub(crate) fn named_files(
    requested: &[FileGroup],
    result: &SnapshotJobResult,
    prefix: Option<&S3Uri>,
) -> Vec<NamedFile> {
    let anonymous = result.anonymous_users().iter().flat_map(|user| user.file_groups());
    let registered = result.registered_users().iter().flat_map(|user| user.file_groups());
    let mut told: Vec<&SnapshotJobResultFileGroup> = anonymous.chain(registered).collect();
    let matches: Vec<_> = requested
        .iter()
        .map(|group| take(&mut told, |other| is_same(group, other)))
        .collect();

    let mut files = Vec::new();
    for (index, (group, matched)) in requested.iter().zip(matches).enumerate() {
        // In a result, a group's list of files is optional. Groups without one are matched in the order of the request.
        let matched = matched.or_else(|| take(&mut told, |other| other.files().is_empty()));
        let Some(file) = group.files.first() else { continue };
        let format = file.format_type.format();
        let label = format!("FileGroups[{index}] {format}");
        let results = matched.map(SnapshotJobResultFileGroup::s3_results).unwrap_or_default();
        if results.is_empty() {
            files.push(unnamed(label, format, UNNAMED));
            continue;
        }
        for (number, result) in results.iter().enumerate() {
            let label = match results.len() {
                1 => label.clone(),
                all => format!("{label} ({} of {all})", number + 1),
            };
            files.push(named_file(label, format, result, prefix));
        }
    }
    if files.len() > FILES_MAX {
        let more = files.len() - FILES_MAX + 1;
        let format = files[FILES_MAX - 1].format;
        files.truncate(FILES_MAX - 1);
        let error = "the service names more files than a job can hold; ask for fewer in one event";
        files.push(unnamed(format!("{more} more files"), format, error));
    }
    files
}

fn take<'a>(
    groups: &mut Vec<&'a SnapshotJobResultFileGroup>,
    is_it: impl Fn(&SnapshotJobResultFileGroup) -> bool,
) -> Option<&'a SnapshotJobResultFileGroup> {
    let place = groups.iter().position(|group| is_it(group))?;
    Some(groups.remove(place))
}

fn is_same(group: &FileGroup, told: &SnapshotJobResultFileGroup) -> bool {
    let (own, told) = (&group.files, told.files());
    own.len() == told.len() && own.iter().zip(told).all(|(own, told)| own.is(told))
}

fn unnamed(label: String, format: Format, error: &str) -> NamedFile {
    NamedFile {
        label,
        format,
        uri: None,
        error: Some(error.to_owned()),
    }
}

fn named_file(label: String, format: Format, result: &SnapshotJobS3Result, prefix: Option<&S3Uri>) -> NamedFile {
    let (uri, unreadable) = match result.s3_uri().map(s3_link::read) {
        None => (None, Some(UNNAMED.to_owned())),
        Some(Ok(uri)) if prefix.is_some_and(|prefix| !uri.is_within(prefix)) => (
            None,
            Some("the service put it outside of the run's own prefix".to_owned()),
        ),
        Some(Ok(uri)) => (Some(uri), None),
        Some(Err(why)) => (
            None,
            Some(format!("the place that the service names cannot be read: {}", why.0)),
        ),
    };
    let errors = result.error_info();
    let error = match errors {
        [] => unreadable,
        _ => {
            let texts: Vec<_> = errors
                .iter()
                .map(|error| error_text(error.error_type(), error.error_message()))
                .collect();
            Some(plain(&texts.join("; ")))
        }
    };
    NamedFile {
        label,
        format,
        uri,
        error,
    }
}

/// The code of an error, with its meaning and remedy if these are documented. The service's message is left out: it may
/// quote values of tags and parameters, which are no longer known here and so cannot be hidden.
/// DescribeDashboardSnapshotJobResult shows it.
pub(crate) fn error_text(code: Option<&str>, message: Option<&str>) -> String {
    match (code, message) {
        (Some(code), _) => match find(errors::OF_JOBS, code) {
            Some(row) => format!("{code}: {} Remedy: {}", row.meaning, row.remedy),
            None => plain(code),
        },
        (None, Some(_)) => "an error without a code; DescribeDashboardSnapshotJobResult tells its words".to_owned(),
        (None, None) => "an error without a reason".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_quicksight::types::{
        AnonymousUserSnapshotJobResult, RegisteredUserSnapshotJobResult, SnapshotFile as ToldFile,
        SnapshotFileFormatType, SnapshotFileSheetSelection, SnapshotFileSheetSelectionScope,
        SnapshotJobResultErrorInfo,
    };
    use serde_json::{Value, json};

    use super::*;

    const PREFIX: &str = "s3://exports/run=1/";

    fn requested(files: &Value) -> Vec<FileGroup> {
        serde_json::from_value(files.clone()).unwrap()
    }

    fn csv(visual: &str) -> Value {
        json!({"Files": [{
            "SheetSelections": [{"SheetId": "s", "SelectionScope": "SELECTED_VISUALS", "VisualIds": [visual]}],
            "FormatType": "CSV",
        }]})
    }

    fn pdf() -> Value {
        json!({"Files": [{
            "SheetSelections": [{"SheetId": "s", "SelectionScope": "ALL_VISUALS"}], "FormatType": "PDF",
        }]})
    }

    fn told_csv(visual: &str) -> ToldFile {
        ToldFile::builder()
            .sheet_selections(
                SnapshotFileSheetSelection::builder()
                    .sheet_id("s")
                    .selection_scope(SnapshotFileSheetSelectionScope::SelectedVisuals)
                    .visual_ids(visual)
                    .build()
                    .unwrap(),
            )
            .format_type(SnapshotFileFormatType::Csv)
            .build()
            .unwrap()
    }

    fn told_pdf() -> ToldFile {
        ToldFile::builder()
            .sheet_selections(
                SnapshotFileSheetSelection::builder()
                    .sheet_id("s")
                    .selection_scope(SnapshotFileSheetSelectionScope::AllVisuals)
                    .build()
                    .unwrap(),
            )
            .format_type(SnapshotFileFormatType::Pdf)
            .build()
            .unwrap()
    }

    fn at(name: &str) -> SnapshotJobS3Result {
        SnapshotJobS3Result::builder().s3_uri(format!("{PREFIX}{name}")).build()
    }

    fn group(file: Option<ToldFile>, results: Vec<SnapshotJobS3Result>) -> SnapshotJobResultFileGroup {
        SnapshotJobResultFileGroup::builder()
            .set_files(file.map(|file| vec![file]))
            .set_s3_results(Some(results))
            .build()
    }

    fn result(groups: Vec<SnapshotJobResultFileGroup>) -> SnapshotJobResult {
        let user = AnonymousUserSnapshotJobResult::builder()
            .set_file_groups(Some(groups))
            .build();
        SnapshotJobResult::builder().anonymous_users(user).build()
    }

    fn read(requested_files: &Value, result: &SnapshotJobResult) -> Vec<(String, Option<String>, Option<String>)> {
        let prefix = PREFIX.parse().unwrap();
        named_files(&requested(requested_files), result, Some(&prefix))
            .into_iter()
            .map(|file| (file.label, file.uri.map(|uri| uri.to_string()), file.error))
            .collect()
    }

    fn there(label: &str, name: &str) -> (String, Option<String>, Option<String>) {
        (label.to_owned(), Some(format!("{PREFIX}{name}")), None)
    }

    fn not_there(label: &str, error: &str) -> (String, Option<String>, Option<String>) {
        (label.to_owned(), None, Some(error.to_owned()))
    }

    #[test]
    fn files_are_matched_by_what_was_asked_for_and_not_by_their_order() {
        let result = result(vec![
            group(Some(told_csv("b")), vec![at("2.csv")]),
            group(Some(told_pdf()), vec![at("3.pdf")]),
            group(Some(told_csv("a")), vec![at("1.csv")]),
        ]);
        assert_eq!(
            read(&json!([csv("a"), csv("b"), pdf()]), &result),
            [
                there("FileGroups[0] CSV", "1.csv"),
                there("FileGroups[1] CSV", "2.csv"),
                there("FileGroups[2] PDF", "3.pdf"),
            ]
        );
    }

    #[test]
    fn the_same_file_asked_for_twice_is_two_files() {
        let result = result(vec![
            group(Some(told_csv("a")), vec![at("1.csv")]),
            group(Some(told_csv("a")), vec![at("2.csv")]),
        ]);
        assert_eq!(
            read(&json!([csv("a"), csv("a")]), &result),
            [there("FileGroups[0] CSV", "1.csv"), there("FileGroups[1] CSV", "2.csv")]
        );
    }

    #[test]
    fn a_file_that_the_result_does_not_name_is_an_error() {
        let nothing = not_there("FileGroups[0] CSV", UNNAMED);
        let asked = json!([csv("a")]);
        for result in [
            SnapshotJobResult::builder().build(),
            result(vec![]),
            result(vec![group(Some(told_csv("a")), vec![])]),
            result(vec![group(
                Some(told_csv("a")),
                vec![SnapshotJobS3Result::builder().build()],
            )]),
            // A result for other files does not count for these.
            result(vec![group(Some(told_csv("b")), vec![at("1.csv")])]),
            result(vec![group(Some(told_pdf()), vec![at("1.csv")])]),
        ] {
            assert_eq!(read(&asked, &result), std::slice::from_ref(&nothing));
        }
    }

    #[test]
    fn groups_without_files_are_matched_in_order() {
        let result = result(vec![
            group(None, vec![at("1.csv")]),
            group(Some(told_pdf()), vec![at("2.pdf")]),
            group(None, vec![at("3.csv")]),
        ]);
        assert_eq!(
            read(&json!([csv("a"), pdf(), csv("b")]), &result),
            [
                there("FileGroups[0] CSV", "1.csv"),
                there("FileGroups[1] PDF", "2.pdf"),
                there("FileGroups[2] CSV", "3.csv"),
            ]
        );
    }

    #[test]
    fn the_result_of_a_registered_user_is_read() {
        let user = RegisteredUserSnapshotJobResult::builder()
            .file_groups(group(Some(told_csv("a")), vec![at("1.csv")]))
            .build();
        let result = SnapshotJobResult::builder().registered_users(user).build();
        assert_eq!(read(&json!([csv("a")]), &result), [there("FileGroups[0] CSV", "1.csv")]);
    }

    #[test]
    fn several_results_of_a_group_are_several_files() {
        let two = result(vec![group(Some(told_csv("a")), vec![at("1.csv"), at("2.csv")])]);
        assert_eq!(
            read(&json!([csv("a")]), &two),
            [
                there("FileGroups[0] CSV (1 of 2)", "1.csv"),
                there("FileGroups[0] CSV (2 of 2)", "2.csv"),
            ]
        );
        let many: Vec<_> = (0..100).map(|number| at(&format!("{number}.csv"))).collect();
        let files = read(&json!([csv("a")]), &result(vec![group(Some(told_csv("a")), many)]));
        assert_eq!(files.len(), FILES_MAX);
        assert_eq!(files[FILES_MAX - 1].0, "71 more files");
        assert!(files[FILES_MAX - 1].2.is_some());
    }

    #[test]
    fn an_error_fails_its_file_even_if_the_file_is_there() {
        let error = SnapshotJobResultErrorInfo::builder()
            .error_type("DATASET_DELETED")
            .error_message("The dataset\nwas deleted, see https://bucket.s3.amazonaws.com/a?X-Amz-Signature=0a now")
            .build();
        // The service's text may quote values that cannot be masked here.
        let text = "DATASET_DELETED: The dataset has been deleted. Remedy: restore the dataset, then rerun";
        let failed = SnapshotJobS3Result::builder().error_info(error.clone()).build();
        let both = SnapshotJobS3Result::builder()
            .s3_uri(format!("{PREFIX}1.csv"))
            .error_info(error)
            .build();
        let result = result(vec![
            group(Some(told_csv("a")), vec![failed]),
            group(Some(told_csv("b")), vec![both]),
        ]);
        let files = read(&json!([csv("a"), csv("b")]), &result);
        assert_eq!(files[0], not_there("FileGroups[0] CSV", text));
        assert_eq!(files[1].2.as_deref(), Some(text));
        assert!(files[1].1.is_some());
    }

    #[test]
    fn an_unreadable_link_is_an_error_that_does_not_quote_it() {
        for (link, why) in [
            ("https://example.com/a.csv?token=secret", "its host is none of S3's"),
            ("s3://exports/run=1/a\n.csv", "its key has a control character"),
            (
                "s3://exports/run=1/a.csv?X-Amz-Signature=secret",
                "it has the query of a link",
            ),
        ] {
            let told = SnapshotJobS3Result::builder().s3_uri(link).build();
            let files = read(
                &json!([csv("a")]),
                &result(vec![group(Some(told_csv("a")), vec![told])]),
            );
            let error = files[0].2.as_deref().unwrap();
            assert!(error.contains(why), "{error}");
            assert!(!error.contains("secret") && files[0].1.is_none());
        }
        for elsewhere in [
            "s3://other/run=1/a.csv",
            "s3://exports/run=10/a.csv",
            "s3://exports/a.csv",
        ] {
            let told = SnapshotJobS3Result::builder().s3_uri(elsewhere).build();
            let files = read(
                &json!([csv("a")]),
                &result(vec![group(Some(told_csv("a")), vec![told])]),
            );
            assert_eq!(
                files,
                [not_there(
                    "FileGroups[0] CSV",
                    "the service put it outside of the run's own prefix"
                )]
            );
        }
    }

    #[test]
    fn the_text_of_an_error_is_what_the_service_says() {
        assert_eq!(error_text(None, None), "an error without a reason");
        assert_eq!(error_text(Some("A"), None), "A");
    }
}
