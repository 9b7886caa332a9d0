//! Who is measured: how each is configured for the same work, started on one core, and ended.
//!
//! The same for all: one worker, no access log, kept connections to the backend, no limit on requests of a connection,
//! and buffers of the size that the bodies ask for where a proxy has a setting.

use crate::configs;
use crate::cpu;
use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const READY_WITHIN: Duration = Duration::from_secs(20);
const ENDS_WITHIN: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) enum Contender {
    Gateway,
    GatewayEpoll,
    GatewayManyRoutes,
    Floor,
    Nginx,
    Haproxy,
    Varnish,
    H2o,
    Pingora,
    Envoy,
}

/// What they are asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Work {
    /// To the backend and back
    Relay,
    /// An answer of 128 bytes without the backend: MOCK of the gateway, a cache's hit of its peers, the constant server
    Mock,
    /// The same, and a hit of the gateway's stage cache, too
    Hit,
}

impl Contender {
    pub(crate) fn name(self, work: Work) -> &'static str {
        match (self, work) {
            (Self::Gateway, Work::Relay) => "gateway",
            (Self::Gateway, Work::Mock) => "gateway, MOCK",
            (Self::Gateway, Work::Hit) => "gateway, cache",
            (Self::GatewayEpoll, _) => "gateway on epoll",
            (Self::GatewayManyRoutes, _) => "gateway, 5,000 routes",
            (Self::Floor, Work::Relay) => "blind relay (floor)",
            (Self::Floor, _) => "constant server (floor)",
            (Self::Nginx, Work::Relay) => "nginx",
            (Self::Nginx, _) => "nginx, cache",
            (Self::Haproxy, Work::Relay) => "haproxy",
            (Self::Haproxy, _) => "haproxy, cache",
            (Self::Varnish, Work::Relay) => "varnish, pass",
            (Self::Varnish, _) => "varnish, cache",
            (Self::H2o, _) => "h2o",
            (Self::Pingora, _) => "pingora",
            (Self::Envoy, _) => "envoy",
        }
    }

    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Self::Gateway | Self::GatewayEpoll | Self::GatewayManyRoutes)
    }

    fn program(self) -> &'static str {
        match self {
            Self::Gateway | Self::GatewayEpoll | Self::GatewayManyRoutes => "gateway",
            Self::Floor => "bench-floor",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Varnish => "varnishd",
            Self::H2o => "h2o",
            Self::Pingora => "bench-pingora",
            Self::Envoy => "envoy",
        }
    }

    /// What it says of its version.
    pub(crate) fn version(self, programs: &Path) -> Option<String> {
        let argument = match self {
            Self::Gateway | Self::Envoy => "--version",
            Self::Nginx | Self::Haproxy | Self::H2o => "-v",
            Self::Varnish => "-V",
            Self::Pingora => return pingora_version(),
            Self::GatewayEpoll | Self::GatewayManyRoutes | Self::Floor => return None,
        };
        let output = Command::new(find(self.program(), programs)?).arg(argument).output().ok()?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        // The first is empty of some.
        Some(text.lines().find(|line| !line.trim().is_empty())?.trim().to_owned())
    }
}

pub(crate) struct Setting<'s> {
    pub(crate) work: Work,
    pub(crate) backend: SocketAddr,
    /// Bytes of a buffer, where there is a choice.
    pub(crate) buffer: usize,
    /// Where it is pinned.
    pub(crate) core: usize,
    /// With `gateway` and `bench-floor`.
    pub(crate) programs: &'s Path,
    /// For configurations and logs.
    pub(crate) folder: &'s Path,
}

/// A running contender. Dropping it ends it with all its processes.
pub(crate) struct Peer {
    pub(crate) contender: Contender,
    pub(crate) address: SocketAddr,
    /// Its configuration and log
    pub(crate) folder: PathBuf,
    child: Child,
}

/// Why somebody is not measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Missing {
    pub(crate) what: String,
    pub(crate) why: String,
}

impl Peer {
    /// An inner error: it cannot be measured here, and why.
    pub(crate) fn start(contender: Contender, setting: &Setting<'_>) -> Result<Result<Self, Missing>> {
        let missing = |why: &str| {
            let what = contender.name(setting.work).to_owned();
            Ok(Err(Missing { what, why: why.to_owned() }))
        };
        match (contender, setting.work) {
            (_, Work::Relay) => {}
            (Contender::H2o | Contender::Envoy, _) => return missing("it has no cache of answers"),
            (Contender::Pingora, _) => return missing("its cache is not built into the peer"),
            _ => {}
        }
        let Some(program) = find(contender.program(), setting.programs) else {
            return missing("not installed; `sh scripts/install-bench-peers.sh` installs it");
        };
        let address = free_address()?;
        let name: String = contender.name(setting.work).chars().filter(char::is_ascii_alphanumeric).collect();
        let folder = setting.folder.join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).with_context(|| format!("{}", folder.display()))?;
        let arguments = arguments(contender, setting, address, &folder)?;
        let log = File::create(folder.join("log"))?;
        let child = Command::new("taskset")
            .args(["--cpu-list", &setting.core.to_string()])
            .arg(&program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let mut peer = Self { contender, address, folder, child };
        peer.wait()?;
        Ok(Ok(peer))
    }

    fn wait(&mut self) -> Result<()> {
        let begun = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            let ended = self.child.try_wait()?;
            if ended.is_some() || begun.elapsed() > READY_WITHIN {
                let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                bail!("{:?} does not listen: {}", self.contender, log.trim());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let family = cpu::family(self.pid()).unwrap_or_default();
        send_signal(self.pid(), "TERM");
        let begun = Instant::now();
        while begun.elapsed() < ENDS_WITHIN && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Workers whose parent is gone; one that ended is not found any more.
        for pid in family.into_iter().filter(|pid| *pid != self.child.id()) {
            let program = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            if program.trim() == self.contender.program() || program.trim() == "cache-main" {
                send_signal(pid, "KILL");
            }
        }
    }
}

pub(crate) fn send_signal(pid: u32, name: &str) {
    // It may be gone already: that is what is wanted.
    let _ = Command::new("sh")
        .args(["-c", "kill -s \"$0\" \"$1\"", name, &pid.to_string()])
        .stderr(Stdio::null())
        .status();
}

/// As its lock file fixes it.
fn pingora_version() -> Option<String> {
    let lock = include_str!("../peers/pingora/Cargo.lock");
    let (_, rest) = lock.split_once("name = \"pingora\"\nversion = \"")?;
    Some(format!("pingora {}", rest.split_once('"')?.0))
}

/// A port of loopback that nobody listens on now.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn find(program: &str, own: &Path) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Where the script builds those that Debian does not have: `target/peers`, beside our own `target/release`.
    let built = own.join("../peers/release");
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    [own.to_owned(), built]
        .into_iter()
        .chain(folders)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

fn arguments(
    contender: Contender,
    setting: &Setting<'_>,
    listen: SocketAddr,
    folder: &Path,
) -> Result<Vec<String>> {
    let write = |name: &str, text: String| -> Result<String> {
        let file = folder.join(name);
        fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
        Ok(file.display().to_string())
    };
    let Setting { work, backend, buffer, .. } = setting;
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    Ok(match contender {
        Contender::Gateway | Contender::GatewayEpoll | Contender::GatewayManyRoutes => {
            let many = contender == Contender::GatewayManyRoutes;
            configs::write_gateway(*work, folder, listen, *backend, many)?;
            let io = if contender == Contender::GatewayEpoll { "epoll" } else { "io_uring" };
            let config = folder.join("gateway.toml").display().to_string();
            [words("run --io"), vec![io.to_owned(), "--config".to_owned(), config]].concat()
        }
        Contender::Floor if *work == Work::Relay => {
            words(&format!("relay --listen {listen} --upstream {backend} --buffer {buffer}"))
        }
        Contender::Floor => words(&format!("constant --listen {listen} --body 128")),
        Contender::Nginx => {
            let config = write("nginx.conf", configs::nginx(*work, listen, *backend, *buffer, folder))?;
            let folder = folder.display();
            words(&format!("-p {folder} -e {folder}/error.log -c {config}"))
        }
        Contender::Haproxy => words("-f")
            .into_iter()
            .chain([write("haproxy.cfg", configs::haproxy(*work, listen, *backend, *buffer))?])
            .collect(),
        Contender::Varnish => {
            let config = write("bench.vcl", configs::varnish(*work, *backend))?;
            let folder = folder.display();
            words(&format!(
                "-F -n {folder}/n -a {listen} -f {config} -s malloc,64m -p thread_pools=1 -p thread_pool_min=300 \
                 -p timeout_idle=600 -p vsl_mask={}",
                configs::varnish_log_mask()
            ))
        }
        Contender::Pingora => words(&format!("{listen} {backend}")),
        Contender::Envoy => {
            let config = write("envoy.yaml", configs::envoy(listen, *backend))?;
            words(&format!("--concurrency 1 --disable-hot-restart --log-level error -c {config}"))
        }
        Contender::H2o => vec!["-c".to_owned(), write("h2o.conf", configs::h2o(listen, *backend))?],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envoy_has_one_worker_and_its_configuration() {
        let folder = std::env::temp_dir().join(format!("bench-peers-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let backend = "127.0.0.1:9002".parse().unwrap();
        let (work, programs) = (Work::Relay, folder.as_path());
        let setting = Setting { work, backend, buffer: 4096, core: 0, programs, folder: &folder };
        let listen = "127.0.0.1:8001".parse().unwrap();
        let found = arguments(Contender::Envoy, &setting, listen, &folder).unwrap();
        let after = |key: &str| &found[found.iter().position(|word| word == key).unwrap() + 1];
        assert_eq!(after("--concurrency"), "1");
        assert_eq!(fs::read_to_string(after("-c")).unwrap(), configs::envoy(listen, backend));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_version_of_what_is_built_stands_in_its_lock_file() {
        let version = pingora_version().unwrap();
        assert!(version.starts_with("pingora 0.") && version.len() < 20, "{version}");
    }
}
