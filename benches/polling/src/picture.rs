//! The scores as a picture: for each family, polls a job against delay.
//!
//! What must stay true: pure; all families have the same two scales, both logarithmic.

use std::fmt::Write;

use crate::{
    contestant::Contestant,
    simulate::Score,
    svg::{self, FAINT, INK, OTHERS, OURS, PALE, Text},
    table::Results,
};

const COLUMNS: usize = 2;
const PANEL: (f64, f64) = (400.0, 270.0);
const LEFT: f64 = 52.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 44.0;

/// Polls a job: from, to, and what is marked.
const POLLS: (f64, f64, &[f64]) = (2.0, 200.0, &[2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0]);

/// Delay: from, to, and what is marked.
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

/// Where a value lies on a scale, from 0 to 1; what is beyond its ends lies on them.
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
    text(across(20.0), top + PANEL.1 - 8.0, FAINT, "400", "middle", "polls a job");
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
    for (contestant, score) in &results.scores {
        mark(picture, (across(score.polls), down(score.delay)), *contestant, *score);
    }
}

fn mark(picture: &mut String, (x, y): (f64, f64), contestant: Contestant, score: Score) {
    let ours = matches!(contestant, Contestant::Landfall | Contestant::WithoutHistory);
    // Without a history it lies where the yardstick does, and is drawn as a ring around that.
    let is_ring = contestant == Contestant::WithoutHistory;
    let colour = if ours { OURS } else { OTHERS };
    let (radius, fill) = if is_ring { (8, "none") } else { (5, colour) };
    // Writing to a string cannot fail.
    let _ = writeln!(
        picture,
        "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{fill}\" stroke=\"{colour}\">\
         <title>{}: {:.1} polls, {:.1} %</title></circle>",
        contestant.title(),
        score.polls,
        score.delay * 100.0
    );
    if is_ring {
        return;
    }
    // What lies far to the right is named on its left, and ours below, where it may lie on another.
    let (x, anchor) = if score.polls > 25.0 {
        (x - 11.0, "end")
    } else {
        (x + 11.0, "start")
    };
    let (y, fill, weight) = if ours {
        (y + 18.0, INK, "600")
    } else {
        (y + 4.0, FAINT, "400")
    };
    let label = Text {
        x,
        y,
        fill,
        weight,
        anchor,
        words: &contestant.title(),
    };
    label.draw(picture);
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
        assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
    }
}
