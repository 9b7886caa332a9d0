//! From the command line to a node that serves.

use super::aws::Aws;
use super::bans::Bans;
use super::candidate::{self, Candidate, Running};
use super::handover::Heritage;
use super::kernel::{ENDS_WITH_PROCESS, Kernel};
use super::node::{Node, io_name};
use super::publish;
use super::sockets::Bound;
use super::store::Store;
use super::types::{Problem, Ready, findings};
use super::{Io, Options, api, bans, resolve};
use crate::config::Document;
use crate::net::{self, IoKind};
use crate::observe::{count, log};
use crate::worker::{self, Handle, Limits, Offender, Report};
use crate::xdp::Rules;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::rc::Rc;
use std::sync::Arc;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc::Receiver;

const WORKERS_MAX: usize = 256;
/// Per worker, where the open-file limit allows it.
const CONNECTIONS: usize = 65_536;
/// What the process needs beside connections: rings, maps, store, the control plane.
const FILES_RESERVED: u64 = 128;
const FILES_WANTED: u64 = 1 << 20;

/// A node that serves, and the control plane's sockets that do not yet.
pub(super) struct Started {
    pub(super) node: Rc<Node>,
    pub(super) operator: UnixListener,
    pub(super) status: Option<TcpListener>,
    /// What workers tell of sources that they refuse too often.
    pub(super) offenders: Receiver<Offender>,
}

/// `heritage`: what an earlier process hands over, if there is one.
pub(super) async fn start(options: &Options, heritage: Heritage) -> Result<Started, Problem> {
    net::small_pages();
    // As the process sees it now: a later change of the working directory must not change the meaning of a reload.
    let config = std::path::absolute(&options.config).unwrap_or_else(|_| options.config.clone());
    let loaded = candidate::load(&config, None)?;
    let document = loaded.document.clone();
    let Heritage { store, pins, operator, status, listeners } = heritage;
    let folder = &document.control.store;
    let adopted = store.and_then(|lock| Store::adopt(folder, &lock));
    // The control socket lies in the store: of another store, it is another one's.
    let operator = operator.filter(|_| adopted.is_some());
    let store = adopted.map_or_else(|| Store::open(folder), Ok)?;
    let operator = match operator {
        Some(operator) => {
            UnixListener::from_std(operator).map_err(|error| not_taken("control socket", &error))?
        }
        None => api::bind(&store.socket()).await?,
    };
    let status = bind_status(&document, status).await?;
    let remembered = store.remembered()?;
    let bans = Bans::load(store.folder(), &document.xdp)?;
    let aws = Aws::open(store.folder(), options.auth)?;
    aws.take_back_unconfirmed().await?;
    let first = candidate::compile_first(loaded, &aws.serving(), &remembered)?;
    say_findings(&first);
    if first.remembered != remembered {
        store.remember(&first.remembered)?;
    }
    let (sender, offenders) = tokio::sync::mpsc::channel(bans::OFFENDERS_MAX);
    let report: Report = Arc::new(move |offender| sender.try_send(offender).is_ok());
    let (workers, io) = start_workers(&document, options.io, &report)?;
    let (running, bound) = publish::bind(first, workers.len(), None, listeners)?;
    aws.restore_usage(&running.snapshot.plans)?;
    publish::warn_of_names(&resolve::first(&running.snapshot.targets).await);
    // The kernel's rules stand before the first socket listens.
    let kernel = Kernel::attach(&document.xdp, &Rules::of(&running.snapshot), &bans.in_kernel(), pins);
    let served = serve_first(&workers, &running, &bans, bound).await;
    served.inspect_err(|_| kernel.say_farewell("warning"))?;
    let node = Node::new(config, store, (workers, io), kernel, (bans, aws), running);
    Ok(Started { node: Rc::new(node), operator, status, offenders })
}

async fn serve_first(
    workers: &[Handle],
    running: &Running,
    bans: &Bans,
    bound: Vec<(usize, Bound)>,
) -> Result<(), Problem> {
    bans.order(workers).await?;
    publish::listen(&bound, &running.snapshot)?;
    publish::adopt(workers, &running.snapshot, bound).await.map(drop)
}

pub(super) fn ready(started: &Started) -> Ready {
    let (node, running) = (&started.node, started.node.running());
    let listeners = running.snapshot.listeners.iter();
    let kernel = node.kernel.borrow();
    let apis = running.loaded.document.apis.iter().zip(&running.loaded.apis);
    Ready {
        ready: true,
        pid: std::process::id(),
        generation: running.snapshot.generation,
        listeners: listeners
            .map(|listener| (listener.name.clone(), listener.address))
            .collect::<BTreeMap<_, _>>(),
        control: node.store.socket(),
        control_address: started.status.as_ref().and_then(|listener| listener.local_addr().ok()),
        io: io_name(node.io).into(),
        workers: node.workers.len(),
        xdp: kernel.interfaces(),
        xdp_off: kernel.off(),
        xdp_ends_with_process: kernel.ends_with_process(),
        failed: apis.filter(|(_, api)| api.is_err()).map(|(entry, _)| entry.name.clone()).collect(),
    }
}

/// For a person on a terminal.
pub(super) fn banner(ready: &Ready) -> String {
    let mut text = format!("gateway {} serves generation {}", env!("CARGO_PKG_VERSION"), ready.generation);
    let _ = writeln!(text, " with {} on {}", count(ready.workers, "worker"), ready.io);
    for (name, address) in &ready.listeners {
        let _ = writeln!(text, "  listener {name:<16} {address}");
    }
    for interface in &ready.xdp {
        let _ = writeln!(text, "  xdp      {:<16} {}", interface.name, interface.mode);
    }
    match &ready.xdp_off {
        Some(why) => drop(writeln!(text, "  xdp      off              {why}")),
        None if ready.xdp_ends_with_process => drop(writeln!(text, "  {ENDS_WITH_PROCESS}")),
        None => text.push_str("  its rules outlive this process; `gateway xdp detach` removes them\n"),
    }
    for name in &ready.failed {
        let _ = writeln!(text, "  API {name} FAILED to load and is not served; `gateway status` shows why");
    }
    let _ = writeln!(text, "  control  {}", ready.control.display());
    text
}

fn say_findings(first: &Candidate) {
    for (entry, api) in first.loaded.document.apis.iter().zip(&first.loaded.apis) {
        let Err(diagnostics) = api else { continue };
        let name = &entry.name;
        log("error", "config", format_args!("API {name} has errors and is left out, the others serve"));
        for finding in findings(diagnostics) {
            log("error", "config", format_args!("{}", finding.told()));
        }
    }
    for finding in first.all_warnings() {
        log("warning", "config", format_args!("{}", finding.told()));
    }
}

async fn bind_status(
    document: &Document,
    inherited: Option<std::net::TcpListener>,
) -> Result<Option<TcpListener>, Problem> {
    let Some(address) = document.control.address else { return Ok(None) };
    let same = |listener: &std::net::TcpListener| {
        listener
            .local_addr()
            .is_ok_and(|at| at == address || (address.port() == 0 && at.ip() == address.ip()))
    };
    if let Some(inherited) = inherited.filter(same) {
        let taken = TcpListener::from_std(inherited);
        return taken.map(Some).map_err(|error| not_taken("control address", &error));
    }
    let bound = TcpListener::bind(address).await.map_err(|error| {
        let (port, free) = (address.port(), address.port().checked_add(1).unwrap_or(9080));
        let what = format!("[control] address {address} cannot be bound: {error}");
        let mend = format!(
            "write another one under [control] in gateway.toml, address = \"{}:{free}\", or address = \"off\"; \
             `ss -ltnp 'sport = :{port}'` names who has this one: another gateway, perhaps",
            address.ip()
        );
        Problem::host(what, mend)
    })?;
    Ok(Some(bound))
}

fn not_taken(what: &str, error: &std::io::Error) -> Problem {
    Problem::host(format!("the {what} that was handed over cannot be served: {error}"), "")
}

fn start_workers(document: &Document, io: Io, report: &Report) -> Result<(Vec<Handle>, IoKind), Problem> {
    let io = choose_io(io)?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let count = if document.node.workers == 0 { cores } else { document.node.workers }.min(WORKERS_MAX);
    let settings = worker::Settings { io, limits: limits(count) };
    let workers: std::io::Result<Vec<Handle>> =
        (0..count).map(|number| worker::start(number, settings, report.clone())).collect();
    let workers = workers.map_err(|error| {
        let mend = "`gateway doctor` shows what this host allows";
        Problem::host(format!("a worker cannot start on {}: {error}", io_name(io)), mend)
    })?;
    Ok((workers, io))
}

fn choose_io(io: Io) -> Result<IoKind, Problem> {
    match (io, net::probe()) {
        (Io::Epoll, _) => Ok(IoKind::Epoll),
        (_, Ok(())) => Ok(IoKind::IoUring),
        (Io::Auto, Err(why)) => {
            log("warning", "net", format_args!("io_uring is refused, epoll serves: {why}"));
            Ok(IoKind::Epoll)
        }
        (Io::IoUring, Err(why)) => Err(Problem::host(
            format!("--io io_uring: {why}"),
            "mend that, or leave --io away: epoll serves then",
        )),
    }
}

/// Most connections are idle at any moment: of five descriptors one is the backends', for those that are not.
fn limits(workers: usize) -> Limits {
    let files = net::raise_open_files(FILES_WANTED).unwrap_or(1024);
    let per_worker = files.saturating_sub(FILES_RESERVED) / 5 * 4 / workers as u64;
    let connections = usize::try_from(per_worker).unwrap_or(CONNECTIONS).clamp(16, CONNECTIONS);
    if connections < 4096 {
        let what = format_args!(
            "{files} open files allow {connections} connections a worker; `ulimit -n` or LimitNOFILE= raises it"
        );
        log("warning", "control", what);
    }
    Limits { connections, ..Limits::default() }
}
