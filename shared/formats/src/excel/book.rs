//! What the parts of a workbook say of each other.
//!
//! What must stay true: a workbook has rows only if all parts on the way to them are there: the content types, the
//! workbook, each sheet that it names, and the shared strings that its relations or its cells name. What is kept of links
//! is bounded.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    attributes::{attribute, value},
    names::{key, resolve},
};
use crate::defect::Defect;

/// The most that is kept of sheets, relations to them and types of parts, in bytes: with usual names more than enough
/// for [`super::directory::MAX_ENTRIES`] of each.
pub(super) const MAX_LINKED: usize = 8 * 1024 * 1024;
/// What one of them takes beside its texts.
pub(super) const LINK: usize = 96;
/// The keys of the parts that a reader begins with.
pub(super) const CONTENT_TYPES: &str = "[content_types].xml";
pub(super) const ROOT_RELATIONS: &str = "_rels/.rels";

/// What is known of one part.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// By which other parts name it.
    pub(super) key: String,
    /// The local name of its outermost element.
    pub(super) root: String,
    /// Rows with a value.
    pub(super) rows: u64,
    /// Shared strings that it holds.
    pub(super) strings: u64,
    /// The highest number of a shared string that its cells name.
    pub(super) highest: Option<u64>,
}

/// What the parts of a workbook say of each other.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// The XML parts by key.
    parts: BTreeMap<String, Part>,
    /// Parts whose content types are given one by one, and whether it is that of a workbook.
    overrides: BTreeMap<String, bool>,
    /// Extensions, in lower case, of parts that are workbooks unless their own type says otherwise.
    defaults: BTreeSet<String>,
    /// To the workbook and to its sheets, by the part that holds it and its id: kind and target.
    relations: BTreeMap<(String, String), (String, String)>,
    /// By the part that holds it: the ids of sheets.
    sheets: BTreeMap<String, Vec<String>>,
    /// Bytes that all these take.
    linked: usize,
}

impl Book {
    /// Takes up a link from one part to another, if it may be one of those that lead to the rows: any other part may
    /// have as many as it likes, such as a sheet one for each of its hyperlinks.
    pub(super) fn link(&mut self, part: &str, name: &str, attributes: &str) -> Result<(), String> {
        let text = |wanted: &str| attribute(attributes, wanted).map(Option::unwrap_or_default);
        let is_workbook = || text("ContentType").map(|of| of.ends_with("main+xml"));
        let taken = match name {
            "Override" if part == CONTENT_TYPES => {
                let name = key(&text("PartName")?);
                let taken = name.len();
                self.overrides.insert(name, is_workbook()?);
                taken
            }
            "Default" if part == CONTENT_TYPES && is_workbook()? => {
                let extension = text("Extension")?.to_ascii_lowercase();
                let taken = extension.len();
                self.defaults.insert(extension);
                taken
            }
            "Relationship" if text("TargetMode")? != "External" && leads_to_rows(part, &text("Type")?) => {
                let (id, kind, target) = (text("Id")?, text("Type")?, text("Target")?);
                let taken = part.len() + id.len() + kind.len() + target.len();
                self.relations.insert((part.to_owned(), id), (kind, target));
                taken
            }
            "sheet" => {
                // The one with a prefix: the other names no relation.
                let id = value(attributes, |name| name.ends_with(":id"))?.unwrap_or_default();
                let taken = id.len();
                self.sheets.entry(part.to_owned()).or_default().push(id);
                taken
            }
            _ => return Ok(()),
        };
        self.linked += LINK + taken;
        if self.linked > MAX_LINKED {
            let most = MAX_LINKED >> 20;
            return Err(format!("links to more parts than are taken: {most} MiB of names"));
        }
        Ok(())
    }

    /// Takes a part that ended.
    pub(super) fn add(&mut self, part: Part) {
        self.parts.insert(part.key.clone(), part);
    }

    /// Whether the content types call a part a workbook: its own type decides before that of its extension.
    fn is_workbook(&self, part: &str) -> bool {
        self.overrides.get(part).copied().unwrap_or_else(|| {
            let file = part.rsplit('/').next().unwrap_or(part);
            file.rsplit_once('.')
                .is_some_and(|(_, extension)| self.defaults.contains(&extension.to_ascii_lowercase()))
        })
    }

    /// Rows of all sheets.
    pub(super) fn rows(&self) -> Result<u64, Defect> {
        if !self.is(CONTENT_TYPES, "Types") {
            return Err(Defect::new("has no part [Content_Types].xml, so it is no workbook"));
        }
        let workbook = self
            .relations
            .iter()
            .filter(|((part, _), (kind, _))| part == ROOT_RELATIONS && kind.ends_with("/officeDocument"))
            .map(|(_, (_, target))| resolve("", target))
            .find(|target| self.is(target, "workbook") && self.is_workbook(target))
            .ok_or_else(|| Defect::new("has no workbook part that its content types and relations lead to"))?;
        let (folder, file) = workbook.rsplit_once('/').unwrap_or(("", &workbook));
        let relations = match folder {
            "" => format!("_rels/{file}.rels"),
            folder => format!("{folder}/_rels/{file}.rels"),
        };
        let sheets = self.sheets.get(&workbook).map(Vec::as_slice).unwrap_or_default();
        if sheets.is_empty() {
            return Err(Defect::new("has no sheet"));
        }
        let strings = self.strings(folder, &relations)?;
        let mut rows = 0;
        for (number, id) in (1..).zip(sheets) {
            let missing = || Defect::new(format!("lacks sheet {number} of {}", sheets.len()));
            let (kind, target) = self
                .relations
                .get(&(relations.clone(), id.clone()))
                .ok_or_else(missing)?;
            let sheet = self.parts.get(&resolve(folder, target)).ok_or_else(missing)?;
            if sheet.highest >= Some(strings) {
                return Err(Defect::new(format!(
                    "names a shared string in sheet {number} that is not there: there are {strings}"
                )));
            }
            if kind.ends_with("/worksheet") {
                if sheet.root != "worksheet" {
                    return Err(Defect::new(format!("has something else for sheet {number}")));
                }
                rows += sheet.rows;
            }
        }
        Ok(rows)
    }

    /// How many shared strings the workbook has, whose relations are given.
    fn strings(&self, folder: &str, relations: &str) -> Result<u64, Defect> {
        let mut of_workbook = self.relations.iter().filter(|((part, _), _)| part == relations);
        let Some((_, (_, target))) = of_workbook.find(|(_, (kind, _))| kind.ends_with(SHARED_STRINGS)) else {
            return Ok(0);
        };
        let part = self
            .parts
            .get(&resolve(folder, target))
            .filter(|part| part.root == "sst");
        let part = part.ok_or_else(|| Defect::new("lacks the shared strings that its relations name"))?;
        Ok(part.strings)
    }

    fn is(&self, part: &str, root: &str) -> bool {
        self.parts.get(part).is_some_and(|part| part.root == root)
    }
}

/// The end of the type of a relation to shared strings.
const SHARED_STRINGS: &str = "/sharedStrings";

/// Whether a relation of this kind, in this part, is one on the way to the rows. Which part holds those of the workbook
/// may be known only later, so the kind has to tell: worksheets, chart sheets, dialog sheets, macro sheets and shared
/// strings.
fn leads_to_rows(part: &str, kind: &str) -> bool {
    match part {
        ROOT_RELATIONS => kind.ends_with("/officeDocument"),
        _ => {
            let end = kind.get(kind.len().saturating_sub(b"sheet".len())..);
            kind.ends_with(SHARED_STRINGS) || end.is_some_and(|end| end.eq_ignore_ascii_case("sheet"))
        }
    }
}
