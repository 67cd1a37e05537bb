//! Finds JSON web tokens: a header in base 64 that names an algorithm, a body, a signature.

use super::{Detector, Likeness, Method, Sight, Word};

pub(super) struct Jwt;

impl Detector for Jwt {
    fn name(&self) -> &'static str {
        "jwt"
    }

    fn summary(&self) -> &'static str {
        "JSON web tokens"
    }

    fn method(&self) -> Method {
        Method::Redact
    }

    fn sight(&self) -> Sight {
        Sight::Word { length: 35..=usize::MAX, starts: |first| first == b'e', look }
    }

    fn claims(&self) -> &'static [&'static str] {
        &["jwt", "id token", "jwt token", "json web token"]
    }
}

fn look(seen: &Word<'_>) -> Option<(Likeness, usize)> {
    let word = seen.word();
    let mut parts = word.split('.');
    let (head, body, signature) = (parts.next()?, parts.next()?, parts.next()?);
    // `{"` in base 64, twice; five parts are an encrypted token.
    let fits = head.starts_with("ey")
        && head.len() >= 16
        && (body.starts_with("ey") || parts.next().is_some())
        && signature.len() >= 16;
    fits.then_some((Likeness::Certain, seen.end))
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(
            &Jwt,
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
            Likeness::Certain,
        );
        check(&Jwt, "eyJhbGciOiJIUzI1NiJ9", Likeness::No);
        check(&Jwt, "a.b.c", Likeness::No);
    }
}
