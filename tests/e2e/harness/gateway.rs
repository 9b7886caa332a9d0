//! The gateway under test: its folder, its configuration, its process.

use super::{Api, Client, Io, PATIENCE};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_gateway");

/// The VPC of the tests; any of its addresses is this host's.
pub(crate) const INSIDE: &str = "127.0.1.7";
pub(crate) const OUTSIDE: &str = "127.0.0.1";

/// What a gateway is started with.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) io: Io,
    pub(crate) apis: Vec<Api>,
    /// (name, `apis`, in the VPC)
    pub(crate) listeners: Vec<(String, Option<Vec<String>>, bool)>,
    pub(crate) workers: usize,
    /// More lines of every `[[listener]]`.
    pub(crate) keys: String,
    /// At the end of the file.
    pub(crate) more: String,
    /// `[control] address`
    pub(crate) control: String,
}

impl Setup {
    /// One public listener, `public`; one worker.
    pub(crate) fn new(io: Io) -> Self {
        Self {
            io,
            apis: Vec::new(),
            listeners: vec![("public".into(), None, false)],
            workers: 1,
            keys: String::new(),
            more: String::new(),
            control: "127.0.0.1:0".into(),
        }
    }

    pub(crate) fn api(mut self, api: Api) -> Self {
        self.apis.push(api);
        self
    }

    /// One more listener, in the VPC 127.0.1.0/24.
    pub(crate) fn vpc_listener(mut self, name: &str, apis: Option<&[&str]>) -> Self {
        let apis = apis.map(|names| names.iter().map(|&name| name.to_owned()).collect());
        self.listeners.push((name.into(), apis, true));
        self
    }

    pub(crate) fn workers(mut self, count: usize) -> Self {
        self.workers = count;
        self
    }

    /// Writes one more line into every `[[listener]]`.
    pub(crate) fn listener_key(mut self, line: &str) -> Self {
        let _ = writeln!(self.keys, "{line}");
        self
    }

    /// Writes these tables to the end of the file.
    pub(crate) fn tables(mut self, text: &str) -> Self {
        self.more.push_str(text);
        self
    }

    pub(crate) fn start(self) -> Gateway {
        Gateway::start(Home::new(&self), self.io)
    }

    /// Its AWS API asks nobody for a key.
    pub(crate) fn start_without_keys(self) -> Gateway {
        Gateway::run(Home::new(&self), self.io, None, &["--no-auth"])
    }

    fn toml(&self) -> String {
        let mut toml = format!(
            "[node]\nworkers = {}\n[control]\naddress = \"{}\"\nstore = \"store\"\n[xdp]\ninterfaces = []\n\
             trust_loopback = false\n\
             [[vpc]]\nid = \"vpc-main\"\ncidrs = [\"127.0.1.0/24\"]\n",
            self.workers, self.control
        );
        for (name, apis, vpc) in &self.listeners {
            let _ =
                writeln!(toml, "[[listener]]\nname = \"{name}\"\naddress = \"127.0.0.1:0\"\n{}", self.keys);
            if let Some(apis) = apis {
                let _ = writeln!(toml, "apis = {apis:?}");
            }
            if *vpc {
                toml.push_str("vpc = \"vpc-main\"\n");
            }
        }
        for api in &self.apis {
            let Api { name, id, stage, hosts, variables, .. } = api;
            let _ = writeln!(
                toml,
                "[[api]]\nname = \"{name}\"\nid = \"{id}\"\nfile = \"{name}.json\"\n\
                 stage = \"{stage}\"\nhost = {hosts:?}"
            );
            if let Some(size) = api.cache_cluster_size {
                let _ = writeln!(toml, "cache_cluster_size = \"{size}\"");
            }
            for (key, lines) in &api.method_settings {
                let _ = writeln!(toml, "[api.method_settings.\"{key}\"]\n{lines}");
            }
            if !variables.is_empty() {
                toml.push_str("[api.variables]\n");
                for (name, value) in variables {
                    let _ = writeln!(toml, "{name} = {value:?}");
                }
            }
        }
        toml + &self.more
    }
}

/// A node's folder; removed with everything in it when the test ends.
#[derive(Debug)]
pub(crate) struct Home(PathBuf);

impl Home {
    pub(crate) fn new(setup: &Setup) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("gateway-e2e-{}-{number}", std::process::id()));
        // One that failed leaves its folder, and the number of its process comes again.
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let home = Self(folder);
        home.write(setup);
        home
    }

    /// Writes all of the setup's files.
    pub(crate) fn write(&self, setup: &Setup) {
        for api in &setup.apis {
            self.write_file(&format!("{}.json", api.name), &format!("{:#}", api.document));
        }
        self.write_file("gateway.toml", &setup.toml());
    }

    pub(crate) fn write_file(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).unwrap();
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.0.join("gateway.toml")
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.0
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("left for you to look at: {}", self.0.display());
        } else {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// A running gateway; killed when the test ends.
pub(crate) struct Gateway {
    child: Child,
    io: Io,
    /// Processes that took over, one after the other: nobody's children.
    successors: Vec<u64>,
    pub(crate) ready: Value,
    pub(crate) home: Home,
}

impl Gateway {
    pub(crate) fn start(home: Home, io: Io) -> Self {
        Self::start_with(home, io, None)
    }

    /// With no more open files than these: past 128, four fifths are client connections.
    pub(crate) fn start_with(home: Home, io: Io, files: Option<u32>) -> Self {
        Self::run(home, io, files, &[])
    }

    fn run(home: Home, io: Io, files: Option<u32>, arguments: &[&str]) -> Self {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(home.folder().join("stderr"));
        let limit = files.map_or(String::new(), |files| format!("ulimit -n {files} && "));
        let mut child = Command::new("sh")
            .args(["-c", &format!("{limit}exec \"$0\" \"$@\""), BINARY])
            .args(["run", "--json", "--io", io.as_str()])
            .args(arguments)
            .arg("--config")
            .arg(home.config())
            // A test that binds it before hears what a supervisor would.
            .env("NOTIFY_SOCKET", home.folder().join("notify"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log.unwrap())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let (lines, said) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // After the ready line nobody listens: the pipe only has to stay empty.
                let _ = lines.send(line);
            }
        });
        let mut gateway = Self { child, io, successors: Vec::new(), ready: Value::Null, home };
        while gateway.ready["ready"] != true {
            let line = said.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("not ready; it said:\n{}", gateway.stderr()));
            gateway.ready = serde_json::from_str(&line).unwrap_or_default();
        }
        assert_eq!(gateway.ready["io"], io.as_str(), "the test would prove nothing on the other");
        gateway
    }

    /// The address on which the listener of that name really listens.
    pub(crate) fn address(&self, listener: &str) -> SocketAddr {
        let address = self.ready["listeners"][listener].as_str();
        address.unwrap_or_else(|| panic!("no listener {listener} in {}", self.ready)).parse().unwrap()
    }

    pub(crate) fn public(&self) -> SocketAddr {
        self.address("public")
    }

    /// Where the AWS API answers.
    pub(crate) fn control(&self) -> SocketAddr {
        self.ready["control_address"].as_str().unwrap().parse().unwrap()
    }

    /// A client of the public listener.
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.public())
    }

    pub(crate) fn stderr(&self) -> String {
        std::fs::read_to_string(self.home.folder().join("stderr")).unwrap_or_default()
    }

    /// Runs a command of the same binary with this node's configuration at the end.
    pub(crate) fn command(&self, arguments: &[&str]) -> Output {
        command(arguments, &self.home)
    }

    /// As `command` with `--json`, which must succeed.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.command(&[arguments, &["--json"]].concat());
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{arguments:?}: {}\n{out}\n{err}", output.status);
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {out}"))
    }

    pub(crate) fn set_endpoint(&self, api: &str, endpoint_type: &str) {
        self.json(&["api", "set-endpoint", api, endpoint_type, "--yes"]);
    }

    /// Lets another process of the same binary, or of another one, take over.
    pub(crate) fn upgrade(&mut self, arguments: &[&str]) -> Value {
        let upgraded = self.json(&[&["upgrade", "--yes"], arguments].concat());
        self.successors.extend(upgraded["pid"].as_u64());
        upgraded
    }

    pub(crate) fn signal(&self, name: &str) {
        assert!(signal(u64::from(self.child.id()), name));
    }

    /// To the process that took over last; false: there is none.
    pub(crate) fn signal_successor(&self, name: &str) -> bool {
        self.successors.last().is_some_and(|pid| signal(*pid, name))
    }

    /// Has it ended by itself?
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Kills it and starts it again on the same files.
    pub(crate) fn restart(mut self) -> Self {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let home = std::mem::replace(&mut self.home, Home(PathBuf::new()));
        Self::start(home, self.io)
    }

    /// Descriptors that it has open.
    pub(crate) fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// Processor time that it has used, all threads together.
    pub(crate) fn cpu_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        let ticks = |at: usize| fields[at].parse::<u64>().unwrap();
        // proc_pid_stat(5): utime and stime, the 14th and 15th, in ticks of 10 ms.
        Duration::from_millis((ticks(11) + ticks(12)) * 10)
    }

    /// Resident memory in bytes.
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        for pid in &self.successors {
            signal(*pid, "KILL");
        }
        if std::thread::panicking() {
            eprintln!("the gateway said:\n{}", self.stderr());
        }
    }
}

/// False: there is no such process.
fn signal(pid: u64, name: &str) -> bool {
    // The shell's own kill: a small host has no other.
    let sent = Command::new("sh")
        .args(["-c", "kill -s \"$0\" \"$1\"", name, &pid.to_string()])
        .stderr(Stdio::null())
        .status();
    sent.is_ok_and(|status| status.success())
}

/// Runs a command of the binary under test.
pub(crate) fn command(arguments: &[&str], home: &Home) -> Output {
    program(arguments, home).output().unwrap()
}

/// The same, not started yet.
pub(crate) fn program(arguments: &[&str], home: &Home) -> Command {
    let mut command = Command::new(BINARY);
    command.args(arguments).arg("--config").arg(home.config()).stdin(Stdio::null());
    command
}
