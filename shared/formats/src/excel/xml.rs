//! XML whose bytes come in pieces.
//!
//! What must stay true: the text is a well-formed XML 1.0 document with namespaces and without a DTD, which ECMA-376
//! forbids (so no entity can expand). The first defect does not depend on how the bytes are cut.
//!
//! The XML crate divides the text into pieces of markup. It does not check that each piece is well-formed, nor that
//! they fit together. That happens here.

use quick_xml::{
    Reader,
    errors::IllFormedError,
    events::{BytesStart, Event},
};

use super::{
    attributes::{Attributes, MALFORMED, is_name, is_space, local, plain, reference},
    book::{Book, Part},
    elements::{Namespaces, Open},
    notes::Notes,
    text::{Encoding, Text},
};

/// The longest piece of markup or text that is accepted, in bytes. A cell holds at most 32,767 characters.
pub(super) const MAX_MARKUP: usize = 1024 * 1024;
/// Up to this many attributes are compared pair by pair.
const FEW: usize = 16;

/// Checks a part, and takes notes of its elements.
#[derive(Debug)]
pub(super) struct Xml {
    text: Text,
    /// What came after the last complete piece of markup.
    carry: String,
    /// Whether a piece was parsed.
    begun: bool,
    rooted: bool,
    open: Open,
    spaces: Namespaces,
    notes: Notes,
}

impl Xml {
    /// For the part with this key.
    pub(super) fn new(part: String) -> Self {
        Self {
            text: Text::default(),
            carry: String::new(),
            begun: false,
            rooted: false,
            open: Open::default(),
            spaces: Namespaces::default(),
            notes: Notes::new(part),
        }
    }

    /// How many bytes are held between two pushes.
    pub(super) fn held(&self) -> usize {
        self.carry.capacity() + self.spaces.held
    }

    pub(super) fn push(&mut self, bytes: &[u8], book: &mut Book) -> Result<(), String> {
        let piece = self.text.push(bytes);
        self.push_text(&piece.text, book)?;
        piece.fault.map_or(Ok(()), |what| Err(what.to_owned()))
    }

    fn push_text(&mut self, text: &str, book: &mut Book) -> Result<(), String> {
        // Markup ends with a bracket, but a bracket may also be within text or a comment.
        let Some(last) = memchr::memrchr(b'>', text.as_bytes()) else {
            return self.keep(text);
        };
        let (now, later) = text.split_at(last + 1);
        if self.carry.is_empty() {
            let done = self.parse_bounded(now, book)?;
            self.keep(&now[done..])?;
        } else {
            let mut carried = std::mem::take(&mut self.carry);
            carried.push_str(now);
            let done = self.parse_bounded(&carried, book)?;
            carried.drain(..done);
            self.carry = carried;
        }
        self.keep(later)
    }

    fn keep(&mut self, text: &str) -> Result<(), String> {
        self.carry.push_str(text);
        if self.carry.len() > MAX_MARKUP {
            return Err(too_long());
        }
        Ok(())
    }

    /// Parses all complete pieces, up to the first that is too long.
    fn parse_bounded(&mut self, text: &str, book: &mut Book) -> Result<usize, String> {
        if text.len() <= MAX_MARKUP {
            return self.parse(text, book);
        }
        let mut begin = 0;
        for end in memchr::memchr_iter(b'>', text.as_bytes()) {
            if end - begin > MAX_MARKUP {
                self.parse(&text[..begin], book)?;
                return Err(too_long());
            }
            begin = end + 1;
        }
        self.parse(text, book)
    }

    /// Parses all complete pieces, and answers how many bytes they take.
    fn parse(&mut self, text: &str, book: &mut Book) -> Result<usize, String> {
        let mut reader = Reader::from_str(text);
        let config = reader.config_mut();
        config.check_comments = true;
        // Elements are opened in one piece and closed in another, so [`Open`] compares their names.
        config.check_end_names = false;
        config.allow_unmatched_ends = true;
        loop {
            let before = reader.buffer_position() as usize;
            let event = match reader.read_event() {
                Ok(event) => event,
                Err(error) => {
                    // The end of the piece may still come: the reader also finds brackets within references.
                    let is_open = match error {
                        quick_xml::Error::Syntax(_) => true,
                        quick_xml::Error::IllFormed(IllFormedError::UnclosedReference) => {
                            reader.buffer_position() as usize == text.len()
                        }
                        _ => false,
                    };
                    if !is_open {
                        return Err(MALFORMED.to_owned());
                    }
                    if text.len() - before > MAX_MARKUP {
                        return Err(too_long());
                    }
                    return Ok(before);
                }
            };
            let is_text = matches!(event, Event::Text(_));
            if !is_text && reader.buffer_position() as usize - before > MAX_MARKUP {
                return Err(too_long());
            }
            match event {
                Event::Eof => return Ok(text.len()),
                event => self.event(&event, book)?,
            }
            self.begun = true;
        }
    }

    fn event(&mut self, event: &Event<'_>, book: &mut Book) -> Result<(), String> {
        match event {
            Event::Start(element) => {
                self.element(element, book)?;
                self.open.push(element.name().as_ref())
            }
            Event::Empty(element) => {
                self.element(element, book)?;
                self.spaces.leave(self.open.depth());
                self.notes.close(&self.open, element.local_name().as_ref())
            }
            Event::End(element) => {
                self.open.pop(element.name().as_ref())?;
                self.spaces.leave(self.open.depth());
                self.notes.close(&self.open, element.local_name().as_ref())
            }
            Event::Text(text) if self.open.depth() == 0 => {
                if !text.bytes().all(is_space) {
                    return Err(outside());
                }
                Ok(())
            }
            Event::Text(text) => {
                if memchr::memmem::find(text.as_bytes(), b"]]>").is_some() {
                    return Err(MALFORMED.to_owned());
                }
                self.notes.text(&self.open, text);
                Ok(())
            }
            Event::CData(_) | Event::GeneralRef(_) if self.open.depth() == 0 => Err(outside()),
            Event::CData(text) => {
                self.notes.text(&self.open, text);
                Ok(())
            }
            Event::GeneralRef(name) => {
                let c = reference(name)?;
                self.notes.text(&self.open, c.encode_utf8(&mut [0; 4]));
                Ok(())
            }
            Event::Decl(declaration) => self.declaration(declaration),
            Event::PI(instruction) => {
                let target = instruction.target();
                if !is_name(target) || target.contains(':') || target.eq_ignore_ascii_case("xml") {
                    return Err(MALFORMED.to_owned());
                }
                Ok(())
            }
            Event::DocType(_) => Err("has a DTD, which a workbook may not have".to_owned()),
            Event::Comment(_) | Event::Eof => Ok(()),
        }
    }

    /// Checks the declaration, which may only be the first piece.
    fn declaration(&self, declaration: &str) -> Result<(), String> {
        if self.begun {
            return Err(format!("{MALFORMED}: its declaration does not stand at its begin"));
        }
        let raw = declaration.strip_prefix("xml").unwrap_or_default();
        let attributes = Attributes(raw).collect::<Result<Vec<_>, _>>()?;
        let names: Vec<_> = attributes.iter().map(|(name, _)| *name).collect();
        let value = |wanted: &str| {
            attributes
                .iter()
                .find(|(name, _)| *name == wanted)
                .map(|(_, value)| *value)
        };
        let in_order = [
            ["version"].as_slice(),
            &["version", "encoding"],
            &["version", "standalone"],
            &["version", "encoding", "standalone"],
        ];
        if !in_order.contains(&names.as_slice())
            || value("version") != Some("1.0")
            || !matches!(value("standalone"), None | Some("yes" | "no"))
        {
            return Err(format!("{MALFORMED}: its declaration is none"));
        }
        let Some(declared) = value("encoding") else {
            return Ok(());
        };
        let is_utf16 = matches!(self.text.encoding(), Some(Encoding::Utf16 { .. }));
        let says_utf16 = declared
            .get(..6)
            .is_some_and(|begin| begin.eq_ignore_ascii_case("utf-16"));
        if is_utf16 != says_utf16 {
            return Err(format!("{MALFORMED}: it is in another encoding than it declares"));
        }
        // ECMA-376 allows UTF-8 and UTF-16. Of the other names here, ASCII means the same.
        let declared = declared.to_ascii_lowercase();
        let allowed = ["utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "windows-1252"];
        if !is_utf16 && !allowed.contains(&declared.as_str()) {
            return Err("declares an encoding that a workbook may not have".to_owned());
        }
        Ok(())
    }

    fn element(&mut self, element: &BytesStart<'_>, book: &mut Book) -> Result<(), String> {
        let name = element.name();
        let name: &str = name.as_ref();
        if !is_name(name) {
            return Err(MALFORMED.to_owned());
        }
        if self.open.depth() == 0 && std::mem::replace(&mut self.rooted, true) {
            return Err("has more than one outermost element".to_owned());
        }
        let raw = element.attributes_raw();
        self.attributes(raw)?;
        self.resolve(name)?;
        self.notes.element(&self.open, local(name), raw, book)
    }

    /// Checks the attributes of an element, and declares its namespaces.
    fn attributes(&mut self, raw: &str) -> Result<(), String> {
        // Nearly all elements have few attributes, and there are very many elements.
        let mut few = [""; FEW];
        let mut count = 0;
        let mut prefixed = false;
        for attribute in Attributes(raw) {
            let (name, value) = attribute?;
            if few[..count.min(FEW)].contains(&name) {
                return Err(twice());
            }
            if let Some(place) = few.get_mut(count) {
                *place = name;
            }
            count += 1;
            match name.split_once(':') {
                None if name == "xmlns" => self.spaces.declare("", &plain(value)?, self.open.depth())?,
                Some(("xmlns", prefix)) if value.is_empty() || prefix == "xmlns" => return Err(MALFORMED.to_owned()),
                Some(("xmlns", prefix)) => self.spaces.declare(prefix, &plain(value)?, self.open.depth())?,
                Some(_) => prefixed = true,
                None => {}
            }
        }
        let names = || Attributes(raw).filter_map(Result::ok).map(|(name, _)| name);
        if count > FEW {
            let mut sorted: Vec<&str> = names().collect();
            sorted.sort_unstable();
            if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
                return Err(twice());
            }
        }
        if !prefixed {
            return Ok(());
        }
        // Two prefixes may stand for the same namespace.
        let mut full = Vec::new();
        for name in names() {
            if let Some((prefix, local)) = name.split_once(':')
                && prefix != "xmlns"
            {
                full.push((self.spaces.address(prefix).ok_or_else(unbound)?, local));
            }
        }
        full.sort_unstable();
        if full.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(twice());
        }
        Ok(())
    }

    /// Checks that the prefix of an element is declared.
    fn resolve(&self, name: &str) -> Result<(), String> {
        match name.split_once(':') {
            Some((prefix, _)) if self.spaces.address(prefix).is_none() => Err(unbound()),
            _ => Ok(()),
        }
    }

    /// Must be called after all bytes were pushed.
    pub(super) fn finish(self) -> Result<Part, String> {
        let left = self.carry.trim_ascii_start();
        if self.open.depth() == 0 && !left.is_empty() && !left.starts_with('<') {
            return Err(outside());
        }
        if self.open.depth() > 0 || !self.carry.bytes().all(is_space) || !self.text.is_whole() {
            return Err("ends within its XML".to_owned());
        }
        if !self.rooted {
            return Err("holds no XML element".to_owned());
        }
        Ok(self.notes.part)
    }
}

fn too_long() -> String {
    let most = MAX_MARKUP >> 20;
    format!("has a piece of XML longer than {most} MiB, the most that is taken")
}

fn outside() -> String {
    format!("{MALFORMED}: it has text outside of its outermost element")
}

fn twice() -> String {
    format!("{MALFORMED}: an element has an attribute twice")
}

fn unbound() -> String {
    format!("{MALFORMED}: it has a prefix that no namespace is declared for")
}
