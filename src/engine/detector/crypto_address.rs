//! Finds addresses of Bitcoin and Ethereum.

use super::{Detector, Form, Likeness, Method, Sight, Word};

pub(super) struct CryptoAddress;

impl Detector for CryptoAddress {
    fn name(&self) -> &'static str {
        "crypto_address"
    }

    fn summary(&self) -> &'static str {
        "addresses of Bitcoin and Ethereum"
    }

    fn method(&self) -> Method {
        Method::Pseudonym(Form::Word)
    }

    fn sight(&self) -> Sight {
        Sight::Word { length: 26..=62, starts: |first| b"01b3".contains(&first), look }
    }

    fn claims(&self) -> &'static [&'static str] {
        &[
            "wallet",
            "wallet address",
            "btc address",
            "eth address",
            "bitcoin address",
            "crypto address",
            "crypto wallet",
            "ethereum address",
        ]
    }

    fn is_checked(&self) -> bool {
        true
    }
}

fn look(seen: &Word<'_>) -> Option<(Likeness, usize)> {
    let word = seen.word();
    let is_ether = |hex: &str| hex.len() == 40 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_segwit = |rest: &str| (39..=59).contains(&rest.len()) && rest.bytes().all(|byte| BECH32.contains(&byte));
    let good = word.strip_prefix("0x").is_some_and(is_ether)
        || word.strip_prefix("bc1").is_some_and(is_segwit)
        || (word.starts_with(['1', '3']) && base58_check(word).is_some_and(|good| good));
    good.then_some((Likeness::Certain, seen.end))
}

/// Letters of a segregated witness address (BIP 173).
const BECH32: &[u8] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";

/// Whether the last four of the 25 bytes of an address are the beginning of the hash of the others.
fn base58_check(word: &str) -> Option<bool> {
    const ALPHABET: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut bytes = [0u8; 25];
    if !(26..=35).contains(&word.len()) {
        return None;
    }
    for letter in word.bytes() {
        let mut carry = u32::try_from(ALPHABET.iter().position(|known| *known == letter)?).ok()?;
        for byte in bytes.iter_mut().rev() {
            carry += u32::from(*byte) * 58;
            *byte = u8::try_from(carry % 256).ok()?;
            carry /= 256;
        }
    }
    let (body, sum) = bytes.split_at_checked(21)?;
    let once = ring::digest::digest(&ring::digest::SHA256, body);
    let twice = ring::digest::digest(&ring::digest::SHA256, once.as_ref());
    Some(twice.as_ref().starts_with(sum))
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&CryptoAddress, "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", Likeness::Certain);
        check(&CryptoAddress, "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb", Likeness::No);
        check(&CryptoAddress, "0x52908400098527886E0F7030069857D2E4169EE7", Likeness::Certain);
        check(&CryptoAddress, "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq", Likeness::Certain);
    }
}
