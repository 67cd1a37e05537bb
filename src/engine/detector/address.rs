//! Knows postal addresses: a number, and a word for a street.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use super::{Detector, Form, Likeness, Method, Sight};

pub(super) struct Address;

impl Detector for Address {
    fn name(&self) -> &'static str {
        "address"
    }

    fn summary(&self) -> &'static str {
        "postal addresses"
    }

    fn method(&self) -> Method {
        Method::Pseudonym(Form::Word)
    }

    fn sight(&self) -> Sight {
        Sight::Cell(look)
    }

    fn claims(&self) -> &'static [&'static str] {
        &[
            "address",
            "addresses",
            "addr",
            "street",
            "street address",
            "streetaddress",
            "home address",
            "work address",
            "address line",
            "addr line",
            "mailing address",
            "postal address",
            "billing address",
            "shipping address",
            "delivery address",
            "residential address",
            "residence",
            "street name",
            "strasse",
            "straße",
            "str nr",
            "adresse",
            "anschrift",
            "direccion",
            "domicilio",
            "endereco",
            "logradouro",
            "indirizzo",
            "adres",
            "adresa",
            "gatuadress",
            "adress",
            "gateadresse",
            "osoite",
            "ulica",
            "rue",
            "calle",
            "rua",
            "strada",
            "street 1",
            "bill addr",
            "ship addr",
            "house number",
            "hausnummer",
            "str addr",
        ]
    }

    fn hints(&self) -> &'static [&'static str] {
        &["location", "via", "str", "line 1", "line 2"]
    }
}

/// Whether a word in lower case means a street, or ends as one that does.
pub(super) fn is_street(word: &str) -> bool {
    static WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| STREETS.iter().copied().collect());
    static BY_LAST: LazyLock<HashMap<Option<u8>, Vec<&str>>> = LazyLock::new(|| {
        let mut all: HashMap<_, Vec<_>> = HashMap::new();
        ENDINGS.iter().for_each(|ending| all.entry(ending.bytes().next_back()).or_default().push(*ending));
        all
    });
    let endings = BY_LAST.get(&word.bytes().next_back());
    WORDS.contains(word)
        || endings.into_iter().flatten().any(|ending| word.len() > ending.len() && word.ends_with(ending))
}

fn look(text: &str) -> Likeness {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let fits = (6..=LENGTH_MAX).contains(&text.len()) && (1..=14).contains(&digits);
    if !fits || text.bytes().any(|byte| matches!(byte, b'@' | b'{' | b'}' | b'_' | b'=' | b'<')) {
        return Likeness::No;
    }
    let folded = text.to_lowercase();
    let words = || folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    // A house number is short, and may have a letter.
    let house = words().any(|word| {
        let number = word.trim_end_matches(|c: char| c.is_ascii_lowercase());
        (1..=5).contains(&number.len())
            && word.len() - number.len() <= 1
            && number.bytes().all(|byte| byte.is_ascii_digit())
    });
    let letters = words().filter(|word| word.chars().all(char::is_alphabetic)).count();
    if !house || letters == 0 {
        return Likeness::No;
    }
    let is_shaped = text.contains([',', '\n'])
        || text.starts_with(|c: char| c.is_ascii_digit())
        || text.ends_with(|c: char| c.is_ascii_digit());
    match (words().any(is_street), is_shaped && text.contains(' ')) {
        (true, _) => Likeness::Certain,
        (false, true) => Likeness::Possible,
        (false, false) => Likeness::No,
    }
}

/// Longest text that is taken for an address, in bytes.
const LENGTH_MAX: usize = 200;

/// Words for streets and what stands in addresses, in the languages addresses are written in.
const STREETS: &[&str] = &[
    "street",
    "st",
    "avenue",
    "ave",
    "road",
    "rd",
    "lane",
    "ln",
    "drive",
    "dr",
    "boulevard",
    "blvd",
    "court",
    "ct",
    "place",
    "pl",
    "square",
    "sq",
    "terrace",
    "way",
    "parkway",
    "pkwy",
    "highway",
    "hwy",
    "circle",
    "cir",
    "trail",
    "trl",
    "apt",
    "suite",
    "unit",
    "box",
    "close",
    "crescent",
    "mews",
    "row",
    "walk",
    "rue",
    "allée",
    "allee",
    "chemin",
    "impasse",
    "quai",
    "calle",
    "avenida",
    "av",
    "avda",
    "paseo",
    "plaza",
    "carrer",
    "camino",
    "ronda",
    "cuesta",
    "via",
    "viale",
    "piazza",
    "corso",
    "largo",
    "vicolo",
    "contrada",
    "strada",
    "rotonda",
    "stretto",
    "incrocio",
    "canale",
    "borgo",
    "rua",
    "travessa",
    "praça",
    "alameda",
    "rodovia",
    "ulica",
    "ul",
    "aleja",
    "al",
    "plac",
    "osiedle",
    "straße",
    "strasse",
    "str",
    "weg",
    "platz",
    "gasse",
    "ring",
    "ufer",
    "damm",
    "gatan",
    "gata",
    "gate",
    "gaten",
    "vägen",
    "väg",
    "veien",
    "vei",
    "vej",
    "gade",
    "stræde",
    "stien",
    "tie",
    "katu",
    "polku",
    "laan",
    "straat",
    "plein",
    "singel",
    "gracht",
    "dreef",
    "steeg",
    "улица",
    "ул",
    "проспект",
    "пр",
    "переулок",
    "пер",
    "шоссе",
    "бульвар",
    "набережная",
    "наб",
    "вулиця",
    "вул",
    "sokak",
    "sok",
    "caddesi",
    "cad",
    "mahallesi",
    "bulvarı",
    "丁目",
    "番地",
    "路",
    "街",
    "号",
    "privada",
    "callejón",
    "prolongación",
    "boulevard",
    "calzada",
    "circuito",
    "eje",
    "retorno",
    "viaduto",
    "vila",
    "área",
    "campo",
    "colônia",
    "condomínio",
    "conjunto",
    "distrito",
    "esplanada",
    "estação",
    "estrada",
    "favela",
    "fazenda",
    "feira",
    "jardim",
    "ladeira",
    "lago",
    "lagoa",
    "loteamento",
    "morro",
    "núcleo",
    "parque",
    "passarela",
    "pátio",
    "quadra",
    "recanto",
    "residencial",
    "setor",
    "sítio",
    "trecho",
    "trevo",
    "vale",
    "vereda",
    "viela",
    "ulice",
    "náměstí",
    "třída",
    "pass",
    "pike",
    "ridge",
    "run",
    "spur",
    "springs",
    "stravenue",
    "throughway",
    "track",
    "trace",
    "turnpike",
    "valley",
    "view",
    "village",
    "ville",
    "vista",
    "walks",
    "well",
    "wells",
    "bridge",
    "brook",
    "bypass",
    "cliff",
    "common",
    "corner",
    "course",
    "cove",
    "creek",
    "crossing",
    "crossroad",
    "curve",
    "dale",
    "dam",
    "divide",
    "estate",
    "expressway",
    "extension",
    "fall",
    "falls",
    "ferry",
    "field",
    "fields",
    "flat",
    "flats",
    "ford",
    "forest",
    "forge",
    "fork",
    "fort",
    "freeway",
    "garden",
    "gardens",
    "gateway",
    "glen",
    "green",
    "grove",
    "harbor",
    "haven",
    "heights",
    "hill",
    "hills",
    "hollow",
    "inlet",
    "island",
    "isle",
    "junction",
    "key",
    "knoll",
    "lake",
    "land",
    "landing",
    "light",
    "loaf",
    "lock",
    "lodge",
    "loop",
    "mall",
    "manor",
    "meadow",
    "mill",
    "mission",
    "motorway",
    "mount",
    "mountain",
    "neck",
    "orchard",
    "oval",
    "overpass",
    "park",
    "passage",
    "path",
    "pine",
    "plain",
    "point",
    "port",
    "prairie",
    "radial",
    "ramp",
    "ranch",
    "rapid",
    "rest",
    "river",
    "route",
    "shoal",
    "shore",
    "skyway",
    "spring",
    "station",
    "stream",
    "summit",
    "tunnel",
    "union",
    "viaduct",
];

/// How words for streets end where they are written in one.
const ENDINGS: &[&str] = &[
    "straße", "strasse", "str", "weg", "gasse", "platz", "allee", "ring", "gatan", "vägen", "veien", "vegen", "gaten",
    "vej", "gade", "straat", "laan", "plein", "gracht", "singel", "katu", "tie", "polku", "kuja", "sokağı", "caddesi",
    "stien", "ufer", "damm", "hof", "kade", "dijk", "pad", "dreef", "steeg", "haven", "gränd", "stigen", "stræde",
    "alléen", "bakken", "parken", "allén", "backen", "torget",
];

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&Address, "12 Main Street, Springfield", Likeness::Certain);
        check(&Address, "Hauptstraße 7b", Likeness::Certain);
        check(&Address, "Calle de Alcalá 42, 28014 Madrid", Likeness::Certain);
        check(&Address, "12, Blorp", Likeness::Possible);
        check(&Address, "Main Street", Likeness::No);
        check(&Address, "2026-01-01 12:30", Likeness::No);
    }
}
