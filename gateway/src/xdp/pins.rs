//! Where links and maps are pinned. One folder in bpffs, open to its owner only:
//! `maps-v<ABI>/<map>` and `links/<interface index>` (names may hold dots, which bpffs refuses).

use super::{XdpError, sys};
use gateway_ebpf::abi;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

const BPFFS_ROOT: &str = "/sys/fs/bpf";
const MAPS_PREFIX: &str = "maps-v";
const FOLDER_MODE: u32 = 0o700;

pub(super) fn maps(pins: &Path) -> PathBuf {
    pins.join(format!("{MAPS_PREFIX}{}", abi::VERSION))
}

fn links(pins: &Path) -> PathBuf {
    pins.join("links")
}

pub(super) fn link(pins: &Path, interface: u32) -> PathBuf {
    links(pins).join(interface.to_string())
}

/// Makes the folders; mounts bpffs at its usual place where it is missing. True: that mount, and the pins with it,
/// goes with this process.
pub(super) fn prepare(pins: &Path) -> Result<bool, XdpError> {
    reachable(pins)?;
    let mounts = pins.starts_with(BPFFS_ROOT) && !on_bpffs(pins);
    if mounts {
        sys::mount_bpffs(Path::new(BPFFS_ROOT)).map_err(|error| {
            XdpError::new(
                format!("bpffs is not mounted at {BPFFS_ROOT}, and mounting it failed: {error}"),
                format!("run `mount -t bpf bpf {BPFFS_ROOT}` on the host"),
            )
        })?;
    }
    for folder in [pins.to_path_buf(), maps(pins), links(pins)] {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(FOLDER_MODE)
            .create(&folder)
            .map_err(|error| failed("making the pin folder", &folder, &error))?;
    }
    is_ours(pins)?;
    fs::set_permissions(pins, fs::Permissions::from_mode(FOLDER_MODE))
        .map_err(|error| failed("closing the pin folder to others", pins, &error))?;
    Ok(mounts && in_own_mount_namespace())
}

/// Is our mount namespace another one than that of process 1, or of our parent, where we may not look at process 1?
/// `ip netns exec` makes one that nobody else is in.
fn in_own_mount_namespace() -> bool {
    let parent = std::os::unix::process::parent_id();
    let outer = mount_namespace(1).or_else(|_| mount_namespace(parent));
    matches!((mount_namespace(std::process::id()), outer), (Ok(own), Ok(outer)) if own != outer)
}

fn mount_namespace(process: u32) -> io::Result<PathBuf> {
    fs::read_link(format!("/proc/{process}/ns/mnt"))
}

/// A bpffs that was mounted by hand lets everybody make folders and links in it: whoever owns the pins can remove them,
/// and with the last pin the program goes.
fn is_ours(pins: &Path) -> Result<(), XdpError> {
    let found = fs::symlink_metadata(pins).map_err(|error| failed("looking at", pins, &error))?;
    if found.is_dir() && found.uid() == sys::user() {
        return Ok(());
    }
    let what = if found.is_dir() { "belongs to another user" } else { "is not a folder but a link" };
    Err(XdpError::new(
        format!("the pin folder {} {what}: who made it could take the guard away", pins.display()),
        "look who made it and remove it, or name another folder in `pins` under [xdp]",
    ))
}

/// For as long as the answer lives, nobody else attaches with these pins or takes them away: a second gateway would
/// write its own rules over those of the first. Ends with the process, however that ends. None: there is no folder.
pub(super) fn lock(pins: &Path) -> Result<Option<File>, XdpError> {
    let folder = match File::open(pins) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|error| failed("opening", pins, &error))?,
    };
    match folder.try_lock() {
        Ok(()) => Ok(Some(folder)),
        Err(TryLockError::WouldBlock) => Err(XdpError::new(
            format!("the pins in {} are in use by a gateway that runs", pins.display()),
            "name another folder in `pins` under [xdp] for this one, or reach that one by its own --config or --socket",
        )),
        Err(TryLockError::Error(error)) => Err(failed("locking", pins, &error)),
    }
}

/// Is that descriptor the folder of these pins, as it is now?
pub(super) fn is_lock_of(held: &File, pins: &Path) -> bool {
    let same = |held: fs::Metadata, here: fs::Metadata| (held.dev(), held.ino()) == (here.dev(), here.ino());
    held.metadata().and_then(|held| Ok(same(held, fs::metadata(pins)?))).unwrap_or(false)
}

/// Is the folder in bpffs, or could `prepare` put it there?
pub(super) fn reachable(pins: &Path) -> Result<(), XdpError> {
    if on_bpffs(pins) {
        return Ok(());
    }
    if !pins.starts_with(BPFFS_ROOT) {
        return Err(XdpError::new(
            format!("{} is not in a bpffs", pins.display()),
            format!("choose a folder under {BPFFS_ROOT}, or mount a bpffs there"),
        ));
    }
    if !sys::is_root() {
        return Err(XdpError::new(
            format!("bpffs is not mounted at {BPFFS_ROOT}"),
            format!("run `sudo mount -t bpf bpf {BPFFS_ROOT}`"),
        ));
    }
    Ok(())
}

/// Could pins be there at all, mounted already or not?
pub fn can_hold_pins(folder: &Path) -> bool {
    folder.starts_with(BPFFS_ROOT) || on_bpffs(folder)
}

/// The folders that `prepare` has made.
pub(super) fn are_there(pins: &Path) -> bool {
    maps(pins).is_dir() && links(pins).is_dir()
}

/// Asks the nearest folder that exists.
fn on_bpffs(pins: &Path) -> bool {
    pins.ancestors()
        .find(|folder| folder.exists())
        .is_some_and(|folder| sys::is_bpffs(folder).unwrap_or(false))
}

/// Pins of links: (interface index in the name, path).
pub(super) fn pinned_links(pins: &Path) -> Result<Vec<(u32, PathBuf)>, XdpError> {
    let folder = links(pins);
    let mut found = Vec::new();
    for path in entries(&folder)? {
        if let Some(index) =
            path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok())
        {
            found.push((index, path));
        }
    }
    found.sort();
    Ok(found)
}

/// Forgets maps of other ABI versions: nothing refers to them once every link runs the new program.
pub(super) fn remove_other_versions(pins: &Path) -> Result<(), XdpError> {
    let current = maps(pins);
    for path in entries(pins)? {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with(MAPS_PREFIX) && path != current {
            remove_folder(&path)?;
        }
    }
    Ok(())
}

/// Removes the pins within, not the folder.
pub(super) fn clear(folder: &Path) -> Result<(), XdpError> {
    entries(folder)?.iter().try_for_each(|path| remove(path))
}

/// The whole pin folder; links must have been detached.
pub(super) fn remove_all(pins: &Path) -> Result<(), XdpError> {
    for path in entries(pins)? {
        if path.is_dir() { remove_folder(&path)? } else { remove(&path)? }
    }
    match fs::remove_dir(pins) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("removing", pins, &error)),
        _ => Ok(()),
    }
}

pub(super) fn remove(path: &Path) -> Result<(), XdpError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failed("removing the pin", path, &error))
        }
        _ => Ok(()),
    }
}

fn remove_folder(folder: &Path) -> Result<(), XdpError> {
    clear(folder)?;
    fs::remove_dir(folder).map_err(|error| failed("removing", folder, &error))
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, XdpError> {
    let listing = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other,
    };
    listing
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .map_err(|error| failed("reading", folder, &error))
}

fn failed(doing: &str, path: &Path, error: &io::Error) -> XdpError {
    let mend = match error.kind() {
        io::ErrorKind::PermissionDenied => "run as root, or with CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN",
        _ => "look at the folder; `gateway xdp detach` starts afresh",
    };
    XdpError::new(format!("{doing} {}: {error}", path.display()), mend)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Root is needed to make a namespace.
    #[test]
    fn a_mount_namespace_of_its_own_is_told_from_the_outer_one() {
        const AGAIN: &str = "GATEWAY_TEST_OWN_NAMESPACE";
        if std::env::var_os(AGAIN).is_some() {
            assert!(in_own_mount_namespace());
            return;
        }
        let name = "xdp::pins::tests::a_mount_namespace_of_its_own_is_told_from_the_outer_one";
        let mut command = Command::new("unshare");
        command.arg("--mount").arg(std::env::current_exe().unwrap()).args(["--exact", name]);
        if sys::is_root() {
            let output = command.env(AGAIN, "1").output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
            assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
        }
        assert_eq!(mount_namespace(std::process::id()).ok(), fs::read_link("/proc/self/ns/mnt").ok());
    }
}
