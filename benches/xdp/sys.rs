//! The kernel interfaces that the benchmark needs beside the gateway's own: raw programs, test runs, namespaces,
//! CPUs, GRO, signals.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

const MAP_CREATE: libc::c_long = 0;
const MAP_UPDATE: libc::c_long = 2;
const PROG_LOAD: libc::c_long = 5;
const PROG_TEST_RUN: libc::c_long = 10;
const PROG_FD_BY_ID: libc::c_long = 13;
const LINK_CREATE: libc::c_long = 28;

/// `BPF_PROG_TYPE_XDP`, `BPF_XDP` (attach type), `BPF_MAP_TYPE_PROG_ARRAY`
const TYPE_XDP: u32 = 6;
const ATTACH_XDP: u32 = 37;
const MAP_PROGRAMS: u32 = 3;
/// `BPF_F_XDP_HAS_FRAGS`: a tail call may lead only to a program that says the same of itself.
const HAS_FRAGS: u32 = 1 << 5;
/// `XDP_FLAGS_DRV_MODE`
const NATIVE: u32 = 1 << 2;
/// `BPF_F_TEST_XDP_LIVE_FRAMES`
const LIVE_FRAMES: u32 = 1 << 1;
/// Frames that a live run makes at once: the kernel's most, and a veth's whole ring.
const LIVE_BATCH: u32 = 256;
const NAME_MAX: usize = 15;

/// `union bpf_attr`, as far as the commands above read it.
struct Attr([u8; 128]);

impl Attr {
    fn new() -> Self {
        Self([0; 128])
    }

    fn u32(mut self, at: usize, value: u32) -> Self {
        self.0[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        self
    }

    fn fd(self, at: usize, fd: RawFd) -> Self {
        self.u32(at, fd.cast_unsigned())
    }

    fn pointer<T>(mut self, at: usize, value: *const T) -> Self {
        self.0[at..at + 8].copy_from_slice(&(value as u64).to_ne_bytes());
        self
    }

    fn u32_at(&self, at: usize) -> u32 {
        self.0[at..].first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes))
    }

    fn call(&mut self, command: libc::c_long) -> io::Result<libc::c_long> {
        // SAFETY: `self` is valid for its length, and the pointers within live until the call returns (see callers).
        let result = unsafe { libc::syscall(libc::SYS_bpf, command, self.0.as_mut_ptr(), self.0.len()) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
    }

    /// A command that answers with a descriptor.
    fn open(mut self, command: libc::c_long) -> io::Result<OwnedFd> {
        let fd = RawFd::try_from(self.call(command)?).map_err(io::Error::other)?;
        // SAFETY: the kernel has just made this descriptor for us.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

/// A loaded XDP program.
pub(crate) struct Program(OwnedFd);

/// What a test run says: the program's return value, and the mean time of one run in whole nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) verdict: u32,
    pub(crate) nanoseconds: u32,
}

impl Program {
    /// From instructions, as the verifier wants them. `name` has at most 15 letters.
    pub(crate) fn load(name: &str, code: &[u64]) -> io::Result<Self> {
        let mut log = vec![0u8; 16 * 1024];
        let mut attr = Attr::new()
            .u32(0, TYPE_XDP)
            .u32(4, u32::try_from(code.len()).map_err(io::Error::other)?)
            .pointer(8, code.as_ptr())
            .pointer(16, c"GPL".as_ptr())
            .u32(24, 1)
            .u32(28, u32::try_from(log.len()).map_err(io::Error::other)?)
            .pointer(32, log.as_mut_ptr())
            .u32(44, HAS_FRAGS)
            .u32(68, ATTACH_XDP);
        let name = &name.as_bytes()[..name.len().min(NAME_MAX)];
        attr.0[48..48 + name.len()].copy_from_slice(name);
        attr.open(PROG_LOAD).map(Self).map_err(|error| {
            let log = String::from_utf8_lossy(&log);
            io::Error::new(error.kind(), format!("{error}: {}", log.trim_end_matches('\0').trim()))
        })
    }

    pub(crate) fn by_id(id: u32) -> io::Result<Self> {
        Attr::new().u32(0, id).open(PROG_FD_BY_ID).map(Self)
    }

    /// `repeat` runs over one frame, one after the other, without a device.
    pub(crate) fn test_run(&self, frame: &[u8], repeat: u32) -> io::Result<Run> {
        let mut attr = self.run_attr(frame, repeat)?;
        attr.call(PROG_TEST_RUN)?;
        Ok(Run { verdict: attr.u32_at(4), nanoseconds: attr.u32_at(36) })
    }

    /// `repeat` frames through the program, whose verdict is carried out: it may redirect them to a device.
    pub(crate) fn send(&self, frame: &[u8], repeat: u32) -> io::Result<()> {
        let mut attr = self.run_attr(frame, repeat)?.u32(64, LIVE_FRAMES).u32(72, LIVE_BATCH);
        attr.call(PROG_TEST_RUN).map(|_| ())
    }

    fn run_attr(&self, frame: &[u8], repeat: u32) -> io::Result<Attr> {
        let length = u32::try_from(frame.len()).map_err(io::Error::other)?;
        Ok(Attr::new().fd(0, self.0.as_raw_fd()).u32(8, length).pointer(16, frame.as_ptr()).u32(32, repeat))
    }

    /// Holds the program on an interface, in native mode, until the link is dropped.
    pub(crate) fn attach(&self, interface: u32) -> io::Result<OwnedFd> {
        Attr::new()
            .fd(0, self.0.as_raw_fd())
            .u32(4, interface)
            .u32(8, ATTACH_XDP)
            .u32(12, NATIVE)
            .open(LINK_CREATE)
    }
}

/// A map of one program, for a tail call.
pub(crate) struct ProgramArray(OwnedFd);

impl ProgramArray {
    pub(crate) fn new() -> io::Result<Self> {
        Attr::new().u32(0, MAP_PROGRAMS).u32(4, 4).u32(8, 4).u32(12, 1).open(MAP_CREATE).map(Self)
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    pub(crate) fn set(&self, program: &Program) -> io::Result<()> {
        let (key, value) = (0u32, program.0.as_raw_fd());
        let mut attr = Attr::new().fd(0, self.fd()).pointer(8, &raw const key).pointer(16, &raw const value);
        attr.call(MAP_UPDATE).map(|_| ())
    }
}

/// Moves the calling thread, and nothing else, into a network namespace.
pub(crate) fn enter(namespace: &Path) -> io::Result<()> {
    let namespace = File::open(namespace)?;
    // SAFETY: an open descriptor of a namespace; changes this thread only.
    checked(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) })
}

/// Keeps a thread on one CPU; 0 is the calling one.
pub(crate) fn pin(thread: i32, cpu: usize) -> io::Result<()> {
    // SAFETY: an all-zero set is the empty one.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` lives; a CPU past its end changes nothing.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: `set` is valid for its size.
    checked(unsafe { libc::sched_setaffinity(thread, size_of::<libc::cpu_set_t>(), &raw const set) })
}

pub(crate) fn interface_index(name: &str) -> io::Result<u32> {
    let name = CString::new(name)?;
    // SAFETY: NUL-terminated string that lives during the call.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => Ok(index),
    }
}

/// As `ethtool -K <name> gro on`: a veth then polls its ring (NAPI) with any filter, also with none.
pub(crate) fn gro_on(name: &str) -> io::Result<()> {
    const ETHTOOL_SGRO: u32 = 0x2c;
    const SIOCETHTOOL: libc::Ioctl = 0x8946;
    let mut value = [ETHTOOL_SGRO, 1];
    // SAFETY: an all-zero request is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().take(NAME_MAX).zip(name.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_data = value.as_mut_ptr().cast();
    // SAFETY: no pointers.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    checked(fd)?;
    // SAFETY: the kernel has just made this descriptor for us.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: the request and the value it points to live during the call.
    checked(unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) })
}

static ASKED_TO_END: AtomicBool = AtomicBool::new(false);

/// From now on SIGINT, SIGTERM and SIGHUP end nothing; they only set a flag.
pub(crate) fn catch_signals() {
    extern "C" fn note(_: libc::c_int) {
        ASKED_TO_END.store(true, Ordering::SeqCst);
    }
    let handler: extern "C" fn(libc::c_int) = note;
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: the handler only stores to an atomic, which a signal handler may.
        unsafe { libc::signal(signal, handler as libc::sighandler_t) };
    }
}

pub(crate) fn is_root() -> bool {
    // SAFETY: no arguments, cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// An error once somebody pressed Ctrl-C: the way out of any loop.
pub(crate) fn go_on() -> io::Result<()> {
    if ASKED_TO_END.load(Ordering::SeqCst) {
        return Err(io::Error::other("interrupted"));
    }
    Ok(())
}

fn checked(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
