//! Between two processes of an upgrade: what the one that ends still counts is told to the one that took over, each
//! message once, however often it is sent.

use super::random::{LOWER, draw};
use crate::control::node::Node;
use crate::control::types::{Problem, UsageAdded, UsageOfDay};
use crate::guard::meters::Meters;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;
use tokio::net::UnixStream;

/// Counts in one message.
const COUNTS_MAX: usize = 2000;
/// For the other process to take one message.
const WITHIN: Duration = Duration::from_secs(5);
/// Processes whose last message is remembered: so many upgrades one after the other.
const SENDERS_MAX: usize = 16;
const NAME_LENGTH: usize = 20;

/// What this process has told: the next message begins when the last one was answered.
#[derive(Default)]
pub(super) struct Told {
    /// Drawn with the first message.
    name: String,
    number: u64,
    /// Whether it was taken nobody knows: it is sent again as it is.
    unanswered: Option<UsageAdded>,
}

impl Told {
    fn begin(&mut self, days: Vec<UsageOfDay>) -> Result<UsageAdded, Problem> {
        if self.name.is_empty() {
            self.name = draw(LOWER, NAME_LENGTH)
                .map_err(|failed| Problem::host(format!("no name can be drawn: {failed}"), "mount /dev"))?;
        }
        self.number += 1;
        let message = UsageAdded { from: self.name.clone(), number: self.number, days };
        self.unanswered = Some(message.clone());
        Ok(message)
    }

    fn answered(&mut self, meters: &Meters) {
        for of in self.unanswered.take().into_iter().flat_map(|message| message.days) {
            if let Some(member) = meters.counted(&of.name()) {
                let kept = member.kept().get(&of.day).copied().unwrap_or(0);
                member.keep(of.day, kept + of.requests);
            }
        }
    }
}

/// What was not told yet, in messages.
fn untold(meters: &Meters) -> Vec<Vec<UsageOfDay>> {
    let mut days = Vec::new();
    for (name, member) in meters.members() {
        let kept = member.kept();
        for (day, used) in member.unkept() {
            let requests = used.saturating_sub(kept.get(&day).copied().unwrap_or(0));
            days.push(UsageOfDay::new(&name, day, requests));
        }
    }
    days.chunks(COUNTS_MAX).map(<[UsageOfDay]>::to_vec).collect()
}

/// The last message of each process that told this one.
#[derive(Default)]
pub(super) struct Heard(VecDeque<(String, u64)>);

impl Heard {
    /// Counts it here, too, unless it was counted before. Keys that no plan has here are nobody's.
    fn take(&mut self, meters: &Meters, added: &UsageAdded) {
        match self.0.iter_mut().find(|(name, _)| *name == added.from) {
            Some((_, last)) if *last >= added.number => return,
            Some((_, last)) => *last = added.number,
            // A gateway that is older than messages' names has none.
            None if added.from.is_empty() => {}
            None => {
                self.0.truncate(SENDERS_MAX - 1);
                self.0.push_front((added.from.clone(), added.number));
            }
        }
        for of in &added.days {
            if let Some(member) = meters.counted(&of.name()) {
                let allowance = member.quota().map(|quota| quota.on(of.day));
                member.usage.add(allowance, of.day, of.requests);
            }
        }
    }
}

/// What the process that ends has counted since this one took over.
pub(in crate::control) fn add(node: &Node, added: &UsageAdded) -> UsageAdded {
    node.aws.heard.borrow_mut().take(&node.aws.meters, added);
    UsageAdded::default()
}

/// Gives what was counted here to the process that took over, through its control socket. What it did not take is
/// tried again the next time.
pub(in crate::control) async fn forward(node: &Node) -> Result<(), Problem> {
    let unanswered = node.aws.told.borrow().unanswered.clone();
    if let Some(message) = unanswered {
        tell(node, &message).await?;
    }
    for days in untold(&node.aws.meters) {
        let message = node.aws.told.borrow_mut().begin(days)?;
        tell(node, &message).await?;
    }
    Ok(())
}

async fn tell(node: &Node, message: &UsageAdded) -> Result<(), Problem> {
    let late = |_| Problem::host("the process that took over does not answer", "");
    tokio::time::timeout(WITHIN, send(&node.store.socket(), message)).await.map_err(late)??;
    node.aws.told.borrow_mut().answered(&node.aws.meters);
    Ok(())
}

async fn send(socket: &Path, added: &UsageAdded) -> Result<(), Problem> {
    let broken = |error: &dyn std::fmt::Display| {
        Problem::host(
            format!("the process that took over does not hear of what API keys have used: {error}"),
            "",
        )
    };
    let body = serde_json::to_vec(added).map_err(|error| broken(&error))?;
    let stream = UnixStream::connect(socket).await.map_err(|error| broken(&error))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
    tokio::task::spawn_local(connection);
    let request = Request::post("/usage")
        .header("host", "localhost")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| broken(&error))?;
    let answer = sender.send_request(request).await.map_err(|error| broken(&error))?;
    let status = answer.status();
    answer.into_body().collect().await.map_err(|error| broken(&error))?;
    if status == 200 { Ok(()) } else { Err(broken(&status)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::meters::MemberName;
    use crate::guard::plan::Plans;
    use crate::model::{PlanKey, Quota, QuotaPeriod, UsagePlan, UsagePlans};
    use std::collections::BTreeMap;
    use std::sync::Arc;

    const DAY: u32 = 20_787;
    const DAILY: Quota = Quota { limit: 100, offset: 0, period: QuotaPeriod::Day };

    /// A process with one key in one plan, which had used 5 when both began.
    fn process() -> (Meters, Plans, MemberName) {
        let keys = vec![PlanKey { id: "k".into(), granted: None }];
        let plan = UsagePlan { id: "p".into(), quota: Some(DAILY), keys, ..UsagePlan::default() };
        let plans = Arc::new(UsagePlans { keys: Vec::new(), plans: vec![plan] });
        let meters = Meters::default();
        let plans = Plans::new(&plans, meters.clone(), None, &[]);
        plans.restore(|_| Ok::<_, ()>(BTreeMap::from([(DAY, 5)]))).unwrap();
        let name = |text: &str| text.to_owned();
        let member = MemberName { account: name(""), region: name(""), plan: name("p"), key: name("k") };
        (meters, plans, member)
    }

    #[test]
    fn what_an_ending_process_counts_arrives_once_however_often_it_is_sent() {
        let ((old, _old_plans, name), (new, _new_plans, _)) = (process(), process());
        let (mut told, mut heard) = (Told::default(), Heard::default());
        let member = old.counted(&name).unwrap();
        let count = |times: u32| {
            (0..times).for_each(|_| member.usage.charge(Some(DAILY.on(DAY)), DAY).unwrap());
        };
        let known = || {
            let member = new.counted(&name).unwrap();
            (member.days()[&DAY], member.usage.remaining(DAILY.on(DAY)))
        };
        count(3);
        let message = told.begin(untold(&old).remove(0)).unwrap();
        heard.take(&new, &message);
        assert_eq!(known(), (8, 92));
        // The answer is lost, and it counts on: the same message once more, then the rest.
        count(2);
        let again = told.unanswered.clone().unwrap();
        assert_eq!(again.days[0].requests, 3);
        heard.take(&new, &again);
        assert_eq!(known(), (8, 92));
        told.answered(&old);
        let rest = told.begin(untold(&old).remove(0)).unwrap();
        assert_eq!(rest.days[0].requests, 2);
        heard.take(&new, &rest);
        heard.take(&new, &message);
        told.answered(&old);
        assert_eq!((known(), untold(&old).len()), ((10, 90), 0));
        // Another process's first message is its own.
        let other = UsageAdded { from: "other".into(), ..message };
        heard.take(&new, &other);
        assert_eq!(known(), (13, 87));
        let unknown = UsageOfDay { plan: "gone".into(), ..other.days[0].clone() };
        heard.take(&new, &UsageAdded { number: 2, days: vec![unknown], ..other });
        assert_eq!((known(), new.members().len()), ((13, 87), 1));
    }

    #[test]
    fn so_many_senders_are_remembered() {
        let mut heard = Heard::default();
        for n in 0..100 {
            heard.take(&Meters::default(), &UsageAdded { from: n.to_string(), number: 1, days: Vec::new() });
        }
        assert_eq!((heard.0.len(), heard.0[0].0.as_str()), (SENDERS_MAX, "99"));
    }
}
