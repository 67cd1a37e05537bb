//! Knows columns of passwords and keys, whatever they look like.

use super::{Detector, Likeness, Method, Sight, Word};

pub(super) struct Secret;

impl Detector for Secret {
    fn name(&self) -> &'static str {
        "secret"
    }

    fn summary(&self) -> &'static str {
        "passwords, keys and tokens"
    }

    fn method(&self) -> Method {
        Method::Redact
    }

    fn sight(&self) -> Sight {
        Sight::Word { length: 24..=usize::MAX, starts: |_| true, look }
    }

    fn claims(&self) -> &'static [&'static str] {
        &[
            "password",
            "passwords",
            "passwd",
            "pwd",
            "pass",
            "passphrase",
            "secret",
            "secrets",
            "secret key",
            "client secret",
            "api key",
            "apikey",
            "api keys",
            "api secret",
            "api token",
            "access key",
            "access token",
            "auth token",
            "refresh token",
            "token",
            "tokens",
            "bearer token",
            "private key",
            "encryption key",
            "signing key",
            "signing secret",
            "webhook secret",
            "hmac key",
            "hmac",
            "master key",
            "credentials",
            "otp secret",
            "totp secret",
            "mfa secret",
            "backup codes",
            "recovery codes",
            "recovery code",
            "reset token",
            "reset password token",
            "confirmation token",
            "session token",
            "remember token",
            "passwort",
            "kennwort",
            "mot de passe",
            "mot passe",
            "contrasena",
            "clave",
            "senha",
            "parola",
            "wachtwoord",
            "passord",
            "losenord",
            "salasana",
            "haslo",
            "security answer",
            "secret answer",
            "api secret key",
            "secret token",
            "oauth token",
            "oauth secret",
            "encrypted password",
            "crypted password",
            "hashed password",
            "password salt",
            "salt",
            "app secret",
            "service key",
            "license key",
            "pass hash",
            "pw",
            "pw hash",
            "secret access key",
            "session key",
            "invite token",
            "unlock token",
            "magic link",
            "verification code",
            "verification token",
            "two factor secret",
            "otp",
            "ssh key",
            "sid token",
        ]
    }
}

fn look(seen: &Word<'_>) -> Option<(Likeness, usize)> {
    // Random letters and digits of some length: how many signs of each kind there are is what gives them away.
    let word = seen.word().as_bytes();
    // Most long words have no capitals; UUIDs and dates that have them have more signs than that.
    let is_sign = |byte: &&u8| !byte.is_ascii_alphanumeric();
    if !word.iter().any(u8::is_ascii_uppercase) || word.iter().filter(is_sign).count() > SIGNS_MAX {
        return None;
    }
    let kind = |is: fn(&u8) -> bool| word.iter().filter(|byte| is(byte)).count();
    let (small, capital, digit) =
        (kind(u8::is_ascii_lowercase), kind(u8::is_ascii_uppercase), kind(u8::is_ascii_digit));
    let plain = small + capital + digit;
    let mixed = plain >= 24 && small * 6 > plain && capital * 6 > plain && digit * 20 > plain;
    (mixed && turns(word) * 3 > word.len()).then_some((Likeness::Possible, seen.end))
}

/// Most signs among its letters and digits.
const SIGNS_MAX: usize = 3;

/// How often neighbours are of different kinds.
fn turns(word: &[u8]) -> usize {
    let kind = |byte: u8| (byte.is_ascii_lowercase(), byte.is_ascii_uppercase());
    let kinds = word.iter().map(|byte| kind(*byte));
    kinds.clone().zip(kinds.skip(1)).filter(|(left, right)| left != right).count()
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&Secret, "x9Kq2mPz7Rt4Wv8Yb3Nc6Hd1", Likeness::Possible);
        check(&Secret, "customerSupportTicketNumber1", Likeness::No);
        check(&Secret, "da39a3ee5e6b4b0d3255bfef95601890afd80709", Likeness::No);
    }
}
