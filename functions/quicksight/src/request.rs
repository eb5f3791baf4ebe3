//! The request of StartDashboardSnapshotJob.
//!
//! What must stay true: members and constraints are those of the API model of 2018-04-01, and rules that only its
//! descriptions state are checked beside the schema; tag values and parameter values, which the model marks as
//! sensitive, appear in no message, no `Debug` and no record.

use std::fmt;

use aws_sdk_quicksight::{
    error::BuildError,
    types::{self, SnapshotFileFormatType, SnapshotFileSheetSelectionScope},
};
use aws_smithy_types::{DateTime, date_time::Format as TimeFormat};
use landfall::{fault::Faults, job::Format, service::Aim};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Map, Number, Value, json};

/// Most file groups of one call. The model takes 7, its description 6; what both take is safe.
const MAX_FILE_GROUPS: usize = 6;

/// Most visuals of one workbook, over all of its sheet selections.
const MAX_EXCEL_VISUALS: usize = 5;

/// The request of StartDashboardSnapshotJob, as AWS documents it.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct StartDashboardSnapshotJob {
    /// The account of the dashboard; the event's own when absent.
    #[schemars(regex(pattern = r"^[0-9]{12}$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_account_id: Option<String>,
    /// The id of the dashboard.
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    pub dashboard_id: String,
    /// Chosen by Landfall, so that an event does not give it: use Landfall.IdempotencyKey.
    #[schemars(extend("readOnly" = true))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_job_id: Option<String>,
    /// For whom the snapshot is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_configuration: Option<UserConfiguration>,
    /// What the snapshot holds and where it goes.
    pub snapshot_configuration: SnapshotConfiguration,
}

impl fmt::Debug for StartDashboardSnapshotJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StartDashboardSnapshotJob({})", self.dashboard_id)
    }
}

/// For whom a snapshot is made.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct UserConfiguration {
    /// Exactly one anonymous user; `{}` where the data has no row-level security.
    #[schemars(length(min = 1, max = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anonymous_users: Option<Vec<AnonymousUser>>,
}

/// A reader who is no user of Quick Sight.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct AnonymousUser {
    /// The tags that row-level security goes by.
    #[schemars(length(min = 1, max = 50), extend("writeOnly" = true))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row_level_permission_tags: Option<Vec<Tag>>,
}

/// A tag that row-level security goes by.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[schemars(extend("writeOnly" = true))]
pub struct Tag {
    /// Its key.
    #[schemars(length(min = 1, max = 128))]
    pub key: String,
    /// Its value, which may name a customer.
    #[schemars(length(min = 1, max = 256), extend("writeOnly" = true))]
    pub value: String,
}

/// What a snapshot holds and where it goes.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct SnapshotConfiguration {
    /// The files: a group is one file. At most 1 PDF, 1 EXCEL and 5 CSV.
    #[schemars(length(min = 1, max = MAX_FILE_GROUPS))]
    pub file_groups: Vec<FileGroup>,
    /// Where the files go; the deployment's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_configuration: Option<DestinationConfiguration>,
    /// Values of the dashboard's parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Parameters>,
}

/// One file, as a list of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct FileGroup {
    /// Exactly one file.
    #[schemars(length(min = 1, max = 1))]
    pub files: Vec<SnapshotFile>,
}

/// A file of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct SnapshotFile {
    /// The sheets, one for a PDF.
    #[schemars(length(min = 1, max = 5))]
    pub sheet_selections: Vec<SheetSelection>,
    /// The format of the file.
    pub format_type: FileFormat,
}

/// A sheet of the dashboard, or visuals of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct SheetSelection {
    /// The id of the sheet.
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    pub sheet_id: String,
    /// ALL_VISUALS for a PDF, SELECTED_VISUALS for CSV and EXCEL.
    pub selection_scope: SelectionScope,
    /// The ids of tables or pivot tables: one for CSV, up to five for EXCEL, none for a PDF.
    #[schemars(
        length(min = 1, max = 5),
        inner(length(min = 1, max = 512), regex(pattern = r"^[A-Za-z0-9_-]+$"))
    )]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visual_ids: Option<Vec<String>>,
}

/// The formats of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum FileFormat {
    /// Comma-separated values of one visual.
    Csv,
    /// A whole sheet.
    Pdf,
    /// A workbook with a worksheet for each visual.
    Excel,
}

impl FileFormat {
    /// The format that the file is verified by.
    pub const fn format(self) -> Format {
        match self {
            Self::Csv => Format::Csv,
            Self::Pdf => Format::Pdf,
            Self::Excel => Format::Excel,
        }
    }

    const fn to_sdk(self) -> SnapshotFileFormatType {
        match self {
            Self::Csv => SnapshotFileFormatType::Csv,
            Self::Pdf => SnapshotFileFormatType::Pdf,
            Self::Excel => SnapshotFileFormatType::Excel,
        }
    }
}

/// Which visuals of a sheet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SelectionScope {
    /// The whole sheet.
    AllVisuals,
    /// Those that are named.
    SelectedVisuals,
}

impl SelectionScope {
    const fn to_sdk(self) -> SnapshotFileSheetSelectionScope {
        match self {
            Self::AllVisuals => SnapshotFileSheetSelectionScope::AllVisuals,
            Self::SelectedVisuals => SnapshotFileSheetSelectionScope::SelectedVisuals,
        }
    }
}

/// Where the files go.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct DestinationConfiguration {
    /// Exactly one destination.
    #[schemars(length(min = 1, max = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3_destinations: Option<Vec<S3Destination>>,
}

/// A destination in S3.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct S3Destination {
    /// The bucket and a prefix in it.
    #[serde(default)]
    pub bucket_configuration: BucketConfiguration,
}

/// A bucket and a prefix in it.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct BucketConfiguration {
    /// The bucket; the deployment's default destination when absent.
    #[schemars(regex(pattern = r"\S"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket_name: Option<String>,
    /// The prefix that the run's own prefix is put beneath; needs a bucket.
    #[schemars(regex(pattern = r"\S"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket_prefix: Option<String>,
    /// The bucket's region, which is that of the call; the event's own when absent.
    #[schemars(regex(pattern = r"\S"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket_region: Option<String>,
}

/// Values of the dashboard's parameters, by type.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Parameters {
    /// Texts.
    #[schemars(length(max = 100), extend("writeOnly" = true))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub string_parameters: Option<Vec<Parameter<Text>>>,
    /// Whole numbers.
    #[schemars(length(max = 100), extend("writeOnly" = true))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integer_parameters: Option<Vec<Parameter<Integer>>>,
    /// Numbers.
    #[schemars(length(max = 100), extend("writeOnly" = true))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimal_parameters: Option<Vec<Parameter<Decimal>>>,
    /// Times.
    #[schemars(length(max = 100), extend("writeOnly" = true))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date_time_parameters: Option<Vec<Parameter<Time>>>,
}

/// A parameter and its values.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[schemars(extend("writeOnly" = true))]
pub struct Parameter<V> {
    /// Its name.
    #[schemars(regex(pattern = r"\S"))]
    pub name: String,
    /// Its values.
    #[schemars(extend("writeOnly" = true))]
    pub values: Vec<V>,
}

/// A value that is a text.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("writeOnly" = true))]
pub struct Text(pub String);

/// A value that is a number.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("writeOnly" = true))]
pub struct Decimal(pub f64);

/// A value that is a whole number. `3.0` is one, as in JSON Schema.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Integer(pub i64);

impl JsonSchema for Integer {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Integer".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer", "minimum": i64::MIN, "maximum": i64::MAX, "writeOnly": true})
    }
}

impl<'de> Deserialize<'de> for Integer {
    #[allow(clippy::cast_possible_truncation)]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = Number::deserialize(deserializer).map_err(|_| D::Error::custom("not a number"))?;
        let whole = || {
            number
                .as_f64()
                .filter(|value| value.fract() == 0.0)
                .map(|value| value as i64)
        };
        number
            .as_i64()
            .or_else(whole)
            .map(Self)
            .ok_or_else(|| D::Error::custom("not a whole number of 64 bits"))
    }
}

/// A value that is a time: seconds since 1970, as the API has it, or a text such as `2026-11-01T05:00:00Z`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Time {
    /// Seconds since 1970.
    Seconds(f64),
    /// RFC 3339.
    Text(String),
}

impl JsonSchema for Time {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // The years 1 to 9999, beyond which there is no text for a time.
        json_schema!({
            "type": ["string", "number"], "format": "date-time",
            "minimum": -62_135_596_800_i64, "maximum": 253_402_300_799_i64, "writeOnly": true
        })
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

impl StartDashboardSnapshotJob {
    /// Where the files go, if the request says it.
    pub fn bucket(&self) -> Option<&BucketConfiguration> {
        let destination = self.snapshot_configuration.destination_configuration.as_ref()?;
        let first = destination.s3_destinations.as_ref()?.first()?;
        Some(&first.bucket_configuration)
    }

    /// The request of one attempt.
    #[must_use]
    pub fn aimed(mut self, aim: &Aim<'_>) -> Self {
        let region = self.bucket().and_then(|bucket| bucket.bucket_region.clone());
        // The key ends with a slash. How the service joins it with a file's name is not documented: with the slash,
        // whatever it writes lies beneath the attempt's own prefix; without it, it might lie beside.
        let bucket_configuration = BucketConfiguration {
            bucket_name: Some(aim.prefix.bucket.clone()),
            bucket_prefix: Some(aim.prefix.as_folder().key),
            bucket_region: region.or_else(|| aim.region.map(str::to_owned)),
        };
        self.snapshot_configuration.destination_configuration = Some(DestinationConfiguration {
            s3_destinations: Some(vec![S3Destination { bucket_configuration }]),
        });
        self.snapshot_job_id = Some(aim.attempt_key.to_owned());
        self.aws_account_id = self.aws_account_id.or_else(|| aim.account.map(str::to_owned));
        self
    }

    /// The request without tag values and parameter values; keys and names stay.
    pub fn recorded(&self) -> serde_json::Result<Value> {
        let mut record = serde_json::to_value(self)?;
        let users = record.pointer_mut("/UserConfiguration/AnonymousUsers");
        for user in users.and_then(Value::as_array_mut).into_iter().flatten() {
            let Some(user) = user.as_object_mut() else { continue };
            // As DescribeDashboardSnapshotJob shows them.
            if let Some(tags) = user.remove("RowLevelPermissionTags") {
                let keys = tags.as_array().into_iter().flatten().map(|tag| tag["Key"].clone());
                user.insert("RowLevelPermissionTagKeys".to_owned(), keys.collect());
            }
        }
        let lists = record
            .pointer_mut("/SnapshotConfiguration/Parameters")
            .and_then(Value::as_object_mut);
        for parameter in lists
            .into_iter()
            .flat_map(Map::values_mut)
            .filter_map(Value::as_array_mut)
            .flatten()
        {
            *parameter = json!({ "Name": parameter["Name"] });
        }
        Ok(record)
    }

    /// The values that no message may show, as text.
    pub fn secrets(&self) -> Vec<String> {
        let users = self
            .user_configuration
            .iter()
            .flat_map(|user| &user.anonymous_users)
            .flatten();
        let tags = users.flat_map(|user| &user.row_level_permission_tags).flatten();
        let mut secrets: Vec<String> = tags.map(|tag| tag.value.clone()).collect();
        if let Some(parameters) = &self.snapshot_configuration.parameters {
            let texts = |value: Value| match value {
                Value::String(text) => text,
                other => other.to_string(),
            };
            let lists = serde_json::to_value(parameters).unwrap_or_default();
            let lists = lists.as_object().into_iter().flat_map(Map::values);
            let values = lists
                .filter_map(Value::as_array)
                .flatten()
                .filter_map(|parameter| parameter["Values"].as_array())
                .flatten();
            secrets.extend(values.cloned().map(texts));
        }
        secrets
    }

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

    /// The request's snapshot configuration in the SDK's types; `region` for a bucket without one.
    pub fn sdk_snapshot(&self, region: Option<&str>) -> Result<types::SnapshotConfiguration, BuildError> {
        let configuration = &self.snapshot_configuration;
        let groups = configuration.file_groups.iter().map(FileGroup::to_sdk);
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
            .set_parameters(configuration.parameters.as_ref().map(Parameters::to_sdk).transpose()?)
            .build()
    }
}

/// A list in the SDK's types.
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
        let files = files.collect::<Result<_, _>>()?;
        Ok(types::SnapshotFileGroup::builder().set_files(Some(files)).build())
    }
}

impl SnapshotFile {
    /// Whether the service tells of this very file. An absent list of visuals and an empty one are the same.
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

/// What a poll needs of a recorded request, which lacks what is sensitive.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Recorded {
    pub(crate) aws_account_id: String,
    pub(crate) dashboard_id: String,
    pub(crate) snapshot_configuration: RecordedConfiguration,
}

/// The files of a recorded request.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RecordedConfiguration {
    pub(crate) file_groups: Vec<FileGroup>,
}

/// JSON pointer from `detail` to the bucket.
pub(crate) const BUCKET: &str = "/SnapshotConfiguration/DestinationConfiguration/S3Destinations/0/BucketConfiguration";

/// JSON path to the bucket.
pub(crate) const BUCKET_PATH: &str =
    "$.detail.SnapshotConfiguration.DestinationConfiguration.S3Destinations[0].BucketConfiguration";

/// Rules that the model's descriptions state and its constraints do not.
pub(crate) fn check(detail: &Value, faults: &mut Faults) {
    if let Some(id) = detail.get("SnapshotJobId") {
        faults.add(
            "$.detail.SnapshotJobId",
            id,
            "leave it out: Landfall takes the job key, so that no job is started twice. To choose what counts as the \
             same job, set Landfall.IdempotencyKey",
        );
    }
    if detail.is_object() && !has_anonymous_users(detail) {
        faults.add(
            "$.detail.UserConfiguration.AnonymousUsers",
            "nothing",
            "it is required: the call is made with the function's own role, which is no registered user of Quick Sight. \
             Give one anonymous user, [{}] where the data has no row-level security",
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
        // Whether it is a right one the schema says.
        Some(user) => !user.is_object() || user.get("AnonymousUsers").is_some_and(|users| !users.is_null()),
    }
}

fn check_groups(groups: &[Value], faults: &mut Faults) {
    const PATH: &str = "$.detail.SnapshotConfiguration.FileGroups";
    if groups.len() > MAX_FILE_GROUPS {
        faults.add(
            PATH,
            format!("{} file groups", groups.len()),
            format!(
                "the model of the API takes 7 and its description {MAX_FILE_GROUPS}; Landfall keeps to \
                 {MAX_FILE_GROUPS}. Ask for the rest in another event"
            ),
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
            // The schema says what it must be.
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

/// What `detail` repeats of the envelope, or has in its stead.
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
