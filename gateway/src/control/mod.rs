//! Everything that changes the node: load, publish, refresh, and the operator's API on a Unix socket. One tokio runtime
//! on one thread owns it all; nothing in it can block a worker.

mod api;
mod aside;
mod aws;
mod bans;
mod cache;
mod candidate;
mod change;
mod confirm;
mod explain;
mod handover;
mod kernel;
mod limit;
mod named;
mod node;
mod notify;
mod orders;
mod peers;
mod plan;
mod plans;
mod publish;
mod resolve;
mod short;
mod sockets;
mod start;
mod status;
mod store;
mod strictest;
mod top;
pub mod types;
mod upgrade;

#[cfg(test)]
mod tests;

pub use crate::observe::{count, rfc3339};
pub use aws::{Auth, check_policy};
pub use bans::{Fault as RangeFault, broad, parse_range, parse_ranges};
pub use candidate::type_name;
pub use status::would_serve;
pub use store::socket_path;

use crate::config::{Remembered, Stored, XdpMode};
use crate::observe::log;
use crate::worker::Order;
use crate::xdp::Proved;
use handover::{Heritage, Report};
use node::Node;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use types::{ApplyRequest, ExplainRequest, Explanation, Finding, Problem, XdpSummary};
use upgrade::Means;

/// How long clients have to finish when the gateway ends.
const DRAIN_WITHIN: Duration = Duration::from_secs(10);
/// Past the drain's end, for the workers to close what is left.
const DRAIN_GRACE: Duration = Duration::from_secs(2);
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// Addresses of the host are looked at each so many turns of the watch.
const ADDRESSES_EVERY: u32 = 30;
const BLOCKING_THREADS_MAX: usize = 16;

pub struct Options {
    pub config: PathBuf,
    pub io: Io,
    /// One line of JSON on standard output when it serves.
    pub json: bool,
    pub auth: Auth,
    /// A running gateway starts this one to take over, and hands it what it has on standard input.
    pub handover: bool,
    /// An XDP program that logs, instead of the embedded one.
    #[cfg(feature = "xdp-log")]
    pub xdp_object: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Io {
    /// io_uring, and epoll where the host refuses it
    Auto,
    IoUring,
    Epoll,
}

/// Runs the gateway until a signal ends it.
pub fn run(options: &Options) -> Result<(), Problem> {
    #[cfg(feature = "xdp-log")]
    if let Some(object) = &options.xdp_object {
        crate::xdp::log_with(object, |line| log("debug", "xdp", format_args!("{line}")))
            .map_err(|error| Problem::host(error.what, error.mend))?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .build()
        .map_err(|error| Problem::host(format!("the control plane cannot start: {error}"), ""))?;
    let result = tokio::task::LocalSet::new().block_on(&runtime, serve(options));
    // A name that is still being resolved holds nobody up.
    runtime.shutdown_background();
    result
}

/// What `check` says of a whole configuration: it compiles, with these warnings. Nothing is started or changed.
pub fn check(config: &Path) -> Result<Vec<Finding>, Problem> {
    let candidate = offline(config)?;
    let mut warnings = candidate.all_warnings();
    let document = &candidate.loaded.document;
    warnings.extend(kernel::unlike_this_host(document));
    let interfaces = &document.xdp.interfaces;
    // Files are checked on other hosts too, whose addresses say nothing.
    if interfaces.iter().all(|name| crate::xdp::is_here(name)) {
        warnings.extend(unguarded(&candidate));
    }
    Ok(warnings)
}

/// Private listeners of a configuration that packets can reach past the guard on this host.
pub fn check_host(config: &Path) -> Result<Vec<Finding>, Problem> {
    Ok(unguarded(&offline(config)?))
}

fn unguarded(candidate: &candidate::Candidate) -> Vec<Finding> {
    let document = &candidate.loaded.document;
    let xdp = &document.xdp;
    if xdp.mode == XdpMode::Off || xdp.interfaces.is_empty() {
        return Vec::new();
    }
    kernel::unguarded(document, &candidate.snapshot, &xdp.interfaces)
}

/// `explain` from the files alone, as a gateway would answer that starts now.
pub fn explain_offline(config: &Path, request: &ExplainRequest) -> Result<Explanation, Problem> {
    let candidate = offline(config)?;
    let xdp = &candidate.loaded.document.xdp;
    let on = xdp.mode != XdpMode::Off;
    let interfaces = xdp.interfaces.iter().filter(|_| on);
    let summary = XdpSummary {
        interfaces: interfaces.map(|name| (name.clone(), "not attached yet".to_string())).collect(),
        ..XdpSummary::default()
    };
    let bans = bans::offline(&candidate.loaded.document, request.from)?;
    let names = named::StageNames::of([&*candidate.loaded]);
    let facts = explain::Facts { xdp: &summary, bans, examine: &|_, _| None, names: &names };
    explain::explain(&candidate.snapshot, &facts, request)
}

/// Proves the kernel guard on this host, in namespaces of its own; see `xdp::selftest`.
pub fn selftest() -> Result<Vec<Proved>, Problem> {
    #[allow(clippy::disallowed_methods)] // how long a step took: nothing is decided by it
    let proved = crate::xdp::selftest(std::time::Instant::now);
    proved.map_err(|error| Problem::host(error.what, error.mend))
}

fn offline(config: &Path) -> Result<candidate::Candidate, Problem> {
    let loaded = candidate::load_whole(config, None)?;
    // Whoever may not read the store still learns whether the files are right.
    let remembered = store::read(&loaded.document.control.store).unwrap_or_else(|_| Remembered::default());
    candidate::compile(&loaded, &Stored::default(), (remembered, &candidate::Proposed::new()), 1, None)
}

async fn serve(options: &Options) -> Result<(), Problem> {
    let mut signals = Signals::new()?;
    let program = upgrade::program();
    let (passage, heritage) = match options.handover {
        true => handover::receive().map(|(passage, heritage)| (Some(passage), heritage))?,
        false => (None, Heritage::default()),
    };
    let started = tokio::select! {
        started = start::start(options, heritage) => started,
        () = signals.end() => return Ok(()),
    };
    let started = started.inspect_err(|problem| {
        let failed = Report::Failed { problem: problem.clone() };
        passage.iter().for_each(|passage| handover::report(passage, &failed));
    })?;
    let means = Means::of(&started, program, options.json)?;
    let ready = start::ready(&started);
    let welcome = aws::welcome(&started.node.aws, ready.control_address).await;
    // Whoever started it may not listen any more.
    let _ = std::io::stderr().lock().write_all((start::banner(&ready) + &welcome).as_bytes());
    if options.json {
        let line = serde_json::to_string(&ready).map_err(|error| Problem::host(error.to_string(), ""))?;
        // Whoever asked for the line may be gone already: the gateway serves all the same.
        let _ = writeln!(std::io::stdout(), "{line}");
    }
    let start::Started { node, operator, status, offenders } = started;
    let means = node.means.get_or_init(|| means);
    if let Some(passage) = passage {
        let version = env!("CARGO_PKG_VERSION").to_string();
        handover::report(&passage, &Report::Serves { pid: std::process::id(), version });
    }
    notify::ready(&format!("generation {} serves", node.running().snapshot.generation));
    let mut tasks = vec![tokio::task::spawn_local(api::serve(node.clone(), operator))];
    if let Some(status) = status {
        tasks.push(tokio::task::spawn_local(api::serve_status(node.clone(), status)));
    }
    tokio::task::spawn_local(refresh_names(node.clone()));
    tasks.push(tokio::task::spawn_local(bans::keep(node.clone())));
    tasks.push(tokio::task::spawn_local(bans::watch(node.clone(), offenders)));
    tasks.push(tokio::task::spawn_local(confirm::watch(node.clone())));
    tasks.push(tokio::task::spawn_local(aws::publisher(node.clone())));
    tasks.push(tokio::task::spawn_local(aws::keep_usage(node.clone())));
    means.tasks.replace(tasks.iter().map(tokio::task::JoinHandle::abort_handle).collect());
    // One watch for all signals: what it has told, it has told.
    let watching = watch(&node);
    tokio::pin!(watching);
    loop {
        tokio::select! {
            asked = signals.next() => match asked {
                Asked::Reload => {
                    // Its result is logged and stands in `status`.
                    let node = node.clone();
                    tokio::task::spawn_local(async move { change::apply(&node, &ApplyRequest::default()).await });
                }
                Asked::End => return drain(&node, &mut signals).await,
            },
            () = means.told.notified() => {
                tokio::select! {
                    () = upgrade::leave(&node, means) => {}
                    () = signals.end() => log("warning", "upgrade", format_args!("a signal: ending at once")),
                }
                return Ok(());
            }
            problem = &mut watching => return Err(problem),
        }
    }
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, Problem> {
        let on = |kind| {
            signal(kind).map_err(|error| Problem::host(format!("signals cannot be received: {error}"), ""))
        };
        Ok(Self {
            hangup: on(SignalKind::hangup())?,
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.hangup.recv() => Asked::Reload,
            _ = self.terminate.recv() => Asked::End,
            _ = self.interrupt.recv() => Asked::End,
        }
    }

    async fn end(&mut self) {
        while !matches!(self.next().await, Asked::End) {}
    }
}

enum Asked {
    /// SIGHUP
    Reload,
    /// SIGTERM or SIGINT
    End,
}

/// Lets clients finish; a second signal ends at once. The kernel's rules stay: private stays private.
async fn drain(node: &Node, signals: &mut Signals) -> Result<(), Problem> {
    notify::stopping();
    let seconds = DRAIN_WITHIN.as_secs();
    log(
        "info",
        "control",
        format_args!("ending: open requests have {seconds} s; a second signal ends at once"),
    );
    let ended = async {
        confirm::at_the_end(node).await;
        // A change that is under way comes to its end first.
        let _changing = node.changing.lock().await;
        for worker in &node.workers {
            // A worker that takes no orders any more has nothing to drain.
            let _ = worker.mail.send(Order::Drain { within: DRAIN_WITHIN });
        }
        while node.workers.iter().any(|worker| !worker.thread.is_finished()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        () = ended => {}
        () = tokio::time::sleep(DRAIN_WITHIN + DRAIN_GRACE) => {
            log("warning", "control", format_args!("not all connections ended in time, they are cut"));
        }
        () = signals.end() => log("warning", "control", format_args!("second signal: ending at once")),
    }
    if let Err(failed) = node.aws.flush_usage().await {
        log("error", "aws", format_args!("what API keys have used is not written down: {failed}"));
    }
    if let Err(problem) = bans::write_down(node) {
        log("error", "bans", format_args!("{}", problem.what));
    }
    node.kernel.borrow().say_farewell("info");
    let _ = std::fs::remove_file(node.store.socket());
    Ok(())
}

/// A worker that is gone takes its share of the connections with it: the whole process ends, loudly, and its supervisor
/// starts a whole one.
async fn watch(node: &Node) -> Problem {
    let mut known = None;
    let mut addresses = Addresses::default();
    loop {
        addresses.watch(node);
        tokio::time::sleep(WATCH_EVERY).await;
        let mut kernel = node.kernel.borrow_mut();
        node.bury();
        kernel.reattach();
        top::drain(node, &mut kernel);
        let lost = kernel.off().filter(|_| kernel.is_on());
        drop(kernel);
        if lost != known {
            match &lost {
                Some(why) => log("error", "xdp", format_args!("{why}")),
                None => log("info", "xdp", format_args!("on all interfaces again")),
            }
            known = lost;
        }
        if let Some(number) = node.workers.iter().position(|worker| worker.thread.is_finished()) {
            let mend = "this is a fault in the gateway: please report it with the log";
            return Problem::host(format!("worker {number} ended by itself"), mend);
        }
    }
}

/// Private listeners that packets can reach past the guard: told at the start, after a change, when an address moved.
#[derive(Default)]
struct Addresses {
    generation: u64,
    turns: u32,
    told: Vec<Finding>,
}

impl Addresses {
    fn watch(&mut self, node: &Node) {
        let generation = node.running().snapshot.generation;
        self.turns = (self.turns + 1) % ADDRESSES_EVERY;
        if generation == self.generation && self.turns != 0 {
            return;
        }
        self.generation = generation;
        let found = node.unguarded();
        for finding in found.iter().filter(|finding| !self.told.contains(finding)) {
            log("warning", "xdp", format_args!("{}; {}", finding.what, finding.instead));
        }
        self.told = found;
    }
}

async fn refresh_names(node: Rc<Node>) {
    let mut known = Vec::new();
    loop {
        tokio::time::sleep(resolve::REFRESH).await;
        let targets = node.running().snapshot.targets.clone();
        let failures = resolve::refresh(&targets).await;
        if failures != known {
            publish::warn_of_names(&failures);
        }
        known = failures;
    }
}
