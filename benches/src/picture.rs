//! The rates as a picture: bars, as SVG.
//!
//! What must stay true: pure; every text in it is escaped; it is readable on a light and on a dark page.

use std::fmt::Write;

use landfall_benches_polling::svg::{self, FAINT, INK, OTHERS, OURS, Text};

use crate::{
    contestant::Contestant,
    results::{FormatResults, rate},
};

const WIDTH: f64 = 760.0;
const LABELS: f64 = 200.0;
const VALUES: f64 = 110.0;
const BAR: f64 = 18.0;
const GAP: f64 = 6.0;
const TITLE: f64 = 34.0;

/// Draws a group of bars for each format, MB of stored bytes a second.
#[must_use]
pub fn draw(results: &[FormatResults]) -> String {
    let bars: usize = results.iter().map(|format| format.contestants.len()).sum();
    let height = results.len() as f64 * TITLE + bars as f64 * (BAR + GAP) + GAP;
    let title = "Full verification, its peers and a bare download, in MB of stored bytes a second";
    let mut svg = svg::begin(WIDTH, height, title);
    let mut top = 0.0;
    for format in results {
        top += TITLE;
        let title = Text {
            x: GAP,
            y: top - 10.0,
            fill: INK,
            weight: "600",
            anchor: "start",
            words: format.format.title(),
        };
        title.draw(&mut svg);
        let rate_of = |seconds| rate(format.stored_bytes, seconds);
        let most = format
            .contestants
            .iter()
            .filter_map(|entry| Some(rate_of(entry.median?.seconds)))
            .fold(f64::MIN_POSITIVE, f64::max);
        for entry in &format.contestants {
            let label = Text {
                x: LABELS - GAP,
                y: top + BAR * 0.75,
                fill: INK,
                weight: "400",
                anchor: "end",
                words: entry.contestant.title(),
            };
            label.draw(&mut svg);
            let value = Text {
                x: LABELS,
                fill: FAINT,
                anchor: "start",
                ..label
            };
            if let Some(run) = entry.median {
                let rate = rate_of(run.seconds);
                let length = (WIDTH - LABELS - VALUES) * rate / most;
                let _ = writeln!(
                    svg,
                    "<rect x=\"{LABELS}\" y=\"{top}\" width=\"{length:.1}\" height=\"{BAR}\" rx=\"2\" fill=\"{}\"/>",
                    colour(entry.contestant)
                );
                let value = Text {
                    x: LABELS + length + GAP,
                    words: &format!("{rate:.0} MB/s"),
                    ..value
                };
                value.draw(&mut svg);
            } else {
                let words = entry.unsupported.as_deref().unwrap_or_default();
                Text { words, ..value }.draw(&mut svg);
            }
            top += BAR + GAP;
        }
    }
    svg += "</svg>\n";
    svg
}

const fn colour(contestant: Contestant) -> &'static str {
    match contestant {
        Contestant::Landfall => OURS,
        Contestant::DuckDb | Contestant::Polars | Contestant::PyArrow => OTHERS,
        Contestant::Download | Contestant::DuckDbLocal => "#d1d9e0",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{data::Format, results::tests::results};

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
        assert_eq!(widths.len(), 5);
        assert!((widths[0] / widths[1] - 2.0).abs() < 0.01);
        assert!((widths[1] / widths[2] - 2.0).abs() < 0.01);
        assert!(svg.contains("800 MB/s"));
        assert!(svg.contains("it cannot &lt;read&gt; that"));
    }

    #[test]
    fn every_format_has_its_group() {
        let all = Format::ALL.map(|format| results(format, [1.0; 4], 1));
        let svg = draw(&all);
        for format in Format::ALL {
            assert!(svg.contains(&format!(">{}</text>", format.title())));
        }
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    }
}
