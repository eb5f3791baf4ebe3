//! Encrypted documents, which the PDF crate decrypts.
//!
//! What must stay true: a panic of the crate becomes a defect. A document is not opened if its structure could take the
//! crate more time than the document's size allows.

use std::{borrow::Cow, fmt, sync::Arc};

use hayro_syntax::{
    DecryptionError, LoadPdfError, Pdf,
    object::{Dict, ObjectIdentifier, Stream},
};

use crate::{defect::Defect, panics::caught};

/// How many steps opening may take. The crate looks at what pages share once for each page.
const MAX_STEPS: u64 = 1 << 31;
/// How many bytes a compressed byte usually stands for.
const USUAL_RATIO: u64 = 8;

/// A document that the crate has opened.
pub(super) struct Decryption(Pdf);

impl fmt::Debug for Decryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decryption")
    }
}

impl Decryption {
    /// Opens a document of `objects` objects, each of which may look at `held` bytes. `None` if the document has a
    /// password, or would take too many steps.
    pub(super) fn of(bytes: &[u8], objects: usize, held: usize) -> Result<Option<Self>, Defect> {
        if (objects as u64).saturating_mul(held as u64).saturating_mul(USUAL_RATIO) > MAX_STEPS {
            return Ok(None);
        }
        let opened = caught(|| Pdf::new(Arc::new(bytes.to_vec()))).ok_or_else(unreadable)?;
        match opened {
            Ok(pdf) => Ok(Some(Self(pdf))),
            Err(LoadPdfError::Decryption(DecryptionError::PasswordProtected)) => Ok(None),
            Err(_) => Err(unreadable()),
        }
    }

    /// The decrypted data of a stream.
    pub(super) fn data(&self, number: u32, generation: u32) -> Option<Cow<'_, [u8]>> {
        let id = ObjectIdentifier::new(number, i32::try_from(generation).ok()?);
        caught(|| Some(self.0.xref().get::<Stream<'_>>(id)?.raw_data())).flatten()
    }

    /// Number of pages.
    pub(super) fn pages(&self) -> Result<u64, Defect> {
        let pages = caught(|| {
            let says = self
                .0
                .xref()
                .get::<Dict<'_>>(self.0.xref().root_id())
                .and_then(|catalog| catalog.get::<Dict<'_>>(b"Pages"))
                .and_then(|pages| pages.get::<u32>(b"Count"));
            (self.0.pages().len() as u64, says.map(u64::from))
        });
        match pages.ok_or_else(unreadable)? {
            (_, None) => Err(Defect::new("has no page tree that its trailer leads to")),
            (pages, Some(says)) if pages != says => Err(Defect::new(format!(
                "has {pages} pages that can be read, its page tree says {says}"
            ))),
            (0, _) => Err(Defect::new("has no page")),
            (pages, _) => Ok(pages),
        }
    }
}

fn unreadable() -> Defect {
    Defect::new("has PDF objects that cannot be read")
}
