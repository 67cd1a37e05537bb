//! Files that must not be lost and must not be read by others.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

/// Writes a file so that after a crash either the old or the new contents are there, whole, readable by the owner
/// only.
///
/// A temporary file in the same folder is written and synced, renamed over the old one, and then the folder itself is
/// synced: without the last step the rename may be lost (`fsync(2)`, notes).
pub(crate) fn write_private(path: &Path, contents: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or_else(|| io::Error::other("the path has no folder"))?;
    create_private_dir(folder)?;
    let name = path.file_name().ok_or_else(|| io::Error::other("the path has no file name"))?;
    let mut temporary = name.to_os_string();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = folder.join(temporary);
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        // The mode above counts only when the file is new.
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        file.write_all(contents)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(folder)?.sync_all()
    })();
    if written.is_err() {
        // The error that matters is the first one.
        drop(fs::remove_file(&temporary));
    }
    written
}

/// Something that takes long to write and is there whole or not at all: it grows under another name beside its place,
/// and takes its own when it is finished. What was in that place is never touched. Dropped unfinished, it is gone.
#[derive(Debug)]
pub(crate) struct Appearing {
    place: PathBuf,
    growing: PathBuf,
}

impl Appearing {
    /// A file, which the caller writes.
    pub(crate) fn file(place: &Path) -> io::Result<(Self, File)> {
        let appearing = Self::at(place)?;
        let file = File::create_new(&appearing.growing)?;
        Ok((appearing, file))
    }

    /// A folder, which the caller fills.
    pub(crate) fn folder(place: &Path) -> io::Result<Self> {
        let appearing = Self::at(place)?;
        create_private_dir(&appearing.growing)?;
        Ok(appearing)
    }

    fn at(place: &Path) -> io::Result<Self> {
        // Better told before the work than after it.
        if place.symlink_metadata().is_ok() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "something of that name is there already"));
        }
        let name = place.file_name().ok_or_else(|| io::Error::other("the path has no file name"))?;
        let mut growing = name.to_os_string();
        growing.push(format!(".{}.part", std::process::id()));
        Ok(Self { place: place.to_owned(), growing: place.with_file_name(growing) })
    }

    /// Where it is until it is finished.
    pub(crate) fn growing(&self) -> &Path {
        &self.growing
    }

    /// Gives it its name. A file's bytes must have been synced before, or a power cut leaves the name without them.
    pub(crate) fn finish(self) -> io::Result<()> {
        match renameat_with(CWD, &self.growing, CWD, &self.place, RenameFlags::NOREPLACE) {
            // Not every file system can.
            Err(Errno::INVAL | Errno::NOSYS) if self.place.symlink_metadata().is_err() => {
                fs::rename(&self.growing, &self.place)?;
            }
            renamed => renamed?,
        }
        match self.place.parent() {
            Some(folder) if folder != Path::new("") => File::open(folder)?.sync_all(),
            _ => File::open(".")?.sync_all(),
        }
    }
}

impl Drop for Appearing {
    fn drop(&mut self) {
        // Finished, it is not there any more under this name.
        drop(fs::remove_file(&self.growing).or_else(|_| fs::remove_dir_all(&self.growing)));
    }
}

/// Writes a file that everybody may read, such as a manual page.
#[expect(clippy::disallowed_methods, reason = "neither secret nor precious: it can be made again")]
pub(crate) fn write(path: &Path, contents: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, contents)
}

/// Removes a file. Also succeeds when there is none.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Waits until no other process holds this file, and holds it until the result is dropped. Blocks.
pub(crate) fn lock(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        create_private_dir(folder)?;
    }
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    file.lock()?;
    Ok(file)
}

/// Creates a folder, and those above it, for the owner only. A folder that exists keeps its mode.
pub(crate) fn create_private_dir(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Reads a file of at most `limit` bytes. `None` when it does not exist.
pub(crate) fn read_limited(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut contents = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut contents)?;
    if u64::try_from(contents.len()).unwrap_or(u64::MAX) > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it is longer than {limit} bytes")));
    }
    Ok(Some(contents))
}

/// Reads a secret file. One that others may read is refused: it is no secret any more.
pub(crate) fn read_secret(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.mode() & 0o077 != 0 => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("other users may read it (mode {:o}); run: chmod 600 {}", metadata.mode() & 0o777, path.display()),
        )),
        Ok(_) => read_limited(path, limit),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("gov-files-{}-{name}", std::process::id()));
        drop(fs::remove_dir_all(&path));
        path
    }

    #[test]
    fn private_files_are_private_even_when_they_were_not() {
        let path = folder("private").join("secret");
        write_private(&path, b"one").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(read_secret(&path, 10).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        write_private(&path, b"two").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(read_secret(&path, 10).unwrap().unwrap(), b"two");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn what_is_not_finished_is_not_there() {
        let folder = folder("appearing");
        create_private_dir(&folder).unwrap();
        let names = || {
            let mut names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let place = folder.join("log.zip");
        let (given_up, mut file) = Appearing::file(&place).unwrap();
        file.write_all(b"half").unwrap();
        assert!(!place.exists() && given_up.growing().exists());
        drop(given_up);
        assert!(names().is_empty());
        let (finished, mut file) = Appearing::file(&place).unwrap();
        file.write_all(b"whole").unwrap();
        // Somebody else was faster: theirs stays.
        fs::copy(finished.growing(), folder.join("theirs")).unwrap();
        fs::rename(folder.join("theirs"), &place).unwrap();
        write(finished.growing(), b"late").unwrap();
        assert_eq!(finished.finish().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!((fs::read(&place).unwrap(), names().len()), (b"whole".to_vec(), 1));
        assert_eq!(Appearing::file(&place).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        let tree = Appearing::folder(&folder.join("log")).unwrap();
        write_private(&tree.growing().join("tile/0"), b"x").unwrap();
        tree.finish().unwrap();
        assert_eq!(names(), ["log", "log.zip"]);
        drop(Appearing::folder(&folder.join("other")).unwrap());
        assert_eq!(names().len(), 2, "a folder given up is gone too");
    }

    #[test]
    fn reading_is_bounded() {
        let path = folder("bounded").join("file");
        write_private(&path, b"12345").unwrap();
        assert_eq!(read_limited(&path, 5).unwrap().unwrap(), b"12345");
        assert!(read_limited(&path, 4).is_err());
        assert_eq!(read_limited(&path.with_extension("none"), 4).unwrap(), None);
    }
}
