//! A program that logs what it drops, in place of the embedded one: for debugging it (feature `xdp-log`).

use super::{XdpError, sys};
use aya::Ebpf;
use aya_log::EbpfLogger;
use log::{Log, Metadata, Record};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::OnceLock;

const BUILT_BY: &str = "`cargo xtask ebpf --log` builds one";

static LOGGING: OnceLock<Logging> = OnceLock::new();

pub(super) struct Logging {
    pub(super) object: Vec<u8>,
    say: Say,
}

type Say = fn(&str);

/// Guards that this process attaches from now on run the object in the file, and `say` gets each of its lines, on a
/// thread of its own: whoever says more than can be written down holds up nobody else.
pub fn log_with(object: &Path, say: fn(&str)) -> Result<(), XdpError> {
    let read = std::fs::read(object);
    let object = read
        .map_err(|error| XdpError::new(format!("{} cannot be read: {error}", object.display()), BUILT_BY))?;
    LOGGING
        .set(Logging { object, say })
        .map_err(|_| XdpError::new("there is an object that logs already", "name one"))
}

pub(super) fn logging() -> Option<&'static Logging> {
    LOGGING.get()
}

impl Logging {
    /// The program is loaded. What it says is read until the process ends: the guard may come and go.
    pub(super) fn follow(&self, ebpf: &mut Ebpf) -> Result<(), XdpError> {
        let mut logger = EbpfLogger::init_with_logger(ebpf, Lines(self.say))
            .map_err(|error| XdpError::new(format!("this XDP object does not log: {error}"), BUILT_BY))?;
        let follow = move || {
            while sys::wait_readable(logger.as_fd()).is_ok() {
                logger.flush();
            }
        };
        let started = std::thread::Builder::new().name("xdp-log".into()).spawn(follow);
        started.map(drop).map_err(|error| XdpError::caused("starting the thread that logs", &error))
    }
}

struct Lines(Say);

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    /// The program writes names at one length, with blanks.
    fn log(&self, record: &Record<'_>) {
        (self.0)(record.args().to_string().trim_end());
    }

    fn flush(&self) {}
}
