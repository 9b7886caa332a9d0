//! `gateway.toml`, read and checked: every error with its place and what to write.

use super::document::{
    ApiEntry, CACHE_MEGABYTES, CONTROL_ADDRESS, Control, Document, Listener, Node, Vpc, Xdp, XdpMode,
};
use super::toml;
use crate::model::{Diagnostic, Place, Release, SourceLimits};
use crate::openapi::findings::{Findings, meant};
use crate::openapi::node::{Map, Node as Tree, Value, shown};
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

mod bans;
mod limits;
mod plans;
mod stage;

const NODE_KEYS: [&str; 6] =
    ["region", "account", "workers", "cache_megabytes", "throttling_rate_limit", "throttling_burst_limit"];
const XDP_KEYS: [&str; 8] =
    ["interfaces", "mode", "pins", "trusted", "trust_loopback", "limit", "source_v4", "source_v6"];
const LISTENER_KEYS: [&str; 8] =
    ["name", "address", "vpc", "apis", "limit", "dry_run", "trusted_proxies", "proxy_protocol"];
const API_KEYS: [&str; 9] = [
    "name",
    "id",
    "file",
    "stage",
    "host",
    "variables",
    "cache_cluster_enabled",
    "cache_cluster_size",
    "method_settings",
];
const WORKERS_MAX: u64 = 1024;
/// 1 TiB
const CACHE_MEGABYTES_MAX: u64 = 1 << 20;
/// AWS's limits on stage variables.
const STAGE_VARIABLES_MAX: usize = 100;
const STAGE_VARIABLE_NAME_MAX: usize = 64;
const STAGE_VARIABLE_VALUE_MAX: usize = 512;

/// The document, for each API the place of its `file`, and warnings.
pub(super) fn document(
    file: &Path,
    text: &str,
) -> Result<(Document, Vec<Place>, Vec<Diagnostic>), Vec<Diagnostic>> {
    let mut findings = Findings::new(file);
    findings.assigns = " = ";
    let tree = match toml::read(text) {
        Ok(Tree { value: Value::Map(map), .. }) => map,
        Ok(_) => Map::default(),
        Err(faults) => {
            faults.into_iter().for_each(|f| findings.fault(f));
            return Err(findings.finish());
        }
    };
    let mut reader = Reader { folder: file.parent().unwrap_or(Path::new("")), findings };
    let (document, places) = reader.document(file, &tree);
    match reader.findings.has_errors() {
        true => Err(reader.findings.finish()),
        false => Ok((document, places, reader.findings.finish())),
    }
}

struct Reader<'f> {
    folder: &'f Path,
    findings: Findings<'f>,
}

/// Names seen, with the line of the first.
type Seen = HashMap<String, usize>;

impl Reader<'_> {
    fn document(&mut self, file: &Path, tree: &Map) -> (Document, Vec<Place>) {
        self.findings.deny_unknown_keys(
            tree,
            "gateway.toml",
            &["node", "control", "xdp", "bans", "vpc", "listener", "api", "api_key", "usage_plan"],
        );
        let empty = Map::default();
        let table = |reader: &mut Self, key: &str| {
            tree.node(key).and_then(|n| reader.findings.map(n, &format!("[{key}]"))).unwrap_or(&empty)
        };
        let (node, control, xdp) = (table(self, "node"), table(self, "control"), table(self, "xdp"));
        let (node, control, xdp) = (self.node(node), self.control(control), self.xdp(xdp));
        let bans = table(self, "bans");
        let bans = self.bans(bans);
        let vpcs = self.vpcs(tree);
        let mut names = Seen::new();
        let (apis, places) = self.apis(tree, &mut names);
        let listeners = self.listeners(tree, &xdp, &vpcs, &names);
        let mut key_names = Seen::new();
        let api_keys = self.api_keys(tree, &mut key_names);
        let usage_plans = self.usage_plans(tree, &names, &key_names);
        (
            Document {
                file: file.to_path_buf(),
                node,
                control,
                xdp,
                bans,
                vpcs,
                listeners,
                apis,
                domains: Vec::new(),
                api_keys,
                usage_plans,
            },
            places,
        )
    }

    fn node(&mut self, map: &Map) -> Node {
        self.findings.deny_unknown_keys(map, "[node]", &NODE_KEYS);
        let region = self.text(map, "region").map_or("us-east-1", |(text, place)| {
            let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            if text.is_empty() || !text.chars().all(valid) {
                self.findings.error(
                    place,
                    format!("`{}` is not a region", shown(text)),
                    "write region = \"us-east-1\"",
                );
            }
            text
        });
        let account = self.text(map, "account").map_or("000000000000", |(text, place)| {
            if text.len() != 12 || !text.bytes().all(|b| b.is_ascii_digit()) {
                let what = format!("`{}` is not an account: it has 12 digits", shown(text));
                self.findings.error(place, what, "write account = \"000000000000\"");
            }
            text
        });
        let workers = map.node("workers").and_then(|n| self.integer(n, "workers", 0, WORKERS_MAX));
        let cache = map
            .node("cache_megabytes")
            .and_then(|n| self.integer(n, "cache_megabytes", 1, CACHE_MEGABYTES_MAX));
        Node {
            region: region.to_owned(),
            account: account.to_owned(),
            cache_megabytes: cache.unwrap_or(CACHE_MEGABYTES),
            workers: workers.and_then(|w| usize::try_from(w).ok()).unwrap_or(0),
            throttle: self.throttle(map),
        }
    }

    fn control(&mut self, map: &Map) -> Control {
        self.findings.deny_unknown_keys(map, "[control]", &["address", "store"]);
        let address = match self.text(map, "address") {
            None => Some(CONTROL_ADDRESS),
            Some(("off", _)) => None,
            Some((text, place)) => self.address(text, place),
        };
        let store = self.text(map, "store").map_or("/var/lib/gateway", |(text, _)| text);
        Control { address, store: self.folder.join(store) }
    }

    fn xdp(&mut self, map: &Map) -> Xdp {
        self.findings.deny_unknown_keys(map, "[xdp]", &XDP_KEYS);
        const MODES: [(&str, XdpMode); 4] = [
            ("auto", XdpMode::Auto),
            ("native", XdpMode::Native),
            ("generic", XdpMode::Generic),
            ("off", XdpMode::Off),
        ];
        let mode =
            map.node("mode").and_then(|n| self.findings.one_of(n, "mode", &MODES.map(|(word, _)| word)));
        let mut interfaces: Vec<String> = Vec::new();
        for (text, place) in self.texts(map, "interfaces") {
            // The kernel's IFNAMSIZ is 16 with its final NUL.
            if text.is_empty() || text.len() > 15 || text.contains(['/', ' ', ':']) {
                let what = format!("`{}` is not an interface's name", shown(&text));
                self.findings.error(place, what, "write a name that `ip link` shows, e.g. \"eth0\"");
            } else if interfaces.contains(&text) {
                self.findings.error(place, format!("`{text}` stands twice"), "keep one of them");
            } else {
                interfaces.push(text);
            }
        }
        let pins = self.text(map, "pins").map_or("/sys/fs/bpf/gateway", |(text, _)| text);
        Xdp {
            interfaces,
            mode: mode.map(|m| MODES[m].1).unwrap_or_default(),
            pins: self.folder.join(pins),
            trusted: self.trusted(map),
            trust_loopback: self.flag(map, "trust_loopback", true),
            limits: self.limits(map, SourceLimits::NONE),
            source_v4: self.prefix(map, "source_v4", (8, 32), 32),
            source_v6: self.prefix(map, "source_v6", (16, 128), 64),
        }
    }

    fn vpcs(&mut self, tree: &Map) -> Vec<Vpc> {
        let mut seen = Seen::new();
        let mut vpcs = Vec::new();
        for (map, place) in self.tables(tree, "vpc") {
            self.findings.deny_unknown_keys(map, "[[vpc]]", &["id", "cidrs"]);
            let Some(id) = self.name(map, "id", place, "vpc-main", &mut seen) else { continue };
            let texts = self.texts(map, "cidrs");
            if texts.is_empty() {
                let what = format!("the VPC `{id}` has no `cidrs`: nobody is inside");
                self.findings.error(place, what, "write cidrs = [\"10.0.0.0/16\"]");
            }
            let cidrs = self.cidrs(texts);
            vpcs.push(Vpc { id, cidrs, place });
        }
        vpcs
    }

    /// `apis`: every name, also of an entry that lacks something else.
    fn listeners(&mut self, tree: &Map, xdp: &Xdp, vpcs: &[Vpc], apis: &Seen) -> Vec<Listener> {
        let (mut names, mut addresses) = (Seen::new(), Seen::new());
        let mut listeners = Vec::new();
        for (map, place) in self.tables(tree, "listener") {
            self.findings.deny_unknown_keys(map, "[[listener]]", &LISTENER_KEYS);
            let name = self.name(map, "name", place, "public", &mut names);
            let address = self.required(map, "address", place, "[[listener]]", "\"0.0.0.0:8080\"");
            let address = address.and_then(|(text, place)| {
                let address = self.address(text, place)?;
                // Port 0 is a free port of the kernel's choice: two of them differ.
                if address.port() != 0 {
                    self.unique("address", &address.to_string(), place, &mut addresses);
                }
                Some(address)
            });
            let vpc = self.text(map, "vpc").map(|(text, place)| {
                let known: Vec<&str> = vpcs.iter().map(|v| v.id.as_str()).collect();
                self.known("[[vpc]]", "id", text, &known, place);
                text.to_owned()
            });
            let mut known: Vec<&str> = apis.keys().map(String::as_str).collect();
            known.sort_unstable();
            let mut dedicated = map.node("apis").map(|_| Vec::new());
            for (text, place) in self.texts(map, "apis") {
                self.known("[[api]]", "name", &text, &known, place);
                dedicated.get_or_insert_default().push(text);
            }
            if let Some(entry) = map.entry("apis").filter(|_| dedicated.as_ref().is_some_and(Vec::is_empty)) {
                let what = "`apis` is empty: this listener serves nothing";
                self.findings.error(
                    entry.place,
                    what,
                    "name APIs, or remove `apis` to serve all that its kind may",
                );
            }
            let (limits, dry_run) = (self.limits(map, xdp.limits), self.flag(map, "dry_run", false));
            let (trusted_proxies, proxy_protocol) = self.front(map);
            if let (Some(name), Some(address)) = (name, address) {
                listeners.push(Listener {
                    name,
                    address,
                    vpc,
                    apis: dedicated,
                    limits,
                    dry_run,
                    trusted_proxies,
                    proxy_protocol,
                    place,
                });
            }
        }
        if tree.node("listener").is_none() {
            let instead = "write [[listener]] with name = \"public\" and address = \"0.0.0.0:8080\"";
            self.findings.error(
                Place { line: 1, column: 1 },
                "there is no [[listener]]: nobody can connect",
                instead,
            );
        }
        listeners
    }

    fn apis(&mut self, tree: &Map, names: &mut Seen) -> (Vec<ApiEntry>, Vec<Place>) {
        let (mut ids, mut hosts) = (Seen::new(), Seen::new());
        let (mut apis, mut places) = (Vec::new(), Vec::new());
        for (map, place) in self.tables(tree, "api") {
            self.findings.deny_unknown_keys(map, "[[api]]", &API_KEYS);
            let name = self.name(map, "name", place, "orders", names);
            let id = self.text(map, "id").map(|(text, place)| {
                let valid = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
                if text.len() != 10 || !text.bytes().all(valid) {
                    let what =
                        format!("`{}` is not an API id: it has 10 characters of a-z and 0-9", shown(text));
                    self.findings.error(place, what, "write for example id = \"a1b2c3d4e5\", or remove it");
                }
                self.unique("id", text, place, &mut ids);
                text.to_owned()
            });
            let file = self.required(map, "file", place, "[[api]]", "\"orders.yaml\"");
            let stage = self.required(map, "stage", place, "[[api]]", "\"prod\"");
            if let Some((text, place)) = stage {
                let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
                if !(1..=128).contains(&text.len()) || !text.bytes().all(valid) {
                    let what = format!("`{}` is not a stage's name", shown(text));
                    self.findings.error(place, what, "use up to 128 letters, digits, _ and -");
                }
            }
            let hosts = self.hosts(map, &mut hosts);
            let stage_variables = self.variables(map);
            let (settings, setting_places) = self.stage_settings(map);
            if let (Some(name), Some((file, at)), Some((stage, _))) = (name, file, stage) {
                let (file, stage) = (self.folder.join(file), stage.to_owned());
                apis.push(ApiEntry {
                    name,
                    id,
                    file,
                    stage,
                    hosts,
                    stage_variables,
                    settings,
                    setting_places,
                    owner: None,
                    deployment_id: None,
                    release: Release::Whole,
                    place,
                });
                places.push(at);
            }
        }
        (apis, places)
    }

    fn hosts(&mut self, map: &Map, seen: &mut Seen) -> Vec<String> {
        let mut hosts = Vec::new();
        for (text, place) in self.texts(map, "host") {
            let host = text.to_ascii_lowercase();
            let label = |l: &str| {
                let inner = l.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
                (1..=63).contains(&l.len()) && inner && !l.starts_with('-') && !l.ends_with('-')
            };
            if host.len() > 253 || !host.split('.').all(label) {
                let what = format!("`{}` is not a host name", shown(&text));
                let instead = "write a name without scheme, port, path or wildcard: \"orders.example.com\"";
                self.findings.error(place, what, instead);
                continue;
            }
            self.unique("host", &host, place, seen);
            hosts.push(host);
        }
        hosts
    }

    fn variables(&mut self, map: &Map) -> BTreeMap<String, String> {
        let mut variables = BTreeMap::new();
        let Some(node) = map.node("variables") else { return variables };
        let Some(table) = self.findings.map(node, "[api.variables]") else { return variables };
        if table.entries.len() > STAGE_VARIABLES_MAX {
            let what = format!("{} stage variables; AWS takes {STAGE_VARIABLES_MAX}", table.entries.len());
            self.findings.error(node.place, what, "remove some");
        }
        for entry in &table.entries {
            let name = entry.key.as_str();
            if name.len() > STAGE_VARIABLE_NAME_MAX
                || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            {
                let what = format!("`{}` is not a stage variable's name", shown(name));
                self.findings.error(entry.place, what, "use up to 64 letters, digits and _");
            }
            let Some(value) = self.findings.string(&entry.value, name) else { continue };
            let valid = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?#&=,".contains(&b);
            if value.is_empty() || value.len() > STAGE_VARIABLE_VALUE_MAX || !value.bytes().all(valid) {
                let what = format!("AWS refuses this value of the stage variable `{}`", shown(name));
                self.findings.error(
                    entry.value.place,
                    what,
                    "use 1 to 512 letters, digits and - . _ ~ : / ? # & = ,",
                );
            }
            variables.insert(entry.key.clone(), value.to_owned());
        }
        variables
    }

    /// The tables of `[[key]]` with their places.
    fn tables<'n>(&mut self, tree: &'n Map, key: &str) -> Vec<(&'n Map, Place)> {
        let Some(node) = tree.node(key) else { return Vec::new() };
        let Value::List(list) = &node.value else {
            let what = format!("`{key}` must be a list of tables, not {}", node.kind());
            self.findings.error(node.place, what, format!("write [[{key}]] in two brackets"));
            return Vec::new();
        };
        list.iter()
            .filter_map(|n| self.findings.map(n, &format!("[[{key}]]")).map(|m| (m, n.place)))
            .collect()
    }

    fn text<'n>(&mut self, map: &'n Map, key: &str) -> Option<(&'n str, Place)> {
        let node = map.node(key)?;
        self.findings.string(node, key).map(|text| (text, node.place))
    }

    fn required<'n>(
        &mut self,
        map: &'n Map,
        key: &str,
        place: Place,
        table: &str,
        example: &str,
    ) -> Option<(&'n str, Place)> {
        if map.node(key).is_none() {
            self.findings.error(
                place,
                format!("this {table} has no `{key}`"),
                format!("write {key} = {example}"),
            );
        }
        self.text(map, key)
    }

    /// A list of texts, or one text.
    fn texts(&mut self, map: &Map, key: &str) -> Vec<(String, Place)> {
        let Some(node) = map.node(key) else { return Vec::new() };
        let list = match &node.value {
            Value::String(_) => std::slice::from_ref(node),
            _ => self.findings.list(node, key).unwrap_or_default(),
        };
        list.iter().filter_map(|n| self.findings.string(n, key).map(|t| (t.to_owned(), n.place))).collect()
    }

    /// What a person types to name it, once.
    fn name(&mut self, map: &Map, key: &str, place: Place, example: &str, seen: &mut Seen) -> Option<String> {
        let quoted = format!("\"{example}\"");
        let (text, place) = self.required(map, key, place, "entry", &quoted)?;
        let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        if !(1..=128).contains(&text.len()) || !text.bytes().all(valid) {
            let what = format!("`{}` cannot be a {key}", shown(text));
            self.findings.error(
                place,
                what,
                format!("use up to 128 letters, digits and _ - . as in {quoted}"),
            );
            return None;
        }
        self.unique(key, text, place, seen);
        Some(text.to_owned())
    }

    fn unique(&mut self, key: &str, text: &str, place: Place, seen: &mut Seen) {
        if let Some(line) = seen.get(text) {
            let what = format!("the {key} `{}` stands twice, first in line {line}", shown(text));
            self.findings.error(place, what, format!("give each its own {key}"));
        } else {
            seen.insert(text.to_owned(), place.line);
        }
    }

    fn known(&mut self, table: &str, key: &str, text: &str, known: &[&str], place: Place) {
        if !known.contains(&text) {
            let what = format!("no {table} has the {key} `{}`", shown(text));
            let instead = match known.is_empty() {
                true => format!("write a {table} with {key} = \"{}\"", shown(text)),
                false => meant(text, known),
            };
            self.findings.error(place, what, instead);
        }
    }

    fn address(&mut self, text: &str, place: Place) -> Option<SocketAddr> {
        if let Ok(address) = text.parse() {
            return Some(address);
        }
        let instead = match (text.parse::<IpAddr>(), text.rsplit_once(':')) {
            (Ok(IpAddr::V6(ip)), _) => format!("write \"[{ip}]:8080\": brackets, then the port"),
            (Ok(ip), _) => format!("write \"{ip}:8080\" with its port"),
            (_, Some(("" | "*", port))) => format!("write \"0.0.0.0:{}\" or \"[::]:{0}\"", shown(port)),
            _ => "write an address and a port: \"127.0.0.1:8080\" or \"[::1]:8080\"".to_owned(),
        };
        self.findings.error(place, format!("`{}` is not an address with a port", shown(text)), instead);
        None
    }
}
