//! A store with as many resources as AWS lets an account have, beside one with a single one: start, memory, deployment.

use crate::PROXY_CORE;
use crate::client;
use crate::cpu;
use crate::peers::{free_address, send_signal};
use crate::report::{Figures, shown};
use crate::rounds::Place;
use anyhow::{Context as _, Result, bail};
use benches::stats::Spread;
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// 340 APIs of 295 resources (AWS's limit is 300 an API): 100,300.
const APIS: usize = 340;
const PAIRS: usize = 147;
/// Deployments of one API after each start.
const DEPLOYMENTS: usize = 7;
const STARTS_WITHIN: Duration = Duration::from_secs(120);
const ENDS_WITHIN: Duration = Duration::from_secs(20);
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);
/// For what a start puts off: freeing.
const REST: Duration = Duration::from_millis(500);

/// What is measured of one store.
#[derive(Serialize)]
pub(crate) struct Filled {
    apis: usize,
    resources: usize,
    /// Seconds in which it was filled, one call after the other
    filled_s: f64,
    /// From the process's start to its first answer
    start_ms: Spread,
    memory_mib: Spread,
    /// From the call of one more deployment to the first answer by it
    deployment_ms: Spread,
    file_mib: f64,
    starts: usize,
}

pub(crate) fn measure(starts: usize, place: &Place<'_>) -> Result<Figures> {
    let mut stores = [Store::fill(1, 0, place)?, Store::fill(APIS, PAIRS, place)?];
    for round in 0..starts {
        eprintln!("objects: start {} of {starts}", round + 1);
        // Who comes first changes from round to round.
        let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        for index in order {
            stores[index].round(place)?;
        }
    }
    let filled = stores.into_iter().map(Store::figures).collect::<Result<_>>()?;
    Ok(Figures { filled, ..Figures::default() })
}

/// A gateway's folder, and what was measured of it.
struct Store {
    folder: PathBuf,
    listen: SocketAddr,
    control: SocketAddr,
    apis: usize,
    pairs: usize,
    filled: Duration,
    /// The last API, and the resource that answers 200 or 201 as deployed.
    api: String,
    resource: String,
    status: u16,
    start_ms: Vec<f64>,
    memory_mib: Vec<f64>,
    deployment_ms: Vec<f64>,
}

impl Store {
    fn fill(apis: usize, pairs: usize, place: &Place<'_>) -> Result<Self> {
        let folder = place.folder.join(format!("objects-{apis}"));
        fs::create_dir_all(&folder)?;
        let (listen, control) = (free_address()?, free_address()?);
        let toml = format!(
            "[node]\nworkers = 1\n\n[control]\naddress = \"{control}\"\nstore = \"store\"\n\n[[listener]]\nname = \
             \"all\"\naddress = \"{listen}\"\n"
        );
        fs::write(folder.join("gateway.toml"), toml)?;
        let mut store = Self {
            folder,
            listen,
            control,
            apis,
            pairs,
            filled: Duration::ZERO,
            api: String::new(),
            resource: String::new(),
            status: 200,
            start_ms: Vec::new(),
            memory_mib: Vec::new(),
            deployment_ms: Vec::new(),
        };
        let gateway = Running::start(&store.folder, place)?;
        gateway.answers(control, "/status", 200)?;
        let document = document(pairs, place.backend.address).to_string();
        let begun = Instant::now();
        for number in 0..apis {
            if number % 50 == 0 {
                eprintln!("objects: {number} of {apis} APIs");
            }
            let made = store.call("POST", "/restapis?mode=import", &document)?;
            store.api = made["id"].as_str().context("an id")?.to_owned();
            store.call("POST", &store.of_api("/deployments"), r#"{"stageName": "prod"}"#)?;
        }
        store.filled = begun.elapsed();
        let resources = store.call("GET", &store.of_api("/resources?limit=500"), "")?;
        let found = resources["item"].as_array().into_iter().flatten().find(|one| one["path"] == "/x");
        store.resource = found.and_then(|one| one["id"].as_str()).context("the resource /x")?.to_owned();
        Ok(store)
    }

    fn of_api(&self, rest: &str) -> String {
        format!("/restapis/{}{rest}", self.api)
    }

    fn call(&self, method: &str, path: &str, body: &str) -> Result<Value> {
        let (status, text) = ask(self.control, method, path, body)?;
        if !(200..300).contains(&status) {
            bail!("{method} {path}: {status} {text}");
        }
        Ok(if text.is_empty() { Value::Null } else { serde_json::from_str(&text)? })
    }

    /// One start, and some deployments.
    fn round(&mut self, place: &Place<'_>) -> Result<()> {
        let path = format!("/restapis/{}/prod/_user_request_/x", self.api);
        let begun = Instant::now();
        let gateway = Running::start(&self.folder, place)?;
        gateway.answers(self.listen, &path, self.status)?;
        self.start_ms.push(milliseconds(begun));
        std::thread::sleep(REST);
        self.memory_mib.push(cpu::memory(gateway.0.id())? as f64 / f64::from(1 << 20));
        for _ in 0..DEPLOYMENTS {
            let next = if self.status == 200 { 201 } else { 200 };
            let value = json!({ "statusCode": next }).to_string();
            let at = "/requestTemplates/application~1json";
            let patch = json!({ "patchOperations": [{ "op": "replace", "path": at, "value": value }] });
            let integration = self.of_api(&format!("/resources/{}/methods/GET/integration", self.resource));
            self.call("PATCH", &integration, &patch.to_string())?;
            let begun = Instant::now();
            self.call("POST", &self.of_api("/deployments"), r#"{"stageName": "prod"}"#)?;
            let (found, text) = ask(self.listen, "GET", &path, "")?;
            self.deployment_ms.push(milliseconds(begun));
            if found != next {
                bail!("the deployment is not in force: {found} {text}");
            }
            self.status = next;
        }
        Ok(())
    }

    fn figures(self) -> Result<Filled> {
        let spread = |values| Spread::of(values).context("nothing was measured");
        Ok(Filled {
            apis: self.apis,
            resources: self.apis * (1 + 1 + 2 * self.pairs),
            filled_s: self.filled.as_secs_f64(),
            starts: self.start_ms.len(),
            start_ms: spread(self.start_ms)?,
            memory_mib: spread(self.memory_mib)?,
            deployment_ms: spread(self.deployment_ms)?,
            file_mib: fs::metadata(self.folder.join("store/objects.redb"))?.len() as f64 / f64::from(1 << 20),
        })
    }
}

/// `/x` by MOCK, and pairs of a resource by HTTP and one below it by MOCK.
fn document(pairs: usize, backend: SocketAddr) -> Value {
    let mock = json!({ "responses": { "200": {}, "201": {} }, "x-amazon-apigateway-integration": {
        "type": "mock", "passthroughBehavior": "when_no_match",
        "requestTemplates": { "application/json": "{\"statusCode\": 200}" },
        "responses": { "default": { "statusCode": "200" }, "201": { "statusCode": "201" } },
    }});
    let mut paths = serde_json::Map::new();
    paths.insert("/x".into(), json!({ "get": mock }));
    for pair in 0..pairs {
        let http = json!({ "responses": { "200": {} }, "x-amazon-apigateway-integration": {
            "type": "http", "httpMethod": "GET", "uri": format!("http://{backend}/r{pair}"),
            "responses": { "default": { "statusCode": "200" } },
        }});
        paths.insert(format!("/r{pair}"), json!({ "get": http }));
        paths.insert(
            format!("/r{pair}/{{id}}"),
            json!({ "get": mock, "parameters": [
                { "name": "id", "in": "path", "required": true, "schema": { "type": "string" } },
            ]}),
        );
    }
    json!({ "openapi": "3.0.1", "info": { "title": "objects", "version": "1" }, "paths": paths })
}

/// A gateway with the proxy's core to itself, ended with this.
struct Running(Child);

impl Running {
    fn start(folder: &Path, place: &Place<'_>) -> Result<Self> {
        let log = File::create(folder.join("log"))?;
        let child = Command::new("taskset")
            .args(["--cpu-list", &PROXY_CORE.to_string()])
            .arg(place.programs.join("gateway"))
            .args(["run", "--no-auth", "--config"])
            .arg(folder.join("gateway.toml"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        Ok(Self(child))
    }

    /// Waits until that is answered so.
    fn answers(&self, address: SocketAddr, path: &str, status: u16) -> Result<()> {
        let begun = Instant::now();
        loop {
            let found = TcpStream::connect(address).ok().and_then(|_| ask(address, "GET", path, "").ok());
            match found {
                Some((found, _)) if found == status => return Ok(()),
                _ if begun.elapsed() > STARTS_WITHIN => bail!("{path} is not answered: {found:?}"),
                _ => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        send_signal(self.0.id(), "TERM");
        let begun = Instant::now();
        while begun.elapsed() < ENDS_WITHIN && matches!(self.0.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Status and body.
fn ask(address: SocketAddr, method: &str, path: &str, body: &str) -> Result<(u16, String)> {
    let mut socket = client::connect(address)?;
    socket.set_read_timeout(Some(ANSWERS_WITHIN))?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\
         Content-Type: application/json\r\nAuthorization: AWS4-HMAC-SHA256 \
         Credential=BENCH/20260102/us-east-1/apigateway/aws4_request, SignedHeaders=host, Signature=00\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes())?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("a status")?;
    Ok((status, body.to_owned()))
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

pub(crate) fn table(out: &mut String, filled: &[Filled]) -> std::fmt::Result {
    writeln!(out, "\n### Stores of one resource and of many\n")?;
    writeln!(
        out,
        "| resources (APIs) | start to first answer, ms | resident, MiB | one more deployment in force, ms | file, MiB \
         | filled in, s | starts |"
    )?;
    writeln!(out, "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")?;
    for Filled { apis, resources, filled_s, start_ms, memory_mib, deployment_ms, file_mib, starts } in filled
    {
        let [start, memory] = [start_ms, memory_mib].map(|spread| shown(Some(*spread), 0));
        let deployment = shown(Some(*deployment_ms), 1);
        writeln!(
            out,
            "| {resources} ({apis}) | {start} | {memory} | {deployment} | {file_mib:.1} | {filled_s:.1} | {starts} |"
        )?;
    }
    Ok(())
}
