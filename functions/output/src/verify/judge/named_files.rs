//! `named_files`: whether the files that a service names are there.
//!
//! What must stay true: if a named file is missing, the check fails, whatever else is there.

use std::collections::{BTreeMap, BTreeSet};

use landfall::{job::NamedFile, s3_uri::S3Uri};

use super::{
    judgement::{Judgement, fail, pass, skipped, warn},
    words::{Examples, key, objects, shown, verb},
};
use crate::verify::{Expectation, report::Reading};

/// The files that a service names.
#[derive(Clone, Debug, Default)]
pub(super) struct Named {
    /// Their keys, and whether there is data at each.
    named: BTreeMap<String, bool>,
    /// Data objects that the service does not name.
    unnamed: Examples,
}

impl Named {
    pub(super) fn new(asked: &Expectation) -> Self {
        let uris = asked.files.iter().flatten().filter_map(|file| file.uri.as_ref());
        Self {
            named: uris.map(|uri| (uri.key.clone(), false)).collect(),
            unnamed: Examples::default(),
        }
    }

    /// Adds a data object.
    pub(super) fn add(&mut self, reading: &Reading) {
        match self.named.get_mut(&reading.object.key) {
            Some(is_there) => *is_there = true,
            None => self.unnamed.add(|| key(reading)),
        }
    }

    pub(super) fn judge(&self, asked: &Expectation) -> Judgement {
        let words = asked.asker.words();
        let Some(files) = asked.files.as_deref().filter(|files| !files.is_empty()) else {
            return match asked.format {
                Some(_) => skipped(words.no_names),
                None => fail(format!(
                    "{}, and nothing else says which objects are the output",
                    words.no_names
                )),
            };
        };
        let names = words.names;
        let named = objects(files.len() as u64, "file");
        let wrong: Examples = files
            .iter()
            .filter_map(|file| self.wrong_with(file, &asked.prefix))
            .collect();
        if !wrong.is_empty() {
            return fail(format!(
                "{} of the {named} that {names} {} missing or failed: {wrong}. Run the export again",
                wrong.count,
                verb(wrong.count, "is", "are")
            ));
        }
        let all = format!("all {named} that {names} are there");
        let uris: BTreeSet<_> = files.iter().filter_map(|file| file.uri.as_ref()).collect();
        if uris.len() < files.len() {
            return warn(format!(
                "{all}, and some of them are one and the same object: {} in all. Check that each of them holds what \
                 was asked for",
                objects(uris.len() as u64, "object")
            ));
        }
        if !self.unnamed.is_empty() {
            return warn(format!("{all}, and further data: {}", self.unnamed));
        }
        pass(all)
    }

    /// Why a file that the service names is missing; `None` if it is there.
    fn wrong_with(&self, file: &NamedFile, prefix: &S3Uri) -> Option<String> {
        let label = shown(&file.label);
        if let Some(error) = &file.error {
            return Some(format!("{label} failed with {}", shown(error)));
        }
        let Some(uri) = &file.uri else {
            return Some(format!("{label} has neither a URI nor an error"));
        };
        let place = shown(&uri.to_string());
        if !uri.is_within(prefix) {
            return Some(format!(
                "{label} lies at {place}, outside of this run's prefix {prefix}"
            ));
        }
        let is_there = self.named.get(&uri.key) == Some(&true);
        (!is_there).then(|| format!("{label} should be at {place}, but nothing is there"))
    }
}
