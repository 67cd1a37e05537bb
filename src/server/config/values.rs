//! Kinds of values in `gov.yaml`, and how each is read.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed as _, Deserializer, MapAccess, Visitor};
use thiserror::Error;

use crate::domain::Duration;

/// What is wrong with a value.
#[derive(Debug, Error)]
enum Complaint {
    #[error("`{text}`: {why}")]
    Refused { text: String, why: String },
    #[error("`{0}` is not a length of time: write for example `15m` or `1h30m`")]
    NotALength(String),
    #[error("`{0}` is not an amount of data: write for example `500KiB` or `10MiB`")]
    NotASize(String),
    #[error("`{0}` stands here twice")]
    Twice(String),
}

/// Reads a text and makes a value of it, complaining while the parser still stands on the text: that is what gives
/// the complaint its line.
struct FromText<F>(F);

impl<'de, T, F: FnOnce(&str) -> Result<T, Complaint>> de::DeserializeSeed<'de> for FromText<F> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<T, F: FnOnce(&str) -> Result<T, Complaint>> Visitor<'_> for FromText<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).map_err(E::custom)
    }
}

fn parsed<T: FromStr<Err: fmt::Display>>(text: &str) -> Result<T, Complaint> {
    text.parse().map_err(|error: T::Err| Complaint::Refused { text: text.to_owned(), why: error.to_string() })
}

/// A value given as text and parsed by its own rules.
pub(super) struct Parsed<T>(pub(super) T);

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Parsed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        FromText(parsed).deserialize(deserializer).map(Self)
    }
}

/// A length of time such as `90s`, `15m`, `1h30m`.
#[derive(Clone, Copy)]
pub(super) struct Length(pub(super) Duration);

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = |text: &str| {
            let found = crate::domain::parse_duration(text).filter(|length| !length.is_zero());
            found.map(Self).ok_or_else(|| Complaint::NotALength(text.to_owned()))
        };
        FromText(read).deserialize(deserializer)
    }
}

/// An amount of data such as `500KiB` or `10MiB`, in bytes.
#[derive(Clone, Copy)]
pub(super) struct Size(pub(super) u64);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = |text: &str| size(text).map(Self).ok_or_else(|| Complaint::NotASize(text.to_owned()));
        FromText(read).deserialize(deserializer)
    }
}

fn size(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.find(|c: char| !c.is_ascii_digit())?)?;
    let unit: u64 = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit).filter(|size| *size > 0)
}

/// A text, or a number or truth as it is written: claims are all of these, and nobody remembers which.
#[derive(Deserialize)]
#[serde(from = "Scalar")]
pub(super) struct Plain(pub(super) String);

#[derive(Deserialize)]
#[serde(untagged, expecting = "a text, a whole number, `true` or `false`")]
enum Scalar {
    Truth(bool),
    Number(u64),
    Text(String),
}

impl From<Scalar> for Plain {
    fn from(scalar: Scalar) -> Self {
        Self(match scalar {
            Scalar::Truth(truth) => truth.to_string(),
            Scalar::Number(number) => number.to_string(),
            Scalar::Text(text) => text,
        })
    }
}

/// One value, or a list of them.
pub(super) struct OneOrMany<T>(pub(super) Vec<T>);

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Reader<T> {
            type Value = OneOrMany<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one value or a list")
            }

            fn visit_str<E: de::Error>(self, one: &str) -> Result<OneOrMany<T>, E> {
                T::deserialize(de::value::StrDeserializer::new(one)).map(|one| OneOrMany(vec![one]))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<OneOrMany<T>, A::Error> {
                let mut out = Vec::new();
                while let Some(next) = seq.next_element()? {
                    out.push(next);
                }
                Ok(OneOrMany(out))
            }
        }

        deserializer.deserialize_any(Reader(PhantomData))
    }
}

/// A map in which no key stands twice: of two definitions one would silently lose.
pub(super) struct Unique<K, V>(pub(super) BTreeMap<K, V>);

impl<K, V> Default for Unique<K, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<'de, K, V> Deserialize<'de> for Unique<K, V>
where
    K: FromStr<Err: fmt::Display> + Ord + fmt::Display,
    V: Deserialize<'de>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<K, V>(PhantomData<(K, V)>);

        impl<'de, K, V> Visitor<'de> for Reader<K, V>
        where
            K: FromStr<Err: fmt::Display> + Ord + fmt::Display,
            V: Deserialize<'de>,
        {
            type Value = Unique<K, V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of names with their settings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique<K, V>, A::Error> {
                let mut out = BTreeMap::new();
                loop {
                    let fresh = |text: &str| {
                        let key = parsed::<K>(text)?;
                        if out.contains_key(&key) { Err(Complaint::Twice(key.to_string())) } else { Ok(key) }
                    };
                    let Some(key) = map.next_key_seed(FromText(fresh))? else { break };
                    out.insert(key, map.next_value()?);
                }
                Ok(Unique(out))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Unique<K, V>, E> {
                Ok(Unique::default())
            }
        }

        deserializer.deserialize_any(Reader(PhantomData))
    }
}

/// Why a word was refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a {0} has 1 to 63 of a-z, 0-9, `-`, `_` and `.`")]
pub(crate) struct BadWord(&'static str);

macro_rules! word {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(PartialEq, Eq, PartialOrd, Ord)]
        pub(super) struct $name(pub(super) String);

        impl FromStr for $name {
            type Err = BadWord;

            fn from_str(text: &str) -> Result<Self, BadWord> {
                let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.');
                let fine = !text.is_empty() && text.len() <= 63 && text.bytes().all(fits);
                fine.then(|| Self(text.to_owned())).ok_or(BadWord($what))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

word!(
    /// The name of a label.
    LabelName,
    "label"
);
word!(
    /// The name of a user of the built-in issuer.
    UserName,
    "user"
);
