//! Keyed pseudonyms: equal for equal values of one kind under one key, and recognised when they come back.
//!
//! A pseudonym is ten characters from the value and four that only the key's holder can make for those ten. The four are
//! why masking a masked value changes nothing, and why a masked value that is written back is noticed. No value of the
//! outside has the form of a pseudonym: the domain, the country code and the leading words exist nowhere else.
//!
//! Numbers have pseudonyms where their type has room ([`NUMERAL`]). There, two of `n` values share one with a chance of
//! about `n²/2` in 10^12, or in 10^9 where there is least room: among a million values of a `bigint` in every other
//! database two are taken for one. A pseudonym of ten letters is one of 2^50, and of a telephone number one of 10^9.

use std::fmt;
use std::ops::RangeInclusive;

use ring::hmac;

use super::MaskKey;
use super::hash::{BLOCK, Begun, Last, Start, put};
use super::number::{read_numeric, read_uuid};
use crate::engine::detector::{self, Detector, Form, Method};

/// Domain of masked addresses. `.invalid` never exists (RFC 2606).
const DOMAIN: &str = "@masked.invalid";

/// Prefix of masked telephone numbers: 999 is kept free by the ITU, no country has it.
const PHONE: &str = "+999";

/// Characters from the value.
const NAME_LENGTH: usize = 10;

/// Characters that prove it.
const TAG_LENGTH: usize = 4;

/// Digits from the value in a telephone number, and of the proof: E.164 allows 15 in all.
const PHONE_NAME: u64 = 1_000_000_000;
const PHONE_NAME_DIGITS: usize = 9;
const PHONE_TAG: u64 = 1_000;
const PHONE_TAG_DIGITS: usize = 3;
const PHONE_DIGITS: usize = PHONE_NAME_DIGITS + PHONE_TAG_DIGITS;

/// The first digits of masked numbers. No telephone number begins so (E.164: 888 is given to no country), no payment card
/// (ISO/IEC 7812: no issuer is known by 88), and no number of a person that is as long.
const NUMBER: &str = "888";

/// Digits of masked numbers: as many as a telephone number can have at least, as many as `bigint` has at most. Of what
/// follows the first three a quarter proves the rest. With fewer digits either other numbers would pass for pseudonyms, and
/// go out as they are, or different values would often have the same.
pub(super) const NUMERAL: RangeInclusive<usize> = 15..=19;

/// What of a number's end is shown stands at the end of its pseudonym, where the number has twice as many digits.
pub(super) const SHOWN: usize = 4;

/// Letters and digits that are not mistaken for each other (Crockford's base 32).
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// What stands in the middle of every UUID that is a pseudonym, from this character on, of so many.
const UUID_MIDDLE: &str = "-8000-0000";
const UUID_MIDDLE_AT: usize = 18;
const UUID_TEXT: usize = 36;

/// Makes pseudonyms under one key.
///
/// What a pseudonym is made of is 64 of the 256 bits of SHA-256 over a secret block, what the number is for, the entity and
/// the value. That is AMAC with truncation: as hard to tell from chance as SHA-256's compression function is, in the
/// cascade whose output is cut (Bellare, Bernstein, Tessaro, "Hash-Function Based PRFs: AMAC and Its Multi-User Security",
/// EUROCRYPT 2016). To go on from a message to a longer one takes the 192 bits that nobody sees. HMAC hides them with a
/// second hash, and costs twice as much; databases that mask have nothing but SHA-256 either.
#[derive(Clone)]
pub(super) struct Pseudonyms {
    /// SHA-256 that has read the secret block: each number begins from here.
    begun: Begun,
}

impl fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pseudonyms(***)")
    }
}

/// The secret block of a key: it is as long as what SHA-256 reads at a time, so that it is read once and for all.
pub(super) fn block(key: &MaskKey) -> [u8; BLOCK] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.0.expose());
    let halves = [1, 2].map(|half| hmac::sign(&key, &[b"gov pseudonyms ".as_slice(), &[half]].concat()));
    let mut block = [0; BLOCK];
    block.iter_mut().zip(halves.iter().flat_map(|half| half.as_ref())).for_each(|(to, from)| *to = *from);
    block
}

impl Pseudonyms {
    pub(super) fn new(key: &MaskKey) -> Self {
        Self { begun: Begun::new(&block(key)) }
    }

    /// Writes the pseudonym of `value` in so many characters; false when it does not fit.
    pub(super) fn write(
        &self,
        entity: &'static dyn Detector,
        form: Form,
        value: &[u8],
        room: usize,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(gap) = Gap::leave(entity, form, room, out) else { return false };
        let named = gap.write_name(self.number(Use::Name, entity.name(), value), out);
        gap.write_tag(self.number(Use::Tag, entity.name(), named.bytes()), out);
        true
    }

    /// Whether a text is a pseudonym that was made with this key, of whatever entity.
    pub(super) fn made(&self, text: &str) -> bool {
        if let Some(token) = text.strip_suffix(DOMAIN) {
            return detector::DETECTORS
                .iter()
                .filter(|entity| entity.method() == Method::Pseudonym(Form::Email))
                .any(|entity| self.is_token(*entity, token));
        }
        if let Some(digits) = text.strip_prefix(PHONE).filter(|digits| digits.len() == PHONE_DIGITS) {
            let Ok(number) = digits.parse::<u64>() else { return false };
            let (name, tag) = (number / PHONE_TAG, number % PHONE_TAG);
            return detector::DETECTORS
                .iter()
                .filter(|entity| entity.method() == Method::Pseudonym(Form::Phone))
                .any(|entity| self.number(Use::Tag, entity.name(), &name.to_be_bytes()) % PHONE_TAG == tag);
        }
        let token = text.len().checked_sub(NAME_LENGTH + TAG_LENGTH).and_then(|at| text.split_at_checked(at));
        let Some((name, token)) = token.and_then(|(name, token)| Some((name.strip_suffix('_')?, token))) else {
            return false;
        };
        !token.contains('_') && detector::named(name).is_some_and(|entity| self.is_token(entity, token))
    }

    /// Whether a pseudonym that was made with this key stands anywhere in a value: in text, or as the bytes of a UUID.
    pub(super) fn stand_in(&self, value: &[u8]) -> bool {
        let before = |at: usize, length: usize| value.get(at.checked_sub(length)?..at);
        let token_length = NAME_LENGTH + TAG_LENGTH;
        let mut emails = memchr::memmem::find_iter(value, DOMAIN);
        let mut phones = memchr::memmem::find_iter(value, PHONE);
        let mut uuids = memchr::memmem::find_iter(value, UUID_MIDDLE);
        emails.any(|at| self.made(text_of(value.get(at.saturating_sub(token_length)..at + DOMAIN.len()))))
            || phones.any(|at| self.made(text_of(value.get(at..at + PHONE.len() + PHONE_DIGITS))))
            || memchr::memchr_iter(b'_', value).any(|at| {
                let token = text_of(value.get(at + 1..at + 1 + token_length));
                let is_token = !token.is_empty() && token.bytes().all(|byte| ALPHABET.contains(&byte));
                is_token
                    && words().any(|entity| {
                        before(at, entity.name().len()) == Some(entity.name().as_bytes())
                            && self.is_token(entity, token)
                    })
            })
            || uuids.any(|at| {
                let start = at.checked_sub(UUID_MIDDLE_AT);
                let uuid = start.and_then(|start| read_uuid(value.get(start..start + UUID_TEXT)?));
                uuid.is_some_and(|uuid| self.made_any_uuid(uuid))
            })
            || value.try_into().is_ok_and(|uuid| self.made_any_uuid(uuid))
            || self.numeral_stands_in(value)
    }

    /// The same of a number, as it is written or as `bigint` and `numeric` are in binary format.
    fn numeral_stands_in(&self, value: &[u8]) -> bool {
        let mut written = memchr::memmem::find_iter(value, NUMBER).filter(|at| {
            let before = at.checked_sub(1).and_then(|before| value.get(before));
            !before.is_some_and(u8::is_ascii_digit)
        });
        written.any(|at| {
            let rest = value.get(at..).unwrap_or_default();
            let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            self.made_numeral(text_of(rest.get(..length)))
        }) || value.try_into().is_ok_and(|bytes| self.made_numeral(&i64::from_be_bytes(bytes).to_string()))
            || read_numeric(value).is_some_and(|number| self.made_numeral(&number))
    }

    fn made_any_uuid(&self, uuid: [u8; 16]) -> bool {
        detector::DETECTORS.iter().any(|entity| self.made_uuid(*entity, uuid))
    }

    /// A UUID of version 8 (RFC 9562 section 5.8): half from the value, the last four bytes prove it.
    pub(super) fn uuid(&self, entity: &dyn Detector, value: [u8; 16]) -> [u8; 16] {
        if self.made_uuid(entity, value) {
            return value;
        }
        let name = self.number(Use::Name, entity.name(), &value).to_be_bytes();
        let mut made = [0; 16];
        made.iter_mut().zip(name).for_each(|(to, from)| *to = from);
        let [_, _, _, _, _, _, version, _, variant, ..] = &mut made;
        *version = (*version & 0x0f) | 0x80;
        *variant = 0x80;
        let tag = self.uuid_tag(entity, &made);
        made.iter_mut().skip(12).zip(tag).for_each(|(to, from)| *to = from);
        made
    }

    fn made_uuid(&self, entity: &dyn Detector, value: [u8; 16]) -> bool {
        let [_, _, _, _, _, _, version, _, 0x80, 0, 0, 0, tag @ ..] = value else { return false };
        version >> 4 == 8 && self.uuid_tag(entity, &value) == tag
    }

    fn uuid_tag(&self, entity: &dyn Detector, made: &[u8; 16]) -> [u8; 4] {
        let named: Vec<u8> = made.iter().take(12).copied().collect();
        let [a, b, c, d, ..] = self.number(Use::Tag, entity.name(), &named).to_be_bytes();
        [a, b, c, d]
    }

    /// The number that stands for another, which is given as it is written, in so many digits; nothing where those are too
    /// few. What stands for a number of whatever entity already stays.
    pub(super) fn numeral(&self, entity: &dyn Detector, number: &str, digits: usize) -> Option<u64> {
        if self.made_numeral(number) {
            return number.parse().ok();
        }
        let parts = Numeral::of(digits.min(*NUMERAL.end()))?;
        let name = self.number(Use::Name, entity.name(), number.as_bytes());
        let shown = Some(number).filter(|_| entity.method() == Method::LastFour).and_then(shown);
        let rest = match shown {
            Some(shown) => name % (parts.rest / SHOWN_END) * SHOWN_END + shown,
            None => name % parts.rest,
        };
        let proven = parts.first * parts.tag + self.numeral_tag(rest) % parts.tag;
        Some(proven * parts.rest + rest)
    }

    /// Whether a number, as it is written, stands for another.
    fn made_numeral(&self, text: &str) -> bool {
        let Some((parts, number)) = Numeral::of(text.len())
            .filter(|_| text.starts_with(NUMBER) && text.bytes().all(|byte| byte.is_ascii_digit()))
            .zip(text.parse::<u64>().ok())
        else {
            return false;
        };
        number / parts.rest % parts.tag == self.numeral_tag(number % parts.rest) % parts.tag
    }

    /// Of no entity, so that a mask of one is known in a column of another.
    fn numeral_tag(&self, rest: u64) -> u64 {
        self.number(Use::Tag, "", &rest.to_be_bytes())
    }

    fn is_token(&self, entity: &dyn Detector, token: &str) -> bool {
        let Some((name, tag)) = token.split_at_checked(NAME_LENGTH).filter(|_| token.len() == NAME_LENGTH + TAG_LENGTH)
        else {
            return false;
        };
        letters::<TAG_LENGTH>(self.number(Use::Tag, entity.name(), name.as_bytes())) == tag.as_bytes()
    }

    fn number(&self, usage: Use, entity: &str, value: &[u8]) -> u64 {
        let [usage, entity, between] = start(usage, entity);
        self.begun.number([usage, entity, between, value])
    }
}

/// What a number is made from, before the value.
fn start(usage: Use, entity: &str) -> [&[u8]; 3] {
    [usage.byte(), entity.as_bytes(), &[0]]
}

/// A pseudonym of which the name and what proves it are missing.
#[derive(Clone, Copy, Debug)]
struct Gap {
    form: Form,
    /// Where its name begins.
    at: usize,
}

impl Gap {
    /// Appends the pseudonym without them; nothing when it does not fit in so many characters.
    fn leave(entity: &'static dyn Detector, form: Form, room: usize, out: &mut Vec<u8>) -> Option<Self> {
        let (before, between, missing, behind) = match form {
            Form::Word => (entity.name(), "_", NAME_LENGTH + TAG_LENGTH, ""),
            Form::Email => ("", "", NAME_LENGTH + TAG_LENGTH, DOMAIN),
            Form::Phone => (PHONE, "", PHONE_DIGITS, ""),
        };
        let ahead = before.len() + between.len();
        let length = ahead + missing + behind.len();
        if length > room {
            return None;
        }
        let start = out.len();
        let at = start + ahead;
        // One piece of memory, of which most is filled in later.
        out.resize(start + length, 0);
        for (part, at) in [(before, start), (between, at - between.len()), (behind, at + missing)] {
            if !part.is_empty() {
                put(part.as_bytes(), at, out);
            }
        }
        Some(Self { form, at })
    }

    /// Fills in the name, and gives what is to be proven of it.
    fn write_name(self, number: u64, out: &mut [u8]) -> Named {
        match self.form {
            Form::Word | Form::Email => {
                let name = letters::<NAME_LENGTH>(number);
                put(&name, self.at, out);
                Named::Letters(name)
            }
            Form::Phone => {
                let name = number % PHONE_NAME;
                put(&digits::<PHONE_NAME_DIGITS>(name), self.at, out);
                Named::Digits(name.to_be_bytes())
            }
        }
    }

    /// Fills in what proves the name.
    fn write_tag(self, number: u64, out: &mut [u8]) {
        match self.form {
            Form::Word | Form::Email => put(&letters::<TAG_LENGTH>(number), self.at + NAME_LENGTH, out),
            Form::Phone => put(&digits::<PHONE_TAG_DIGITS>(number % PHONE_TAG), self.at + PHONE_NAME_DIGITS, out),
        }
    }
}

/// A name as it is proven.
#[derive(Clone, Copy, Debug)]
enum Named {
    Letters([u8; NAME_LENGTH]),
    Digits([u8; 8]),
}

impl Named {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Letters(letters) => letters,
            Self::Digits(digits) => digits,
        }
    }
}

/// How a pseudonym is made: at once, or with others where there are drafts.
pub(super) struct Making<'a> {
    pub(super) pseudonyms: &'a Pseudonyms,
    pub(super) drafts: Option<&'a mut Drafts>,
}

impl Making<'_> {
    /// Writes the pseudonym of `value`, or leaves room for it, as [`Pseudonyms::write`] does.
    pub(super) fn write(
        self,
        entity: &'static dyn Detector,
        form: Form,
        value: &[u8],
        room: usize,
        out: &mut Vec<u8>,
    ) -> bool {
        match self.drafts {
            Some(drafts) => drafts.add(self.pseudonyms, entity, form, value, room, out),
            None => self.pseudonyms.write(entity, form, value, room, out),
        }
    }
}

/// Pseudonyms of some rows that are still to be made.
///
/// They do not wait for each other, so that all their names are hashed together and then all that proves them, which takes
/// little more than half the time ([`super::hash`]). Until then there is a gap where each will stand.
#[derive(Debug, Default)]
pub(super) struct Drafts {
    waiting: Vec<Draft>,
    /// Of the entities that have come so far: a row has few, and those of the next row are the same.
    patterns: Vec<Pattern>,
}

struct Draft {
    gap: Gap,
    /// Of its entity: where among the patterns it is.
    pattern: usize,
    /// What is hashed next.
    last: Last,
    /// What came of it.
    number: u64,
}

/// What the messages have in common that are hashed for the pseudonyms of one entity.
struct Pattern {
    entity: &'static str,
    name: Start,
    tag: Start,
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Draft(***)")
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({})", self.entity)
    }
}

impl Drafts {
    /// Leaves room for the pseudonym of `value`, as [`Pseudonyms::write`] writes it, and writes those of long values at
    /// once. Until [`Drafts::write_all`], nothing may be taken away from `out`.
    pub(super) fn add(
        &mut self,
        pseudonyms: &Pseudonyms,
        entity: &'static dyn Detector,
        form: Form,
        value: &[u8],
        room: usize,
        out: &mut Vec<u8>,
    ) -> bool {
        let pattern = self.pattern(entity.name());
        let Some((place, known)) = pattern.and_then(|place| Some((place, self.patterns.get(place)?))) else {
            return pseudonyms.write(entity, form, value, room, out);
        };
        if !known.name.holds(value.len()) {
            return pseudonyms.write(entity, form, value, room, out);
        }
        let Some(gap) = Gap::leave(entity, form, room, out) else { return false };
        self.waiting.push(Draft { gap, pattern: place, last: Last::default(), number: 0 });
        if let Some(draft) = self.waiting.last_mut() {
            known.name.end(value, &mut draft.last);
        }
        true
    }

    /// Where the pattern of an entity is; nothing where its name leaves no room for another.
    fn pattern(&mut self, entity: &'static str) -> Option<usize> {
        // Whose name stands at one place is one.
        let known = self.patterns.iter().position(|pattern| std::ptr::eq(pattern.entity, entity));
        known.or_else(|| {
            let (name, tag) = (Start::of(start(Use::Name, entity))?, Start::of(start(Use::Tag, entity))?);
            let place = self.patterns.len();
            self.patterns.extend(tag.holds(NAME_LENGTH).then_some(Pattern { entity, name, tag }));
            (place < self.patterns.len()).then_some(place)
        })
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// Fills all gaps in `out`.
    pub(super) fn write_all(&mut self, pseudonyms: &Pseudonyms, out: &mut [u8]) {
        self.hash(pseudonyms);
        for Draft { gap, pattern, last, number } in &mut self.waiting {
            let Some(Pattern { tag, .. }) = self.patterns.get(*pattern) else { continue };
            match gap.write_name(*number, out) {
                Named::Letters(letters) => tag.end(&letters, last),
                Named::Digits(digits) => tag.end(&digits, last),
            }
        }
        self.hash(pseudonyms);
        for Draft { gap, number, .. } in self.waiting.drain(..) {
            gap.write_tag(number, out);
        }
    }

    fn hash(&mut self, pseudonyms: &Pseudonyms) {
        for draft in &mut self.waiting {
            draft.number = pseudonyms.begun.ended(&draft.last);
        }
    }
}

/// What a pseudonym among numbers is made of, from its first digits to its last.
#[derive(Clone, Copy, Debug)]
struct Numeral {
    /// [`NUMBER`]
    first: u64,
    /// Above the part that proves the rest: a power of ten.
    tag: u64,
    /// Above the rest: a power of ten.
    rest: u64,
}

impl Numeral {
    fn of(digits: usize) -> Option<Self> {
        let behind = digits.checked_sub(NUMBER.len()).filter(|_| NUMERAL.contains(&digits))?;
        let power = |digits: usize| u32::try_from(digits).ok().and_then(|digits| 10u64.checked_pow(digits));
        let tag = behind / 4;
        Some(Self { first: NUMBER.parse().ok()?, tag: power(tag)?, rest: power(behind - tag)? })
    }
}

/// The end of a number that may be shown.
fn shown(number: &str) -> Option<u64> {
    let whole = number.split('.').next()?.trim_start_matches('-');
    whole.get(whole.len().checked_sub(SHOWN)?..)?.parse().ok().filter(|_| whole.len() >= 2 * SHOWN)
}

/// Above what is shown.
const SHOWN_END: u64 = 10_000;

/// What a number is for: one key, two purposes, never the same input.
#[derive(Clone, Copy, Debug)]
enum Use {
    Name,
    Tag,
}

impl Use {
    fn byte(self) -> &'static [u8] {
        match self {
            Self::Name => &[1],
            Self::Tag => &[2],
        }
    }
}

/// Bytes as text; none when they are not.
fn text_of(bytes: Option<&[u8]>) -> &str {
    bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
}

/// The entities whose pseudonyms are words.
fn words() -> impl Iterator<Item = &'static dyn Detector> {
    let is_word = |entity: &&dyn Detector| entity.method() == Method::Pseudonym(Form::Word);
    detector::DETECTORS.iter().copied().filter(is_word)
}

/// The last digits of a number.
fn digits<const COUNT: usize>(mut number: u64) -> [u8; COUNT] {
    let mut digits = [b'0'; COUNT];
    for digit in digits.iter_mut().rev() {
        *digit += u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
    }
    digits
}

fn letters<const COUNT: usize>(mut number: u64) -> [u8; COUNT] {
    [0; COUNT].map(|_: u8| {
        let place = usize::try_from(number % 32).unwrap_or(0);
        number /= 32;
        ALPHABET.get(place).copied().unwrap_or(b'0')
    })
}
