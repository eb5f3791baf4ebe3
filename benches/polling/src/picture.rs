//! Draws the scores: for each family, polls a job against delay.
//!
//! What must stay true: drawing is pure, and all families have the same two logarithmic scales.

use std::fmt::Write;

use crate::{
    contestant::Contestant,
    simulate::Score,
    svg::{self, FAINT, INK, OTHERS, OURS, PALE, Text},
    table::Results,
};

const COLUMNS: usize = 2;
const PANEL: (f64, f64) = (430.0, 290.0);
const LEFT: f64 = 72.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 44.0;

/// Polls a job: from, to, and the marks of the scale.
const POLLS: (f64, f64, &[f64]) = (2.0, 200.0, &[2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0]);

/// Delay: from, to, and the marks of the scale.
const DELAY: (f64, f64, &[f64]) = (0.01, 1.0, &[0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0]);

/// Draws all families.
#[must_use]
pub fn draw(results: &[Results]) -> String {
    let rows = results.len().div_ceil(COLUMNS);
    let (width, height) = (PANEL.0 * COLUMNS as f64, PANEL.1 * rows as f64);
    let title = "Polls a job against the delay until its end is seen, as a share of its duration";
    let mut picture = svg::begin(width, height, title);
    for (index, family) in results.iter().enumerate() {
        let corner = ((index % COLUMNS) as f64 * PANEL.0, (index / COLUMNS) as f64 * PANEL.1);
        panel(&mut picture, corner, family);
    }
    picture += svg::END;
    picture
}

/// The position of a value on a scale, from 0 to 1. Values beyond the scale are drawn at its ends.
fn along(value: f64, (from, to, _): (f64, f64, &[f64])) -> f64 {
    ((value.clamp(from, to) / from).ln() / (to / from).ln()).clamp(0.0, 1.0)
}

fn panel(picture: &mut String, (left, top): (f64, f64), results: &Results) {
    let across = |polls: f64| left + LEFT + (PANEL.0 - LEFT - RIGHT) * along(polls, POLLS);
    let down = |delay: f64| top + PANEL.1 - BOTTOM - (PANEL.1 - TOP - BOTTOM) * along(delay, DELAY);
    let mut text = |x, y, fill, weight, anchor, words: &str| {
        Text {
            x,
            y,
            fill,
            weight,
            anchor,
            words,
        }
        .draw(picture);
    };
    text(left + LEFT, top + 20.0, INK, "600", "start", results.family.title());
    for polls in POLLS.2 {
        text(
            across(*polls),
            top + PANEL.1 - BOTTOM + 18.0,
            FAINT,
            "400",
            "middle",
            &format!("{polls}"),
        );
    }
    for delay in DELAY.2 {
        text(
            left + LEFT - 8.0,
            down(*delay) + 4.0,
            FAINT,
            "400",
            "end",
            &format!("{:.0} %", delay * 100.0),
        );
    }
    text(
        across(20.0),
        top + PANEL.1 - 8.0,
        FAINT,
        "400",
        "middle",
        "polls a job (fewer cost less)",
    );
    svg::upright(
        picture,
        (left + 14.0, down(0.1)),
        FAINT,
        "delay, share of the job's duration",
    );
    let mut line = |x1: f64, y1: f64, x2: f64, y2: f64| {
        // Writing to a string cannot fail.
        let _ = writeln!(
            picture,
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{PALE}\"/>"
        );
    };
    for polls in POLLS.2 {
        line(across(*polls), down(DELAY.0), across(*polls), down(DELAY.1));
    }
    for delay in DELAY.2 {
        line(across(POLLS.0), down(*delay), across(POLLS.1), down(*delay));
    }
    let at = |score: &Score| (across(score.polls), down(score.delay));
    let marks = results.scores.iter();
    let mut taken: Vec<Area> = marks
        .map(|(contestant, score)| mark(picture, at(score), *contestant, *score))
        .collect();
    let area = Area {
        left: left + LEFT,
        top: top + TOP - ASCENT,
        right: left + PANEL.0,
        bottom: top + PANEL.1 - BOTTOM,
    };
    // Our label is placed first, so that it is nearest to its mark.
    let (ours, others): (Vec<&_>, Vec<&_>) = results.scores.iter().partition(|(contestant, _)| is_ours(*contestant));
    for (contestant, score) in ours.into_iter().chain(others) {
        if *contestant == Contestant::WithoutHistory {
            continue;
        }
        let words = contestant.title();
        let place = place(&words, at(score), &taken, area);
        taken.push(place.area);
        let (fill, weight) = if is_ours(*contestant) {
            (INK, "600")
        } else {
            (FAINT, "400")
        };
        let label = Text {
            x: place.x,
            y: place.y,
            fill,
            weight,
            anchor: place.anchor,
            words: &words,
        };
        label.draw(picture);
    }
}

/// Draws a mark and returns the space that it takes.
fn mark(picture: &mut String, (x, y): (f64, f64), contestant: Contestant, score: Score) -> Area {
    let is_ring = contestant == Contestant::WithoutHistory;
    let colour = if is_ours(contestant) { OURS } else { OTHERS };
    // Without a history, the mark is where the yardstick's is, so it is drawn as a ring around that.
    let (radius, fill) = if is_ring { (8.0, "none") } else { (5.0, colour) };
    // Writing to a string cannot fail.
    let _ = writeln!(
        picture,
        "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.0}\" fill=\"{fill}\" stroke=\"{colour}\">\
         <title>{}: {:.1} polls, {:.1} %</title></circle>",
        contestant.title(),
        score.polls,
        score.delay * 100.0
    );
    Area {
        left: x - radius,
        top: y - radius,
        right: x + radius,
        bottom: y + radius,
    }
}

fn is_ours(contestant: Contestant) -> bool {
    matches!(contestant, Contestant::Landfall | Contestant::WithoutHistory)
}

/// A rectangle of the picture that is taken.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Area {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

impl Area {
    fn meets(&self, other: &Self) -> bool {
        self.left < other.right && other.left < self.right && self.top < other.bottom && other.top < self.bottom
    }

    fn is_within(&self, other: &Self) -> bool {
        self.left >= other.left && self.right <= other.right && self.top >= other.top && self.bottom <= other.bottom
    }
}

/// The approximate width of a letter, and how far a text goes up and down from its baseline.
const LETTER: f64 = 7.2;
const ASCENT: f64 = 11.0;
const DESCENT: f64 = 3.0;

/// The position of a label: its anchor, its baseline and the space that it takes.
#[derive(Clone, Copy, Debug)]
struct Place {
    x: f64,
    y: f64,
    anchor: &'static str,
    area: Area,
}

/// The first position around a mark where a label meets nothing, or the first of all.
fn place(words: &str, (x, y): (f64, f64), taken: &[Area], panel: Area) -> Place {
    let width = words.chars().count() as f64 * LETTER;
    let at = |dx: f64, dy: f64, anchor: &'static str| {
        let (x, y) = (x + dx, y + dy);
        let left = match anchor {
            "start" => x,
            "end" => x - width,
            _ => x - width / 2.0,
        };
        let area = Area {
            left,
            top: y - ASCENT,
            right: left + width,
            bottom: y + DESCENT,
        };
        Place { x, y, anchor, area }
    };
    let near = [
        (11.0, 4.0, "start"),
        (-11.0, 4.0, "end"),
        (0.0, -12.0, "middle"),
        (0.0, 21.0, "middle"),
        (9.0, -9.0, "start"),
        (9.0, 18.0, "start"),
        (-9.0, -9.0, "end"),
        (-9.0, 18.0, "end"),
        (0.0, 36.0, "middle"),
        (0.0, -27.0, "middle"),
        (9.0, 33.0, "start"),
        (-9.0, 33.0, "end"),
    ];
    let places = near.map(|(dx, dy, anchor)| at(dx, dy, anchor));
    let is_free = |place: &&Place| place.area.is_within(&panel) && !taken.iter().any(|other| place.area.meets(other));
    *places.iter().find(is_free).unwrap_or(&places[0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Family;

    #[test]
    fn fewer_polls_lie_further_left_and_less_delay_further_down() {
        assert_eq!(along(2.0, POLLS), 0.0);
        assert_eq!(along(1000.0, POLLS), 1.0);
        assert!((along(20.0, POLLS) - 0.5).abs() < 1e-9);
        let score = |polls, delay| Score { polls, delay, late: 0 };
        let picture = draw(&[Results {
            family: Family::Steady,
            scores: vec![
                (Contestant::Landfall, score(5.0, 0.02)),
                (Contestant::YARDSTICK, score(50.0, 0.05)),
            ],
        }]);
        let place = |name: &str| {
            let line = picture
                .lines()
                .find(|line| line.starts_with("<circle") && line.contains(name))
                .unwrap();
            let number = |member: &str| -> f64 {
                let rest = line.split(&format!("{member}=\"")).nth(1).unwrap();
                rest.split('"').next().unwrap().parse().unwrap()
            };
            (number("cx"), number("cy"))
        };
        let (ours, other) = (place("Landfall: 5.0 polls, 2.0 %"), place("growing by 10 %"));
        assert!(ours.0 < other.0 && ours.1 > other.1);
        assert!(picture.contains("delay, share") && picture.contains("polls a job"));
        assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
    }
    #[test]
    fn labels_meet_neither_each_other_nor_a_mark() {
        let panel = Area {
            left: 0.0,
            top: 0.0,
            right: 300.0,
            bottom: 200.0,
        };
        let spots = [(50.0, 50.0), (55.0, 52.0), (60.0, 48.0), (280.0, 60.0), (278.0, 66.0)];
        let around = |(x, y): (f64, f64)| Area {
            left: x - 5.0,
            top: y - 5.0,
            right: x + 5.0,
            bottom: y + 5.0,
        };
        let marks = spots.len();
        let mut taken: Vec<Area> = spots.into_iter().map(around).collect();
        for spot in spots {
            let place = place("every 60 s", spot, &taken, panel);
            assert!(place.area.is_within(&panel), "{place:?}");
            assert!(
                !taken.iter().any(|other| place.area.meets(other)),
                "{place:?} in {taken:?}"
            );
            taken.push(place.area);
        }
        assert_eq!(taken.len(), 2 * marks);
    }
}
