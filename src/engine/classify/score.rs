//! Puts what a column's name, type, comment and values say together.
//!
//! Evidence is added up as log-odds: a name that says `email` is worth about as much as three values that cannot be
//! anything else, and values that are nothing of the kind take it back.

use std::collections::BTreeSet;

use super::name::{self, Claim};
use super::{FREE_TEXT, Finding};
use crate::engine::detector::{self, DETECTORS, Detector, Likeness, Method, Sight};

/// A column and what was seen of it.
#[derive(Clone, Debug)]
pub(crate) struct Sampled<'a> {
    pub(crate) table: &'a str,
    pub(crate) name: &'a str,
    pub(crate) kind: Kind,
    pub(crate) comment: Option<&'a str>,
    /// Values that are not NULL, as text.
    pub(crate) values: Vec<&'a str>,
    /// The places, in the relation, of the columns that it is computed from.
    pub(crate) made_of: Vec<usize>,
}

/// What values of a column's type can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Number,
    /// Days, with or without a time of day.
    Date,
    Uuid,
    /// `inet` and `cidr`
    Address,
    /// `macaddr`
    Hardware,
    /// `bytea`
    Bytes,
    /// json, xml, arrays, rows: the values are within.
    Container,
    /// Times of day, flags, fixed sets: nothing that names a person, but a diagnosis is one whatever it is kept as.
    Other,
}

/// What the columns of a relation hold, in their order.
pub(crate) fn relation(columns: &[Sampled<'_>]) -> Vec<Option<Finding>> {
    let seen: Vec<Seen> = columns.iter().map(|column| Seen::of(&column.values, column.kind)).collect();
    let mut findings: Vec<_> = columns.iter().zip(&seen).map(|(column, seen)| finding(column, seen, 0.0)).collect();
    // Where one column is about a person, another that may be is.
    let about_persons = |finding: &Option<Finding>| {
        finding.as_ref().is_some_and(|finding| finding.confidence > 0.9 && finding.entity != FREE_TEXT)
    };
    if findings.iter().any(about_persons) {
        for ((column, seen), finding) in columns.iter().zip(&seen).zip(&mut findings) {
            if finding.as_ref().is_none_or(|finding| finding.entity == FREE_TEXT) {
                *finding = self::finding(column, seen, COMPANY);
            }
        }
    }
    // What is made of sensitive values is as sensitive, whatever it looks like, unless it tells hardly any of them apart.
    // One generated column is never made of another.
    for (index, column) in columns.iter().enumerate().filter(|(_, column)| column.kind != Kind::Other) {
        let sources = column.made_of.iter().filter_map(|source| Some((columns.get(*source)?, findings.get(*source)?)));
        let is_text = matches!(column.kind, Kind::Text | Kind::Container | Kind::Bytes);
        let telling = sources.filter(|(source, found)| {
            // Numbers of a text count something in it.
            let counts = !is_text && found.as_ref().is_some_and(|found| found.entity == FREE_TEXT);
            !counts && !is_coarser(&column.values, &source.values)
        });
        let made = made(telling.filter_map(|(source, found)| Some((source.name, found.as_ref()?))));
        if let (Some(made), Some(finding)) = (made, findings.get_mut(index))
            && finding.as_ref().is_none_or(|finding| finding.entity == FREE_TEXT)
        {
            *finding = Some(made);
        }
    }
    findings
}

/// What is made of columns that hold this. Of two kinds of values nobody knows which shows.
fn made<'f>(sources: impl Iterator<Item = (&'f str, &'f Finding)>) -> Option<Finding> {
    sources.map(|(name, found)| Finding { evidence: format!("made of `{name}`"), ..found.clone() }).reduce(
        |one, other| match (one.entity.as_str(), other.entity.as_str()) {
            (FREE_TEXT, _) => other,
            (_, FREE_TEXT) => one,
            (first, second) if first == second => one,
            (_, _) => {
                Finding { entity: SECRET.to_owned(), evidence: format!("{}, {}", one.evidence, other.evidence), ..one }
            }
        },
    )
}

/// Whether values tell so few of others apart that they are not about one each: a domain, a year, a length.
fn is_coarser(values: &[&str], others: &[&str]) -> bool {
    let distinct = |values: &[&str]| values.iter().collect::<BTreeSet<_>>().len();
    !values.is_empty() && distinct(values) * ALIKE < distinct(others)
}

/// So many values of others that look alike are a group.
const ALIKE: usize = 10;

/// The entity of which nothing stays.
const SECRET: &str = "secret";

/// Before anything is known: about one column in a hundred holds any given entity.
const PRIOR: f64 = -4.5;

/// What it is worth that another column of the table is about a person.
const COMPANY: f64 = 1.0;

/// What a comment is worth.
const COMMENT: f64 = 3.0;

/// Values count as this many at most: those of one column come from one hand.
const VALUES_MAX: f64 = 8.0;

/// Fewest values from which anything follows.
const VALUES_MIN: usize = 3;

fn finding(column: &Sampled<'_>, seen: &Seen, company: f64) -> Option<Finding> {
    let claims = name::claims(column.table, column.name);
    let spoken = column.comment.map(name::spoken_of).unwrap_or_default();
    let of_things = name::is_of_things(column.name);
    let mut best: Option<(f64, usize)> = None;
    for (place, entity) in DETECTORS.iter().enumerate() {
        let claim = claims.iter().find(|(claimed, _)| *claimed == place).map(|(_, claim)| *claim);
        let worth = claim.map_or(0.0, worth) + if spoken.contains(&place) { COMMENT } else { 0.0 };
        let Some(kind) = fits(*entity, column.kind, worth) else { continue };
        let values = seen.worth(place, *entity, claim >= Some(Claim::Ends));
        // What numbers things is not a number of persons because its check digits hold.
        let things = matches!(entity.sight(), Sight::Digits { .. } | Sight::Word { .. }) && worth <= 0.0 && of_things;
        let values = if things { values.min(0.0) } else { values };
        let company = if matches!(entity.sight(), Sight::Cell(_)) { company } else { 0.0 };
        let score = PRIOR + worth + kind + values + company;
        // A claim decides between two that see the same in the values.
        if best.is_none_or(|(most, _)| score > most) {
            best = Some((score, place));
        }
    }
    let confidence = |score: f64| ((1.0 / (1.0 + (-score).exp())).min(0.99) * 100.0).round() / 100.0;
    if let Some((score, place)) = best.filter(|(score, _)| *score >= 0.0) {
        let entity = DETECTORS.get(place)?;
        let claimed = claims.iter().any(|(claimed, _)| *claimed == place);
        let evidence = evidence(column, seen, place, claimed, spoken.contains(&place));
        return Some(Finding { entity: entity.name().to_owned(), confidence: confidence(score), evidence });
    }
    free_text(column, seen)
}

fn worth(claim: Claim) -> f64 {
    match claim {
        Claim::Names => 7.0,
        Claim::Ends => 6.5,
        Claim::Hints => 2.0,
        Claim::Mentions => 0.5,
    }
}

/// Whether values of a type can be of an entity, and what the type says for it.
fn fits(entity: &dyn Detector, kind: Kind, worth: f64) -> Option<f64> {
    let name = entity.name();
    let fits = match kind {
        Kind::Text => true,
        // Numbers are only what their name says, and check digits.
        Kind::Number => match entity.sight() {
            Sight::Digits { .. } => worth > 2.0 || entity.is_checked(),
            Sight::Nowhere => worth > 2.0 && name != "birth_date" && name != "health",
            Sight::Word { .. } | Sight::Text { .. } | Sight::Cell(_) => false,
        },
        Kind::Date => name == "birth_date",
        Kind::Uuid | Kind::Bytes => name == "secret" && worth > 6.0,
        Kind::Address => matches!(name, "ip_address"),
        Kind::Hardware => name == "mac_address",
        Kind::Other => name == "health" && worth > 6.0,
        Kind::Container => false,
    };
    let certain = matches!(kind, Kind::Address | Kind::Hardware);
    fits.then_some(if certain { 6.0 } else { 0.0 })
}

/// What the values of a column look like.
#[derive(Debug)]
struct Seen {
    count: usize,
    /// Values by detector and likeness: possible, likely, certain.
    likeness: Vec<[usize; 3]>,
    /// All values are dates as people are born on them.
    births: bool,
    /// Few different values, again and again.
    repeats: bool,
    /// Texts with something in them.
    holding: usize,
    /// Texts as people write them.
    sentences: usize,
    /// Texts of more than one word.
    phrases: usize,
}

impl Seen {
    fn of(values: &[&str], kind: Kind) -> Self {
        let values: Vec<&str> = values.iter().copied().filter(|value| !value.trim().is_empty()).collect();
        let mut likeness = vec![[0; 3]; DETECTORS.len()];
        let mut holding = 0;
        let mut found = Vec::new();
        let secret = DETECTORS.iter().position(|entity| entity.name() == "secret");
        for value in &values {
            let mut secrecy = None;
            detector::each(value, |place, looks| {
                let level = match looks {
                    Likeness::No => return,
                    // Check digits hold by chance only in one of ten.
                    Likeness::Possible if DETECTORS.get(place).is_some_and(|entity| entity.is_checked()) => 1,
                    Likeness::Possible => 0,
                    Likeness::Likely => 1,
                    Likeness::Certain => 2,
                };
                if let Some(count) = likeness.get_mut(place).and_then(|counts| counts.get_mut(level)) {
                    *count += 1;
                }
                let is_secret = DETECTORS.get(place).is_some_and(|entity| entity.method() == Method::Redact);
                secrecy = secrecy.max(is_secret.then_some(level).filter(|_| Some(place) != secret));
            });
            // Tokens of several services in one column are secrets together.
            if let Some(count) = secret.zip(secrecy).and_then(|(place, level)| likeness.get_mut(place)?.get_mut(level))
            {
                *count += 1;
            }
            if matches!(kind, Kind::Text | Kind::Container) {
                // Alone in its cell a number with good check digits may be any number.
                let alone = value.split_ascii_whitespace().count() < WORDS_MIN && !value.contains(['{', '[', '<', '=']);
                detector::scan(value, if alone { Likeness::Certain } else { Likeness::Likely }, &mut found);
                holding += usize::from(!found.is_empty());
            }
        }
        let mut distinct = values.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let repeats = values.len() >= 10 && distinct.len() * 5 <= values.len();
        let sentences = values.iter().filter(|value| is_sentence(value)).count();
        let phrases = values.iter().filter(|value| value.trim().contains(char::is_whitespace)).count();
        Self { count: values.len(), likeness, births: births(&values), repeats, holding, sentences, phrases }
    }

    /// Whether people write into the column as they like. What is sensitive stands in few rows of such a column, and a
    /// sample need not have one of them.
    fn is_prose(&self, name: &str) -> bool {
        let written = percent(self.sentences, self.count) >= SENTENCES_MIN;
        let named = self.phrases > 0 && name::is_of_texts(name);
        self.count >= VALUES_MIN && !self.repeats && (written || named)
    }

    fn looks(&self, place: usize) -> [usize; 3] {
        self.likeness.get(place).copied().unwrap_or_default()
    }

    /// What the values say for an entity.
    #[expect(clippy::cast_precision_loss, reason = "a sample has a few hundred values")]
    fn worth(&self, place: usize, entity: &dyn Detector, claimed: bool) -> f64 {
        if entity.name() == "birth_date" {
            return if self.births { 6.0 } else { 0.0 };
        }
        if self.count < VALUES_MIN {
            return 0.0;
        }
        if matches!(entity.sight(), Sight::Nowhere) {
            return if self.repeats { -2.0 } else { 0.0 };
        }
        let [possible, likely, certain] = self.looks(place).map(|count| count as f64);
        let all = self.count as f64;
        let no = (all - possible - likely - certain).max(0.0);
        // Logarithms of how much more often values of the entity look so than others do.
        let perhaps = if matches!(entity.sight(), Sight::Cell(_)) { 0.6 } else { 0.3 };
        let sum = certain * 3.4 + likely * 1.6 - possible * perhaps - no * 2.7;
        let worth = (sum / all * all.min(VALUES_MAX)).clamp(-8.0, 9.0);
        // Test data has wrong check digits and names nobody has; an address without an `@` is none.
        let least = match (claimed, entity.sight()) {
            // What is called a password's hash is one, also in a form that nobody has seen before.
            (true, Sight::Text { .. }) if entity.method() == Method::Redact => -2.0,
            (true, Sight::Text { .. }) => -6.0,
            (true, _) if self.repeats => -4.0,
            (true, _) => -2.0,
            (false, _) => -8.0,
        };
        worth.max(least)
    }
}

/// Fewest words of a text.
const WORDS_MIN: usize = 3;

/// Share of a column's values, in percent, that make it one of texts when they are sentences.
const SENTENCES_MIN: usize = 20;

/// Whether a text is more than a name or a code: several words, most of which begin with a small letter.
fn is_sentence(text: &str) -> bool {
    let words = text.split_ascii_whitespace().count();
    let small =
        text.split_ascii_whitespace().filter(|word| word.chars().next().is_some_and(char::is_lowercase)).count();
    words > WORDS_MIN && small * 2 >= words
}

/// Whether these are dates on which people who live were born: none recent, many years, some long ago.
fn births(values: &[&str]) -> bool {
    let year = |value: &&str| {
        let is_date =
            value.len() == 10 && value.as_bytes().get(4) == Some(&b'-') && value.as_bytes().get(7) == Some(&b'-');
        value.get(..4).filter(|_| is_date)?.parse::<u32>().ok()
    };
    let years: Option<Vec<u32>> = values.iter().map(year).collect();
    let Some(mut years) = years.filter(|years| years.len() >= 8) else { return false };
    years.sort_unstable();
    let spans = matches!((years.first(), years.last()), (Some(1905..=1985), Some(1970..=2016)));
    years.dedup();
    spans && years.len() >= 8
}

/// A column of texts: what stands in them is masked where it stands.
fn free_text(column: &Sampled<'_>, seen: &Seen) -> Option<Finding> {
    let share = percent(seen.holding, seen.count);
    let evidence = match column.kind {
        Kind::Container => {
            format!("values within are looked at one by one; {share} % of {} hold something", seen.count)
        }
        Kind::Text if seen.holding > 0 => format!("{share} % of {} values hold something", seen.count),
        Kind::Text if seen.is_prose(column.name) => {
            format!("texts as people write them; none of {} values holds anything", seen.count)
        }
        Kind::Text
        | Kind::Number
        | Kind::Date
        | Kind::Uuid
        | Kind::Address
        | Kind::Hardware
        | Kind::Bytes
        | Kind::Other => return None,
    };
    Some(Finding { entity: FREE_TEXT.to_owned(), confidence: 0.9, evidence })
}

fn evidence(column: &Sampled<'_>, seen: &Seen, place: usize, claimed: bool, spoken: bool) -> String {
    let mut reasons = Vec::new();
    if claimed {
        reasons.push(format!("name `{}`", column.name));
    }
    if spoken {
        reasons.push("comment".to_owned());
    }
    match column.kind {
        Kind::Address | Kind::Hardware => reasons.push("type".to_owned()),
        Kind::Text | Kind::Number | Kind::Date | Kind::Uuid | Kind::Bytes | Kind::Container | Kind::Other => {}
    }
    let [_, likely, certain] = seen.looks(place);
    let entity = DETECTORS.get(place).copied();
    let share = percent(likely + certain, seen.count);
    if likely + certain > 0 {
        let how = match entity.map(|entity| (entity.is_checked(), entity.sight())) {
            Some((true, _)) => "have good check digits",
            Some((_, Sight::Cell(_))) => "read like it",
            _ => "have its form",
        };
        reasons.push(format!("{share} % of {} values {how}", seen.count));
    } else if entity.is_some_and(|entity| entity.name() == "birth_date") && seen.births {
        reasons.push(format!("{} dates as people are born on", seen.count));
    } else if seen.count > 0 {
        reasons.push(format!("{} values do not contradict", seen.count));
    } else {
        reasons.push("no values yet".to_owned());
    }
    reasons.join("; ")
}

fn percent(part: usize, whole: usize) -> usize {
    (part * 100).checked_div(whole).unwrap_or(0)
}
