//! Bans that the gateway makes by itself: a worker tells of a source that went past a threshold, control decides.

use super::change::tell_kernel;
use super::list::{Ban, By, Undo};
use super::{now, order, short};
use crate::control::node::Node;
use crate::guard::ban::End;
use crate::observe::{log, rfc3339};
use crate::worker::Offender;
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use tokio::sync::mpsc::Receiver;

/// Offenders that may wait for control; a worker drops what does not fit.
pub(in crate::control) const OFFENDERS_MAX: usize = 1024;
/// Bans at a time, and the pause behind them: each batch is a new table for every worker.
const BATCH_MAX: usize = 256;
const PAUSE: Duration = Duration::from_millis(50);

/// For as long as the node runs.
pub(in crate::control) async fn watch(node: Rc<Node>, mut offenders: Receiver<Offender>) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while offenders.recv_many(&mut batch, BATCH_MAX).await > 0 {
        ban(&node, &batch).await;
        batch.clear();
        tokio::time::sleep(PAUSE).await;
    }
}

/// A host that fails at it goes on to serve, and says so: whoever was not banned offends again.
pub(in crate::control) async fn ban(node: &Node, offenders: &[Offender]) {
    let _changing = node.bans.changing.lock().await;
    let chosen = chosen(node, offenders);
    if chosen.is_empty() {
        return;
    }
    let bans = &node.bans;
    let added = bans.list.borrow_mut().add(chosen.clone());
    let Ok(undo) = added else {
        return log("error", "bans", format_args!("no room for {} automatic bans", chosen.len()));
    };
    bans.unwritten.set(true);
    for (range, ban) in &chosen {
        let (who, By::Rule(offence), End::At(end)) = (short(*range), ban.by, ban.end) else { continue };
        let until = rfc3339(UNIX_EPOCH + end);
        let (rule, why) = (offence.name(), &ban.reason);
        log("warning", "bans", format_args!("rule {rule} bans {who} until {until}: {why}"));
    }
    match come_into_force(node, &undo).await {
        Ok(closed) => {
            log(
                "info",
                "bans",
                format_args!("{} banned by rules, {closed} connections closed", chosen.len()),
            );
        }
        Err(what) => log("error", "bans", format_args!("automatic bans: {what}")),
    }
}

async fn come_into_force(node: &Node, undo: &Undo) -> Result<usize, String> {
    if let Err(problem) = tell_kernel(node, undo) {
        log("error", "bans", format_args!("the workers alone enforce the new bans: {}", problem.what));
    }
    let table = Arc::new(node.bans.list.borrow().table());
    order(&node.workers, &table).await.map_err(|problem| problem.what)
}

/// Those who are neither trusted nor banned yet, as far as there is room, each once.
fn chosen(node: &Node, offenders: &[Offender]) -> Vec<(IpNet, Ban)> {
    let running = node.running();
    let settings = &running.loaded.document.bans;
    if !settings.automatic {
        return Vec::new();
    }
    let (list, since) = (node.bans.list.borrow(), now());
    let mut chosen = BTreeMap::new();
    let (room, mut left_out) = (list.room_for_rules(), 0_usize);
    for Offender { source, offence } in offenders {
        let trusted = running.snapshot.is_trusted(*source);
        if trusted || !list.holding(*source, since).is_empty() {
            continue;
        }
        let Some(range) = source_range(node, *source) else { continue };
        if chosen.len() >= room && !chosen.contains_key(&range) {
            left_out += 1;
            continue;
        }
        let rate = settings.rates[*offence as usize];
        let reason =
            rate.map_or_else(String::new, |rate| format!("more than {rate} {} requests", offence.name()));
        let ban = Ban { since, end: End::At(since + settings.length), reason, by: By::Rule(*offence) };
        chosen.entry(range).or_insert(ban);
    }
    if !node.bans.full.replace(left_out > 0) && left_out > 0 {
        let mend = "`gateway ban list` shows who is banned";
        log(
            "error",
            "bans",
            format_args!("there is no room for more bans by rules, offenders stay served; {mend}"),
        );
    }
    chosen.into_iter().collect()
}

fn source_range(node: &Node, source: IpAddr) -> Option<IpNet> {
    let xdp = &node.started_with.document.xdp;
    let source = source.to_canonical();
    let bits = if source.is_ipv4() { xdp.source_v4 } else { xdp.source_v6 };
    IpNet::new(source, bits).ok().map(|range| range.trunc())
}
