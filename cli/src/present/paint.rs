//! Colours and tables.
//!
//! What must stay true: without colours a text is unchanged. If the terminal's width is unknown, lines are not broken.

use comfy_table::{Cell, Color, ContentArrangement, Table, presets};

/// How a text is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it is.
    Plain,
    /// Less important.
    Faint,
    /// It went well.
    Good,
    /// It needs a look.
    Warning,
    /// It went wrong.
    Bad,
    /// A heading.
    Strong,
}

/// Whether colours are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint(pub bool);

impl Paint {
    /// The text in the colour of its tone.
    pub fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Faint => "2",
            Tone::Good => "32",
            Tone::Warning => "33",
            Tone::Bad => "31",
            Tone::Strong => "1",
        };
        if self.0 && !text.is_empty() {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// The colours and the line width of what is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The colours.
    pub paint: Paint,
    /// After how many columns a line is broken. `None` leaves lines whole, for a program that reads them.
    pub width: Option<u16>,
    /// Whether checks that were skipped are shown with their reasons.
    pub all: bool,
}

/// In fewer columns no table can be read. A terminal that reports fewer does not know its own width.
const NARROWEST: u16 = 20;

impl Layout {
    /// For a terminal of the current width, or with whole lines if there is no terminal.
    pub fn new(paint: Paint, is_terminal: bool, all: bool) -> Self {
        let width = if is_terminal { Table::new().width() } else { None };
        Self {
            paint,
            width: width.filter(|width| *width >= NARROWEST),
            all,
        }
    }

    pub(super) fn table(self, header: &[&str]) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        match self.width {
            Some(width) => {
                table.set_content_arrangement(ContentArrangement::Dynamic);
                table.set_width(width);
            }
            None => {
                table.force_no_tty();
            }
        }
        if self.paint.0 {
            table.enforce_styling();
        }
        if !header.is_empty() {
            table.set_header(header.iter().map(|name| cell(name, Tone::Faint, self.paint)));
        }
        table
    }
}

pub(super) fn cell(text: &str, tone: Tone, paint: Paint) -> Cell {
    let cell = Cell::new(text);
    let color = match tone {
        _ if !paint.0 => return cell,
        Tone::Plain | Tone::Strong => return cell,
        Tone::Faint => Color::DarkGrey,
        Tone::Good => Color::Green,
        Tone::Warning => Color::Yellow,
        Tone::Bad => Color::Red,
    };
    cell.fg(color)
}
