//! `cargo xtask run`: the gateway with two sample APIs and a sample upstream on loopback, until Ctrl-C.

pub(crate) mod upstream;

use crate::gateway::{self, Gateway};
use crate::{ebpf, shell, signals};
use anyhow::{Context as _, Result, bail};
use std::fs::{File, TryLockError};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A client of the sample VPC, which is 127.0.1.0/24: every address of 127.0.0.0/8 is this host's.
const INSIDE: &str = "127.0.1.7";
const PINS: &str = "/sys/fs/bpf/gateway-quickstart";

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Build with optimisations (the first build takes minutes)
    #[arg(long)]
    release: bool,
    /// Public listener here; the VPC's one port up, the sample upstream ten, the control plane a thousand
    #[arg(long, default_value_t = 8080, value_parser = clap::value_parser!(u16).range(1..=64000))]
    port_base: u16,
    /// Leave XDP off, also when root
    #[arg(long)]
    no_xdp: bool,
    /// Run the XDP program that logs each packet that it drops (root; builds it and a gateway that shows its lines)
    #[arg(long, conflicts_with = "no_xdp")]
    xdp_log: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let folder = shell::target().join("quickstart");
    let _alone = alone(&folder)?;
    refuse_taken(options.port_base)?;
    let logging = options.xdp_log.then(ebpf::build_logging).transpose()?;
    let binary = gateway::build(options.release, if options.xdp_log { &["xdp-log"] } else { &[] })?;
    let config = folder.join("gateway.toml");
    signals::catch()?;
    clear_leftovers(&binary, &folder, &config);
    // A type that was switched in an earlier run would not be what we print.
    let _ = std::fs::remove_dir_all(folder.join("store"));

    upstream::start(at(options.port_base + 10))?;
    let off = xdp_off(options);
    write_files(&folder, options.port_base, off.is_none())?;
    let mut command = shell::program(&binary).args(["run", "--json", "--config"]).args([&config]);
    if let Some(object) = logging {
        command = command.args(["--xdp-object"]).args([object]);
    }
    let mut gateway = Gateway::start(command.into_command())?;
    // The kernel may refuse what looked possible: privacy is the worker's then, and the gateway says why.
    let refused = gateway.ready["xdp_off"].as_str().map(|why| format!("XDP is off: {why}"));
    let off = off.or(refused);
    std::fs::write(folder.join("gateway.pid"), gateway.pid().to_string())?;
    show(options.port_base, off.as_deref(), &binary, &config);

    let ended = loop {
        if signals::pause(Duration::from_millis(200)).is_err() {
            break None;
        }
        if let Some(status) = gateway.ended()? {
            break Some(status);
        }
    };
    println!();
    gateway.stop();
    detach(&binary, &config)?;
    let _ = std::fs::remove_file(folder.join("gateway.pid"));
    match ended {
        Some(status) => bail!("the gateway ended by itself ({status})"),
        None => println!("Ended. Nothing is left of it: no process, no XDP on lo."),
    }
    Ok(())
}

/// Before anything is touched: a run that is under way shall go on. For as long as the answer lives, no other begins.
fn alone(folder: &Path) -> Result<File> {
    std::fs::create_dir_all(folder)?;
    let file = File::open(folder)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!(
            "a `cargo xtask run` is under way with {}: end it first, also where --port-base names other ports",
            folder.display()
        ),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("locking {}", folder.display()))
        }
    }
}

/// The upstream's port is this process's: what a killed run left does not hold it.
fn refuse_taken(base: u16) -> Result<()> {
    let upstream = at(base + 10);
    match TcpListener::bind(upstream) {
        Ok(_) => Ok(()),
        Err(error) => bail!("{upstream} cannot be bound ({error}): choose other ports with --port-base"),
    }
}

fn at(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// What a killed run may have left: its gateway, and its program on `lo`.
fn clear_leftovers(binary: &Path, folder: &Path, config: &Path) {
    gateway::end_leftover(&folder.join("gateway.pid"));
    if let Err(error) = detach(binary, config) {
        eprintln!("xtask: {error:#}");
    }
}

fn detach(binary: &Path, config: &Path) -> Result<()> {
    if !Path::new(PINS).exists() {
        return Ok(());
    }
    shell::program(binary).args(["xdp", "detach", "--yes", "--config"]).args([config]).output()?;
    Ok(())
}

/// None: XDP can be tried. Some: why not, and what turns it on.
fn xdp_off(options: &Options) -> Option<String> {
    if options.no_xdp {
        return Some("XDP is off (--no-xdp).".into());
    }
    if !shell::is_root() {
        return Some(
            "XDP is off: it needs root. `sudo -E env \"PATH=$PATH\" cargo xtask run` turns it on.".into(),
        );
    }
    mount_bpffs().err().map(|error| format!("XDP is off: {error:#}"))
}

/// The kernel's file system for pinned programs: systemd mounts it, many containers do not.
pub(crate) fn mount_bpffs() -> Result<()> {
    let mounts = std::fs::read_to_string("/proc/self/mounts")?;
    if mounts.lines().any(|line| line.split(' ').nth(1) == Some("/sys/fs/bpf")) {
        return Ok(());
    }
    let mounted = shell::program("mount").args(["-t", "bpf", "bpf", "/sys/fs/bpf"]).output();
    mounted.context("no BPF file system; `mount -t bpf bpf /sys/fs/bpf` turns it on")?;
    println!("mounted bpffs on /sys/fs/bpf, as systemd does");
    Ok(())
}

/// examples/quickstart with this run's ports, under target/.
fn write_files(folder: &Path, base: u16, xdp: bool) -> Result<()> {
    let examples = shell::root().join("examples/quickstart");
    std::fs::create_dir_all(folder)?;
    for entry in std::fs::read_dir(&examples)? {
        let path: PathBuf = entry?.path();
        let Some(name) = path.file_name() else { continue };
        let mut text = std::fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
        if name == "gateway.toml" {
            for (sample, offset) in [("8080", 0), ("8081", 1), ("8090", 10), ("9080", 1000)] {
                text = text.replace(&format!("127.0.0.1:{sample}"), &format!("127.0.0.1:{{{offset}}}"));
            }
            for offset in [0, 1, 10, 1000] {
                text = text.replace(&format!(":{{{offset}}}"), &format!(":{}", base + offset));
            }
            if !xdp {
                text = text.replace("interfaces = [\"lo\"]", "interfaces = []");
            }
        }
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}

fn show(base: u16, off: Option<&str>, binary: &Path, config: &Path) {
    let (public, private) = (base, base + 1);
    println!();
    match off {
        None => println!("XDP is attached to lo (generic mode). VPC vpc-main is 127.0.1.0/24."),
        Some(why) => println!("{why}\nThe worker enforces the same rule. VPC vpc-main is 127.0.1.0/24."),
    }
    println!("\nPaste these into another terminal:\n");
    println!("  # catalog is REGIONAL: everybody is served");
    println!("  curl http://127.0.0.1:{public}/prod/products/7\n");
    println!("  # orders is PRIVATE: served from inside the VPC");
    println!("  curl --interface {INSIDE} http://127.0.0.1:{private}/prod/orders/7\n");
    match off {
        None => println!("  # the same from outside: XDP drops the SYN, the client never connects"),
        Some(_) => println!("  # the same from outside: the worker answers 403"),
    }
    println!("  curl --connect-timeout 2 --max-time 2 http://127.0.0.1:{private}/prod/orders/7\n");
    println!("  # make orders public while it runs (and back: PRIVATE), then paste the last line again");
    let cwd = std::env::current_dir().unwrap_or_default();
    let near = |path: &Path| path.strip_prefix(&cwd).unwrap_or(path).display().to_string();
    println!("  {} api set-endpoint orders REGIONAL --yes --config {}\n", near(binary), near(config));
    println!("Ctrl-C ends everything{}.", if off.is_none() { " and takes XDP off lo again" } else { "" });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_and_a_second_run_are_refused() {
        let taken = TcpListener::bind(at(0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let refused = refuse_taken(port - 10).unwrap_err().to_string();
        assert!(refused.contains("--port-base") && refused.contains(&port.to_string()), "{refused}");

        let folder = std::env::temp_dir().join(format!("quickstart-{}", std::process::id()));
        let first = alone(&folder).unwrap();
        assert!(alone(&folder).unwrap_err().to_string().contains("end it first"));
        drop(first);
        assert!(alone(&folder).is_ok());
        std::fs::remove_dir(&folder).unwrap();
    }
}
