//! The device flows that are under way, in memory: they live for five minutes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::{Duration, Failure, Kind, Timestamp};
use crate::identity::device_flow::{Answer, DeviceFlow, MatchNumber, Poll, Refused, UserCode};
use crate::wire::api::DeviceRequest;

/// Flows at the same time. One person on one machine needs one.
const FLOWS_MAX: usize = 100;

/// Wrong user codes within [`GUESS_WINDOW`] after which the page answers no more: of 2.5·10^10 codes nobody finds one
/// that way (RFC 8628 section 5.1).
const GUESSES_MAX: u32 = 50;
const GUESS_WINDOW: Duration = Duration::from_secs(5 * 60);

/// Longest text about itself a device may have shown, in characters.
const ABOUT_MAX: usize = 64;

/// Who asks, as the page shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asker {
    /// `user@host`, stated by the device.
    pub(super) host: String,
    /// The client's version, stated by the device.
    pub(super) version: String,
    /// The address the request came from, seen by us.
    pub(super) address: IpAddr,
    pub(super) at: Timestamp,
}

impl Asker {
    pub(super) fn new(request: &DeviceRequest, address: IpAddr, at: Timestamp) -> Self {
        let shown = |text: &str| text.chars().filter(|c| !c.is_control()).take(ABOUT_MAX).collect();
        Self { host: shown(&request.gov_host), version: shown(&request.gov_version), address, at }
    }
}

/// A flow that was just started.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) device_code: String,
    pub(super) user_code: UserCode,
    pub(super) number: MatchNumber,
}

#[derive(Debug)]
struct Flow {
    user_code: UserCode,
    asker: Asker,
    flow: DeviceFlow,
}

#[derive(Debug, Default)]
struct Inner {
    by_device_code: HashMap<String, Flow>,
    guesses: u32,
    guesses_since: Timestamp,
}

/// All flows.
#[derive(Debug, Default)]
pub(super) struct Flows(Mutex<Inner>);

impl Flows {
    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn start(
        &self,
        asker: Asker,
        now: Timestamp,
        device_code: [u8; 32],
        chance: [u8; 9],
    ) -> Result<Started, Failure> {
        let [number, code @ ..] = chance;
        let mut inner = self.lock();
        inner.by_device_code.retain(|_, flow| !flow.flow.is_over(now));
        if inner.by_device_code.len() >= FLOWS_MAX {
            return Err(Failure::new(Kind::Limit, "too many logins at the same time").hint("try again in a minute"));
        }
        let user_code = UserCode::new(code);
        if inner.by_device_code.values().any(|flow| flow.user_code == user_code) {
            return Err(Failure::new(Kind::Limit, "two logins drew the same code").hint("try again"));
        }
        let number = MatchNumber::new(number);
        let device_code = URL_SAFE_NO_PAD.encode(device_code);
        let flow = Flow { user_code, asker, flow: DeviceFlow::new(now, number) };
        inner.by_device_code.insert(device_code.clone(), flow);
        Ok(Started { device_code, user_code, number })
    }

    /// What a device is told. The code is 256 bits of chance; looking it up leaks nothing worth having.
    pub(super) fn poll(&self, device_code: &str, now: Timestamp) -> Option<Poll> {
        self.lock().by_device_code.get_mut(device_code).map(|flow| flow.flow.poll(now))
    }

    /// The open flow with a user code: who asks, and the number to match.
    pub(super) fn find(&self, code: UserCode, now: Timestamp) -> Result<(Asker, MatchNumber), Failure> {
        let mut inner = self.lock();
        let found = inner.by_device_code.values().find(|flow| flow.user_code == code && flow.flow.is_open(now));
        let found = found.map(|flow| (flow.asker.clone(), flow.flow.number()));
        inner.count_guess(found.is_some(), now)?;
        found.ok_or_else(no_such_code)
    }

    pub(super) fn answer(&self, code: UserCode, now: Timestamp, answer: Answer) -> Result<(), Failure> {
        let mut inner = self.lock();
        let flow = inner.by_device_code.values_mut().find(|flow| flow.user_code == code);
        let answered = flow.map(|flow| flow.flow.answer(now, answer));
        inner.count_guess(answered.is_some(), now)?;
        match answered {
            None | Some(Err(Refused::Expired)) => Err(no_such_code()),
            Some(Err(refused)) => Err(Failure::new(Kind::Denied, refused.to_string())),
            Some(Ok(())) => Ok(()),
        }
    }
}

impl Inner {
    fn count_guess(&mut self, right: bool, now: Timestamp) -> Result<(), Failure> {
        if now.since(self.guesses_since) > GUESS_WINDOW {
            self.guesses = 0;
            self.guesses_since = now;
        }
        self.guesses = self.guesses.saturating_add(u32::from(!right));
        if self.guesses > GUESSES_MAX {
            return Err(Failure::new(Kind::Limit, "too many wrong codes").hint("try again in five minutes"));
        }
        Ok(())
    }
}

fn no_such_code() -> Failure {
    Failure::new(Kind::NotFound, "there is no login with this code")
        .detail("Codes are good for five minutes and work once.")
        .hint("look at the terminal again, or start again there with: gov login")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn asker() -> Asker {
        let request = DeviceRequest { gov_host: "alice@\u{1b}laptop".repeat(20), ..DeviceRequest::default() };
        Asker::new(&request, "127.0.0.1".parse().unwrap(), NOW)
    }

    fn start(flows: &Flows, chance: u8, now: Timestamp) -> Result<Started, Failure> {
        flows.start(asker(), now, [chance; 32], [chance; 9])
    }

    #[test]
    fn what_devices_say_about_themselves_is_cut_and_cleaned() {
        assert_eq!(asker().host.chars().count(), ABOUT_MAX);
        assert!(!asker().host.contains('\u{1b}'));
    }

    #[test]
    fn flows_are_found_by_either_code() {
        let flows = Flows::default();
        let started = start(&flows, 7, NOW).unwrap();
        assert_eq!(flows.poll(&started.device_code, NOW), Some(Poll::Pending));
        assert_eq!(flows.poll("other", NOW), None);
        assert_eq!(flows.find(started.user_code, NOW).unwrap().1, started.number);
        let answer = Answer::Approve { user: "alice".to_owned(), number: Some(started.number) };
        flows.answer(started.user_code, NOW, answer).unwrap();
        assert!(flows.find(started.user_code, NOW).is_err(), "answered");
        assert_eq!(flows.poll(&started.device_code, NOW), Some(Poll::Granted("alice".to_owned())));
    }

    #[test]
    fn flows_and_guesses_are_bounded() {
        let flows = Flows::default();
        for chance in 0..100 {
            start(&flows, chance, NOW).unwrap();
        }
        assert_eq!(start(&flows, 100, NOW).unwrap_err().kind, Kind::Limit);
        let later = NOW.after(Duration::from_secs(301));
        assert!(start(&flows, 100, later).is_ok());
        let wrong = UserCode::new([99; 8]);
        let kinds: Vec<_> = (0..=GUESSES_MAX).map(|_| flows.find(wrong, later).unwrap_err().kind).collect();
        assert_eq!((kinds[0], kinds.last().copied()), (Kind::NotFound, Some(Kind::Limit)));
    }
}
