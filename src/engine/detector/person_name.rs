//! Knows names of persons: words with capitals of which some are known as given names or surnames.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::{Detector, Form, Likeness, Method, Sight};

pub(super) struct PersonName;

impl Detector for PersonName {
    fn name(&self) -> &'static str {
        "person_name"
    }

    fn summary(&self) -> &'static str {
        "names of persons"
    }

    fn method(&self) -> Method {
        Method::Pseudonym(Form::Word)
    }

    fn sight(&self) -> Sight {
        Sight::Cell(look)
    }

    fn claims(&self) -> &'static [&'static str] {
        &[
            "full name",
            "fullname",
            "full nm",
            "first name",
            "firstname",
            "first nm",
            "fname",
            "f name",
            "fst name",
            "fst nm",
            "last name",
            "lastname",
            "last nm",
            "lname",
            "l name",
            "lst nm",
            "surname",
            "given name",
            "givenname",
            "given names",
            "family name",
            "familyname",
            "middle name",
            "middlename",
            "mname",
            "maiden name",
            "birth name",
            "legal name person",
            "forename",
            "nombre completo",
            "apellido",
            "apellidos",
            "primer apellido",
            "segundo apellido",
            "prenom",
            "nom famille",
            "nom complet",
            "vorname",
            "nachname",
            "familienname",
            "geburtsname",
            "nome completo",
            "sobrenome",
            "cognome",
            "achternaam",
            "voornaam",
            "fornavn",
            "etternavn",
            "efternavn",
            "fornamn",
            "efternamn",
            "etunimi",
            "sukunimi",
            "imie",
            "nazwisko",
            "cardholder",
            "cardholder name",
            "card holder",
            "card holder name",
            "holder name",
            "contact name",
            "contact person",
            "customer name",
            "cust name",
            "cust nm",
            "client name",
            "patient name",
            "employee name",
            "emp name",
            "emp nm",
            "person name",
            "owner name",
            "account holder",
            "account holder name",
            "recipient name",
            "sender name",
            "beneficiary name",
            "student name",
            "teacher name",
            "doctor name",
            "member name",
            "guest name",
            "passenger name",
            "driver name",
            "applicant name",
            "candidate name",
            "signer name",
            "author name",
            "emergency contact name",
            "next of kin",
            "mother maiden name",
            "mothers maiden name",
            "spouse name",
            "father name",
            "mother name",
            "kundenname",
            "nom client",
            "nombre cliente",
            "nome cliente",
            "buyer name",
            "seller name",
            "subscriber name",
            "tenant name person",
            "billing name",
            "shipping name",
            "attendee name",
            "real name",
        ]
    }

    fn hints(&self) -> &'static [&'static str] {
        &[
            "name",
            "names",
            "nombre",
            "nom",
            "nome",
            "navn",
            "namn",
            "naam",
            "nimi",
            "display name",
            "displayname",
            "contact",
            "author",
            "owner",
            "assignee",
            "nm",
            "customer",
            "employee",
            "patient",
            "recipient",
            "beneficiary",
            "holder",
            "sender",
            "dname",
        ]
    }
}

fn look(text: &str) -> Likeness {
    if !(2..=LENGTH_MAX).contains(&text.len())
        || text.bytes().any(|byte| byte.is_ascii_digit() || b"@_/:;&=".contains(&byte))
    {
        return Likeness::No;
    }
    if text.chars().all(is_ideograph) {
        return ideographs(text);
    }
    let (mut words, mut given, mut family, mut known) = (0, 0, 0, 0);
    for word in text.split([' ', '\u{a0}', ',', '.']).filter(|word| !word.is_empty()) {
        if PARTICLES.contains(&word) || TITLES.contains(&word) {
            continue;
        }
        words += 1;
        let before = given + family;
        for part in word.split('-') {
            // O'Brien and D'Angelo are one word.
            let starts = part.chars().next().is_some_and(char::is_uppercase);
            let letters = part.chars().all(|letter| letter.is_alphabetic() || matches!(letter, '\'' | '’'));
            if !starts || !letters || COMPANIES.contains(&part) {
                return Likeness::No;
            }
            let folded = fold(part);
            given += u32::from(GIVEN.contains(folded.as_str()));
            family += u32::from(FAMILY.contains(folded.as_str()));
        }
        known += u32::from(given + family > before);
    }
    // Of a product's three words one is sometimes a name.
    match (words, given, known) {
        (2, 1.., _) | (3..=5, 1.., 2..) => Likeness::Certain,
        (2, 0, 1..) | (3..=5, _, 1..) => Likeness::Likely,
        (1, _, 1..) if !text.contains('-') => Likeness::Likely,
        (1..=4, _, _) => Likeness::Possible,
        (_, _, _) => Likeness::No,
    }
}

/// Whether a word is known as a given name.
pub(in crate::engine) fn is_given(word: &str) -> bool {
    GIVEN.contains(fold(word).as_str())
}

/// Longest text that is taken for a name, in bytes.
const LENGTH_MAX: usize = 80;

/// In lower case, without accents where the lists have none.
pub(super) fn fold(word: &str) -> String {
    word.chars().flat_map(char::to_lowercase).filter(|letter| letter.is_alphabetic()).collect()
}

/// Names of persons around the world, a line each.
pub(super) static GIVEN: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| include_str!("given_names.txt").lines().collect());
pub(super) static FAMILY: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| include_str!("surnames.txt").lines().collect());

const TITLES: &[&str] = &[
    "Mr", "Mrs", "Ms", "Miss", "Dr", "Prof", "Herr", "Frau", "Sr", "Sra", "Srta", "Jr", "II", "III", "IV", "MD", "PhD",
    "DDS", "DVM", "M", "Mme", "Mlle", "Sig", "Dott", "Dipl", "Ing", "Univ", "Mag", "BA", "MA", "B", "A", "Sc", "MBA",
    "Hr", "Fr", "Lic", "Don", "Doña",
];

const PARTICLES: &[&str] = &[
    "van", "von", "der", "den", "de", "del", "della", "di", "da", "dos", "das", "do", "la", "le", "bin", "al", "el",
    "ter", "ten", "zu", "y", "e", "af", "av", "und",
];

/// Words in names of companies and places that are written like names of persons.
const COMPANIES: &[&str] = &[
    "Inc",
    "Ltd",
    "LLC",
    "GmbH",
    "AG",
    "KG",
    "SA",
    "SAS",
    "SARL",
    "SRL",
    "SpA",
    "PLC",
    "Group",
    "Corp",
    "Corporation",
    "Company",
    "Co",
    "Bank",
    "Sons",
    "Partners",
    "Holding",
    "Holdings",
    "Industries",
    "Systems",
    "Solutions",
    "Services",
    "Technologies",
    "Consulting",
    "Labs",
    "Store",
    "Shop",
    "Street",
    "Avenue",
    "Road",
    "City",
    "County",
    "University",
    "School",
    "AB",
    "AS",
    "Oy",
    "BV",
    "NV",
    "KGaA",
    "Ltda",
    "ApS",
    "OHG",
    "eG",
    "Associates",
    "Bros",
    "Brothers",
    "Foundation",
    "Institute",
    "North",
    "South",
    "East",
    "West",
    "Port",
    "Lake",
    "New",
    "Saint",
    "St",
    "San",
    "Santa",
];

/// Letters of which a name has two to four.
fn is_ideograph(letter: char) -> bool {
    matches!(letter, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | ' ' | '\u{3005}')
}

/// Names in Chinese, Japanese and Korean begin with a surname, and few surnames are most of them.
fn ideographs(text: &str) -> Likeness {
    const SURNAMES: &str = "王李张張刘劉陈陳杨楊赵趙黄黃周吴吳徐孙孫胡朱高林何郭马馬罗羅梁宋郑鄭谢謝韩韓唐冯馮于董萧程曹袁邓鄧许許傅沈曾彭吕呂苏蘇卢盧蒋蔣蔡贾賈丁魏薛叶葉阎余潘杜戴夏钟鍾汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文\
        佐鈴高田渡伊山中小加吉林清池橋阿石前藤岡後近村青坂西福太三遠岩松原木井野김이박최정강조윤장임한오서신권황안송전홍유고문양손배백허남심노하곽성차주우구민류나진지엄";
    let count = text.chars().filter(|letter| *letter != ' ').count();
    let known = text.chars().next().is_some_and(|first| SURNAMES.contains(first));
    match (count, known) {
        (2..=6, true) => Likeness::Certain,
        (2..=6, false) => Likeness::Possible,
        (_, _) => Likeness::No,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&PersonName, "Maria Hopper", Likeness::Certain);
        check(&PersonName, "Prof. Dr. Maria von Braun", Likeness::Certain);
        check(&PersonName, "Smith", Likeness::Likely);
        check(&PersonName, "Smith and Sons", Likeness::No);
        check(&PersonName, "Maria Bakery GmbH", Likeness::No);
        check(&PersonName, "maria", Likeness::No);
        check(&PersonName, "Blorp Zibble", Likeness::Possible);
        check(&PersonName, "王小明", Likeness::Certain);
        check(&PersonName, "Room 12", Likeness::No);
    }
}
