//! The device flow as states (RFC 8628), for the issuer's side.
//!
//! ```text
//!              approve
//!   Pending ─────────────▶ Approved ──poll──▶ Used
//!      │ └── deny, or the wrong number ──▶ Denied
//!      └── time ──▶ expired, whatever it was
//! ```
//!
//! 1. A device asks; it gets a device code, a user code and a number to match (section 3.2).
//! 2. A person enters the user code on a page, sees who asks, and picks the number the device shows (section 3.3).
//! 3. The device polls until it is told (sections 3.4 and 3.5).
//!
//! Everything works once: a code is decided once and gives tokens once.

use std::fmt;

use thiserror::Error;

use crate::domain::{Duration, Timestamp};

/// How long a code is good: long enough to fetch the phone, short enough to be of little use to whoever sends codes
/// to strangers (RFC 10027 section 6.1.4; `reference/trust.md` section 3).
pub(crate) const LIFETIME: Duration = Duration::from_secs(5 * 60);

/// Time between two polls at the start.
pub(crate) const INTERVAL: Duration = Duration::from_secs(2);

/// What a poll that comes too early adds to the interval (RFC 8628 section 3.5).
const SLOW_DOWN: Duration = Duration::from_secs(5);

/// How much early a poll may come: timers and networks are not exact.
const TOLERANCE: Duration = Duration::from_millis(500);

/// The letters of user codes: no vowels, so no words; none that look alike (RFC 8628 section 6.1).
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// Letters in a user code: 20^8 codes, 34 bits, of which a handful exist at a time and a few may be tried.
const CODE_LENGTH: usize = 8;

/// The code a person types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct UserCode([u8; CODE_LENGTH]);

impl UserCode {
    pub(crate) fn new(chance: [u8; 8]) -> Self {
        // 2^64 is so much larger than 20^8 that the remainder's bias is below one in 10^8.
        let mut rest = u64::from_be_bytes(chance);
        Self([(); CODE_LENGTH].map(|()| {
            let letter = usize::try_from(rest % 20).ok().and_then(|index| LETTERS.get(index)).copied();
            rest /= 20;
            letter.unwrap_or(b'B')
        }))
    }

    /// As people type it: any case, with or without dashes and blanks.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut letters =
            text.bytes().filter(|byte| !matches!(byte, b'-' | b' ')).map(|byte| byte.to_ascii_uppercase());
        let mut out = [0u8; CODE_LENGTH];
        for slot in &mut out {
            *slot = letters.next().filter(|letter| LETTERS.contains(letter))?;
        }
        letters.next().is_none().then_some(Self(out))
    }
}

impl fmt::Display for UserCode {
    /// `BCDF-GHJK`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        for (index, letter) in self.0.iter().enumerate() {
            if index == CODE_LENGTH / 2 {
                f.write_char('-')?;
            }
            f.write_char(char::from(*letter))?;
        }
        Ok(())
    }
}

/// A number from 10 to 99 that both screens show, so that a person approves the request in front of them and not one
/// that somebody slipped in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MatchNumber(u8);

impl MatchNumber {
    pub(crate) fn new(chance: u8) -> Self {
        Self(10 + chance % 90)
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        text.parse().ok().filter(|number| (10..=99).contains(number)).map(Self)
    }

    /// Three different numbers to choose from, this one among them, in an order that says nothing.
    pub(crate) fn choices(self, chance: [u8; 3]) -> [Self; 3] {
        let [place, first, second] = chance;
        let near = |step: u8| Self(10 + (self.0 - 10 + step) % 90);
        // Steps from 1 to 44 and from 45 to 89 meet neither each other nor the number itself.
        let mut out = [self, near(1 + first % 44), near(45 + second % 45)];
        out.rotate_left(usize::from(place % 3));
        out
    }
}

impl fmt::Display for MatchNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a person answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Deny,
    Approve {
        /// The user they chose to be.
        user: String,
        /// The number they say the device shows.
        number: Option<MatchNumber>,
    },
}

/// Why an answer did not count as approval.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum Refused {
    #[error("the code has expired")]
    Expired,
    #[error("the code was already answered")]
    Answered,
    #[error("the number is not the one the terminal shows, so the request was denied")]
    WrongNumber,
}

/// What a poll is told (RFC 8628 section 3.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Poll {
    Pending,
    /// Pending, and asked too early: five seconds more between polls from now on.
    SlowDown,
    /// The user who approved. Said once.
    Granted(String),
    Denied,
    Expired,
    /// It gave tokens before; asking again means that somebody copied the code.
    Used,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Pending,
    Approved { user: String },
    Denied,
    Used,
}

/// One request of one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeviceFlow {
    state: State,
    number: MatchNumber,
    expires_at: Timestamp,
    interval: Duration,
    polled_at: Option<Timestamp>,
}

impl DeviceFlow {
    pub(crate) fn new(now: Timestamp, number: MatchNumber) -> Self {
        Self { state: State::Pending, number, expires_at: now.after(LIFETIME), interval: INTERVAL, polled_at: None }
    }

    pub(crate) fn number(&self) -> MatchNumber {
        self.number
    }

    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        now >= self.expires_at
    }

    /// Whether a person may still answer.
    pub(crate) fn is_open(&self, now: Timestamp) -> bool {
        self.state == State::Pending && !self.is_over(now)
    }

    /// Step 2: the answer of a person.
    pub(crate) fn answer(&mut self, now: Timestamp, answer: Answer) -> Result<(), Refused> {
        if self.is_over(now) {
            return Err(Refused::Expired);
        }
        if self.state != State::Pending {
            return Err(Refused::Answered);
        }
        match answer {
            Answer::Deny => self.state = State::Denied,
            Answer::Approve { user, number } if number == Some(self.number) => self.state = State::Approved { user },
            Answer::Approve { .. } => {
                self.state = State::Denied;
                return Err(Refused::WrongNumber);
            }
        }
        Ok(())
    }

    /// Step 3: the device asks.
    pub(crate) fn poll(&mut self, now: Timestamp) -> Poll {
        let early = self.polled_at.is_some_and(|last| now.since(last) + TOLERANCE < self.interval);
        self.polled_at = Some(now);
        match &self.state {
            State::Used => Poll::Used,
            State::Denied => Poll::Denied,
            State::Pending | State::Approved { .. } if self.is_over(now) => Poll::Expired,
            State::Pending if early => {
                self.interval += SLOW_DOWN;
                Poll::SlowDown
            }
            State::Pending => Poll::Pending,
            State::Approved { user } => {
                let user = user.clone();
                self.state = State::Used;
                Poll::Granted(user)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn at(seconds: u64) -> Timestamp {
        START.after(Duration::from_secs(seconds))
    }

    fn flow() -> DeviceFlow {
        DeviceFlow::new(START, MatchNumber(42))
    }

    fn approve(number: u8) -> Answer {
        Answer::Approve { user: "alice".to_owned(), number: Some(MatchNumber(number)) }
    }

    #[test]
    fn approved_once_used_once() {
        let mut flow = flow();
        assert_eq!(flow.poll(at(2)), Poll::Pending);
        assert_eq!(flow.answer(at(3), approve(42)), Ok(()));
        assert_eq!(flow.answer(at(3), Answer::Deny), Err(Refused::Answered));
        assert_eq!(flow.poll(at(4)), Poll::Granted("alice".to_owned()));
        assert_eq!(flow.poll(at(6)), Poll::Used);
        assert_eq!(flow.poll(at(9_999)), Poll::Used);
    }

    #[test]
    fn denied_stays_denied() {
        for (answer, expect) in [
            (Answer::Deny, Ok(())),
            (approve(43), Err(Refused::WrongNumber)),
            (Answer::Approve { user: "alice".to_owned(), number: None }, Err(Refused::WrongNumber)),
        ] {
            let mut flow = flow();
            assert_eq!(flow.answer(at(1), answer), expect);
            assert_eq!(flow.answer(at(1), approve(42)), Err(Refused::Answered));
            assert_eq!(flow.poll(at(2)), Poll::Denied);
        }
    }

    #[test]
    fn time_ends_it_before_and_after_the_answer() {
        let end = LIFETIME.as_secs();
        let mut unanswered = flow();
        assert!(unanswered.is_open(at(end - 1)) && !unanswered.is_open(at(end)));
        assert_eq!(unanswered.poll(at(end - 1)), Poll::Pending);
        assert_eq!(unanswered.answer(at(end), approve(42)), Err(Refused::Expired));
        assert_eq!(unanswered.poll(at(end + 5)), Poll::Expired);
        let mut late = flow();
        assert_eq!(late.answer(at(1), approve(42)), Ok(()));
        assert_eq!(late.poll(at(end)), Poll::Expired);
    }

    #[test]
    fn impatience_costs_five_seconds_each_time() {
        let mut flow = flow();
        for (second, expect) in [
            (0, Poll::Pending),
            (1, Poll::SlowDown),
            (6, Poll::SlowDown),
            (17, Poll::SlowDown),
            (34, Poll::Pending),
            (50, Poll::SlowDown),
        ] {
            assert_eq!(flow.poll(at(second)), expect, "at {second} s");
        }
        assert_eq!(flow.answer(at(51), approve(42)), Ok(()));
        // Who has been approved is not kept waiting.
        assert_eq!(flow.poll(at(51)), Poll::Granted("alice".to_owned()));
    }

    #[test]
    fn user_codes_are_read_as_people_type_them() {
        let code = UserCode::new(0x0123_4567_89ab_cdefu64.to_be_bytes());
        let text = code.to_string();
        assert_eq!(text.len(), 9);
        for typed in [text.clone(), text.to_lowercase(), text.replace('-', ""), format!(" {} ", text.replace('-', " "))]
        {
            assert_eq!(UserCode::parse(&typed), Some(code), "{typed:?}");
        }
        for bad in ["", "BCDF-GHJ", "BCDF-GHJKL", "AEIO-UAEI", "BCDF_GHJK", "ßCDF-GHJK"] {
            assert_eq!(UserCode::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn choices_are_three_and_hold_the_number() {
        for chance in 0..=255u8 {
            let number = MatchNumber::new(chance);
            for other in [0, 1, 43, 44, 89, 128, 255] {
                let choices = number.choices([chance, other, 255 - other]);
                assert!(choices.contains(&number), "{choices:?}");
                let [a, b, c] = choices;
                assert!(a != b && b != c && a != c, "{choices:?}");
                assert!(choices.iter().all(|choice| (10..=99).contains(&choice.0)), "{choices:?}");
            }
        }
        for (text, expect) in [("10", true), ("99", true), ("9", false), ("100", false), ("", false), ("1x", false)] {
            assert_eq!(MatchNumber::parse(text).is_some(), expect, "{text}");
        }
    }
}
