//! Parts of a test that run in a process of their own: to be killed, or because descriptors are limited per process.

use super::PATIENCE;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// What the process is given to do.
const GIVEN: &str = "GATEWAY_TEST_ROLE";
/// Before what it says: the test runner writes on the same lines.
const SAYS: &str = "role: ";

/// Such a process, killed when this is dropped.
pub(crate) struct Role {
    child: Child,
    input: ChildStdin,
    lines: mpsc::Receiver<String>,
}

impl Role {
    /// Starts this very binary on the ignored test of that name, which plays the role by `given`, `say` and `heard`.
    pub(crate) fn start(name: &str, given: &str) -> Self {
        let binary = std::env::current_exe().unwrap();
        let mut child = Command::new("sh")
            .args(["-c", "ulimit -n $(ulimit -Hn) && exec \"$0\" \"$@\""])
            .arg(binary)
            .args(["--exact", name, "--ignored", "--nocapture", "--test-threads", "1"])
            .env(GIVEN, given)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (send, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some((_, said)) = line.split_once(SAYS) {
                    let _ = send.send(said.to_owned());
                }
            }
        });
        Self { child, input, lines }
    }

    /// The next thing that it says.
    pub(crate) fn said(&self) -> String {
        self.said_within(PATIENCE)
    }

    pub(crate) fn said_within(&self, patience: Duration) -> String {
        self.lines.recv_timeout(patience).expect("the other process says something")
    }

    pub(crate) fn tell(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    /// SIGKILL: when this returns, its sockets are closed.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In the process that plays a role: what it was given. None: somebody runs the ignored tests by hand.
pub(crate) fn given() -> Option<String> {
    std::env::var(GIVEN).ok()
}

pub(crate) fn say(line: &str) {
    println!("{SAYS}{line}");
}

/// The next line that it is told; None: whoever started it is gone.
pub(crate) fn heard() -> Option<String> {
    let mut line = String::new();
    match std::io::stdin().read_line(&mut line) {
        Ok(1..) => Some(line.trim_end().to_owned()),
        _ => None,
    }
}
