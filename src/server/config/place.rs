//! Finds the place of a key in a YAML text, with the parser that read the text: it is run again and made to stumble at
//! the key, and its complaint says where.

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The line, from 1, on which the key at the end of `path` stands; of the nearest one above it when it is missing.
/// Steps into a list are numbers from 0.
pub(crate) fn line(text: &str, path: &[&str]) -> usize {
    place(text, path).0
}

/// The same with the column, from 1.
pub(crate) fn place(text: &str, path: &[&str]) -> (usize, usize) {
    let mut path = path;
    while !path.is_empty() {
        let probe = Probe { path };
        if let Err(error) = probe.deserialize(serde_yaml::Deserializer::from_str(text))
            && error.to_string().contains(STUMBLE)
        {
            return error.location().map_or((1, 1), |location| (location.line(), location.column()));
        }
        path = path.split_last().map_or(&[], |(_, shorter)| shorter);
    }
    (1, 1)
}

/// What the probe says when it has arrived.
const STUMBLE: &str = "gov looks for this line";

struct Probe<'a> {
    path: &'a [&'a str],
}

impl<'de> DeserializeSeed<'de> for Probe<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Probe<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.path.is_empty() { STUMBLE } else { "something with parts" })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((wanted, rest)) = self.path.split_first() else { return Err(A::Error::custom(STUMBLE)) };
        let last = rest.is_empty();
        while let Some(here) = map.next_key_seed(Key { wanted, last })? {
            if here {
                return map.next_value_seed(Probe { path: rest });
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Some((wanted, rest)) = self.path.split_first() else { return Err(A::Error::custom(STUMBLE)) };
        let wanted: usize = wanted.parse().unwrap_or(usize::MAX);
        for _ in 0..wanted {
            if seq.next_element::<IgnoredAny>()?.is_none() {
                return Ok(());
            }
        }
        seq.next_element_seed(Probe { path: rest }).map(|_| ())
    }
}

/// Whether a key is the wanted one; stumbles over it when it is also the last.
struct Key<'a> {
    wanted: &'a str,
    last: bool,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        match key == self.wanted {
            true if self.last => Err(E::custom(STUMBLE)),
            found => Ok(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_where_they_stand() {
        let text = "# a comment\nserver:\n  listen: here\n\nresources:\n  prod-db:\n    url: x\n    labels: {env: prod,\n             \
                    data: pii}\naccess:\n  - who: {group: a}\n    ttl: 1h\n  - who: {group: b}\n    resources: [one,\n      two]\n";
        for (path, expect) in [
            (&["server"][..], 2),
            (&["server", "listen"], 3),
            (&["resources", "prod-db"], 6),
            (&["resources", "prod-db", "url"], 7),
            (&["resources", "prod-db", "labels", "data"], 9),
            (&["access", "0", "ttl"], 12),
            (&["access", "1", "resources"], 14),
            (&["access", "1", "resources", "1"], 15),
            // Missing: the nearest one above.
            (&["server", "url"], 2),
            (&["resources", "prod-db", "labels", "none"], 8),
            (&["access", "7", "ttl"], 10),
            (&["nowhere"], 1),
            (&[], 1),
        ] {
            assert_eq!(line(text, path), expect, "{path:?}");
        }
    }
}
