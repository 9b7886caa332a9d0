//! The loop of one worker: tasks, their wakers, and the turn: poll what is ready, submit and wait once, reap
//! it all.
#![allow(unsafe_code)]

use super::buffer::{Pool, Spare};
use super::epoll::Poller;
use super::pipe::Pipes;
use super::ring::Ring;
use super::timer::{Wheel, read_clock};
use super::waker::{self, MAIN, Remote, TaskId};
use super::{IoKind, Limits, Size};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::pin::{Pin, pin};
use std::ptr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Polls in one turn of the loop; what is ready beyond them waits for the next one, after the kernel was
/// heard.
const POLLS_PER_TURN: usize = 256;
/// Operations that a task may find done at once before it must let others run.
const BUDGET: u32 = 64;

thread_local! {
    static CURRENT: Cell<*const Core> = const { Cell::new(ptr::null()) };
}

/// One worker's runtime. Everything in this room works only on the thread that made it, while it lives.
pub struct Runtime {
    core: Box<Core>,
    /// Bound to its thread.
    _not_send: PhantomData<*const ()>,
}

impl Runtime {
    pub fn new(kind: IoKind, limits: Limits) -> io::Result<Self> {
        if !CURRENT.get().is_null() {
            return Err(io::Error::other("this thread has a Runtime already"));
        }
        let pools = [Pool::new(limits.small)?, Pool::new(limits.large)?];
        let remote = waker::register()?;
        let driver = match kind {
            IoKind::IoUring => Driver::Ring(Ring::new(&pools)?),
            IoKind::Epoll => Driver::Epoll(Poller::new(&remote)?),
        };
        let start = read_clock();
        let core = Box::new(Core {
            now: Cell::new(start),
            timers: RefCell::new(Wheel::new(start)),
            tasks: RefCell::new(Tasks::new()),
            budget: Cell::new(BUDGET),
            spare: Spare::default(),
            remote,
            pools,
            pipes: Pipes::default(),
            driver,
        });
        if let Driver::Ring(ring) = &core.driver {
            ring.watch(&core.remote);
        }
        CURRENT.set(&raw const *core);
        Ok(Self { core, _not_send: PhantomData })
    }

    /// Drives `main` and every spawned task until `main` ends. The other tasks go on in the next `block_on`.
    pub fn block_on<T>(&mut self, main: impl Future<Output = T>) -> T {
        let core = &*self.core;
        let mut main = pin!(main);
        core.now.set(read_clock());
        core.tasks.borrow_mut().wake(MAIN);
        loop {
            for _ in 0..POLLS_PER_TURN {
                let Some(task) = core.next_task() else { break };
                core.budget.set(BUDGET);
                let waker = waker::waker(&core.remote, task);
                let mut cx = Context::from_waker(&waker);
                if task != MAIN {
                    core.poll_task(task, &mut cx);
                } else if let Poll::Ready(output) = main.as_mut().poll(&mut cx) {
                    return output;
                }
            }
            core.turn();
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // Tasks may spawn others while they drop.
        loop {
            let futures = self.core.tasks.borrow_mut().take_all();
            if futures.is_empty() {
                break;
            }
            drop(futures);
        }
        if let Driver::Ring(ring) = &self.core.driver
            && !ring.drain(&self.core)
        {
            // The kernel may still write: the memory is lost rather than freed under it.
            self.core.pools.iter().for_each(|pool| std::mem::forget(pool.clone()));
        }
        CURRENT.set(ptr::null());
        waker::unregister(&self.core.remote);
    }
}

/// Starts a task on this thread's runtime.
pub fn spawn(task: impl Future<Output = ()> + 'static) {
    let task: Pin<Box<dyn Future<Output = ()>>> = Box::pin(task);
    Core::with(|core| core.tasks.borrow_mut().add(task));
}

/// Empties `storage`. What was posted took its storage along: then it gets that of something posted before, if there is
/// some.
pub fn renew(storage: &mut Vec<u8>) {
    storage.clear();
    if storage.capacity() == 0 {
        *storage = Core::with(|core| core.spare.take());
    }
}

/// Everything that the parts of a runtime share on its thread.
pub(super) struct Core {
    pub(super) now: Cell<Instant>,
    pub(super) timers: RefCell<Wheel>,
    pub(super) driver: Driver,
    pub(super) remote: Arc<Remote>,
    /// Storage of what was posted and has gone out.
    pub(super) spare: Spare,
    tasks: RefCell<Tasks>,
    budget: Cell<u32>,
    pools: [Rc<Pool>; 2],
    pub(super) pipes: Pipes,
}

#[allow(clippy::large_enum_variant)] // one per thread
pub(super) enum Driver {
    Ring(Ring),
    Epoll(Poller),
}

impl Core {
    pub(super) fn with<R>(f: impl FnOnce(&Core) -> R) -> R {
        #[allow(clippy::expect_used)] // a fault of the caller that the first run shows
        Self::try_with(f).expect("net is used on a thread that has no Runtime")
    }

    /// None on a thread without a runtime.
    pub(super) fn try_with<R>(f: impl FnOnce(&Core) -> R) -> Option<R> {
        // SAFETY: the pointer is set by Runtime::new to its boxed Core, and cleared by the Runtime's drop
        // before the Core is freed; a Runtime does not leave its thread, and a forgotten one is never freed.
        unsafe { CURRENT.get().as_ref() }.map(f)
    }

    pub(super) fn pool(&self, size: Size) -> &Rc<Pool> {
        match size {
            Size::Small => &self.pools[0],
            Size::Large => &self.pools[1],
        }
    }

    /// What a reader who wishes for `size` gets: small pieces when too many hold large ones.
    pub(super) fn size_at_hand(&self, size: Size) -> Size {
        if self.pool(size).is_scarce() { Size::Small } else { size }
    }

    /// Wakes a task of this runtime, from its own thread.
    pub(super) fn wake(&self, task: TaskId) {
        self.tasks.borrow_mut().wake(task);
    }

    /// Counts one operation against the running task; false: it is woken again after the others have run.
    pub(super) fn may_go_on(&self, cx: &Context<'_>) -> bool {
        let left = self.budget.get().checked_sub(1);
        match left {
            Some(left) => self.budget.set(left),
            None => cx.waker().wake_by_ref(),
        }
        left.is_some()
    }

    fn next_task(&self) -> Option<TaskId> {
        self.tasks.borrow_mut().next()
    }

    fn poll_task(&self, task: TaskId, cx: &mut Context<'_>) {
        let Some(mut future) = self.tasks.borrow_mut().take(task) else { return };
        match future.as_mut().poll(cx) {
            Poll::Pending => self.tasks.borrow_mut().give_back(task, future),
            Poll::Ready(()) => {
                drop(future);
                self.tasks.borrow_mut().end(task);
            }
        }
    }

    /// Submits, waits when there is nothing else to do, and hands out what has come.
    fn turn(&self) {
        for pool in &self.pools {
            pool.wake_waiting();
        }
        let wait = if self.tasks.borrow().ready.is_empty() {
            self.timers.borrow().wait(self.now.get())
        } else {
            Some(Duration::ZERO)
        };
        match &self.driver {
            Driver::Ring(ring) => ring.turn(self, wait),
            Driver::Epoll(poller) => poller.turn(self, wait),
        }
        self.now.set(read_clock());
        self.timers.borrow_mut().advance(self.now.get());
    }
}

/// The tasks and the queue of those that are ready, each at most once.
struct Tasks {
    slots: Vec<Slot>,
    free: Vec<u32>,
    ready: VecDeque<TaskId>,
}

#[derive(Default)]
struct Slot {
    generation: u32,
    ready: bool,
    /// None while it is being polled, and for MAIN.
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

impl Tasks {
    fn new() -> Self {
        // Slot 0 is MAIN's.
        Self { slots: vec![Slot::default()], free: Vec::new(), ready: VecDeque::new() }
    }

    fn add(&mut self, future: Pin<Box<dyn Future<Output = ()>>>) {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            (self.slots.len() - 1) as u32
        });
        let slot = &mut self.slots[index as usize];
        slot.future = Some(future);
        slot.ready = true;
        self.ready.push_back(TaskId { index, generation: slot.generation });
    }

    fn wake(&mut self, task: TaskId) {
        if let Some(slot) = self.slots.get_mut(task.index as usize)
            && slot.generation == task.generation
            && !std::mem::replace(&mut slot.ready, true)
        {
            self.ready.push_back(task);
        }
    }

    fn next(&mut self) -> Option<TaskId> {
        let task = self.ready.pop_front()?;
        let slot = &mut self.slots[task.index as usize];
        if slot.generation == task.generation {
            slot.ready = false;
        }
        Some(task)
    }

    fn take(&mut self, task: TaskId) -> Option<Pin<Box<dyn Future<Output = ()>>>> {
        let slot = &mut self.slots[task.index as usize];
        if slot.generation == task.generation { slot.future.take() } else { None }
    }

    fn give_back(&mut self, task: TaskId, future: Pin<Box<dyn Future<Output = ()>>>) {
        self.slots[task.index as usize].future = Some(future);
    }

    fn end(&mut self, task: TaskId) {
        let slot = &mut self.slots[task.index as usize];
        slot.generation = waker::next_generation(slot.generation);
        slot.ready = false;
        self.free.push(task.index);
    }

    fn take_all(&mut self) -> Vec<Pin<Box<dyn Future<Output = ()>>>> {
        self.ready.clear();
        self.slots.iter_mut().filter_map(|slot| slot.future.take()).collect()
    }
}
