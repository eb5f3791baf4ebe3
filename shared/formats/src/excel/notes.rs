//! What is noted of a part while its XML passes.
//!
//! What must stay true: the notes of a part are of a fixed size, whatever the part holds. Links to other parts go to the
//! [`Book`], which bounds them.

use super::{
    book::Book,
    xml::{Attributes, MAX_NAME, Open, plain},
};

/// The longest number of a shared string that is taken, in bytes.
const MAX_NUMBER: usize = 20;

/// The notes of one part.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Its key.
    pub(super) part: String,
    /// The local name of its outermost element.
    pub(super) root: String,
    /// Rows with a value.
    pub(super) rows: u64,
    /// Shared strings that it holds.
    pub(super) strings: u64,
    /// The highest number of a shared string that its cells name.
    pub(super) highest: Option<u64>,
    /// Whether the open row has had a value.
    counted: bool,
    /// Whether the open cell names a shared string.
    shared: bool,
    /// By which number.
    number: String,
}

impl Notes {
    pub(super) fn new(part: String) -> Self {
        Self {
            part,
            ..Self::default()
        }
    }

    /// An element begins within those that are open.
    pub(super) fn element(&mut self, open: &Open, name: &str, attributes: &str, book: &mut Book) -> Result<(), String> {
        match (open.depth(), name) {
            (0, _) => name.clone_into(&mut self.root),
            (1, "Override" | "Default" | "Relationship") => book.link(&self.part, name, attributes)?,
            (1, "si") if self.root == "sst" => self.strings += 1,
            (2, "sheet") if open.parent(0) == "sheets" => book.link(&self.part, name, attributes)?,
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

    /// Text lies within the open elements.
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

    /// An element has ended within those that are open.
    pub(super) fn close(&mut self, open: &Open, name: &str) -> Result<(), String> {
        if !self.shared || open.depth() != 4 || name != "v" || !is_cell(open, 0) {
            return Ok(());
        }
        let number = self.number.trim_ascii();
        if !number.is_empty() {
            let number = number
                .parse()
                .map_err(|_| "has a cell whose shared string is not named by its number".to_owned())?;
            self.highest = self.highest.max(Some(number));
        }
        self.number.clear();
        Ok(())
    }

    fn count(&mut self) {
        if !std::mem::replace(&mut self.counted, true) {
            self.rows += 1;
        }
    }
}

fn is_row(open: &Open, above: usize) -> bool {
    open.parent(above) == "row" && open.parent(above + 1) == "sheetData"
}

fn is_cell(open: &Open, above: usize) -> bool {
    open.parent(above) == "c" && is_row(open, above + 1)
}

/// The value of an attribute without a prefix, cut to [`MAX_NAME`].
pub(super) fn attribute(attributes: &str, wanted: &str) -> Result<Option<String>, String> {
    value(attributes, |name| name == wanted)
}

/// The value of the first attribute whose name is wanted, cut to [`MAX_NAME`].
pub(super) fn value(attributes: &str, wanted: impl Fn(&str) -> bool) -> Result<Option<String>, String> {
    for found in Attributes(attributes) {
        let (name, value) = found?;
        if wanted(name) {
            let mut value = plain(value)?;
            value.truncate(value.floor_char_boundary(MAX_NAME));
            return Ok(Some(value));
        }
    }
    Ok(None)
}
