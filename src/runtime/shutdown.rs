//! Ending in order: stop accepting, let what runs finish, give up at a deadline.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::domain::{Failure, Kind};

/// How long work that runs may go on after the end was asked for.
pub(crate) const DRAIN: Duration = Duration::from_secs(10);

/// Asks everyone who holds a [`Ending`] to end, when dropped or told.
#[derive(Debug)]
pub(crate) struct Shutdown(watch::Sender<bool>);

/// Knows whether the end was asked for. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Ending(watch::Receiver<bool>);

impl Shutdown {
    pub(crate) fn new() -> (Self, Ending) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), Ending(receiver))
    }

    pub(crate) fn begin(&self) {
        self.0.send_replace(true);
    }
}

impl Ending {
    /// Waits until the end is asked for. Cancel safe.
    pub(crate) async fn asked(&mut self) {
        // An error means that the other half is gone, and then it is over too.
        drop(self.0.wait_for(|ending| *ending).await);
    }
}

/// What asked this process to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGTERM: a polite request.
    Terminate,
}

/// Waits for Ctrl-C or a polite request to end (SIGINT, SIGTERM). Cancel safe.
pub(crate) async fn signalled() -> Result<Signal, Failure> {
    let broken = |error| Failure::new(Kind::Internal, "signals cannot be received").cause(error);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(broken)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(broken)?;
    Ok(tokio::select! {
        _ = interrupt.recv() => Signal::Interrupt,
        _ = terminate.recv() => Signal::Terminate,
    })
}
