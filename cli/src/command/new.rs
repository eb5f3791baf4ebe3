//! `landfall new`.
//!
//! What must stay true: the event that is written is right by `landfall check`. A file that exists is not replaced.
#![allow(clippy::print_stderr)]

use std::{
    io::{BufRead as _, IsTerminal as _, Write as _},
    path::Path,
};

use anyhow::{Context, Result, bail};
use landfall_cli::{check, event, kinds, screen::print, template};

use super::{arguments::New, outcome::Outcome};

pub(super) fn new(options: &New) -> Result<Outcome> {
    let mut given = std::collections::BTreeMap::new();
    for text in &options.set {
        let (name, value) = text
            .split_once('=')
            .with_context(|| format!("--set {text}: it is not NAME=VALUE"))?;
        given.insert(name, value);
    }
    let asked = template::questions(&options.kind);
    if let Some(unknown) = given
        .keys()
        .find(|name| !asked.iter().any(|question| question.name == **name))
    {
        let names: Vec<&str> = asked.iter().map(|question| question.name).collect();
        bail!("--set {unknown}: a {} asks for {}", options.kind, names.join(", "));
    }
    let mut answers = Vec::new();
    for question in asked {
        let answer = match given.get(question.name) {
            Some(value) => (*value).to_owned(),
            None => ask(question)?,
        };
        answers.push((question, answer));
    }
    let event = template::event(&options.kind, &answers)?;
    let faults = check::faults(&event)?;
    if !faults.is_empty() {
        let lines: Vec<String> = faults.iter().map(|fault| format!("\n  {fault}")).collect();
        bail!("such an event would be refused:{}", lines.concat());
    }
    let text = serde_json::to_string_pretty(&event)? + "\n";
    let Some(path) = &options.out else {
        print(text.trim_end())?;
        return Ok(Outcome::Good);
    };
    create(path, &text)?;
    let schema = path.with_file_name(template::schema_file(&options.kind));
    if !schema.exists() {
        create(&schema, kinds::schema(&options.kind).unwrap_or_default())?;
    }
    print(&format!(
        "wrote {}, and its schema for your editor beside it",
        path.display()
    ))?;
    let kind = event::kind(&event)?;
    eprintln!("`landfall send {}` asks for the {kind}.", path.display());
    Ok(Outcome::Good)
}

fn create(path: &Path, text: &str) -> Result<()> {
    let file = std::fs::File::create_new(path).with_context(|| format!("cannot create {}", path.display()));
    file?
        .write_all(text.as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))
}

fn ask(question: &template::Question) -> Result<String> {
    if let (false, Some(default)) = (std::io::stdin().is_terminal(), question.default) {
        return Ok(default.to_owned());
    }
    if !std::io::stdin().is_terminal() {
        bail!("nobody can be asked here: add --set {}=VALUE", question.name);
    }
    let default = question
        .default
        .map_or_else(String::new, |default| format!(" [{default}]"));
    loop {
        eprint!("{}: {}{default}: ", question.name, question.what);
        std::io::stderr().flush().context("cannot ask")?;
        let mut answer = String::new();
        if std::io::stdin()
            .lock()
            .read_line(&mut answer)
            .context("cannot read the answer")?
            == 0
        {
            bail!("there was no answer for {}", question.name);
        }
        match (answer.trim(), question.default) {
            ("", Some(default)) => return Ok(default.to_owned()),
            ("", None) => {}
            (answer, _) => return Ok(answer.to_owned()),
        }
    }
}
