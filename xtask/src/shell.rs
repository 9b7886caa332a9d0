//! Running other programs: the repository's root, cargo, and errors that show the command.

use anyhow::{Context as _, Result, bail};
use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

/// The folder of the workspace.
pub(crate) fn root() -> &'static Path {
    // xtask/ stands directly in it.
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

pub(crate) fn is_root() -> bool {
    // The kernel gives /proc/self to the effective user.
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

pub(crate) fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false" && value != "0")
}

/// Is a program of that name in PATH?
pub(crate) fn has(program: &str) -> bool {
    std::env::split_paths(&path()).any(|folder| folder.join(program).is_file())
}

/// PATH, with the folders where Debian keeps `ip` and which a plain `su` leaves out.
fn path() -> std::ffi::OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    std::env::join_paths(folders).unwrap_or(path)
}

/// One command to run in the repository's root.
pub(crate) struct Program(Command);

pub(crate) fn program(name: impl AsRef<OsStr>) -> Program {
    let mut command = Command::new(name);
    command.current_dir(root()).env("PATH", path());
    Program(command)
}

pub(crate) fn cargo(arguments: &[&str]) -> Program {
    program(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())).args(arguments)
}

impl Program {
    pub(crate) fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.0.args(arguments);
        self
    }

    /// For what this does not offer.
    pub(crate) fn into_command(self) -> Command {
        self.0
    }

    /// Runs it with our own input and output; an exit code other than 0 is an error.
    pub(crate) fn run(mut self) -> Result<()> {
        let shown = show(&self.0);
        let status = self.0.status().with_context(|| format!("cannot start `{shown}`"))?;
        if !status.success() {
            bail!("`{shown}` failed ({status})");
        }
        Ok(())
    }

    /// Runs it and gives what it printed on stdout; on failure the error holds its stderr.
    pub(crate) fn output(mut self) -> Result<String> {
        let shown = show(&self.0);
        let output =
            self.0.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{shown}`"))?;
        if !output.status.success() {
            let told = String::from_utf8_lossy(&output.stderr);
            let printed = String::from_utf8_lossy(&output.stdout);
            bail!("`{shown}` failed ({}): {}{}", output.status, told.trim(), printed.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// The command as one would type it.
pub(crate) fn show(command: &Command) -> String {
    let name = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(name).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// Time since `start`; zero when the clock went back.
pub(crate) fn since(start: SystemTime) -> Duration {
    start.elapsed().unwrap_or_default()
}

/// Sends a signal ("TERM", "KILL", "HUP") to one process that we started.
pub(crate) fn signal(pid: u32, name: &str) {
    // The shell's own kill: a small host has no other. The process may be gone already: that is what is wanted.
    let _ = program("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &pid.to_string()]).output();
}
