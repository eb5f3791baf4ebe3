//! The request of StartDashboardSnapshotJob.
//!
//! What must stay true: members and constraints come from the API model of 2018-04-01. Rules that only its descriptions
//! state are checked in addition to the schema. Tag values and parameter values, which the model marks as sensitive,
//! appear in no message, no `Debug` and no record.

use std::fmt;

use landfall::{job::Format, registered::RegisteredUser, service::Aim};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Map, Number, Value, json};

pub(crate) mod rules;
mod sdk;

/// Most file groups of one call, by the model: one PDF, one workbook and five CSVs. (One sentence of its descriptions
/// still says 6.)
const MAX_FILE_GROUPS: usize = 7;

/// Most visuals of one workbook, in all its sheet selections together.
const MAX_EXCEL_VISUALS: usize = 5;

/// The request of StartDashboardSnapshotJob, as AWS documents it.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct StartDashboardSnapshotJob {
    /// The account of the dashboard; the event's account when absent.
    #[schemars(regex(pattern = r"^[0-9]{12}$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_account_id: Option<String>,
    /// The dashboard's id.
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    pub dashboard_id: String,
    /// Landfall sets this member, so leave it out. To choose the id, use Landfall.IdempotencyKey.
    #[schemars(extend("readOnly" = true))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_job_id: Option<String>,
    /// For whom the snapshot is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_configuration: Option<UserConfiguration>,
    /// What the snapshot contains, and where it is written.
    pub snapshot_configuration: SnapshotConfiguration,
    /// The registered user for whom the call acts. It comes from the event's options and is not sent.
    #[serde(skip)]
    pub registered_user: Option<RegisteredUser>,
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
    /// Exactly one anonymous user; `{}` if the data has no row-level security.
    #[schemars(length(min = 1, max = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anonymous_users: Option<Vec<AnonymousUser>>,
}

/// A reader who is not a user of Quick Sight.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct AnonymousUser {
    /// The tags for row-level security.
    #[schemars(length(min = 1, max = 50), extend("writeOnly" = true))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row_level_permission_tags: Option<Vec<Tag>>,
}

/// A tag for row-level security.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[schemars(extend("writeOnly" = true))]
pub struct Tag {
    /// The tag's key.
    #[schemars(length(min = 1, max = 128))]
    pub key: String,
    /// The tag's value, which may name a customer.
    #[schemars(length(min = 1, max = 256), extend("writeOnly" = true))]
    pub value: String,
}

/// What a snapshot contains, and where it is written.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct SnapshotConfiguration {
    /// The files; each group is one file. At most 1 PDF, 1 EXCEL and 5 CSV.
    #[schemars(length(min = 1, max = MAX_FILE_GROUPS))]
    pub file_groups: Vec<FileGroup>,
    /// Where the files are written; the deployment's default destination when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_configuration: Option<DestinationConfiguration>,
    /// Values of the dashboard's parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Parameters>,
}

/// One file, in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct FileGroup {
    /// Exactly one file. A group without a file asks for nothing.
    #[schemars(length(min = 1, max = 1))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<SnapshotFile>,
}

/// A file of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct SnapshotFile {
    /// The sheets; one for a PDF.
    #[schemars(length(min = 1, max = 5))]
    pub sheet_selections: Vec<SheetSelection>,
    /// The format of the file.
    pub format_type: FileFormat,
}

/// A sheet of the dashboard, or visuals on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct SheetSelection {
    /// The sheet's id.
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
    /// The format that the file is verified as.
    pub const fn format(self) -> Format {
        match self {
            Self::Csv => Format::Csv,
            Self::Pdf => Format::Pdf,
            Self::Excel => Format::Excel,
        }
    }
}

/// Which visuals of a sheet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SelectionScope {
    /// The whole sheet.
    AllVisuals,
    /// The visuals in VisualIds.
    SelectedVisuals,
}

/// Where the files are written.
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
    /// The prefix beneath which the run's own prefix is created. It needs a bucket.
    #[schemars(regex(pattern = r"\S"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket_prefix: Option<String>,
    /// The bucket's region, which must be the region of the call; the event's region when absent.
    #[schemars(regex(pattern = r"\S"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket_region: Option<String>,
}

/// Values of the dashboard's parameters, by type.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Parameters {
    /// Parameters of type string.
    #[schemars(length(max = 100), extend("writeOnly" = true))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub string_parameters: Option<Vec<Parameter<Text>>>,
    /// Parameters of type integer.
    #[schemars(length(max = 100), extend("writeOnly" = true))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integer_parameters: Option<Vec<Parameter<Integer>>>,
    /// Parameters of type decimal.
    #[schemars(length(max = 100), extend("writeOnly" = true))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimal_parameters: Option<Vec<Parameter<Decimal>>>,
    /// Parameters of type date and time.
    #[schemars(length(max = 100), extend("writeOnly" = true))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date_time_parameters: Option<Vec<Parameter<Time>>>,
}

/// A parameter and its values.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[schemars(extend("writeOnly" = true))]
pub struct Parameter<V> {
    #[schemars(regex(pattern = r"\S"))]
    pub name: String,
    #[schemars(extend("writeOnly" = true))]
    pub values: Vec<V>,
}

/// A value of type string.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("writeOnly" = true))]
pub struct Text(pub String);

/// A value of type decimal.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("writeOnly" = true))]
pub struct Decimal(pub f64);

/// A value of type integer. As in JSON Schema, `3.0` is one.
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

/// A value of type date and time: seconds since 1970, as in the API, or a text such as `2026-11-01T05:00:00Z`.
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
        // The years 1 to 9999. Other times cannot be written as text.
        json_schema!({
            "type": ["string", "number"], "format": "date-time",
            "minimum": -62_135_596_800_i64, "maximum": 253_402_300_799_i64, "writeOnly": true
        })
    }
}

impl StartDashboardSnapshotJob {
    /// Where the files are written, if the request says so.
    pub fn bucket(&self) -> Option<&BucketConfiguration> {
        self.snapshot_configuration.bucket()
    }

    /// The request of one attempt.
    #[must_use]
    pub fn aimed(mut self, aim: &Aim<'_>) -> Self {
        let region = self.bucket().and_then(|bucket| bucket.bucket_region.clone());
        // The key ends with a slash. AWS does not document how the service joins it with a file's name. With the slash,
        // all files are beneath the attempt's own prefix; without it, they might be beside it.
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
        self.registered_user = aim.user.cloned();
        self
    }

    /// The request without tag values and parameter values. Keys and names stay. The registered user, if there is one,
    /// is added.
    pub fn recorded(&self) -> serde_json::Result<Value> {
        let mut record = serde_json::to_value(self)?;
        let users = record.pointer_mut("/UserConfiguration/AnonymousUsers");
        for user in users.and_then(Value::as_array_mut).into_iter().flatten() {
            let Some(user) = user.as_object_mut() else { continue };
            // In the form in which DescribeDashboardSnapshotJob shows tags.
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
        if let (Some(user), Some(record)) = (&self.registered_user, record.as_object_mut()) {
            record.insert("RegisteredUser".to_owned(), user.recorded());
        }
        Ok(record)
    }

    /// The values that no message may show, as texts.
    pub fn secrets(&self) -> Vec<String> {
        let users = self
            .user_configuration
            .iter()
            .flat_map(|user| &user.anonymous_users)
            .flatten();
        let tags = users.flat_map(|user| &user.row_level_permission_tags).flatten();
        let mut secrets: Vec<String> = tags.map(|tag| tag.value.clone()).collect();
        let user = self.registered_user.iter().flat_map(RegisteredUser::secrets);
        secrets.extend(user.cloned());
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
}

impl SnapshotConfiguration {
    fn bucket(&self) -> Option<&BucketConfiguration> {
        let destination = self.destination_configuration.as_ref()?;
        let first = destination.s3_destinations.as_ref()?.first()?;
        Some(&first.bucket_configuration)
    }
}

/// The part of a recorded request that a poll needs. It has no sensitive values.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Recorded {
    pub(crate) aws_account_id: String,
    pub(crate) dashboard_id: String,
    pub(crate) snapshot_configuration: RecordedConfiguration,
    #[serde(default)]
    pub(crate) registered_user: Option<RecordedUser>,
    #[serde(default)]
    pub(crate) user_configuration: RecordedReaders,
}

impl Recorded {
    /// The tag keys of each anonymous reader, sorted.
    pub(crate) fn tag_keys(&self) -> Vec<Vec<String>> {
        let readers = self.user_configuration.anonymous_users.iter().map(|reader| {
            let mut keys = reader.row_level_permission_tag_keys.clone();
            keys.sort();
            keys
        });
        readers.collect()
    }
}

/// The anonymous readers of a recorded request.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct RecordedReaders {
    anonymous_users: Vec<RecordedReader>,
}

/// An anonymous reader of a recorded request.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RecordedReader {
    row_level_permission_tag_keys: Vec<String>,
}

/// The registered user of a recorded request: the ARN, if the event gave it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RecordedUser {
    #[serde(default)]
    pub(crate) user_arn: Option<String>,
}

/// The files of a recorded request, and where they are written.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RecordedConfiguration {
    pub(crate) file_groups: Vec<FileGroup>,
    #[serde(default)]
    pub(crate) destination_configuration: Option<DestinationConfiguration>,
}
