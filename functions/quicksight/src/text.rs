//! Makes texts of the service safe to show.
//!
//! What must stay true: no link, which may be presigned, and no secret of a request leaves this module.

/// The longest text of the service that is kept, in characters.
const TEXT_MAX: usize = 300;

/// A text of the service on one line, without links and at most [`TEXT_MAX`] characters long.
pub(crate) fn plain(text: &str) -> String {
    let mut line = without_links(text);
    if let Some((end, _)) = line.char_indices().nth(TEXT_MAX) {
        line.truncate(end);
        line.push('…');
    }
    line
}

/// A text on one line, with `<link>` in place of each link, because a link may be presigned.
pub(crate) fn without_links(text: &str) -> String {
    let words = text.split_whitespace().map(|word| match word.find("://") {
        Some(_) => "<link>",
        None if word.contains("X-Amz-") => "<link>",
        None => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A text with `<hidden>` in place of each secret that is a word of its own.
pub(crate) fn without_secrets(text: &str, secrets: &[String]) -> String {
    let mut secrets: Vec<&str> = secrets
        .iter()
        .map(|secret| secret.trim())
        .filter(|secret| !secret.is_empty())
        .collect();
    // The longest first, so that a secret that contains another one is replaced as a whole.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets.iter().fold(text.to_owned(), |text, secret| {
        let mut clean = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(at) = rest.find(secret) {
            let (before, after) = (&rest[..at], &rest[at + secret.len()..]);
            let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
            let stands_alone =
                !is_word(before.chars().next_back().or(clean.chars().next_back())) && !is_word(after.chars().next());
            clean.push_str(before);
            clean.push_str(if stands_alone { "<hidden>" } else { secret });
            rest = after;
        }
        clean.push_str(rest);
        clean
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_and_secrets_hidden() {
        assert_eq!(plain(&"é".repeat(1000)).chars().count(), TEXT_MAX + 1);
        let secrets = ["tenant-7".to_owned(), "7".to_owned(), String::new(), "EMEA".to_owned()];
        assert_eq!(
            without_secrets("value 'tenant-7' of 7 in EMEA, 17 EMEAs, 7EMEA EMEA", &secrets),
            "value '<hidden>' of <hidden> in <hidden>, 17 EMEAs, 7EMEA <hidden>"
        );
    }
}
