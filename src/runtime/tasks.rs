//! The threads that asynchronous work runs on. Started only by commands that need them: `gov --version` does not.

use crate::domain::{Failure, Kind};
use crate::engine;

/// Stack of a worker thread, in bytes: statements are read on them. Untouched pages cost nothing.
const STACK: usize = engine::STACK;

/// Runs `work` to its end on a thread with room for reading statements.
pub(crate) fn with_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, Failure> {
    let broken = || Failure::new(Kind::Internal, "no thread could be started");
    std::thread::scope(|scope| {
        let started = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        started.map_err(|_| broken())?.join().map_err(|_| broken())
    })
}

/// Runs `work` to its end on a fresh set of worker threads.
pub(crate) fn run<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(STACK)
        .thread_name("gov")
        .build()
        .map_err(|error| Failure::new(Kind::Internal, "no threads could be started").cause(error))?;
    let result = runtime.block_on(work);
    // Work that blocks (a keychain that does not answer) must not keep the process from ending.
    runtime.shutdown_background();
    result
}
