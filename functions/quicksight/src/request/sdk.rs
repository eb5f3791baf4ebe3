//! Converts the request into the SDK's types, and compares what the service says with ours.

use aws_sdk_quicksight::{
    error::BuildError,
    types::{self, SnapshotFileFormatType, SnapshotFileSheetSelectionScope},
};
use aws_smithy_types::{DateTime, date_time::Format as TimeFormat};

use super::{
    FileFormat, FileGroup, Parameters, Recorded, SelectionScope, SheetSelection, SnapshotConfiguration, SnapshotFile,
    StartDashboardSnapshotJob, Time,
};

impl StartDashboardSnapshotJob {
    /// The request's user configuration in the SDK's types.
    pub fn sdk_user(&self) -> Result<Option<types::SnapshotUserConfiguration>, BuildError> {
        let Some(user) = &self.user_configuration else {
            return Ok(None);
        };
        let users = optional(user.anonymous_users.as_ref(), |user| {
            let tags = optional(user.row_level_permission_tags.as_ref(), |tag| {
                types::SessionTag::builder().key(&tag.key).value(&tag.value).build()
            })?;
            Ok(types::SnapshotAnonymousUser::builder()
                .set_row_level_permission_tags(tags)
                .build())
        })?;
        Ok(Some(
            types::SnapshotUserConfiguration::builder()
                .set_anonymous_users(users)
                .build(),
        ))
    }

    /// The request's snapshot configuration in the SDK's types. `region` is for a bucket without one.
    pub fn sdk_snapshot(&self, region: Option<&str>) -> Result<types::SnapshotConfiguration, BuildError> {
        self.snapshot_configuration.to_sdk(region)
    }
}

impl Recorded {
    /// The recorded part of the snapshot configuration, in the SDK's types.
    pub(crate) fn sdk_configuration(&self) -> Result<types::SnapshotConfiguration, BuildError> {
        let recorded = &self.snapshot_configuration;
        let configuration = SnapshotConfiguration {
            file_groups: recorded.file_groups.clone(),
            destination_configuration: recorded.destination_configuration.clone(),
            parameters: None,
        };
        configuration.to_sdk(None)
    }
}

impl SnapshotConfiguration {
    fn to_sdk(&self, region: Option<&str>) -> Result<types::SnapshotConfiguration, BuildError> {
        let groups = self.file_groups.iter().map(FileGroup::to_sdk);
        let destination = self.bucket().map(|bucket| {
            let bucket = types::S3BucketConfiguration::builder()
                .set_bucket_name(bucket.bucket_name.clone())
                .set_bucket_prefix(bucket.bucket_prefix.clone())
                .set_bucket_region(bucket.bucket_region.clone().or_else(|| region.map(str::to_owned)))
                .build()?;
            let destination = types::SnapshotS3DestinationConfiguration::builder()
                .bucket_configuration(bucket)
                .build();
            Ok::<_, BuildError>(
                types::SnapshotDestinationConfiguration::builder()
                    .s3_destinations(destination)
                    .build(),
            )
        });
        types::SnapshotConfiguration::builder()
            .set_file_groups(Some(groups.collect::<Result<_, _>>()?))
            .set_destination_configuration(destination.transpose()?)
            .set_parameters(self.parameters.as_ref().map(Parameters::to_sdk).transpose()?)
            .build()
    }
}

/// Converts a list that may be absent.
fn optional<T, U>(
    list: Option<&Vec<T>>,
    convert: impl Fn(&T) -> Result<U, BuildError>,
) -> Result<Option<Vec<U>>, BuildError> {
    list.map(|list| list.iter().map(convert).collect()).transpose()
}

impl FileGroup {
    fn to_sdk(&self) -> Result<types::SnapshotFileGroup, BuildError> {
        let files = self.files.iter().map(|file| {
            let selections = file.sheet_selections.iter().map(|selection| {
                types::SnapshotFileSheetSelection::builder()
                    .sheet_id(&selection.sheet_id)
                    .selection_scope(selection.selection_scope.to_sdk())
                    .set_visual_ids(selection.visual_ids.clone())
                    .build()
            });
            types::SnapshotFile::builder()
                .set_sheet_selections(Some(selections.collect::<Result<_, _>>()?))
                .format_type(file.format_type.to_sdk())
                .build()
        });
        let files: Vec<_> = files.collect::<Result<_, _>>()?;
        let files = Some(files).filter(|files| !files.is_empty());
        Ok(types::SnapshotFileGroup::builder().set_files(files).build())
    }
}

impl SnapshotFile {
    /// Whether the service describes this file. An absent list of visuals equals an empty one.
    pub fn is(&self, told: &types::SnapshotFile) -> bool {
        let same_selection = |own: &SheetSelection, told: &types::SnapshotFileSheetSelection| {
            own.sheet_id == told.sheet_id
                && own.selection_scope.to_sdk() == told.selection_scope
                && own.visual_ids.as_deref().unwrap_or_default() == told.visual_ids()
        };
        let (own, told_selections) = (&self.sheet_selections, told.sheet_selections());
        self.format_type.to_sdk() == told.format_type
            && own.len() == told_selections.len()
            && own
                .iter()
                .zip(told_selections)
                .all(|(own, told)| same_selection(own, told))
    }
}

impl Parameters {
    fn to_sdk(&self) -> Result<types::Parameters, BuildError> {
        let strings = optional(self.string_parameters.as_ref(), |parameter| {
            let values = parameter.values.iter().map(|value| value.0.clone()).collect();
            let builder = types::StringParameter::builder().name(&parameter.name);
            builder.set_values(Some(values)).build()
        })?;
        let integers = optional(self.integer_parameters.as_ref(), |parameter| {
            let values = parameter.values.iter().map(|value| value.0).collect();
            let builder = types::IntegerParameter::builder().name(&parameter.name);
            builder.set_values(Some(values)).build()
        })?;
        let decimals = optional(self.decimal_parameters.as_ref(), |parameter| {
            let values = parameter.values.iter().map(|value| value.0).collect();
            let builder = types::DecimalParameter::builder().name(&parameter.name);
            builder.set_values(Some(values)).build()
        })?;
        let times = optional(self.date_time_parameters.as_ref(), |parameter| {
            let values = parameter.values.iter().map(Time::to_sdk).collect::<Result<_, _>>()?;
            let builder = types::DateTimeParameter::builder().name(&parameter.name);
            builder.set_values(Some(values)).build()
        })?;
        Ok(types::Parameters::builder()
            .set_string_parameters(strings)
            .set_integer_parameters(integers)
            .set_decimal_parameters(decimals)
            .set_date_time_parameters(times)
            .build())
    }
}

impl Time {
    fn to_sdk(&self) -> Result<DateTime, BuildError> {
        match self {
            Self::Seconds(seconds) => Ok(DateTime::from_secs_f64(*seconds)),
            Self::Text(text) => DateTime::from_str(text, TimeFormat::DateTimeWithOffset)
                .map_err(|_| BuildError::other("a DateTimeParameters value is no time")),
        }
    }
}

impl FileFormat {
    const fn to_sdk(self) -> SnapshotFileFormatType {
        match self {
            Self::Csv => SnapshotFileFormatType::Csv,
            Self::Pdf => SnapshotFileFormatType::Pdf,
            Self::Excel => SnapshotFileFormatType::Excel,
        }
    }
}

impl SelectionScope {
    const fn to_sdk(self) -> SnapshotFileSheetSelectionScope {
        match self {
            Self::AllVisuals => SnapshotFileSheetSelectionScope::AllVisuals,
            Self::SelectedVisuals => SnapshotFileSheetSelectionScope::SelectedVisuals,
        }
    }
}
