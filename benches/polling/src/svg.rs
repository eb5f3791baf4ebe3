//! Parts of a picture.
//!
//! What must stay true: every text in it is escaped.

use std::fmt::Write;

/// What most of a picture's text is drawn in, readable on white.
pub const INK: &str = "#1f2328";

/// For text that matters less.
pub const FAINT: &str = "#59636e";

/// What Landfall's own marks are drawn in.
pub const OURS: &str = "#0969da";

/// What the marks of others are drawn in.
pub const OTHERS: &str = "#8c959f";

/// For lines, and for marks that are there to compare with.
pub const PALE: &str = "#d1d9e0";

/// Ends a picture.
pub const END: &str = "</svg>\n";

/// Begins a picture of this size on white, with a title for those who do not see it.
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
    /// Where it is anchored, from the left.
    pub x: f64,
    /// Its baseline, from the top.
    pub y: f64,
    /// The colour.
    pub fill: &'a str,
    /// `400` or `600`.
    pub weight: &'a str,
    /// `start`, `middle` or `end`.
    pub anchor: &'a str,
    /// The words.
    pub words: &'a str,
}

impl Text<'_> {
    /// Draws it.
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

/// Draws a line of text that is read from below, around its middle.
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
