//! Paths, payload templates and the one intrinsic function that the definition uses.

use landfall::job::TaskError;
use serde_json::{Map, Value, json};

pub(super) fn failure(error: &str, cause: impl Into<String>) -> TaskError {
    TaskError {
        error: error.to_owned(),
        cause: cause.into(),
    }
}

pub(super) fn runtime(cause: impl Into<String>) -> TaskError {
    failure("States.Runtime", cause)
}

/// The value at a path of the input, `$.a`, or of the context object, `$$.a`.
pub(super) fn look_up<'a>(path: &str, input: &'a Value, context: &'a Value) -> Result<&'a Value, TaskError> {
    match path.strip_prefix('$') {
        Some(inner) if inner.starts_with('$') => find(inner, context),
        _ => find(path, input),
    }
}

/// The value at a reference path, `$.a.b`.
pub(super) fn find<'a>(path: &str, data: &'a Value) -> Result<&'a Value, TaskError> {
    let missing = || runtime(format!("{path} is not in the input"));
    let rest = path.strip_prefix('$').ok_or_else(missing)?;
    let members = rest.split('.').skip(1);
    members
        .into_iter()
        .try_fold(data, |data, member| data.get(member))
        .ok_or_else(missing)
}

/// The input with a result placed at `$` or at a path of members. Missing members are added.
pub(super) fn put(path: &str, input: &Value, result: Value) -> Result<Value, TaskError> {
    let members = match path.strip_prefix("$.") {
        None if path == "$" => return Ok(result),
        Some(members) => members,
        None => return Err(runtime(format!("the path {path} is not interpreted"))),
    };
    let mut output = input.clone();
    let mut place = &mut output;
    for member in members.split('.') {
        if !place.is_object() {
            return Err(runtime(format!("{path} cannot be put into what is no object")));
        }
        place = &mut place[member];
    }
    *place = result;
    Ok(output)
}

/// Calls an intrinsic function. Only the one that the definition uses is known, with whole numbers.
fn call(expression: &str, input: &Value, context: &Value) -> Result<Value, TaskError> {
    let arguments = expression
        .strip_prefix("States.MathAdd(")
        .and_then(|rest| rest.strip_suffix(')'))
        .ok_or_else(|| runtime(format!("{expression} is not interpreted")))?;
    let mut numbers = Vec::new();
    for argument in arguments.split(',').map(str::trim) {
        let number = match argument.starts_with('$') {
            true => look_up(argument, input, context)?.as_i64(),
            false => argument.parse().ok(),
        };
        numbers.push(number.ok_or_else(|| runtime(format!("{argument} in {expression} is no whole number")))?);
    }
    match numbers.as_slice() {
        [one, other] => Ok(json!(one + other)),
        _ => Err(runtime(format!("{expression} has to have two arguments"))),
    }
}

/// A payload template in which each path is replaced by its value.
pub(super) fn fill(template: &Value, input: &Value, context: &Value) -> Result<Value, TaskError> {
    Ok(match template {
        Value::Object(members) => {
            let mut filled = Map::new();
            for (name, value) in members {
                match (name.strip_suffix(".$"), value) {
                    (Some(name), Value::String(path)) => {
                        let value = match path.starts_with("States.") {
                            true => call(path, input, context)?,
                            false => look_up(path, input, context)?.clone(),
                        };
                        filled.insert(name.to_owned(), value);
                    }
                    _ => {
                        filled.insert(name.clone(), fill(value, input, context)?);
                    }
                }
            }
            Value::Object(filled)
        }
        Value::Array(items) => items
            .iter()
            .map(|item| fill(item, input, context))
            .collect::<Result<_, _>>()?,
        other => other.clone(),
    })
}
