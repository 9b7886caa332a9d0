//! Documents compiled as the gateway compiles them, and requests carried to a match: what the rooms' benchmarks share.

use gateway::config::{Remembered, compile, load};
use gateway::http::{HeadLimits, Parsed, RequestHead};
use gateway::refusal::Refusal;
use gateway::route::{Asked, Match};
use gateway::snapshot::Snapshot;
use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};

pub(crate) const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

/// One API for each list of paths, with a host of its own: `a0.test`, `a1.test`. `rest` stands in each document.
pub(crate) fn snapshot(apis: &[Vec<String>], integration: &str, rest: &str) -> Snapshot {
    let folder = std::env::temp_dir().join(format!("gateway-micro-{}", std::process::id()));
    let mut toml = "[[listener]]\nname = \"all\"\naddress = \"127.0.0.1:8080\"\n".to_owned();
    let written = fs::create_dir_all(&folder).and_then(|()| {
        for (index, paths) in apis.iter().enumerate() {
            fs::write(folder.join(format!("a{index}.yaml")), document(index, paths, integration, rest))?;
            let _ = write!(
                toml,
                "\n[[api]]\nname = \"a{index}\"\nid = \"micro{index:05}\"\nfile = \"a{index}.yaml\"\nstage = \
                 \"prod\"\nhost = [\"a{index}.test\"]\n"
            );
        }
        fs::write(folder.join("gateway.toml"), &toml)
    });
    let loaded = written
        .map_err(|error| error.to_string())
        .and_then(|()| load(&folder.join("gateway.toml")).map_err(|errors| format!("{errors:#?}")));
    let compiled = loaded.and_then(|loaded| {
        if let Some(errors) = loaded.apis.iter().find_map(|api| api.as_ref().err()) {
            return Err(format!("{errors:#?}"));
        }
        compile(&loaded, &Remembered::default(), 1).map_err(|errors| format!("{errors:#?}"))
    });
    let _ = fs::remove_dir_all(&folder);
    match compiled {
        Ok((snapshot, _)) => snapshot,
        Err(errors) => panic!("the benchmark's own documents: {errors}"),
    }
}

fn document(index: usize, paths: &[String], integration: &str, rest: &str) -> String {
    let mut text = format!(
        "openapi: \"3.0.1\"\ninfo: {{title: \"a{index}\", version: \"1\"}}\n\
         x-amazon-apigateway-endpoint-configuration: {{types: [REGIONAL]}}\n{rest}\npaths:\n"
    );
    for path in paths {
        // `POST /a/b` is a path with that method alone.
        let (method, path) = path.split_once(' ').unwrap_or(("GET", path));
        let (method, parameters) = (method.to_ascii_lowercase(), parameters(path));
        let _ = write!(
            text,
            "  \"{path}\":\n    {method}:\n      parameters: [{parameters}]\n      responses: {{\"200\": \
             {{description: OK}}}}\n      x-amazon-apigateway-integration: {integration}\n"
        );
    }
    text
}

fn parameters(path: &str) -> String {
    let names = path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    let declared = names.map(|name| {
        let name = name.trim_end_matches('+');
        format!("{{name: {name}, in: path, required: true, schema: {{type: string}}}}")
    });
    declared.collect::<Vec<_>>().join(", ")
}

pub(crate) fn head(text: &str) -> RequestHead {
    let mut head = RequestHead::new();
    let parsed = head.parse(text.as_bytes(), &HeadLimits::default());
    assert!(matches!(parsed, Ok(Parsed::Complete { .. })), "{text}");
    head
}

/// A browser's request for `path` of an API.
pub(crate) fn request(api: usize, path: &str) -> RequestHead {
    request_with(api, path, "")
}

/// The same with more fields: whole lines.
pub(crate) fn request_with(api: usize, path: &str, fields: &str) -> RequestHead {
    let rest = std::str::from_utf8(benches::REQUEST).unwrap_or_default();
    let rest = rest.split_once("User-Agent").map_or("", |(_, rest)| rest);
    head(&format!("GET {path} HTTP/1.1\r\nHost: a{api}.test\r\n{fields}User-Agent{rest}"))
}

pub(crate) fn find(snapshot: &Snapshot, head: &RequestHead) -> Result<Match, Refusal> {
    let asked =
        Asked { listener: 0, host: head.host(), path: head.path(), method: head.method(), api_id: None };
    snapshot.routes.find(&asked, snapshot.routes.reach(&asked)?)
}

pub(crate) fn matched(snapshot: &Snapshot, head: &RequestHead) -> Match {
    find(snapshot, head).unwrap_or_else(|refusal| panic!("{}: {refusal:?}", head.path()))
}
