//! The files of simulated snapshots.
//!
//! What must stay true: the same seed and visual give the same rows in every format. Each file is a right file of its
//! format, unless a flaw is asked for.

use std::io::Write as _;

use anyhow::{Context, Result};
use chrono::{DateTime, Days, NaiveDate, Utc};
use flate2::{Compression, write::ZlibEncoder};
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, Workbook};

use super::super::derived_bytes;

/// The columns of every table.
pub const COLUMNS: [&str; 6] = ["Order date", "Region", "Product", "Units", "Revenue", "Comment"];

const REGIONS: [&str; 5] = ["EMEA", "APAC", "North America", "South America", "Zürich & Umgebung"];
const PRODUCTS: [&str; 5] = ["Chair, oak", "Desk \"Berlin\"", "Lamp", "Screen 27\"", "Café table"];
const COMMENTS: [&str; 4] = ["", "rush", "gift, wrapped", "second\nline"];

/// How many rows a page of a document has.
const ROWS_ON_A_PAGE: u64 = 48;

/// One row of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Order date.
    pub date: NaiveDate,
    /// Region.
    pub region: &'static str,
    /// Product, with characters that CSV quotes.
    pub product: &'static str,
    /// Units.
    pub units: u32,
    /// Revenue in cents.
    pub cents: u64,
    /// A comment, sometimes with two lines.
    pub comment: &'static str,
}

/// The table behind a visual.
#[derive(Clone, Debug)]
pub struct Table<'a> {
    /// The seed of its rows.
    pub seed: u64,
    /// The visual.
    pub visual: &'a str,
    /// How many rows it has.
    pub rows: u64,
}

impl Table<'_> {
    /// The row with this number.
    pub fn row(&self, number: u64) -> Row {
        let bytes = derived_bytes(self.seed, &["row", self.visual, &number.to_string()]);
        let pick = |place: usize, of: usize| usize::from(bytes[place]) % of;
        let units = 1 + u32::from(bytes[3]) % 40;
        let price = 999 + u64::from(u16::from_be_bytes([bytes[4], bytes[5]]));
        Row {
            date: NaiveDate::default() + Days::new(20_000 + number % 365),
            region: REGIONS[pick(0, REGIONS.len())],
            product: PRODUCTS[pick(1, PRODUCTS.len())],
            units,
            cents: price * u64::from(units),
            comment: COMMENTS[pick(2, COMMENTS.len())],
        }
    }

    /// The rows, in order.
    pub fn iter(&self) -> impl Iterator<Item = Row> {
        (0..self.rows).map(|number| self.row(number))
    }
}

fn money(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// A table as comma-separated values with a header row. If `ragged`, its last row lacks fields.
pub fn csv(table: &Table<'_>, ragged: bool) -> Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
    writer.write_record(COLUMNS)?;
    for (number, row) in (1..).zip(table.iter()) {
        if ragged && number == table.rows {
            writer.write_record([row.date.to_string().as_str(), row.region])?;
            continue;
        }
        writer.write_record([
            &row.date.to_string(),
            row.region,
            row.product,
            &row.units.to_string(),
            &money(row.cents),
            row.comment,
        ])?;
    }
    writer.into_inner().context("the CSV writer lost its bytes")
}

/// A workbook with one worksheet for each table, in order. `now` is its time of creation.
pub fn workbook(tables: &[Table<'_>], now: DateTime<Utc>) -> Result<Vec<u8>> {
    let mut workbook = Workbook::new();
    let made = ExcelDateTime::from_timestamp(now.timestamp())?;
    workbook.set_properties(&DocProperties::new().set_creation_datetime(&made));
    let (bold, date) = (Format::new().set_bold(), Format::new().set_num_format("yyyy-mm-dd"));
    for (number, table) in (1..).zip(tables) {
        let sheet = workbook.add_worksheet();
        sheet.set_name(format!("Sheet {number}"))?;
        for (column, name) in (0..).zip(COLUMNS) {
            sheet.write_with_format(0, column, name, &bold)?;
        }
        for (number, row) in (1..).zip(table.iter()) {
            let day = ExcelDateTime::parse_from_str(&row.date.to_string())?;
            sheet.write_with_format(number, 0, &day, &date)?;
            sheet.write(number, 1, row.region)?;
            sheet.write(number, 2, row.product)?;
            sheet.write(number, 3, row.units)?;
            // Whole cents of this size are exact.
            sheet.write(number, 4, row.cents as f64 / 100.0)?;
            sheet.write(number, 5, row.comment)?;
        }
    }
    Ok(workbook.save_to_buffer()?)
}

/// A sheet of a dashboard as a document. It has a page for every [`ROWS_ON_A_PAGE`] rows, and at least one.
pub fn document(table: &Table<'_>) -> Result<Vec<u8>> {
    let pages = table.rows.div_ceil(ROWS_ON_A_PAGE).max(1);
    // First come the catalog, the pages' root and the font, then each page with its content.
    let first = 4;
    let kids: String = (0..pages).map(|page| format!("{} 0 R ", first + 2 * page)).collect();
    let mut objects: Vec<Vec<u8>> = vec![
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        format!("<< /Type /Pages /Count {pages} /Kids [ {kids}] >>").into_bytes(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Courier /Encoding /WinAnsiEncoding >>".to_vec(),
    ];
    for page in 0..pages {
        let content = first + 2 * page + 1;
        objects.push(
            format!(
                "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {content} 0 R \
                 /Resources << /Font << /F1 3 0 R >> >> >>"
            )
            .into_bytes(),
        );
        objects.push(page_content(table, page, pages)?);
    }

    let mut pdf = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n".to_vec();
    let mut offsets = Vec::new();
    for (number, object) in (1..).zip(&objects) {
        offsets.push(pdf.len());
        pdf.extend_from_slice(format!("{number} 0 obj\n").as_bytes());
        pdf.extend_from_slice(object);
        pdf.extend_from_slice(b"\nendobj\n");
    }
    let (start, size) = (pdf.len(), objects.len() + 1);
    pdf.extend_from_slice(format!("xref\n0 {size}\n0000000000 65535 f \n").as_bytes());
    for offset in offsets {
        pdf.extend_from_slice(format!("{offset:010} 00000 n \n").as_bytes());
    }
    let trailer = format!("trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n");
    pdf.extend_from_slice(trailer.as_bytes());
    Ok(pdf)
}

/// The stream of a page: one line for each of its rows.
fn page_content(table: &Table<'_>, page: u64, pages: u64) -> Result<Vec<u8>> {
    let mut text = format!(
        "BT /F1 9 Tf 12 TL 40 800 Td (Sales, page {} of {pages}) Tj T* T*\n",
        page + 1
    );
    let rows = page * ROWS_ON_A_PAGE..((page + 1) * ROWS_ON_A_PAGE).min(table.rows);
    for row in rows.map(|number| table.row(number)) {
        let line = format!(
            "{}  {:<20}  {:<16}  {:>4}  {:>12}",
            row.date,
            row.region,
            row.product,
            row.units,
            money(row.cents)
        );
        text.push_str(&format!("({}) Tj T*\n", literal(&line)));
    }
    text.push_str("ET\n");
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    // WinAnsi equals Latin-1 for all texts of these tables.
    let latin: Vec<u8> = text
        .chars()
        .map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?'))
        .collect();
    encoder.write_all(&latin)?;
    let packed = encoder.finish()?;
    let mut stream = format!("<< /Filter /FlateDecode /Length {} >>\nstream\n", packed.len()).into_bytes();
    stream.extend_from_slice(&packed);
    stream.extend_from_slice(b"\nendstream");
    Ok(stream)
}

/// A text in the form of a PDF string in parentheses.
fn literal(text: &str) -> String {
    let escape = |c: char| match c {
        '(' | ')' | '\\' => format!("\\{c}"),
        c => c.to_string(),
    };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: u64) -> Table<'static> {
        Table {
            seed: 1,
            visual: "v",
            rows,
        }
    }

    #[test]
    fn the_same_table_gives_the_same_files() {
        let now = DateTime::UNIX_EPOCH;
        assert_eq!(csv(&table(50), false).unwrap(), csv(&table(50), false).unwrap());
        assert_eq!(document(&table(50)).unwrap(), document(&table(50)).unwrap());
        let workbook = || workbook(&[table(50), table(3)], now).unwrap();
        assert_eq!(workbook(), workbook());
        assert_ne!(
            table(1).row(0),
            Table {
                visual: "w",
                ..table(1)
            }
            .row(0)
        );
    }

    #[test]
    fn csv_has_all_rows_and_a_ragged_one_cannot_be_read() {
        let whole = csv(&table(100), false).unwrap();
        let rows: Result<Vec<_>, _> = csv::Reader::from_reader(whole.as_slice()).records().collect();
        assert_eq!(rows.unwrap().len(), 100);
        let ragged = csv(&table(100), true).unwrap();
        let rows: Result<Vec<_>, _> = csv::Reader::from_reader(ragged.as_slice()).records().collect();
        assert!(rows.is_err());
    }

    #[test]
    fn the_pages_of_a_document_are_where_its_table_says() {
        for (rows, pages) in [(0, 1), (48, 1), (49, 2), (1000, 21)] {
            let pdf = document(&table(rows)).unwrap();
            let text = String::from_utf8_lossy(&pdf);
            assert!(text.contains(&format!("/Count {pages} ")), "{rows}");
            let start: usize = text
                .rsplit("startxref\n")
                .next()
                .and_then(|rest| rest.lines().next())
                .and_then(|number| number.parse().ok())
                .unwrap();
            assert!(pdf[start..].starts_with(b"xref\n"));
        }
    }
}
