//! A zip file whose files are not compressed (PKWARE APPNOTE.TXT 6.3.10): what a log is handed on in. Any tool opens
//! what is written here; what is read here must be as plain as what is written.

use thiserror::Error;

/// Why an archive was not written or not read.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum ArchiveError {
    #[error("it has too many files, or they are too long, for a zip file without extensions")]
    TooLong,
    #[error("it is not a zip file of plain files: {0}")]
    Shape(&'static str),
    #[error("a file in it is damaged")]
    Damaged,
}

const LOCAL: [u8; 4] = *b"PK\x03\x04";
const CENTRAL: [u8; 4] = *b"PK\x01\x02";
const END: [u8; 4] = *b"PK\x05\x06";
/// Version 2.0 of the format, names in UTF-8, not compressed, at the earliest time there is: the same files always
/// give the same archive.
const HOW: [u8; 10] = [20, 0, 0, 8, 0, 0, 0, 0, 33, 0];

/// Writes an archive piece by piece.
#[derive(Debug, Default)]
pub(crate) struct ArchiveWriter {
    written: u32,
    directory: Vec<u8>,
    count: u16,
}

impl ArchiveWriter {
    /// The bytes to write for one more file: what goes before its contents. The contents follow as they are.
    pub(crate) fn file(&mut self, name: &str, contents: &[u8]) -> Result<Vec<u8>, ArchiveError> {
        let length = u32::try_from(contents.len()).map_err(|_| ArchiveError::TooLong)?;
        let name_length = u16::try_from(name.len()).map_err(|_| ArchiveError::TooLong)?;
        let mut about = HOW.to_vec();
        about.extend(crc32(contents).to_le_bytes());
        about.extend(length.to_le_bytes());
        about.extend(length.to_le_bytes());
        about.extend(name_length.to_le_bytes());
        about.extend([0, 0]);
        let mut out = LOCAL.to_vec();
        out.extend(&about);
        out.extend(name.as_bytes());

        self.directory.extend(CENTRAL);
        self.directory.extend([20, 0]);
        self.directory.extend(&about);
        self.directory.extend([0; 10]);
        self.directory.extend(self.written.to_le_bytes());
        self.directory.extend(name.as_bytes());
        self.count = self.count.checked_add(1).ok_or(ArchiveError::TooLong)?;
        let head = u32::try_from(out.len()).map_err(|_| ArchiveError::TooLong)?;
        self.written =
            self.written.checked_add(head).and_then(|at| at.checked_add(length)).ok_or(ArchiveError::TooLong)?;
        Ok(out)
    }

    /// The last bytes: the directory.
    pub(crate) fn end(mut self) -> Result<Vec<u8>, ArchiveError> {
        let length = u32::try_from(self.directory.len()).map_err(|_| ArchiveError::TooLong)?;
        self.directory.extend(END);
        self.directory.extend([0; 4]);
        self.directory.extend(self.count.to_le_bytes());
        self.directory.extend(self.count.to_le_bytes());
        self.directory.extend(length.to_le_bytes());
        self.directory.extend(self.written.to_le_bytes());
        self.directory.extend([0, 0]);
        Ok(self.directory)
    }
}

/// The contents of a file in an archive; `None` when there is none of that name.
pub(crate) fn file_in<'a>(archive: &'a [u8], wanted: &str) -> Result<Option<&'a [u8]>, ArchiveError> {
    let mut directory = directory(archive)?;
    while !directory.is_empty() {
        let number = |at: usize| directory.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_le_bytes);
        let short = |at: usize| directory.get(at..at.checked_add(2)?)?.try_into().ok().map(u16::from_le_bytes);
        let entry = || {
            let (crc, length, stored) = (number(16)?, number(24)?, number(20)?);
            let (name_length, extra, comment) = (short(28)?, short(30)?, short(32)?);
            let at = number(42)?;
            let name_end = 46usize.checked_add(usize::from(name_length))?;
            let name = directory.get(46..name_end)?;
            let next = name_end.checked_add(usize::from(extra))?.checked_add(usize::from(comment))?;
            let plain = directory.starts_with(&CENTRAL) && short(10)? == 0 && length == stored;
            plain.then_some((crc, length, at, name, next))
        };
        let (crc, length, at, name, next) = entry().ok_or(ArchiveError::Shape("its directory is damaged"))?;
        if name == wanted.as_bytes() {
            return contents(archive, at, length)
                .filter(|bytes| crc32(bytes) == crc)
                .map(Some)
                .ok_or(ArchiveError::Damaged);
        }
        directory = directory.get(next..).ok_or(ArchiveError::Shape("its directory ends early"))?;
    }
    Ok(None)
}

/// What stands between the files and the end.
fn directory(archive: &[u8]) -> Result<&[u8], ArchiveError> {
    const TAIL: usize = 22;
    let find = || {
        let before = archive.len().checked_sub(TAIL)?;
        let tail = archive.get(before..).filter(|tail| tail.starts_with(&END))?;
        let number = |at: usize| tail.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_le_bytes);
        let (length, at) = (usize::try_from(number(12)?).ok()?, usize::try_from(number(16)?).ok()?);
        archive.get(at..at.checked_add(length)?).filter(|_| at.checked_add(length) == Some(before))
    };
    find().ok_or(ArchiveError::Shape("its end is missing"))
}

fn contents(archive: &[u8], at: u32, length: u32) -> Option<&[u8]> {
    let head = archive.get(usize::try_from(at).ok()?..)?;
    let short = |at: usize| head.get(at..at.checked_add(2)?)?.try_into().ok().map(u16::from_le_bytes);
    let start = 30usize.checked_add(usize::from(short(26)?))?.checked_add(usize::from(short(28)?))?;
    head.get(start..start.checked_add(usize::try_from(length).ok()?)?).filter(|_| head.starts_with(&LOCAL))
}

/// The checksum of zip files (ISO 3309), a byte at a time. Against accidents only: what the log's tree says counts.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = ArchiveWriter::default();
        let mut out = Vec::new();
        for (name, contents) in files {
            out.extend(writer.file(name, contents).unwrap());
            out.extend_from_slice(contents);
        }
        out.extend(writer.end().unwrap());
        out
    }

    #[test]
    fn files_come_back_as_they_were() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        let bytes = archive(&[("checkpoint", b"one"), ("tile/0/000", &[0; 100]), ("empty", b"")]);
        assert_eq!(file_in(&bytes, "checkpoint"), Ok(Some(&b"one"[..])));
        assert_eq!(file_in(&bytes, "tile/0/000"), Ok(Some(&[0; 100][..])));
        assert_eq!(file_in(&bytes, "empty"), Ok(Some(&b""[..])));
        assert_eq!(file_in(&bytes, "tile"), Ok(None));
        assert_eq!(file_in(&archive(&[]), "x"), Ok(None));
    }

    #[test]
    fn damage_is_noticed_and_never_worse_than_that() {
        let bytes = archive(&[("checkpoint", b"one two three")]);
        for cut in 0..bytes.len() {
            assert!(file_in(&bytes[..cut], "checkpoint").is_err(), "{cut}");
        }
        let mut changed = bytes.clone();
        let at = changed.windows(3).position(|window| window == b"two").unwrap();
        changed[at] = b'T';
        assert_eq!(file_in(&changed, "checkpoint"), Err(ArchiveError::Damaged));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0xff;
            let _ = file_in(&changed, "checkpoint");
        }
    }
}
