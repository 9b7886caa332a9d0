//! How soon a call of the AWS API is in force, and that nobody else notices: other APIs' connections live through it.

use crate::harness::api::mock;
use crate::harness::aws::path;
use crate::harness::*;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

/// Stages that are made, changed and deleted.
const ROUNDS: usize = 100;
/// From the call's first byte until the data plane answers by it, in one round of ten: what compiles gives way to
/// whoever else wants the processor, and other tests do.
const SOON: Duration = Duration::from_millis(100);
/// The same of the worst of them, where other tests share the processor.
const WORST: Duration = Duration::from_secs(2);

on_both! {
    calls_are_in_force_at_once_and_others_do_not_notice,
}

/// A backend that answers plainly, and echoes whatever comes after an upgrade.
fn backend() -> Upstream {
    Upstream::start(|connection| {
        while let Some(request) = connection.head() {
            if request.field("upgrade").is_none() {
                connection.answer(200, "plain");
                continue;
            }
            connection.send(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            );
            while let Some(bytes) = connection.some() {
                connection.send(bytes);
            }
            return;
        }
    })
}

fn tunnel(gateway: &Gateway) -> Client {
    let mut client = gateway.client();
    client.send(
        "GET /prod/socket HTTP/1.1\r\nHost: other.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    assert_eq!(client.head().unwrap().0, 101);
    client
}

/// An API with two deployments, of which one answers 200 and the other one 201; and no stage.
fn two_deployments(aws: &mut Aws) -> (String, [String; 2]) {
    let (api, root) = aws.rest_api("changing");
    let x = aws.resource(&api, &root, "x");
    let deployments = [200, 201].map(|status| {
        let integration = &mut mock(status);
        let integration =
            json!({ "type": "MOCK", "requestTemplates": integration["requestTemplates"].take() });
        let at = format!("/restapis/{api}/resources/{x}/methods/GET");
        if status == 200 {
            aws.method(&api, &x, "GET", &integration);
        } else {
            aws.call("PUT", &format!("{at}/integration"), &integration);
            aws.call("DELETE", &format!("{at}/responses/200"), &Value::Null);
        }
        aws.answers(&api, &x, "GET", status, &json!({}));
        aws.deploy(&api, None)
    });
    (api, deployments)
}

/// When calls were answered, and when they were in force; both since they were sent.
#[derive(Default)]
struct Times(Vec<(Duration, Duration)>);

impl Times {
    /// The first request after the call's answer is answered in the new way: nobody has to ask twice.
    fn take(&mut self, call: impl FnOnce(), gateway: &Gateway, path: &str, status: u16) {
        let sent = SystemTime::now();
        call();
        let answered = sent.elapsed().unwrap_or_default();
        let found = gateway.client().get(path);
        assert_eq!(found.status, status, "{path}: {}", found.text());
        self.0.push((answered, sent.elapsed().unwrap_or_default()));
    }

    fn assert_soon(mut self, what: &str) {
        self.0.sort_by_key(|(_, in_force)| *in_force);
        let at = |tenths: usize| self.0[self.0.len() * tenths / 10].1;
        let (soon, median, worst) = (at(1), at(5), self.0.last().unwrap().1);
        eprintln!("{what}: {median:?} in the median, {worst:?} at worst, of {}", self.0.len());
        assert!(soon < SOON, "{what}: in force after {soon:?} in one round of ten, {median:?} in the median");
        assert!(worst < WORST, "{what}: in force after {worst:?} at worst");
        let after =
            self.0.iter().map(|(answered, in_force)| in_force.saturating_sub(*answered)).max().unwrap();
        assert!(after < WORST, "{what}: {after:?} from the call's answer to the data plane's");
    }
}

fn calls_are_in_force_at_once_and_others_do_not_notice(io: Io) {
    let backend = backend();
    let other = echo_api(backend.address).host("other.test");
    let gateway = Setup::new(io).workers(2).api(other).start_without_keys();
    let mut aws = Aws::of(&gateway);
    let (api, [first, second]) = two_deployments(&mut aws);
    let (mut created, mut updated, mut deleted) = (Times::default(), Times::default(), Times::default());
    let mut tunnel = tunnel(&gateway);
    let (done, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        // One connection of another API that is never without a request: any that fails, or a close, ends the test.
        let kept = scope.spawn(|| {
            let mut client = gateway.client();
            while !done.load(Ordering::Relaxed) {
                assert_eq!(client.request("GET", "/prod/x", "other.test", &[]).status, 200);
                asked.fetch_add(1, Ordering::Relaxed);
            }
        });
        for round in 0..ROUNDS {
            let stage = format!("s{round}");
            let (stages, one) =
                (format!("/restapis/{api}/stages"), format!("/restapis/{api}/stages/{stage}"));
            let x = path(&api, &stage, "/x");
            let make = json!({ "stageName": stage, "deploymentId": first });
            created.take(|| drop(aws.post(&stages, &make)), &gateway, &x, 200);
            updated.take(|| drop(aws.replace(&one, "/deploymentId", &second)), &gateway, &x, 201);
            deleted.take(|| drop(aws.call("DELETE", &one, &Value::Null)), &gateway, &x, 403);
            tunnel.send([round as u8; 3]);
            assert_eq!(tunnel.take(3).unwrap(), [round as u8; 3], "the tunnel of another API");
            assert!(!kept.is_finished(), "the connection of another API");
        }
        done.store(true, Ordering::Relaxed);
        kept.join().unwrap();
    });
    assert!(asked.load(Ordering::Relaxed) > ROUNDS, "the other API was asked all the while");
    let generation = gateway.json(&["status"])["generation"].as_u64().unwrap();
    assert!(generation > 3 * ROUNDS as u64, "each call was a snapshot: {generation}");
    created.assert_soon("create");
    updated.assert_soon("update");
    deleted.assert_soon("delete");
}
