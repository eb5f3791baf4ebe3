//! An object stream: a stream that holds other objects, one after another.
//!
//! What must stay true: an object is looked up by its index, and must have the right number. ISO 32000-2, 7.5.7.

use super::{
    lexer::Lexer,
    object::{Account, Object},
    table::{Entry, Place},
};

/// What an object stream inflates to.
#[derive(Debug)]
pub(super) struct Packed {
    data: Vec<u8>,
    /// The number of each object, and where it begins.
    objects: Vec<(u32, u32)>,
}

impl Packed {
    /// `None` if the stream does not say where its objects begin.
    pub(super) fn new(data: Vec<u8>, count: Option<usize>, first: Option<usize>) -> Option<Self> {
        let (count, first) = (count?, first?);
        // Each object takes at least a digit, a space, a digit and a space.
        if count > data.len() / 4 + 1 || first > data.len() {
            return None;
        }
        let mut lexer = Lexer::new(&data[..first], 0);
        let mut objects = Vec::with_capacity(count);
        for _ in 0..count {
            let (number, offset) = (lexer.number()?, lexer.count()?);
            let begin = u32::try_from(offset).ok()?.checked_add(u32::try_from(first).ok()?)?;
            objects.push((number, begin));
        }
        Some(Self { data, objects })
    }

    pub(super) fn len(&self) -> usize {
        self.data.len()
    }

    /// Entries for all objects in it.
    pub(super) fn entries(&self, stream: u32) -> impl Iterator<Item = Entry> {
        (0..).zip(&self.objects).map(move |(index, (number, _))| Entry {
            number: *number,
            generation: 0,
            place: Place::In { stream, index },
        })
    }

    /// The index of an object: the given one if it is right, otherwise the one where the object is.
    pub(super) fn index(&self, number: u32, index: u32) -> Option<u32> {
        let is_it = |at: usize| self.objects.get(at).is_some_and(|(of, _)| *of == number);
        if is_it(index as usize) {
            return Some(index);
        }
        let at = self.objects.iter().position(|(of, _)| *of == number)?;
        u32::try_from(at).ok()
    }

    pub(super) fn get(&self, number: u32, index: u32, account: &Account) -> Option<Object<'_>> {
        let (of, begin) = *self.objects.get(index as usize)?;
        if of != number || begin as usize >= self.data.len() {
            return None;
        }
        let mut lexer = Lexer::new(&self.data, begin as usize);
        let value = lexer.value();
        let length = if value.is_some() { lexer.at() } else { self.data.len() } - begin as usize;
        account.pay(length);
        Some(Object {
            number,
            generation: 0,
            value: value?,
            data: None,
            length,
        })
    }
}
