//! `checksum`: whether the bytes that were read match the checksum that S3 keeps.
//!
//! What must stay true: a checksum that was not compared never counts as equal, and the reason says why it was not
//! compared.

use std::collections::BTreeMap;

use super::{
    judgement::{Judgement, fail, pass, skipped},
    words::{Examples, key, objects},
};
use crate::verify::{hash::Compared, report::Reading};

/// The checksums of the data objects, as far as they are known.
#[derive(Clone, Debug, Default)]
pub(super) struct Checksums {
    /// How many data objects match their checksum, by the algorithm's name.
    same: BTreeMap<&'static str, u64>,
    different: Examples,
    /// Data objects of which S3 keeps only a checksum of the parts' checksums, by the algorithm's name.
    of_parts: BTreeMap<String, u64>,
    /// Data objects whose checksum was not computed, by the algorithm's name.
    not_computed: BTreeMap<String, u64>,
}

impl Checksums {
    /// Adds a data object.
    pub(super) fn add(&mut self, reading: &Reading) {
        match &reading.compared {
            None => {}
            Some(Compared::Same(algorithm)) => *self.same.entry(algorithm.name()).or_default() += 1,
            Some(Compared::Different(algorithm)) => self.different.add(|| format!("{} ({algorithm})", key(reading))),
            Some(Compared::OfParts(algorithm)) => *self.of_parts.entry(algorithm.clone()).or_default() += 1,
            Some(Compared::NotComputed(algorithm)) => *self.not_computed.entry(algorithm.clone()).or_default() += 1,
        }
    }

    /// `data` is the number of data objects. `below_full` says why their bytes were not read, if they were not.
    pub(super) fn judge(&self, data: u64, below_full: Option<String>) -> Judgement {
        if !self.different.is_empty() {
            return fail(format!(
                "{} read with another checksum than S3 keeps: {}. Verify again; if it stays, run the export again",
                objects(self.different.count, "data object"),
                self.different
            ));
        }
        let of_parts = counts(&self.of_parts);
        let not_computed = counts(&self.not_computed);
        let mut open = Vec::new();
        if !of_parts.is_empty() {
            open.push(format!(
                "S3 keeps only checksums of their parts, which say nothing about the whole ({of_parts})"
            ));
        }
        if !not_computed.is_empty() {
            open.push(format!("S3 keeps checksums that were not computed ({not_computed})"));
        }
        if self.same.is_empty() {
            return skipped(match (open.is_empty(), below_full) {
                (false, _) => format!(
                    "no checksum could be compared: {}; the SHA-256 of the objects is ours",
                    open.join("; ")
                ),
                (true, Some(why)) => why,
                (true, None) => "S3 keeps no checksum of a data object; the SHA-256 of the objects is ours".to_owned(),
            });
        }
        let compared: u64 = self.same.values().sum();
        let others = if open.is_empty() {
            String::new()
        } else {
            format!("; of others {}", open.join("; "))
        };
        let same = match (self.same.len(), self.same.first_key_value()) {
            (1, Some((algorithm, _))) => (*algorithm).to_owned(),
            _ => format!("checksum ({})", counts(&self.same)),
        };
        pass(format!(
            "the {same} that S3 keeps of {compared} of {} matches the bytes that were read{others}",
            objects(data, "data object")
        ))
    }
}

fn counts<N: AsRef<str>>(of: &BTreeMap<N, u64>) -> String {
    let counts: Vec<_> = of
        .iter()
        .map(|(name, count)| format!("{}: {count}", name.as_ref()))
        .collect();
    counts.join(", ")
}

#[cfg(test)]
mod tests {
    use landfall::store::checksum::Algorithm;

    use super::*;
    use crate::verify::{
        CheckVerdict,
        judge::tests::{reading, whole},
    };

    fn of(compared: &[Option<Compared>]) -> (CheckVerdict, String) {
        let mut checksums = Checksums::default();
        for compared in compared {
            let mut reading = reading("a", 9, whole(1));
            reading.compared.clone_from(compared);
            checksums.add(&reading);
        }
        checksums.judge(compared.len() as u64, None)
    }

    #[test]
    fn the_reason_names_the_compared_checksums() {
        let same = |algorithm| Some(Compared::Same(algorithm));
        let parts = Some(Compared::OfParts("CRC32".to_owned()));
        let other = Some(Compared::NotComputed("SHA-1".to_owned()));
        let (crc, sha) = (same(Algorithm::Crc64Nvme), same(Algorithm::Sha256));
        for (compared, verdict, reason) in [
            (
                vec![crc.clone(), crc.clone()],
                CheckVerdict::Pass,
                "the CRC64NVME that S3 keeps of 2 of 2 data objects matches the bytes that were read",
            ),
            (
                vec![crc.clone(), sha, parts.clone(), None],
                CheckVerdict::Pass,
                "the checksum (CRC64NVME: 1, SHA-256: 1) that S3 keeps of 2 of 4 data objects matches the bytes that were \
                 read; of others S3 keeps only checksums of their parts, which say nothing about the whole (CRC32: 1)",
            ),
            (
                vec![parts, other],
                CheckVerdict::Skipped,
                "no checksum could be compared: S3 keeps only checksums of their parts, which say nothing about the whole \
                 (CRC32: 1); S3 keeps checksums that were not computed (SHA-1: 1); the SHA-256 of the objects is ours",
            ),
            (
                vec![None],
                CheckVerdict::Skipped,
                "S3 keeps no checksum of a data object; the SHA-256 of the objects is ours",
            ),
            (
                vec![crc, Some(Compared::Different(Algorithm::Crc32c))],
                CheckVerdict::Fail,
                "1 data object read with another checksum than S3 keeps: run=1/a (CRC32C). Verify again; if it stays, run \
                 the export again",
            ),
        ] {
            assert_eq!(of(&compared), (verdict, reason.to_owned()));
        }
    }
}
