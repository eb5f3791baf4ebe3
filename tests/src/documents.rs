//! Extracts the code blocks of the documents, for the tests that run them.

/// The pages whose blocks are run.
pub const PAGES: [&str; 6] = [
    "README.md",
    "docs/events.md",
    "docs/consume.md",
    "docs/deploy.md",
    "docs/local.md",
    "docs/cli.md",
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The word after the opening fence.
    pub language: String,
    /// The content, without the indentation of the fence.
    pub text: String,
}

/// All fenced blocks of a page, in order.
pub fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, Block)> = None;
    for line in page.lines() {
        let inner = line.trim_start();
        match (&mut open, inner.strip_prefix("```")) {
            (None, Some(language)) => {
                let block = Block {
                    language: language.trim().to_owned(),
                    text: String::new(),
                };
                open = Some((line.len() - inner.len(), block));
            }
            (Some(_), Some(_)) => blocks.extend(open.take().map(|(_, block)| block)),
            (Some((indent, block)), None) => {
                block.text.push_str(line.get(*indent..).unwrap_or_default());
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_in_lists_too() {
        let found = blocks("a\n```sh\nx \\\n  y\n```\n* b\n\n  ```json\n  {\n    1}\n  ```\n");
        let pairs: Vec<(&str, &str)> = found
            .iter()
            .map(|block| (block.language.as_str(), block.text.as_str()))
            .collect();
        assert_eq!(pairs, [("sh", "x \\\n  y\n"), ("json", "{\n  1}\n")]);
    }
}
