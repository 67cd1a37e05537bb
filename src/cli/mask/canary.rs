//! Synthetic values that look sensitive, and how they are known again whatever has been done to them.
//!
//! All values of one run carry the same chance-made marks, ten letters or eight digits or a date, so that one search finds
//! any of them. A mark is long enough that nothing else looks like it: eight digits are met by chance once in 10^8 places.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ring::digest;

use super::structure::Column;
use crate::domain::Failure;
use crate::engine::{FREE_TEXT, literal};
use crate::runtime::random;

/// Rows of each table: enough that a table looks like one with contents.
pub(super) const ROWS: u32 = 24;

/// Consonants: no word of any language is met by chance.
const LETTERS: &[u8; 16] = b"bcdfghjkmpqtvwxz";

/// Letters of a mark that are found also without the others: what is left of a value that was cut.
const WINDOW: usize = 7;

/// Fewest letters, digits or numbers in which something written in another way may be hidden.
const RUN_MIN: usize = 6;

/// The marks of one run.
#[derive(Clone, Debug)]
pub(super) struct Marks {
    letters: String,
    /// None is zero, and the first is 1: they stand in numbers, addresses and identifiers alike.
    digits: String,
    /// Year, month and day; never the first of a month, which is what dates are masked as, nor a day that reads as a month.
    date: (u32, u32, u32),
    /// What to look for in text that was folded to letters and digits.
    needles: Vec<(&'static str, String)>,
}

/// What a value is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Letters,
    Digits,
    Date,
}

impl Marks {
    pub(super) fn new() -> Result<Self, Failure> {
        Ok(Self::of(random::bytes::<21>()?))
    }

    fn of(chance: [u8; 21]) -> Self {
        let (letters, rest) = chance.split_at(10);
        let (digits, rest) = rest.split_at(7);
        let letter = |byte: &u8| LETTERS.get(usize::from(byte % 16)).copied().map_or('x', char::from);
        let letters: String = letters.iter().map(letter).collect();
        let digits: String =
            std::iter::once('1').chain(digits.iter().map(|byte| char::from(b'1' + byte % 9))).collect();
        let part = |index: usize, below: u32| u32::from(rest.get(index).copied().unwrap_or(0)) % below;
        let date = (1940 + part(0, 40), 1 + part(1, 12), 13 + part(2, 16));
        let mut marks = Self { letters, digits, date, needles: Vec::new() };
        marks.needles = marks.all_needles();
        marks
    }

    fn all_needles(&self) -> Vec<(&'static str, String)> {
        let (year, month, day) = self.date;
        let rotated: String = self.letters.bytes().map(rotate).collect();
        let whole = [
            ("digits", self.digits.clone()),
            ("date", format!("{year:04}{month:02}{day:02}")),
            ("date", format!("{day:02}{month:02}{year:04}")),
            ("date", format!("{month:02}{day:02}{year:04}")),
            ("rotated letters", rotated),
        ];
        let windows = self.letters.as_bytes().windows(WINDOW);
        let windows = windows.map(|part| ("letters", String::from_utf8_lossy(part).into_owned()));
        let needles: Vec<_> = windows.chain(whole).collect();
        let reversed = needles.iter().map(|(what, text)| {
            let what = if *what == "letters" { "reversed letters" } else { "reversed" };
            (what, text.chars().rev().collect())
        });
        needles.iter().cloned().chain(reversed).collect()
    }

    /// A part of what a value of this mark looks like as text, and one that is in none: a guess that is right, and one
    /// that is wrong, and stands in no mask either: that of a number is mostly zeros.
    pub(super) fn guesses(&self, mark: Mark) -> [String; 2] {
        let (year, month, day) = self.date;
        match mark {
            Mark::Letters => [self.letters.clone(), "aeiouaeiou".to_owned()],
            Mark::Digits => {
                let other = self.digits.bytes().map(|digit| char::from(b'1' + digit.saturating_sub(b'0') % 9));
                [self.digits.clone(), other.collect()]
            }
            // The month alone is what the mask shows.
            Mark::Date => [format!("{year:04}-{month:02}-{day:02}"), "0007-07-07".to_owned()],
        }
    }

    /// What a value that was made of others is known by, if one of the marks is left in it whole.
    pub(super) fn in_text(&self, text: &str) -> Option<Mark> {
        let marks = [Mark::Letters, Mark::Digits, Mark::Date];
        marks.into_iter().find(|mark| self.guesses(*mark).first().is_some_and(|whole| text.contains(whole)))
    }

    /// The value of a column in one row, as SQL, and what it is known by; `None` where a mark has no room.
    pub(super) fn sensitive(&self, column: &Column, entity: &str, row: u32) -> Option<(String, Mark)> {
        let (year, month, day) = self.date;
        let date = format!("{year:04}-{month:02}-{day:02}");
        let number = || format!("{}{row:02}", self.digits);
        let (text, mark) = match column.kind.as_str() {
            "text" | "varchar" | "bpchar" | "citext" | "name" => self.text(entity, column.room, row)?,
            "_text" | "_varchar" | "_bpchar" | "_citext" => {
                let (text, mark) = self.text(entity, column.room, row)?;
                (format!("{{\"{text}\"}}"), mark)
            }
            "json" | "jsonb" => (format!("{{\"email\": \"{}\", \"row\": {row}}}", self.email(row)), Mark::Letters),
            "hstore" => (format!("email=>{}", self.email(row)), Mark::Letters),
            "xml" => (format!("<email>{}</email>", self.email(row)), Mark::Letters),
            "bytea" => (self.email(row), Mark::Letters),
            "date" => (date, Mark::Date),
            "timestamp" | "timestamptz" => (format!("{date} 10:00:00"), Mark::Date),
            "int4" => (format!("{}{}", self.digits, row % 10), Mark::Digits),
            "int8" | "float8" => (number(), Mark::Digits),
            "numeric" => {
                let before = column.room.map_or(u32::MAX, |room| room.saturating_sub(column.scale));
                (
                    if before < 8 {
                        return None;
                    } else if before < 10 {
                        self.digits.clone()
                    } else {
                        number()
                    },
                    Mark::Digits,
                )
            }
            "uuid" => (format!("{}-0000-4000-8000-{row:012}", self.digits), Mark::Digits),
            "inet" | "cidr" => (self.address(row), Mark::Digits),
            "macaddr" => (format!("{}{row:04}", self.digits), Mark::Digits),
            _ => return None,
        };
        Some((literal(&text), mark))
    }

    fn text(&self, entity: &str, room: Option<u32>, row: u32) -> Option<(String, Mark)> {
        let (year, month, day) = self.date;
        let digits = &self.digits;
        let part = |range: std::ops::Range<usize>| digits.get(range).unwrap_or_default();
        let fits = |text: &String| room.is_none_or(|room| text.len() <= room as usize);
        let email = (self.email(row), Mark::Letters);
        let own = match entity {
            // In a text only what looks like something is masked.
            FREE_TEXT => {
                let short = (format!("{}@x.io", self.letters), Mark::Letters);
                let sentence = (format!("please write to {} today", email.0), Mark::Letters);
                return [sentence, email, short].into_iter().find(|(text, _)| fits(text));
            }
            "email" => email,
            "card" => (luhn(&format!("4{digits}{row:06}")), Mark::Digits),
            "phone" => (format!("+447{digits}{:02}", row % 100), Mark::Digits),
            "iban" => (format!("DE44{digits}{row:010}"), Mark::Digits),
            "us_ssn" => (format!("{}-{}-{}{}", part(0..3), part(3..5), part(5..8), row % 10), Mark::Digits),
            "birth_date" => (format!("{year:04}-{month:02}-{day:02}"), Mark::Date),
            "ip_address" | "ipv6_address" => (self.address(row), Mark::Digits),
            _ => (format!("{}-{digits}-{row}", self.letters), Mark::Letters),
        };
        let shorter = [(format!("{}{row:02}", self.letters), Mark::Letters), (digits.clone(), Mark::Digits)];
        std::iter::once(own).chain(shorter).find(|(text, _)| fits(text))
    }

    fn email(&self, row: u32) -> String {
        format!("{}{row}@canary.example", self.letters)
    }

    fn address(&self, row: u32) -> String {
        let (front, back) = self.digits.split_at_checked(4).unwrap_or_default();
        format!("2001:db8:{front}:{back}::{row}")
    }

    /// How a value with one of the marks shows in an answer, if it does. `hashes` are those of whole values.
    pub(super) fn find(&self, heard: &Heard, hashes: &[String]) -> Option<String> {
        let mut hay = vec![("", heard.by_row()), ("column by column", heard.by_column()), ("", heard.talk.clone())];
        let codes: Vec<_> = hay.iter().map(|(how, text)| (*how, codes(text))).collect();
        let decoded: Vec<_> =
            hay.iter().flat_map(|(how, text)| [(*how, unhexed(text)), (*how, unbased(text))]).collect();
        hay.extend(codes);
        hay.extend(decoded);
        for (how, text) in &hay {
            // What a mask shows of a date is none of it, whatever number stands beside it.
            let folded = fold(&self.shown().iter().fold(text.clone(), |text, shown| text.replace(shown, "shown")));
            let found = self.needles.iter().find(|(_, needle)| folded.contains(needle.as_str())).map(|(what, _)| *what);
            let found =
                found.or_else(|| hashes.iter().any(|hash| folded.contains(hash.as_str())).then_some("a bare hash"));
            if let Some(what) = found {
                return Some(if how.is_empty() { what.to_owned() } else { format!("{what}, {how}") });
            }
        }
        heard.cells().any(|cell| self.is_binary(cell)).then(|| "binary".to_owned())
    }

    /// What the mask of the date looks like.
    fn shown(&self) -> [String; 2] {
        let (year, month, _) = self.date;
        [format!("{year:04}-{month:02}-01"), format!("01.{month:02}.{year:04}")]
    }

    /// A number; or a date, which is days since 2000, or microseconds.
    fn is_binary(&self, cell: &[u8]) -> bool {
        let days = days(self.date) - days((2000, 1, 1));
        let number = match (<[u8; 4]>::try_from(cell), <[u8; 8]>::try_from(cell)) {
            (Ok(four), _) => i64::from(i32::from_be_bytes(four)),
            (_, Ok(eight)) => i64::from_be_bytes(eight),
            (Err(_), Err(_)) => return false,
        };
        number.to_string().starts_with(&self.digits) || [number, number.div_euclid(MICROSECONDS)].contains(&days)
    }
}

/// Of a day.
const MICROSECONDS: i64 = 24 * 60 * 60 * 1_000_000;

/// Days from the first of March of year 0 to a date of this calendar.
fn days((year, month, day): (u32, u32, u32)) -> i64 {
    // The year begins in March, so that the day that is added in some years is its last one.
    let (year, month) = if month < 3 { (i64::from(year) - 1, month + 9) } else { (i64::from(year), month - 3) };
    let before = (153 * i64::from(month) + 2) / 5 + i64::from(day) - 1;
    365 * year + year / 4 - year / 100 + year / 400 + before
}

/// Everything that came back from one attempt.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) rows: Vec<Vec<Option<Vec<u8>>>>,
    /// Errors, notices, parameters and COPY data.
    pub(super) talk: String,
}

impl Heard {
    fn cells(&self) -> impl Iterator<Item = &[u8]> {
        self.rows.iter().flatten().flatten().map(Vec::as_slice)
    }

    /// A space between cells: what reads as numbers does not become another one. Folding takes it away.
    fn by_row(&self) -> String {
        self.cells().flat_map(|cell| [String::from_utf8_lossy(cell), " ".into()]).collect()
    }

    fn by_column(&self) -> String {
        let width = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let cells = (0..width).flat_map(|column| self.rows.iter().filter_map(move |row| row.get(column)?.as_deref()));
        cells.flat_map(|cell| [String::from_utf8_lossy(cell), " ".into()]).collect()
    }
}

/// Letters and digits only, in lower case.
fn fold(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect()
}

/// Runs of small numbers, as the characters they stand for.
fn codes(text: &str) -> String {
    let number = |word: &str| word.parse::<u8>().ok().filter(u8::is_ascii_graphic).map(char::from);
    let words = text.split(|letter: char| !letter.is_ascii_digit());
    words.filter(|word| !word.is_empty()).filter_map(number).collect()
}

/// What stands in hexadecimal, in clear.
fn unhexed(text: &str) -> String {
    let mut out = String::new();
    for run in text.split(|letter: char| !letter.is_ascii_hexdigit()).filter(|run| run.len() >= 2 * RUN_MIN) {
        // It may begin with a digit that belongs to something else.
        for start in [0, 1] {
            let digits: Vec<u8> = run
                .bytes()
                .skip(start)
                .filter_map(|byte| char::from(byte).to_digit(16))
                .map(|digit| u8::try_from(digit).unwrap_or(0))
                .collect();
            let bytes = digits.chunks_exact(2).map(|pair| pair.iter().fold(0u8, |sum, digit| (sum << 4) | digit));
            out.extend(bytes.map(char::from).filter(char::is_ascii_graphic));
            out.push(' ');
        }
    }
    out
}

/// What stands in base64, in clear.
fn unbased(text: &str) -> String {
    let is_of_it = |letter: char| letter.is_ascii_alphanumeric() || letter == '+' || letter == '/';
    let runs = text.split(|letter| !is_of_it(letter)).filter(|run| run.len() >= 2 * RUN_MIN);
    let decoded =
        runs.filter_map(|run| STANDARD_NO_PAD.decode(run.get(..run.len() - usize::from(run.len() % 4 == 1))?).ok());
    decoded
        .map(|bytes| bytes.into_iter().map(char::from).filter(char::is_ascii_graphic).collect::<String>() + " ")
        .collect()
}

/// The SHA-256 of a value, in hexadecimal: for values of which there are few, as good as the value.
pub(super) fn hash(value: &str) -> String {
    digest::digest(&digest::SHA256, value.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The letter thirteen places on.
fn rotate(letter: u8) -> char {
    if letter.is_ascii_lowercase() { char::from((letter - b'a' + 13) % 26 + b'a') } else { char::from(letter) }
}

/// The digits with the check digit that makes them a card's (ISO/IEC 7812-1).
fn luhn(digits: &str) -> String {
    let doubled = digits.bytes().rev().enumerate().map(|(index, digit)| {
        let digit = u32::from(digit.saturating_sub(b'0'));
        if index % 2 == 0 { digit * 2 / 10 + digit * 2 % 10 } else { digit }
    });
    format!("{digits}{}", (10 - doubled.sum::<u32>() % 10) % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(cells: &[&str]) -> Heard {
        Heard { rows: cells.iter().map(|cell| vec![Some(cell.as_bytes().to_vec())]).collect(), talk: String::new() }
    }

    #[test]
    fn marks_are_found_however_they_are_written() {
        let marks = Marks::of([7, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
        let letters = marks.letters.clone();
        let digits = marks.digits.clone();
        let (year, month, day) = marks.date;
        let spread: Vec<String> = letters.chars().map(String::from).collect();
        let codes: Vec<String> = letters.bytes().map(|byte| byte.to_string()).collect();
        let hexed: String = letters.bytes().map(|byte| format!("{byte:02x}")).collect();
        for text in [
            letters.to_uppercase(),
            letters.get(1..9).unwrap().to_owned(),
            letters.chars().rev().collect(),
            format!("{}-{}", digits.get(..3).unwrap(), digits.get(3..).unwrap()),
            format!("{day:02}.{month:02}.{year}"),
            base64::engine::general_purpose::STANDARD.encode(format!("to {letters}")),
            format!("\\x{hexed}"),
            codes.join(","),
            letters.bytes().map(rotate).collect(),
        ] {
            assert!(marks.find(&heard(&[&text]), &[]).is_some(), "{text}");
            assert!(marks.find(&Heard { rows: Vec::new(), talk: text.clone() }, &[]).is_some(), "{text}");
        }
        for list in [spread, codes] {
            let cells: Vec<&str> = list.iter().map(String::as_str).collect();
            assert!(marks.find(&heard(&cells), &[]).is_some(), "{list:?}");
        }
        let value = format!("{letters}-{digits}-7");
        assert!(marks.find(&heard(&[&hash(&value)]), &[hash(&value)]).is_some());
        assert!(marks.find(&heard(&["eml_k2j4h5@masked.invalid", "1950-01-01", "+999123", "****1117"]), &[]).is_none());
    }

    #[test]
    fn what_is_shown_of_dates_is_no_mark() {
        let every =
            (0..40u8).flat_map(|year| (0..12u8).flat_map(move |month| (0..16u8).map(move |day| [year, month, day])));
        for part in every {
            let marks = Marks::of([&[3; 17][..], &part, &[0]].concat().try_into().unwrap());
            let (year, month, day) = marks.date;
            let count = |date: &str| heard(&[date, "13", date, &day.to_string(), date, &month.to_string(), date]);
            for date in [format!("{year}-{month:02}-01"), format!("01.{month:02}.{year}")] {
                assert_eq!(marks.find(&count(&date), &[]), None, "{date}");
            }
            assert!(marks.find(&count(&format!("{year}-{month:02}-{day}")), &[]).is_some(), "{day}");
            // Numbers of rows, and dates that are nothing to anybody.
            let rows: Vec<String> = (1..=ROWS).map(|row| row.to_string()).collect();
            let plain: Vec<String> = (1..=ROWS).map(|row| format!("2025-01-{:02}", row % 28 + 1)).collect();
            for column in [rows, plain] {
                let cells: Vec<&str> = column.iter().map(String::as_str).collect();
                assert_eq!(marks.find(&heard(&cells), &[]), None);
            }
        }
    }

    #[test]
    fn a_wrong_guess_is_in_no_mask() {
        let marks = Marks::of([7; 21]);
        let [right, wrong] = marks.guesses(Mark::Digits);
        assert!(right != wrong && right.len() == wrong.len());
        for mask in ["100000000", "10000000000", "1990-05-01", "+99990000000012345"] {
            assert!(!mask.contains(&wrong), "{mask}");
        }
    }

    #[test]
    fn binary_cells_are_read() {
        let marks = Marks { date: (1957, 8, 23), ..Marks::of([9; 21]) };
        let found = |cell: &[u8]| {
            let heard = Heard { rows: vec![vec![Some(cell.to_vec())]], talk: String::new() };
            marks.find(&heard, &[]).is_some()
        };
        // PostgreSQL: SELECT date '1957-08-23' - date '2000-01-01'
        assert!(found(&(-15_471i32).to_be_bytes()));
        assert!(found(&(-15_471i64 * MICROSECONDS + 36_000_000_000).to_be_bytes()));
        assert!(found(&format!("{}7", marks.digits).parse::<i64>().unwrap().to_be_bytes()));
        assert!(!found(&(-15_493i32).to_be_bytes()));
    }

    #[test]
    fn check_digits_are_right() {
        assert_eq!(luhn("411111111111111"), "4111111111111111");
        assert_eq!(luhn("7992739871"), "79927398713");
    }
}
