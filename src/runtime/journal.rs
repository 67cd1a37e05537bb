//! TEMPORARY until the audit branch is merged.
use crate::domain::{Event, Failure};
use crate::runtime::pump::{Place, Records};
use std::task::{Context, Poll};

#[derive(Clone, Debug, Default)]
pub(crate) struct Recorder;

impl Recorder {
    pub(crate) fn record(&self, event: &Event) -> Result<Place, Failure> {
        tracing::debug!(?event, "record");
        Ok(Place(0))
    }
}

impl Records for Recorder {
    fn ready(&self) -> Result<(), Failure> {
        Ok(())
    }
    fn record(&self, event: &Event) -> Result<Place, Failure> {
        Self::record(self, event)
    }
    fn poll_durable(&mut self, _: &mut Context<'_>, _: Place) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }
}
