//! An order to every worker, and their answers.

use super::types::Problem;
use crate::worker::{Handle, OpenConnection, Order};
use std::time::Duration;
use tokio::sync::oneshot;

/// A worker that does not answer for so long is stuck.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How a worker answers.
pub(super) type Done<T> = Box<dyn FnOnce(T) + Send>;

/// Gives every worker its order and waits for all answers.
pub(super) async fn all<T: Send + 'static>(
    workers: &[Handle],
    mut order: impl FnMut(Done<T>) -> Order,
) -> Result<Vec<T>, Problem> {
    let mut waiting = Vec::with_capacity(workers.len());
    let mut full = None;
    for (number, worker) in workers.iter().enumerate() {
        let (sender, answer) = oneshot::channel();
        // Nobody listens any more once control has given up.
        let done = Box::new(move |said| {
            let _ = sender.send(said);
        });
        match worker.mail.send(order(done)) {
            Ok(()) => waiting.push((number, answer)),
            Err(_) => full = Some(number),
        }
    }
    let deadline = tokio::time::sleep(ANSWER_WITHIN);
    tokio::pin!(deadline);
    let mut answers = Vec::with_capacity(waiting.len());
    for (number, answer) in waiting {
        tokio::select! {
            said = answer => answers.push(said.map_err(|_| stuck(number, "ended"))?),
            () = &mut deadline => return Err(stuck(number, "does not answer")),
        }
    }
    full.map_or(Ok(answers), |number| Err(stuck(number, "takes no orders")))
}

/// The client connections that are open now.
pub(super) async fn open_connections(workers: &[Handle]) -> Result<Vec<OpenConnection>, Problem> {
    Ok(all(workers, |reply| Order::Connections { reply }).await?.concat())
}

fn stuck(number: usize, what: &str) -> Problem {
    Problem::host(
        format!("worker {number} {what}"),
        "look at the log; when it does not recover, restart the gateway (kernel rules stay in force meanwhile)",
    )
}
