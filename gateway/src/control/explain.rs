//! Why does this request pass, or not? Asks the same rules in the same order as a packet and a request meet them, with
//! the code that the workers run.

mod cached;
mod integration;
mod limits;
mod source;
mod validation;

pub(super) use source::Facts;

use integration::answered;
use limits::limits;
use validation::{Checked, validation};

use super::named::StageNames;
use super::status::{integration, serves};
use super::types::{ExplainRequest, ExplainedAnswer, Explanation, Kind, Problem, Step};
use crate::guard::{self, Moment, Permit, endpoint};
use crate::http::{HeadLimits, Parsed, RequestHead};
use crate::integrate::Integration;
use crate::model::EndpointType;
use crate::refusal::{Limit, Refusal, RefusedRequest};
use crate::route::{Asked, Match, Reached};
use crate::snapshot::{ApiIndex, ListenerIndex, Snapshot};
use std::net::IpAddr;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

pub(super) fn explain(
    snapshot: &Snapshot,
    facts: &Facts<'_>,
    request: &ExplainRequest,
) -> Result<Explanation, Problem> {
    let url = Url::parse(&request.url)?;
    let listener = choose_listener(snapshot, &url, request.listener.as_deref())?;
    let from = request.from.to_canonical();
    let names = facts.names;
    let mut walk = Walk { snapshot, names, listener, from, steps: Vec::new(), head: RequestHead::new() };
    let decided = walk.all(facts, request, &url);
    let chosen = &snapshot.listeners[listener];
    let answer = match &decided {
        Err(Stop::Refused(stop)) => {
            let Refused { refusal, api, matched } = &**stop;
            let answer = refusal.answer(&RefusedRequest {
                request_id: "00000000-0000-0000-0000-000000000000",
                api: api.map(|api| &*snapshot.apis[api]),
                head: Some(&walk.head),
                matched: matched.as_ref(),
                source: from,
            });
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            Some(ExplainedAnswer { status: answer.status, body })
        }
        _ => None,
    };
    if let Err(Stop::Bad(problem)) = decided {
        return Err(*problem);
    }
    let decided_by =
        walk.steps.last().map(|step| format!("{}: {}", step.stage, step.rule)).unwrap_or_default();
    Ok(Explanation {
        allowed: decided.is_ok(),
        listener: chosen.name.clone(),
        address: chosen.address,
        steps: walk.steps,
        decided_by,
        answer,
    })
}

/// Where the walk ends early.
enum Stop {
    /// The connection does not come about.
    Silent,
    Refused(Box<Refused>),
    /// The question itself makes no sense.
    Bad(Box<Problem>),
}

/// With the API and what matched, as far as they are known: their gateway responses make the answer.
struct Refused {
    refusal: Refusal,
    api: Option<ApiIndex>,
    matched: Option<Match>,
}

impl Stop {
    fn refused(refusal: Refusal, api: Option<ApiIndex>, matched: Option<Match>) -> Self {
        Self::Refused(Box::new(Refused { refusal, api, matched }))
    }
}

struct Walk<'s> {
    snapshot: &'s Snapshot,
    names: &'s StageNames,
    listener: ListenerIndex,
    from: IpAddr,
    steps: Vec<Step>,
    head: RequestHead,
}

impl Walk<'_> {
    fn all(&mut self, facts: &Facts<'_>, request: &ExplainRequest, url: &Url) -> Result<(), Stop> {
        self.connection(facts)?;
        self.parse(request, url)?;
        let reached = self.reach()?;
        self.endpoint(&reached)?;
        let matched = self.find(reached)?;
        self.permit(matched)
    }

    fn parse(&mut self, request: &ExplainRequest, url: &Url) -> Result<(), Stop> {
        let mut text = format!("{} {} HTTP/1.1\r\n", request.method, url.target);
        // As curl does: who gives a Host means it instead of the URL's.
        if !request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            text.push_str(&format!("Host: {}\r\n", url.authority));
        }
        let bad = |what: String| {
            Stop::Bad(Box::new(Problem::new(
                Kind::Request,
                what,
                "give a method, a URL and headers that HTTP allows",
            )))
        };
        let broken = |part: &str| part.contains(['\r', '\n']);
        if [&request.method, &url.target, &url.authority].into_iter().any(|part| broken(part)) {
            return Err(bad("the method or the URL contains a line break".into()));
        }
        for (name, value) in &request.headers {
            if broken(name) || broken(value) {
                return Err(bad(format!("the header {name:?} contains a line break")));
            }
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        match self.head.parse(text.as_bytes(), &HeadLimits::default()) {
            Ok(Parsed::Complete { consumed }) if consumed == text.len() => Ok(()),
            Ok(_) => Err(bad(format!("{} {} is not one request", request.method, url.target))),
            Err(malformed) => {
                self.step("http", "refuse", malformed.to_string());
                Err(Stop::refused(Refusal::Malformed(malformed), None, None))
            }
        }
    }

    fn reach(&mut self) -> Result<Reached, Stop> {
        let asked = Asked::of(self.snapshot, self.listener, &self.head);
        match self.snapshot.routes.reach(&asked) {
            Ok(reached) => {
                let api = &self.snapshot.apis[reached.api];
                let rule = format!(
                    "host {:?} and path {:?} reach API {} ({}), stage {}",
                    asked.host,
                    asked.path,
                    self.names.api(&api.name),
                    api.id,
                    api.stage
                );
                let canary = self.snapshot.canaries.iter().find(|canary| canary.stage == reached.api);
                let canary = canary.map(|canary| {
                    let other = &self.snapshot.apis[canary.canary];
                    let deployment = other.deployment_id.as_deref().unwrap_or_default();
                    format!(
                        "; {}% of the requests go to its canary, deployment {deployment}",
                        canary.share.percent()
                    )
                });
                let rule = rule + &canary.unwrap_or_default();
                self.step("host and stage", "pass", rule);
                Ok(reached)
            }
            Err(refusal) => {
                let name = &self.snapshot.listeners[self.listener].name;
                let why = reason(&refusal);
                let rule = format!(
                    "host {:?} and path {:?} reach no API and stage on listener {name}: {why}; it serves {}",
                    asked.host,
                    asked.path,
                    self.served()
                );
                self.step("host and stage", "refuse", rule);
                Err(Stop::refused(refusal, None, None))
            }
        }
    }

    fn endpoint(&mut self, reached: &Reached) -> Result<(), Stop> {
        let (snapshot, from) = (self.snapshot, self.from);
        let (api, listener) = (&snapshot.apis[reached.api], &snapshot.listeners[self.listener]);
        let name = self.names.stage(&api.name);
        let endpoint_type = super::candidate::type_name(api.endpoint_type);
        let through = match listener.vpc {
            Some(vpc) => format!("listener {} of {}", listener.name, snapshot.vpcs[vpc].id),
            None => format!("listener {}", listener.name),
        };
        match endpoint::admit(snapshot, self.listener, reached.api, from) {
            Ok(()) => {
                let whom = match (api.endpoint_type, listener.vpc) {
                    (EndpointType::Private, Some(vpc)) => format!("{from} is in {}", snapshot.vpcs[vpc].id),
                    _ => "every source may".to_string(),
                };
                let rule = format!("{name} is {endpoint_type}, reached through {through}: {whom}");
                self.step("endpoint type", "pass", rule);
                Ok(())
            }
            Err(refusal) => {
                let rule = format!(
                    "{name} is {endpoint_type}: {from} may not reach it through {through}: {}",
                    reason(&refusal)
                );
                self.step("endpoint type", "refuse", rule);
                Err(Stop::refused(refusal, Some(reached.api), None))
            }
        }
    }

    fn find(&mut self, reached: Reached) -> Result<Match, Stop> {
        let snapshot = self.snapshot;
        let asked = Asked::of(self.snapshot, self.listener, &self.head);
        let (index, rest) = (reached.api, asked.path[reached.path.clone()].to_string());
        match snapshot.routes.find(&asked, reached) {
            Ok(matched) => {
                let method = &snapshot.apis[matched.api].methods[matched.method];
                let capture = |name: &String| {
                    let value = matched.capture(method, asked.path, name)?;
                    Some(format!(", {name} = {value:?}"))
                };
                let captures: Vec<String> = method.parameters.iter().filter_map(capture).collect();
                let rule = format!("{} {}{}", method.http_method, method.resource_path, captures.concat());
                self.step("resource", "pass", rule);
                Ok(matched)
            }
            Err(refusal) => {
                let method = asked.method.as_str();
                let method = if method.is_empty() { "this method" } else { method };
                let api = self.names.stage(&snapshot.apis[index].name);
                let rule = format!("no resource of {api} has {method} {rest:?}");
                self.step("resource", "refuse", rule);
                Err(Stop::refused(refusal, Some(index), None))
            }
        }
    }

    fn permit(&mut self, matched: Match) -> Result<(), Stop> {
        let snapshot = self.snapshot;
        let api = matched.api;
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        #[allow(clippy::disallowed_methods)] // how long an answer is fresh, what a limit has left: only told
        let moment = Moment { now: Instant::now(), unix_s: since_epoch.as_secs(), counts: false };
        match guard::permit(snapshot, self.listener, self.from, &self.head, matched.clone(), moment) {
            Ok(permit) => {
                let policy = match permit.api.policy {
                    Some(_) => "the resource policy allows it",
                    None => "no resource policy",
                };
                let validated = match permit.method.required_parameters.len() {
                    0 => String::new(),
                    1 => ", 1 required parameter is there".into(),
                    n => format!(", {n} required parameters are there"),
                };
                let mut answers = integration(permit.api, &permit.method.integration);
                self.step("guard", "pass", format!("{policy}, no authorization{validated}"));
                if let Some(limits) = limits(snapshot, &permit, &self.head, moment) {
                    self.step("limits", "pass", limits);
                }
                let unsure = self.validate(&permit)?;
                if let Integration::Unsupported(why) = &permit.method.integration {
                    self.step("integration", "refuse", answers);
                    let refusal = Refusal::ApiConfiguration(why.clone());
                    return Err(Stop::refused(refusal, Some(api), Some(permit.matched)));
                }
                let here = (self.from, snapshot.listeners[self.listener].address);
                match cached::cached(&permit, &self.head, here, moment.now) {
                    None => {}
                    Some(Ok(told)) => self.step("cache", "pass", told),
                    Some(Err(refusal)) => {
                        self.step("cache", "refuse", reason(&refusal));
                        return Err(Stop::refused(refusal, Some(api), Some(permit.matched)));
                    }
                }
                match answered(&permit, &self.head, here) {
                    Ok(told) => answers.push_str(&told),
                    Err(refusal) => {
                        self.step("integration", "refuse", format!("{answers}: {}", reason(&refusal)));
                        return Err(Stop::refused(refusal, Some(api), Some(permit.matched)));
                    }
                }
                self.step("integration", "pass", answers + unsure);
                Ok(())
            }
            Err(refusal) => {
                let key = limits::key(snapshot, &matched, &self.head, moment, &refusal);
                let key = key.map_or(String::new(), |key| format!("; {key}"));
                self.step("guard", "refuse", reason(&refusal) + &key);
                Err(Stop::refused(refusal, Some(api), Some(matched)))
            }
        }
    }

    /// What is to be said behind the answer: whether it comes at all.
    fn validate(&mut self, permit: &Permit<'_>) -> Result<&'static str, Stop> {
        match validation(permit, &self.head) {
            None => Ok(""),
            Some(Ok(Checked::Unchecked(told))) => {
                self.step("validation", "pass", told);
                Ok("")
            }
            Some(Ok(Checked::ByModel(told))) => {
                self.step("validation", "note", told);
                Ok("; the body must fit its model")
            }
            Some(Err(refusal)) => {
                let why = match &refusal {
                    Refusal::UnsupportedMediaType => "the request has several Content-Types".into(),
                    other => reason(other),
                };
                self.step("validation", "refuse", why);
                let matched = permit.matched.clone();
                Err(Stop::refused(refusal, Some(matched.api), Some(matched)))
            }
        }
    }

    fn step(&mut self, stage: &str, verdict: &str, rule: String) {
        self.steps.push(Step { stage: stage.into(), verdict: verdict.into(), rule });
    }

    fn served(&self) -> String {
        let listener = &self.snapshot.listeners[self.listener];
        let apis = self.snapshot.apis.iter().enumerate();
        let served: Vec<String> = apis
            .filter(|(index, api)| serves(listener, *index, api))
            .map(|(_, api)| format!("{} (id {}, stage {})", self.names.api(&api.name), api.id, api.stage))
            .collect();
        if served.is_empty() { "nothing".into() } else { served.join(", ") }
    }
}

/// In words, for the person who asks; clients get AWS's message.
fn reason(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Forbidden(why) => (*why).into(),
        Refusal::OutsideVpc => "the source is outside its VPC".into(),
        Refusal::PolicyDenied { statement, explicit: true } => {
            format!("the resource policy denies it by {statement}")
        }
        Refusal::PolicyDenied { statement, explicit: false } => {
            format!("no statement of the resource policy allows it ({statement})")
        }
        Refusal::InvalidationDenied => {
            "Cache-Control: max-age=0 needs execute-api:InvalidateCache, which nobody can have yet".into()
        }
        Refusal::InvalidApiKey(why) => format!("the method requires an API key: {why}"),
        Refusal::Throttled(Limit::PlanMethod) => {
            "the API key has spent what its usage plan gives it for this method".into()
        }
        Refusal::Throttled(Limit::Plan) => "the API key has spent what its usage plan gives it".into(),
        Refusal::Throttled(Limit::Method) => "the stage's rate for this method is spent".into(),
        Refusal::Throttled(Limit::Account) => "the account's rate in its region is spent".into(),
        Refusal::QuotaExceeded => "the API key's quota of the period is used up".into(),
        Refusal::Unauthorized(why) => format!("the caller is nobody: {why}"),
        Refusal::IamRequired => {
            "the method requires AWS_IAM, which is not supported yet: nobody passes".into()
        }
        Refusal::AuthorizerRequired => {
            "the method requires an authorizer, and authorizers are not asked yet: nobody passes".into()
        }
        Refusal::MissingParameters(names) => format!("required parameters are missing: {}", names.join(", ")),
        Refusal::InvalidBody(why) => format!("the body does not fit its model: {why}"),
        Refusal::NoRoute => "no such resource or method".into(),
        Refusal::ApiConfiguration(why) => format!("the call is answered 500: {why}"),
        Refusal::UnsupportedMediaType => {
            "no request template is for the Content-Type, and none passes".into()
        }
        other => format!("{other:?}"),
    }
}

fn choose_listener(snapshot: &Snapshot, url: &Url, name: Option<&str>) -> Result<ListenerIndex, Problem> {
    let listeners = || snapshot.listeners.iter().enumerate();
    let known = || {
        let all: Vec<String> = listeners().map(|(_, l)| format!("{} ({})", l.name, l.address)).collect();
        format!("there are: {}", all.join(", "))
    };
    if let Some(name) = name {
        let found = listeners().find(|(_, listener)| listener.name == name).map(|(index, _)| index);
        return found
            .ok_or_else(|| Problem::new(Kind::Unknown, format!("no listener is named {name}"), known()));
    }
    let on_port: Vec<_> = listeners().filter(|(_, listener)| listener.address.port() == url.port).collect();
    let chosen: Vec<_> = match url.address {
        // As the kernel does: the exact address, else any address.
        Some(ip) => {
            let exact: Vec<_> = on_port.iter().filter(|(_, l)| l.address.ip() == ip).collect();
            let any = || {
                on_port
                    .iter()
                    .filter(|(_, l)| l.address.ip().is_unspecified() && l.address.is_ipv4() == ip.is_ipv4())
            };
            if exact.is_empty() { any().collect() } else { exact }
        }
        None => on_port.iter().collect(),
    };
    match chosen.as_slice() {
        [(index, _)] => Ok(*index),
        [] => {
            let what = format!("no listener has {}", url.authority_with_port());
            let mend =
                format!("give the URL a listener's port, or name one with --listener NAME; {}", known());
            Err(Problem::new(Kind::Unknown, what, mend))
        }
        several => {
            let names: Vec<&str> = several.iter().map(|(_, listener)| listener.name.as_str()).collect();
            Err(Problem::new(
                Kind::Request,
                format!("{} listeners have port {}: {}", names.len(), url.port, names.join(", ")),
                format!("say which one: --listener {}", names[0]),
            ))
        }
    }
}

/// `http://host[:port]/path?query`, as far as `explain` needs it; the path is left to the HTTP parser.
struct Url {
    authority: String,
    /// The host, where it is a literal address.
    address: Option<IpAddr>,
    port: u16,
    target: String,
}

impl Url {
    fn parse(text: &str) -> Result<Self, Problem> {
        let bad = |what: &str| {
            let mend = "write it as http://host:port/path?query";
            Problem::new(Kind::Request, format!("{text} {what}"), mend)
        };
        if text.starts_with("https://") {
            return Err(bad("is https, which listeners do not speak yet"));
        }
        let rest = text.strip_prefix("http://").ok_or_else(|| bad("is not a http URL"))?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| bad("has no valid port"))?)
            }
            _ => (authority, 80),
        };
        if host.is_empty() || host.contains('@') {
            return Err(bad("has no valid host"));
        }
        let target = if target.starts_with('/') { target.to_string() } else { format!("/{target}") };
        let target = target.split('#').next().unwrap_or_default().to_string();
        let address = host.trim_matches(['[', ']']).parse().ok();
        Ok(Self { authority: authority.to_string(), address, port, target })
    }

    fn authority_with_port(&self) -> String {
        match self.address {
            Some(ip) => std::net::SocketAddr::new(ip, self.port).to_string(),
            None => format!("port {}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let url = Url::parse("http://api.example.com:8080/prod/pets?x=1#part").unwrap();
        assert_eq!((url.authority.as_str(), url.port), ("api.example.com:8080", 8080));
        assert_eq!((url.target.as_str(), url.address), ("/prod/pets?x=1", None));
        let url = Url::parse("http://[fd00::1]").unwrap();
        assert_eq!((url.port, url.target.as_str()), (80, "/"));
        assert_eq!(url.address, Some("fd00::1".parse().unwrap()));
        let url = Url::parse("http://[fd00::1]:81?a").unwrap();
        assert_eq!((url.port, url.target.as_str()), (81, "/?a"));
        for bad in
            ["https://x/", "ftp://x", "http://", "http://:80/", "http://a@b/", "http://x:99999/", "/prod"]
        {
            assert!(Url::parse(bad).is_err(), "{bad}");
        }
    }
}
