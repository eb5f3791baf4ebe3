//! Collects what the parts of a workbook say about each other.
//!
//! What must stay true: rows are counted only if all parts on the way to them exist: the content types, the workbook,
//! each sheet that it names, and the shared strings that its relations or its cells name. What is kept of links is
//! limited.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    attributes::{attribute, value},
    names::{key, resolve},
};
use crate::defect::Defect;

/// How many bytes are kept of sheets, of relations to them, and of the types of parts. With usual names this is more
/// than enough for [`super::directory::MAX_ENTRIES`] of each.
pub(super) const MAX_LINKED: usize = 8 * 1024 * 1024;
/// How many bytes one of them takes in addition to its texts.
pub(super) const LINK: usize = 96;
/// The key of the part that a reader begins with.
pub(super) const CONTENT_TYPES: &str = "[content_types].xml";
pub(super) const ROOT_RELATIONS: &str = "_rels/.rels";

/// What is known of one part.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// The key by which other parts name it.
    pub(super) key: String,
    /// The local name of its outermost element.
    pub(super) root: String,
    /// Rows with a value.
    pub(super) rows: u64,
    /// How many shared strings it holds.
    pub(super) strings: u64,
    /// The highest number of a shared string that its cells name.
    pub(super) highest: Option<u64>,
}

/// What the parts of a workbook say about each other.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// The XML parts, by key.
    parts: BTreeMap<String, Part>,
    /// Parts with a content type of their own, and whether it is that of a workbook.
    overrides: BTreeMap<String, bool>,
    /// Extensions, in lower case, whose parts are workbooks unless they have a type of their own.
    defaults: BTreeSet<String>,
    /// Relations to the workbook and to its sheets: kind and target, by the part that holds the relation and its id.
    relations: BTreeMap<(String, String), (String, String)>,
    /// The ids of sheets, by the part that names them.
    sheets: BTreeMap<String, Vec<String>>,
    /// Bytes that all of these take.
    linked: usize,
}

impl Book {
    /// Keeps a link from one part to another, if it may lead to the rows. Any other part may have any number of links,
    /// such as one for each hyperlink of a sheet.
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
                // The id with a prefix. The one without names no relation.
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

    /// Adds a part that has ended.
    pub(super) fn add(&mut self, part: Part) {
        self.parts.insert(part.key.clone(), part);
    }

    /// Whether the content types say that a part is a workbook. Its own type comes before the type of its extension.
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

    /// How many shared strings the workbook with these relations has.
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

/// The end of the type of relations to shared strings.
const SHARED_STRINGS: &str = "/sharedStrings";

/// Whether a relation of this kind, in this part, leads to the rows. Which part has the workbook's relations may be
/// known only later, so the kind has to decide: worksheets, chart sheets, dialog sheets, macro sheets and shared
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
