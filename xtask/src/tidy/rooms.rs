//! Which room of `gateway/src` may use which: the table of docs/ARCHITECTURE.md, checked on every `crate::…` path.

use super::{Finding, Source};

/// A room, the rooms that it may use, and the crates that it must not know.
struct Room {
    name: &'static str,
    uses: &'static [&'static str],
    not: &'static [&'static str],
}

/// Nothing below `control` knows a runtime or a document format.
const CONTROL_PLANE: &[&str] = &["tokio", "hyper", "serde_json", "toml", "saphyr", "clap", "aya"];
const BELOW_HTTP: &[&str] = &["tokio", "hyper", "serde_json", "toml", "saphyr", "clap", "aya", "httparse"];
/// These read documents and policies, and wait for nothing.
const NO_RUNTIME: &[&str] = &["tokio", "hyper", "clap", "aya"];

const ROOMS: &[Room] = &[
    Room { name: "net", uses: &[], not: BELOW_HTTP },
    Room { name: "model", uses: &[], not: NO_RUNTIME },
    Room { name: "http", uses: &[], not: CONTROL_PLANE },
    Room { name: "observe", uses: &[], not: CONTROL_PLANE },
    // A refusal may be customised by its API, and mention what is known of the request.
    Room { name: "refusal", uses: &["http", "mapping", "route", "snapshot"], not: CONTROL_PLANE },
    Room {
        name: "snapshot",
        uses: &["cache", "guard", "http", "integrate", "model", "refusal", "route", "upstream"],
        not: CONTROL_PLANE,
    },
    Room { name: "route", uses: &["http", "refusal", "snapshot"], not: CONTROL_PLANE },
    // Whom a coded answer is for.
    Room { name: "cache", uses: &["coding", "http", "refusal"], not: CONTROL_PLANE },
    // Schemas are read where they are compiled, bodies where they are checked.
    Room { name: "schema", uses: &["mapping"], not: NO_RUNTIME },
    Room { name: "coding", uses: &[], not: CONTROL_PLANE },
    Room { name: "mapping", uses: &["http", "model", "route", "snapshot"], not: CONTROL_PLANE },
    Room {
        name: "guard",
        uses: &["http", "mapping", "model", "refusal", "route", "schema", "snapshot"],
        not: NO_RUNTIME,
    },
    Room {
        name: "integrate",
        uses: &["cache", "coding", "http", "guard", "mapping", "model", "refusal", "route", "snapshot"],
        not: CONTROL_PLANE,
    },
    Room { name: "upstream", uses: &["coding", "http", "net", "observe", "refusal"], not: CONTROL_PLANE },
    Room {
        name: "worker",
        uses: &[
            "net",
            "http",
            "route",
            "guard",
            "cache",
            "coding",
            "integrate",
            "upstream",
            "observe",
            "refusal",
            "snapshot",
        ],
        not: CONTROL_PLANE,
    },
    Room { name: "openapi", uses: &["model"], not: NO_RUNTIME },
    Room {
        name: "config",
        uses: &[
            "model",
            "openapi",
            "snapshot",
            "route",
            "guard",
            "cache",
            "http",
            "mapping",
            "integrate",
            "refusal",
            "schema",
            "upstream",
        ],
        not: NO_RUNTIME,
    },
    Room {
        name: "xdp",
        uses: &["config", "model", "snapshot"],
        not: &["tokio", "hyper", "httparse", "clap"],
    },
    // The watch of a store is tokio's channel; it is used by `control` alone.
    Room { name: "store", uses: &[], not: &["hyper", "clap", "aya"] },
    // Policies are judged where they are taken in.
    Room {
        name: "aws",
        uses: &["guard", "mapping", "model", "observe", "openapi", "store"],
        not: NO_RUNTIME,
    },
    Room {
        name: "control",
        // The data plane's rooms for `explain`, which asks the same functions that a worker asks.
        uses: &[
            "aws",
            "config",
            "model",
            "openapi",
            "store",
            "xdp",
            "observe",
            "worker",
            "snapshot",
            "net",
            "http",
            "route",
            "guard",
            "cache",
            "coding",
            "integrate",
            "refusal",
            "upstream",
        ],
        not: &["clap"],
    },
    // `check` reads single documents, `doctor` probes the host.
    Room {
        name: "cli",
        uses: &["control", "config", "model", "openapi", "xdp", "net"],
        not: &["aya", "httparse"],
    },
];

pub(super) fn check(source: &Source<'_>) -> Vec<Finding> {
    let Some(room) = room_of(source.file) else { return Vec::new() };
    let mut findings = Vec::new();
    for (line, code) in source.product() {
        for used in paths_after(code, "crate::") {
            let is_room = ROOMS.iter().any(|other| other.name == used);
            if is_room && used != room.name && !room.uses.contains(&used) {
                let mend = format!(
                    "`{}` must not know `{used}`: turn the call around, or pass what is needed as plain data",
                    room.name
                );
                findings.push(source.finding(line, "room", mend));
            }
        }
        for name in room.not {
            if paths_after(code, "").any(|word| word == *name) && code.contains(&format!("{name}::")) {
                let mend = format!("`{}` must not know the crate `{name}`", room.name);
                findings.push(source.finding(line, "room", mend));
            }
        }
    }
    findings
}

fn room_of(file: &str) -> Option<&'static Room> {
    let inside = file.strip_prefix("gateway/src/")?;
    let name = inside.split(['/', '.']).next()?;
    ROOMS.iter().find(|room| room.name == name)
}

/// The first words behind each `prefix`, also those in braces: `crate::{http, net::Conn}` gives http and net.
fn paths_after<'c>(code: &'c str, prefix: &'c str) -> impl Iterator<Item = &'c str> {
    let starts: Vec<usize> = if prefix.is_empty() {
        super::rules::words(code).map(|(at, _)| at).collect()
    } else {
        code.match_indices(prefix).map(|(at, _)| at + prefix.len()).collect()
    };
    starts.into_iter().flat_map(move |start| {
        let rest = &code[start..];
        match rest.strip_prefix('{') {
            Some(list) if !prefix.is_empty() => first_words(list),
            _ => super::rules::words(rest).next().map(|(_, word)| vec![word]).unwrap_or_default(),
        }
    })
}

/// `http, net::{A, B}, route}` → http, net, route
fn first_words(list: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    let mut found = Vec::new();
    let mut fresh = true;
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            c if fresh && (c.is_alphanumeric() || c == '_') => {
                fresh = false;
                found.extend(super::rules::words(&list[at..]).next().map(|(_, word)| word));
            }
            _ => {}
        }
        if depth < 0 {
            break;
        }
    }
    found
}
