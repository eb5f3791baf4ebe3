//! Draws the rates as bars in SVG.
//!
//! What must stay true: drawing is pure, every text is escaped, and the picture is readable on a light and on a dark
//! page.

use std::{fmt::Write, iter};

use landfall_benches_polling::svg::{self, FAINT, INK, OTHERS, OURS, PALE, Text};

use crate::{
    contestant::Contestant,
    results::{Entry, FormatResults, rate},
};

const WIDTH: f64 = 760.0;
const LABELS: f64 = 200.0;
const VALUES: f64 = 110.0;
const BAR: f64 = 18.0;
const GAP: f64 = 6.0;
const TITLE: f64 = 34.0;

/// How many times as fast as the next contestant the bare download may be before its bar is cut off, so that the other
/// bars can be compared.
const BEYOND: f64 = 1.25;

/// Bars under one title, with a scale of their own.
struct Group<'a> {
    title: String,
    stored_bytes: u64,
    entries: &'a [Entry],
}

/// Draws a group of bars for each format in MB of stored bytes a second, and one for the times behind a link.
#[must_use]
pub fn draw(results: &[FormatResults]) -> String {
    let groups: Vec<Group<'_>> = results.iter().flat_map(groups).collect();
    let bars: usize = groups.iter().map(|group| group.entries.len()).sum();
    let height = groups.len() as f64 * TITLE + bars as f64 * (BAR + GAP) + GAP;
    let title = "Full verification, its peers and downloads, in MB of stored bytes a second";
    let mut svg = svg::begin(WIDTH, height, title);
    let mut top = 0.0;
    for group in &groups {
        top = group.draw(&mut svg, top);
    }
    svg += svg::END;
    svg
}

fn groups(results: &FormatResults) -> impl Iterator<Item = Group<'_>> {
    let group = |title, entries| Group {
        title,
        stored_bytes: results.stored_bytes,
        entries,
    };
    let paced = results.paced.as_ref();
    let paced = paced.map(move |paced| group(paced.title(results.format), &paced.contestants));
    iter::once(group(results.format.title().to_owned(), &results.contestants)).chain(paced)
}

impl Group<'_> {
    /// Draws the group from `top` down; returns where it ends.
    fn draw(&self, svg: &mut String, mut top: f64) -> f64 {
        top += TITLE;
        let title = Text {
            x: GAP,
            y: top - 10.0,
            fill: INK,
            weight: "600",
            anchor: "start",
            words: &self.title,
        };
        title.draw(svg);
        let rate_of = |seconds| rate(self.stored_bytes, seconds);
        let fastest = |of: &dyn Fn(&&Entry) -> bool| {
            let rates = self.entries.iter().filter(of);
            let rates = rates.filter_map(|entry| Some(rate_of(entry.median?.seconds)));
            rates.fold(f64::MIN_POSITIVE, f64::max)
        };
        let others = fastest(&|entry| entry.contestant != Contestant::Download);
        let most = fastest(&|_| true).min(others * BEYOND);
        for entry in self.entries {
            let label = Text {
                x: LABELS - GAP,
                y: top + BAR * 0.75,
                fill: INK,
                weight: "400",
                anchor: "end",
                words: entry.contestant.title(),
            };
            label.draw(svg);
            let value = Text {
                x: LABELS,
                fill: FAINT,
                anchor: "start",
                ..label
            };
            if let Some(run) = entry.median {
                let rate = rate_of(run.seconds);
                let length = (WIDTH - LABELS - VALUES) * (rate / most).min(1.0);
                let (fill, half) = (colour(entry.contestant), BAR / 2.0);
                let tip = if rate > most {
                    let _ = writeln!(
                        svg,
                        "<path d=\"M{LABELS} {top}h{length:.1}l{half} {half}l-{half} {half}h-{length:.1}z\" fill=\"{fill}\"/>"
                    );
                    half
                } else {
                    let _ = writeln!(
                        svg,
                        "<rect x=\"{LABELS}\" y=\"{top}\" width=\"{length:.1}\" height=\"{BAR}\" rx=\"2\" fill=\"{fill}\"/>"
                    );
                    0.0
                };
                let value = Text {
                    x: LABELS + length + tip + GAP,
                    words: &format!("{rate:.0} MB/s"),
                    ..value
                };
                value.draw(svg);
            } else {
                let words = entry.unsupported.as_deref().unwrap_or_default();
                Text { words, ..value }.draw(svg);
            }
            top += BAR + GAP;
        }
        top
    }
}

const fn colour(contestant: Contestant) -> &'static str {
    match contestant {
        Contestant::Landfall => OURS,
        Contestant::DuckDb | Contestant::Polars | Contestant::PyArrow => OTHERS,
        Contestant::Download | Contestant::DownloadSha256 | Contestant::DuckDbLocal => PALE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        data::Format,
        results::tests::{paced, results},
    };

    #[test]
    fn bars_are_as_long_as_rates_are_high() {
        let svg = draw(&[results(Format::Csv, [0.5, 1.0, 2.0, 0.4], 50)]);
        let widths: Vec<f64> = svg
            .lines()
            .filter(|line| line.contains("rx="))
            .map(|line| {
                line.split("width=\"")
                    .nth(1)
                    .unwrap()
                    .split('"')
                    .next()
                    .unwrap()
                    .parse()
                    .unwrap()
            })
            .collect();
        assert_eq!(widths.len(), 6);
        assert!((widths[0] / widths[1] - 2.0).abs() < 0.01);
        assert!((widths[1] / widths[2] - 2.0).abs() < 0.01);
        assert!(svg.contains("800 MB/s"));
        assert!(svg.contains("it cannot &lt;read&gt; that"));
    }

    #[test]
    fn a_bar_beyond_the_scale_ends_in_an_arrow() {
        let tips = |download: f64| {
            let svg = draw(&[paced(Format::Jsonl, [1.0; 4], [8.0, download], 1)]);
            let (_, behind_a_link) = svg.split_once(" at 75 MB/s</text>").unwrap();
            behind_a_link.matches("<path").count()
        };
        assert_eq!([tips(1.0), tips(7.0)], [1, 0]);
    }

    #[test]
    fn the_picture_has_a_group_of_bars_for_each_format() {
        let all = Format::ALL.map(|format| results(format, [1.0; 4], 1));
        let svg = draw(&all);
        for format in Format::ALL {
            assert!(svg.contains(&format!(">{}</text>", format.title())));
        }
        assert!(!svg.contains(" at 75 MB/s"));
        let svg = draw(&[paced(Format::Jsonl, [1.0; 4], [8.0, 5.0], 1)]);
        let (_, behind_a_link) = svg.split_once(">JSON lines at 75 MB/s</text>").unwrap();
        assert!(behind_a_link.contains(">50 MB/s</text>") && behind_a_link.contains(">80 MB/s</text>"));
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    }
}
