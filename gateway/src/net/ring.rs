//! The io_uring driver: one ring per worker; everything is submitted, waited for and reaped in one call per
//! turn.
#![allow(unsafe_code)]

use super::buffer::Pool;
use super::executor::Core;
use super::op::{IGNORED, OpId, Ops, Outcome, Target};
use super::waker::Remote;
use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{Builder, IoUring, cqueue, opcode, squeue};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::time::Duration;

const SUBMISSIONS: u32 = 1024;
const COMPLETIONS: u32 = 8192;
/// IORING_ENTER_GETEVENTS: deferred work of the kernel runs only in such a call.
const GETEVENTS: u32 = 1;
/// How often the end of a runtime waits 100 ms for its operations to be cancelled.
const DRAIN_TURNS_MAX: usize = 50;

pub(super) struct Ring {
    io: RefCell<IoUring>,
    ops: RefCell<Ops>,
    /// Entries that found the submission queue full: at most one and its cancellation per operation.
    backlog: RefCell<VecDeque<squeue::Entry>>,
    reaped: RefCell<Vec<(u64, Outcome)>>,
    draining: Cell<bool>,
}

impl Ring {
    pub(super) fn new(pools: &[Rc<Pool>; 2]) -> io::Result<Self> {
        let io = build(SUBMISSIONS, COMPLETIONS)?;
        for (group, pool) in pools.iter().enumerate() {
            // SAFETY: the pool keeps the region until the ring is closed: see Runtime's drop.
            pool.provide(|address, entries| unsafe {
                io.submitter().register_buf_ring_with_flags(address, entries, group as u16, 0)
            })?;
        }
        let (ops, backlog, reaped, draining) = Default::default();
        Ok(Self { io: RefCell::new(io), ops, backlog, reaped, draining })
    }

    /// Puts an operation on its way with the next submission.
    ///
    /// # Safety
    /// What the entry points to must be owned by `target`, and must neither move nor be freed before the
    /// operation's last completion.
    pub(super) unsafe fn start(&self, entry: squeue::Entry, target: Target) -> OpId {
        let op = self.ops.borrow_mut().add(target);
        self.push(entry.user_data(op.0));
        op
    }

    /// Asks the kernel to end an operation: its last completion tells the outcome.
    pub(super) fn cancel(&self, op: OpId) {
        let entry = opcode::AsyncCancel::new(op.0).build();
        self.push(entry.flags(squeue::Flags::SKIP_SUCCESS).user_data(IGNORED));
    }

    fn push(&self, entry: squeue::Entry) {
        let mut backlog = self.backlog.borrow_mut();
        let mut io = self.io.borrow_mut();
        // SAFETY: `start` promises that the memory lives; cancellations point to none.
        if backlog.is_empty() && unsafe { io.submission().push(&entry) }.is_ok() {
            return;
        }
        backlog.push_back(entry);
        // A refusal (the completion queue is full) leaves it in the backlog for the next turn.
        if backlog.len() == 1 && io.submit().is_ok() {
            flush(&mut io, &mut backlog);
        }
    }

    /// Submits now what the next turn would.
    pub(super) fn submit(&self) {
        // A refusal (the completion queue is full) leaves it for the next turn.
        let _ = self.io.borrow().submit();
    }

    /// One turn: submits all, waits at most `wait` (None: without end), and hands out every completion.
    pub(super) fn turn(&self, core: &Core, wait: Option<Duration>) {
        core.pool(super::Size::Small).top_up();
        core.pool(super::Size::Large).top_up();
        let all_pushed = {
            let mut backlog = self.backlog.borrow_mut();
            flush(&mut self.io.borrow_mut(), &mut backlog);
            backlog.is_empty()
        };
        self.enter(if all_pushed { wait } else { Some(Duration::ZERO) });
        self.reap(core);
    }

    fn enter(&self, wait: Option<Duration>) {
        let io = self.io.borrow();
        let entered = match wait {
            None => io.submit_and_wait(1),
            Some(Duration::ZERO) => {
                // SAFETY: nobody else holds the queue: `io` is borrowed here alone.
                let submission = unsafe { io.submission_shared() };
                let idle = submission.is_empty() && !submission.taskrun() && !submission.cq_overflow();
                drop(submission);
                if idle {
                    return;
                }
                // SAFETY: no argument is passed, and the queue's length is the queue's own.
                unsafe {
                    let queued = io.submission_shared().len() as u32;
                    io.submitter().enter::<libc::sigset_t>(queued, 0, GETEVENTS, None)
                }
            }
            Some(wait) => {
                let timespec = Timespec::from(wait);
                io.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&timespec))
            }
        };
        if let Err(error) = entered {
            // ETIME: the wait is over. EBUSY, EAGAIN: reap first. EINTR: a signal. None of them loses an
            // entry.
            let expected = [libc::ETIME, libc::EBUSY, libc::EAGAIN, libc::EINTR, libc::ENOMEM];
            assert!(
                error.raw_os_error().is_some_and(|code| expected.contains(&code)),
                "io_uring_enter: {error}"
            );
        }
    }

    /// The whole batch is copied out before anybody acts on it: what acts may submit.
    fn reap(&self, core: &Core) {
        let mut reaped = self.reaped.take();
        reaped.extend(self.io.borrow_mut().completion().map(|entry| {
            let (flags, result) = (entry.flags(), entry.result());
            let buffer = cqueue::buffer_select(flags);
            (entry.user_data(), Outcome { result, buffer, more: cqueue::more(flags) })
        }));
        for (op, outcome) in reaped.drain(..).filter(|(op, _)| *op != IGNORED) {
            let target = self.ops.borrow_mut().target(OpId(op), outcome.more);
            if let Some(target) = target {
                let rearm = matches!(target, Target::Wakeup);
                target.complete(core, outcome);
                if rearm && !outcome.more && !self.draining.get() {
                    self.watch(&core.remote);
                }
            }
        }
        self.reaped.replace(reaped);
    }

    /// Lets the eventfd of other threads' wakes end the wait.
    pub(super) fn watch(&self, remote: &Remote) {
        let eventfd = Fd(remote.eventfd().as_raw_fd());
        let poll = opcode::PollAdd::new(eventfd, libc::POLLIN as u32).multi(true).build();
        // SAFETY: the entry points to no memory.
        unsafe { self.start(poll, Target::Wakeup) };
    }

    /// Ends every operation; false when the kernel still holds some after a while (their memory is then
    /// kept).
    pub(super) fn drain(&self, core: &Core) -> bool {
        self.draining.set(true);
        for _ in 0..DRAIN_TURNS_MAX {
            let open: Vec<_> = self.ops.borrow().in_flight().collect();
            if open.is_empty() {
                return true;
            }
            open.into_iter().for_each(|op| self.cancel(op));
            self.turn(core, Some(Duration::from_millis(100)));
        }
        std::mem::forget(self.ops.take());
        false
    }
}

fn flush(io: &mut IoUring, backlog: &mut VecDeque<squeue::Entry>) {
    let mut submission = io.submission();
    while let Some(entry) = backlog.front() {
        // SAFETY: as in `push`, which these entries came through.
        if unsafe { submission.push(entry) }.is_err() {
            break;
        }
        backlog.pop_front();
    }
}

/// With what the kernel takes of: work deferred to our own call, no interrupts for it, one issuer.
fn build(submissions: u32, completions: u32) -> io::Result<IoUring> {
    let deferred = build_with(submissions, completions, |builder| {
        builder.setup_single_issuer().setup_defer_taskrun().setup_coop_taskrun().setup_taskrun_flag();
    });
    // Before Linux 6.1
    let cooperative = |_| {
        build_with(submissions, completions, |builder| {
            builder.setup_coop_taskrun().setup_taskrun_flag();
        })
    };
    deferred.or_else(cooperative).or_else(|_| build_with(submissions, completions, |_| {}))
}

fn build_with(submissions: u32, completions: u32, set: impl FnOnce(&mut Builder)) -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder.setup_clamp().setup_cqsize(completions).setup_submit_all();
    set(&mut builder);
    builder.build(submissions)
}

/// Can this host run io_uring as we use it? The error says what refused it and what would mend it.
pub fn probe() -> Result<(), String> {
    let io = build(8, 16).map_err(|error| match error.raw_os_error() {
        Some(libc::ENOSYS) => "the kernel has no io_uring: Linux 6.0 or later is needed".to_owned(),
        Some(libc::EPERM | libc::EACCES) => {
            "io_uring is forbidden here: `sysctl kernel.io_uring_disabled=0` \
             on the host, and in a container a seccomp profile that allows io_uring_setup, \
             io_uring_enter and io_uring_register"
                .to_owned()
        }
        Some(libc::ENOMEM) => "no locked memory is left for a ring: raise `ulimit -l`".to_owned(),
        _ => format!("io_uring_setup failed: {error}"),
    })?;
    let params = io.params();
    if !params.is_feature_ext_arg() || !params.is_feature_nodrop() || !params.is_feature_skip_cqe_on_success()
    {
        return Err("io_uring of this kernel is too old: Linux 6.0 or later is needed".to_owned());
    }
    super::ring_probe::multishot(io).map_err(|error| {
        format!("io_uring refuses multishot accept or receive ({error}): Linux 6.0 or later is needed")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_ways_of_running_the_kernels_work_serve_as_well() {
        let cooperative = build_with(8, 16, |builder| {
            builder.setup_coop_taskrun().setup_taskrun_flag();
        });
        for io in [cooperative, build_with(8, 16, |_| {})] {
            super::super::ring_probe::multishot(io.unwrap()).unwrap();
        }
    }
}
