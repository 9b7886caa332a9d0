//! The configurations of all who are measured.

use crate::peers::Work;
use anyhow::{Context as _, Result};
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

/// The goals speak of 5,000 routes in 200 APIs.
pub(crate) const APIS: usize = 200;
pub(crate) const ROUTES: usize = 25;

/// Requests that reach a backend or cached answer of `body` bytes; `many`: over all routes, in an order that jumps.
pub(crate) fn requests(work: Work, body: usize, many: bool) -> Vec<Vec<u8>> {
    let count = if many { APIS * ROUTES } else { 1 };
    let request = |at: usize| {
        let (api, route) = ((at * 37) % APIS, (at * 37 / APIS) % ROUTES);
        let start = match work {
            Work::Relay => format!("GET /r{route}/b/{body}"),
            Work::Mock | Work::Hit => format!("GET /{body}"),
        };
        format!("{start} HTTP/1.1\r\nHost: a{api}.test\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n")
            .into_bytes()
    };
    (0..count).map(request).collect()
}

/// Of an API whose stage caches the answers of its GET methods.
const CACHED: &str = "cache_cluster_size = \"0.5\"\n\n[api.method_settings.\"*/*\"]\ncaching_enabled = \
                      true\ncache_ttl_in_seconds = 3600\n";

/// `gateway.toml` and its documents.
pub(crate) fn write_gateway(
    work: Work,
    folder: &Path,
    listen: SocketAddr,
    backend: SocketAddr,
    many: bool,
) -> Result<()> {
    let (apis, routes) = if many { (APIS, ROUTES) } else { (1, 1) };
    let mut toml = format!(
        "[node]\nworkers = 1\n\n[control]\nstore = \"store\"\naddress = \"off\"\n\n\
         [[listener]]\nname = \"all\"\naddress = \"{listen}\"\n"
    );
    for api in 0..apis {
        let (file, document) = (format!("a{api}.yaml"), document(work, api, routes, backend)?);
        fs::write(folder.join(&file), document).with_context(|| format!("writing {file}"))?;
        write!(
            toml,
            "\n[[api]]\nname = \"a{api}\"\nid = \"bench{api:05}\"\nfile = \"{file}\"\nstage = \"prod\"\nhost = \
             [\"a{api}.test\"]\n"
        )?;
        if work == Work::Hit {
            toml.push_str(CACHED);
        }
    }
    fs::write(folder.join("gateway.toml"), toml).context("writing gateway.toml")
}

fn document(work: Work, api: usize, routes: usize, backend: SocketAddr) -> Result<String> {
    let answer = if work == Work::Hit {
        format!("{{type: http_proxy, httpMethod: GET, uri: \"http://{backend}/128\"}}")
    } else {
        let body = "x".repeat(128);
        format!(
            "{{type: mock, requestTemplates: {{application/json: '{{\"statusCode\": 200}}'}}, responses: {{default: \
             {{statusCode: \"200\", responseTemplates: {{application/json: \"{body}\"}}}}}}}}"
        )
    };
    let mut text = format!(
        r#"openapi: "3.0.1"
info: {{title: "a{api}", version: "1"}}
x-amazon-apigateway-endpoint-configuration: {{types: [REGIONAL]}}
paths:
  /128:
    get:
      responses: {{"200": {{description: "OK"}}}}
      x-amazon-apigateway-integration: {answer}
"#
    );
    for route in 0..routes {
        write!(
            text,
            r#"  /r{route}/b/{{size}}:
    get:
      parameters: [{{name: size, in: path, required: true, schema: {{type: string}}}}]
      responses: {{"200": {{description: "OK"}}}}
      x-amazon-apigateway-integration:
        type: http_proxy
        httpMethod: GET
        uri: "http://{backend}/r{route}/b/{{size}}"
        requestParameters: {{integration.request.path.size: method.request.path.size}}
  /r{route}/ws:
    get:
      responses: {{"200": {{description: "OK"}}}}
      x-amazon-apigateway-integration: {{type: http_proxy, httpMethod: GET, uri: "http://{backend}/ws"}}
"#
        )?;
    }
    Ok(text)
}

pub(crate) fn nginx(
    work: Work,
    listen: SocketAddr,
    backend: SocketAddr,
    buffer: usize,
    folder: &Path,
) -> String {
    let folder = folder.display();
    // Its cache are files: kept open, and read into the buffer that has the head rather than sent apart.
    let (zone, cache, sendfile) = match work {
        Work::Relay => (String::new(), "", "on"),
        Work::Mock | Work::Hit => (
            format!(
                "proxy_cache_path {folder}/cache keys_zone=bench:1m max_size=16m inactive=1d;\n  \
                 open_file_cache max=1000 inactive=1d;\n  open_file_cache_valid 1d;"
            ),
            "proxy_cache bench;",
            "off",
        ),
    };
    format!(
        "daemon off;\nuser root;\nworker_processes 1;\npid {folder}/pid;\nerror_log {folder}/error.log;\n\
         worker_rlimit_nofile 20000;\nevents {{ worker_connections 19000; multi_accept on; }}\n\
         http {{\n  access_log off;\n  {zone}\n  keepalive_requests 1000000000;\n  keepalive_timeout 3600s;\n  \
         sendfile {sendfile};\n  tcp_nodelay on;\n  \
         client_body_temp_path {folder}/body;\n  proxy_temp_path {folder}/temp;\n  \
         upstream backend {{ server {backend}; keepalive 1024; keepalive_requests 1000000000; }}\n  \
         server {{\n    listen {listen} backlog=4096;\n    location / {{\n      {cache}\n      \
         proxy_pass http://backend;\n      proxy_http_version 1.1;\n      proxy_set_header Connection \"\";\n      \
         proxy_buffer_size {small};\n      proxy_buffers 8 {buffer};\n      proxy_busy_buffers_size {busy};\n      \
         proxy_max_temp_file_size 0;\n    }}\n  }}\n}}\n",
        small = buffer.min(16 * 1024),
        busy = buffer * 2,
    )
}

pub(crate) fn haproxy(work: Work, listen: SocketAddr, backend: SocketAddr, buffer: usize) -> String {
    let buffer = buffer.max(16 * 1024);
    let (store, cache) = match work {
        Work::Relay => ("", ""),
        Work::Mock | Work::Hit => (
            "cache bench\n  total-max-size 16\n  max-age 3600\n",
            "  http-request cache-use bench\n  http-response cache-store bench\n",
        ),
    };
    format!(
        "global\n  nbthread 1\n  maxconn 15000\n  no strict-limits\n  tune.bufsize {buffer}\n{store}\
         defaults\n  mode http\n  timeout connect 5s\n  \
         timeout client 1h\n  timeout server 1h\n  timeout http-keep-alive 1h\n  \
         http-reuse always\n  option splice-auto\nfrontend all\n  bind {listen} backlog 4096\n  \
         default_backend one\nbackend one\n{cache}  server backend {backend} pool-max-conn 1024\n"
    )
}

pub(crate) fn varnish(work: Work, backend: SocketAddr) -> String {
    let receive = match work {
        Work::Relay => "return (pass);",
        Work::Mock | Work::Hit => "return (hash);",
    };
    format!(
        "vcl 4.1;\nbackend one {{ .host = \"{}\"; .port = \"{}\"; }}\nsub vcl_recv {{ {receive} }}\n",
        backend.ip(),
        backend.port()
    )
}

/// No access log anywhere: varnish's is in shared memory, a record for each of these.
pub(crate) fn varnish_log_mask() -> String {
    const REQUESTS: [&str; 4] = ["Req", "Resp", "Bereq", "Beresp"];
    const OF_EACH: [&str; 6] = ["Header", "Method", "URL", "Protocol", "Status", "Reason"];
    const OTHERS: [&str; 12] = [
        "Begin",
        "End",
        "Link",
        "Timestamp",
        "ReqStart",
        "ReqAcct",
        "BereqAcct",
        "VCL_call",
        "VCL_return",
        "VCL_use",
        "BackendOpen",
        "BackendClose",
    ];
    let of_each = REQUESTS.iter().flat_map(|start| {
        let request = start.ends_with("eq");
        let known = move |field: &&&str| match **field {
            "Method" | "URL" => request,
            "Status" | "Reason" => !request,
            _ => true,
        };
        OF_EACH.iter().filter(known).map(move |field| format!("-{start}{field}"))
    });
    of_each.chain(OTHERS.map(|tag| format!("-{tag}"))).collect::<Vec<_>>().join(",")
}

pub(crate) fn h2o(listen: SocketAddr, backend: SocketAddr) -> String {
    format!(
        "user: root\nnum-threads: 1\nmax-connections: 19000\nhttp1-request-timeout: 3600\n\
         listen:\n  host: {}\n  port: {}\n\
         hosts:\n  default:\n    paths:\n      /:\n        proxy.reverse.url: \"http://{backend}/\"\n        \
         proxy.timeout.keepalive: 600000\n",
        listen.ip(),
        listen.port()
    )
}

/// Without its access log, retries, tracing, and the fields that it adds.
pub(crate) fn envoy(listen: SocketAddr, backend: SocketAddr) -> String {
    let socket = |address: SocketAddr| {
        format!("{{socket_address: {{address: {}, port_value: {}}}}}", address.ip(), address.port())
    };
    let types = "type.googleapis.com/envoy.extensions.filters";
    format!(
        r#"static_resources:
  listeners:
  - name: bench
    address: {listen}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": {types}.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: bench
          codec_type: HTTP1
          generate_request_id: false
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{{match: {{prefix: "/"}}, route: {{cluster: backend, timeout: 0s}}}}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": {types}.http.router.v3.Router
              suppress_envoy_headers: true
  clusters:
  - name: backend
    type: STATIC
    circuit_breakers: {{thresholds: [{{max_connections: 10000, max_pending_requests: 10000, max_requests: 10000}}]}}
    load_assignment:
      cluster_name: backend
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {backend}}}}}]}}]
"#,
        listen = socket(listen),
        backend = socket(backend)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// All values under a key, wherever it stands.
    fn under<'v>(value: &'v Value, key: &str) -> Vec<&'v Value> {
        let inner: Vec<(Option<&str>, &Value)> = match value {
            Value::Array(list) => list.iter().map(|value| (None, value)).collect(),
            Value::Object(map) => map.iter().map(|(name, value)| (Some(name.as_str()), value)).collect(),
            _ => Vec::new(),
        };
        let deeper = |(name, value): (Option<&str>, &'v Value)| {
            let own = (name == Some(key)).then_some(value);
            own.into_iter().chain(under(value, key)).collect::<Vec<_>>()
        };
        inner.into_iter().flat_map(deeper).collect()
    }

    /// The same work for all: what is one worker and no access log of the others is that of Envoy, too.
    #[test]
    fn envoy_is_asked_for_the_same_work() {
        let (listen, backend) = ("127.0.0.1:8001".parse().unwrap(), "127.0.0.2:9002".parse().unwrap());
        let config = gateway::openapi::json(&envoy(listen, backend)).unwrap();
        let socket = |host: &str, port: u16| json!({"socket_address": {"address": host, "port_value": port}});
        let resources = &config["static_resources"];
        assert_eq!(resources["listeners"].as_array().unwrap().len(), 1);
        assert_eq!(resources["listeners"][0]["address"], socket("127.0.0.1", 8001));
        let cluster = &resources["clusters"][0];
        let endpoints = &cluster["load_assignment"]["endpoints"];
        assert_eq!(endpoints[0]["lb_endpoints"][0]["endpoint"]["address"], socket("127.0.0.2", 9002));
        assert_eq!(
            under(&config, "port_value").len(),
            2,
            "no admin interface, no second listener or backend"
        );
        let routes = under(&config, "routes");
        assert_eq!(routes.len(), 1);
        assert_eq!(routes[0][0]["route"]["cluster"], cluster["name"]);
        assert_eq!(under(&config, "codec_type"), [&json!("HTTP1")]);
        // Connections are kept on both sides, for any number of requests: what would end them is not there.
        for ending in [
            "max_requests_per_connection",
            "max_connection_duration",
            "idle_timeout",
            "common_http_protocol_options",
            "http_protocol_options",
            "max_requests_per_io_cycle",
        ] {
            assert!(under(&config, ending).is_empty(), "{ending}");
        }
        for more in ["access_log", "tracing", "retry_policy", "stats_sinks"] {
            assert!(under(&config, more).is_empty(), "{more}");
        }
        let most = cluster["circuit_breakers"]["thresholds"][0]["max_connections"].as_u64().unwrap();
        let scenarios = [crate::scenarios::proxy(), crate::scenarios::latency()].concat();
        let asked = scenarios.iter().map(|scenario| scenario.connections as u64).max();
        assert!(asked.is_some_and(|asked| asked <= most), "{asked:?} connections, {most} may be");
    }
}
