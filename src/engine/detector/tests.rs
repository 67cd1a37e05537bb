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
