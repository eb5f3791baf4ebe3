//! Helpers to draw SVG.
//!
//! What must stay true: every text is escaped.

use std::fmt::Write;

/// The colour of most text, readable on white.
pub const INK: &str = "#1f2328";

/// The colour of less important text.
pub const FAINT: &str = "#59636e";

/// The colour of Landfall's marks.
pub const OURS: &str = "#0969da";

/// The colour of the other marks.
pub const OTHERS: &str = "#8c959f";

/// The colour of lines, and of marks that others are compared with.
pub const PALE: &str = "#d1d9e0";

/// The end of a picture.
pub const END: &str = "</svg>\n";

/// Begins a picture of this size on white, with a title for screen readers.
#[must_use]
pub fn begin(width: f64, height: f64, title: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" font-family=\"system-ui, sans-serif\" font-size=\"13\">\n\
         <title>{}</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n",
        escaped(title)
    )
}

/// A line of text.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    /// The horizontal position of its anchor, from the left.
    pub x: f64,
    /// The position of its baseline, from the top.
    pub y: f64,
    pub fill: &'a str,
    /// `400` or `600`.
    pub weight: &'a str,
    /// `start`, `middle` or `end`.
    pub anchor: &'a str,
    pub words: &'a str,
}

impl Text<'_> {
    pub fn draw(&self, svg: &mut String) {
        let Self {
            x,
            y,
            fill,
            weight,
            anchor,
            words,
        } = self;
        // Writing to a string cannot fail.
        let _ = writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" fill=\"{fill}\" font-weight=\"{weight}\" text-anchor=\"{anchor}\">{}</text>",
            escaped(words)
        );
    }
}

/// Draws a vertical line of text that is read from below, around its middle.
pub fn upright(svg: &mut String, (x, y): (f64, f64), fill: &str, words: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" fill=\"{fill}\" text-anchor=\"middle\" \
         transform=\"rotate(-90 {x:.1} {y:.1})\">{}</text>",
        escaped(words)
    );
}

fn escaped(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
