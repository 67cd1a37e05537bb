//! What the operating system is to do with this very process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Writes no core files: they would hold keys and rows.
pub(crate) fn forbid_core_files() {
    // A process may always lower its own limits; if it could not, there would be nothing to do about it.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}

/// Allows as many open files as the system lets this process have: each session takes a handful. Gives that number.
pub(crate) fn raise_open_files() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let _ = setrlimit(Resource::Nofile, raised);
    getrlimit(Resource::Nofile).current
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_as_asked() {
        forbid_core_files();
        assert_eq!(getrlimit(Resource::Core).current, Some(0));
        assert_eq!(raise_open_files(), getrlimit(Resource::Nofile).maximum);
    }
}
