//! A sender of frames and a receiver, each on its CPU, and what the receiver's CPU spent.
//!
//! The frames are XDP frames, as a network card's driver hands them on: no socket buffer exists before the filter
//! under test lets one be made. The receiver polls in a kernel thread (threaded NAPI), whose CPU time the kernel keeps.

use crate::code;
use crate::network::{self, RECEIVER, RECEIVING, SENDER, SENDING};
use crate::scenarios::Scenario;
use crate::sys::{self, Program};
use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use std::time::{Duration, SystemTime};

/// Where sender and receiver run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Layout {
    /// They take turns, a ring full of frames each: the frames lie in the cache, as a card leaves them there.
    SameCpu,
    /// Both at once: every frame, and the memory that holds it, moves from one CPU to the other and back.
    OtherCpu,
}

impl Layout {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SameCpu => "sender on the same CPU",
            Self::OtherCpu => "sender on another CPU",
        }
    }

    fn receiver(self) -> usize {
        match self {
            Self::SameCpu => SENDING_CPU,
            Self::OtherCpu => SENDING_CPU + 1,
        }
    }
}

const SENDING_CPU: usize = 0;
/// How often the receiver is looked at until it has come to rest.
const STEP: Duration = Duration::from_millis(2);
const STEPS_MAX: usize = 1000;

/// The receiver's polling thread.
pub(crate) struct Receiver {
    pid: i32,
}

/// What one flood did to the receiver.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flood {
    /// That the interface took in.
    pub(crate) received: u64,
    /// On the CPU, and ready to run without getting it.
    pub(crate) busy: Duration,
    pub(crate) waited: Duration,
    pub(crate) elapsed: Duration,
}

/// A flood is disturbed when the receiver's thread was kept waiting for so much of it by somebody else.
const WAITED_MAX: f64 = 0.5;

impl Flood {
    /// Nanoseconds of the receiver's CPU for each packet. None: disturbed. (On the sender's CPU it waits for the sender
    /// anyhow, so nothing can be told.)
    pub(crate) fn cost(&self, layout: Layout) -> Option<f64> {
        let waited = self.waited.as_secs_f64() / self.elapsed.as_secs_f64();
        let calm = self.received > 0 && (layout == Layout::SameCpu || waited <= WAITED_MAX);
        calm.then(|| self.busy.as_nanos() as f64 / self.received as f64)
    }
}

impl Receiver {
    /// Gives the receiving interface a polling thread of its own.
    pub(crate) fn start() -> Result<Self> {
        // `ip netns exec` mounts the namespace's own sysfs.
        let set = format!("echo 1 > /sys/class/net/{RECEIVING}/threaded");
        network::run(&["ip", "netns", "exec", RECEIVER, "sh", "-c", &set])?;
        let name = format!("napi/{RECEIVING}-");
        for entry in std::fs::read_dir("/proc")?.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
                continue;
            };
            if std::fs::read_to_string(entry.path().join("comm")).is_ok_and(|comm| comm.starts_with(&name)) {
                return Ok(Self { pid });
            }
        }
        bail!("no thread {name}: this kernel has no threaded NAPI on veth (Linux 5.13 or later has it)")
    }

    /// On the CPU, and waiting for it.
    fn times(&self) -> Result<(Duration, Duration)> {
        let path = format!("/proc/{}/schedstat", self.pid);
        let text = std::fs::read_to_string(&path).context("reading the receiver's CPU time")?;
        let mut numbers = text.split_whitespace().map(|word| word.parse().map(Duration::from_nanos));
        let (Some(Ok(busy)), Some(Ok(waited))) = (numbers.next(), numbers.next()) else {
            bail!("{path} says {text}");
        };
        Ok((busy, waited))
    }

    /// Sends so many frames, as fast as the sender's CPU can, and waits until all are dealt with. What finds the
    /// ring full is lost before any filter sees it. One call, because each has a cost of its own of milliseconds.
    pub(crate) fn flood(&self, layout: Layout, scenario: &Scenario, frames: u32) -> Result<Flood> {
        sys::pin(self.pid, layout.receiver()).context("pinning the receiver")?;
        let frame = scenario.frame(0)?;
        let before = (received()?, self.times()?);
        let elapsed = network::within(SENDER, || -> Result<Duration> {
            sys::pin(0, SENDING_CPU).context("pinning the sender")?;
            let to = sys::interface_index(SENDING)?;
            let program = Program::load("send", &code::then_redirect(true, scenario.sources, to))?;
            let begun = SystemTime::now();
            program.send(&frame, frames).context("sending")?;
            Ok(begun.elapsed().unwrap_or_default())
        })??;
        self.drained()?;
        let after = (received()?, self.times()?);
        Ok(Flood {
            received: after.0 - before.0,
            busy: after.1.0.saturating_sub(before.1.0),
            waited: after.1.1.saturating_sub(before.1.1),
            elapsed,
        })
    }

    /// Waits until the receiver has been idle for a step.
    fn drained(&self) -> Result<()> {
        let mut last = (received()?, self.times()?.0);
        for _ in 0..STEPS_MAX {
            std::thread::sleep(STEP);
            let now = (received()?, self.times()?.0);
            if now == last {
                return Ok(());
            }
            last = now;
        }
        bail!("{RECEIVING} does not come to rest: something else sends to it")
    }
}

/// Packets that the receiving interface has polled, whatever became of them.
fn received() -> Result<u64> {
    let table = network::within(RECEIVER, || std::fs::read_to_string("/proc/thread-self/net/dev"))??;
    let row = table.lines().find_map(|line| line.trim().strip_prefix(RECEIVING)?.strip_prefix(':'));
    let packets = row.and_then(|row| row.split_whitespace().nth(1)?.parse().ok());
    packets.with_context(|| format!("{RECEIVING} is not in /proc/net/dev"))
}
