//! Who used the processors: the proxy, its core's softirq thread, we ourselves, and whoever else disturbs.
//!
//! Times are the scheduler's own sums in nanoseconds (`/proc/…/schedstat`), of every thread there is: what `/proc/stat`
//! says of processors are samples of a clock that ticks 250 times a second, and a core that sleeps for microseconds at
//! a time is busy or idle in them by chance. A thread that came and went between two readings is in neither.
//! What a system call or a softirq does in a process's name counts as that process's: on loopback that is the kernel's
//! receiving of what the process sends, for the proxy as for the load generator, and for all proxies alike.

use anyhow::{Context as _, Result};
use std::collections::BTreeMap;
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
    /// Every thread of the machine, by its id.
    threads: BTreeMap<u32, Duration>,
    stolen: f64,
}

/// What lies between two readings, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// The proxy's, and the softirq thread's of its core.
    pub(crate) proxy: f64,
    pub(crate) elapsed: f64,
    /// The load generator's and the backend's.
    pub(crate) load: f64,
    /// Neither the proxy's nor ours nor softirqs', on all processors, with what the hypervisor took.
    pub(crate) others: f64,
}

impl Reading {
    /// `proxy`: the root of its processes; `core`: where it is pinned.
    pub(crate) fn now(proxy: u32, core: usize) -> Result<Self> {
        let softirq = softirq_threads()?;
        Ok(Self {
            at: Instant::now(),
            proxy: family(proxy)?.into_iter().map(process).sum(),
            softirq: softirq.iter().filter(|(of, _)| *of == core).map(|(_, time)| *time).sum(),
            ourselves: process(std::process::id()),
            all_softirq: softirq.iter().map(|(_, time)| *time).sum(),
            threads: threads()?,
            stolen: stolen()?,
        })
    }

    pub(crate) fn until(&self, later: &Self) -> Usage {
        let span = |of: fn(&Self) -> Duration| of(later).saturating_sub(of(self)).as_secs_f64();
        let known = span(|reading| reading.proxy + reading.ourselves + reading.all_softirq);
        let ran = later.threads.iter().map(|(thread, time)| {
            time.saturating_sub(self.threads.get(thread).copied().unwrap_or_default()).as_secs_f64()
        });
        Usage {
            proxy: span(|reading| reading.proxy + reading.softirq),
            elapsed: (later.at - self.at).as_secs_f64(),
            load: span(|reading| reading.ourselves),
            others: (ran.sum::<f64>() - known).max(0.0) + (later.stolen - self.stolen),
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

/// What every thread of the machine has run.
fn threads() -> Result<BTreeMap<u32, Duration>> {
    let number = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let processes = fs::read_dir("/proc").context("/proc")?.filter_map(|entry| number(&entry.ok()?.path()));
    let threads = processes.flat_map(tasks).filter_map(|task| Some((number(&task)?, ran(&task)?)));
    Ok(threads.collect())
}

/// Seconds in which the hypervisor ran somebody else.
fn stolen() -> Result<f64> {
    let text = fs::read_to_string("/proc/stat")?;
    let line = text.lines().find(|line| line.starts_with("cpu ")).context("/proc/stat")?;
    let ticks = line.split_whitespace().nth(8).context("/proc/stat has too few columns")?;
    Ok(ticks.parse::<f64>()? / TICKS_PER_SECOND)
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

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: u32 = 10;
    const OURS: u32 = 20;
    const SOFTIRQ: [u32; 2] = [3, 4];
    const OTHER: u32 = 99;

    /// Milliseconds that each thread had run; the proxy's core is that of the first softirq thread.
    fn reading(at: Instant, ran: &[(u32, u64)], stolen: f64) -> Reading {
        let threads: BTreeMap<u32, Duration> =
            ran.iter().map(|(thread, ms)| (*thread, Duration::from_millis(*ms))).collect();
        let of = |thread: u32| threads.get(&thread).copied().unwrap_or_default();
        Reading {
            at,
            proxy: of(PROXY),
            softirq: of(SOFTIRQ[0]),
            ourselves: of(OURS),
            all_softirq: of(SOFTIRQ[0]) + of(SOFTIRQ[1]),
            stolen,
            threads,
        }
    }

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found}, not {expected}");
    }

    #[test]
    fn who_disturbs_is_whoever_else_ran() {
        let begun = Instant::now();
        let ends = begun + Duration::from_secs(2);
        let calm = [(PROXY, 5_000), (OURS, 7_000), (SOFTIRQ[0], 100), (SOFTIRQ[1], 200), (OTHER, 9_000)];
        let before = reading(begun, &calm, 1.0);
        let window = [(PROXY, 6_500), (OURS, 8_000), (SOFTIRQ[0], 150), (SOFTIRQ[1], 225)];
        let after = |others: &[(u32, u64)], stolen| {
            let usage = before.until(&reading(ends, &[&window, others].concat(), stolen));
            near(usage.proxy, 1.55);
            near(usage.load, 1.0);
            near(usage.elapsed, 2.0);
            usage.others
        };
        near(after(&[(OTHER, 9_000)], 1.0), 0.0);
        near(after(&[(OTHER, 9_250)], 1.0), 0.25);
        // One that began meanwhile, and what the hypervisor took.
        near(after(&[(OTHER, 9_000), (100, 500)], 1.0), 0.5);
        near(after(&[(OTHER, 9_000)], 1.1), 0.1);
        // One that ended is no time given back; one whose number another thread has now neither.
        near(after(&[], 1.0), 0.0);
        near(after(&[(OTHER, 10)], 1.0), 0.0);
    }

    /// Its threads that ended count in the proxy's sum of before alone: that is no disturbance below zero.
    #[test]
    fn nobody_disturbs_by_less_than_nothing() {
        let begun = Instant::now();
        let mut before = reading(begun, &[(PROXY, 1_000), (OTHER, 1_000)], 0.0);
        before.threads.insert(PROXY, Duration::from_millis(2_000));
        let usage = before.until(&reading(begun, &[(PROXY, 1_500), (OTHER, 1_000)], 0.0));
        near(usage.proxy, 0.5);
        near(usage.others, 0.0);
    }
}
