//! Who used the processors: the proxy, its core's softirq thread, we ourselves, and whoever else disturbs.
//!
//! Times of processes are the scheduler's own sums in nanoseconds (`/proc/…/schedstat`), those of processors the ticks
//! of `/proc/stat`. What a system call or a softirq does in a process's name counts as that process's: on loopback that
//! is the kernel's receiving of what the process sends, for the proxy as for the load generator, and for all proxies
//! alike. A kernel that accounts softirqs apart (`CONFIG_IRQ_TIME_ACCOUNTING`) would take that time out of the process:
//! it then counts as others', and every window is a disturbed one.

use anyhow::{Context as _, Result};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const TICKS_PER_SECOND: f64 = 100.0;

/// Sums since some moment.
pub(crate) struct Reading {
    at: Instant,
    proxy: Duration,
    softirq: Duration,
    ourselves: Duration,
    all_softirq: Duration,
    idle: f64,
    processors: f64,
}

/// What lies between two readings, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// The proxy's, and the softirq thread's of its core.
    pub(crate) proxy: f64,
    pub(crate) elapsed: f64,
    /// The load generator's and the backend's.
    pub(crate) load: f64,
    /// Neither the proxy's nor ours, on all processors, with what the hypervisor took.
    pub(crate) others: f64,
}

impl Reading {
    /// `proxy`: the root of its processes; `core`: where it is pinned.
    pub(crate) fn now(proxy: u32, core: usize) -> Result<Self> {
        let (idle, processors) = processors()?;
        let softirq = softirq_threads()?;
        Ok(Self {
            at: Instant::now(),
            proxy: family(proxy)?.into_iter().map(process).sum(),
            softirq: softirq.iter().filter(|(of, _)| *of == core).map(|(_, time)| *time).sum(),
            ourselves: process(std::process::id()),
            all_softirq: softirq.iter().map(|(_, time)| *time).sum(),
            idle,
            processors,
        })
    }

    pub(crate) fn until(&self, later: &Self) -> Usage {
        let span = |of: fn(&Self) -> Duration| of(later).saturating_sub(of(self)).as_secs_f64();
        let known = span(|reading| reading.proxy + reading.ourselves + reading.all_softirq);
        let elapsed = (later.at - self.at).as_secs_f64();
        let busy = self.processors * elapsed - (later.idle - self.idle);
        Usage {
            proxy: span(|reading| reading.proxy + reading.softirq),
            elapsed,
            load: span(|reading| reading.ourselves),
            others: (busy - known).max(0.0),
        }
    }
}

/// The process and all below it.
pub(crate) fn family(root: u32) -> Result<Vec<u32>> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&pid) = found.get(next) {
        next += 1;
        for task in tasks(pid) {
            // A thread that is gone meanwhile has no children.
            let children = fs::read_to_string(task.join("children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
    }
    Ok(found)
}

fn tasks(pid: u32) -> Vec<std::path::PathBuf> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

/// The time of all threads of a process; one that is gone has none.
fn process(pid: u32) -> Duration {
    tasks(pid).iter().filter_map(|task| ran(task)).sum()
}

fn ran(task: &Path) -> Option<Duration> {
    let text = fs::read_to_string(task.join("schedstat")).ok()?;
    Some(Duration::from_nanos(text.split_whitespace().next()?.parse().ok()?))
}

fn softirq_threads() -> Result<Vec<(usize, Duration)>> {
    let mut found = Vec::new();
    // Kernel threads are children of kthreadd, and made at boot in the order of the processors.
    let children = fs::read_to_string("/proc/2/task/2/children").context("the kernel's threads")?;
    for pid in children.split_whitespace() {
        let process = Path::new("/proc").join(pid);
        let Ok(name) = fs::read_to_string(process.join("comm")) else { continue };
        let Some(core) = name.trim().strip_prefix("ksoftirqd/") else { continue };
        found.push((core.parse()?, ran(&process).unwrap_or_default()));
    }
    Ok(found)
}

/// Seconds that all processors were idle, and how many there are.
fn processors() -> Result<(f64, f64)> {
    let text = fs::read_to_string("/proc/stat")?;
    let line = text.lines().find(|line| line.starts_with("cpu ")).context("/proc/stat")?;
    let ticks: Vec<f64> = line.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
    let [_user, _nice, _system, idle, iowait, ..] = ticks[..] else {
        anyhow::bail!("/proc/stat has too few columns");
    };
    let count = text.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu ")).count();
    Ok(((idle + iowait) / TICKS_PER_SECOND, count as f64))
}

/// Bytes of memory that a family of processes has for itself, and its share of what it has with others (PSS).
pub(crate) fn memory(root: u32) -> Result<u64> {
    let mut total = 0;
    for pid in family(root)? {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let kib = text.lines().find_map(|line| line.strip_prefix("Pss:")?.split_whitespace().next());
        total += kib.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024;
    }
    Ok(total)
}
