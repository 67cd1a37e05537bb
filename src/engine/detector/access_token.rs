//! Finds tokens of well-known services by their prefixes.

use super::{Detector, Likeness, Method, Sight, Word};

pub(super) struct AccessToken;

impl Detector for AccessToken {
    fn name(&self) -> &'static str {
        "access_token"
    }

    fn summary(&self) -> &'static str {
        "tokens of well-known services"
    }

    fn method(&self) -> Method {
        Method::Redact
    }

    fn sight(&self) -> Sight {
        Sight::Word {
            length: 25..=usize::MAX,
            starts: |first| STARTS.iter().any(|(start, _)| start.as_bytes().first() == Some(&first)),
            look,
        }
    }

    fn claims(&self) -> &'static [&'static str] {
        &[
            "github token",
            "gitlab token",
            "slack token",
            "stripe key",
            "stripe secret key",
            "npm token",
            "personal access token",
            "pat token",
            "bot token",
        ]
    }
}

/// Prefix, and the fewest characters that follow.
const STARTS: &[(&str, usize)] = &[
    ("ghp_", 36),
    ("gho_", 36),
    ("ghu_", 36),
    ("ghs_", 36),
    ("ghr_", 36),
    ("github_pat_", 40),
    ("glpat-", 20),
    ("gldt-", 20),
    ("glrt-", 20),
    ("xoxb-", 20),
    ("xoxp-", 20),
    ("xoxa-", 20),
    ("xoxr-", 20),
    ("xoxs-", 20),
    ("xapp-", 20),
    ("sk_live_", 20),
    ("sk_test_", 20),
    ("rk_live_", 20),
    ("rk_test_", 20),
    ("pk_live_", 20),
    ("pk_test_", 20),
    ("whsec_", 20),
    ("sk-ant-", 30),
    ("sk-proj-", 30),
    ("sk-", 40),
    ("SG.", 60),
    ("npm_", 36),
    ("pypi-", 50),
    ("dop_v1_", 60),
    ("shpat_", 32),
    ("shpss_", 32),
    ("hf_", 30),
    ("key-", 32),
    ("lin_api_", 32),
    ("dckr_pat_", 20),
    ("sq0atp-", 20),
    ("sq0csp-", 40),
    ("EAAA", 60),
    ("figd_", 30),
    ("ntn_", 40),
    ("secret_", 40),
    ("pat-na1-", 30),
    ("rubygems_", 40),
    ("sntrys_", 40),
    ("tskey-", 20),
    ("doo_v1_", 60),
    ("hvs.", 24),
    ("hvb.", 24),
    ("atlasv1.", 60),
];

fn look(seen: &Word<'_>) -> Option<(Likeness, usize)> {
    let word = seen.word();
    let rest = STARTS.iter().find_map(|(start, least)| word.strip_prefix(start).filter(|rest| rest.len() >= *least))?;
    // Random characters hardly ever lack digits.
    rest.bytes().any(|byte| byte.is_ascii_digit()).then_some((Likeness::Certain, seen.end))
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&AccessToken, "ghp_16C7e42F292c6912E7710c838347Ae178B4a", Likeness::Certain);
        check(&AccessToken, "sk_test_4eC39HqLyjWDarjtT1zdp7dc", Likeness::Certain);
        check(&AccessToken, "glpat-abcdefghij0123456789", Likeness::Certain);
        check(&AccessToken, "sk_test_x", Likeness::No);
        check(&AccessToken, "key-value", Likeness::No);
    }
}
