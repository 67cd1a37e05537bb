//! The file operations a journal needs, behind a small trait so that a test can make each of them fail.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

use rustix::fs::FallocateFlags;

use crate::runtime::files;

/// A folder of files, all for the owner only.
pub(super) trait Folder: Debug + Send + Sync {
    /// The names in it.
    fn names(&self) -> io::Result<Vec<String>>;
    /// Makes a file of `length` zeros whose room on the disk is set aside. What was there under the name is lost.
    fn create(&self, name: &str, length: u64) -> io::Result<Box<dyn Slot>>;
    fn open(&self, name: &str) -> io::Result<Box<dyn Slot>>;
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// A file that is not there counts as removed.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes creations, renames and removals durable.
    fn sync(&self) -> io::Result<()>;
}

/// One file.
pub(super) trait Slot: Debug + Send + Sync {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Reads until the buffer is full or the file ends; returns how much.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Makes the contents durable.
    fn sync(&self) -> io::Result<()>;
    fn length(&self) -> io::Result<u64>;
}

/// A folder of the file system.
#[derive(Debug)]
pub(super) struct RealFolder {
    path: PathBuf,
    /// New files are filled with zeros, and not only given their length.
    filled: bool,
    /// Held as long as the folder is in use: a second writer would ruin both's numbers.
    _lock: File,
}

impl RealFolder {
    /// Creates the folder if there is none. `None` when another process uses it, or has removed it in the meantime.
    pub(super) fn open(path: PathBuf, filled: bool) -> io::Result<Option<Self>> {
        match files::create_private_dir(&path) {
            // Made and removed by others while we looked.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
            other => other?,
        }
        let Some(mode) = there(fs::metadata(&path))?.map(|folder| folder.mode()) else { return Ok(None) };
        if mode & 0o077 != 0 {
            let text = format!("other users may enter it; run: chmod 700 {}", path.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        let file = path.join("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&file);
        let Some(lock) = there(lock)? else { return Ok(None) };
        match lock.try_lock() {
            // Whoever held it may have removed the folder with it: then the lock is on a file that is nowhere.
            Ok(()) => {
                let held = lock.metadata()?.ino();
                let found = there(fs::metadata(&file))?.map(|found| found.ino());
                Ok((found == Some(held)).then_some(Self { path, filled, _lock: lock }))
            }
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }
}

/// What is not there is an answer.
fn there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl Folder for RealFolder {
    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            // A name that is no text is none of ours.
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn create(&self, name: &str, length: u64) -> io::Result<Box<dyn Slot>> {
        let path = self.path.join(name);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        let made = set_aside(&file, length, self.filled).and_then(|()| file.sync_all());
        if let Err(error) = made {
            // The first error is the one that matters.
            drop(fs::remove_file(&path));
            return Err(error);
        }
        Ok(Box::new(RealSlot(file)))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Slot>> {
        let file = OpenOptions::new().read(true).write(true).open(self.path.join(name))?;
        Ok(Box::new(RealSlot(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.path.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

/// Gives a new file its length, with blocks of its own, so that writing within it needs no room later; filled with zeros
/// where that is asked for, or where there is no other way.
fn set_aside(file: &File, length: u64, filled: bool) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, length) {
        Ok(()) if filled => fill(file, length),
        Ok(()) => Ok(()),
        // A file system without the call gets zeros the long way.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => fill(file, length),
        Err(error) => Err(error.into()),
    }
}

fn fill(file: &File, length: u64) -> io::Result<()> {
    let zeros = vec![0u8; 64 * 1024];
    let mut offset = 0;
    while offset < length {
        let count = usize::try_from(length - offset).unwrap_or(zeros.len()).min(zeros.len());
        file.write_all_at(zeros.get(..count).unwrap_or(&zeros), offset)?;
        offset += u64::try_from(count).unwrap_or(u64::MAX);
    }
    Ok(())
}

#[derive(Debug)]
struct RealSlot(File);

impl Slot for RealSlot {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn read_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while !buffer.is_empty() {
            let count = match self.0.read_at(buffer, offset) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            done += count;
            offset = offset.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
            buffer = std::mem::take(&mut buffer).get_mut(count..).unwrap_or_default();
        }
        Ok(done)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_removed_while_it_is_opened_is_no_fault() {
        let root = std::env::temp_dir().join(format!("gov-journal-race-{}", std::process::id()));
        drop(fs::remove_dir_all(&root));
        fs::create_dir_all(&root).unwrap();
        std::thread::scope(|scope| {
            let opens =
                || (0..4000).for_each(|name| drop(RealFolder::open(root.join(name.to_string()), false).unwrap()));
            let openers = [scope.spawn(opens), scope.spawn(opens)];
            while openers.iter().any(|opener| !opener.is_finished()) {
                for entry in fs::read_dir(&root).unwrap() {
                    let path = entry.unwrap().path();
                    if path.extension().is_none()
                        && let Ok(Some(held)) = RealFolder::open(path.clone(), false)
                    {
                        // A name is used twice here, so that the one being removed may be there again.
                        drop(fs::rename(&path, path.with_extension("done")));
                        drop(fs::remove_dir_all(path.with_extension("done")));
                        drop(held);
                    }
                }
            }
        });
        drop(fs::remove_dir_all(&root));
    }
}
