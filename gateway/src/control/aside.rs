//! What takes long (reading documents, compiling, generating clients, freeing what nobody serves by any more), on a
//! thread of its own that gives way to the workers. It is not bound to a core: where one is idle, the scheduler takes
//! it there.

use super::types::Problem;
use crate::net;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// Jobs that may wait. Changes come one after the other, so few ever do; past it, whoever asks does the work itself.
const WAITING_MAX: usize = 64;

pub(super) struct Aside {
    /// None: there is no such thread, and the work is done where it is asked for.
    jobs: Option<SyncSender<Job>>,
}

impl Aside {
    pub(super) fn start() -> Self {
        let (jobs, waiting) = sync_channel::<Job>(WAITING_MAX);
        let work = move || {
            net::give_way();
            // Where panics unwind (a release ends with the first one): whoever asked for a job that panics learns of
            // it, for nobody answers, and the next job does not.
            waiting.into_iter().for_each(|job| drop(catch_unwind(AssertUnwindSafe(job))));
        };
        let thread = std::thread::Builder::new().name("aside".into()).spawn(work);
        Self { jobs: thread.is_ok().then_some(jobs) }
    }

    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let (sender, result) = oneshot::channel();
        // Nobody listens any more when the operator's request was given up.
        self.give(Box::new(move || drop(sender.send(work()))));
        result.await.map_err(|_| {
            let mend = "this is a fault in the gateway: please report it with the log";
            Problem::host("reading or compiling has failed", mend)
        })
    }

    /// Large values cost time to free, too.
    pub(super) fn free<T: Send + 'static>(&self, what: T) {
        self.give(Box::new(move || drop(what)));
    }

    fn give(&self, job: Job) {
        let Some(jobs) = &self.jobs else { return job() };
        match jobs.try_send(job) {
            Ok(()) => {}
            Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) => job(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::block_on;
    use super::*;

    #[test]
    fn work_is_done_on_another_thread_at_the_lowest_priority() {
        let aside = Aside::start();
        let stat = || std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let there = block_on(aside.run(stat)).unwrap();
        // proc(5): nice is the 19th field, the 17th behind the name.
        let nice = |stat: &str| stat.rsplit(") ").next().unwrap().split(' ').nth(16).unwrap().to_owned();
        assert_eq!(nice(&there), "19", "{there}");
        assert!(there.contains("(aside)") && !stat().contains("(aside)"), "{there}");
        assert_eq!(block_on(aside.run(|| 7)).unwrap(), 7);
    }

    #[test]
    fn a_job_that_panics_is_a_problem_of_its_own() {
        let aside = Aside::start();
        assert!(block_on(aside.run(|| -> u8 { panic!("on purpose") })).is_err());
        let name = || std::thread::current().name().map(str::to_owned);
        assert_eq!(block_on(aside.run(name)).unwrap().as_deref(), Some("aside"));
    }
}
