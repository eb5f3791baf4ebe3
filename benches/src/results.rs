//! Summarises the runs: medians, ratios, and the aims that they meet.
//!
//! What must stay true: everything here is pure. Only runs of the same benchmark are compared. A ratio above 1 always
//! means that Landfall is faster.

use std::collections::BTreeMap;

use comfy_table::{CellAlignment, Table, presets::ASCII_MARKDOWN};
use serde::Serialize;

use crate::{
    contestant::{Contestant, Run},
    data::Format,
};

/// How many times as fast as the best peer full verification must be.
pub const AIM_PEER: f64 = 1.5;
/// How many times as long as a bare download the verification of text may take if the link is the limit.
pub const AIM_DOWNLOAD: f64 = 1.15;
/// The most resident memory of verification, in bytes.
pub const AIM_PEAK: u64 = 64 << 20;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FormatResults {
    pub format: Format,
    pub files: usize,
    /// The rows of all files.
    pub rows: u64,
    /// The bytes of all files.
    pub stored_bytes: u64,
    /// The inflated bytes, for gzip.
    pub decoded_bytes: Option<u64>,
    /// The results of each contestant, in the order of the tables.
    pub contestants: Vec<Entry>,
    /// The results of plain text at the rate of a link.
    pub paced: Option<Paced>,
}

/// The results of [`Contestant::PACED`] at the rate of a link.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Paced {
    /// The rate, in 10^6 bytes a second.
    pub megabytes_per_second: u64,
    pub contestants: Vec<Entry>,
}

/// The results of one contestant.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    pub contestant: Contestant,
    /// The run with the median time, or `None` if the contestant cannot read the format.
    pub median: Option<Run>,
    /// Every timed run, in order.
    pub runs: Vec<Run>,
    /// Why it cannot read the format.
    pub unsupported: Option<String>,
}

impl Entry {
    /// Summarises runs. Memory is the peak of all runs.
    #[must_use]
    pub fn of(contestant: Contestant, runs: Vec<Run>, unsupported: Option<String>) -> Self {
        let mut sorted = runs.clone();
        sorted.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
        let peak_bytes = runs.iter().map(|run| run.peak_bytes).max().unwrap_or_default();
        // Of an even number of runs, the slower one of the two in the middle counts.
        let median = sorted.get(sorted.len() / 2).map(|run| Run { peak_bytes, ..*run });
        Self {
            contestant,
            median,
            runs,
            unsupported,
        }
    }
}

/// One aim, and whether it was met.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Aim {
    /// The aim, and what was reached.
    pub text: String,
    pub met: bool,
}

impl FormatResults {
    /// The peer with the shortest time, with that time in seconds.
    fn best_peer(&self) -> Option<(Contestant, f64)> {
        self.contestants
            .iter()
            .filter(|entry| entry.contestant.is_peer())
            .filter_map(|entry| Some((entry.contestant, entry.median?.seconds)))
            .min_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// The aims, and whether each was met. An aim without a measurement is left out.
    #[must_use]
    pub fn aims(&self) -> Vec<Aim> {
        let Some(landfall) = median(&self.contestants, Contestant::Landfall) else {
            return Vec::new();
        };
        let mut aims = Vec::new();
        if let Some((peer, seconds)) = self.best_peer() {
            let ratio = seconds / landfall.seconds;
            aims.push(Aim {
                text: format!("{ratio:.2} times the best peer, {} (aim: {AIM_PEER})", peer.title()),
                met: ratio >= AIM_PEER,
            });
        }
        let mut peak_bytes = landfall.peak_bytes;
        if let Some(paced) = &self.paced
            && let Some(landfall) = median(&paced.contestants, Contestant::Landfall)
        {
            peak_bytes = peak_bytes.max(landfall.peak_bytes);
            if let Some(download) = median(&paced.contestants, Contestant::Download) {
                let ratio = landfall.seconds / download.seconds;
                aims.push(Aim {
                    text: format!(
                        "{ratio:.2} times the bare download at {} MB/s (aim: {AIM_DOWNLOAD})",
                        paced.megabytes_per_second
                    ),
                    met: ratio <= AIM_DOWNLOAD,
                });
            }
        }
        aims.push(Aim {
            text: format!(
                "{} at most resident (aim: {})",
                mebibytes(peak_bytes),
                mebibytes(AIM_PEAK)
            ),
            met: peak_bytes <= AIM_PEAK,
        });
        aims
    }

    /// Compares verification with the unpaced downloads, for which there is no aim.
    #[must_use]
    pub fn remark(&self) -> Option<String> {
        let seconds = |contestant| Some(median(&self.contestants, contestant)?.seconds);
        let landfall = seconds(Contestant::Landfall)?;
        let bare = landfall / seconds(Contestant::Download)?;
        let hashed = landfall / seconds(Contestant::DownloadSha256)?;
        let mut text = format!("{hashed:.2} times download and SHA-256, {bare:.2} times the bare download");
        if self.format.is_plain_text() {
            text += "; that is no aim here, where bytes come from memory and no link is the limit";
        }
        Some(text)
    }

    /// The results as Markdown tables, after a line about the data.
    #[must_use]
    pub fn tables(&self) -> String {
        let inflated = self
            .decoded_bytes
            .map(|bytes| format!(" ({} MB inflated)", bytes / 1_000_000))
            .unwrap_or_default();
        let mut text = format!(
            "{}: {} MB{inflated}, {} files, {} rows\n\n{}\n",
            self.format.title(),
            self.stored_bytes / 1_000_000,
            self.files,
            self.rows,
            self.table(&self.contestants)
        );
        for entry in &self.contestants {
            if let Some(reason) = &entry.unsupported {
                text += &format!("\n{}: {reason}", entry.contestant.title());
            }
        }
        if let Some(paced) = &self.paced {
            let title = paced.title(self.format);
            text += &format!("\n{title}\n\n{}\n", self.table(&paced.contestants));
        }
        text
    }

    fn table(&self, entries: &[Entry]) -> Table {
        let mut table = Table::new();
        table.load_style(ASCII_MARKDOWN);
        let mut header = vec!["", "s", "MB/s"];
        if self.decoded_bytes.is_some() {
            header.push("MB/s inflated");
        }
        header.extend(["time / landfall's", "time / download's", "peak MiB", "processor s"]);
        let columns = header.len();
        table.set_header(header);
        let seconds_of = |contestant| median(entries, contestant).map(|run| run.seconds);
        let (landfall, download) = (seconds_of(Contestant::Landfall), seconds_of(Contestant::Download));
        for entry in entries {
            let mut row = vec![entry.contestant.title().to_owned()];
            if let Some(run) = entry.median {
                let ratio = |to: Option<f64>| to.map_or_else(String::new, |to| format!("{:.2}", run.seconds / to));
                row.push(format!("{:.3}", run.seconds));
                row.push(format!("{:.0}", rate(self.stored_bytes, run.seconds)));
                if let Some(decoded) = self.decoded_bytes {
                    row.push(if entry.contestant.counts_rows() {
                        format!("{:.0}", rate(decoded, run.seconds))
                    } else {
                        String::new()
                    });
                }
                row.push(ratio(landfall));
                row.push(ratio(download));
                row.push(format!("{:.0}", run.peak_bytes as f64 / f64::from(1 << 20)));
                row.push(format!("{:.2}", run.processor_seconds));
            } else {
                row.push("–".to_owned());
                row.resize(columns, String::new());
            }
            table.add_row(row);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

impl Paced {
    /// The contestant's name for this format, as people read it.
    #[must_use]
    pub fn title(&self, format: Format) -> String {
        format!("{} at {} MB/s", format.title(), self.megabytes_per_second)
    }
}

fn median(entries: &[Entry], contestant: Contestant) -> Option<Run> {
    entries.iter().find(|entry| entry.contestant == contestant)?.median
}

/// Megabytes (10^6 bytes) a second.
#[must_use]
pub fn rate(bytes: u64, seconds: f64) -> f64 {
    bytes as f64 / 1e6 / seconds
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20))
}

/// Collects runs in rounds.
#[derive(Clone, Debug, Default)]
pub struct Runs {
    runs: BTreeMap<Contestant, Vec<Run>>,
    unsupported: BTreeMap<Contestant, String>,
}

impl Runs {
    pub fn add(&mut self, contestant: Contestant, run: Run) {
        self.runs.entry(contestant).or_default().push(run);
    }

    /// Records why a contestant cannot read the format.
    pub fn leave_out(&mut self, contestant: Contestant, reason: String) {
        self.unsupported.insert(contestant, reason);
    }

    /// Whether the contestant cannot read the format.
    #[must_use]
    pub fn is_left_out(&self, contestant: Contestant) -> bool {
        self.unsupported.contains_key(&contestant)
    }

    /// The results of each of these contestants.
    #[must_use]
    pub fn into_entries(mut self, contestants: &[Contestant]) -> Vec<Entry> {
        let entry = |contestant: &Contestant| {
            let runs = self.runs.remove(contestant).unwrap_or_default();
            Entry::of(*contestant, runs, self.unsupported.remove(contestant))
        };
        contestants.iter().map(entry).collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn run(seconds: f64, peak_mib: u64) -> Run {
        Run {
            rows: Some(1000),
            seconds,
            processor_seconds: 2.0 * seconds,
            peak_bytes: peak_mib << 20,
        }
    }

    /// Results with these times for Landfall, DuckDB, polars and the download. pyarrow cannot read the format, and the
    /// download with SHA-256 takes twice as long as the bare one.
    pub(crate) fn results(format: Format, seconds: [f64; 4], peak_mib: u64) -> FormatResults {
        let mut runs = Runs::default();
        let [landfall, duckdb, polars, download] = seconds;
        runs.add(Contestant::Landfall, run(landfall, peak_mib));
        runs.add(Contestant::DuckDb, run(duckdb, 300));
        runs.add(Contestant::Polars, run(polars, 200));
        runs.add(Contestant::Download, run(download, 20));
        runs.add(Contestant::DownloadSha256, run(2.0 * download, 20));
        runs.add(Contestant::DuckDbLocal, run(0.1, 300));
        runs.leave_out(Contestant::PyArrow, "it cannot <read> that".to_owned());
        FormatResults {
            format,
            files: 8,
            rows: 1000,
            stored_bytes: 400_000_000,
            decoded_bytes: (format == Format::JsonlGzip).then_some(1_600_000_000),
            contestants: runs.into_entries(&Contestant::ALL),
            paced: None,
        }
    }

    /// Results that include times for Landfall and the download at 75 MB/s.
    pub(crate) fn paced(format: Format, seconds: [f64; 4], paced: [f64; 2], peak_mib: u64) -> FormatResults {
        let mut runs = Runs::default();
        runs.add(Contestant::Landfall, run(paced[0], peak_mib));
        runs.add(Contestant::Download, run(paced[1], 20));
        FormatResults {
            paced: Some(Paced {
                megabytes_per_second: 75,
                contestants: runs.into_entries(&Contestant::PACED),
            }),
            ..results(format, seconds, 30)
        }
    }

    fn met(results: &FormatResults) -> Vec<bool> {
        results.aims().iter().map(|aim| aim.met).collect()
    }

    #[test]
    fn the_median_is_the_slower_of_two_middle_runs_with_the_peak_of_all() {
        let of = |seconds: &[f64]| {
            let runs = seconds
                .iter()
                .map(|seconds| run(*seconds, (*seconds * 10.0) as u64))
                .collect();
            Entry::of(Contestant::Polars, runs, None).median
        };
        assert_eq!(of(&[]), None);
        let median = of(&[3.0, 1.0, 2.0]).unwrap();
        assert_eq!((median.seconds, median.processor_seconds), (2.0, 4.0));
        assert_eq!(median.peak_bytes, 30 << 20, "the peak of all runs counts");
        assert_eq!(of(&[1.0, 2.0]).unwrap().seconds, 2.0);
    }

    #[test]
    fn the_speed_aim_compares_with_the_fastest_peer_over_s3() {
        // DuckDB on local files took 0.1 s, but is not a peer.
        assert_eq!(met(&results(Format::Orc, [1.0, 2.0, 1.5, 0.9], 64)), [true, true]);
        assert_eq!(met(&results(Format::Orc, [1.0, 2.0, 1.49, 0.9], 64)), [false, true]);
        assert_eq!(met(&results(Format::Orc, [1.0, 1.49, 2.0, 0.9], 65)), [false, false]);
        let aims = results(Format::Csv, [1.0, 2.0, 1.6, 0.8], 64).aims();
        assert_eq!(aims[0].text, "1.60 times the best peer, polars (aim: 1.5)");
        assert_eq!(aims[1].text, "64 MiB at most resident (aim: 64 MiB)");
    }

    #[test]
    fn the_download_is_an_aim_only_behind_a_paced_link() {
        let of = |landfall, peak| paced(Format::Csv, [1.0, 2.0, 2.0, 0.1], [landfall, 4.0], peak);
        assert_eq!(met(&of(4.6, 64)), [true, true, true]);
        assert_eq!(met(&of(4.61, 64)), [true, false, true]);
        assert_eq!(met(&of(4.0, 65)), [true, true, false], "the peak of all runs counts");
        assert_eq!(
            of(5.0, 1).aims()[1].text,
            "1.25 times the bare download at 75 MB/s (aim: 1.15)"
        );
        assert_eq!(met(&results(Format::Csv, [1.0, 2.0, 2.0, 0.1], 64)), [true, true]);
    }

    #[test]
    fn an_unpaced_download_is_compared_but_sets_no_aim() {
        let remark = |format| results(format, [1.0, 2.0, 2.0, 0.25], 64).remark().unwrap();
        let ratios = "2.00 times download and SHA-256, 4.00 times the bare download";
        assert_eq!(remark(Format::Orc), ratios);
        assert!(remark(Format::Jsonl).starts_with(&format!("{ratios}; that is no aim here, ")));
    }

    #[test]
    fn the_tables_show_every_measured_number() {
        let text = results(Format::JsonlGzip, [0.5, 1.0, 2.0, 0.4], 50).tables();
        let lines: Vec<Vec<&str>> = text
            .lines()
            .filter(|line| line.starts_with('|'))
            .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
            .collect();
        assert_eq!(
            lines[2],
            ["landfall, full", "0.500", "800", "3200", "1.00", "1.25", "50", "1.00"]
        );
        assert_eq!(
            lines[3],
            ["DuckDB", "1.000", "400", "1600", "2.00", "2.50", "300", "2.00"]
        );
        assert_eq!(lines[5], ["pyarrow", "–", "", "", "", "", "", ""]);
        assert_eq!(
            lines[6],
            ["bare download", "0.400", "1000", "", "0.80", "1.00", "20", "0.80"]
        );
        assert_eq!(
            lines[7],
            ["download and SHA-256", "0.800", "500", "", "1.60", "2.00", "20", "1.60"]
        );
        assert!(text.starts_with("JSON lines, gzip: 400 MB (1600 MB inflated), 8 files, 1000 rows\n"));
        assert!(text.ends_with("\npyarrow: it cannot <read> that"));
        let text = paced(Format::Csv, [0.5, 1.0, 2.0, 0.4], [6.0, 5.0], 50).tables();
        assert!(!text.contains("inflated"));
        let (_, behind_a_link) = text.split_once("\nCSV at 75 MB/s\n\n").unwrap();
        let rows: Vec<&str> = behind_a_link.lines().skip(2).collect();
        assert_eq!(rows.len(), 2);
        assert!(
            rows[0].contains("landfall, full") && rows[0].contains("1.20"),
            "{rows:?}"
        );
        assert!(rows[1].contains("bare download") && rows[1].contains("80"), "{rows:?}");
    }
}
