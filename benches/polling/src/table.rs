//! The scores as a table.

use comfy_table::{Cell, CellAlignment, Table, presets::ASCII_MARKDOWN};

use crate::{
    contestant::Contestant,
    simulate::{Score, Trial, score},
    trace::Family,
};

#[derive(Clone, Debug)]
pub struct Results {
    pub family: Family,
    /// The score of each contestant.
    pub scores: Vec<(Contestant, Score)>,
}

/// Tries every contestant on every family.
#[must_use]
pub fn results(trial: &Trial) -> Vec<Results> {
    let of = |family| Results {
        family,
        scores: Contestant::ALL
            .map(|contestant| (contestant, score(trial, family, contestant)))
            .into(),
    };
    Family::ALL.map(of).into()
}

impl Results {
    /// The score of a contestant, or `None` if it did not take part.
    #[must_use]
    pub fn of(&self, contestant: Contestant) -> Option<Score> {
        self.scores
            .iter()
            .find(|(other, _)| *other == contestant)
            .map(|(_, score)| *score)
    }
}

/// One Markdown table of everything: polls a job, mean relative delay, and both compared with growing by 10 %.
#[must_use]
pub fn table(results: &[Results]) -> String {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header([
        "durations",
        "waits",
        "polls a job",
        "delay",
        "polls, ratio",
        "delay, ratio",
    ]);
    for family in results {
        let yardstick = family.of(Contestant::YARDSTICK).unwrap_or_default();
        for (contestant, score) in &family.scores {
            table.add_row(
                [
                    family.family.title().to_owned(),
                    contestant.title(),
                    format!("{:.1}", score.polls),
                    format!("{:.1} %", score.delay * 100.0),
                    format!("{:.2}", score.polls / yardstick.polls),
                    format!("{:.2}", score.delay / yardstick.delay),
                ]
                .map(Cell::new),
            );
        }
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}
