//! A document read and compiled, not yet in force: what `check`, a plan and a change all start from.

use super::types::{Finding, Problem, findings};
use crate::config::{self, Before, Compiled, Document, Loaded, Part, Remembered, Stored};
use crate::model::{Diagnostic, EndpointType, Place, Severity};
use crate::snapshot::Snapshot;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// Ids that a plan has named, by the API's name: whoever carries it out gives these.
pub(super) type Proposed = BTreeMap<String, String>;

/// As AWS draws them: `a1b2c3d4e5`.
const ID_LENGTH: usize = 10;
const ID_ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// What serves, with everything that it was made from.
pub(super) struct Running {
    pub(super) loaded: Arc<Loaded>,
    pub(super) remembered: Remembered,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) parts: Vec<Part>,
    /// The digest of the files.
    pub(super) files: String,
    pub(super) warnings: Vec<Finding>,
}

impl Running {
    /// What is to be said of the stored API as it serves; of one stage, if one is named.
    pub(super) fn warnings_of(&self, id: &str, stage: Option<&str>) -> Vec<Finding> {
        let entries = self.loaded.document.apis.iter().zip(&self.loaded.apis);
        let meant = entries.filter(|(entry, _)| {
            entry.id.as_deref() == Some(id) && stage.is_none_or(|stage| entry.stage == stage)
        });
        let files: BTreeSet<&Path> =
            meant.filter_map(|(_, api)| Some(api.as_ref().ok()?.file.as_path())).collect();
        self.warnings.iter().filter(|finding| files.contains(finding.file.as_path())).cloned().collect()
    }

    /// The API's own name: of one of a file that of its `[[api]]`, of a stored one that which the AWS API tells.
    pub(super) fn api_name<'r>(&'r self, entry: &'r str) -> &'r str {
        let entries = self.loaded.document.apis.iter().zip(&self.loaded.apis);
        let mut stored = entries.filter(|(found, _)| found.owner.is_some() && found.name == entry);
        stored.next().and_then(|(_, api)| api.as_ref().ok()).map_or(entry, |api| &api.name)
    }
}

pub(super) struct Candidate {
    pub(super) loaded: Arc<Loaded>,
    pub(super) remembered: Remembered,
    /// Listeners that stay have the real addresses of the running ones.
    pub(super) snapshot: Snapshot,
    /// For the compilation after it.
    pub(super) parts: Vec<Part>,
    /// The digest of the files.
    pub(super) files: String,
    pub(super) warnings: Vec<Finding>,
    /// Where `set-endpoint` wins over a file.
    pub(super) overruled: Vec<Finding>,
    /// Indices of the listeners that need sockets.
    pub(super) unbound: Vec<usize>,
}

impl Candidate {
    pub(super) fn all_warnings(&self) -> Vec<Finding> {
        self.warnings.iter().chain(&self.overruled).cloned().collect()
    }
}

/// Reads the files; those that say what they said `before` are not taken apart again. An API with errors stands as Err
/// in the answer.
pub(super) fn load(file: &Path, before: Option<&Loaded>) -> Result<Loaded, Problem> {
    let refused = |diagnostics: &[Diagnostic]| {
        Problem::documents(format!("{} is refused", file.display()), findings(diagnostics))
    };
    let loaded = config::load_after(file, before).map_err(|diagnostics| refused(&diagnostics))?;
    match unsafe_control_address(&loaded.document) {
        Some(diagnostic) => Err(refused(&[diagnostic])),
        None => Ok(loaded),
    }
}

/// Reads the files; one API with errors refuses all.
pub(super) fn load_whole(file: &Path, before: Option<&Loaded>) -> Result<Loaded, Problem> {
    let loaded = load(file, before)?;
    let failed: Vec<_> = loaded.apis.iter().filter_map(|api| api.as_ref().err()).flatten().collect();
    if failed.is_empty() {
        return Ok(loaded);
    }
    let found = failed.into_iter().chain(&loaded.warnings).map(Finding::from).collect();
    Err(Problem::documents(format!("{} names APIs with errors", file.display()), found))
}

/// Compiles the first generation. An API that does not compile is left out, as one that was not read: the others are
/// not its hostages. Errors of the configuration itself refuse all.
pub(super) fn compile_first(
    mut loaded: Loaded,
    stored: &Stored,
    remembered: &Remembered,
) -> Result<Candidate, Problem> {
    let mut drawn = remembered.clone();
    draw_ids(&loaded.document, &mut drawn, &Proposed::new())?;
    // Each round takes at least one API out.
    for _ in 0..loaded.apis.len() {
        let Err(errors) = config::compile(&loaded, &drawn, 1) else { break };
        let mut taken_out = false;
        for (entry, api) in loaded.document.apis.iter().zip(&mut loaded.apis) {
            let own: Vec<_> = errors.iter().filter(|error| error.file == entry.file).cloned().collect();
            if api.is_ok() && !own.is_empty() {
                *api = Err(own);
                taken_out = true;
            }
        }
        if !taken_out {
            break;
        }
    }
    compile(&loaded, stored, (drawn, &Proposed::new()), 1, None)
}

/// Compiles for `generation`; `running` gives listeners and backends that stay what they have. `stored`: what was made
/// through the AWS API, as it is now.
pub(super) fn compile(
    loaded: &Loaded,
    stored: &Stored,
    (mut remembered, proposed): (Remembered, &Proposed),
    generation: u64,
    running: Option<&Running>,
) -> Result<Candidate, Problem> {
    let loaded = Arc::new(loaded.with_stored(stored));
    draw_ids(&loaded.document, &mut remembered, proposed)?;
    let before = running.map(|running| Before {
        parts: &running.parts,
        cache: &running.snapshot.cache,
        plans: &running.snapshot.plans,
    });
    let compiled = config::compile_after(&loaded, &remembered, generation, before);
    let Compiled { mut snapshot, warnings: diagnostics, parts } = compiled.map_err(|diagnostics| {
        let found = diagnostics.iter().chain(&loaded.warnings).map(Finding::from).collect();
        Problem::documents(format!("{} does not compile", loaded.document.file.display()), found)
    })?;
    let unbound = keep_addresses(&mut snapshot, &loaded.document, running);
    let mut warnings = findings(&loaded.warnings);
    for diagnostic in &diagnostics {
        if !warnings.contains(&Finding::from(diagnostic)) {
            warnings.push(diagnostic.into());
        }
    }
    let overruled = findings(&overruled(&loaded, &remembered));
    let files = loaded.digest();
    Ok(Candidate { loaded, remembered, snapshot, parts, files, warnings, overruled, unbound })
}

/// The API's file as it was read; None when it is unknown or has errors.
pub(super) fn model<'l>(loaded: &'l Loaded, name: &str) -> Option<&'l crate::model::RestApi> {
    let index = loaded.document.apis.iter().position(|entry| entry.name == name)?;
    loaded.apis.get(index)?.as_ref().ok().map(AsRef::as_ref)
}

/// Listeners of the same name and configured address keep their sockets, and with them the port found for port 0.
fn keep_addresses(snapshot: &mut Snapshot, document: &Document, running: Option<&Running>) -> Vec<usize> {
    let mut unbound = Vec::new();
    for (index, listener) in snapshot.listeners.iter_mut().enumerate() {
        let kept = running.and_then(|running| {
            let before = configured(&running.loaded.document, &listener.name)?;
            let now = configured(document, &listener.name)?;
            let bound = running.snapshot.listeners.iter().find(|bound| bound.name == listener.name)?;
            (before == now).then_some(bound.address)
        });
        match kept {
            Some(address) => listener.address = address,
            None => unbound.push(index),
        }
    }
    unbound
}

fn configured(document: &Document, name: &str) -> Option<SocketAddr> {
    document.listeners.iter().find(|listener| listener.name == name).map(|listener| listener.address)
}

/// The file was edited, but somebody chose otherwise before: said aloud, because a file that says PRIVATE calms its
/// reader.
fn overruled(loaded: &Loaded, remembered: &Remembered) -> Vec<Diagnostic> {
    let warning = |place, what, instead| {
        let file = loaded.document.file.clone();
        Diagnostic { severity: Severity::Warning, file, place, what, instead }
    };
    let mut warnings = Vec::new();
    for (entry, api) in loaded.document.apis.iter().zip(&loaded.apis) {
        let (Some(chosen), Ok(api)) = (remembered.endpoint_types.get(&entry.name), api) else { continue };
        let written = api.endpoint_type.unwrap_or(EndpointType::Edge);
        if *chosen != written {
            let (chosen, written, name) = (type_name(*chosen), type_name(written), &entry.name);
            let what =
                format!("{name} is {chosen} by `set-endpoint`; its file says {written} and is overruled");
            let instead = format!("to follow the file: `gateway api set-endpoint {name} {written}`");
            warnings.push(warning(entry.place, what, instead));
        }
    }
    for listener in &loaded.document.listeners {
        let name = &listener.name;
        let written = listener.limits;
        let chosen = remembered.limits.get(name).map_or(written, |choices| choices.over(written));
        if chosen != written {
            let what = format!(
                "the limits of listener {name} are \"{chosen}\" by `xdp limit set`; the file's, \"{written}\", are \
                 overruled"
            );
            let instead = format!("to follow the file: `gateway xdp limit clear {name}`");
            warnings.push(warning(listener.place, what, instead));
        }
        if let Some(chosen) = remembered.dry_runs.get(name).filter(|chosen| **chosen != listener.dry_run) {
            let (chosen, written) = (on_off(*chosen), on_off(listener.dry_run));
            let what =
                format!("the dry run of listener {name} is {chosen} by `xdp dry-run`; the file is overruled");
            let instead = format!("to follow the file: `gateway xdp dry-run {written} {name}`");
            warnings.push(warning(listener.place, what, instead));
        }
    }
    warnings
}

pub(super) fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

pub fn type_name(endpoint_type: EndpointType) -> &'static str {
    match endpoint_type {
        EndpointType::Regional => "REGIONAL",
        EndpointType::Edge => "EDGE",
        EndpointType::Private => "PRIVATE",
    }
}

fn draw_ids(document: &Document, remembered: &mut Remembered, proposed: &Proposed) -> Result<(), Problem> {
    let fixed = document.apis.iter().filter_map(|api| api.id.clone());
    let mut taken: BTreeSet<String> = fixed.chain(remembered.ids.values().cloned()).collect();
    for api in &document.apis {
        if api.id.is_some() || remembered.ids.contains_key(&api.name) {
            continue;
        }
        let mut id = proposed.get(&api.name).cloned().map_or_else(draw_id, Ok)?;
        while !taken.insert(id.clone()) {
            id = draw_id()?;
        }
        remembered.ids.insert(api.name.clone(), id);
    }
    Ok(())
}

fn draw_id() -> Result<String, Problem> {
    let random = |error| Problem::host(format!("cannot read /dev/urandom: {error}"), "mount /dev");
    let mut source = File::open("/dev/urandom").map_err(random)?;
    let mut id = String::with_capacity(ID_LENGTH);
    while id.len() < ID_LENGTH {
        let mut byte = [0];
        source.read_exact(&mut byte).map_err(random)?;
        // 252 is the largest multiple of 36 in a byte: every letter is as likely as any other.
        if byte[0] < 252 {
            id.push(char::from(ID_ALPHABET[usize::from(byte[0] % 36)]));
        }
    }
    Ok(id)
}

/// The control plane speaks no TLS: its signatures keep nobody from reading along, so it stays on this host.
fn unsafe_control_address(document: &Document) -> Option<Diagnostic> {
    let address = document.control.address.filter(|address| !address.ip().is_loopback())?;
    let place =
        std::fs::read_to_string(&document.file).ok().and_then(|text| key_place(&text, "control", "address"));
    Some(Diagnostic {
        severity: Severity::Error,
        file: document.file.clone(),
        place: place.unwrap_or(Place { line: 1, column: 1 }),
        what: format!("[control] address {address} is not a loopback address"),
        instead: format!(
            "write \"127.0.0.1:{}\", or \"off\": the control plane speaks no TLS yet, so it answers this host only",
            address.port()
        ),
    })
}

/// Where the value of a table's key stands.
pub(super) fn key_place(text: &str, table: &str, key: &str) -> Option<Place> {
    let table = text.lines().position(|line| line.trim().starts_with(&format!("[{table}]")))?;
    let (line, found) = text
        .lines()
        .enumerate()
        .skip(table + 1)
        .take_while(|(_, line)| !line.trim_start().starts_with('['))
        .find(|(_, line)| line.trim_start().starts_with(key))?;
    let value = found
        .find('=')
        .map_or(0, |equals| equals + 1 + found[equals + 1..].len() - found[equals + 1..].trim_start().len());
    Some(Place { line: line + 1, column: found[..value].chars().count() + 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_look_like_those_of_aws_and_differ() {
        let ids: BTreeSet<String> = (0..200).map(|_| draw_id().unwrap()).collect();
        assert_eq!(ids.len(), 200);
        for id in &ids {
            assert_eq!(id.len(), ID_LENGTH);
            assert!(id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()), "{id}");
        }
    }

    #[test]
    fn the_control_address_is_found_in_its_table() {
        let text =
            "[node]\naddress = 1\n\n[control] # here\nstore = \"x\"\n  address =  \"0.0.0.0:9080\"\n[xdp]\n";
        assert_eq!(key_place(text, "control", "address"), Some(Place { line: 6, column: 14 }));
        assert_eq!(key_place("[control]\n[[listener]]\naddress = 1\n", "control", "address"), None);
    }
}
