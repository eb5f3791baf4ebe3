//! What a StartDashboardSnapshotJob call asks for, checked against the model.
//!
//! What must stay true: members, lengths, patterns and enumerations are those of the API model (2018-04-01). The rules
//! in its descriptions are checked too. All faults are told at once, and none quotes a sensitive value.

use std::{ops::RangeInclusive, sync::LazyLock};

use regex::Regex;
use serde_json::{Value, json};

use super::call::{invalid, serialization};
use crate::simulated::Failure;

/// Ids of dashboards, jobs, sheets and visuals.
static ID: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^[A-Za-z0-9_\-]+$").ok());

/// A file of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    pub(super) format: FileFormat,
    /// The file as it was asked for, to be shown in the result.
    pub(super) asked: Value,
    /// The visuals of each sheet selection. For a PDF this is the sheet.
    pub(super) selections: Vec<Vec<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileFormat {
    Csv,
    Pdf,
    Excel,
}

impl FileFormat {
    pub(super) const fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Pdf => "pdf",
            Self::Excel => "xlsx",
        }
    }
}

/// A valid call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) id: String,
    /// The user configuration as Describe shows it: with keys in place of tags.
    pub(super) user: Value,
    pub(super) configuration: Value,
    pub(super) files: Vec<File>,
    pub(super) bucket: String,
    /// Ends with a slash.
    pub(super) prefix: String,
}

/// Faults of a call, in the order in which they are found.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn add(&mut self, member: &str, constraint: impl AsRef<str>) {
        self.0.push(format!(
            "Value at '{member}' failed to satisfy constraint: Member must {}",
            constraint.as_ref()
        ));
    }

    fn text(&mut self, parent: &Value, path: &str, name: &str, length: RangeInclusive<usize>) -> Option<String> {
        let member = format!("{path}{name}");
        let Some(text) = parent.get(name).and_then(Value::as_str) else {
            self.add(&member, "not be null");
            return None;
        };
        if !length.contains(&text.chars().count()) {
            let constraint = format!("have length between {} and {}", length.start(), length.end());
            self.add(&member, constraint);
        }
        Some(text.to_owned())
    }

    fn id(&mut self, parent: &Value, path: &str, name: &str) -> Option<String> {
        let id = self.text(parent, path, name, 1..=512)?;
        self.pattern(&format!("{path}{name}"), &id);
        Some(id)
    }

    fn pattern(&mut self, member: &str, id: &str) {
        if !is_id(id) {
            self.add(member, r"satisfy regular expression pattern: [\w\-]+");
        }
    }

    fn not_blank(&mut self, parent: &Value, path: &str, name: &str) -> Option<String> {
        let text = self.text(parent, path, name, 0..=usize::MAX)?;
        if text.trim().is_empty() {
            self.add(&format!("{path}{name}"), r"satisfy regular expression pattern: .*\S.*");
        }
        Some(text)
    }

    /// A list that may be absent.
    fn list<'a>(&mut self, parent: &'a Value, path: &str, name: &str, size: RangeInclusive<usize>) -> &'a [Value] {
        let list = match parent.get(name) {
            Some(Value::Array(items)) => items,
            _ => return &[],
        };
        if !size.contains(&list.len()) {
            let constraint = format!("have length between {} and {}", size.start(), size.end());
            self.add(&format!("{path}{name}"), constraint);
        }
        list
    }

    fn required<'a>(&mut self, parent: &'a Value, path: &str, name: &str, size: RangeInclusive<usize>) -> &'a [Value] {
        if parent.get(name).is_none_or(Value::is_null) {
            self.add(&format!("{path}{name}"), "not be null");
        }
        self.list(parent, path, name, size)
    }
}

pub(super) fn is_id(text: &str) -> bool {
    (1..=512).contains(&text.len()) && ID.as_ref().is_some_and(|pattern| pattern.is_match(text))
}

impl Order {
    /// Reads the body of a call in `region`. `is_registered` says whether a registered user makes it.
    pub(super) fn parse(body: &[u8], region: &str, is_registered: bool) -> Result<Self, Failure> {
        let body: Value = serde_json::from_slice(body)
            .ok()
            .filter(Value::is_object)
            .ok_or_else(|| serialization("The request body is not a JSON object"))?;
        check_types(&body)?;

        let mut faults = Faults::default();
        let id = faults.id(&body, "", "SnapshotJobId").unwrap_or_default();
        let user = match is_registered {
            true => {
                if body.get("UserConfiguration").is_some_and(|user| !user.is_null()) {
                    faults.add(
                        "UserConfiguration",
                        "be null for calls with identity-enhanced credentials",
                    );
                }
                Value::Null
            }
            false => read_user(&body, &mut faults),
        };
        let null = Value::Null;
        let configuration = body.get("SnapshotConfiguration").unwrap_or(&null);
        if !configuration.is_object() {
            faults.add("SnapshotConfiguration", "not be null");
        }
        let groups = faults.required(configuration, "SnapshotConfiguration.", "FileGroups", 1..=7);
        let files: Vec<File> = groups
            .iter()
            .enumerate()
            .filter_map(|(index, group)| {
                let path = format!("SnapshotConfiguration.FileGroups.{}.member.", index + 1);
                let file = faults.list(group, &path, "Files", 1..=1).first()?;
                read_file(file, &path, &mut faults)
            })
            .collect();
        for (format, most) in [(FileFormat::Pdf, 1), (FileFormat::Excel, 1), (FileFormat::Csv, 5)] {
            if files.iter().filter(|file| file.format == format).count() > most {
                faults.add(
                    "SnapshotConfiguration.FileGroups",
                    format!("have at most {most} {format:?} files"),
                );
            }
        }
        check_parameters(configuration.get("Parameters").unwrap_or(&null), &mut faults);
        let (bucket, prefix) = read_destination(configuration, region, &mut faults);
        if !faults.0.is_empty() {
            let count = faults.0.len();
            let s = if count == 1 { "" } else { "s" };
            let faults = faults.0.join("; ");
            return Err(invalid(format!("{count} validation error{s} detected: {faults}")));
        }
        Ok(Self {
            id,
            user,
            configuration: configuration.clone(),
            files,
            bucket,
            prefix,
        })
    }
}

/// Refuses a body with a member of another JSON type than in the model. Such a body is not checked further.
fn check_types(body: &Value) -> Result<(), Failure> {
    fn is_right(name: &str, value: &Value) -> bool {
        match name {
            "AnonymousUsers"
            | "RowLevelPermissionTags"
            | "FileGroups"
            | "Files"
            | "SheetSelections"
            | "VisualIds"
            | "S3Destinations"
            | "StringParameters"
            | "IntegerParameters"
            | "DecimalParameters"
            | "DateTimeParameters"
            | "Values" => value.is_array(),
            "UserConfiguration"
            | "SnapshotConfiguration"
            | "DestinationConfiguration"
            | "BucketConfiguration"
            | "Parameters" => value.is_object(),
            _ => value.is_string(),
        }
    }
    match body {
        Value::Object(members) => members
            .iter()
            .filter(|(_, value)| !value.is_null())
            .try_for_each(|(name, value)| {
                if is_right(name, value) {
                    check_types(value)
                } else {
                    Err(serialization(&format!("Unexpected type for member {name}")))
                }
            }),
        Value::Array(items) => items.iter().filter(|item| !item.is_string()).try_for_each(check_types),
        _ => Ok(()),
    }
}

fn read_user(body: &Value, faults: &mut Faults) -> Value {
    const PATH: &str = "UserConfiguration.AnonymousUsers";
    let users = match body.get("UserConfiguration") {
        Some(user) => faults.list(user, "UserConfiguration.", "AnonymousUsers", 1..=1),
        None => &[],
    };
    if users.is_empty() {
        // Not in the model. The service was seen to require this for calls that no registered user makes.
        faults.add(PATH, "not be null: no anonymous user objects were defined");
    }
    let users = users.iter().map(|user| {
        let path = format!("{PATH}.1.member.");
        let tags = faults.list(user, &path, "RowLevelPermissionTags", 1..=50);
        let keys: Vec<_> = tags
            .iter()
            .map(|tag| {
                faults.text(tag, &path, "Value", 1..=256);
                faults.text(tag, &path, "Key", 1..=128).unwrap_or_default()
            })
            .collect();
        if keys.is_empty() {
            json!({})
        } else {
            json!({ "RowLevelPermissionTagKeys": keys })
        }
    });
    let users: Vec<_> = users.collect();
    json!({ "AnonymousUsers": users })
}

fn read_file(file: &Value, path: &str, faults: &mut Faults) -> Option<File> {
    let path = format!("{path}Files.1.member.");
    let name = faults.text(file, &path, "FormatType", 0..=usize::MAX)?;
    let format = match name.as_str() {
        "CSV" => FileFormat::Csv,
        "PDF" => FileFormat::Pdf,
        "EXCEL" => FileFormat::Excel,
        _ => {
            faults.add(
                &format!("{path}FormatType"),
                "satisfy enum value set: [CSV, PDF, EXCEL]",
            );
            return None;
        }
    };
    let mut selections = Vec::new();
    for (index, selection) in faults
        .required(file, &path, "SheetSelections", 1..=5)
        .iter()
        .enumerate()
    {
        let path = format!("{path}SheetSelections.{}.member.", index + 1);
        let sheet = faults.id(selection, &path, "SheetId").unwrap_or_default();
        let scope = faults
            .text(selection, &path, "SelectionScope", 0..=usize::MAX)
            .unwrap_or_default();
        if !matches!(scope.as_str(), "ALL_VISUALS" | "SELECTED_VISUALS") {
            let constraint = "satisfy enum value set: [ALL_VISUALS, SELECTED_VISUALS]";
            faults.add(&format!("{path}SelectionScope"), constraint);
        }
        let visuals: Vec<String> = faults
            .list(selection, &path, "VisualIds", 1..=5)
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        for visual in &visuals {
            faults.pattern(&format!("{path}VisualIds"), visual);
        }
        let needed = if format == FileFormat::Pdf {
            "ALL_VISUALS"
        } else {
            "SELECTED_VISUALS"
        };
        if scope != needed {
            faults.add(&format!("{path}SelectionScope"), format!("be {needed} for {name}"));
        }
        let is_right = match format {
            FileFormat::Pdf => visuals.is_empty(),
            FileFormat::Csv => visuals.len() == 1,
            FileFormat::Excel => !visuals.is_empty(),
        };
        if !is_right {
            faults.add(
                &format!("{path}VisualIds"),
                format!("have the number of ids that {name} takes"),
            );
        }
        selections.push(if format == FileFormat::Pdf {
            vec![sheet]
        } else {
            visuals
        });
    }
    if format == FileFormat::Pdf && selections.len() > 1 {
        faults.add(&format!("{path}SheetSelections"), "have one sheet selection for PDF");
    }
    if format == FileFormat::Excel && selections.iter().map(Vec::len).sum::<usize>() > 5 {
        faults.add(
            &format!("{path}SheetSelections"),
            "have at most 5 visual ids in all for EXCEL",
        );
    }
    Some(File {
        format,
        asked: file.clone(),
        selections,
    })
}

fn check_parameters(parameters: &Value, faults: &mut Faults) {
    type Check = fn(&Value) -> bool;
    let lists: [(&str, Check); 4] = [
        ("StringParameters", Value::is_string),
        ("IntegerParameters", Value::is_i64),
        ("DecimalParameters", Value::is_number),
        ("DateTimeParameters", Value::is_number),
    ];
    for (name, is_right) in lists {
        for parameter in faults.list(parameters, "SnapshotConfiguration.Parameters.", name, 0..=100) {
            let path = format!("SnapshotConfiguration.Parameters.{name}.");
            faults.not_blank(parameter, &path, "Name");
            let values = faults.required(parameter, &path, "Values", 0..=usize::MAX);
            if !values.iter().all(is_right) {
                faults.add(&format!("{path}Values"), "have values of the parameter's type");
            }
        }
    }
}

fn read_destination(configuration: &Value, region: &str, faults: &mut Faults) -> (String, String) {
    const PATH: &str = "SnapshotConfiguration.DestinationConfiguration.S3Destinations";
    let destinations = match configuration.get("DestinationConfiguration") {
        Some(destination) => {
            let path = "SnapshotConfiguration.DestinationConfiguration.";
            faults.list(destination, path, "S3Destinations", 1..=1)
        }
        None => &[],
    };
    // Without a destination the real service writes to a bucket of its own. Landfall always names one.
    let Some(destination) = destinations.first() else {
        faults.add(PATH, "not be null: this simulation has no bucket of its own");
        return Default::default();
    };
    let null = Value::Null;
    let bucket = destination.get("BucketConfiguration").unwrap_or(&null);
    let path = format!("{PATH}.1.member.BucketConfiguration.");
    let mut member = |name| faults.not_blank(bucket, &path, name).unwrap_or_default();
    let (name, prefix, own) = (member("BucketName"), member("BucketPrefix"), member("BucketRegion"));
    if !own.is_empty() && own != region {
        faults.add(
            &format!("{path}BucketRegion"),
            format!("be the region of the call, {region}"),
        );
    }
    // How the service joins prefix and name is not documented (reference Q1).
    let slash = if prefix.ends_with('/') { "" } else { "/" };
    (name, format!("{prefix}{slash}"))
}
