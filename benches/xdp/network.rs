//! Two namespaces joined by a veth pair, and the guard in one of them; all of it goes away again.
//!
//! ```text
//!   gwbench-tx   gwbt ───── gwbr   gwbench-rx
//! ```

use crate::sys;
use anyhow::{Context as _, Result, bail};
use gateway::config::XdpMode;
use gateway::xdp::{self, Settings};
use std::fs::{File, TryLockError};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub(crate) const SENDER: &str = "gwbench-tx";
pub(crate) const RECEIVER: &str = "gwbench-rx";
pub(crate) const SENDING: &str = "gwbt";
pub(crate) const RECEIVING: &str = "gwbr";
const PINS: &str = "/sys/fs/bpf/gwbench";
/// xdp-filter's own, of its program on `RECEIVING`.
const XDP_FILTER_PIN: &str = "/sys/fs/bpf/xdp-filter/programs/gwbr";
const LOCK: &str = "/run/gwbench.lock";
const MAC: &str = "02:00:00:00:00:01";
const ADDRESSES: [&str; 2] = ["10.77.0.1/24", "fd00:77::1/64"];

pub(crate) struct Network {
    _lock: File,
}

impl Network {
    /// Takes away what a killed run has left, then builds.
    pub(crate) fn build() -> Result<Self> {
        let lock = File::create(LOCK).context(LOCK)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("another run of this benchmark is under way: wait for it"),
            Err(TryLockError::Error(error)) => return Err(error).context(LOCK),
        }
        remove();
        let network = Self { _lock: lock };
        run(&["ip", "netns", "add", SENDER])?;
        run(&["ip", "netns", "add", RECEIVER])?;
        let pair = ["type", "veth", "peer", "name", SENDING, "netns", SENDER];
        run(&[&["ip", "link", "add", RECEIVING, "netns", RECEIVER], &pair[..]].concat())?;
        for address in ADDRESSES {
            inside(RECEIVER, &["ip", "address", "add", address, "dev", RECEIVING])?;
        }
        // The destination of the frames: what is for another host never reaches iptables.
        inside(RECEIVER, &["ip", "link", "set", RECEIVING, "address", MAC])?;
        within(RECEIVER, || sys::gro_on(RECEIVING))?.context("gro on")?;
        inside(RECEIVER, &["ip", "link", "set", RECEIVING, "up"])?;
        inside(SENDER, &["ip", "link", "set", SENDING, "up"])?;
        Ok(network)
    }

    /// Of the guard on the receiving interface.
    pub(crate) fn settings() -> Settings {
        Settings::new(vec![RECEIVING.to_owned()], XdpMode::Native, PathBuf::from(PINS))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        remove();
    }
}

fn remove() {
    // A run that was killed may have left an xdp-filter: by its pins it would stay in the host's list.
    if Path::new(XDP_FILTER_PIN).exists()
        && let Err(error) = inside(RECEIVER, &["xdp-filter", "unload", RECEIVING])
    {
        eprintln!("xdp-filter is left: {error:#}");
    }
    if Path::new(PINS).exists()
        && let Err(error) = xdp::detach(Path::new(PINS))
    {
        eprintln!("pins are left: {error}");
    }
    for name in [SENDER, RECEIVER] {
        if namespace(name).exists()
            && let Err(error) = run(&["ip", "netns", "delete", name])
        {
            eprintln!("a namespace is left: {error:#}");
        }
    }
}

pub(crate) fn namespace(name: &str) -> PathBuf {
    Path::new("/run/netns").join(name)
}

/// Runs `work` on a thread within a namespace.
pub(crate) fn within<T: Send>(name: &str, work: impl FnOnce() -> T + Send) -> Result<T> {
    let enter = || -> Result<T> {
        sys::enter(&namespace(name)).with_context(|| format!("entering {name}"))?;
        Ok(work())
    };
    std::thread::scope(|scope| match scope.spawn(enter).join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// A command in a namespace. Unlike `ip netns exec`, nsenter leaves the mounts alone: bpffs stays visible.
pub(crate) fn inside(name: &str, command: &[&str]) -> Result<String> {
    run(&[&["nsenter", &format!("--net={}", namespace(name).display())], command].concat())
}

/// As `inside`, with something to read.
pub(crate) fn inside_with(name: &str, command: &[&str], input: &str) -> Result<()> {
    let enter = format!("--net={}", namespace(name).display());
    run_with(&[&["nsenter", &enter], command].concat(), Some(input)).map(|_| ())
}

/// What a command printed; on failure the error holds what it complained about.
pub(crate) fn run(command: &[&str]) -> Result<String> {
    run_with(command, None)
}

fn run_with(command: &[&str], input: Option<&str>) -> Result<String> {
    let output = output(command, input)?;
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed: {}", command.join(" "), told.lines().next().unwrap_or_default());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The first line that a program prints about itself, whatever its exit code: xdp-filter fails after its version.
pub(crate) fn version(command: &[&str]) -> Result<String> {
    let printed = output(command, None)?.stdout;
    let printed = String::from_utf8_lossy(&printed);
    Ok(printed.lines().next().unwrap_or_default().trim().to_owned())
}

fn output(command: &[&str], input: Option<&str>) -> Result<Output> {
    let [program, arguments @ ..] = command else { bail!("no command") };
    let shown = command.join(" ");
    let mut child = Command::new(program)
        .args(arguments)
        .env("PATH", path())
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C is for us: what a command has begun, it ends.
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start `{shown}`"))?;
    let written = match (child.stdin.take(), input) {
        (Some(mut stdin), Some(input)) => stdin.write_all(input.as_bytes()),
        _ => Ok(()),
    };
    let output = child.wait_with_output().with_context(|| format!("waiting for `{shown}`"))?;
    // Who fails may end before it has read everything: then its own words count.
    if output.status.success() {
        written.with_context(|| format!("writing to `{shown}`"))?;
    }
    Ok(output)
}

/// PATH, with the folders where Debian keeps `ip` and which a plain `su` leaves out.
fn path() -> std::ffi::OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    std::env::join_paths(folders).unwrap_or(path)
}
