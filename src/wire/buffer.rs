//! Bounded reading and writing. Every length a peer states is checked here, before memory is set aside for it.

use thiserror::Error;

/// How a peer broke the rules of a byte format.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum WireError {
    #[error("a message states a length of {length}, outside {min} to {max}")]
    Length { length: i64, min: usize, max: usize },
    #[error("a message ends before its {0}")]
    Short(&'static str),
    #[error("a message goes on for {0} bytes after its last field")]
    Trailing(usize),
    #[error("a text in a message is not valid UTF-8")]
    NotUtf8,
    #[error("a text in a message has no end")]
    Unterminated,
    #[error("a message of type 0x{0:02x} has no meaning here")]
    Unexpected(u8),
    #[error("{0}")]
    Violation(&'static str),
}

/// Reads fields from one whole message. Finishing with bytes left over is an error: that is how two readers of the
/// same bytes come to disagree (CVE-2024-27304).
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn bytes(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], WireError> {
        let (head, tail) = self.rest.split_at_checked(count).ok_or(WireError::Short(what))?;
        self.rest = tail;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], WireError> {
        let (head, tail) = self.rest.split_first_chunk::<N>().ok_or(WireError::Short(what))?;
        self.rest = tail;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self, what: &'static str) -> Result<u8, WireError> {
        self.array::<1>(what).map(|[byte]| byte)
    }

    pub(crate) fn i16(&mut self, what: &'static str) -> Result<i16, WireError> {
        self.array(what).map(i16::from_be_bytes)
    }

    pub(crate) fn i32(&mut self, what: &'static str) -> Result<i32, WireError> {
        self.array(what).map(i32::from_be_bytes)
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, WireError> {
        self.array(what).map(u32::from_be_bytes)
    }

    /// A 16-bit count of things of at least `each` bytes. The protocol documents it as signed, libpq sends up to
    /// 65,535 parameters in it, and the server reads it as unsigned; so do we.
    pub(crate) fn count(&mut self, each: usize, what: &'static str) -> Result<usize, WireError> {
        let count = usize::from(self.array(what).map(u16::from_be_bytes)?);
        if count.saturating_mul(each) > self.rest.len() {
            return Err(WireError::Short(what));
        }
        Ok(count)
    }

    /// Bytes up to a zero byte, which is consumed.
    pub(crate) fn until_zero(&mut self) -> Result<&'a [u8], WireError> {
        let end = memchr::memchr(0, self.rest).ok_or(WireError::Unterminated)?;
        let text = self.bytes(end, "text")?;
        self.u8("text")?;
        Ok(text)
    }

    /// A zero-terminated UTF-8 text.
    pub(crate) fn text(&mut self) -> Result<&'a str, WireError> {
        std::str::from_utf8(self.until_zero()?).map_err(|_| WireError::NotUtf8)
    }

    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// What has not been read, without reading it.
    pub(crate) fn peek(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// All bytes must have been read.
    pub(crate) fn finish(self) -> Result<(), WireError> {
        if self.rest.is_empty() { Ok(()) } else { Err(WireError::Trailing(self.rest.len())) }
    }
}

/// Writes one message whose length field covers itself and the body, as all PostgreSQL messages do.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    out: &'a mut Vec<u8>,
    length_at: usize,
}

impl<'a> Writer<'a> {
    pub(crate) fn message(out: &'a mut Vec<u8>, tag: u8) -> Self {
        out.push(tag);
        Self::untagged(out)
    }

    pub(crate) fn untagged(out: &'a mut Vec<u8>) -> Self {
        let length_at = out.len();
        out.extend_from_slice(&[0; 4]);
        Self { out, length_at }
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.out.extend_from_slice(bytes);
        self
    }

    /// Lets somebody else append what stands in the message.
    pub(crate) fn with(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        write(self.out);
        self
    }

    pub(crate) fn u8(&mut self, value: u8) -> &mut Self {
        self.raw(&[value])
    }

    pub(crate) fn i16(&mut self, value: i16) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    pub(crate) fn i32(&mut self, value: i32) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    pub(crate) fn u32(&mut self, value: u32) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// A count as the protocol's 16-bit field; more than 65,535 cannot be written and becomes 65,535, which the
    /// other side will refuse.
    pub(crate) fn count(&mut self, value: usize) -> &mut Self {
        self.raw(&u16::try_from(value).unwrap_or(u16::MAX).to_be_bytes())
    }

    /// A zero-terminated text. A zero byte inside would end it early, so it is cut there.
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        let bytes = text.as_bytes();
        let end = memchr::memchr(0, bytes).unwrap_or(bytes.len());
        self.raw(bytes.get(..end).unwrap_or(bytes)).u8(0)
    }

    /// A length-prefixed value; `None` is NULL.
    pub(crate) fn value(&mut self, value: Option<&[u8]>) -> &mut Self {
        match value {
            None => self.i32(-1),
            Some(bytes) => self.i32(i32::try_from(bytes.len()).unwrap_or(i32::MAX)).raw(bytes),
        }
    }
}

impl Drop for Writer<'_> {
    /// Fills in the length. A message of 2 GiB or more cannot be built from inputs within our limits.
    fn drop(&mut self) {
        let length = u32::try_from(self.out.len().saturating_sub(self.length_at)).unwrap_or(u32::MAX);
        if let Some(field) = self.out.get_mut(self.length_at..self.length_at.saturating_add(4)) {
            field.copy_from_slice(&length.to_be_bytes());
        }
    }
}

/// One whole message: its type, its body, and both with the length as they stood on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) tag: u8,
    pub(crate) body: &'a [u8],
    pub(crate) raw: &'a [u8],
}

/// What [`Frames::next`] found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// A whole message.
    Frame(Frame<'a>),
    /// The head of a message longer than [`Frames::WHOLE_MAX`], of which no body byte has been taken. The caller
    /// says with [`Frames::gather`] or [`Frames::stream`] what to do with the body.
    Long { tag: u8, length: usize },
    /// Part of the body of a message that is being streamed. The first piece holds the head.
    Part(&'a [u8]),
}

/// Splits a stream into messages of one type byte, a 32-bit length that counts itself, and a body.
///
/// Messages that lie whole within one chunk of input are handed out without being copied. What is cut off at the end
/// of the chunk is kept for the next one.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    /// Bytes that were not handed out: the start of a message whose end has not arrived, or messages the caller was
    /// not ready for.
    kept: Vec<u8>,
    /// Body bytes still to come of a message that is being streamed.
    streaming: usize,
    /// The caller decided to gather the message at the head even though it is long.
    gathering: bool,
    /// Longest message that is accepted at all, length field included.
    limit: usize,
}

impl Frames {
    /// Messages up to this many bytes are always handed out whole.
    pub(crate) const WHOLE_MAX: usize = 256 * 1024;

    pub(crate) fn new(limit: usize) -> Self {
        Self { kept: Vec::new(), streaming: 0, gathering: false, limit }
    }

    /// Bytes that were not handed out.
    pub(crate) fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Whether nothing of a message has been handed out whose rest is still to come.
    pub(crate) fn at_message_start(&self) -> bool {
        self.streaming == 0
    }

    /// Whether the stream stands between two messages.
    #[cfg(test)]
    pub(crate) fn at_boundary(&self) -> bool {
        self.kept.is_empty() && self.streaming == 0
    }

    /// Bytes to the end of the message at the head of the stream, or to the end of its type and length when those have not
    /// come yet. Who feeds no more than these takes nothing of what comes behind.
    pub(crate) fn wanted(&self) -> usize {
        let Some(field) = self.kept.get(1..HEAD).and_then(|field| field.first_chunk::<4>()) else {
            return HEAD - self.kept.len().min(HEAD);
        };
        // A length that is no length is refused when its head is split off.
        let length = usize::try_from(u32::from_be_bytes(*field)).unwrap_or(usize::MAX).saturating_add(1);
        length.saturating_sub(self.kept.len()).max(1)
    }

    /// Starts reading a chunk. The caller keeps calling [`Chunk::next`] until it returns `None`, then [`Chunk::end`].
    pub(crate) fn chunk<'a>(&'a mut self, input: &'a [u8]) -> Chunk<'a> {
        let kept = std::mem::take(&mut self.kept);
        Chunk { frames: self, kept, kept_done: 0, input }
    }
}

/// A chunk of input being split. Holds the kept bytes while it lives, so that frames can borrow from them.
#[derive(Debug)]
pub(crate) struct Chunk<'a> {
    frames: &'a mut Frames,
    kept: Vec<u8>,
    /// How much of `kept` has been handed out: `0 <= kept_done <= kept.len()`.
    kept_done: usize,
    input: &'a [u8],
}

/// Type byte and length field.
const HEAD: usize = 5;

impl Chunk<'_> {
    /// The next piece, or `None` when more input is needed.
    pub(crate) fn next(&mut self) -> Result<Option<Piece<'_>>, WireError> {
        if self.frames.streaming > 0 {
            return Ok(self.part());
        }
        if self.kept_done == self.kept.len() {
            self.kept.clear();
            self.kept_done = 0;
            return self.from_input();
        }
        // Bytes were kept from an earlier chunk: whole messages that nobody asked for yet, or a message that was cut,
        // which is completed from this chunk.
        let Some(length) = self.complete_kept()? else { return Ok(None) };
        if length > Frames::WHOLE_MAX && !self.frames.gathering {
            let tag = self.kept.get(self.kept_done).copied().unwrap_or(0);
            return Ok(Some(Piece::Long { tag, length }));
        }
        let from = self.kept_done;
        self.kept_done += length;
        self.frames.gathering = false;
        Ok(self.kept.get(from..self.kept_done).and_then(frame).map(Piece::Frame))
    }

    /// The messages of type `tag` that come next, as they stand on the wire, and how many they are: as many as lie whole
    /// within the input and are not long, up to `most`. `None` when that is none, or when something was kept that comes
    /// before them.
    pub(crate) fn run(&mut self, tag: u8, most: u64) -> Option<(&[u8], u64)> {
        if self.frames.streaming > 0 || self.kept_done < self.kept.len() {
            return None;
        }
        let (mut end, mut count) = (0usize, 0u64);
        while count < most
            && let Some(next) = self.input.get(end..).filter(|next| next.first() == Some(&tag))
        {
            // What is wrong with a length is said when the message is asked for by itself.
            let Ok(Some(length)) = self.length(next) else { break };
            if length > Frames::WHOLE_MAX || length > next.len() {
                break;
            }
            end += length;
            count += 1;
        }
        let (raw, rest) = self.input.split_at_checked(end).filter(|_| count > 0)?;
        self.input = rest;
        Some((raw, count))
    }

    /// Decides to collect the long message at the head; it comes out as one [`Piece::Frame`].
    pub(crate) fn gather(&mut self) {
        self.frames.gathering = true;
    }

    /// Decides to pass the long message at the head through in parts.
    pub(crate) fn stream(&mut self, length: usize) {
        self.frames.streaming = length;
    }

    /// Keeps what is left for the next chunk.
    pub(crate) fn end(mut self) {
        self.kept.drain(..self.kept_done);
        self.kept.extend_from_slice(self.input);
        if self.kept.is_empty() {
            // An idle connection holds no buffer.
            self.kept = Vec::new();
        }
        self.frames.kept = self.kept;
    }

    #[expect(clippy::wrong_self_convention, reason = "where the bytes come from, not what they become")]
    fn from_input(&mut self) -> Result<Option<Piece<'_>>, WireError> {
        let Some(length) = self.length(self.input)? else { return Ok(None) };
        if length > Frames::WHOLE_MAX && !self.frames.gathering {
            return Ok(Some(Piece::Long { tag: self.input.first().copied().unwrap_or(0), length }));
        }
        match self.input.split_at_checked(length) {
            Some((raw, rest)) => {
                self.frames.gathering = false;
                self.input = rest;
                Ok(frame(raw).map(Piece::Frame))
            }
            None => Ok(None),
        }
    }

    /// Completes the message at the head of the kept bytes: its length when it is whole, or when it is long and only
    /// its head is there.
    fn complete_kept(&mut self) -> Result<Option<usize>, WireError> {
        if self.kept.len() - self.kept_done < HEAD {
            self.refill(HEAD);
        }
        let Some(length) = self.length(self.kept.get(self.kept_done..).unwrap_or(&[]))? else { return Ok(None) };
        if length > Frames::WHOLE_MAX && !self.frames.gathering {
            return Ok(Some(length));
        }
        self.refill(length);
        Ok((self.kept.len() - self.kept_done >= length).then_some(length))
    }

    /// Moves bytes from the input until `wanted` are kept beyond those handed out.
    fn refill(&mut self, wanted: usize) {
        let missing = wanted.saturating_sub(self.kept.len() - self.kept_done).min(self.input.len());
        let (head, rest) = self.input.split_at_checked(missing).unwrap_or((&[], self.input));
        self.kept.extend_from_slice(head);
        self.input = rest;
    }

    fn part(&mut self) -> Option<Piece<'_>> {
        let from = self.kept_done;
        let kept = (self.kept.len() - from).min(self.frames.streaming);
        if kept > 0 {
            self.kept_done += kept;
            self.frames.streaming -= kept;
            return self.kept.get(from..self.kept_done).map(Piece::Part);
        }
        let take = self.frames.streaming.min(self.input.len());
        if take == 0 {
            return None;
        }
        let (part, rest) = self.input.split_at_checked(take)?;
        self.input = rest;
        self.frames.streaming -= take;
        Some(Piece::Part(part))
    }

    /// Total length of the message at the start of `bytes`, type byte included, once its head is there.
    fn length(&self, bytes: &[u8]) -> Result<Option<usize>, WireError> {
        let Some(field) = bytes.get(1..HEAD).and_then(|field| field.first_chunk::<4>()) else { return Ok(None) };
        let stated = i32::from_be_bytes(*field);
        usize::try_from(stated)
            .ok()
            .filter(|length| (4..=self.frames.limit).contains(length))
            .and_then(|length| length.checked_add(1))
            .map(Some)
            .ok_or_else(|| WireError::Length { length: i64::from(stated), min: 4, max: self.frames.limit })
    }
}

/// The messages in bytes that are nothing but whole messages.
pub(crate) fn whole_frames(mut bytes: &[u8]) -> impl Iterator<Item = Frame<'_>> {
    std::iter::from_fn(move || {
        let field = bytes.get(1..HEAD)?.first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*field)).ok()?.checked_add(1)?;
        let (raw, rest) = bytes.split_at_checked(length)?;
        bytes = rest;
        frame(raw)
    })
}

fn frame(raw: &[u8]) -> Option<Frame<'_>> {
    Some(Frame { tag: *raw.first()?, body: raw.get(HEAD..)?, raw })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Writer::message(&mut out, tag).raw(body);
        out
    }

    /// Splits `stream`, delivered in chunks of `size`, gathering long messages or streaming them.
    fn split(stream: &[u8], size: usize, limit: usize, gather: bool) -> Result<Vec<Vec<u8>>, WireError> {
        let mut frames = Frames::new(limit);
        let mut out: Vec<Vec<u8>> = Vec::new();
        let mut open = 0usize;
        for piece in stream.chunks(size) {
            let mut chunk = frames.chunk(piece);
            loop {
                let decision = match chunk.next()? {
                    None => break,
                    Some(Piece::Frame(frame)) => {
                        out.push(frame.raw.to_vec());
                        None
                    }
                    Some(Piece::Long { length, .. }) => Some(length),
                    Some(Piece::Part(part)) => {
                        out.last_mut().unwrap().extend_from_slice(part);
                        open -= part.len();
                        None
                    }
                };
                match decision {
                    None => {}
                    Some(_) if gather => chunk.gather(),
                    Some(length) => {
                        assert_eq!(open, 0);
                        open = length;
                        out.push(Vec::new());
                        chunk.stream(length);
                    }
                }
            }
            chunk.end();
        }
        assert!(frames.at_boundary());
        Ok(out)
    }

    #[test]
    fn who_feeds_what_is_wanted_takes_one_message_at_a_time() {
        let messages = [message(b'Q', b"select 1\0"), message(b'S', b""), message(b'd', &[7; 9000])];
        let mut stream = messages.concat();
        let mut frames = Frames::new(usize::MAX);
        for expected in messages {
            let before = stream.len();
            let mut found = None;
            while found.is_none() {
                let piece: Vec<u8> = stream.drain(..frames.wanted().min(4096)).collect();
                let mut chunk = frames.chunk(&piece);
                if let Some(Piece::Frame(frame)) = chunk.next().unwrap() {
                    found = Some(frame.raw.to_vec());
                }
                chunk.end();
            }
            assert_eq!(found, Some(expected.clone()));
            assert_eq!(before - stream.len(), expected.len());
        }
        assert!(stream.is_empty() && frames.at_boundary());
    }

    #[test]
    fn any_chunking_gives_the_same_messages() {
        let long = vec![7u8; Frames::WHOLE_MAX + 10];
        let messages = [message(b'Q', b"select 1\0"), message(b'S', b""), message(b'd', &long), message(b'X', b"abc")];
        let stream = messages.concat();
        for size in [1, 2, 3, 4, 5, 6, 7, 11, 64 * 1024, stream.len()] {
            for gather in [true, false] {
                let got = split(&stream, size, usize::MAX, gather).unwrap();
                assert!(got == messages, "chunks of {size}, gather {gather}");
            }
        }
    }

    #[test]
    fn a_run_is_what_lies_whole_in_the_input() {
        let (row, other) = (message(b'D', b"abc"), message(b'C', b"SELECT 2"));
        let long = message(b'D', &vec![7u8; Frames::WHOLE_MAX]);
        let stream = [&row[..], &row, &row, &other, &row, &long].concat();
        let mut frames = Frames::new(usize::MAX);
        // Cut in the second row.
        let mut chunk = frames.chunk(&stream[..12]);
        assert_eq!(chunk.run(b'C', u64::MAX), None);
        assert_eq!(chunk.run(b'D', u64::MAX), Some((&row[..], 1)));
        assert_eq!(chunk.run(b'D', u64::MAX), None);
        assert_eq!(chunk.next(), Ok(None));
        chunk.end();
        let mut chunk = frames.chunk(&stream[12..]);
        assert_eq!(chunk.run(b'D', u64::MAX), None, "the rest of the second row was kept and comes first");
        assert!(matches!(chunk.next(), Ok(Some(Piece::Frame(Frame { tag: b'D', .. })))));
        assert_eq!(chunk.run(b'D', u64::MAX), Some((&row[..], 1)));
        assert_eq!(chunk.run(b'D', u64::MAX), None);
        assert!(matches!(chunk.next(), Ok(Some(Piece::Frame(Frame { tag: b'C', .. })))));
        assert_eq!(chunk.run(b'D', u64::MAX), Some((&row[..], 1)));
        assert_eq!(chunk.run(b'D', u64::MAX), None);
        assert!(matches!(chunk.next(), Ok(Some(Piece::Long { tag: b'D', .. }))));
    }

    #[test]
    fn a_reader_may_stop_and_go_on_later() {
        let messages = [message(b'Q', b"one"), message(b'Q', b"two"), message(b'Q', b"three")];
        let stream = messages.concat();
        let mut frames = Frames::new(usize::MAX);
        let mut out = Vec::new();
        // One message per turn, whatever arrived.
        for piece in [&stream[..12], &stream[12..], &[], &[]] {
            let mut chunk = frames.chunk(piece);
            if let Some(Piece::Frame(frame)) = chunk.next().unwrap() {
                out.push(frame.raw.to_vec());
            }
            chunk.end();
        }
        assert_eq!(out, messages);
        assert!(frames.at_boundary());
    }

    #[test]
    fn lengths_outside_the_limit_are_refused_before_the_body() {
        for stated in [-1i32, 0, 3, 101, i32::MAX, i32::MIN] {
            let mut stream = vec![b'Q'];
            stream.extend_from_slice(&stated.to_be_bytes());
            assert!(matches!(split(&stream, 64, 100, true), Err(WireError::Length { .. })), "{stated}");
        }
    }

    #[test]
    fn a_body_must_be_used_up() {
        let mut reader = Reader::new(b"ab\0c");
        assert_eq!(reader.text(), Ok("ab"));
        assert_eq!(reader.finish(), Err(WireError::Trailing(1)));
        assert_eq!(Reader::new(b"ab").text(), Err(WireError::Unterminated));
        assert_eq!(Reader::new(&[0xff, 0]).text(), Err(WireError::NotUtf8));
        assert_eq!(Reader::new(&[0xff, 0xff, 0, 0]).count(4, "values"), Err(WireError::Short("values")));
    }
}
