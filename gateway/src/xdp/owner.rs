//! Who holds an XDP program, as far as this host tells: its link, its pins in bpffs, the processes with a descriptor of
//! it. Every search is bounded, and only looks.

use super::netlink::Attached;
use super::sys::{self, PinnedLink};
use gateway_ebpf::abi;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

const PINS_LOOKED_AT_MAX: usize = 4096;
const FOLDERS_DEEP_MAX: usize = 6;
const DESCRIPTORS_LOOKED_AT_MAX: usize = 200_000;
/// Of pins, and of processes; a text with more is not read.
const NAMED_MAX: usize = 8;
/// The program that libxdp (xdp-loader, xdp-filter and others) puts before several programs.
const DISPATCHER: &str = "xdp_dispatcher";

/// A program that is attached to an interface.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Present {
    pub name: String,
    pub id: u32,
    /// "native", "generic", "hardware" or "several"
    pub mode: &'static str,
    /// A gateway's guard, under whatever pins.
    pub ours: bool,
    /// The link that attaches it. None: it was attached without one, or it may not be asked.
    pub link: Option<u32>,
    pub pins: Vec<Pin>,
    pub processes: Vec<Process>,
}

/// What a pin or a descriptor holds: only the link keeps the program on the interface.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Of {
    Program,
    Link,
}

#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Pin {
    pub path: PathBuf,
    pub of: Of,
}

#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Process {
    pub pid: u32,
    pub name: String,
    pub of: Of,
}

impl Present {
    pub(super) fn of(program: u32, attached: Attached, interface: u32, holders: &Holders) -> Self {
        let name = program_name(program);
        Self {
            ours: name == abi::PROGRAM,
            name,
            id: program,
            mode: super::status::mode(Some(attached)),
            link: sys::link_of(program, interface),
            pins: holders.pins.iter().filter(|(id, _)| *id == program).map(|(_, pin)| pin.clone()).collect(),
            processes: (holders.processes.iter())
                .filter(|(id, _)| *id == program)
                .map(|(_, process)| process.clone())
                .collect(),
        }
    }

    /// "xdp_pass (id 7, generic), pinned at /sys/fs/bpf/x, held by loader (process 12)"
    pub(crate) fn describe(&self) -> String {
        let mut text = format!("{} (id {}, {})", self.name, self.id, self.mode);
        if self.name == DISPATCHER {
            text.push_str(", libxdp's dispatcher of several programs");
        }
        for (before, names) in [("pinned at", self.pins()), ("held by", self.processes())] {
            if !names.is_empty() {
                let more = names.len().saturating_sub(NAMED_MAX);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                let named = &names[..names.len().min(NAMED_MAX)];
                text.push_str(&format!(", {before} {}{more}", named.join(", ")));
            }
        }
        text
    }

    /// What can be done about it; the gateway itself leaves it alone.
    pub(crate) fn mend(&self, interface: &str) -> String {
        let leave =
            format!("or leave {interface} out of [xdp] interfaces: the workers enforce the same rules");
        if self.ours {
            // `links/<interface>` in its folder.
            let pins = self.pins.iter().find_map(|pin| pin.path.parent()?.parent());
            let pins = pins.map(|pins| format!(" ({})", pins.display())).unwrap_or_default();
            return format!(
                "it is a gateway's, under other pins{pins}: run that gateway's `gateway xdp detach`, {leave}"
            );
        }
        let how = if self.name == DISPATCHER {
            format!(
                "`xdp-loader status {interface}` names the programs behind it, \
                 `xdp-loader unload {interface} --all` takes them off"
            )
        } else if let Some(pin) = self.pins.iter().find(|pin| pin.of == Of::Link) {
            format!("`rm {}` takes it off", pin.path.display())
        } else if let Some(Process { pid, name, .. }) = self.processes.iter().find(|p| p.of == Of::Link) {
            format!("it goes when {name} (process {pid}) ends")
        } else if let Some(link) = self.link {
            format!("`bpftool link detach id {link}` takes it off")
        } else {
            let flavour = if self.mode == "generic" { "xdpgeneric" } else { "xdp" };
            format!("`ip link set dev {interface} {flavour} off` takes it off")
        };
        format!("if nobody needs it, {how}; {leave}")
    }

    fn pins(&self) -> Vec<String> {
        self.pins.iter().map(|pin| pin.path.display().to_string()).collect()
    }

    fn processes(&self) -> Vec<String> {
        let named = self.processes.iter();
        named.map(|Process { pid, name, .. }| format!("{name} (process {pid})")).collect()
    }
}

pub(super) fn program_name(id: u32) -> String {
    aya::programs::loaded_programs()
        .filter_map(Result::ok)
        .find(|program| program.id() == id)
        .and_then(|program| program.name_as_str().map(str::to_owned))
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "without a name".to_owned())
}

/// Who holds which of some programs, looked for once.
#[derive(Debug, Default)]
pub(super) struct Holders {
    pins: Vec<(u32, Pin)>,
    processes: Vec<(u32, Process)>,
}

impl Holders {
    pub(super) fn of(programs: &BTreeSet<u32>) -> Self {
        if programs.is_empty() {
            return Self::default();
        }
        Self { pins: pins_of(programs), processes: processes_of(programs) }
    }
}

/// Pins of the programs and of their links, in every bpffs that is mounted here.
fn pins_of(programs: &BTreeSet<u32>) -> Vec<(u32, Pin)> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mut found: Vec<(u32, Pin)> = Vec::new();
    let mut looked_at = 0;
    for mount in bpffs_mounts(&mounts) {
        walk(&mount, FOLDERS_DEEP_MAX, &mut looked_at, &mut |path| {
            let known = found.iter().any(|(_, pin)| pin.path == path);
            if let Some((program, of)) = pinned(path).filter(|(id, _)| programs.contains(id) && !known) {
                found.push((program, Pin { path: path.to_path_buf(), of }));
            }
        });
    }
    found
}

fn bpffs_mounts(mounts: &str) -> impl Iterator<Item = PathBuf> {
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    fields.filter(|fields| fields.get(2) == Some(&"bpf")).map(|fields| PathBuf::from(fields[1]))
}

fn walk(folder: &Path, deep: usize, looked_at: &mut usize, each: &mut impl FnMut(&Path)) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        *looked_at += 1;
        if *looked_at > PINS_LOOKED_AT_MAX {
            return;
        }
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_file() {
            each(&entry.path());
        } else if kind.is_dir() && deep > 0 {
            walk(&entry.path(), deep - 1, looked_at, each);
        }
    }
}

fn pinned(path: &Path) -> Option<(u32, Of)> {
    let object = PinnedLink::open(path).ok()?;
    holding(&fs::read_to_string(format!("/proc/self/fdinfo/{}", object.as_fd().as_raw_fd())).ok()?)
}

/// From fdinfo, in which the kernel tells what an object is: programs and links have a program's id, maps none.
fn holding(info: &str) -> Option<(u32, Of)> {
    let id = info.lines().find_map(|line| line.strip_prefix("prog_id:"))?.trim().parse().ok()?;
    let is_link = info.lines().any(|line| line.starts_with("link_id:"));
    Some((id, if is_link { Of::Link } else { Of::Program }))
}

fn processes_of(programs: &BTreeSet<u32>) -> Vec<(u32, Process)> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut looked_at = 0;
    let mut found = Vec::new();
    for pid in pids {
        if looked_at > DESCRIPTORS_LOOKED_AT_MAX {
            break;
        }
        for (program, of) in held(pid, programs, &mut looked_at) {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            found.push((program, Process { pid, name: name.trim_end().to_owned(), of }));
        }
    }
    found
}

/// Of each program the link, if the process holds both.
fn held(pid: u32, programs: &BTreeSet<u32>, looked_at: &mut usize) -> BTreeMap<u32, Of> {
    let folder = PathBuf::from(format!("/proc/{pid}"));
    let mut found = BTreeMap::new();
    let Ok(descriptors) = fs::read_dir(folder.join("fd")) else { return found };
    for descriptor in descriptors.flatten() {
        *looked_at += 1;
        if *looked_at > DESCRIPTORS_LOOKED_AT_MAX {
            break;
        }
        let target = fs::read_link(descriptor.path()).unwrap_or_default();
        if !target.to_string_lossy().starts_with("anon_inode:bpf") {
            continue;
        }
        let info = fs::read_to_string(folder.join("fdinfo").join(descriptor.file_name()));
        if let Some((program, of)) =
            holding(&info.unwrap_or_default()).filter(|(id, _)| programs.contains(id))
            && found.get(&program) != Some(&Of::Link)
        {
            found.insert(program, of);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn present() -> Present {
        Present { name: "xdp_pass".into(), id: 7, mode: "generic", ..Present::default() }
    }

    #[test]
    fn the_program_of_an_object_is_read() {
        let link = "pos:\t0\nlink_type:\txdp\nlink_id:\t3\nprog_tag:\t00\nprog_id:\t77\nifindex:\t2\n";
        assert_eq!(holding(link), Some((77, Of::Link)));
        assert_eq!(holding("prog_type:\t6\nprog_id:\t77\n"), Some((77, Of::Program)));
        assert_eq!(holding("map_type:\t2\nmap_id:\t77\nowner_prog_type:\t6\n"), None);
        assert_eq!(holding("prog_id:\tmany\n"), None);
    }

    #[test]
    fn every_bpffs_is_looked_into() {
        let mounts = "none /sys sysfs rw 0 0\nbpf /sys/fs/bpf bpf rw 0 0\nbpf /run/b bpf ro 0 0\n";
        let found: Vec<_> = bpffs_mounts(mounts).collect();
        assert_eq!(found, [PathBuf::from("/sys/fs/bpf"), PathBuf::from("/run/b")]);
    }

    #[test]
    fn what_can_be_done_depends_on_who_holds_it() {
        let loader = |of| vec![Process { pid: 12, name: "loader".into(), of }];
        let pins = |of| vec![Pin { path: "/sys/fs/bpf/x/link/2".into(), of }];
        let name = |name: &str| name.to_owned();
        for (present, wanted) in [
            (present(), "ip link set dev eth0 xdpgeneric off"),
            (Present { mode: "native", ..present() }, "ip link set dev eth0 xdp off"),
            // A program that is pinned but attached without a link stays when the pin goes.
            (Present { pins: pins(Of::Program), ..present() }, "ip link set dev eth0 xdpgeneric off"),
            (Present { link: Some(3), ..present() }, "bpftool link detach id 3"),
            (Present { link: Some(3), pins: pins(Of::Link), ..present() }, "rm /sys/fs/bpf/x/link/2"),
            (Present { link: Some(3), pins: pins(Of::Program), ..present() }, "bpftool link detach id 3"),
            (Present { link: Some(3), processes: loader(Of::Link), ..present() }, "loader (process 12) ends"),
            (Present { name: name(DISPATCHER), ..present() }, "xdp-loader unload eth0 --all"),
            (
                Present { name: name("gateway_xdp"), ours: true, pins: pins(Of::Link), ..present() },
                "pins (/sys/fs/bpf/x): run that gateway's `gateway xdp detach`",
            ),
        ] {
            let mend = present.mend("eth0");
            assert!(mend.contains(wanted) && mend.contains("leave eth0 out"), "{wanted}: {mend}");
        }
    }

    #[test]
    fn it_is_described_with_its_holders() {
        let held = Present {
            pins: vec![Pin { path: "/sys/fs/bpf/x".into(), of: Of::Program }],
            processes: vec![Process { pid: 12, name: "loader".into(), of: Of::Link }],
            ..present()
        };
        assert_eq!(
            held.describe(),
            "xdp_pass (id 7, generic), pinned at /sys/fs/bpf/x, held by loader (process 12)"
        );
    }
}
