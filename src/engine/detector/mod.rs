//! Finds sensitive values in text, one kind per file. The file's name is the entity's word in policy files.
//!
//! A detector says how its values look ([`Sight`]), what columns that hold them are called, and how they are masked.
//! [`scan`] looks at a text once for all of them: most cells are rejected after counting digits and signs. What it must
//! find is said once more in `oracle.rs`, slowly.

mod access_token;
mod address;
mod au_tfn;
mod aws_key;
mod bank_account;
mod be_national;
mod bic;
mod birth_date;
mod br_cnpj;
mod br_cpf;
mod ca_sin;
mod card;
mod card_code;
mod census;
mod ch_ahv;
mod checksum;
mod cn_resident_id;
mod connection_string;
mod crypto_address;
mod de_tax_id;
mod dk_cpr;
mod driver_licence;
mod email;
mod es_dni;
mod fi_hetu;
mod fr_nir;
mod google_key;
mod health;
mod iban;
mod imei;
mod in_aadhaar;
mod in_pan;
mod ip_address;
mod ipv6_address;
mod it_fiscal_code;
mod jwt;
mod kr_rrn;
mod mac_address;
mod mx_curp;
mod name;
mod national_id;
mod nl_bsn;
mod no_fodselsnummer;
#[cfg(test)]
mod oracle;
mod ordinary;
mod passport;
mod password_hash;
mod person_name;
mod phone;
mod pl_pesel;
mod private_key;
mod salary;
mod scan;
mod se_personnummer;
mod secret;
#[cfg(test)]
mod tests;
mod tr_tckn;
mod uk_nhs;
mod uk_nino;
mod us_routing;
mod us_ssn;
mod username;
mod vin;
mod za_id;

use std::fmt;
use std::ops::{Range, RangeInclusive};

pub(super) use name::{claimed, hinted, words};
pub(super) use person_name::is_given;
pub(super) use scan::{Found, each, scan};

/// One kind of sensitive value.
pub(crate) trait Detector: Sync {
    /// The entity's word.
    fn name(&self) -> &'static str;

    /// One line for help and documentation.
    fn summary(&self) -> &'static str;

    /// How a value that is known to be one is masked.
    fn method(&self) -> Method;

    /// How values are found in text that may hold anything.
    fn sight(&self) -> Sight;

    /// What a column that holds them is called: phrases of whole words in lower case. Also what stands before a value
    /// in a text.
    fn claims(&self) -> &'static [&'static str];

    /// What it may also be called, where the table or the values agree.
    fn hints(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether values carry check digits, so that few others pass.
    fn is_checked(&self) -> bool {
        false
    }
}

impl fmt::Debug for dyn Detector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a value is masked, in whatever type it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// Nothing of it stays.
    Redact,
    /// The last four characters that count stay.
    LastFour,
    /// A keyed pseudonym: equal for equal values.
    Pseudonym(Form),
    /// Numbers to the lower end of their range, dates to the first of their month, addresses to their network.
    Coarsen,
}

/// What a pseudonym looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `entity_` and letters.
    Word,
    /// An e-mail address in a domain that does not exist.
    Email,
    /// A telephone number under a country code that is not given to any country.
    Phone,
}

/// How values look in text.
///
/// Nearly every piece of a text is nothing, so what a piece must be at least is said apart from the check: its length and
/// its first byte. A check that would see something in another piece is never asked, which `oracle.rs` notices.
#[derive(Clone, Debug)]
pub(crate) enum Sight {
    /// A run of digits, so many, with the usual signs between them.
    Digits { count: RangeInclusive<usize>, look: fn(&Digits<'_>) -> Likeness },
    /// A word of letters and digits, of such a length in bytes and with such a first byte. The check may see further than
    /// the word and says where the value ends.
    Word { length: RangeInclusive<usize>, starts: fn(u8) -> bool, look: fn(&Word<'_>) -> Option<(Likeness, usize)> },
    /// Only where the column says so.
    Nowhere,
    /// Only as a whole cell, and many cells of a column together.
    Cell(fn(&str) -> Likeness),
    /// Anywhere in a text that has each of these signs, so often as it stands here. The function gives the first value
    /// at or after a place. What is not among the kinds of `census.rs` is no sign.
    Text { signs: &'static str, find: fn(&str, usize) -> Option<Range<usize>> },
}

/// How sure a look is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Likeness {
    No,
    /// Only when the words before it say so.
    Possible,
    /// Enough to mask what nobody has looked at before; one in ten numbers of other kinds also looks so.
    Likely,
    /// Nothing else looks like this.
    Certain,
}

/// Digits as they stand in a text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Digits<'a> {
    /// With the signs between them.
    pub(crate) text: &'a str,
    /// The digits alone, 0 to 9.
    pub(crate) digits: &'a [u8],
}

/// A word as it stands in a text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Word<'a> {
    pub(crate) text: &'a str,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl<'a> Word<'a> {
    pub(crate) fn word(&self) -> &'a str {
        self.text.get(self.start..self.end).unwrap_or_default()
    }
}

/// The detector of this word.
pub(super) fn named(name: &str) -> Option<&'static dyn Detector> {
    DETECTORS.iter().find(|detector| detector.name() == name).copied()
}

/// The entities that somebody may mean by this: the one of that word, or else those whose word it is a part of. People
/// put a family before it, as in `pii.ssn`.
pub(crate) fn called(text: &str) -> Vec<&'static str> {
    let word = text.rsplit('.').next().unwrap_or(text).to_lowercase();
    if let Some(detector) = named(&word) {
        return vec![detector.name()];
    }
    let names = DETECTORS.iter().map(|detector| detector.name());
    names.filter(|name| name.split('_').any(|part| part == word)).collect()
}

/// Whether a whole text reads like a value of the entity.
pub(super) fn agrees(entity: &dyn Detector, text: &str) -> bool {
    match entity.sight() {
        Sight::Cell(look) => look(text) >= Likeness::Likely,
        Sight::Digits { .. } | Sight::Word { .. } | Sight::Text { .. } | Sight::Nowhere => false,
    }
}

/// All detectors. Where two find the same value, the earlier has it.
pub(crate) const DETECTORS: &[&dyn Detector] = &[
    &private_key::PrivateKey,
    &jwt::Jwt,
    &connection_string::ConnectionString,
    &email::Email,
    &password_hash::PasswordHash,
    &aws_key::AwsKey,
    &google_key::GoogleKey,
    &access_token::AccessToken,
    &crypto_address::CryptoAddress,
    &iban::Iban,
    &mac_address::MacAddress,
    &ipv6_address::Ipv6Address,
    &card::Card,
    &no_fodselsnummer::NoFodselsnummer,
    &se_personnummer::SePersonnummer,
    &fr_nir::FrNir,
    &ch_ahv::ChAhv,
    &br_cpf::BrCpf,
    &br_cnpj::BrCnpj,
    &us_ssn::UsSsn,
    &es_dni::EsDni,
    &pl_pesel::PlPesel,
    &it_fiscal_code::ItFiscalCode,
    &uk_nhs::UkNhs,
    &uk_nino::UkNino,
    &in_aadhaar::InAadhaar,
    &in_pan::InPan,
    &nl_bsn::NlBsn,
    &fi_hetu::FiHetu,
    &dk_cpr::DkCpr,
    &de_tax_id::DeTaxId,
    &be_national::BeNational,
    &ca_sin::CaSin,
    &au_tfn::AuTfn,
    &mx_curp::MxCurp,
    &cn_resident_id::CnResidentId,
    &kr_rrn::KrRrn,
    &tr_tckn::TrTckn,
    &za_id::ZaId,
    &passport::Passport,
    &driver_licence::DriverLicence,
    &national_id::NationalId,
    &us_routing::UsRouting,
    &bank_account::BankAccount,
    &bic::Bic,
    &imei::Imei,
    &vin::Vin,
    &ip_address::IpAddress,
    &health::Health,
    &card_code::CardCode,
    &phone::Phone,
    &person_name::PersonName,
    &address::Address,
    &username::Username,
    &birth_date::BirthDate,
    &salary::Salary,
    &secret::Secret,
];
