//! Finds sensitive values in text, one kind per file. The file's name is the entity's word in policy files.

mod email;

/// One kind of sensitive value.
pub(crate) trait Detector: Sync {
    /// The entity's word.
    fn name(&self) -> &'static str;
    /// One line for help and documentation.
    fn summary(&self) -> &'static str;
    /// The first value in `text` at or after `from`, as a byte range.
    fn find(&self, text: &str, from: usize) -> Option<std::ops::Range<usize>>;
}

/// All detectors.
pub(crate) const DETECTORS: &[&dyn Detector] = &[&email::Email];
