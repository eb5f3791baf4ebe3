//! Invented customer profiles, and the files that an export makes of them.
//!
//! What must stay true: a profile follows from the seed, its number and the size of the segment alone, so that any part
//! of a segment can be written by itself and in memory that does not grow with it. All people are invented: names are put together at
//! random, mail goes to `example.com`, phones are `555-01xx`. Values hold what breaks careless readers: commas,
//! quotes, line breaks, tabs, many scripts, emoji, empty and long texts. Each column of an export has a value in at
//! least one of its profiles, as Customer Profiles exports only such attributes.

use std::{io::Write, ops::Range};

use fake::locales::{AR_SA, CY_GB, DE_DE, Data, EN, FA_IR, FR_FR, IT_IT, JA_JP, NL_NL, PT_BR, TR_TR, ZH_CN, ZH_TW};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Map, Value, json};

use super::orc;

/// A format that Customer Profiles exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataFormat {
    /// With a header row, nested attributes flattened to `Address.City`.
    Csv,
    /// One JSON object a line, nested.
    Jsonl,
    /// Flattened as in CSV; zlib, several stripes where large.
    Orc,
}

impl DataFormat {
    /// Every format, in the order of the model.
    pub const ALL: [Self; 3] = [Self::Csv, Self::Jsonl, Self::Orc];

    /// The value of the model's enum.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Csv => "CSV",
            Self::Jsonl => "JSONL",
            Self::Orc => "ORC",
        }
    }

    /// The format of a value of the model's enum, which is in capitals.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// The end of a file's name. AWS documents none (reference CP1).
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
            Self::Orc => "orc",
        }
    }

    /// A format that is not this one.
    pub(crate) const fn another(self) -> Self {
        match self {
            Self::Csv | Self::Orc => Self::Jsonl,
            Self::Jsonl => Self::Csv,
        }
    }
}

/// The profiles of a segment.
#[derive(Clone, Debug)]
pub struct Profiles {
    seed: u64,
    total: u64,
    columns: Vec<&'static Attribute>,
}

/// One profile: a value, an empty value or none for each column.
pub type Row = Vec<Option<String>>;

impl Profiles {
    /// `total` profiles that follow from `seed`, as do the attributes that they have.
    pub fn new(seed: u64, total: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let columns = ATTRIBUTES
            .iter()
            .filter(|attribute| rng.random_range(0..100) < attribute.used);
        Self {
            seed,
            total,
            columns: columns.collect(),
        }
    }

    /// The attributes that at least one profile has a value of, in the order of a file's columns.
    pub fn columns(&self) -> impl ExactSizeIterator<Item = &'static str> + '_ {
        self.columns.iter().map(|attribute| attribute.name)
    }

    /// The profile with this number, counted from 0.
    pub fn row(&self, number: u64) -> Row {
        let mut person = Person::new(self.seed, number);
        let value = |(column, attribute): (usize, &&'static Attribute)| {
            // Each column has one profile that surely fills it.
            let sure = self.total > 0 && column as u64 % self.total == number;
            if sure || person.chance(attribute.filled) {
                Some((attribute.value)(&mut person))
            } else {
                person.chance(25).then(String::new)
            }
        };
        self.columns.iter().enumerate().map(value).collect()
    }

    /// Writes a file with the profiles of these numbers.
    pub fn write(&self, format: DataFormat, numbers: Range<u64>, out: impl Write) -> anyhow::Result<()> {
        match format {
            DataFormat::Csv => self.write_csv(numbers, true, out),
            DataFormat::Jsonl => self.write_jsonl(numbers, out),
            DataFormat::Orc => self.write_orc(numbers, out),
        }
    }

    /// [`Self::write`] into memory.
    pub fn encode(&self, format: DataFormat, numbers: Range<u64>) -> anyhow::Result<Vec<u8>> {
        let mut file = Vec::new();
        self.write(format, numbers, &mut file)?;
        Ok(file)
    }

    /// A file that ends in the middle: of a row in CSV and JSONL, before the footer in ORC.
    pub(crate) fn encode_truncated(&self, format: DataFormat, numbers: Range<u64>) -> anyhow::Result<Vec<u8>> {
        /// Shorter than the first value of any row.
        const OF_THE_ROW: usize = 16;
        let middle = numbers.start + numbers.end.saturating_sub(numbers.start) / 2;
        if format == DataFormat::Orc || middle >= numbers.end {
            let mut file = self.encode(format, numbers)?;
            file.truncate(file.len() / 2);
            return Ok(file);
        }
        let mut file = self.encode(format, numbers.start..middle)?;
        let mut row = Vec::new();
        match format {
            DataFormat::Csv => self.write_csv(middle..middle + 1, false, &mut row)?,
            DataFormat::Jsonl | DataFormat::Orc => self.write_jsonl(middle..middle + 1, &mut row)?,
        }
        row.truncate(OF_THE_ROW);
        file.extend(row);
        Ok(file)
    }

    // The header row, the flattening and the absence of a null notation are not documented (reference CP4).
    fn write_csv(&self, numbers: Range<u64>, header: bool, out: impl Write) -> anyhow::Result<()> {
        let mut writer = csv::Writer::from_writer(out);
        if header {
            writer.write_record(self.columns())?;
        }
        for number in numbers {
            let row = self.row(number);
            writer.write_record(row.iter().map(|value| value.as_deref().unwrap_or_default()))?;
        }
        writer.flush()?;
        Ok(())
    }

    fn write_jsonl(&self, numbers: Range<u64>, mut out: impl Write) -> anyhow::Result<()> {
        for number in numbers {
            serde_json::to_writer(&mut out, &self.nested(self.row(number)))?;
            out.write_all(b"\n")?;
        }
        Ok(())
    }

    /// A profile in the shape that the API gives it: `Address` and `Attributes` as objects, absent members left out.
    fn nested(&self, row: Row) -> Map<String, Value> {
        let mut profile = Map::new();
        for (name, value) in self.columns().zip(row) {
            let Some(value) = value else { continue };
            match name.split_once('.') {
                Some((outer, inner)) => {
                    let object = profile.entry(outer).or_insert_with(|| Value::Object(Map::new()));
                    if let Value::Object(object) = object {
                        object.insert(inner.to_owned(), Value::String(value));
                    }
                }
                None if name == ENGAGEMENT_PREFERENCES && !value.is_empty() => {
                    let preferences = serde_json::from_str(&value).unwrap_or(Value::String(value));
                    profile.insert(name.to_owned(), preferences);
                }
                None => {
                    profile.insert(name.to_owned(), Value::String(value));
                }
            }
        }
        profile
    }

    fn write_orc(&self, numbers: Range<u64>, out: impl Write) -> anyhow::Result<()> {
        let mut writer = orc::Writer::new(out, self.columns().map(str::to_owned).collect())?;
        for number in numbers {
            let row = self.row(number);
            writer.row(row.iter().map(Option::as_deref))?;
        }
        writer.finish()?;
        Ok(())
    }
}

/// An attribute of a profile.
#[derive(Debug)]
struct Attribute {
    /// As in the standard profile definition; a dot leads into an object.
    name: &'static str,
    /// In how many of 100 seeds it is used.
    used: u8,
    /// How many of 100 profiles have it.
    filled: u8,
    /// A value, never empty.
    value: fn(&mut Person) -> String,
}

const fn attribute(name: &'static str, used: u8, filled: u8, value: fn(&mut Person) -> String) -> Attribute {
    Attribute {
        name,
        used,
        filled,
        value,
    }
}

const ENGAGEMENT_PREFERENCES: &str = "EngagementPreferences";

/// The standard profile, then what a company might have added under `Attributes`.
const ATTRIBUTES: &[Attribute] = &[
    attribute("ProfileId", 100, 100, |p| p.id.clone()),
    attribute("AccountNumber", 100, 80, Person::account),
    attribute("AdditionalInformation", 50, 10, Person::note),
    attribute("PartyTypeString", 70, 90, |p| {
        p.pick(&["INDIVIDUAL", "BUSINESS", "OTHER"])
    }),
    attribute("ProfileType", 60, 100, |p| p.pick(&["PROFILE", "ACCOUNT_PROFILE"])),
    attribute("BusinessName", 70, 20, Person::business),
    attribute("FirstName", 100, 92, |p| p.first.to_owned()),
    attribute("MiddleName", 60, 15, |p| p.pick(p.culture.first)),
    attribute("LastName", 100, 95, |p| p.last.to_owned()),
    attribute("BirthDate", 90, 60, Person::birth_date),
    attribute("GenderString", 80, 50, |p| {
        p.pick(&["FEMALE", "MALE", "UNSPECIFIED", "non-binary"])
    }),
    attribute("PhoneNumber", 100, 70, Person::phone),
    attribute("MobilePhoneNumber", 80, 40, Person::phone),
    attribute("HomePhoneNumber", 50, 10, Person::phone),
    attribute("BusinessPhoneNumber", 60, 10, Person::phone),
    attribute("EmailAddress", 100, 85, Person::email),
    attribute("PersonalEmailAddress", 60, 30, Person::email),
    attribute("BusinessEmailAddress", 60, 15, Person::email),
    attribute("Address.Address1", 95, 70, Person::street),
    attribute("Address.Address2", 80, 20, Person::floor),
    attribute("Address.City", 95, 70, |p| p.pick(p.culture.cities)),
    attribute("Address.State", 60, 30, |p| {
        p.pick(&["CA", "NY", "Genève", "東京都", "São Paulo"])
    }),
    attribute("Address.PostalCode", 95, 70, Person::postcode),
    attribute("Address.Country", 95, 75, |p| p.culture.country.to_owned()),
    attribute("ShippingAddress.Address1", 60, 30, Person::street),
    attribute("ShippingAddress.Address2", 40, 10, Person::floor),
    attribute("ShippingAddress.City", 60, 30, |p| p.pick(p.culture.cities)),
    attribute("ShippingAddress.PostalCode", 60, 30, Person::postcode),
    attribute("ShippingAddress.Country", 60, 30, |p| p.culture.country.to_owned()),
    attribute("BillingAddress.Address1", 40, 20, Person::street),
    attribute("BillingAddress.City", 40, 20, |p| p.pick(p.culture.cities)),
    attribute("BillingAddress.Country", 40, 20, |p| p.culture.country.to_owned()),
    attribute("MailingAddress.Address1", 30, 10, Person::street),
    attribute("MailingAddress.City", 30, 10, |p| p.pick(p.culture.cities)),
    attribute("Attributes.loyalty_tier", 70, 60, |p| {
        p.pick(&["bronze", "silver", "gold", "platinum"])
    }),
    attribute("Attributes.lifetime_value", 60, 80, Person::amount),
    attribute("Attributes.favouriteProducts", 60, 40, Person::products),
    attribute("Attributes.note", 100, 45, Person::note),
    attribute("Attributes.greeting", 100, 40, Person::greeting),
    attribute("Attributes.lastOrder", 50, 30, Person::order),
    attribute("Attributes.survey answer", 100, 5, Person::survey),
    attribute("Attributes.opt_in", 60, 95, |p| p.pick(&["true", "false"])),
    attribute("Attributes.客户等级", 40, 30, |p| p.pick(&["普通", "银卡", "金卡"])),
    attribute(ENGAGEMENT_PREFERENCES, 50, 25, Person::preferences),
    attribute("Attributes.created_at", 80, 100, Person::moment),
];

const EMOJI: &[&str] = &["🎉", "👍🏽", "👩‍👩‍👧‍👦", "🇨🇭", "❤️", "🦀", "🏴󠁧󠁢󠁷󠁬󠁳󠁿"];

/// Values that careless writers and readers get wrong.
const NOTES: &[&str] = &[
    "Prefers e-mail, never call before 10:00",
    "Said: \"I'll think about it\", twice",
    "First line\nsecond line\n\nand one after an empty line",
    "From Windows:\r\nline two, with \"quotes\",\r\nand commas",
    "Tab\tbetween\twords",
    "\"",
    "\"quoted from end to end\"",
    ",",
    "  spaces before and after  ",
    "ends with a backslash \\",
    "C:\\temp\\new",
    "=SUM(A1:A9)",
    "-1",
    "00120",
    "null",
    "NULL",
    "\\N",
    "N/A",
    "{\"json\": [1, 2, {\"in\": \"a value\"}]}",
    "<b>bold</b> &amp; 5 < 6",
    "“Smart quotes” – dashes — and … dots",
    "semi;colon|pipe'apostrophe`backtick",
    "cafe\u{301} with a combining accent, café without",
    "no\u{a0}break space, zero\u{200b}width space, line\u{2028}separator",
    "שלום עולם, mixed with English",
    "नमस्ते दुनिया · สวัสดีชาวโลก · გამარჯობა · Γειά σου Κόσμε",
    "日本語のメモ、改行\nあり",
    "👩🏾‍💻 wrote back 🎉🎉🎉",
];

const PRODUCTS: &[&str] = &[
    "Socks, wool",
    "15\" screen",
    "Crème brûlée set",
    "Gift card (50 €)",
    "お茶",
    "Läufer 2×3 m",
    "Mug \"Boss\"",
];

/// Where somebody lives and how people there are called.
struct Culture {
    country: &'static str,
    hello: &'static str,
    first: &'static [&'static str],
    last: &'static [&'static str],
    cities: &'static [&'static str],
    /// `{}` stands for a name, `#` for a digit.
    street: &'static str,
    postcode: &'static str,
}

const fn culture<L: Data>(
    country: &'static str,
    hello: &'static str,
    cities: &'static [&'static str],
    street: &'static str,
    postcode: &'static str,
) -> Culture {
    Culture {
        country,
        hello,
        first: L::NAME_FIRST_NAME,
        last: L::NAME_LAST_NAME,
        cities,
        street,
        postcode,
    }
}

const CULTURES: &[Culture] = &[
    culture::<EN>(
        "US",
        "Hello",
        &["Springfield", "St. John's", "Winston-Salem"],
        "## {} Street",
        "#####",
    ),
    culture::<EN>(
        "GB",
        "Hello",
        &["Bath", "Stoke-on-Trent"],
        "Flat #, {} House",
        "AB# #CD",
    ),
    culture::<CY_GB>("GB", "Shwmae", &["Caerdydd", "Pwllheli"], "## Heol {}", "CF## #XY"),
    culture::<DE_DE>(
        "DE",
        "Grüß Gott",
        &["Köln", "Gießen", "Frankfurt (Oder)"],
        "{}straße ##",
        "#####",
    ),
    culture::<FR_FR>("FR", "Bonjour", &["L'Haÿ-les-Roses", "Besançon"], "##, rue {}", "#####"),
    culture::<IT_IT>("IT", "Ciao", &["Forlì", "L'Aquila"], "Via {} ##", "#####"),
    culture::<NL_NL>("NL", "Hallo", &["'s-Hertogenbosch", "Den Haag"], "{}laan ##", "#### AB"),
    culture::<PT_BR>("BR", "Olá", &["São Paulo", "Brasília"], "Rua {}, ##", "#####-###"),
    culture::<TR_TR>(
        "TR",
        "Merhaba",
        &["İstanbul", "Diyarbakır"],
        "{} Sokağı No: ##",
        "#####",
    ),
    culture::<AR_SA>("SA", "مرحبا", &["الرياض", "جدة"], "شارع {} ##", "#####"),
    culture::<FA_IR>("IR", "سلام", &["تهران", "شیراز"], "خیابان {} ##", "#####-#####"),
    culture::<JA_JP>(
        "JP",
        "こんにちは",
        &["東京都港区", "札幌市"],
        "{}町#丁目#-##",
        "###-####",
    ),
    culture::<ZH_CN>("CN", "你好", &["北京市", "哈尔滨市"], "{}路##号", "######"),
    culture::<ZH_TW>("TW", "您好", &["臺北市", "高雄市"], "{}街##號", "###"),
    Culture {
        country: "GR",
        hello: "Γειά σου",
        first: &["Ελένη", "Γιώργος", "Σοφία", "Νίκος"],
        last: &["Παπαδόπουλος", "Οικονόμου", "Βλάχου"],
        cities: &["Αθήνα", "Θεσσαλονίκη"],
        street: "Οδός {} ##",
        postcode: "### ##",
    },
    Culture {
        country: "IN",
        hello: "नमस्ते",
        first: &["अनन्या", "आरव", "दीपिका", "விஜய்"],
        last: &["शर्मा", "पटेल", "சுப்பிரமணியம்"],
        cities: &["मुंबई", "बेंगलुरु"],
        street: "##, {} मार्ग",
        postcode: "######",
    },
    Culture {
        country: "KR",
        hello: "안녕하세요",
        first: &["서연", "민준", "지우", "하은"],
        last: &["김", "이", "박", "최"],
        cities: &["서울특별시", "부산광역시"],
        street: "{}로 ##",
        postcode: "#####",
    },
    Culture {
        country: "UA",
        hello: "Привіт",
        first: &["Олена", "Андрій", "Соломія", "В'ячеслав"],
        last: &["Шевченко", "Ковальчук", "Мельник"],
        cities: &["Київ", "Львів"],
        street: "вул. {}, ##",
        postcode: "#####",
    },
];

/// Who a row is about, and the chance that its values come from.
struct Person {
    rng: StdRng,
    number: u64,
    id: String,
    culture: &'static Culture,
    first: &'static str,
    last: &'static str,
}

impl Person {
    fn new(seed: u64, number: u64) -> Self {
        // Each row has its own generator, so that rows can be made in any order. Multiplying by an odd constant
        // spreads neighbouring numbers over all seeds.
        let own = seed ^ number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut rng = StdRng::seed_from_u64(own);
        let id = format!("{:032x}", rng.random::<u128>());
        let culture = &CULTURES[rng.random_range(0..CULTURES.len())];
        let mut person = Self {
            rng,
            number,
            id,
            culture,
            first: "",
            last: "",
        };
        person.first = person.choose(culture.first);
        person.last = person.choose(culture.last);
        person
    }

    fn chance(&mut self, of_100: u8) -> bool {
        self.rng.random_range(0..100) < of_100
    }

    fn below(&mut self, end: u32) -> u32 {
        self.rng.random_range(0..end)
    }

    fn choose(&mut self, from: &'static [&'static str]) -> &'static str {
        from.choose(&mut self.rng).copied().unwrap_or("-")
    }

    fn pick(&mut self, from: &'static [&'static str]) -> String {
        self.choose(from).to_owned()
    }

    /// A text with each `#` replaced by a digit.
    fn digits(&mut self, pattern: &str) -> String {
        let mut digit = |c: char| {
            if c == '#' {
                char::from(b'0' + self.rng.random_range(0..10_u8))
            } else {
                c
            }
        };
        pattern.chars().map(&mut digit).collect()
    }

    fn account(&mut self) -> String {
        // With leading zeros, which a reader that guesses types would drop.
        format!("{:010}", self.number + 1)
    }

    fn business(&mut self) -> String {
        let (one, other) = (self.last, self.choose(self.culture.last));
        match self.below(4) {
            0 => format!("{one}, {other} & Co."),
            1 => format!("\"{one}\" GmbH"),
            2 => format!("{one} {other} Ltd"),
            _ => format!("{one} Inc."),
        }
    }

    fn birth_date(&mut self) -> String {
        format!(
            "{}-{:02}-{:02}",
            1930 + self.below(78),
            1 + self.below(12),
            1 + self.below(28)
        )
    }

    /// 555-0100 to 555-0199 are kept for fiction.
    fn phone(&mut self) -> String {
        self.digits("+1 (2##) 555-01##")
    }

    fn email(&mut self) -> String {
        let latin = |name: &str| -> String { name.chars().filter(char::is_ascii_alphabetic).collect() };
        let domain = self.choose(&["example.com", "example.org", "mail.example.net"]);
        let local = format!("{}.{}", latin(self.first), latin(self.last)).to_lowercase();
        let local = local.trim_matches('.');
        let separator = if local.is_empty() { "user" } else { "+" };
        format!("{local}{separator}{}@{domain}", self.number)
    }

    fn street(&mut self) -> String {
        let name = self.choose(self.culture.last);
        self.digits(self.culture.street).replace("{}", name)
    }

    fn floor(&mut self) -> String {
        let text = self.choose(&[
            "Floor #",
            "c/o \"The Hub\"",
            "Apt. ##, rear building",
            "2º andar",
            "Suite #\nring twice",
        ]);
        self.digits(text)
    }

    fn postcode(&mut self) -> String {
        self.digits(self.culture.postcode)
    }

    fn amount(&mut self) -> String {
        format!("{}.{:02}", self.below(20_000), self.below(100))
    }

    fn greeting(&mut self) -> String {
        let emoji = self.choose(EMOJI);
        format!("{}, {}! {emoji}", self.culture.hello, self.first)
    }

    fn moment(&mut self) -> String {
        format!(
            "20{:02}-{:02}-{:02}T{:02}:{:02}:00Z",
            10 + self.below(15),
            1 + self.below(12),
            1 + self.below(28),
            self.below(24),
            self.below(60)
        )
    }

    fn note(&mut self) -> String {
        self.pick(NOTES)
    }

    fn products(&mut self) -> String {
        let count = 1 + self.below(3);
        let products: Vec<&str> = (0..count).map(|_| self.choose(PRODUCTS)).collect();
        products.join(", ")
    }

    fn order(&mut self) -> String {
        json!({"id": self.digits("A-####"), "item": self.choose(PRODUCTS), "total": self.amount()}).to_string()
    }

    /// A long text: up to some 8,000 characters.
    fn survey(&mut self) -> String {
        let count = 1 + self.below(200);
        let sentences: Vec<&str> = (0..count).map(|_| self.choose(NOTES)).collect();
        sentences.join(" ")
    }

    fn preferences(&mut self) -> String {
        let key = |value: String| json!({"KeyName": "_profileId", "KeyValue": value, "ProfileId": self.id});
        json!({"Phone": [key(self.id.clone())], "Email": [key(self.id.clone())]}).to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use arrow::array::{Array, ArrayRef, AsArray, RecordBatchReader};
    use bytes::Bytes;
    use orc_rust::ArrowReaderBuilder;

    use super::*;

    fn from_csv(file: &[u8]) -> (Vec<String>, Vec<Vec<String>>) {
        let mut reader = csv::Reader::from_reader(file);
        let header = reader.headers().unwrap().iter().map(str::to_owned).collect();
        let rows = reader
            .records()
            .map(|row| row.unwrap().iter().map(str::to_owned).collect())
            .collect();
        (header, rows)
    }

    fn from_orc(file: Vec<u8>) -> (Vec<String>, Vec<Row>) {
        let reader = ArrowReaderBuilder::try_new(Bytes::from(file)).unwrap().build();
        let header = reader.schema().fields().iter().map(|f| f.name().clone()).collect();
        let mut rows = Vec::new();
        for batch in reader {
            let batch = batch.unwrap();
            for i in 0..batch.num_rows() {
                let value = |column: &ArrayRef| {
                    let column = column.as_string::<i32>();
                    column.is_valid(i).then(|| column.value(i).to_owned())
                };
                rows.push(batch.columns().iter().map(value).collect());
            }
        }
        (header, rows)
    }

    #[test]
    fn every_format_decodes_to_the_same_profiles() {
        let profiles = Profiles::new(7, 2500);
        let rows: Vec<Row> = (100..2400).map(|number| profiles.row(number)).collect();
        let header: Vec<&str> = profiles.columns().collect();

        let (csv_header, csv_rows) = from_csv(&profiles.encode(DataFormat::Csv, 100..2400).unwrap());
        assert_eq!(csv_header, header);
        let flat: Vec<Vec<String>> = rows
            .iter()
            .map(|row| row.iter().map(|value| value.clone().unwrap_or_default()).collect())
            .collect();
        assert_eq!(csv_rows, flat);

        let (orc_header, orc_rows) = from_orc(profiles.encode(DataFormat::Orc, 100..2400).unwrap());
        assert_eq!(orc_header, header);
        assert_eq!(orc_rows, rows);

        let jsonl = String::from_utf8(profiles.encode(DataFormat::Jsonl, 100..2400).unwrap()).unwrap();
        assert_eq!(jsonl.matches('\n').count(), rows.len());
        for (line, row) in jsonl.split('\n').zip(&rows) {
            let profile: Value = serde_json::from_str(line).unwrap();
            for (name, value) in header.iter().zip(row) {
                let pointer = format!("/{}", name.replacen('.', "/", 1));
                match (profile.pointer(&pointer), value) {
                    (Some(Value::String(found)), Some(value)) => assert_eq!(found, value),
                    (Some(found @ Value::Object(_)), Some(value)) => assert_eq!(found.to_string(), *value),
                    (None, None) => {}
                    other => panic!("{name}: {other:?}"),
                }
            }
        }
    }

    #[test]
    fn every_column_has_a_value_in_some_profile() {
        for (seed, total) in [(0, 1), (1, 2), (2, 7), (3, 100), (4, 1000)] {
            let profiles = Profiles::new(seed, total);
            let mut missing: BTreeSet<&str> = profiles.columns().collect();
            for number in 0..total {
                for (name, value) in profiles.columns().zip(profiles.row(number)) {
                    if value.is_some_and(|value| !value.is_empty()) {
                        missing.remove(name);
                    }
                }
            }
            assert!(missing.is_empty(), "seed {seed}, {total} profiles: {missing:?}");
        }
    }

    #[test]
    fn columns_vary_with_the_seed_and_nothing_else() {
        let columns = |seed, total| Profiles::new(seed, total).columns().collect::<Vec<_>>();
        let sets: BTreeSet<_> = (0..20).map(|seed| columns(seed, 10)).collect();
        assert!(sets.len() > 15);
        assert_eq!(columns(3, 10), columns(3, 100_000));
        for set in sets {
            assert_eq!(set[0], "ProfileId", "the value that a truncated row ends in");
            assert!(set.len() > 12);
        }
        let names: BTreeSet<_> = ATTRIBUTES.iter().map(|attribute| attribute.name).collect();
        assert_eq!(names.len(), ATTRIBUTES.len());
        assert!(names.iter().all(|name| name.matches('.').count() <= 1));
    }

    #[test]
    fn a_profile_follows_from_seed_and_number() {
        let profiles = Profiles::new(11, 50);
        assert_eq!(profiles.row(17), Profiles::new(11, 50).row(17));
        assert_ne!(profiles.row(17), profiles.row(18));
        assert_ne!(profiles.row(17)[0], Profiles::new(12, 50).row(17)[0]);
        let ids: BTreeSet<_> = (0..5000).map(|number| profiles.row(number).swap_remove(0)).collect();
        assert_eq!(ids.len(), 5000);
    }

    #[test]
    fn people_are_invented_and_values_are_awkward() {
        let profiles = Profiles::new(0, 3000);
        let mut all = String::new();
        let (mut none, mut empty, mut longest) = (0, 0, 0);
        let phone = regex::Regex::new(r"^\+1 \(2\d\d\) 555-01\d\d$").unwrap();
        let mail = regex::Regex::new(r"^[a-z.]*(\+|user)[0-9]+@([a-z]+\.)?example\.(com|org|net)$").unwrap();
        for number in 0..3000 {
            for (name, value) in profiles.columns().zip(profiles.row(number)) {
                match value {
                    None => none += 1,
                    Some(value) if value.is_empty() => empty += 1,
                    Some(value) => {
                        assert!(!name.contains("Phone") || phone.is_match(&value), "{value}");
                        assert!(!name.contains("Email") || mail.is_match(&value), "{value}");
                        longest = longest.max(value.chars().count());
                        all.push_str(&value);
                    }
                }
            }
        }
        assert!(none > 0 && empty > 0 && longest > 2000, "{none} {empty} {longest}");
        for awkward in [
            ",",
            "\"",
            "\n",
            "\r\n",
            "\t",
            "\\",
            "é",
            "ß",
            "Ω",
            "東",
            "你",
            "안",
            "ש",
            "م",
            "न",
            "ї",
            "🎉",
            "👩‍👩‍👧‍👦",
        ] {
            let present = all.contains(awkward) || awkward == "Ω" && all.contains('Θ');
            assert!(present, "{awkward:?}");
        }
    }

    #[test]
    fn a_truncated_file_is_one() {
        let profiles = Profiles::new(5, 40);
        for numbers in [0..40, 0..1, 39..40, 10..13] {
            let csv = profiles.encode_truncated(DataFormat::Csv, numbers.clone()).unwrap();
            assert!(
                csv::Reader::from_reader(csv.as_slice())
                    .records()
                    .any(|row| row.is_err())
            );
            let jsonl = profiles.encode_truncated(DataFormat::Jsonl, numbers.clone()).unwrap();
            let mut values = serde_json::Deserializer::from_slice(&jsonl).into_iter::<Value>();
            assert!(values.any(|value| value.is_err_and(|error| error.is_eof())));
            let orc = profiles.encode_truncated(DataFormat::Orc, numbers.clone()).unwrap();
            assert!(orc.starts_with(b"ORC"));
            assert!(ArrowReaderBuilder::try_new(Bytes::from(orc)).is_err());
        }
        for format in DataFormat::ALL {
            profiles.encode_truncated(format, 0..0).unwrap();
        }
    }

    #[test]
    fn no_profiles_make_a_file_without_rows() {
        let profiles = Profiles::new(5, 0);
        let (header, rows) = from_csv(&profiles.encode(DataFormat::Csv, 0..0).unwrap());
        assert!(header.len() > 12 && rows.is_empty());
        assert!(profiles.encode(DataFormat::Jsonl, 0..0).unwrap().is_empty());
        let (_, rows) = from_orc(profiles.encode(DataFormat::Orc, 0..0).unwrap());
        assert!(rows.is_empty());
    }

    #[test]
    fn formats_go_by_the_names_of_the_model() {
        for format in DataFormat::ALL {
            assert_eq!(DataFormat::from_name(format.name()), Some(format));
            assert_eq!(format.extension(), format.name().to_lowercase());
            assert_ne!(format.another(), format);
        }
        assert_eq!(DataFormat::from_name("csv"), None);
    }
}
