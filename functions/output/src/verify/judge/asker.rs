//! Who asked for a verification, which changes the words of its reasons.
//!
//! What must stay true: a reason advises only what the asker can do.

use serde::{Deserialize, Serialize};

/// Who asked for a verification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asker {
    /// An event. Counts and names come from the service.
    #[default]
    Event,
    /// A command line. Counts and names come from its options and its receipt.
    Command,
}

/// The parts of reasons that differ between askers.
#[derive(Debug)]
pub(super) struct Words {
    /// Who asks for a level.
    pub(super) who: &'static str,
    /// How to raise the level.
    pub(super) raise_level: &'static str,
    /// Who allows an export without rows.
    pub(super) who_allows: &'static str,
    /// How to allow an export without rows.
    pub(super) allow_empty: &'static str,
    /// Who says how many rows there must be. The number follows.
    pub(super) counts: &'static str,
    /// Nobody says how many rows there must be.
    pub(super) no_count: &'static str,
    /// How to make another number of rows fail.
    pub(super) be_strict: &'static str,
    /// Nobody says how many rows failed.
    pub(super) no_failures: &'static str,
    /// Who names the files.
    pub(super) names: &'static str,
    /// Nobody names files.
    pub(super) no_names: &'static str,
    /// Nobody names a KMS key.
    pub(super) no_key: &'static str,
    /// Who expects more of the output.
    pub(super) expects: &'static str,
    /// Where the expectation is.
    pub(super) expect: &'static str,
    /// What to do about files of another format than the one that was asked for.
    pub(super) other_format: &'static str,
    /// What to do if the parts of an output have different columns.
    pub(super) apart: &'static str,
    /// Nothing is known of an earlier export.
    pub(super) no_previous: &'static str,
}

static EVENT: Words = Words {
    who: "the event",
    raise_level: "set Landfall.Verification.Level in the event to \"full\"",
    who_allows: "the request",
    allow_empty: "allow that in the event with Landfall.Verification.AllowEmpty",
    counts: "the service reports",
    no_count: "the service reports no number of rows",
    be_strict: "set Landfall.Verification.RowCount in the event to \"fail\"",
    no_failures: "the service reports no number of failed rows",
    names: "the service names",
    no_names: "the service names no files",
    no_key: "the request names no KMS key; S3 encrypts by the bucket's default, see the objects",
    expects: "the event expects",
    expect: "The limit is in the event, Landfall.Verification.Expect.",
    other_format: "ask for the format that they have, or have them written in the one that was asked for",
    apart: "They cannot be read as one table: find out which run or which writer each of them is of, and run the export \
            again",
    no_previous: "there is no earlier success in this destination whose rows are known",
};

static COMMAND: Words = Words {
    who: "--level",
    raise_level: "leave --level out",
    who_allows: "--allow-empty",
    allow_empty: "allow that with --allow-empty",
    counts: "--rows says",
    no_count: "no number of rows is known; --rows N names it",
    be_strict: "name the number with --rows",
    no_failures: "no number of failed rows is known",
    names: "the receipt names",
    no_names: "no receipt names files of several formats",
    no_key: "no KMS key was named; for a bucket, --kms-key names the one to expect",
    expects: "--expect asks for",
    expect: "The limit is in --expect, member ",
    other_format: "name the format that they have with --format, or have them written in the one that was asked for",
    apart: "They cannot be read as one table: find out where each of them is from; if they are tables of their own, \
            verify each in a folder of its own",
    no_previous: "the rows of an earlier export are not known; name its receipt with --receipt",
};

impl Asker {
    pub(super) fn words(self) -> &'static Words {
        match self {
            Self::Event => &EVENT,
            Self::Command => &COMMAND,
        }
    }
}
