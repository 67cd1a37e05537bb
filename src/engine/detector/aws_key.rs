//! Finds access keys of Amazon Web Services.

use super::{Detector, Likeness, Method, Sight, Word};

pub(super) struct AwsKey;

impl Detector for AwsKey {
    fn name(&self) -> &'static str {
        "aws_key"
    }

    fn summary(&self) -> &'static str {
        "access keys of Amazon Web Services"
    }

    fn method(&self) -> Method {
        Method::Redact
    }

    fn sight(&self) -> Sight {
        Sight::Word { length: 20..=20, starts: |first| first == b'A', look }
    }

    fn claims(&self) -> &'static [&'static str] {
        &["aws key", "aws access key", "aws access key id", "aws secret", "aws secret access key", "aws secret key"]
    }
}

fn look(seen: &Word<'_>) -> Option<(Likeness, usize)> {
    const STARTS: [&str; 5] = ["AKIA", "ASIA", "ABIA", "ACCA", "AROA"];
    let word = seen.word();
    let rest = STARTS.iter().find_map(|start| word.strip_prefix(start))?;
    let fits = rest.len() == 16 && rest.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7'));
    fits.then_some((Likeness::Certain, seen.end))
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&AwsKey, "AKIAIOSFODNN7EXAMPLE", Likeness::Certain);
        check(&AwsKey, "AKIAIOSFODNN7EXAMPL", Likeness::No);
        check(&AwsKey, "AKIAiosfodnn7example", Likeness::No);
    }
}
