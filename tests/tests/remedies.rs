//! The runbook gives the remedy of each error as the code does.
//!
//! `LANDFALL_UPDATE=1` writes the tables of `docs/operations.md` again.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::{collections::BTreeSet, fmt::Write as _, fs, path::Path};

use anyhow::{Context, Result};
use landfall::{
    error::ErrorKind,
    remedy::{Advice, Ended, ServiceError, remedy},
};
use landfall_quicksight::errors::{OF_IDENTITY, OF_JOBS, OF_REGISTERED_USERS, OF_SESSIONS, OF_SNAPSHOTS};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md");

/// A page in which a table replaces the lines between `<!-- name: from ... -->` and `<!-- end -->`.
fn with_table(page: &str, name: &str, table: &str) -> Result<String> {
    let head = format!("<!-- {name}: from ");
    let (before, rest) = page.split_once(&head).with_context(|| format!("no place for {name}"))?;
    let (from, rest) = rest.split_once("-->\n").context("the mark has no end")?;
    let (_, after) = rest.split_once("<!-- end -->").context("the table has no end")?;
    Ok(format!("{before}{head}{from}-->\n{table}<!-- end -->{after}"))
}

fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = format!("| {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len()));
    for row in rows {
        writeln!(table, "| {} |", row.join(" | ")).expect("a string takes all");
    }
    table
}

fn advised(advice: Advice) -> String {
    let commands: BTreeSet<_> = advice.next.iter().map(|next| next.command()).collect();
    assert_eq!(commands.len(), advice.next.len(), "{advice:?}");
    let commands = advice.next.iter().map(|next| format!("`{}`", next.command()));
    let mut cell = advice.what.to_owned();
    for command in commands {
        cell.push_str("<br>");
        cell.push_str(&command);
    }
    cell
}

#[test]
fn the_runbook_gives_the_remedies_of_the_code() -> Result<()> {
    let page = fs::read_to_string(Path::new(PAGE))?;
    let ended = table(
        &["where it ended", "do"],
        Ended::ALL.map(|ended| vec![ended.name().to_owned(), advised(ended.advice())]),
    );
    let errors = table(
        &["error", "what it means", "no `service.id`: do", "a `service.id`: do"],
        ErrorKind::ALL.map(|kind| {
            let remedy = remedy(kind);
            let (unstarted, started) = (remedy.advice(false), remedy.advice(true));
            let started = if started == unstarted { "the same" } else { started.what };
            [format!("`{kind}`").as_str(), remedy.meaning, unstarted.what, started]
                .map(str::to_owned)
                .to_vec()
        }),
    );
    let special_cases: String = ErrorKind::ALL
        .into_iter()
        .filter(|kind| !remedy(*kind).what_to_do.is_empty())
        .map(|kind| format!("* `{kind}`: {}\n", remedy(kind).what_to_do))
        .collect();
    let mut told = page.clone();
    for (name, table) in [
        ("where it ended", ended),
        ("errors", errors),
        ("special cases", special_cases),
    ] {
        told = with_table(&told, name, &table)?;
    }
    if std::env::var_os("LANDFALL_UPDATE").is_some() {
        fs::write(PAGE, told)?;
        return Ok(());
    }
    for (line, (is, should)) in page.lines().zip(told.lines()).enumerate() {
        assert_eq!(
            is,
            should,
            "docs/operations.md:{}: set LANDFALL_UPDATE=1 to write it anew",
            line + 1
        );
    }
    assert_eq!(page.lines().count(), told.lines().count());
    Ok(())
}

/// The cause of a refused call has the advice of the row with its code, so each row needs some.
#[test]
fn every_error_of_a_service_says_what_to_do() {
    let tables: [(&str, &[ServiceError]); 7] = [
        ("Customer Profiles", landfall_customer_profiles::errors::OF_CALLS),
        ("Quick Sight", OF_SNAPSHOTS),
        ("Quick Sight, for a registered user", OF_REGISTERED_USERS),
        ("GetIdentityContext", OF_IDENTITY),
        ("AssumeRole", OF_SESSIONS),
        ("Pinpoint", landfall_pinpoint::errors::OF_CALLS),
        ("result of a dashboard snapshot", OF_JOBS),
    ];
    for (of, errors) in tables {
        let codes: BTreeSet<&str> = errors.iter().map(|error| error.code).collect();
        assert_eq!(codes.len(), errors.len(), "{of}: a code has one row");
        for error in errors {
            let is_whole = |text: &str| !text.trim().is_empty() && !text.contains("  ");
            assert!(is_whole(error.meaning) && is_whole(error.remedy), "{of}: {error:?}");
            // It stands behind a semicolon of the cause.
            assert!(!error.remedy.ends_with('.'), "{of}: {error:?}");
        }
    }
}
