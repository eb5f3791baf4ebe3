//! The charts of a report, as SVG.
//!
//! What must stay true: a chart has the colours of the page that holds it, light or dark. Each colour here therefore
//! stands for a variable of the page's style.

use std::fmt::Display;

use anyhow::{Result, anyhow};
use chrono::{DateTime, Utc};
use plotters::{
    coord::Shift,
    prelude::{
        ChartBuilder, Circle, DrawingArea, IntoDrawingArea, IntoFont, LineSeries, PathElement, RGBColor, Rectangle,
        SVGBackend,
    },
    style::{Color, TextStyle},
};

use super::digest::{Day, Digest, Request};

/// Colours that stand for variables of the page's style.
const COLOURS: [(RGBColor, &str, &str); 6] = [
    (INK, "#010101", "var(--ink)"),
    (GRID, "#020202", "var(--grid)"),
    (GOOD, "#030303", "var(--good)"),
    (BAD, "#040404", "var(--bad)"),
    (OPEN, "#050505", "var(--open)"),
    (LINE, "#060606", "var(--line)"),
];
const INK: RGBColor = RGBColor(1, 1, 1);
const GRID: RGBColor = RGBColor(2, 2, 2);
const GOOD: RGBColor = RGBColor(3, 3, 3);
const BAD: RGBColor = RGBColor(4, 4, 4);
const OPEN: RGBColor = RGBColor(5, 5, 5);
const LINE: RGBColor = RGBColor(6, 6, 6);

const FONT: &str = "system-ui, sans-serif";

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws a chart of that size. `title` is read to people who do not see the chart.
fn drawn(title: &str, (width, height): (u32, u32), draw: impl FnOnce(&Area<'_>) -> Result<()>) -> Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area();
        draw(&area)?;
        area.present().map_err(cannot)?;
    }
    for (_, literal, variable) in COLOURS {
        svg = svg.replace(&literal.to_lowercase(), variable);
    }
    let named = format!("<svg role=\"img\" aria-label=\"{title}\" viewBox=\"0 0 {width} {height}\" ");
    // The page sets its size.
    let start = svg.find("<svg ").unwrap_or_default();
    Ok(svg[start..].replacen("<svg ", &named, 1))
}

fn cannot(error: impl Display) -> anyhow::Error {
    anyhow!("a chart cannot be drawn: {error}")
}

fn text(size: u32) -> TextStyle<'static> {
    (FONT, size).into_font().color(&INK)
}

/// How jobs ended, one bar a day.
#[allow(clippy::cast_precision_loss)]
pub(super) fn outcomes(digest: &Digest) -> Result<String> {
    let days: Vec<_> = digest.days.iter().collect();
    let most = days
        .iter()
        .map(|(_, day)| day.succeeded + day.failed + day.open)
        .max()
        .unwrap_or(0)
        .max(4);
    drawn("Jobs a day by how they ended", (760, 200), |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .x_label_area_size(24)
            .y_label_area_size(36)
            .build_cartesian_2d(0.0..days.len() as f64, 0.0..f64::from(most) * 1.05)
            .map_err(cannot)?;
        let label = |x: &f64| {
            let index = x.floor().max(0.0) as usize;
            days.get(index)
                .map_or_else(String::new, |(day, _)| day.format("%b %-d").to_string())
        };
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(GRID.mix(0.0))
            .bold_line_style(GRID)
            .axis_style(GRID)
            .x_labels(10)
            .y_labels(4)
            .x_label_formatter(&label)
            .y_label_formatter(&|y| format!("{y:.0}"))
            .label_style(text(12))
            .draw()
            .map_err(cannot)?;
        for (
            index,
            (
                _,
                Day {
                    succeeded,
                    failed,
                    open,
                },
            ),
        ) in days.iter().enumerate()
        {
            let (left, right) = (index as f64 + 0.12, index as f64 + 0.88);
            let mut foot = 0.0;
            for (number, colour) in [(*succeeded, GOOD), (*failed, BAD), (*open, OPEN)] {
                let head = foot + f64::from(number);
                if number > 0 {
                    let bar = Rectangle::new([(left, foot), (right, head)], colour.filled());
                    chart.draw_series([bar]).map_err(cannot)?;
                }
                foot = head;
            }
        }
        Ok(())
    })
}

/// How long each success took over time, in minutes.
#[allow(clippy::cast_precision_loss)]
pub(super) fn durations(digest: &Digest) -> Result<String> {
    let (from, to) = span(digest.since, digest.until);
    let longest = digest
        .requests
        .iter()
        .flat_map(|request| request.took.iter().map(|(_, seconds)| seconds / 60.0))
        .fold(1.0, f64::max);
    drawn("Minutes that each success took", (760, 200), |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .x_label_area_size(24)
            .y_label_area_size(36)
            .build_cartesian_2d(from..to, 0.0..longest * 1.08)
            .map_err(cannot)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(GRID.mix(0.0))
            .bold_line_style(GRID)
            .axis_style(GRID)
            .x_labels(8)
            .y_labels(4)
            .x_label_formatter(&day)
            .y_label_formatter(&|y| format!("{y:.0}"))
            .label_style(text(12))
            .draw()
            .map_err(cannot)?;
        for request in &digest.requests {
            let points = request
                .took
                .iter()
                .map(|(at, seconds)| (at.timestamp() as f64, seconds / 60.0));
            chart
                .draw_series(points.map(|point| Circle::new(point, 3, LINE.mix(0.7).filled())))
                .map_err(cannot)?;
        }
        Ok(())
    })
}

/// The rows of one request over time.
#[allow(clippy::cast_precision_loss)]
pub(super) fn rows(request: &Request, since: DateTime<Utc>, until: DateTime<Utc>) -> Result<String> {
    let (from, to) = span(since, until);
    let points: Vec<(f64, f64)> = request
        .rows
        .iter()
        .map(|(at, rows)| (at.timestamp() as f64, *rows as f64))
        .collect();
    let most = points.iter().map(|(_, rows)| *rows).fold(1.0, f64::max);
    drawn("Rows over time", (300, 64), |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(5)
            .build_cartesian_2d(from..to, 0.0..most * 1.1)
            .map_err(cannot)?;
        let floor = PathElement::new(vec![(from, 0.0), (to, 0.0)], GRID);
        chart.draw_series([floor]).map_err(cannot)?;
        chart
            .draw_series(LineSeries::new(points.iter().copied(), LINE.stroke_width(2)))
            .map_err(cannot)?;
        let last = points.last().map(|point| Circle::new(*point, 3, LINE.filled()));
        chart.draw_series(last).map_err(cannot)?;
        Ok(())
    })
}

#[allow(clippy::cast_precision_loss)]
fn span(since: DateTime<Utc>, until: DateTime<Utc>) -> (f64, f64) {
    let (from, to) = (since.timestamp() as f64, until.timestamp() as f64);
    (from, to.max(from + 1.0))
}

#[allow(clippy::cast_possible_truncation)]
fn day(seconds: &f64) -> String {
    let at = DateTime::from_timestamp(*seconds as i64, 0).unwrap_or_default();
    at.format("%b %-d").to_string()
}
