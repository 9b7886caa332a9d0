//! The operator's commands: ban and unban, as a plan or for real; all or nothing.

use super::list::{Ban, By, Full, Undo};
use super::text::{Fault, broad, parse_range};
use super::types::{BanRequest, BansChanged, Exempt, UnbanRequest};
use super::{kernel_ban, now, order, short};
use crate::control::node::Node;
use crate::control::types::{Kind, PendingChange, Problem};
use crate::control::{confirm, orders};
use crate::guard::ban::{BanTable, End};
use crate::model::DURATION_MAX;
use crate::observe::{log, rfc3339};
use crate::worker::OpenConnection;
use ipnet::IpNet;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use tokio::sync::MutexGuard;

const REASON_CHARACTERS_MAX: usize = 200;
/// Of many ranges, those that are named one by one.
const NAMED_MAX: usize = 8;
const FROM_THERE: &str = "an operator came from there by SSH";

/// Bans all of them, or none. What stands is on disk, in the kernel and with every worker when this returns.
pub(in crate::control) async fn add(node: &Node, request: &BanRequest) -> Result<BansChanged, Problem> {
    let _one = one_at_a_time(node, request.plan, request.confirm_s).await?;
    let ranges = ranges(&request.ranges)?;
    check_reason(&request.reason)?;
    let since = now();
    let end = request
        .for_s
        .map_or(Ok(End::Never), |seconds| length(seconds).map(|length| End::At(since + length)))?;
    let ban = Ban { since, end, reason: request.reason.clone(), by: By::Operator };
    let there = |range: &&IpNet| node.bans.list.borrow().ban(range).is_some();
    let replaced = ranges.iter().filter(there).count();
    let table = BanTable::new(ranges.iter().map(|range| (*range, End::Never)));
    let planned = BansChanged {
        added: ranges.len() - replaced,
        replaced,
        until: match end {
            End::At(end) => Some(rfc3339(UNIX_EPOCH + end)),
            End::Never => None,
        },
        connections: 0,
        exempt: exempt(node, &table, request.peer),
        warnings: warnings(&ranges),
        ..BansChanged::default()
    };
    let bans = ranges.iter().map(|range| (*range, ban.clone())).collect();
    let undo = node.bans.list.borrow_mut().add(bans).map_err(full)?;
    let after = node.bans.list.borrow().len();
    if request.plan {
        node.bans.list.borrow_mut().put_back(&undo);
        let connections = would_cut(node, &table).await?;
        return Ok(BansChanged { connections, bans: after, ..planned });
    }
    let undo = Rc::new(undo);
    let connections = come_into_force(node, &undo, request.confirm_s.is_none()).await?;
    let what = named(&ranges);
    let waits = wait(node, format!("{what} banned"), request.confirm_s, undo)?;
    let until = planned.until.as_deref().unwrap_or("it is removed");
    let reason = if ban.reason.is_empty() { "no reason given" } else { &ban.reason };
    log(
        "info",
        "bans",
        format_args!("operator bans {what} until {until}: {reason}; {connections} connections closed"),
    );
    Ok(BansChanged { done: true, connections, bans: after, waits, ..planned })
}

/// Lifts all of them, or none.
pub(in crate::control) async fn remove(node: &Node, request: &UnbanRequest) -> Result<BansChanged, Problem> {
    let _one = one_at_a_time(node, request.plan, request.confirm_s).await?;
    let ranges: Vec<IpNet> = if request.all {
        node.bans.list.borrow().iter().map(|(range, _)| range).collect()
    } else {
        let ranges = ranges(&request.ranges)?;
        ranges.iter().try_for_each(|range| is_banned(node, *range))?;
        ranges
    };
    let before = node.bans.list.borrow().len();
    let planned =
        BansChanged { removed: ranges.len(), bans: before - ranges.len(), ..BansChanged::default() };
    if request.plan || ranges.is_empty() {
        return Ok(planned);
    }
    let undo = Rc::new(node.bans.list.borrow_mut().remove(ranges.iter().copied()));
    come_into_force(node, &undo, request.confirm_s.is_none()).await?;
    let what = named(&ranges);
    log("info", "bans", format_args!("operator lifts the ban of {what}"));
    let waits = wait(node, format!("{what} banned no more"), request.confirm_s, undo)?;
    Ok(BansChanged { done: true, waits, ..planned })
}

/// Held for as long as the change takes. What is to be confirmed is a change like any other of the node's, of which one
/// may wait; and while it is one of bans, no other one of bans begins.
async fn one_at_a_time(
    node: &Node,
    plan: bool,
    confirm_s: Option<u64>,
) -> Result<(Option<MutexGuard<'_, ()>>, MutexGuard<'_, ()>), Problem> {
    let all = match confirm::within(confirm_s)? {
        Some(_) => Some(node.changing.lock().await),
        None => None,
    };
    let held = (all, node.bans.changing.lock().await);
    if !plan && (confirm_s.is_some() || node.bans.waits.get()) {
        node.confirm.nothing_waits()?;
    }
    Ok(held)
}

fn wait(
    node: &Node,
    what: String,
    confirm_s: Option<u64>,
    undo: Rc<Undo>,
) -> Result<Option<PendingChange>, Problem> {
    let Some(within) = confirm::within(confirm_s)? else { return Ok(None) };
    node.bans.waits.set(true);
    Ok(node.confirm.begin(what, within, confirm::Undo::Bans(undo)))
}

/// On disk when it returns.
pub(in crate::control) fn keep_confirmed(node: &Node) -> Result<(), Problem> {
    node.bans.write(&node.store)?;
    node.bans.waits.set(false);
    Ok(())
}

/// What nobody confirmed. Bans that rules made meanwhile stay.
pub(in crate::control) async fn take_back(node: &Node, undo: &Undo) -> Result<(), Problem> {
    let _changing = node.bans.changing.lock().await;
    put_back(node, undo).await?;
    node.bans.waits.set(false);
    Ok(())
}

async fn put_back(node: &Node, undo: &Undo) -> Result<(), Problem> {
    node.bans.list.borrow_mut().put_back(undo);
    tell_kernel(node, undo)?;
    let table = Arc::new(node.bans.list.borrow().table());
    order(&node.workers, &table).await.map(drop)
}

/// Disk, kernel, workers: whoever was told that a ban stands can rely on it. What fails before the workers know is
/// taken back; what is not kept yet is so even then, for nobody could confirm it. Returns how many connections were
/// closed.
async fn come_into_force(node: &Node, undo: &Undo, keep: bool) -> Result<usize, Problem> {
    let bans = &node.bans;
    let write = || if keep { bans.write(&node.store) } else { Ok(()) };
    if let Err(mut problem) = write() {
        bans.list.borrow_mut().put_back(undo);
        problem.what = format!("{}; nothing was changed", problem.what);
        return Err(problem);
    }
    if let Err(mut problem) = tell_kernel(node, undo) {
        bans.list.borrow_mut().put_back(undo);
        problem.what = match write().and_then(|()| tell_kernel(node, undo)) {
            Ok(()) => format!("{}; nothing was changed", problem.what),
            Err(back) => format!("{}; and the way back failed: {}", problem.what, back.what),
        };
        return Err(problem);
    }
    let table = Arc::new(bans.list.borrow().table());
    let mut problem = match order(&node.workers, &table).await {
        Ok(closed) => return Ok(closed),
        Err(problem) => problem,
    };
    problem.what = match if keep { None } else { Some(put_back(node, undo).await) } {
        None => format!("{}; the change stands on disk and in the kernel", problem.what),
        Some(Ok(())) => format!("{}; nothing was changed", problem.what),
        Some(Err(back)) => format!("{}; and the way back failed: {}", problem.what, back.what),
    };
    Err(problem)
}

/// What became of the ranges that a change touched.
pub(super) fn tell_kernel(node: &Node, undo: &Undo) -> Result<(), Problem> {
    let list = node.bans.list.borrow();
    let (mut bans, mut gone) = (Vec::new(), Vec::new());
    for range in undo.ranges() {
        match list.ban(&range) {
            Some(ban) => bans.push(kernel_ban(range, ban)),
            None => gone.push(range),
        }
    }
    let mut kernel = node.kernel.borrow_mut();
    kernel.ban(&bans)?;
    kernel.unban(&gone)
}

/// Each once.
fn ranges(texts: &[String]) -> Result<Vec<IpNet>, Problem> {
    if texts.is_empty() {
        return Err(Problem::new(Kind::Request, "no address or range is named", "name one: 203.0.113.7"));
    }
    let parsed: Result<BTreeSet<IpNet>, Fault> = texts.iter().map(|text| parse_range(text)).collect();
    let bad = |Fault { what, instead }| Problem::new(Kind::Request, what, instead);
    parsed.map(|ranges| ranges.into_iter().collect()).map_err(bad)
}

/// Past the most, times could not be added to.
fn length(seconds: u64) -> Result<Duration, Problem> {
    let most = DURATION_MAX.as_secs();
    if (1..=most).contains(&seconds) {
        return Ok(Duration::from_secs(seconds));
    }
    let mend = format!("write 1 to {most}, or leave `for_s` away: until it is removed");
    Err(Problem::new(Kind::Request, format!("{seconds} s is no length of a ban"), mend))
}

fn check_reason(reason: &str) -> Result<(), Problem> {
    if reason.chars().count() > REASON_CHARACTERS_MAX || reason.chars().any(char::is_control) {
        let mend = format!("write one line of at most {REASON_CHARACTERS_MAX} characters");
        return Err(Problem::new(Kind::Request, "the reason is too long, or more than one line", mend));
    }
    Ok(())
}

fn full(Full { kind, max, over }: Full) -> Problem {
    let mend =
        "lift bans that are not needed any more (`gateway ban list`), or ban ranges in place of addresses";
    Problem::new(Kind::Conflict, format!("{over} {kind} more than the {max} that can be banned"), mend)
}

fn is_banned(node: &Node, range: IpNet) -> Result<(), Problem> {
    let list = node.bans.list.borrow();
    if list.ban(&range).is_some() {
        return Ok(());
    }
    let around = list.holding(range.addr(), now()).into_iter().map(|(around, _)| around);
    let around: Vec<String> =
        around.filter(|around| around.contains(&range)).map(|around| around.to_string()).collect();
    let mend = match around.as_slice() {
        [] => "`gateway ban list` shows the bans".to_string(),
        around => format!("it is held by the ban of {}: lift that one", around.join(", ")),
    };
    Err(Problem::new(Kind::Unknown, format!("there is no ban of {}", short(range)), mend))
}

/// Trusted ranges that the bans meet.
fn exempt(node: &Node, table: &BanTable, peer: Option<IpAddr>) -> Vec<Exempt> {
    let running = node.running();
    let met = running.snapshot.trusted.iter().filter(|range| table.overlaps(**range));
    let written = &running.loaded.document.xdp.trusted;
    let why = |range: &IpNet| match range {
        range if written.contains(range) => "[xdp] trusted",
        range if range.addr().is_loopback() => "loopback, [xdp] trust_loopback",
        _ => FROM_THERE,
    };
    let mut exempt: Vec<Exempt> = met.map(|range| Exempt { range: *range, why: why(range).into() }).collect();
    // A plan is made before the operator's own address is trusted.
    let peer = peer.map(|peer| peer.to_canonical()).filter(|peer| table.is_banned(*peer, Duration::ZERO));
    if let Some(peer) = peer.filter(|peer| !running.snapshot.is_trusted(*peer)) {
        exempt.push(Exempt { range: IpNet::from(peer), why: FROM_THERE.into() });
    }
    exempt
}

fn warnings(ranges: &[IpNet]) -> Vec<String> {
    ranges.iter().filter_map(|range| broad(*range)).take(NAMED_MAX).collect()
}

async fn would_cut(node: &Node, table: &BanTable) -> Result<usize, Problem> {
    let open = orders::open_connections(&node.workers).await?;
    let snapshot = &node.running().snapshot;
    let banned = |source| table.is_banned(source, Duration::ZERO) && !snapshot.is_trusted(source);
    let cut = |open: &&OpenConnection| [open.peer.ip(), open.from, open.source].into_iter().any(banned);
    Ok(open.iter().filter(cut).count())
}

/// The first of them, and how many more.
fn named(ranges: &[IpNet]) -> String {
    let named: Vec<String> = ranges.iter().take(NAMED_MAX).map(|range| short(*range)).collect();
    let more = match ranges.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", named.join(", "))
}
