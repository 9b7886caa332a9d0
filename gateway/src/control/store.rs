//! What the node remembers between runs: one small file, replaced whole, never reset by itself; and the lock that keeps
//! a second gateway away from the same folder.

use super::types::Problem;
use crate::config::Remembered;
use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

const STATE: &str = "state.json";
const LOCK: &str = "gateway.lock";
const SOCKET: &str = "gateway.sock";
const VERSION: u32 = 1;
/// Ids and types of some ten thousand APIs.
const STATE_BYTES_MAX: u64 = 8 << 20;

/// The folder, held by this process as long as this value lives.
#[derive(Debug)]
pub(super) struct Store {
    folder: PathBuf,
    lock: File,
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    version: u32,
    remembered: Remembered,
}

impl Store {
    /// Makes the folder (mode 0700) where it is missing and locks it.
    pub(super) fn open(folder: &Path) -> Result<Self, Problem> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| {
            let mend = "make the folder, or name another one in [control] store";
            Problem::host(format!("the store {} cannot be made: {error}", folder.display()), mend)
        })?;
        close_to_others(folder)?;
        let path = folder.join(LOCK);
        let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let lock = lock.map_err(|error| failed("open", &path, &error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { folder: folder.to_path_buf(), lock }),
            Err(TryLockError::WouldBlock) => Err(Problem::host(
                format!("another gateway runs on the store {}", folder.display()),
                "stop it first (`gateway status` shows its process), or give this one its own [control] store",
            )),
            Err(TryLockError::Error(error)) => Err(failed("lock", &path, &error)),
        }
    }

    /// As `open`, with the lock that an earlier process holds on the same folder and hands over. None: it is another
    /// folder's.
    pub(super) fn adopt(folder: &Path, lock: &File) -> Option<Self> {
        let (held, here) = (lock.metadata().ok()?, std::fs::metadata(folder.join(LOCK)).ok()?);
        let same = (held.dev(), held.ino()) == (here.dev(), here.ino());
        let lock = lock.try_clone().ok().filter(|_| same)?;
        Some(Self { folder: folder.to_path_buf(), lock })
    }

    /// The lock once more: it holds for as long as either descriptor is open.
    pub(super) fn lock(&self) -> std::io::Result<std::os::fd::OwnedFd> {
        self.lock.try_clone().map(Into::into)
    }

    pub(super) fn socket(&self) -> PathBuf {
        socket_path(&self.folder)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn remembered(&self) -> Result<Remembered, Problem> {
        read(&self.folder)
    }

    /// On disk when it returns.
    pub(super) fn remember(&self, remembered: &Remembered) -> Result<(), Problem> {
        let state = State { version: VERSION, remembered: remembered.clone() };
        let mut text =
            serde_json::to_vec_pretty(&state).map_err(|error| failed("write", &self.folder, &error))?;
        text.push(b'\n');
        self.replace(STATE, &text)
    }

    /// On disk when it returns: a crash at any point leaves the old file or the new one.
    pub(super) fn replace(&self, name: &str, text: &[u8]) -> Result<(), Problem> {
        let (new, path) = (self.folder.join(format!("{name}.new")), self.folder.join(name));
        write_new(&new, text).map_err(|error| failed("write", &new, &error))?;
        std::fs::rename(&new, &path).map_err(|error| failed("replace", &path, &error))?;
        sync(&self.folder)
    }
}

/// Gone from the disk when it returns, if it was there.
pub(super) fn remove_file(path: &Path) -> Result<(), Problem> {
    match std::fs::remove_file(path) {
        Ok(()) => path.parent().map_or(Ok(()), sync),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("remove", path, &error)),
    }
}

fn sync(folder: &Path) -> Result<(), Problem> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| failed("sync", folder, &error))
}

pub fn socket_path(folder: &Path) -> PathBuf {
    folder.join(SOCKET)
}

/// What the folder remembers, without locking it. A missing file is an empty memory; a damaged one is an error.
pub(super) fn read(folder: &Path) -> Result<Remembered, Problem> {
    let path = folder.join(STATE);
    let Some(text) = read_file(&path, STATE_BYTES_MAX)? else { return Ok(Remembered::default()) };
    if text.len() as u64 > STATE_BYTES_MAX {
        return Err(damaged(&path, "it is larger than any state that a gateway writes"));
    }
    let state: State = serde_json::from_slice(&text).map_err(|error| damaged(&path, &error.to_string()))?;
    if state.version != VERSION {
        let what = format!("it has version {}, this gateway reads {VERSION}", state.version);
        return Err(damaged(&path, &what));
    }
    Ok(state.remembered)
}

/// None: it is not there. Up to one byte more than the most, so that the caller can tell.
pub(super) fn read_file(path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, Problem> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("read", path, &error)),
    };
    let mut text = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut text).map_err(|error| failed("read", path, &error))?;
    Ok(Some(text))
}

/// The socket and the ids inside are the operator's alone.
fn close_to_others(folder: &Path) -> Result<(), Problem> {
    let metadata = std::fs::metadata(folder).map_err(|error| failed("read", folder, &error))?;
    let mode = metadata.mode() & 0o777;
    if mode & 0o002 != 0 {
        return Err(Problem::host(
            format!("the store {} can be written by everybody (mode {mode:04o})", folder.display()),
            "give the gateway a folder of its own in [control] store",
        ));
    }
    if mode & 0o077 != 0 {
        let closed = std::fs::set_permissions(folder, Permissions::from_mode(0o700));
        closed.map_err(|error| failed("set mode 0700 on", folder, &error))?;
    }
    Ok(())
}

fn write_new(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

fn damaged(path: &Path, why: &str) -> Problem {
    Problem::host(
        format!("the remembered state {} is damaged: {why}", path.display()),
        "restore it from a backup, or move it away: then ids are drawn anew, and endpoint types chosen with \
         `set-endpoint` fall back to those of the files (check that no private API opens by that)",
    )
}

fn failed(verb: &str, path: &Path, error: &dyn std::fmt::Display) -> Problem {
    Problem::host(
        format!("cannot {verb} {}: {error}", path.display()),
        "check the folder's owner, its mode and the free space",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::tests::Folder;
    use crate::model::EndpointType;

    fn remembered() -> Remembered {
        let mut remembered = Remembered::default();
        remembered.ids.insert("orders".into(), "a1b2c3d4e5".into());
        remembered.endpoint_types.insert("orders".into(), EndpointType::Private);
        remembered
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn what_was_remembered_comes_back() {
        let folder = Folder::new();
        let store = Store::open(&folder.path("store/deep")).unwrap();
        assert_eq!(store.remembered().unwrap(), Remembered::default());
        store.remember(&remembered()).unwrap();
        assert_eq!(store.remembered().unwrap(), remembered());
        store.remember(&Remembered::default()).unwrap();
        assert_eq!(store.remembered().unwrap(), Remembered::default());
    }

    #[test]
    fn folder_and_files_are_the_owners_alone() {
        let folder = Folder::new();
        let path = folder.path("store");
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        let store = Store::open(&path).unwrap();
        store.remember(&remembered()).unwrap();
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&path.join(STATE)), 0o600);
        assert_eq!(mode(&path.join(LOCK)), 0o600);
    }

    #[test]
    fn a_folder_that_everybody_writes_is_refused() {
        let folder = Folder::new();
        let path = folder.path("store");
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o777)).unwrap();
        let problem = Store::open(&path).unwrap_err();
        assert!(problem.what.contains("can be written by everybody"), "{problem}");
        assert_eq!(mode(&path), 0o777, "a foreign folder is left alone");
    }

    /// A crash leaves the temporary file half written: the state before it still holds, and the next write works.
    #[test]
    fn a_half_written_state_is_never_read() {
        let folder = Folder::new();
        let store = Store::open(&folder.path("store")).unwrap();
        store.remember(&remembered()).unwrap();
        std::fs::write(folder.path("store").join("state.json.new"), b"{\"version\": 1, \"remem").unwrap();
        assert_eq!(store.remembered().unwrap(), remembered());
        store.remember(&Remembered::default()).unwrap();
        assert_eq!(store.remembered().unwrap(), Remembered::default());
    }

    #[test]
    fn a_damaged_state_is_an_error_and_stays_as_it_is() {
        let folder = Folder::new();
        let store = Store::open(&folder.path("store")).unwrap();
        let path = folder.path("store").join(STATE);
        for text in [
            "",
            "{",
            "[]",
            r#"{"version":1}"#,
            r#"{"version":2,"remembered":{"ids":{},"endpoint_types":{}}}"#,
        ] {
            std::fs::write(&path, text).unwrap();
            let problem = store.remembered().unwrap_err();
            assert!(problem.what.contains("is damaged"), "{text}: {problem}");
            assert!(problem.what.contains("state.json"), "{problem}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn a_state_that_cannot_be_written_is_reported() {
        let folder = Folder::new();
        let store = Store::open(&folder.path("store")).unwrap();
        store.remember(&remembered()).unwrap();
        std::fs::create_dir(folder.path("store").join("state.json.new")).unwrap();
        assert!(store.remember(&Remembered::default()).is_err());
        assert_eq!(store.remembered().unwrap(), remembered());
    }

    #[test]
    fn one_gateway_a_store() {
        let folder = Folder::new();
        let store = Store::open(&folder.path("store")).unwrap();
        let problem = Store::open(&folder.path("store")).unwrap_err();
        assert!(problem.what.contains("another gateway runs"), "{problem}");
        drop(store);
        Store::open(&folder.path("store")).unwrap();
    }
}
