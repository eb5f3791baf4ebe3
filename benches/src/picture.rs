//! The rates as a picture: bars, as SVG.
//!
//! What must stay true: pure; every text in it is escaped; it is readable on a light and on a dark page.

use std::fmt::Write;

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
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" font-family=\"system-ui, sans-serif\" font-size=\"13\">\n\
         <title>Full verification, its peers and a bare download, in MB of stored bytes a second</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    let mut top = 0.0;
    for format in results {
        top += TITLE;
        text(
            &mut svg,
            GAP,
            top - 10.0,
            "#1f2328",
            "600",
            "start",
            format.format.title(),
        );
        let rate_of = |seconds| rate(format.stored_bytes, seconds);
        let most = format
            .contestants
            .iter()
            .filter_map(|entry| Some(rate_of(entry.median?.seconds)))
            .fold(f64::MIN_POSITIVE, f64::max);
        for entry in &format.contestants {
            let middle = top + BAR * 0.75;
            text(
                &mut svg,
                LABELS - GAP,
                middle,
                "#1f2328",
                "400",
                "end",
                entry.contestant.title(),
            );
            if let Some(run) = entry.median {
                let rate = rate_of(run.seconds);
                let length = (WIDTH - LABELS - VALUES) * rate / most;
                let _ = writeln!(
                    svg,
                    "<rect x=\"{LABELS}\" y=\"{top}\" width=\"{length:.1}\" height=\"{BAR}\" rx=\"2\" fill=\"{}\"/>",
                    colour(entry.contestant)
                );
                let label = format!("{rate:.0} MB/s");
                text(
                    &mut svg,
                    LABELS + length + GAP,
                    middle,
                    "#59636e",
                    "400",
                    "start",
                    &label,
                );
            } else {
                let reason = entry.unsupported.as_deref().unwrap_or_default();
                text(&mut svg, LABELS, middle, "#59636e", "400", "start", reason);
            }
            top += BAR + GAP;
        }
    }
    svg += "</svg>\n";
    svg
}

const fn colour(contestant: Contestant) -> &'static str {
    match contestant {
        Contestant::Landfall => "#0969da",
        Contestant::DuckDb | Contestant::Polars | Contestant::PyArrow => "#8c959f",
        Contestant::Download | Contestant::DuckDbLocal => "#d1d9e0",
    }
}

fn text(svg: &mut String, x: f64, y: f64, fill: &str, weight: &str, anchor: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" fill=\"{fill}\" font-weight=\"{weight}\" text-anchor=\"{anchor}\">{words}</text>"
    );
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
