//! What the host allows, read from /proc and /sys and tried out: the findings of `gateway doctor`.

use super::doctor::Examined;
use super::output;
use crate::config::{self, XdpMode};
use crate::xdp::{Advice, Inspection, Offload, Relatives};
use crate::{control, net, xdp};
use std::path::Path;

/// Listener backlog; the kernel cuts it to somaxconn.
const SOMAXCONN_WANTED: u64 = 4096;
const FILES_WANTED: u64 = 65_536;
/// Programs for packets of several fragments (`xdp.frags`), and `bpf_xdp_load_bytes`, came with 5.18.
const KERNEL_FOR_XDP: (u32, u32) = (5, 18);
/// Multishot receive.
const KERNEL_FOR_IO_URING: (u32, u32) = (6, 0);

pub(crate) fn examine(config: Option<&Path>, pins: &Path) -> Vec<Examined> {
    let mut all = vec![kernel(), io_uring(), bpf(pins), bpffs(), jit(), open_files(), memlock(), somaxconn()];
    let loaded = config.map(|file| (file, config::load(file)));
    let mut interfaces = Vec::new();
    match &loaded {
        Some((file, Ok(loaded))) => {
            let failed = loaded.apis.iter().filter(|api| api.is_err()).count();
            let (apis, file) = (loaded.apis.len(), file.display());
            all.push(match failed {
                0 => ok("config", format!("{file}: {apis} APIs")),
                n => warn("config", format!("{file}: {n} of {apis} APIs have errors"), "gateway check"),
            });
            if loaded.document.xdp.mode != XdpMode::Off {
                interfaces.clone_from(&loaded.document.xdp.interfaces);
            }
        }
        Some((file, Err(diagnostics))) => {
            let what = format!("{}: {}", file.display(), output::count(diagnostics.len(), "error"));
            all.push(fail("config", what, "gateway check"));
        }
        None => all.push(warn("config", "no gateway.toml here", "gateway doctor --config FILE")),
    }
    if interfaces.is_empty() {
        interfaces = xdp::interfaces().unwrap_or_default();
    }
    match xdp::Host::now() {
        Ok(host) => all.extend(interfaces.iter().map(|name| interface(&host, name, pins))),
        Err(error) => all.push(fail("interfaces", error.what, error.mend)),
    }
    if let Some((file, Ok(_))) = &loaded {
        // What keeps it from compiling was told above.
        let unguarded = control::check_host(file).unwrap_or_default();
        all.extend(unguarded.into_iter().map(|finding| warn("listener", finding.what, finding.instead)));
    }
    all
}

fn kernel() -> Examined {
    kernel_of(&read("/proc/sys/kernel/osrelease").unwrap_or_default())
}

fn kernel_of(release: &str) -> Examined {
    let Some(found) = version(release) else {
        return warn("kernel", format!("{release:?} is not a version"), "");
    };
    if found >= KERNEL_FOR_IO_URING {
        return ok("kernel", release);
    }
    let (major, minor) = KERNEL_FOR_IO_URING;
    let mend = format!("boot a kernel of {major}.{minor} or later");
    let mut what = format!("{release}: io_uring is off (it needs {major}.{minor}), epoll serves");
    if found < KERNEL_FOR_XDP {
        let (major, minor) = KERNEL_FOR_XDP;
        what.push_str(&format!("; XDP is off (it needs {major}.{minor}), the workers enforce"));
    }
    warn("kernel", what, mend)
}

fn io_uring() -> Examined {
    match net::probe() {
        Ok(()) => ok("io_uring", "works"),
        Err(why) => warn("io_uring", "refused, epoll serves", why),
    }
}

fn bpf(pins: &Path) -> Examined {
    match xdp::available(pins) {
        Ok(()) => ok("bpf", "programs can be loaded"),
        Err(error) => {
            let what = format!("XDP is off, the workers enforce: {}", error.what);
            warn("bpf", what, error.mend)
        }
    }
}

fn bpffs() -> Examined {
    let mounts = read("/proc/mounts").unwrap_or_default();
    let mounted = mounts.lines().find(|line| line.split(' ').nth(2) == Some("bpf"));
    match mounted.and_then(|line| line.split(' ').nth(1)) {
        Some(place) => ok("bpffs", format!("mounted on {place}")),
        None => warn("bpffs", "not mounted: rules cannot be pinned", "mount -t bpf bpf /sys/fs/bpf"),
    }
}

fn jit() -> Examined {
    let mend = "sysctl -w net.core.bpf_jit_enable=1";
    match read("/proc/sys/net/core/bpf_jit_enable").as_deref() {
        Some("0") => warn("bpf jit", "off: the program is interpreted, many times slower", mend),
        Some(_) => ok("bpf jit", "on"),
        None => ok("bpf jit", "not shown to this user, or always on in this kernel"),
    }
}

fn open_files() -> Examined {
    let mend = "LimitNOFILE=1048576 in the unit, or `ulimit -Hn 1048576`";
    match limit("Max open files") {
        Some((_, hard)) if hard >= FILES_WANTED => ok("open files", format!("{} allowed", number(hard))),
        Some((_, hard)) => {
            let what =
                format!("{hard} allowed: every connection needs one, every request at a backend another");
            warn("open files", what, mend)
        }
        None => warn("open files", "the limit cannot be read", ""),
    }
}

/// Since 5.11 BPF memory counts in the cgroup; io_uring's does since 5.12.
fn memlock() -> Examined {
    let Some((soft, _)) = limit("Max locked memory") else {
        return warn("locked memory", "the limit cannot be read", "");
    };
    let counts = version(&read("/proc/sys/kernel/osrelease").unwrap_or_default()).is_none_or(|v| v < (5, 12));
    if counts && soft < 64 << 20 {
        let what = format!("{} bytes: this kernel counts rings and maps against it", number(soft));
        return warn("locked memory", what, "LimitMEMLOCK=infinity in the unit, or `ulimit -l unlimited`");
    }
    ok("locked memory", format!("{} bytes", number(soft)))
}

fn somaxconn() -> Examined {
    let found = read("/proc/sys/net/core/somaxconn").and_then(|text| text.parse::<u64>().ok());
    match found {
        Some(n) if n >= SOMAXCONN_WANTED => ok("somaxconn", n.to_string()),
        Some(n) => {
            let mend = format!("sysctl -w net.core.somaxconn={SOMAXCONN_WANTED}");
            warn("somaxconn", format!("{n}: bursts of connections overflow the backlog"), mend)
        }
        None => warn("somaxconn", "cannot be read", ""),
    }
}

fn interface(host: &xdp::Host, name: &str, pins: &Path) -> Examined {
    let subject = format!("interface {name}");
    let inspection = match host.inspect(name) {
        Ok(inspection) => inspection,
        Err(error) => return fail(&subject, error.what, error.mend),
    };
    let foreign = inspection.present.as_ref().is_some_and(|present| !present.ours);
    // Without root no pin is seen, and nothing is said.
    let others = inspection.present.as_ref().filter(|present| {
        present.ours && !present.pins.is_empty() && !present.pins.iter().any(|pin| pin.path.starts_with(pins))
    });
    let what = facts(&inspection).join(", ");
    let examined = if foreign || others.is_some() { warn(&subject, what, "") } else { ok(&subject, what) };
    let mut notes = inspection.advice.clone();
    notes.extend(others.map(|present| Advice {
        what: format!("the guard is another gateway's: {}", present.describe()),
        mend: present.mend(name),
    }));
    Examined { notes, interface: Some(inspection), ..examined }
}

fn facts(of: &Inspection) -> Vec<String> {
    let mut facts = vec![of.driver.clone().unwrap_or_else(|| "no driver".into())];
    facts.extend((!of.up).then(|| "down".into()));
    facts.push(match (&of.present, of.native) {
        (Some(present), _) if present.ours => format!("guard {} (id {})", present.mode, present.id),
        (Some(present), _) => format!("taken by {} (id {}, {})", present.name, present.id, present.mode),
        (None, Some(native)) if native.possible => "native possible".into(),
        (None, Some(_)) => "generic only".into(),
        (None, None) => "native or generic".into(),
    });
    facts.push(format!("MTU {}", of.mtu));
    facts.push(format!("queues {} rx {} tx", of.queues.rx, of.queues.tx));
    let state = |name: &str, offload: Option<Offload>| {
        offload.map(|offload| format!("{name} {}", if offload.on { "on" } else { "off" }))
    };
    facts.extend(state("LRO", of.lro));
    facts.extend(state("GRO-HW", of.gro_hw));
    let Relatives { master, ports, parent, children, peer } = &of.relatives;
    let named = |what: &str, name: &Option<String>| name.as_ref().map(|name| format!("{what} {name}"));
    let several =
        |what: &str, names: &[String]| (!names.is_empty()).then(|| format!("{what} {}", names.join(" ")));
    facts.extend(named("port of", master));
    facts.extend(several("ports", ports));
    facts.extend(named("on", parent));
    facts.extend(several("beneath", children));
    facts.extend(named("other end", peer));
    facts
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim_end().to_string())
}

/// `6.1.0-28-amd64` → (6, 1)
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Soft and hard, as `/proc/self/limits` shows them.
fn limit(name: &str) -> Option<(u64, u64)> {
    let limits = read("/proc/self/limits")?;
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    let mut values = line.split_whitespace().map(|value| match value {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    });
    Some((values.next()??, values.next()??))
}

fn number(n: u64) -> String {
    if n == u64::MAX { "unlimited".into() } else { n.to_string() }
}

fn ok(subject: &str, what: impl Into<String>) -> Examined {
    Examined {
        subject: subject.into(),
        verdict: "ok",
        what: what.into(),
        mend: String::new(),
        notes: Vec::new(),
        interface: None,
    }
}

fn warn(subject: &str, what: impl Into<String>, mend: impl Into<String>) -> Examined {
    Examined {
        subject: subject.into(),
        verdict: "warn",
        what: what.into(),
        mend: mend.into(),
        notes: Vec::new(),
        interface: None,
    }
}

fn fail(subject: &str, what: impl Into<String>, mend: impl Into<String>) -> Examined {
    Examined {
        subject: subject.into(),
        verdict: "fail",
        what: what.into(),
        mend: mend.into(),
        notes: Vec::new(),
        interface: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_releases_are_read() {
        assert_eq!(version("6.1.0-28-amd64"), Some((6, 1)));
        assert_eq!(version("5.10"), Some((5, 10)));
        assert_eq!(version("6.18.44-fc-v669"), Some((6, 18)));
        assert_eq!(version("unknown"), None);
    }

    #[test]
    fn an_older_kernel_is_told_what_is_off() {
        for (release, verdict, io_uring, xdp) in [
            ("6.1.0-28-amd64", "ok", false, false),
            ("5.18.0", "warn", true, false),
            ("5.15.0-91", "warn", true, true),
        ] {
            let found = kernel_of(release);
            assert_eq!(found.verdict, verdict, "{release}");
            let off = |name: &str| found.what.contains(&format!("{name} is off"));
            assert_eq!((off("io_uring"), off("XDP")), (io_uring, xdp), "{}", found.what);
        }
    }

    #[test]
    fn limits_of_this_process_are_read() {
        let (soft, hard) = limit("Max open files").unwrap();
        assert!(soft > 0 && hard >= soft);
        assert!(limit("Max locked memory").is_some());
        assert_eq!(limit("Max nonsense"), None);
    }
}
