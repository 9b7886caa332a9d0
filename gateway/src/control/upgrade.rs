//! Another binary takes over, and no client notices: the running process starts it, hands it every socket and lock,
//! and ends once that one serves. Until then it serves on itself, and whatever goes wrong leaves it as it was.

use super::aws::{self, Auth};
use super::bans;
use super::change;
use super::handover::{self, Estate, MESSAGE_WITHIN, Report};
use super::kernel::Kernel;
use super::node::{Node, io_name};
use super::notify;
use super::orders;
use super::start::Started;
use super::types::{ApplyRequest, Kind, Problem, UpgradeRequest, Upgraded};
use crate::net::Passage;
use crate::observe::log;
use crate::worker::Order;
use crate::xdp::Rules;
use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

/// How long clients of the process that ends have to finish, unless it is said.
const DRAIN_S: u64 = 300;
const DRAIN_S_MAX: u64 = 3600;
/// Past that, for the workers to close what is left.
const DRAIN_GRACE: Duration = Duration::from_secs(2);
/// What is counted here is told to the process that took over once in so many times 10 ms.
const FORWARD_EVERY: u32 = 50;
/// For an answer of the operator's API to reach whoever asked.
const TALK_WITHIN: Duration = Duration::from_secs(2);

/// What an upgrade needs to know of the process that it replaces.
pub(super) struct Means {
    pub(super) operator: OwnedFd,
    pub(super) status: Option<OwnedFd>,
    /// The binary that runs, as a path.
    pub(super) program: PathBuf,
    pub(super) json: bool,
    /// Tasks of the control plane that change something or take requests.
    pub(super) tasks: RefCell<Vec<AbortHandle>>,
    /// Connections of the operator's API.
    pub(super) talking: Cell<usize>,
    /// Another process serves: this one drains, for so long.
    pub(super) left: Cell<Option<Duration>>,
    pub(super) told: Notify,
}

impl Means {
    pub(super) fn of(started: &Started, program: PathBuf, json: bool) -> Result<Self, Problem> {
        let copied = |fd: BorrowedFd<'_>| fd.try_clone_to_owned().map_err(|error| host("copied", &error));
        Ok(Self {
            operator: copied(started.operator.as_fd())?,
            status: started.status.as_ref().map(|status| copied(status.as_fd())).transpose()?,
            program,
            json,
            tasks: RefCell::default(),
            talking: Cell::new(0),
            left: Cell::new(None),
            told: Notify::new(),
        })
    }
}

/// Where the running binary lies, even after another one was put in its place.
pub(super) fn program() -> PathBuf {
    let path = std::env::current_exe().unwrap_or_else(|_| "gateway".into());
    match path.to_str().and_then(|text| text.strip_suffix(" (deleted)")) {
        Some(replaced) => replaced.into(),
        None => path,
    }
}

pub(super) async fn upgrade(node: &Node, request: &UpgradeRequest) -> Result<Upgraded, Problem> {
    let Some(means) = node.means.get() else {
        return Err(Problem::new(
            Kind::Conflict,
            "this gateway has not started yet",
            "ask again in a moment",
        ));
    };
    let drain_s = request.drain_s.unwrap_or(DRAIN_S);
    if drain_s > DRAIN_S_MAX {
        let what = format!("{drain_s} s are longer than a process may take to end");
        return Err(Problem::new(Kind::Request, what, format!("at most {DRAIN_S_MAX} s")));
    }
    let binary = request.binary.clone().unwrap_or_else(|| means.program.clone());
    is_a_program(&binary)?;
    if std::process::id() == 1 {
        let mend = "start a new container beside this one, or run the gateway under an init process";
        return Err(Problem::new(
            Kind::Conflict,
            "the gateway is process 1: with it the container ends",
            mend,
        ));
    }
    in_step(node).await?;
    // Both are kept when another process serves: nothing is changed here any more.
    let changing = node.changing.lock().await;
    let banning = node.bans.hold().await;
    if means.left.get().is_some() {
        return Err(gone());
    }
    node.confirm.nothing_waits()?;
    let open = node.workers.iter().map(|worker| worker.counters.connections_open.load(Relaxed)).sum();
    let planned = Upgraded {
        binary: binary.clone(),
        drain_s,
        connections: open,
        listeners: node.running().snapshot.listeners.len(),
        ..Upgraded::default()
    };
    if request.plan {
        return Ok(planned);
    }
    log("info", "upgrade", format_args!("{} is started to take over", binary.display()));
    bans::write_down(node)?;
    let objects = node.aws.set_aside().await;
    let taken = take_over(node, means, binary).await;
    let (pid, version) = match taken {
        Ok(taken) => taken,
        Err(problem) => {
            log("error", "upgrade", format_args!("this process serves on: {}", problem.what));
            node.aws.regain()?;
            return Err(problem);
        }
    };
    std::mem::forget((changing, banning, objects));
    depart(node, means, pid, Duration::from_secs(drain_s));
    log(
        "info",
        "upgrade",
        format_args!("process {pid} serves (version {version}); this one ends within {drain_s} s"),
    );
    Ok(Upgraded { done: true, pid: Some(pid), version: Some(version), ..planned })
}

/// That process serves. Workers are ordered before it is answered: whoever heard the answer is told by this process
/// that his connection ends.
fn depart(node: &Node, means: &Means, pid: u32, within: Duration) {
    for task in means.tasks.borrow().iter() {
        task.abort();
    }
    notify::main_pid(pid);
    for worker in &node.workers {
        let _ = worker.mail.send(Order::Leave { within });
    }
    means.left.set(Some(within));
    means.told.notify_one();
}

/// Does another process serve already?
pub(super) fn is_left(node: &Node) -> bool {
    node.means.get().is_some_and(|means| means.left.get().is_some())
}

/// Said of whatever would change something here.
pub(super) fn gone() -> Problem {
    Problem::new(Kind::Conflict, "another process has taken over", "ask again: that one answers")
}

/// The new process reads the files: what they say must be what runs, so that an upgrade changes nothing else.
async fn in_step(node: &Node) -> Result<(), Problem> {
    let plan = ApplyRequest { plan: true, ..ApplyRequest::default() };
    if change::apply(node, &plan).await?.plan.differs {
        let mend = "`gateway apply --plan` shows what differs; apply it or take the edit back, then upgrade";
        return Err(Problem::new(Kind::Conflict, "the files say other than what runs", mend));
    }
    Ok(())
}

fn is_a_program(path: &Path) -> Result<(), Problem> {
    let refused = |why: String| {
        let mend = "name the gateway's new binary with --binary";
        Err(Problem::new(Kind::Request, format!("{} is not started: {why}", path.display()), mend))
    };
    match std::fs::metadata(path) {
        _ if !path.is_absolute() => refused("it is not an absolute path".into()),
        Err(error) => refused(error.to_string()),
        Ok(found) if !found.is_file() || found.mode() & 0o111 == 0 => refused("it is no program".into()),
        Ok(found) if found.mode() & 0o002 != 0 => refused("everybody may write to it".into()),
        Ok(_) => Ok(()),
    }
}

/// Returns the process that serves. Otherwise that one is gone, and this one has again what it had given away.
async fn take_over(node: &Node, means: &Means, binary: PathBuf) -> Result<(u32, String), Problem> {
    let listeners = sockets(node).await?;
    // From here to the end this process leaves the kernel alone: two would take the interfaces from each other.
    let pins = node.kernel.borrow_mut().set_aside();
    let result = async {
        let copy = |fd: &OwnedFd| fd.try_clone().map_err(|error| host("copied", &error));
        let estate = Estate {
            store: node.store.lock().map_err(|error| host("copied", &error))?,
            pins: pins
                .as_ref()
                .map(|pins| pins.try_clone().map(OwnedFd::from))
                .transpose()
                .map_err(|error| host("copied", &error))?,
            operator: copy(&means.operator)?,
            status: means.status.as_ref().map(copy).transpose()?,
            listeners,
        };
        let mut command = Command::new(&binary);
        command.args(["run", "--handover", "--io", io_name(node.io), "--config"]).arg(&node.config);
        if means.json {
            command.arg("--json");
        }
        if node.aws.auth() == Auth::Nobody {
            command.arg("--no-auth");
        }
        let started = tokio::task::spawn_blocking(move || start(command, &estate));
        started
            .await
            .unwrap_or_else(|error| Err(Problem::host(format!("the upgrade broke off: {error}"), "")))
    }
    .await;
    if result.is_err() {
        regain(node, pins);
    }
    result
}

/// The kernel guard as it was: the new process may have put its program and its rules there before it failed.
fn regain(node: &Node, pins: Option<std::fs::File>) {
    let Some(pins) = pins else { return };
    let running = node.running();
    let xdp = &node.started_with.document.xdp;
    let bans = node.bans.in_kernel();
    let kernel = Kernel::attach(xdp, &Rules::of(&running.snapshot), &bans, Some(pins));
    *node.kernel.borrow_mut() = kernel;
}

/// Every listening socket once more, by listener.
async fn sockets(node: &Node) -> Result<Vec<(String, SocketAddr, Vec<OwnedFd>)>, Problem> {
    let shares = orders::all(&node.workers, |done| Order::Sockets { done }).await?;
    let snapshot = node.running().snapshot.clone();
    let mut listeners: Vec<_> = snapshot
        .listeners
        .iter()
        .map(|listener| (listener.name.clone(), listener.address, Vec::new()))
        .collect();
    for share in shares {
        for (index, socket) in share.map_err(|error| host("copied", &error))? {
            if let Some((.., sockets)) = listeners.get_mut(index) {
                sockets.push(socket);
            }
        }
    }
    Ok(listeners)
}

/// Starts the new process, hands all over, and waits until it serves. Blocks.
fn start(mut command: Command, estate: &Estate) -> Result<(u32, String), Problem> {
    let (passage, end) = Passage::pair(MESSAGE_WITHIN).map_err(|error| host("made", &error))?;
    let program = PathBuf::from(command.get_program());
    let child = command.stdin(Stdio::from(end)).spawn();
    // The command holds the child's end: only without it is the child's own end heard of.
    drop(command);
    let mut child = child.map_err(|error| {
        let mend = "name the gateway's new binary with --binary; this process serves on";
        Problem::host(format!("{} cannot be started: {error}", program.display()), mend)
    })?;
    let outcome = match estate.hand_over(&passage).and_then(|()| handover::outcome(&passage)) {
        // It ended with words of ours unread.
        Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => {
            Ok(None)
        }
        outcome => outcome,
    };
    match outcome {
        Ok(Some(Report::Serves { pid, version })) if pid == child.id() => Ok((pid, version)),
        outcome => {
            let ended = end_of(&mut child);
            let mend = "its own words stand in the log; this process serves on, nothing was changed";
            Err(match outcome {
                Ok(Some(Report::Failed { problem })) => problem,
                Ok(_) => Problem::host(format!("{} {ended} before it served", program.display()), mend),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let waited = MESSAGE_WITHIN.as_secs();
                    Problem::host(
                        format!("{} does not serve after {waited} s and was ended", program.display()),
                        mend,
                    )
                }
                Err(error) => Problem::host(format!("{} {ended}: {error}", program.display()), mend),
            })
        }
    }
}

/// Ends the process, if it lives, and waits for that: whatever it held is free then.
fn end_of(child: &mut Child) -> String {
    let _ = child.kill();
    child.wait().map_or_else(|error| error.to_string(), |status| format!("ended ({status})"))
}

/// Lets the clients of this process finish. The other one has the control socket, the store and the kernel.
pub(super) async fn leave(node: &Node, means: &Means) {
    let within = means.left.get().unwrap_or_default();
    let ended = async {
        let mut turns = 1_u32;
        while node.workers.iter().any(|worker| !worker.thread.is_finished()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
            turns += 1;
            if turns.is_multiple_of(FORWARD_EVERY) {
                // What it does not take now, it is given at the end.
                let _ = aws::forward(node).await;
            }
        }
    };
    if tokio::time::timeout(within + DRAIN_GRACE, ended).await.is_err() {
        log("warning", "upgrade", format_args!("not all connections ended in time, they are cut"));
    }
    if let Err(problem) = aws::forward(node).await {
        log("error", "upgrade", format_args!("{}", problem.what));
    }
    let heard = async {
        while means.talking.get() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let _ = tokio::time::timeout(TALK_WITHIN, heard).await;
    log("info", "upgrade", format_args!("all connections of this process have ended"));
}

fn host(verb: &str, error: &io::Error) -> Problem {
    Problem::host(
        format!("a socket cannot be {verb}: {error}"),
        "raise the limit of open files (LimitNOFILE=)",
    )
}
