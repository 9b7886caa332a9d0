//! `gateway.toml`: what is read, and what broken files are told.

use super::*;
use crate::model::{Place, Severity};
use proptest::{prelude::any, sample::Index};
use std::path::{Path, PathBuf};

/// A folder of its own that vanishes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("gateway-config-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        std::fs::write(self.0.join(name), text).unwrap();
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const WHOLE: &str = r#"
[node]
region = "eu-central-1"
account = "123456789012"
workers = 2

[control]
address = "127.0.0.1:9080"
store = "state"

[xdp]
interfaces = ["eth0", "eth1"]
mode = "generic"
pins = "/sys/fs/bpf/other"
trusted = ["192.0.2.0/24", "2001:db8::1/128"]
trust_loopback = false
limit = { packets = "20000/s", packet_burst = 40000, connections = "600/m" }
source_v4 = 24
source_v6 = 48

[[vpc]]
id = "vpc-main"
cidrs = ["10.0.0.0/16", "fd00:10::/48"]

[[listener]]
name = "public"
address = "0.0.0.0:8080"

[[listener]]
name = "orders"
address = "[fd00:10::5]:8080"
apis = ["orders"]
vpc = "vpc-main"
limit = { packets = "500/s", connection_burst = 20 }
dry_run = true

[[api]]
name = "orders"
id = "a1b2c3d4e5"
file = "orders.yaml"
stage = "prod"
host = ["Orders.example.com"]
[api.variables]
backend = "127.0.0.1:9000"

[[api]]
name = "broken"
file = "broken.yaml"
stage = "prod"
"#;

#[test]
fn the_control_plane_is_on_loopback_unless_it_is_turned_off() {
    let folder = Folder::new("control");
    for (written, address) in [
        ("", Some("127.0.0.1:9080")),
        ("[control]\nstore = \"s\"\n", Some("127.0.0.1:9080")),
        ("[control]\naddress = \"[::1]:81\"\n", Some("[::1]:81")),
        ("[control]\naddress = \"off\"\n", None),
    ] {
        let text = format!("{written}[[listener]]\nname = \"public\"\naddress = \"127.0.0.1:0\"\n");
        let loaded = load(&folder.write("gateway.toml", &text)).unwrap();
        assert_eq!(loaded.document.control.address, address.map(|text| text.parse().unwrap()), "{written}");
    }
}

const ORDERS: &str = "swagger: '2.0'\ninfo: {title: orders}\npaths:\n  /:\n    get: {}\n";

#[test]
fn a_whole_file_is_read_and_a_broken_api_takes_no_other_down() {
    let folder = Folder::new("whole");
    folder.write("orders.yaml", ORDERS);
    folder.write("broken.yaml", "swagger: '2.0'\n");
    let Loaded { document, apis, warnings, .. } = load(&folder.write("gateway.toml", WHOLE)).unwrap();
    assert_eq!(
        (document.node.region.as_str(), document.node.account.as_str()),
        ("eu-central-1", "123456789012")
    );
    assert_eq!(document.node.workers, 2);
    assert_eq!(document.control.address, Some("127.0.0.1:9080".parse().unwrap()));
    assert_eq!(document.control.store, folder.0.join("state"));
    assert_eq!((document.xdp.mode, document.xdp.interfaces.len()), (XdpMode::Generic, 2));
    assert_eq!(document.xdp.pins, Path::new("/sys/fs/bpf/other"));
    assert_eq!((document.xdp.trusted.len(), document.xdp.trust_loopback), (2, false));
    assert_eq!((document.xdp.source_v4, document.xdp.source_v6), (24, 48));
    let shown: Vec<String> = document.listeners.iter().map(|listener| listener.limits.to_string()).collect();
    assert_eq!(
        shown,
        [
            "packets 20000/s, burst 40000; connections 600/m, burst 10",
            "packets 500/s, burst 500; connections 600/m, burst 20"
        ]
    );
    assert_eq!(document.listeners.iter().map(|listener| listener.dry_run).collect::<Vec<_>>(), [false, true]);
    assert_eq!(document.vpcs[0].cidrs.len(), 2);
    assert_eq!(document.listeners[1].address, "[fd00:10::5]:8080".parse().unwrap());
    assert_eq!(document.listeners[1].apis.as_deref(), Some(&["orders".to_owned()][..]));
    assert_eq!(document.listeners[0].apis, None);
    assert_eq!(document.apis[0].hosts, ["orders.example.com"]);
    assert_eq!(document.apis[0].stage_variables["backend"], "127.0.0.1:9000");
    assert_eq!(document.apis[0].place, Place { line: 37, column: 1 });
    assert_eq!(apis[0].as_ref().unwrap().name, "orders");
    let errors = apis[1].as_ref().unwrap_err();
    assert_eq!(errors[0].file, folder.0.join("broken.yaml"));
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!((warnings[0].severity, warnings[0].place), (Severity::Warning, Place { line: 5, column: 5 }));
}

#[test]
fn broken_files_are_told_where_what_and_what_to_write() {
    for case in include_str!("broken.txt").split("=== ").skip(1) {
        let (name, rest) = case.split_once('\n').unwrap();
        let (text, expected) = rest.split_once("\n>>>\n").unwrap();
        let told: String = match read::document(Path::new("gateway.toml"), &format!("{text}\n")) {
            Ok((_, _, found)) | Err(found) => found.iter().map(|d| format!("{d}\n")).collect(),
        };
        assert_eq!(told, expected, "{name}: is told\n{told}");
    }
}

#[test]
fn files_that_cannot_be_read_are_named_where_they_are_named() {
    let folder = Folder::new("unreadable");
    let missing = load(&folder.0.join("gateway.toml")).unwrap_err();
    assert_eq!((missing.len(), missing[0].place), (1, Place { line: 1, column: 1 }));
    assert!(missing[0].what.starts_with("there is no file "), "{}", missing[0]);
    assert!(
        load(&folder.write("latin1.toml", b"[node]\nregion = \"\xe9\"\n")).unwrap_err()[0]
            .what
            .ends_with("latin1.toml is not UTF-8 text (line 2)")
    );
    assert!(load(&folder.0).unwrap_err()[0].what.contains("cannot be read"));
    assert!(
        load(&folder.write("big.toml", " ".repeat(2 << 20))).unwrap_err()[0]
            .what
            .contains("more than 1048576")
    );
    let listener = "[[listener]]\nname = 'public'\naddress = '127.0.0.1:0'\n";
    let apis =
        ["a", "b"].map(|n| format!("[[api]]\nname = '{n}'\nstage = 'prod'\nfile = '{n}.yaml'\n")).concat();
    folder.write("b.yaml", b"swagger: '2.0' # \xff");
    let loaded = load(&folder.write("gateway.toml", format!("{listener}{apis}"))).unwrap();
    for (api, line, what) in [(0, 7, "there is no file "), (1, 11, "b.yaml is not UTF-8 text (line 1)")] {
        let errors = loaded.apis[api].as_ref().unwrap_err();
        assert_eq!((&errors[0].file, errors[0].place), (&loaded.document.file, Place { line, column: 8 }));
        assert!(errors[0].what.contains(what), "{}", errors[0]);
    }
}

proptest::proptest! {
    #[test]
    fn any_change_ends_with_a_document_or_findings_inside_of_it(
        cuts in proptest::collection::vec((any::<Index>(), 0..30usize, 0..3u8), 1..5),
    ) {
        let mut text = WHOLE.to_owned();
        for (at, len, kind) in cuts {
            if text.is_empty() { break; }
            let at = at.index(text.len());
            let end = (at + len).min(text.len());
            match kind {
                0 => drop(text.drain(at..end)),
                1 => text = [&text[..end], &text[at..]].concat(),
                _ => text.insert(at, "[]{}=\"'#.,\n\u{e9}0-".chars().nth(len % 14).unwrap_or('x')),
            }
            text.retain(|c| c.is_ascii());
        }
        if let Err(errors) = read::document(Path::new("gateway.toml"), &text) {
            let lines = text.split('\n').count();
            for error in errors {
                proptest::prop_assert!((1..=lines).contains(&error.place.line), "{error}");
            }
        }
    }
}

/// What `limit = ...` of a listener makes of what `[xdp]` says.
#[test]
fn a_listeners_limit_stands_over_the_default_key_by_key() {
    let shown = |default: &str, own: &str| {
        let text = format!(
            "[xdp]\n{default}\n[[listener]]\nname = \"a\"\naddress = \"127.0.0.1:80\"\n{own}\n[[api]]\n\
             name = \"a\"\nfile = \"a.yaml\"\nstage = \"prod\"\n"
        );
        let (document, ..) = read::document(Path::new("gateway.toml"), &text).unwrap();
        document.listeners[0].limits.to_string()
    };
    let default = "limit = { packets = \"1000/s\", packet_burst = 3000, connections = \"50/s\" }";
    for (default, own, expected) in [
        ("", "", "none"),
        ("", "limit = { connections = \"5/s\" }", "connections 5/s, burst 5"),
        (default, "", "packets 1000/s, burst 3000; connections 50/s, burst 50"),
        (default, "limit = \"off\"", "none"),
        (default, "limit = { packets = \"off\" }", "connections 50/s, burst 50"),
        (default, "limit = { packet_burst = 10 }", "packets 1000/s, burst 10; connections 50/s, burst 50"),
        (default, "limit = { packets = \"60/m\" }", "packets 60/m, burst 1; connections 50/s, burst 50"),
    ] {
        assert_eq!(shown(default, own), expected, "{default} {own}");
    }
}

#[test]
fn a_file_that_says_the_same_is_not_taken_apart_again() {
    let folder = Folder::new("again");
    folder.write("orders.yaml", ORDERS);
    folder.write("broken.yaml", ORDERS);
    let file = folder.write("gateway.toml", WHOLE);
    let first = load(&file).unwrap();
    let source = |loaded: &Loaded, at: usize| loaded.apis[at].as_ref().unwrap().clone();
    let same = load_after(&file, Some(&first)).unwrap();
    assert!((0..2).all(|at| Arc::ptr_eq(&source(&first, at), &source(&same, at))));
    assert!(!Arc::ptr_eq(&source(&first, 0), &source(&first, 1)), "the same text in another file");
    assert_eq!(
        (same.digest(), &same.warnings),
        (first.digest(), &first.warnings),
        "its warnings are told again"
    );
    folder.write("orders.yaml", ORDERS.replace("  /:", "  /more:"));
    let other = load_after(&file, Some(&first)).unwrap();
    assert_eq!(source(&other, 0).resources[0].path, "/more");
    assert!(Arc::ptr_eq(&source(&first, 1), &source(&other, 1)));
    assert_ne!(other.digest(), first.digest());
    assert_eq!(other.digest(), load(&file).unwrap().digest(), "as if it were read for the first time");
    folder.write("orders.yaml", ORDERS);
    assert_eq!(load_after(&file, Some(&other)).unwrap().digest(), first.digest());
}
