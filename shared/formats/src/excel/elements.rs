//! The elements that are open, and the namespaces that they declare.
//!
//! What must stay true: the depth of the elements, the length of their names, and the size of their declarations are
//! limited.

use super::attributes::{MAX_NAME, local};

/// The deepest nesting of elements that is accepted.
const MAX_DEPTH: usize = 256;
/// Most bytes that declared namespaces may take.
pub(super) const MAX_NAMESPACES: usize = 64 * 1024;

/// The open elements.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// The names one after another, and the offset of each.
    names: String,
    begins: Vec<usize>,
}

impl Open {
    pub(super) fn depth(&self) -> usize {
        self.begins.len()
    }

    /// The local name of the open element `above` levels above the innermost one.
    pub(super) fn parent(&self, above: usize) -> &str {
        let Some(index) = self.begins.len().checked_sub(above + 1) else {
            return "";
        };
        let end = self.begins.get(index + 1).copied().unwrap_or(self.names.len());
        local(&self.names[self.begins[index]..end])
    }

    pub(super) fn push(&mut self, name: &str) -> Result<(), String> {
        if self.begins.len() == MAX_DEPTH || name.len() > MAX_NAME {
            return Err("is nested too deep, or has too long names".to_owned());
        }
        self.begins.push(self.names.len());
        self.names.push_str(name);
        Ok(())
    }

    pub(super) fn pop(&mut self, name: &str) -> Result<(), String> {
        let begin = self.begins.pop().ok_or("closes an element that was not opened")?;
        if self.names[begin..] != *name {
            return Err("closes another element than was opened".to_owned());
        }
        self.names.truncate(begin);
        Ok(())
    }
}

/// The namespaces that are declared at this point.
#[derive(Debug, Default)]
pub(super) struct Namespaces {
    /// Prefix, address, and the depth of the element that declared it.
    declared: Vec<(String, String, usize)>,
    pub(super) held: usize,
}

impl Namespaces {
    pub(super) fn address(&self, prefix: &str) -> Option<&str> {
        if prefix == "xml" {
            return Some("http://www.w3.org/XML/1998/namespace");
        }
        let mut inwards = self.declared.iter().rev();
        inwards
            .find(|(declared, ..)| declared == prefix)
            .map(|(_, address, _)| address.as_str())
    }

    pub(super) fn declare(&mut self, prefix: &str, address: &str, depth: usize) -> Result<(), String> {
        self.held += prefix.len() + address.len();
        if self.held > MAX_NAMESPACES {
            return Err(format!("declares more than {} KiB of namespaces", MAX_NAMESPACES >> 10));
        }
        self.declared.push((prefix.to_owned(), address.to_owned(), depth));
        Ok(())
    }

    /// Forgets what elements at `depth` and below declared.
    pub(super) fn leave(&mut self, depth: usize) {
        while let Some((prefix, address, _)) = self.declared.pop_if(|(.., of)| *of >= depth) {
            self.held -= prefix.len() + address.len();
        }
    }
}
