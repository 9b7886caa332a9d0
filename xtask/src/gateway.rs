//! The real `gateway` binary as a child: built, started, awaited until it is ready, ended.

use crate::{shell, signals};
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, SystemTime};

const READY_WITHIN: Duration = Duration::from_secs(30);
const ENDS_WITHIN: Duration = Duration::from_secs(15);

/// Builds it; gives the binary's path.
pub(crate) fn build(release: bool, features: &[&str]) -> Result<PathBuf> {
    let features = features.join(",");
    let mut arguments =
        vec!["build", "--quiet", "-p", "gateway", "--bin", "gateway", "--features", &features];
    if release {
        arguments.push("--release");
    }
    shell::cargo(&arguments).run()?;
    Ok(shell::target().join(if release { "release" } else { "debug" }).join("gateway"))
}

/// A running gateway. Dropping it ends it.
pub(crate) struct Gateway {
    child: Child,
    /// The line that it printed when it served.
    pub(crate) ready: Value,
}

impl Gateway {
    /// Runs `command` (… `gateway run --json`) in a process group of its own, so that Ctrl-C reaches only us.
    pub(crate) fn start(mut command: Command) -> Result<Self> {
        let shown = shell::show(&command);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start `{shown}`"))?;
        let stdout = child.stdout.take().context("no stdout")?;
        let (lines, said) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(std::result::Result::ok) {
                // Later lines have no reader: the pipe only has to stay empty.
                let _ = lines.send(line);
            }
        });
        let mut gateway = Self { child, ready: Value::Null };
        let begun = SystemTime::now();
        while gateway.ready.is_null() {
            signals::check()?;
            match said.recv_timeout(Duration::from_millis(50)) {
                Ok(line) => {
                    let event: Value = serde_json::from_str(&line).unwrap_or_default();
                    if event["ready"] == true {
                        gateway.ready = event;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("`{shown}` ended before it was ready ({})", gateway.child.wait()?)
                }
                Err(RecvTimeoutError::Timeout) if shell::since(begun) > READY_WITHIN => {
                    bail!("`{shown}` was not ready within {READY_WITHIN:?}")
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        Ok(gateway)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Some: it ended by itself.
    pub(crate) fn ended(&mut self) -> Result<Option<std::process::ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// SIGKILL: no chance to clean up.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, and SIGKILL when that does not help.
    pub(crate) fn stop(&mut self) {
        shell::signal(self.pid(), "TERM");
        let begun = SystemTime::now();
        while shell::since(begun) < ENDS_WITHIN {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.stop();
        }
    }
}

/// Ends the gateway that a killed run left, if the process of that id is still one.
pub(crate) fn end_leftover(pid_file: &Path) {
    let Ok(text) = std::fs::read_to_string(pid_file) else { return };
    let _ = std::fs::remove_file(pid_file);
    let Ok(pid) = text.trim().parse::<u32>() else { return };
    let is_ours = || {
        let binary = std::fs::read_link(format!("/proc/{pid}/exe"));
        // A rebuilt binary shows as "… (deleted)".
        binary.is_ok_and(|path| path.to_string_lossy().trim_end_matches(" (deleted)").ends_with("/gateway"))
    };
    if !is_ours() {
        return;
    }
    shell::signal(pid, "TERM");
    let begun = SystemTime::now();
    while is_ours() {
        if shell::since(begun) > ENDS_WITHIN {
            shell::signal(pid, "KILL");
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
