//! What is noted of a part while its XML passes.
//!
//! What must stay true: the notes of a part have a fixed size, whatever the part holds. Links to other parts go to the
//! [`Book`], which limits them.

use super::{
    attributes::Attributes,
    book::{Book, Part},
    elements::Open,
};

/// The longest number of a shared string that is accepted, in bytes.
const MAX_NUMBER: usize = 20;

/// The notes of one part.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) part: Part,
    /// Whether the open row has had a value.
    counted: bool,
    /// Whether the open cell names a shared string.
    shared: bool,
    /// The number of that string.
    number: String,
}

impl Notes {
    /// For the part with this key.
    pub(super) fn new(key: String) -> Self {
        Self {
            part: Part { key, ..Part::default() },
            ..Self::default()
        }
    }

    /// Notes an element that begins within the open ones.
    pub(super) fn element(&mut self, open: &Open, name: &str, attributes: &str, book: &mut Book) -> Result<(), String> {
        match (open.depth(), name) {
            (0, _) => name.clone_into(&mut self.part.root),
            (1, "Override" | "Default" | "Relationship") => book.link(&self.part.key, name, attributes)?,
            (1, "si") if self.part.root == "sst" => self.part.strings += 1,
            (2, "sheet") if open.parent(0) == "sheets" => book.link(&self.part.key, name, attributes)?,
            (2, "row") if open.parent(0) == "sheetData" => self.counted = false,
            (3, "c") if is_row(open, 0) => {
                self.shared = Attributes(attributes)
                    .flatten()
                    .any(|attribute| attribute == ("t", "s"));
                self.number.clear();
            }
            (4, "f" | "is") if is_cell(open, 0) => self.count(),
            _ => {}
        }
        Ok(())
    }

    /// Notes text within the open elements.
    pub(super) fn text(&mut self, open: &Open, text: &str) {
        if open.depth() != 5 || open.parent(0) != "v" || !is_cell(open, 1) {
            return;
        }
        if !text.trim_ascii().is_empty() {
            self.count();
        }
        if self.shared {
            let room = (MAX_NUMBER + 1).saturating_sub(self.number.len());
            self.number.extend(text.chars().take(room));
        }
    }

    /// Notes the end of an element within the open ones.
    pub(super) fn close(&mut self, open: &Open, name: &str) -> Result<(), String> {
        if !self.shared || open.depth() != 4 || name != "v" || !is_cell(open, 0) {
            return Ok(());
        }
        let number = self.number.trim_ascii();
        if !number.is_empty() {
            let number = number
                .parse()
                .map_err(|_| "has a cell whose shared string is not named by its number".to_owned())?;
            self.part.highest = self.part.highest.max(Some(number));
        }
        self.number.clear();
        Ok(())
    }

    fn count(&mut self) {
        if !std::mem::replace(&mut self.counted, true) {
            self.part.rows += 1;
        }
    }
}

fn is_row(open: &Open, above: usize) -> bool {
    open.parent(above) == "row" && open.parent(above + 1) == "sheetData"
}

fn is_cell(open: &Open, above: usize) -> bool {
    open.parent(above) == "c" && is_row(open, above + 1)
}
