//! Signed notes (c2sp.org/signed-note), checkpoints (tlog-checkpoint) and cosignatures (tlog-cosignature).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::signature::{ED25519, UnparsedPublicKey};
use thiserror::Error;

use super::seal::{SealError, Signer};
use super::tree::Head;
use crate::domain::{Digest, PublicKey, Timestamp};

/// Longest note that is read. A checkpoint with sixteen post-quantum signatures of 5 kB would fit.
pub(crate) const NOTE_MAX: usize = 100_000;

/// Most signatures of a note that are read. The specification asks for 16 at least.
const SIGNATURES_MAX: usize = 32;

/// Longest name of a key or an origin: a byte counts it in newer cosignatures.
const NAME_MAX: usize = 255;

/// Why a note was refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum NoteError {
    #[error("it is not a signed note: {0}")]
    Shape(&'static str),
    #[error("it is not a checkpoint: {0}")]
    Checkpoint(&'static str),
    #[error("it is a checkpoint of `{0}`")]
    Origin(String),
    #[error("it is not signed by `{0}`")]
    Unsigned(String),
    #[error("the signature by `{0}` is wrong")]
    Signature(String),
    #[error("it is not a verifier key")]
    VerifierKey,
    #[error("`{0}` cannot be the name of a key")]
    Name(String),
}

/// How a key signs notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// The note's text.
    Ed25519,
    /// A checkpoint's text and the time: a witness.
    Cosignature,
}

impl Algorithm {
    /// The specification's signature type.
    fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::Cosignature => 0x04,
        }
    }
}

/// The public side of a key that signs notes, as it is handed around.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NoteKey {
    pub(crate) name: String,
    pub(crate) algorithm: Algorithm,
    pub(crate) public: PublicKey,
}

impl NoteKey {
    pub(crate) fn new(name: &str, algorithm: Algorithm, public: PublicKey) -> Result<Self, NoteError> {
        let odd = |symbol: char| symbol.is_whitespace() || symbol.is_control() || symbol == '+';
        if name.is_empty() || name.len() > NAME_MAX || name.contains(odd) {
            return Err(NoteError::Name(name.chars().take(80).collect()));
        }
        Ok(Self { name: name.to_owned(), algorithm, public })
    }

    /// Reads `name+id+key`.
    pub(crate) fn parse(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(_), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::VerifierKey);
        };
        let bytes = BASE64.decode(key).map_err(|_| NoteError::VerifierKey)?;
        let (byte, public) = bytes.split_first().ok_or(NoteError::VerifierKey)?;
        let algorithm = [Algorithm::Ed25519, Algorithm::Cosignature].into_iter().find(|known| known.byte() == *byte);
        let public = public.try_into().map(PublicKey).map_err(|_| NoteError::VerifierKey)?;
        let key = Self::new(name, algorithm.ok_or(NoteError::VerifierKey)?, public)?;
        // The id in the middle must be the key's own.
        if key.text() == text { Ok(key) } else { Err(NoteError::VerifierKey) }
    }

    /// `name+id+key`.
    pub(crate) fn text(&self) -> String {
        let [a, b, c, d] = self.id();
        let key: Vec<u8> = std::iter::once(self.algorithm.byte()).chain(self.public.0).collect();
        format!("{}+{a:02x}{b:02x}{c:02x}{d:02x}+{}", self.name, BASE64.encode(key))
    }

    fn id(&self) -> [u8; 4] {
        let mut input = self.name.clone().into_bytes();
        input.extend_from_slice(&[b'\n', self.algorithm.byte()]);
        input.extend_from_slice(&self.public.0);
        let Digest([a, b, c, d, ..]) = super::seal::digest(&input);
        [a, b, c, d]
    }

    /// The line that says that this key has made this signature.
    fn line(&self, signature: &[u8]) -> String {
        let bytes: Vec<u8> = self.id().into_iter().chain(signature.iter().copied()).collect();
        format!("— {} {}\n", self.name, BASE64.encode(bytes))
    }
}

/// A note that was read. No signature has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    /// What is signed, with its last newline.
    pub(crate) text: String,
    signatures: Vec<Signature>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Signature {
    name: String,
    id: [u8; 4],
    bytes: Vec<u8>,
}

impl Note {
    pub(crate) fn read(note: &str) -> Result<Self, NoteError> {
        if note.len() > NOTE_MAX {
            return Err(NoteError::Shape("it is too long"));
        }
        if note.chars().any(|symbol| symbol < ' ' && symbol != '\n') {
            return Err(NoteError::Shape("it has control characters"));
        }
        let (text, lines) = note.rsplit_once("\n\n").ok_or(NoteError::Shape("it has no signatures"))?;
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Shape("it does not end with a newline"))?;
        let signatures = lines.split('\n').map(signature).collect::<Option<Vec<_>>>();
        let signatures = signatures.ok_or(NoteError::Shape("a line is no signature"))?;
        if signatures.len() > SIGNATURES_MAX {
            return Err(NoteError::Shape("it has too many signatures"));
        }
        Ok(Self { text: format!("{text}\n"), signatures })
    }

    /// Checks the signature of `key`; a cosignature's time comes with it.
    pub(crate) fn verify(&self, key: &NoteKey) -> Result<Option<Timestamp>, NoteError> {
        let mut found = Err(NoteError::Unsigned(key.name.clone()));
        for signature in
            self.signatures.iter().filter(|signature| signature.name == key.name && signature.id == key.id())
        {
            // One that is wrong spoils the note, even beside one that is right.
            found = Ok(check(key, &self.text, &signature.bytes).ok_or_else(|| NoteError::Signature(key.name.clone()))?);
        }
        found
    }
}

fn signature(line: &str) -> Option<Signature> {
    let (name, encoded) = line.strip_prefix("— ")?.split_once(' ')?;
    let odd = |symbol: char| symbol.is_whitespace() || symbol == '+';
    let bytes = BASE64.decode(encoded).ok()?;
    let (id, bytes) = bytes.split_first_chunk::<4>()?;
    let valid = !name.is_empty() && !name.contains(odd) && !bytes.is_empty();
    let name = name.to_owned();
    valid.then(|| Signature { name, id: *id, bytes: bytes.to_vec() })
}

fn check(key: &NoteKey, text: &str, bytes: &[u8]) -> Option<Option<Timestamp>> {
    let (message, time, signature) = match key.algorithm {
        Algorithm::Ed25519 => (text.to_owned(), None, bytes),
        Algorithm::Cosignature => {
            let (seconds, signature) = bytes.split_first_chunk::<8>()?;
            let seconds = u64::from_be_bytes(*seconds);
            (cosigned_text(seconds, text), Some(Timestamp::from_seconds(seconds)), signature)
        }
    };
    UnparsedPublicKey::new(&ED25519, &key.public.0).verify(message.as_bytes(), signature).ok().map(|()| time)
}

fn cosigned_text(seconds: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {seconds}\n{text}")
}

/// A secret key that signs notes under a name.
#[derive(Clone, Debug)]
pub(crate) struct NoteSigner {
    signer: Signer,
    key: NoteKey,
}

impl NoteSigner {
    pub(crate) fn new(name: &str, algorithm: Algorithm, signer: Signer) -> Result<Self, NoteError> {
        let key = NoteKey::new(name, algorithm, signer.public())?;
        Ok(Self { signer, key })
    }

    pub(crate) fn key(&self) -> &NoteKey {
        &self.key
    }

    /// The signature line for a text that ends with a newline.
    pub(crate) fn sign(&self, text: &str, now: Timestamp) -> Result<String, SealError> {
        match self.key.algorithm {
            Algorithm::Ed25519 => Ok(self.key.line(&self.signer.sign_bytes(text.as_bytes())?)),
            Algorithm::Cosignature => {
                let seconds = now.seconds();
                let signature = self.signer.sign_bytes(cosigned_text(seconds, text).as_bytes())?;
                Ok(self.key.line(&[seconds.to_be_bytes().as_slice(), &signature].concat()))
            }
        }
    }
}

/// What a log says its tree is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) origin: String,
    pub(crate) head: Head,
}

impl Checkpoint {
    /// The text that is signed.
    pub(crate) fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.head.size, BASE64.encode(self.head.root.0))
    }

    /// Reads a note's text. Extension lines are allowed and mean nothing.
    pub(crate) fn parse(text: &str) -> Result<Self, NoteError> {
        let mut lines = text.strip_suffix('\n').ok_or(NoteError::Checkpoint("it does not end"))?.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(NoteError::Checkpoint("it has fewer than three lines"));
        };
        if origin.is_empty() || origin.len() > NAME_MAX || lines.any(str::is_empty) {
            return Err(NoteError::Checkpoint("a line is empty"));
        }
        let size = tree_size(size).ok_or(NoteError::Checkpoint("its size is no number"))?;
        let root = BASE64.decode(root).ok().and_then(|root| root.try_into().ok());
        let root = root.map(Digest).ok_or(NoteError::Checkpoint("its root is no hash"))?;
        Ok(Self { origin: origin.to_owned(), head: Head { size, root } })
    }

    /// The checkpoint in a note that `key` has signed, for the log the key is named after.
    pub(crate) fn open(note: &Note, key: &NoteKey) -> Result<Self, NoteError> {
        note.verify(key)?;
        let checkpoint = Self::parse(&note.text)?;
        if checkpoint.origin == key.name { Ok(checkpoint) } else { Err(NoteError::Origin(checkpoint.origin)) }
    }
}

/// A size without a sign and without leading zeros, as these formats write it.
pub(crate) fn tree_size(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Secret;

    fn signer(name: &str, algorithm: Algorithm, seed: u8) -> NoteSigner {
        NoteSigner::new(name, algorithm, Signer::new(Secret::new([seed; 32])).unwrap()).unwrap()
    }

    fn checkpoint() -> Checkpoint {
        Checkpoint { origin: "gov.example/log".to_owned(), head: Head { size: 7, root: Digest([5; 32]) } }
    }

    /// The example of c2sp.org/signed-note.
    #[test]
    fn the_specifications_note_is_verified() {
        let key = NoteKey::parse("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k").unwrap();
        let note = "This is an example message.\n\n\
            — example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
        let read = Note::read(note).unwrap();
        assert_eq!((read.text.as_str(), read.verify(&key)), ("This is an example message.\n", Ok(None)));
        let other = Note::read(&note.replace("example m", "sample m")).unwrap();
        assert_eq!(other.verify(&key), Err(NoteError::Signature("example.com/foo".to_owned())));
        let renamed = NoteKey { name: "example.com/bar".to_owned(), ..key };
        assert_eq!(read.verify(&renamed), Err(NoteError::Unsigned("example.com/bar".to_owned())));
    }

    #[test]
    fn checkpoints_are_signed_and_cosigned() {
        let log = signer("gov.example/log", Algorithm::Ed25519, 1);
        let witness = signer("witness.example", Algorithm::Cosignature, 2);
        let now = Timestamp::from_seconds(1_795_356_621);
        let text = checkpoint().text();
        let note = format!("{text}\n{}{}", log.sign(&text, now).unwrap(), witness.sign(&text, now).unwrap());
        let note = Note::read(&note).unwrap();
        assert_eq!(Checkpoint::open(&note, log.key()), Ok(checkpoint()));
        assert_eq!(note.verify(witness.key()), Ok(Some(now)));
        let elsewhere = signer("other.example/log", Algorithm::Ed25519, 1);
        assert_eq!(Checkpoint::open(&note, elsewhere.key()), Err(NoteError::Unsigned("other.example/log".to_owned())));
        let note = Note::read(&format!("{text}\n{}", elsewhere.sign(&text, now).unwrap())).unwrap();
        assert_eq!(Checkpoint::open(&note, elsewhere.key()), Err(NoteError::Origin("gov.example/log".to_owned())));
        for signer in [log, witness] {
            assert_eq!(NoteKey::parse(&signer.key().text()).as_ref(), Ok(signer.key()));
        }
    }

    #[test]
    fn odd_notes_keys_and_checkpoints_are_refused() {
        let line = signer("a", Algorithm::Ed25519, 1).sign("x\n", Timestamp::default()).unwrap();
        for bad in [
            String::new(),
            "x\n".to_owned(),
            format!("x\n{line}"),
            format!("x\n\n{}", line.trim_end()),
            format!("x\n\n{line}\n"),
            format!("x\t\n\n{line}"),
            format!("x\n\n{line}rest\n"),
            format!("x\n\n{}", line.replace("— ", "- ")),
            format!("x\n\n{}", line.repeat(SIGNATURES_MAX + 1)),
            format!("x\n\n{}", line.replace('=', "")),
            format!("{}\n\n{line}", "x".repeat(NOTE_MAX)),
        ] {
            assert!(Note::read(&bad).is_err(), "{bad}");
        }
        let good = checkpoint().text();
        assert_eq!(Checkpoint::parse(&good), Ok(checkpoint()));
        assert_eq!(Checkpoint::parse(&format!("{good}extension\n")), Ok(checkpoint()));
        for bad in [
            String::new(),
            good.replace("\n7\n", "\n07\n"),
            good.replace("\n7\n", "\n+7\n"),
            good.replace("\n7\n", "\n-7\n"),
            good.replace("BQUF", "BQU"),
            good.trim_end().to_owned(),
            format!("{good}\n"),
            format!("\n{good}"),
        ] {
            assert!(Checkpoint::parse(&bad).is_err(), "{bad}");
        }
        let key = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
        for bad in
            [key.replace("530d", "530e"), key.replace("+AekY", "+"), key.replace("foo", "fo o"), key.replace('+', "-")]
        {
            assert!(NoteKey::parse(&bad).is_err() || bad == key, "{bad}");
        }
    }
}
