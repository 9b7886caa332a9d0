//! Limits and dry runs of listeners, changed live: they are remembered, and win over the file until they say the same.

use super::candidate::on_off;
use super::change::{Terms, begin, change, compile, files, unchanged};
use super::node::Node;
use super::types::{Changed, DryRunRequest, Kind, LimitRequest, ListenerLimits, Plan, Problem};
use crate::config::{Document, Listener, Loaded, Remembered};
use crate::model::{LimitChoice, LimitChoices, LimitError, RateLimit, SourceLimits};
use crate::observe::{count, log};

/// In the order of the configuration.
pub(super) fn list(node: &Node) -> Vec<ListenerLimits> {
    let running = node.running();
    let remembered = &running.remembered;
    let shown = |listener: &crate::snapshot::Listener| {
        let name = listener.name.clone();
        let file = configured(&running.loaded.document, &name);
        ListenerLimits {
            address: listener.address,
            limits: listener.limits,
            file: file.map_or(SourceLimits::NONE, |file| file.limits),
            live: remembered.limits.contains_key(&name),
            dry_run: listener.dry_run,
            dry_run_live: remembered.dry_runs.contains_key(&name),
            listener: name,
        }
    };
    running.snapshot.listeners.iter().map(shown).collect()
}

/// What the request does not name stays as it is.
pub(super) async fn set(node: &Node, name: &str, request: &LimitRequest) -> Result<Changed, Problem> {
    let LimitRequest { packets, packet_burst, connections, connection_burst, .. } = request;
    if packets.is_none() && packet_burst.is_none() && connections.is_none() && connection_burst.is_none() {
        let mend = "name at least one: \"packets\": \"2000/s\", \"connections\": \"50/s\"";
        return Err(Problem::new(Kind::Request, "no limit is named", mend));
    }
    let terms = Terms { plan: request.plan, generation: request.generation, confirm_s: request.confirm_s };
    edit(node, name, terms, |now, remembered| {
        let kept = remembered.limits.get(name).copied().unwrap_or_default();
        let bad = |what: &'static str| {
            move |LimitError { what: why, mend }| Problem::new(Kind::Request, format!("{what}: {why}"), mend)
        };
        let chosen = LimitChoices {
            packets: chosen(packets.as_deref(), *packet_burst, now.limits.packets, kept.packets)
                .map_err(bad("packets"))?,
            connections: chosen(
                connections.as_deref(),
                *connection_burst,
                now.limits.connections,
                kept.connections,
            )
            .map_err(bad("connections"))?,
        };
        let limits = chosen.over(now.read.limits);
        let choices = LimitChoices {
            packets: chosen.packets.filter(|_| !now.file_says(|file| file.limits.packets == limits.packets)),
            connections: chosen
                .connections
                .filter(|_| !now.file_says(|file| file.limits.connections == limits.connections)),
        };
        remembered.limits.insert(name.into(), choices);
        remembered.limits.retain(|_, choices| !choices.is_empty());
        Ok(format!("limits of listener {name}: {limits}"))
    })
    .await
}

/// The listener's limits are the file's again.
pub(super) async fn clear(node: &Node, name: &str, terms: Terms) -> Result<Changed, Problem> {
    edit(node, name, terms, |now, remembered| {
        remembered.limits.remove(name);
        Ok(format!("limits of listener {name}: {}, as its file says", now.read.limits))
    })
    .await
}

pub(super) async fn dry_run(node: &Node, name: &str, request: &DryRunRequest) -> Result<Changed, Problem> {
    let terms = Terms { plan: request.plan, generation: request.generation, confirm_s: request.confirm_s };
    edit(node, name, terms, |now, remembered| {
        if now.file_says(|file| file.dry_run == request.on) {
            remembered.dry_runs.remove(name);
        } else {
            remembered.dry_runs.insert(name.into(), request.on);
        }
        Ok(format!("dry run of listener {name}: {}", on_off(request.on)))
    })
    .await
}

/// A listener as it serves, as its file was read, and as the file stands now.
struct Now {
    limits: SourceLimits,
    read: Listener,
    stands: Option<Listener>,
}

impl Now {
    /// Both as it was read and as it stands? Only then may a choice be forgotten: a start reads the file anew.
    fn file_says(&self, says: impl Fn(&Listener) -> bool) -> bool {
        says(&self.read) && self.stands.as_ref().is_some_and(says)
    }
}

/// Compiles what runs with something else remembered: edits of the files since then are not taken along.
async fn edit(
    node: &Node,
    name: &str,
    terms: Terms,
    edit: impl FnOnce(&Now, &mut Remembered) -> Result<String, Problem>,
) -> Result<Changed, Problem> {
    let _changing = node.changing.lock().await;
    begin(node, terms)?;
    let running = node.running();
    let document = &running.loaded.document;
    let serves = running.snapshot.listeners.iter().find(|listener| listener.name == name);
    let (Some(read), Some(serves)) = (configured(document, name), serves) else {
        return Err(unknown_listener(name, document));
    };
    let stands = files(node).await.ok();
    let stands = stands.and_then(|Loaded { document, .. }| configured(&document, name).cloned());
    let now = Now { limits: serves.limits, read: read.clone(), stands };
    let mut remembered = running.remembered.clone();
    let what = edit(&now, &mut remembered)?;
    if remembered == running.remembered && !node.astray.get() {
        let plan = Plan { generation: running.snapshot.generation, ..Plan::default() };
        return Ok(unchanged(node, plan));
    }
    let next = compile(node, running.loaded.clone(), remembered, terms).await?;
    let changed = change(node, next, terms, &what).await?;
    if changed.done {
        let closed = count(changed.connections_closed, "connection");
        log("info", "xdp", format_args!("{what}; {closed} closed"));
    }
    Ok(changed)
}

/// None: as it was chosen before, if it was.
fn chosen(
    rate: Option<&str>,
    burst: Option<u32>,
    now: Option<RateLimit>,
    kept: Option<LimitChoice>,
) -> Result<Option<LimitChoice>, LimitError> {
    if rate.is_none() && burst.is_none() {
        return Ok(kept);
    }
    RateLimit::chosen(rate, burst, now).map(|limit| Some(limit.into()))
}

fn configured<'d>(document: &'d Document, name: &str) -> Option<&'d Listener> {
    document.listeners.iter().find(|listener| listener.name == name)
}

fn unknown_listener(name: &str, document: &Document) -> Problem {
    let names: Vec<&str> = document.listeners.iter().map(|listener| listener.name.as_str()).collect();
    let mend = format!("there are: {}", names.join(", "));
    Problem::new(Kind::Unknown, format!("no listener is named {name}"), mend)
}
