//! What the program says about itself to whoever runs it: lines with fields, on stderr.

use tracing_subscriber::EnvFilter;

use crate::runtime::env;

/// Variable that chooses what is said, for example `GOV_LOG=debug` or `GOV_LOG=gov=debug,hyper=info`.
pub(crate) const VARIABLE: &str = "GOV_LOG";

/// Starts logging at `GOV_LOG`, or at `usual` where it is not set or not understood. Only the first call counts.
pub(crate) fn start(usual: &str) {
    let wanted = env::var(VARIABLE).and_then(|filter| EnvFilter::try_new(filter).ok());
    let filter = wanted.unwrap_or_else(|| EnvFilter::new(usual));
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .try_init();
    // An error means that logging was started before.
    drop(started);
}
