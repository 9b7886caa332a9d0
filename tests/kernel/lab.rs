//! What the tests stand on: namespaces, pins and guards that go away again, also after a panic.
#![allow(unsafe_code)]

use gateway::config::XdpMode;
use gateway::model::SourceLimits;
use gateway::xdp::{self, KernelGuard, ListenerRule, Rules, Settings};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The lock on pins, by a process that was killed.
const RELEASED_WITHIN: Duration = Duration::from_secs(10);

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Unique on this machine while this process lives, and short enough for an interface.
fn unique(prefix: &str) -> String {
    format!("{prefix}{}x{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// A pin folder of its own.
pub(crate) struct Pins(pub(crate) PathBuf);

impl Pins {
    /// None: this machine cannot run the test (said aloud; in CI that is a failure).
    pub(crate) fn new() -> Option<Self> {
        let pins = Self(Path::new("/sys/fs/bpf").join(unique("gwk")));
        match xdp::available(&pins.0) {
            Ok(()) => Some(pins),
            Err(error) if std::env::var_os("CI").is_some() => panic!("CI must run kernel tests: {error}"),
            Err(error) => {
                // Not `eprintln!`: the test harness would keep it to itself.
                let _ = writeln!(std::io::stderr(), "*** SKIPPED, a kernel test did not run: {error} ***");
                None
            }
        }
    }

    pub(crate) fn settings(&self, interface: &str, mode: XdpMode) -> Settings {
        Settings::new(vec![interface.to_owned()], mode, self.0.clone())
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        let deadline = Instant::now() + RELEASED_WITHIN;
        // A process that was killed is seen as dead before the last of its threads has ended, which holds the lock.
        while let Err(error) = xdp::detach(&self.0) {
            if Instant::now() >= deadline {
                eprintln!("pins are left: {error}");
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A network namespace of its own, with loopback up.
pub(crate) struct Namespace(pub(crate) String);

impl Namespace {
    pub(crate) fn new() -> Self {
        let namespace = Self(unique("gwk"));
        ip(&["netns", "add", &namespace.0]);
        namespace.ip(&["link", "set", "lo", "up"]);
        namespace
    }

    /// `ip` with this namespace.
    pub(crate) fn ip(&self, arguments: &[&str]) {
        ip(&[&["-n", self.0.as_str()], arguments].concat());
    }

    /// Runs `work` on a thread within the namespace. (`ip netns exec` would hide bpffs.)
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(Path::new("/run/netns").join(&self.0)).unwrap();
        let enter = move || {
            // SAFETY: an open descriptor of a namespace; changes this thread only.
            let entered = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
            assert_eq!(entered, 0, "setns: {}", std::io::Error::last_os_error());
            work()
        };
        std::thread::scope(|scope| match scope.spawn(enter).join() {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().unwrap();
    assert!(output.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// (address, index into vpcs when private), and the VPCs' CIDRs.
pub(crate) fn rules(listeners: &[(&str, Option<usize>)], vpcs: &[&[&str]]) -> Rules {
    let listeners = listeners.iter().map(|(address, private)| ListenerRule {
        name: (*address).to_owned(),
        address: address.parse().unwrap(),
        private: *private,
        limits: SourceLimits::NONE,
        dry_run: false,
    });
    let vpcs = vpcs.iter().map(|cidrs| cidrs.iter().map(|cidr| cidr.parse().unwrap()).collect());
    Rules { listeners: listeners.collect(), vpcs: vpcs.collect(), trusted: Vec::new() }
}

pub(crate) fn attach(settings: &Settings, rules: &Rules) -> KernelGuard {
    KernelGuard::attach(settings, rules).unwrap_or_else(|error| panic!("{error}"))
}

/// Loads a program of two instructions: pass.
pub(crate) fn load_foreign(name: &str) -> OwnedFd {
    const BPF_PROG_LOAD: libc::c_long = 5;
    const BPF_PROG_TYPE_XDP: u32 = 6;
    let code: [u64; 2] = [0x0000_0002_0000_00b7, 0x95];
    let mut load = [0u8; 128];
    load[..4].copy_from_slice(&BPF_PROG_TYPE_XDP.to_ne_bytes());
    load[4..8].copy_from_slice(&2u32.to_ne_bytes());
    load[8..16].copy_from_slice(&(code.as_ptr() as u64).to_ne_bytes());
    load[16..24].copy_from_slice(&(c"MIT".as_ptr() as u64).to_ne_bytes());
    load[48..48 + name.len()].copy_from_slice(name.as_bytes());
    bpf(BPF_PROG_LOAD, &mut load).unwrap()
}

/// Loads and attaches it. Its id, and the link that holds it there.
pub(crate) fn foreign_program(name: &str, interface: &str) -> (u32, OwnedFd) {
    const BPF_LINK_CREATE: libc::c_long = 28;
    const BPF_XDP: u32 = 37;
    let program = load_foreign(name);
    let index = interface_index(interface);
    let mut create = [0u8; 128];
    create[..4].copy_from_slice(&program.as_raw_fd().to_ne_bytes());
    create[4..8].copy_from_slice(&index.to_ne_bytes());
    create[8..12].copy_from_slice(&BPF_XDP.to_ne_bytes());
    let link = bpf(BPF_LINK_CREATE, &mut create).unwrap();
    let id = xdp::inspect(interface).unwrap().present.unwrap().id;
    (id, link)
}

/// Pins a program or a link.
pub(crate) fn pin(object: &OwnedFd, path: &Path) {
    const BPF_OBJ_PIN: libc::c_long = 6;
    let path = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    let mut attr = [0u8; 16];
    attr[..8].copy_from_slice(&(path.as_ptr() as u64).to_ne_bytes());
    attr[8..12].copy_from_slice(&object.as_raw_fd().to_ne_bytes());
    // SAFETY: `attr` is valid for its length, and the path lives during the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, BPF_OBJ_PIN, attr.as_mut_ptr(), attr.len()) };
    assert_eq!(result, 0, "pin: {}", std::io::Error::last_os_error());
}

fn interface_index(interface: &str) -> u32 {
    let name = std::ffi::CString::new(interface).unwrap();
    // SAFETY: NUL-terminated string that lives during the call.
    unsafe { libc::if_nametoindex(name.as_ptr()) }
}

/// A command that answers with a descriptor.
fn bpf(command: libc::c_long, attr: &mut [u8]) -> std::io::Result<OwnedFd> {
    // SAFETY: `attr` is valid for its length; the pointers within are the caller's and live during the call.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, attr.as_mut_ptr(), attr.len()) };
    if fd < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).unwrap()) })
}

/// A loaded program, by its id.
pub(crate) struct Program(OwnedFd);

impl Program {
    pub(crate) fn by_id(id: u32) -> Self {
        Self::find(id).unwrap_or_else(|error| panic!("program {id}: {error}"))
    }

    pub(crate) fn exists(id: u32) -> bool {
        Self::find(id).is_ok()
    }

    fn find(id: u32) -> std::io::Result<Self> {
        const BPF_PROG_GET_FD_BY_ID: libc::c_long = 13;
        let mut attr = [0; 16];
        attr[..4].copy_from_slice(&id.to_ne_bytes());
        bpf(BPF_PROG_GET_FD_BY_ID, &mut attr).map(Self)
    }

    /// The program's verdict on a frame (at least 14 bytes): true, it may pass.
    pub(crate) fn passes(&self, frame: &[u8]) -> bool {
        self.run(frame, 1).0
    }

    /// The verdict, and the mean time that it takes, in nanoseconds.
    pub(crate) fn run(&self, frame: &[u8], repeat: u32) -> (bool, u32) {
        const BPF_PROG_TEST_RUN: libc::c_long = 10;
        const XDP_DROP: u32 = 1;
        const XDP_PASS: u32 = 2;
        #[repr(C)]
        #[derive(Default)]
        struct Attr {
            program: u32,
            verdict: u32,
            length_in: u32,
            length_out: u32,
            data_in: u64,
            data_out: u64,
            repeat: u32,
            duration: u32,
        }
        let mut attr = Attr {
            program: self.0.as_raw_fd().cast_unsigned(),
            length_in: u32::try_from(frame.len()).unwrap(),
            data_in: frame.as_ptr() as u64,
            repeat,
            ..Default::default()
        };
        // SAFETY: `attr` and the frame it points to are valid for their lengths; the frame is only read.
        let result =
            unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_TEST_RUN, &raw mut attr, size_of::<Attr>()) };
        assert_eq!(result, 0, "test run of {} bytes: {}", frame.len(), std::io::Error::last_os_error());
        let passes = match attr.verdict {
            XDP_DROP => false,
            XDP_PASS => true,
            other => panic!("verdict {other}"),
        };
        (passes, attr.duration)
    }
}
