//! Defects that viewers mend, so that the document is accepted.

/// How often each of these defects occurs.
#[derive(Debug, Default)]
pub(super) struct Mended {
    pub(super) table: bool,
    pub(super) lengths: u64,
    pub(super) unchecked: u64,
    pub(super) pages_twice: u64,
    pub(super) counts: bool,
    pub(super) lacks: bool,
}

impl Mended {
    pub(super) fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if self.table {
            remarks.push("has a cross-reference table with wrong offsets, which had to be rebuilt".to_owned());
        }
        if self.lengths > 0 {
            remarks.push(format!(
                "has {} streams whose length is not the one they say",
                self.lengths
            ));
        }
        if self.unchecked > 0 {
            remarks.push(format!(
                "has {} deflated streams whose checksum is cut off, so that they were not held against it",
                self.unchecked
            ));
        }
        if self.pages_twice > 0 {
            remarks.push(format!(
                "has {} pages that stand in its page tree again",
                self.pages_twice
            ));
        }
        if self.counts {
            remarks.push("has a branch of its page tree with another number of pages than it says".to_owned());
        }
        if self.lacks {
            remarks.push("lacks a font that its pages name".to_owned());
        }
        remarks
    }
}
