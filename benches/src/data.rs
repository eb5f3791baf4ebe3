//! Makes the data: customer profiles in each format, the same for the same seed.
//!
//! What must stay true: a row depends only on the seed and its number, so that any part of a file can be written by
//! itself in flat memory. All people are invented. No file holds anything that a reader of the format would have to
//! guess. CSV has quoted commas, quotes and line breaks. JSON lines have a nested object and members that are null.
//! Every column has missing values, so that no reader gets only the easy case.

use std::{
    io::{self, Write},
    ops::Range,
    path::PathBuf,
};

use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// With a header row; quotes only where RFC 4180 asks for them.
    Csv,
    /// One JSON object a line.
    Jsonl,
    /// JSON lines, with each file as one gzip member at level 6.
    JsonlGzip,
    /// Written by pyarrow with zlib, in stripes of 64 MiB.
    Orc,
}

impl Format {
    /// All formats, in the order of the tables.
    pub const ALL: [Self; 4] = [Self::Csv, Self::Jsonl, Self::JsonlGzip, Self::Orc];

    /// The name on the command line and in file names.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
            Self::JsonlGzip => "jsonl-gzip",
            Self::Orc => "orc",
        }
    }

    /// The name that people read.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Csv => "CSV",
            Self::Jsonl => "JSON lines",
            Self::JsonlGzip => "JSON lines, gzip",
            Self::Orc => "ORC",
        }
    }

    /// The suffix of its files.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
            Self::JsonlGzip => "jsonl.gz",
            Self::Orc => "orc",
        }
    }

    /// Whether it is stored as plain text, which needs no inflating.
    #[must_use]
    pub const fn is_plain_text(self) -> bool {
        matches!(self, Self::Csv | Self::Jsonl)
    }

    /// The approximate stored bytes of a row, which turn megabytes into rows.
    #[must_use]
    pub const fn row_bytes(self) -> u64 {
        match self {
            Self::Csv => 209,
            Self::Jsonl => 443,
            Self::JsonlGzip => 90,
            Self::Orc => 64,
        }
    }
}

/// The data of one format in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    pub format: Format,
    /// The folder, which holds nothing else.
    pub folder: PathBuf,
    pub files: Vec<String>,
    /// The rows of all files, without headers.
    pub rows: u64,
    pub stored_bytes: u64,
    /// The inflated bytes, for gzip.
    pub decoded_bytes: Option<u64>,
}

impl Data {
    /// The prefix of the data on the server, with its slash.
    #[must_use]
    pub fn prefix(&self) -> String {
        format!("{}/", self.folder.file_name().unwrap_or_default().to_string_lossy())
    }
}

/// The columns of CSV and ORC. In JSON lines the columns of the address are members of the object `Address`.
pub const COLUMNS: [&str; 20] = [
    "ProfileId",
    "AccountNumber",
    "FirstName",
    "LastName",
    "EmailAddress",
    "PhoneNumber",
    "BirthDate",
    "Address.Address1",
    "Address.City",
    "Address.PostalCode",
    "Address.Country",
    "LoyaltyTier",
    "OptIn",
    "Orders",
    "LifetimeValue",
    "ChurnScore",
    "LastOrderAt",
    "CreatedAt",
    "Products",
    "Note",
];

/// One person.
struct Profile {
    id: u128,
    account: u64,
    first: &'static str,
    last: &'static str,
    email: Option<String>,
    phone: Option<String>,
    birth: Option<(u32, u32, u32)>,
    street: Option<String>,
    city: &'static str,
    postcode: Option<u32>,
    country: &'static str,
    tier: Option<&'static str>,
    opt_in: Option<bool>,
    orders: u32,
    /// In hundredths.
    value: Option<u32>,
    /// In millionths.
    churn: Option<u32>,
    last_order: Option<Moment>,
    created: Moment,
    products: Option<String>,
    note: Option<&'static str>,
}

/// A moment of the years 2015 to 2026.
type Moment = (u32, u32, u32, u32, u32, u32);

const FIRST: &[&str] = &[
    "Anna",
    "José",
    "Zoë",
    "Li",
    "Müesli",
    "Søren",
    "Łukasz",
    "Ana María",
    "John",
    "Mary",
    "Patricia",
    "Robert",
    "Jennifer",
    "Michael",
    "美咲",
    "蓮",
    "Ольга",
    "Дмитрий",
    "Γιώργος",
    "नेहा",
    "محمد",
    "Siobhán",
    "Chloé",
    "Jürgen",
    "Ximena",
    "Noah",
    "Emma",
    "Olivia",
    "Liam",
    "Mateo",
    "Đặng",
    "Ingrid",
];

const LAST: &[&str] = &[
    "Smith",
    "O'Brien",
    "García",
    "Müller",
    "de la Cruz",
    "Nguyễn",
    "Kowalski",
    "佐藤",
    "王",
    "Петров",
    "Papadopoulos",
    "शर्मा",
    "Jørgensen",
    "Dupont",
    "Rossi",
    "Silva",
    "Johnson",
    "Williams",
    "Brown",
    "Jones",
    "Miller",
    "Davis",
    "Rodríguez",
    "Martínez",
    "Hernández",
    "López",
    "Wilson",
    "Anderson",
    "Thomas",
    "Taylor",
    "St. John",
    "Van Dyke",
];

const CITIES: &[(&str, &str)] = &[
    ("Springfield", "US"),
    ("San José", "US"),
    ("Köln", "DE"),
    ("Zürich", "CH"),
    ("São Paulo", "BR"),
    ("東京", "JP"),
    ("Kraków", "PL"),
    ("Malmö", "SE"),
    ("London", "GB"),
    ("L'Aquila", "IT"),
    ("Besançon", "FR"),
    ("Москва", "RU"),
    ("Αθήνα", "GR"),
    ("मुंबई", "IN"),
    ("القاهرة", "EG"),
    ("Ciudad de México", "MX"),
    ("Austin", "US"),
    ("Denver", "US"),
];

const STREETS: &[&str] = &[
    "Main Street",
    "Oak Avenue",
    "Hauptstraße",
    "Rue de l'Église",
    "Via Roma",
    "Calle Mayor",
    "Storgatan",
    "High Road",
    "ul. Długa",
    "Avenida Paulista",
    "Elm Street",
    "2nd Avenue",
];

const TIERS: &[&str] = &["bronze", "silver", "gold", "platinum"];

const PRODUCTS: &[&str] = &[
    "socks",
    "mug",
    "15\" screen",
    "keyboard",
    "gift card",
    "lamp",
    "backpack",
    "bottle",
    "tea",
    "desk mat",
];

const NOTES: &[&str] = &[
    "Prefers e-mail, never call before 10:00",
    "Moved; new address pending",
    "Said: \"I'll think about it\", twice",
    "First line\nsecond line",
    "Returned the order of March, refund was paid on the same day",
    "VIP",
    "Escalated to the regional office, waiting for their answer since Monday",
    "Grüße aus Köln – très satisfait, 次回も希望",
    "Dear Sir or Madam,\r\nplease close my account.\r\nThank you",
    "asks for an invoice with each delivery",
];

impl Profile {
    fn new(seed: u64, number: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let rng = &mut rng;
        let first = pick(rng, FIRST);
        let last = pick(rng, LAST);
        let (city, country) = *CITIES.choose(rng).unwrap_or(&("", ""));
        let mut some = |percent: u32| rng.random_range(0..100) < percent;
        let (has_email, has_phone, has_birth, has_street, has_postcode) =
            (some(88), some(70), some(60), some(75), some(72));
        let (has_tier, has_opt, has_value, has_churn, has_last) = (some(60), some(95), some(80), some(50), some(55));
        let (has_products, has_note) = (some(30), some(18));
        let id = rng.random::<u128>();
        let account = rng.random_range(10_000_000..9_999_999_999);
        let orders = rng.random_range(0u32..60).saturating_sub(20);
        Self {
            id,
            account,
            first,
            last,
            email: has_email.then(|| {
                let host = ["example.com", "mail.example.org", "post.example.net"][(id % 3) as usize];
                format!("user.{account:x}@{host}")
            }),
            phone: has_phone.then(|| {
                let area = rng.random_range(200..999);
                format!("+1 {area}-555-01{:02}", rng.random_range(0..100))
            }),
            birth: has_birth.then(|| {
                (
                    rng.random_range(1935..2008),
                    rng.random_range(1..13),
                    rng.random_range(1..29),
                )
            }),
            street: has_street.then(|| {
                let street = pick(rng, STREETS);
                match rng.random_range(0..4) {
                    0 => format!(
                        "{street} {}, floor {}",
                        rng.random_range(1..200),
                        rng.random_range(1..9)
                    ),
                    _ => format!("{} {street}", rng.random_range(1..2000)),
                }
            }),
            city,
            postcode: has_postcode.then(|| rng.random_range(1_000..99_999)),
            country,
            tier: has_tier.then(|| pick(rng, TIERS)),
            opt_in: has_opt.then(|| rng.random()),
            orders,
            value: has_value.then(|| rng.random_range(0..2_000_000)),
            churn: has_churn.then(|| rng.random_range(0..1_000_000)),
            last_order: has_last.then(|| moment(rng)),
            created: moment(rng),
            products: has_products.then(|| {
                let count = rng.random_range(1..4);
                (0..count).map(|_| pick(rng, PRODUCTS)).collect::<Vec<_>>().join(", ")
            }),
            note: has_note.then(|| pick(rng, NOTES)),
        }
    }

    fn write_csv(&self, out: &mut impl Write) -> io::Result<()> {
        write!(
            out,
            "{:032x},{:010},{},{},",
            self.id, self.account, self.first, self.last
        )?;
        out.write_all(self.email.as_deref().unwrap_or_default().as_bytes())?;
        out.write_all(b",")?;
        out.write_all(self.phone.as_deref().unwrap_or_default().as_bytes())?;
        out.write_all(b",")?;
        if let Some((year, month, day)) = self.birth {
            write!(out, "{year}-{month:02}-{day:02}")?;
        }
        out.write_all(b",")?;
        quoted(out, self.street.as_deref().unwrap_or_default())?;
        write!(out, ",{},", self.city)?;
        if let Some(code) = self.postcode {
            write!(out, "{code:05}")?;
        }
        write!(out, ",{},{},", self.country, self.tier.unwrap_or_default())?;
        out.write_all(match self.opt_in {
            Some(true) => b"true",
            Some(false) => b"false",
            None => b"",
        })?;
        write!(out, ",{},", self.orders)?;
        if let Some(value) = self.value {
            write!(out, "{}.{:02}", value / 100, value % 100)?;
        }
        out.write_all(b",")?;
        if let Some(churn) = self.churn {
            write!(out, "0.{churn:06}")?;
        }
        out.write_all(b",")?;
        if let Some(moment) = self.last_order {
            time(out, moment)?;
        }
        out.write_all(b",")?;
        time(out, self.created)?;
        out.write_all(b",")?;
        quoted(out, self.products.as_deref().unwrap_or_default())?;
        out.write_all(b",")?;
        quoted(out, self.note.unwrap_or_default())?;
        out.write_all(b"\n")
    }

    fn write_jsonl(&self, out: &mut impl Write) -> io::Result<()> {
        write!(
            out,
            r#"{{"ProfileId":"{:032x}","AccountNumber":"{:010}","FirstName":"{}","LastName":"{}""#,
            self.id, self.account, self.first, self.last
        )?;
        member(out, "EmailAddress", self.email.as_deref())?;
        member(out, "PhoneNumber", self.phone.as_deref())?;
        match self.birth {
            Some((year, month, day)) => write!(out, r#","BirthDate":"{year}-{month:02}-{day:02}""#)?,
            None => out.write_all(br#","BirthDate":null"#)?,
        }
        write!(
            out,
            r#","Address":{{"City":"{}","Country":"{}""#,
            self.city, self.country
        )?;
        member(out, "Address1", self.street.as_deref())?;
        if let Some(code) = self.postcode {
            write!(out, r#","PostalCode":"{code:05}""#)?;
        }
        out.write_all(b"}")?;
        member(out, "LoyaltyTier", self.tier)?;
        match self.opt_in {
            Some(opt_in) => write!(out, r#","OptIn":{opt_in}"#)?,
            None => out.write_all(br#","OptIn":null"#)?,
        }
        write!(out, r#","Orders":{}"#, self.orders)?;
        if let Some(value) = self.value {
            write!(out, r#","LifetimeValue":{}.{:02}"#, value / 100, value % 100)?;
        }
        match self.churn {
            Some(churn) => write!(out, r#","ChurnScore":0.{churn:06}"#)?,
            None => out.write_all(br#","ChurnScore":null"#)?,
        }
        if let Some(moment) = self.last_order {
            out.write_all(br#","LastOrderAt":""#)?;
            time(out, moment)?;
            out.write_all(b"\"")?;
        }
        out.write_all(br#","CreatedAt":""#)?;
        time(out, self.created)?;
        out.write_all(b"\"")?;
        member(out, "Products", self.products.as_deref())?;
        member(out, "Note", self.note)?;
        out.write_all(b"}\n")
    }
}

fn pick(rng: &mut StdRng, words: &[&'static str]) -> &'static str {
    words.choose(rng).copied().unwrap_or_default()
}

fn moment(rng: &mut StdRng) -> Moment {
    (
        rng.random_range(2015..2027),
        rng.random_range(1..13),
        rng.random_range(1..29),
        rng.random_range(0..24),
        rng.random_range(0..60),
        rng.random_range(0..60),
    )
}

fn time(out: &mut impl Write, (year, month, day, hour, minute, second): Moment) -> io::Result<()> {
    write!(out, "{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Writes a value of CSV, in quotes if it needs them.
fn quoted(out: &mut impl Write, value: &str) -> io::Result<()> {
    if !value.contains([',', '"', '\n', '\r']) {
        return out.write_all(value.as_bytes());
    }
    write!(out, "\"{}\"", value.replace('"', "\"\""))
}

/// Writes a member with a text, or nothing.
fn member(out: &mut impl Write, name: &str, value: Option<&str>) -> io::Result<()> {
    let Some(value) = value else { return Ok(()) };
    write!(out, r#","{name}":"#)?;
    serde_json::to_writer(out, value).map_err(io::Error::from)
}

/// Writes the rows with these numbers as CSV, with the header row.
///
/// # Errors
/// Those of the writer.
pub fn write_csv(seed: u64, rows: Range<u64>, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}", COLUMNS.join(","))?;
    for number in rows {
        Profile::new(seed, number).write_csv(out)?;
    }
    Ok(())
}

/// Writes the rows with these numbers as JSON lines.
///
/// # Errors
/// Those of the writer.
pub fn write_jsonl(seed: u64, rows: Range<u64>, out: &mut impl Write) -> io::Result<()> {
    for number in rows {
        Profile::new(seed, number).write_jsonl(out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    fn csv(seed: u64, rows: Range<u64>) -> String {
        let mut out = Vec::new();
        write_csv(seed, rows, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn jsonl(seed: u64, rows: Range<u64>) -> String {
        let mut out = Vec::new();
        write_jsonl(seed, rows, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_same_seed_gives_the_same_rows_wherever_a_file_begins() {
        assert_eq!(csv(1, 0..50), csv(1, 0..50));
        assert_ne!(csv(1, 0..50), csv(2, 0..50));
        assert_eq!(jsonl(1, 0..20) + &jsonl(1, 20..50), jsonl(1, 0..50));
        assert_ne!(jsonl(1, 0..50), jsonl(2, 0..50));
    }

    /// Results of different days are only comparable for the same data. Whoever changes the data must raise the version
    /// in `prepare`.
    #[test]
    fn the_generated_data_do_not_change_between_versions() {
        let digest = |text: String| hex::encode(&Sha256::digest(text)[..8]);
        assert_eq!(digest(csv(1, 0..1000)), "8b683bd716c1b762");
        assert_eq!(digest(jsonl(1, 0..1000)), "c1bd6501e8cd7766");
    }

    #[test]
    fn csv_has_quotes_commas_line_breaks_and_empty_values() {
        let text = csv(1, 0..1000);
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        assert_eq!(reader.headers().unwrap(), COLUMNS.as_slice());
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), 1000);
        let has = |what: &dyn Fn(&str) -> bool| rows.iter().any(|row| row.iter().any(what));
        assert!(has(&|value| value.contains(',')));
        assert!(has(&|value| value.contains('"')));
        assert!(has(&|value| value.contains("\r\n")));
        assert!(has(&|value| value.contains('\n') && !value.contains('\r')));
        assert!(has(&str::is_empty));
        assert!(has(&|value| !value.is_ascii()));
    }

    #[test]
    fn json_lines_have_the_members_and_types_that_the_peers_read() {
        let program = include_str!("../python/peers.py");
        for line in jsonl(1, 0..1000).lines() {
            let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
            for (name, value) in &object {
                let kind = match value {
                    serde_json::Value::Object(_) => "[",
                    serde_json::Value::Bool(_) => "\"boolean\"",
                    serde_json::Value::Number(number) if number.is_u64() && name == "Orders" => "\"integer\"",
                    serde_json::Value::Number(_) => "\"number\"",
                    serde_json::Value::Null => "",
                    _ => "\"text\"",
                };
                assert!(program.contains(&format!("(\"{name}\", {kind}")), "{name}: {kind}");
            }
        }
    }
}
