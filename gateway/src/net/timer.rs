//! The loop's clock and its timers: a hierarchical wheel of one-millisecond ticks, O(1) to set and to cancel.

use super::executor::Core;
use super::future::Elapsed;
use pin_project_lite::pin_project;
use slab::Slab;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

const LEVELS: usize = 6;
const SLOTS: usize = 64;
const SLOT_BITS: usize = 6;
/// Timers past this (about two years) are filed here and set again when they come up.
const TICKS_MAX: u64 = (1 << (LEVELS * SLOT_BITS)) - 1;
const NONE: u32 = u32::MAX;

/// The loop's time: read once per turn of the loop.
pub fn now() -> Instant {
    Core::with(|core| core.now.get())
}

/// The one place of the data plane that asks the time.
#[allow(clippy::disallowed_methods)]
pub(super) fn read_clock() -> Instant {
    Instant::now()
}

/// Microseconds of CLOCK_MONOTONIC, for those outside who count with it.
#[allow(unsafe_code)]
pub fn monotonic_us() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is valid; the clock exists on every kernel, so it cannot fail.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0) / 1000
}

/// Ends at the first turn of the loop at or after `deadline`.
pub async fn sleep_until(deadline: Instant) {
    Sleep { deadline, entry: None }.await;
}

/// A timer that is set when it is first waited for, and cancelled when it is dropped.
pub(super) struct Sleep {
    deadline: Instant,
    entry: Option<u32>,
}

impl Sleep {
    pub(super) fn new(deadline: Instant) -> Self {
        Self { deadline, entry: None }
    }
}

impl Future for Sleep {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Core::with(|core| {
            if core.now.get() >= self.deadline {
                return Poll::Ready(());
            }
            let mut wheel = core.timers.borrow_mut();
            match self.entry {
                Some(entry) if wheel.renew(entry, cx.waker()) => {}
                Some(entry) => wheel.set_again(entry, self.deadline, cx.waker()),
                None => self.entry = Some(wheel.set(self.deadline, cx.waker())),
            }
            Poll::Pending
        })
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(entry) = self.entry {
            Core::try_with(|core| core.timers.borrow_mut().remove(entry));
        }
    }
}

/// One task's timer for its deadlines, one after the other. Most of them are met: as long as they move later, what is
/// filed stays filed, and only when it comes up the task is woken for nothing and files the deadline that it has then.
pub struct Alarm {
    entry: Option<u32>,
    /// For when the entry is filed: before that it has not fired.
    filed: Instant,
}

impl Default for Alarm {
    fn default() -> Self {
        Self { entry: None, filed: now() }
    }
}

impl Alarm {
    /// As `timeout_at`, for futures of the one task that this alarm belongs to.
    pub fn timeout_at<F: Future>(&mut self, deadline: Instant, future: F) -> Within<'_, F> {
        Within { alarm: self, deadline, future }
    }

    fn poll(&mut self, deadline: Instant, cx: &Context<'_>) -> Poll<()> {
        Core::with(|core| {
            let now = core.now.get();
            if now >= deadline {
                return Poll::Ready(());
            }
            let stands = self.entry.is_some() && now < self.filed && self.filed <= deadline;
            if !stands {
                let mut wheel = core.timers.borrow_mut();
                if let Some(entry) = self.entry.take() {
                    wheel.remove(entry);
                }
                self.entry = Some(wheel.set(deadline, cx.waker()));
                self.filed = deadline;
            }
            Poll::Pending
        })
    }
}

pin_project! {
    /// What `Alarm::timeout_at` gives.
    pub struct Within<'a, F> {
        alarm: &'a mut Alarm,
        deadline: Instant,
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for Within<'_, F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        this.alarm.poll(*this.deadline, cx).map(|()| Err(Elapsed))
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(entry) = self.entry {
            Core::try_with(|core| core.timers.borrow_mut().remove(entry));
        }
    }
}

struct Entry {
    tick: u64,
    waker: Option<Waker>,
    /// Index into `heads` while it is filed; NONE after it fired.
    slot: u32,
    previous: u32,
    next: u32,
}

pub(super) struct Wheel {
    start: Instant,
    elapsed: u64,
    entries: Slab<Entry>,
    heads: [u32; LEVELS * SLOTS],
    occupied: [u64; LEVELS],
}

impl Wheel {
    pub(super) fn new(start: Instant) -> Self {
        let heads = [NONE; LEVELS * SLOTS];
        Self { start, elapsed: 0, entries: Slab::new(), heads, occupied: [0; LEVELS] }
    }

    /// How long the loop may block before a timer is due; None without timers.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        let (_, tick) = self.next_slot()?;
        Some((self.start + Duration::from_millis(tick)).saturating_duration_since(now))
    }

    /// Wakes everything that is due at `now`.
    pub(super) fn advance(&mut self, now: Instant) {
        let to = u64::try_from((now - self.start).as_millis()).unwrap_or(u64::MAX);
        while let Some((slot, tick)) = self.next_slot().filter(|(_, tick)| *tick <= to) {
            self.elapsed = tick;
            let mut index = std::mem::replace(&mut self.heads[slot], NONE);
            self.occupied[slot / SLOTS] &= !(1 << (slot % SLOTS));
            while index != NONE {
                let entry = &mut self.entries[index as usize];
                let next = entry.next;
                entry.slot = NONE;
                if entry.tick > tick {
                    self.file(index);
                } else if let Some(waker) = entry.waker.take() {
                    waker.wake();
                }
                index = next;
            }
        }
        self.elapsed = self.elapsed.max(to);
    }

    fn set(&mut self, deadline: Instant, waker: &Waker) -> u32 {
        let tick = self.tick(deadline);
        let entry = Entry { tick, waker: Some(waker.clone()), slot: NONE, previous: NONE, next: NONE };
        // One timer per waiting future: the connection limit keeps this far below u32::MAX.
        let index = self.entries.insert(entry) as u32;
        self.file(index);
        index
    }

    /// False when the timer has fired already.
    fn renew(&mut self, index: u32, waker: &Waker) -> bool {
        let entry = &mut self.entries[index as usize];
        match &mut entry.waker {
            Some(kept) => kept.clone_from(waker),
            None => return false,
        }
        true
    }

    fn set_again(&mut self, index: u32, deadline: Instant, waker: &Waker) {
        let tick = self.tick(deadline);
        let entry = &mut self.entries[index as usize];
        entry.tick = tick;
        entry.waker = Some(waker.clone());
        self.file(index);
    }

    fn remove(&mut self, index: u32) {
        let entry = self.entries.remove(index as usize);
        if entry.slot == NONE {
            return;
        }
        if entry.next != NONE {
            self.entries[entry.next as usize].previous = entry.previous;
        }
        if entry.previous != NONE {
            self.entries[entry.previous as usize].next = entry.next;
            return;
        }
        let slot = entry.slot as usize;
        self.heads[slot] = entry.next;
        if entry.next == NONE {
            self.occupied[slot / SLOTS] &= !(1 << (slot % SLOTS));
        }
    }

    /// The first tick at or after the deadline: a timer is never early.
    fn tick(&self, deadline: Instant) -> u64 {
        let nanos = deadline.saturating_duration_since(self.start).as_nanos();
        let tick = u64::try_from(nanos.div_ceil(1_000_000)).unwrap_or(u64::MAX);
        tick.clamp(self.elapsed + 1, self.elapsed + TICKS_MAX)
    }

    fn file(&mut self, index: u32) {
        let tick = self.entries[index as usize].tick;
        let differing = (self.elapsed ^ tick) | (SLOTS as u64 - 1);
        let level = ((63 - differing.leading_zeros() as usize) / SLOT_BITS).min(LEVELS - 1);
        let slot = level * SLOTS + ((tick >> (level * SLOT_BITS)) as usize & (SLOTS - 1));
        let next = std::mem::replace(&mut self.heads[slot], index);
        if next != NONE {
            self.entries[next as usize].previous = index;
        }
        let entry = &mut self.entries[index as usize];
        (entry.slot, entry.previous, entry.next) = (slot as u32, NONE, next);
        self.occupied[level] |= 1 << (slot % SLOTS);
    }

    /// The slot that comes up first, and the tick at which it does.
    fn next_slot(&self) -> Option<(usize, u64)> {
        let level = self.occupied.iter().position(|slots| *slots != 0)?;
        let shift = level * SLOT_BITS;
        let here = (self.elapsed >> shift) as u32 & (SLOTS as u32 - 1);
        let ahead = self.occupied[level].rotate_right(here).trailing_zeros();
        let slot = (here + ahead) as usize & (SLOTS - 1);
        let range = 1u64 << (shift + SLOT_BITS);
        let mut tick = (self.elapsed & !(range - 1)) + ((slot as u64) << shift);
        if tick <= self.elapsed {
            tick += range;
        }
        Some((level * SLOTS + slot, tick))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::task::Wake;

    struct Count(AtomicU64);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn drawn(state: &mut u64) -> u64 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *state >> 33
    }

    #[test]
    fn every_timer_fires_once_at_its_tick_and_never_early() {
        let start = read_clock();
        let mut wheel = Wheel::new(start);
        let mut seed = 7;
        let mut open = Vec::new();
        let mut clock = 0u64;
        for _ in 0..20_000 {
            let wake = Arc::new(Count(AtomicU64::new(0)));
            let after = 1 + drawn(&mut seed) % (1 << (drawn(&mut seed) % 26));
            let index = wheel.set(start + Duration::from_millis(clock + after), &wake.clone().into());
            open.push((clock + after, index, wake));
            if drawn(&mut seed).is_multiple_of(3) {
                let victim = drawn(&mut seed) as usize % open.len();
                let (_, index, wake) = open.swap_remove(victim);
                wheel.remove(index);
                assert_eq!(Arc::strong_count(&wake), 1, "a cancelled timer keeps nothing");
            }
            if drawn(&mut seed).is_multiple_of(5) {
                let first = open.iter().map(|(due, ..)| *due).min();
                let wait = wheel.wait(start + Duration::from_millis(clock));
                assert_eq!(wait.is_some(), first.is_some());
                if let (Some(wait), Some(first)) = (wait, first) {
                    assert!(clock + wait.as_millis() as u64 <= first, "the loop would sleep past a timer");
                }
                clock += drawn(&mut seed) % (1 << (drawn(&mut seed) % 22));
                wheel.advance(start + Duration::from_millis(clock));
                open.retain(|(due, index, wake)| {
                    let fired = wake.0.load(Ordering::Relaxed);
                    assert_eq!(fired, u64::from(*due <= clock), "due {due} at {clock}");
                    if fired == 1 {
                        wheel.remove(*index);
                    }
                    fired == 0
                });
            }
        }
    }

    #[test]
    fn a_far_deadline_is_kept_within_the_wheel() {
        let start = read_clock();
        let mut wheel = Wheel::new(start);
        let wake = Arc::new(Count(AtomicU64::new(0)));
        wheel.set(start + Duration::from_secs(10 * 365 * 86_400), &wake.clone().into());
        wheel.advance(start + Duration::from_secs(86_400));
        assert_eq!(wake.0.load(Ordering::Relaxed), 0);
        wheel.advance(start + Duration::from_millis(TICKS_MAX));
        assert_eq!(wake.0.load(Ordering::Relaxed), 1, "the sleeper looks at the clock and sets it again");
    }
}
