//! The page tree.
//!
//! What must stay true: each node exists and no branch is walked twice, so that the document has as many pages as are
//! counted. The content of each page exists. ISO 32000-2, 7.7.3.

use std::collections::BTreeSet;

use super::{
    document::Document,
    lexer::{Array, Dict, Value},
};
use crate::defect::Defect;

/// A branch that is being walked.
struct Branch<'a> {
    kids: Box<dyn Iterator<Item = Value<'a>> + 'a>,
    says: Option<u64>,
    /// Number of pages that were counted before it.
    before: u64,
}

/// What was found so far.
#[derive(Default)]
struct Walk {
    branches: BTreeSet<u32>,
    leaves: BTreeSet<u32>,
    pages: u64,
    /// Resources that were checked.
    resources: BTreeSet<u32>,
    twice: u64,
    counts: bool,
    lacks: bool,
}

/// Counts the pages beneath the root.
pub(super) fn count(document: &mut Document<'_>, root: u32) -> Result<u64, Defect> {
    let mut walk = Walk::default();
    let pages = count_in(document, root, &mut walk)?;
    document.mended.pages_twice = walk.twice;
    document.mended.counts = walk.counts;
    document.mended.lacks = walk.lacks;
    Ok(pages)
}

fn count_in(document: &Document<'_>, root: u32, walk: &mut Walk) -> Result<u64, Defect> {
    let catalog = document.get(root).map(|object| object.value);
    let Some(Value::Dict(catalog)) = catalog else {
        return Err(Defect::new("has a trailer that names a root that is not there"));
    };
    let no_tree = || Defect::new("has no page tree that its trailer leads to");
    let top = catalog.get(b"Pages");
    if let Value::Ref(number) = top {
        walk.branches.insert(number);
    }
    let Value::Dict(top) = document.resolve(top) else {
        return Err(no_tree());
    };
    let says = number(document, top, b"Count").ok_or_else(no_tree)?;
    check_resources(document, top, walk)?;
    let mut open = vec![branch(document, top, 0)?.ok_or_else(no_tree)?];
    while let Some(last) = open.last_mut() {
        let Some(kid) = last.kids.next() else {
            let inner = open.pop();
            if let Some(inner) = inner
                && !open.is_empty()
                && inner.says != Some(walk.pages - inner.before)
            {
                walk.counts = true;
            }
            continue;
        };
        if let Some(inner) = visit(document, kid, walk)? {
            open.push(inner);
        }
    }
    match walk.pages {
        pages if pages != says => Err(Defect::new(format!(
            "has {pages} pages that can be read, its page tree says {says}"
        ))),
        0 => Err(Defect::new("has no page")),
        pages => Ok(pages),
    }
}

/// Counts a page, or answers the branch that a node is.
fn visit<'a>(document: &'a Document<'_>, kid: Value<'a>, walk: &mut Walk) -> Result<Option<Branch<'a>>, Defect> {
    let reference = match kid {
        Value::Ref(number) => Some(number),
        _ => None,
    };
    if let Some(number) = reference
        && walk.leaves.contains(&number)
    {
        walk.pages += 1;
        walk.twice += 1;
        return Ok(None);
    }
    let Value::Dict(node) = document.resolve(kid) else {
        return Err(match reference {
            Some(number) => Defect::new(format!("has a page tree that lacks its node {number}")),
            None => Defect::new("has a page tree with something else for a node"),
        });
    };
    check_resources(document, node, walk)?;
    if let Some(inner) = branch(document, node, walk.pages)? {
        // Readers do not look for branches that are written within the tree.
        let Some(number) = reference else {
            return Err(Defect::new(
                "has a page tree with a branch that is no object of its own",
            ));
        };
        if !walk.branches.insert(number) {
            return Err(Defect::new(format!(
                "has a page tree that leads to its node {number} again"
            )));
        }
        return Ok(Some(inner));
    }
    walk.pages += 1;
    walk.leaves.extend(reference);
    check_content(document, node, walk.pages)?;
    Ok(None)
}

/// The branch that a node is; `None` if it is a page.
fn branch<'a>(document: &'a Document<'_>, node: Dict<'a>, before: u64) -> Result<Option<Branch<'a>>, Defect> {
    let kids: Array<'a> = match document.resolve(node.get(b"Kids")) {
        Value::Array(kids) => kids,
        _ if document.resolve(node.get(b"Type")).is_name(b"Pages") => {
            return Err(Defect::new("has a branch of its page tree that leads to no page"));
        }
        _ => return Ok(None),
    };
    Ok(Some(Branch {
        kids: Box::new(kids.values()),
        says: number(document, node, b"Count"),
        before,
    }))
}

fn number(document: &Document<'_>, dict: Dict<'_>, key: &[u8]) -> Option<u64> {
    match document.resolve(dict.get(key)) {
        Value::Integer(number) => Some(number),
        _ => None,
    }
}

/// Checks that the streams of a page exist. As with all streams, it was checked before that they inflate.
fn check_content(document: &Document<'_>, page: Dict<'_>, number: u64) -> Result<(), Defect> {
    let lacks = || Defect::new(format!("lacks the content of page {number}"));
    let content = page.get(b"Contents");
    let parts: Vec<u32> = match (&content, document.resolve(content.clone())) {
        // A page may have no content.
        (Value::Null, _) => return Ok(()),
        (_, Value::Array(parts)) => parts
            .values()
            .map(|part| match part {
                Value::Ref(number) => Ok(number),
                _ => Err(lacks()),
            })
            .collect::<Result<_, _>>()?,
        (Value::Ref(number), _) => vec![*number],
        _ => return Err(lacks()),
    };
    for part in parts {
        let object = document.get(part).ok_or_else(lacks)?;
        match object.value {
            Value::Dict(dict) if object.data.is_some() => {
                if !document.is_readable(dict) {
                    return Err(Defect::new(format!(
                        "has a filter that is none of PDF's before the content of page {number}"
                    )));
                }
            }
            // Some writers write null if there is nothing to show.
            Value::Null => {}
            _ => return Err(lacks()),
        }
    }
    Ok(())
}

/// Checks that the other objects exist that a page or a branch names. A page cannot be shown without its pictures, and
/// not correctly without its fonts.
fn check_resources(document: &Document<'_>, node: Dict<'_>, walk: &mut Walk) -> Result<(), Defect> {
    let resources = node.get(b"Resources");
    if let Value::Ref(number) = resources
        && !walk.resources.insert(number)
    {
        return Ok(());
    }
    let Value::Dict(resources) = document.resolve(resources) else {
        return Ok(());
    };
    for (kind, is_needed) in [(b"XObject".as_slice(), true), (b"Font", false)] {
        let of_kind = resources.get(kind);
        if let Value::Ref(number) = of_kind
            && !walk.resources.insert(number)
        {
            continue;
        }
        let Value::Dict(of_kind) = document.resolve(of_kind) else {
            continue;
        };
        for (_, value) in of_kind.entries() {
            let Value::Ref(number) = value else {
                continue;
            };
            if document.entry(number).is_some() {
                continue;
            }
            if is_needed {
                return Err(Defect::new(format!("lacks object {number}, which its pages show")));
            }
            walk.lacks = true;
        }
    }
    Ok(())
}
