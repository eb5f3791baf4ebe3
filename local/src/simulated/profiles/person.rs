//! The person of a profile: invented people of many cultures, and their attributes.
//!
//! What must stay true: a person follows from the seed and its number alone.

use fake::locales::{AR_SA, CY_GB, DE_DE, Data, EN, FA_IR, FR_FR, IT_IT, JA_JP, NL_NL, PT_BR, TR_TR, ZH_CN, ZH_TW};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::json;

/// An attribute of a profile.
#[derive(Debug)]
pub(super) struct Attribute {
    /// As in the standard profile definition; a dot leads into an object.
    pub(super) name: &'static str,
    /// In how many of 100 seeds it is used.
    pub(super) used: u8,
    /// How many of 100 profiles have it.
    pub(super) filled: u8,
    /// A value, never empty.
    pub(super) value: fn(&mut Person) -> String,
}

const fn attribute(name: &'static str, used: u8, filled: u8, value: fn(&mut Person) -> String) -> Attribute {
    Attribute {
        name,
        used,
        filled,
        value,
    }
}

pub(super) const ENGAGEMENT_PREFERENCES: &str = "EngagementPreferences";

/// The standard profile, then what a company might have added under `Attributes`.
pub(super) const ATTRIBUTES: &[Attribute] = &[
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

/// A country or region, and how people there are called.
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

/// The person of a row, and the random numbers that its values come from.
pub(super) struct Person {
    rng: StdRng,
    number: u64,
    id: String,
    culture: &'static Culture,
    first: &'static str,
    last: &'static str,
}

impl Person {
    pub(super) fn new(seed: u64, number: u64) -> Self {
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

    pub(super) fn chance(&mut self, of_100: u8) -> bool {
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
        // With leading zeros. A reader that guesses types would drop them.
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

    /// The numbers 555-0100 to 555-0199 are reserved for fiction.
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
