//! What all detectors have in common.

use super::{DETECTORS, Detector, Likeness};

pub(super) fn check(detector: &dyn Detector, text: &str, expected: Likeness) {
    let place = DETECTORS.iter().position(|known| known.name() == detector.name());
    let mut seen = Likeness::No;
    super::each(text, |index, likeness| {
        if Some(index) == place {
            seen = likeness;
        }
    });
    assert_eq!(seen, expected, "{}: {text}", detector.name());
}

#[test]
fn no_two_claim_the_same_name() {
    let mut claims = std::collections::HashMap::new();
    let mut twice = Vec::new();
    for detector in DETECTORS {
        for claim in detector.claims().iter().chain(detector.hints()) {
            let words = super::words(claim).join(" ");
            assert_eq!(words, *claim, "{}: a claim is whole words in lower case without accents", detector.name());
            twice.extend(claims.insert(*claim, detector.name()).map(|before| (*claim, before, detector.name())));
        }
    }
    assert!(twice.is_empty(), "{twice:?}");
}

#[test]
fn people_find_an_entity_by_part_of_its_word() {
    assert_eq!(super::called("email"), ["email"]);
    assert_eq!(super::called("pii.ssn"), ["us_ssn"]);
    assert_eq!(super::called("PII.Card"), ["card"], "not also card_code");
    assert!(super::called("").is_empty() && super::called("pii.").is_empty() && super::called("mail").is_empty());
}
