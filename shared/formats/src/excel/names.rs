//! Names of parts.
//!
//! What must stay true: two names that readers of packages treat as the same part give the same key. ECMA-376 part 2
//! ignores ASCII case, and names in a package may have percent escapes.

/// The key of a part: its name without a leading slash, without escapes, and in lower case.
pub(super) fn key(name: &str) -> String {
    let mut key = unescaped(name.trim_start_matches('/'));
    key.make_ascii_lowercase();
    key
}

/// The key of the part that a relation leads to. `folder` is the beginning of a key.
pub(super) fn resolve(folder: &str, target: &str) -> String {
    // What follows these characters is a place within the part.
    let target = target.split(['#', '?']).next().unwrap_or(target);
    let folder = if target.starts_with('/') { "" } else { folder };
    let segments = |path: &str| {
        path.split('/')
            .filter(|segment| !segment.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let mut path: Vec<String> = segments(folder);
    for segment in target.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                path.pop();
            }
            segment => path.push(key(segment)),
        }
    }
    path.join("/")
}

/// A name without its percent escapes, except those of slashes, which do not separate folders.
fn unescaped(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match (byte, tail) {
            (b'%', [high, low, behind @ ..]) => match escaped(*high, *low) {
                Some(value) if !matches!(value, b'/' | b'\\') => {
                    bytes.push(value);
                    rest = behind;
                }
                _ => bytes.push(b'%'),
            },
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| name.to_owned())
}

fn escaped(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spellings_of_a_part_name_have_one_key() {
        for name in [
            "xl/worksheets/sheet 1.xml",
            "/xl/worksheets/Sheet%201.xml",
            "XL/Worksheets/SHEET%201.XML",
        ] {
            assert_eq!(key(name), "xl/worksheets/sheet 1.xml");
        }
        assert_eq!(key("a%2Fb%5c%zz%4"), "a%2fb%5c%zz%4");
        assert_eq!(key("gr%C3%B6%C3%9Fe.xml"), "größe.xml");
        assert_eq!(key("%ff.xml"), "%ff.xml");
    }

    #[test]
    fn the_targets_of_links_are_resolved() {
        for (folder, target, part) in [
            ("xl", "worksheets/Sheet1.xml", "xl/worksheets/sheet1.xml"),
            ("xl", "./worksheets/../a%20b.xml#A1", "xl/a b.xml"),
            ("xl/x", "/xl/./a.xml?b", "xl/a.xml"),
            ("", "../../a.xml", "a.xml"),
        ] {
            assert_eq!(resolve(folder, target), part);
        }
    }
}
