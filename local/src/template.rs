//! What `template.yaml` says about the functions and the rules, for the local deployment.
//!
//! What must stay true: the file is the only place that says it. What is not found there is an error.
//!
//! The file is read once. Its short forms (`!Ref`, `!Sub`) become the long ones. Each loop (`Fn::ForEach`) becomes one
//! resource for each member. What a loop looks up in `Mappings` is put in its place. Everything else is resolved only
//! when it is asked for: a parameter then has its default, and a pseudo parameter has the local world's value.

use std::{collections::BTreeMap, sync::OnceLock, time::Duration};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Map, Value, json};

use crate::{
    account::{ACCOUNT, PARTITION, REGION, STACK},
    places,
};

/// How long a function may take, and how much memory it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// How long it may take.
    pub timeout: Duration,
    /// Its memory in MB.
    pub memory_mb: u32,
}

/// A rule by which a bus starts executions of a state machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Its name in the template.
    pub name: String,
    /// The pattern of the events that it matches.
    pub pattern: Value,
    /// The name of the machine.
    pub machine: String,
}

/// The template, with its loops unrolled.
#[derive(Debug)]
pub struct Template {
    resources: BTreeMap<String, Value>,
    conditions: Value,
    parameters: Value,
    globals: Value,
}

/// The template of the workspace.
pub fn template() -> Result<&'static Template> {
    static TEMPLATE: OnceLock<Result<Template, String>> = OnceLock::new();
    let read = || {
        let path = places::workspace()?.join("template.yaml");
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Template::parse(&text).with_context(|| format!("cannot make sense of {}", path.display()))
    };
    let read = TEMPLATE.get_or_init(|| read().map_err(|error: anyhow::Error| format!("{error:#}")));
    read.as_ref().map_err(|why| anyhow!("{why}"))
}

impl Template {
    /// Reads a template.
    pub fn parse(text: &str) -> Result<Self> {
        let mut template = long_forms(yaml_serde::from_str(text).context("it is no YAML")?)?;
        let mappings = template["Mappings"].take();
        let resources = match template["Resources"].take() {
            Value::Object(resources) => without_loops(resources, &template["Parameters"])?,
            _ => bail!("it has no resources"),
        };
        Ok(Self {
            resources: resources
                .into_iter()
                .map(|(name, resource)| Ok((name, looked_up(resource, &mappings)?)))
                .collect::<Result<_>>()?,
            conditions: template["Conditions"].take(),
            parameters: template["Parameters"].take(),
            globals: template["Globals"]["Function"].take(),
        })
    }

    /// The size of a function, by the name of its binary.
    pub fn size(&self, function: &str) -> Result<Size> {
        let properties = self.function(function)?;
        let number = |name: &str| {
            let own = properties[name].as_u64().or_else(|| self.globals[name].as_u64());
            own.with_context(|| format!("{function} has no {name}"))
        };
        Ok(Size {
            timeout: Duration::from_secs(number("Timeout")?),
            memory_mb: u32::try_from(number("MemorySize")?)
                .with_context(|| format!("{function} has too much memory"))?,
        })
    }

    /// The variables that only this function gets and whose values are known. Parameters have their defaults.
    pub fn settings(&self, function: &str) -> Result<BTreeMap<String, String>> {
        let variables = self.function(function)?["Environment"]["Variables"].as_object();
        let default = |value: &Value| {
            let parameter = value
                .as_object()
                .filter(|member| member.len() == 1)?
                .get("Ref")?
                .as_str()?;
            match &self.parameters[parameter]["Default"] {
                Value::String(text) => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            }
        };
        let known = |value: &Value| Some(resolved(value).ok()?.as_str()?.to_owned());
        let own = variables.into_iter().flatten();
        Ok(own
            .filter_map(|(name, value)| Some((name.clone(), default(value).or_else(|| known(value))?)))
            .collect())
    }

    /// Whether a function gets a variable that not all functions get.
    pub fn is_told(&self, function: &str, variable: &str) -> Result<bool> {
        Ok(!self.function(function)?["Environment"]["Variables"][variable].is_null())
    }

    /// The parameter that deploys a kind, or batches. It is found by the name that its resources begin with.
    pub fn switch(&self, kind: &str) -> Result<&str> {
        let parameter = &self.conditions[kind]["Fn::Equals"][0]["Ref"];
        parameter
            .as_str()
            .with_context(|| format!("no parameter deploys {kind}"))
    }

    fn function(&self, binary: &str) -> Result<&Value> {
        let code = format!("target/lambda/{binary}/");
        let properties = self.of("AWS::Serverless::Function").map(|(_, properties)| properties);
        let mut found = properties.filter(|properties| properties["CodeUri"] == code.as_str());
        found.next().with_context(|| format!("no function is made of {code}"))
    }

    fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = (&'a String, &'a Value)> {
        let of_kind = self
            .resources
            .iter()
            .filter(move |(_, resource)| resource["Type"] == kind);
        of_kind.map(|(name, resource)| (name, &resource["Properties"]))
    }

    /// The rules that start state machines. Other rules may only count events, or notify somebody.
    pub fn rules(&self) -> Result<Vec<Rule>> {
        let mut rules = Vec::new();
        for (name, properties) in self.of("AWS::Events::Rule") {
            for target in properties["Targets"].as_array().into_iter().flatten() {
                let machine = target["Arn"]["Ref"].as_str().and_then(|name| self.resources.get(name));
                let Some(machine) = machine.filter(|target| target["Type"] == "AWS::StepFunctions::StateMachine")
                else {
                    continue;
                };
                let machine = resolved(&machine["Properties"]["StateMachineName"])?;
                rules.push(Rule {
                    name: name.clone(),
                    pattern: resolved(&properties["EventPattern"])?,
                    machine: machine
                        .as_str()
                        .with_context(|| format!("{name} starts a machine without a name"))?
                        .to_owned(),
                });
            }
        }
        if rules.is_empty() {
            bail!("it has no rule that starts a state machine");
        }
        Ok(rules)
    }
}

/// Turns `!Sub x` into `{"Fn::Sub": x}`, and so on.
fn long_forms(value: yaml_serde::Value) -> Result<Value> {
    use yaml_serde::Value as Yaml;
    Ok(match value {
        Yaml::Null => Value::Null,
        Yaml::Bool(yes) => json!(yes),
        Yaml::Number(number) => serde_json::to_value(number)?,
        Yaml::String(text) => json!(text),
        Yaml::Sequence(items) => items.into_iter().map(long_forms).collect::<Result<_>>()?,
        Yaml::Mapping(members) => {
            let members = members.into_iter().map(|(name, value)| {
                let name = name.as_str().context("a member has a name that is no text")?.to_owned();
                Ok((name, long_forms(value)?))
            });
            Value::Object(members.collect::<Result<_>>()?)
        }
        Yaml::Tagged(tagged) => {
            let name = tagged.tag.to_string();
            let name = name.trim_start_matches('!');
            let value = long_forms(tagged.value)?;
            match (name, &value) {
                ("Ref" | "Condition", _) => json!({name: value}),
                ("GetAtt", Value::String(text)) => json!({"Fn::GetAtt": text.split('.').collect::<Vec<_>>()}),
                _ => json!({format!("Fn::{name}"): value}),
            }
        }
    })
}

/// Unrolls each `Fn::ForEach`. A loop over a parameter that is a list uses its default.
fn without_loops(resources: Map<String, Value>, parameters: &Value) -> Result<Map<String, Value>> {
    let mut made = Map::new();
    for (name, resource) in resources {
        if !name.starts_with("Fn::ForEach::") {
            made.insert(name, resource);
            continue;
        }
        let members: Option<Vec<&str>> = match &resource[1] {
            Value::Array(members) => members.iter().map(Value::as_str).collect(),
            parameter => parameter["Ref"]
                .as_str()
                .and_then(|name| parameters[name]["Default"].as_str())
                .map(|list| list.split(',').filter(|member| !member.is_empty()).collect()),
        };
        let (Some(variable), Some(members), Some(body)) = (resource[0].as_str(), members, resource[2].as_object())
        else {
            bail!("{name} is no loop over texts");
        };
        for member in members {
            for (name, resource) in body {
                let name = name.replace(&format!("${{{variable}}}"), member);
                if made.insert(name.clone(), put(resource, variable, member)).is_some() {
                    bail!("{name} is made twice");
                }
            }
        }
    }
    Ok(made)
}

/// Replaces a loop's variable by a member.
fn put(value: &Value, variable: &str, member: &str) -> Value {
    match value {
        Value::String(text) => json!(text.replace(&format!("${{{variable}}}"), member)),
        Value::Array(items) => items.iter().map(|item| put(item, variable, member)).collect(),
        Value::Object(members) if members.len() == 1 && members.get("Ref").is_some_and(|name| name == variable) => {
            json!(member)
        }
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), put(value, variable, member)))
            .collect(),
        other => other.clone(),
    }
}

/// Replaces functions by the values in `Mappings` that they look up, and by the texts made of these.
fn looked_up(value: Value, mappings: &Value) -> Result<Value> {
    let value = match value {
        Value::Array(items) => items
            .into_iter()
            .map(|item| looked_up(item, mappings))
            .collect::<Result<_>>()?,
        Value::Object(members) => {
            let members = members.into_iter();
            let members = members.map(|(name, value)| Ok((name, looked_up(value, mappings)?)));
            Value::Object(members.collect::<Result<_>>()?)
        }
        other => return Ok(other),
    };
    if let Some(place) = value.get("Fn::FindInMap") {
        let names = [0, 1, 2].map(|n| place[n].as_str().unwrap_or_default());
        let [table, row, column] = names;
        let found = &mappings[table][row][column];
        if found.is_null() {
            bail!("Mappings have no {table}, {row}, {column}");
        }
        return Ok(found.clone());
    }
    if let Some(Value::Array(sub)) = value.get("Fn::Sub") {
        let mut text = sub.first().and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut left = Map::new();
        for (name, value) in sub.get(1).and_then(Value::as_object).into_iter().flatten() {
            match value.as_str() {
                Some(word) => text = text.replace(&format!("${{{name}}}"), word),
                None => _ = left.insert(name.clone(), value.clone()),
            }
        }
        return Ok(match left.is_empty() {
            true if !text.contains("${") => json!(text),
            true => json!({"Fn::Sub": text}),
            false => json!({"Fn::Sub": [text, left]}),
        });
    }
    match value.get("Fn::Sub").and_then(Value::as_str) {
        Some(text) if !text.contains("${") => Ok(json!(text)),
        _ => Ok(value),
    }
}

/// A value with the pseudo parameters of the local world.
fn resolved(value: &Value) -> Result<Value> {
    let pseudo = |name: &str| match name {
        "AWS::AccountId" => Ok(ACCOUNT),
        "AWS::Region" => Ok(REGION),
        "AWS::Partition" => Ok(PARTITION),
        "AWS::StackName" => Ok(STACK),
        _ => Err(anyhow!("{name} has no value here")),
    };
    match value {
        Value::Array(items) => items.iter().map(resolved).collect(),
        Value::Object(members) => {
            if let Some(name) = members.get("Ref").and_then(Value::as_str) {
                return Ok(json!(pseudo(name)?));
            }
            if let Some(text) = members.get("Fn::Sub").and_then(Value::as_str) {
                let mut parts = text.split("${");
                let mut whole = parts.next().unwrap_or_default().to_owned();
                for part in parts {
                    let (name, rest) = part.split_once('}').with_context(|| format!("{text} is not closed"))?;
                    whole += pseudo(name)?;
                    whole += rest;
                }
                return Ok(json!(whole));
            }
            let members = members.iter().map(|(name, value)| Ok((name.clone(), resolved(value)?)));
            Ok(Value::Object(members.collect::<Result<_>>()?))
        }
        other => Ok(other.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions;
    use crate::kinds::KINDS;

    #[test]
    fn every_function_and_every_kind_is_found() {
        let template = template().unwrap();
        let functions = functions::functions(&KINDS, true);
        for function in &functions {
            assert!(template.size(function).unwrap().memory_mb >= 128, "{function}");
        }
        let deployed = template.of("AWS::Serverless::Function").count();
        assert_eq!(
            deployed,
            functions.len(),
            "the template has functions that nothing runs here"
        );
        let rules = template.rules().unwrap();
        assert_eq!(rules.len(), KINDS.len() + 1, "{rules:?}");
        let rule = rules.iter().find(|rule| rule.name == "SegmentSnapshotRule").unwrap();
        assert_eq!(rule.machine, "landfall-segment-snapshot");
        assert_eq!(rule.pattern["account"], json!([ACCOUNT]));
    }

    #[test]
    fn each_function_has_its_own_size_and_settings() {
        let template = template().unwrap();
        let usual = template.size("segment-snapshot-start").unwrap();
        assert!(template.size("verify-output").unwrap().memory_mb > usual.memory_mb);
        assert!(template.size("endpoint-import-start").unwrap().timeout > usual.timeout);
        let settings = template.settings("segment-snapshot-start").unwrap();
        assert_eq!(settings["LANDFALL_MAX_STARTS_PER_DAY"], "200");
        let settings = template.settings("seal-receipt").unwrap();
        assert_eq!(settings["LANDFALL_METRICS"], "Landfall/landfall");
        assert!(
            template
                .is_told("endpoint-export-start", "LANDFALL_DEFAULT_DESTINATION")
                .unwrap()
        );
        assert!(
            !template
                .is_told("endpoint-import-start", "LANDFALL_DEFAULT_DESTINATION")
                .unwrap()
        );
        template.size("no-such-function").unwrap_err();
    }

    #[test]
    fn a_loop_of_the_template_is_expanded() {
        let text = "
Mappings: {M: {One: {Name: one}, Two: {Name: two}}}
Resources:
  Fn::ForEach::Each:
    - Kind
    - [One, Two]
    - ${Kind}Thing: {Type: !Ref Kind, Properties: {A: !Sub ['x-${N}', {N: !FindInMap [M, !Ref Kind, Name]}], B: !GetAtt [!Sub '${Kind}Role', Arn]}}
";
        let template = Template::parse(text).unwrap();
        assert_eq!(
            template.resources["TwoThing"],
            json!({"Type": "Two", "Properties": {"A": "x-two", "B": {"Fn::GetAtt": ["TwoRole", "Arn"]}}})
        );
        let missing = text.replace("Two: {Name: two}", "Two: {Other: two}");
        assert!(format!("{:#}", Template::parse(&missing).unwrap_err()).contains("no M, Two, Name"));
        let twice = text.replace("[One, Two]", "[One, One]");
        assert!(format!("{:#}", Template::parse(&twice).unwrap_err()).contains("twice"));
    }
}
