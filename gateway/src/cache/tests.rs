//! The cache as its users see it: hits, time, budgets, the order of eviction, and who waits for whom.
#![allow(clippy::disallowed_methods)] // a moment to count from

use super::key::Seed;
use super::slot::WAITERS_MAX;
use super::*;
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Poll, Wake, Waker};
use std::time::{Duration, Instant};

const TTL: Duration = Duration::from_secs(5);
const ROOMY: u64 = 1 << 20;

fn fresh(stage: &Stage, key: &[u8], now: Instant) -> Option<Duration> {
    stage.peek(key, now).map(|(_, left)| left)
}

fn stage(bytes: u64) -> Arc<Stage> {
    Store::new(1 << 30).stage("a1", "prod", bytes)
}

fn fill(slot: Slot, body: &[u8], now: Instant) {
    let mut recording = slot.record(b"HTTP/1.1 200 OK\r\n").unwrap();
    recording.add(body, now);
    recording.finish(format!("Content-Length: {}\r\n", body.len()).as_bytes(), TTL, now);
}

/// Looks, and fills what nobody has. True: it was there.
fn ask(stage: &Arc<Stage>, key: &[u8], body: &[u8], now: Instant) -> bool {
    match stage.lookup(key, now) {
        Lookup::Hit(stored) => {
            assert_eq!(stored.body(), body);
            true
        }
        Lookup::Miss(slot) => {
            fill(slot, body, now);
            false
        }
        other => panic!("{other:?}"),
    }
}

fn slot(lookup: Lookup) -> Slot {
    match lookup {
        Lookup::Miss(slot) => slot,
        other => panic!("{other:?}"),
    }
}

fn ticket(lookup: Lookup) -> Ticket {
    match lookup {
        Lookup::Pending(ticket) => ticket,
        other => panic!("{other:?}"),
    }
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// A waker, and how often it was woken.
fn waker() -> (Waker, Arc<Woken>) {
    let woken = Arc::new(Woken::default());
    (woken.clone().into(), woken)
}

#[test]
fn an_answer_is_kept_whole_for_its_time() {
    let (stage, now) = (stage(ROOMY), Instant::now());
    assert!(!ask(&stage, b"k", b"body", now));
    let Lookup::Hit(stored) = stage.lookup(b"k", now) else { panic!() };
    assert_eq!(stored.head(), b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n");
    assert_eq!((stored.body(), &stored.shared_body()[..]), (&b"body"[..], &b"body"[..]));
    assert_eq!(fresh(&stage, b"k", now + Duration::from_secs(2)), Some(Duration::from_secs(3)));
    assert!(ask(&stage, b"k", b"body", now + TTL - Duration::from_nanos(1)));
    assert!(!ask(&stage, b"other", b"body", now));
    assert_eq!(fresh(&stage, b"k", now + TTL), None);
    assert!(!ask(&stage, b"k", b"body", now + TTL));
    let stats = stage.stats();
    assert_eq!((stats.entries, stats.hits, stats.misses), (2, 2, 3));
}

#[test]
fn a_flush_hides_what_was_there_and_what_is_under_way() {
    let (stage, now) = (stage(ROOMY), Instant::now());
    assert!(!ask(&stage, b"k", b"old", now));
    let under_way = slot(stage.lookup(b"other", now));
    let mut waiting = ticket(stage.lookup(b"other", now));
    assert_eq!(stage.stats().entries, 1);
    stage.flush();
    assert_eq!(stage.stats().entries, 0, "what is forgotten is not counted");
    assert_eq!(fresh(&stage, b"k", now), None);
    assert!(!ask(&stage, b"k", b"new", now));
    assert_eq!(stage.stats().entries, 1);
    assert!(ask(&stage, b"k", b"new", now));
    // Who asks after the flush does not wait for an answer from before it, and who waited comes along.
    let (waker, woken) = waker();
    assert!(waiting.poll(&waker, now).is_pending());
    let after = slot(stage.lookup(b"other", now));
    assert_eq!(woken.0.load(SeqCst), 1);
    let Poll::Ready(Lookup::Pending(mut waiting)) = waiting.poll(&waker, now) else { panic!() };
    fill(under_way, b"before", now);
    assert!(waiting.poll(&waker, now).is_pending());
    fill(after, b"after", now);
    let Poll::Ready(Lookup::Hit(stored)) = waiting.poll(&waker, now) else { panic!() };
    assert_eq!(stored.body(), b"after");
}

#[test]
fn a_renewal_takes_the_old_answer_s_place_and_no_newer_one_s() {
    let (stage, now) = (stage(ROOMY), Instant::now());
    assert!(!ask(&stage, b"k", b"old", now));
    let early = stage.renew(b"k", now + Duration::from_secs(1));
    let late = stage.renew(b"k", now + Duration::from_secs(2));
    assert!(ask(&stage, b"k", b"old", now + Duration::from_secs(2)));
    fill(late, b"late", now + Duration::from_secs(3));
    fill(early, b"early", now + Duration::from_secs(3));
    assert!(ask(&stage, b"k", b"late", now + Duration::from_secs(3)));
    assert_eq!(stage.stats().entries, 1);
}

#[test]
fn what_is_too_large_is_not_kept_and_costs_nothing() {
    let (stage, now) = (stage(ROOMY * 8), Instant::now());
    let head = b"HTTP/1.1 200 OK\r\n";
    for (length, kept) in [(ANSWER_BYTES_MAX - head.len(), true), (ANSWER_BYTES_MAX - head.len() + 1, false)]
    {
        let key = length.to_le_bytes();
        let mut recording = slot(stage.lookup(&key, now)).record(head).unwrap();
        for piece in vec![b'x'; length].chunks(10_000) {
            recording.add(piece, now);
        }
        assert_eq!(recording.body_len(), length);
        recording.finish(b"", TTL, now);
        assert_eq!(matches!(stage.lookup(&key, now), Lookup::Hit(_)), kept, "{length}");
    }
    assert_eq!(stage.recordings().used(), 0);
    assert!(stage.stats().bytes < 2 * ANSWER_BYTES_MAX as u64);
}

#[test]
fn an_answer_that_is_none_to_keep_holds_up_nobody() {
    let (stage, now) = (stage(ROOMY * 8), Instant::now());
    for too_large in [false, true] {
        let key: &[u8] = if too_large { b"large" } else { b"cookie" };
        let leader = slot(stage.lookup(key, now));
        let mut waiting = Vec::new();
        for _ in 0..3 {
            let Lookup::Pending(ticket) = stage.lookup(key, now) else { panic!("one asks already") };
            waiting.push(ticket);
        }
        if too_large {
            let mut recording = leader.record(b"").unwrap();
            recording.add(&vec![0; ANSWER_BYTES_MAX + 1], now);
        } else {
            leader.give_up(now);
        }
        for mut ticket in waiting {
            let found = ticket.poll(Waker::noop(), now);
            assert!(matches!(found, Poll::Ready(Lookup::Bypass(Bypass::NotKept))), "{found:?}");
        }
        assert!(matches!(stage.lookup(key, now), Lookup::Bypass(Bypass::NotKept)));
        let later = now + Duration::from_secs(6);
        fill(slot(stage.lookup(key, later)), b"kept at last", later);
        assert!(matches!(stage.lookup(key, later), Lookup::Hit(_)));
    }
}

#[test]
fn nobody_waits_for_one_who_has_asked_for_long() {
    let (stage, now) = (stage(ROOMY), Instant::now());
    let leader = slot(stage.lookup(b"slow", now));
    assert!(matches!(stage.lookup(b"slow", now + Duration::from_secs(4)), Lookup::Pending(_)));
    let late = now + Duration::from_secs(5);
    assert!(matches!(stage.lookup(b"slow", late), Lookup::Bypass(Bypass::Waited)));
    fill(leader, b"slow", late);
    assert!(matches!(stage.lookup(b"slow", late), Lookup::Hit(_)));
}

#[test]
fn keys_whose_answers_are_not_kept_are_bounded() {
    let (stage, now) = (stage(ROOMY), Instant::now());
    for n in 0..100_000u32 {
        if let Lookup::Miss(slot) = stage.lookup(&n.to_le_bytes(), now) {
            slot.give_up(now);
        }
    }
    assert!(stage.pending() <= 16 * super::slot::PENDING_MAX, "{}", stage.pending());
}

#[test]
fn recordings_together_are_bounded() {
    let (stage, now) = (stage(ROOMY), Instant::now());
    let whole = vec![0; ANSWER_BYTES_MAX - 1];
    let mut recordings = Vec::new();
    for n in 0..100u32 {
        let Some(mut recording) = slot(stage.lookup(&n.to_le_bytes(), now)).record(b"") else { break };
        recording.add(&whole, now);
        recordings.push(recording);
    }
    let most = stage.recordings().most();
    assert!((most - ROOMY..=most).contains(&stage.recordings().used()), "{}", stage.recordings().used());
    drop(recordings);
    assert_eq!(stage.recordings().used(), 0);
}

/// Which keys share a shard is the secret's; a shard that has many of them in so small a cache keeps fewer.
#[test]
fn a_scan_does_not_push_out_what_is_wanted() {
    const SECRETS: u64 = 32;
    let (body, now) = ([b'x'; 500], Instant::now());
    let wanted: Vec<[u8; 4]> = (0..50u32).map(u32::to_le_bytes).collect();
    let kept: usize = (0..SECRETS)
        .map(|secret| {
            let stage = Store::seeded(1 << 30, Seed::fixed(secret)).stage("a1", "prod", 200 * 1024);
            for _ in 0..3 {
                for key in &wanted {
                    ask(&stage, key, &body, now);
                }
            }
            for n in 1000..6000u32 {
                ask(&stage, &n.to_le_bytes(), &body, now);
            }
            wanted.iter().filter(|key| fresh(&stage, &key[..], now).is_some()).count()
        })
        .sum();
    assert!(kept >= 45 * SECRETS as usize, "{kept} of {} were kept", 50 * SECRETS);
}

#[test]
fn who_comes_back_soon_after_he_was_let_go_stays() {
    const SECRETS: u64 = 32;
    let (body, now) = ([b'x'; 500], Instant::now());
    let stays = |secret: &u64| {
        let stage = Store::seeded(1 << 30, Seed::fixed(*secret)).stage("a1", "prod", ROOMY);
        for n in 0..3000u32 {
            ask(&stage, &n.to_le_bytes(), &body, now);
        }
        // Let go a moment ago, asked for once more: it is no scan's any longer.
        let gone = (0..3000u32).rev().find(|n| fresh(&stage, &n.to_le_bytes(), now).is_none()).unwrap();
        ask(&stage, &gone.to_le_bytes(), &body, now);
        for n in 3000..6000u32 {
            ask(&stage, &n.to_le_bytes(), &body, now);
        }
        fresh(&stage, &gone.to_le_bytes(), now).is_some()
    };
    let stay = (0..SECRETS).filter(stays).count();
    assert!(stay >= 30, "{stay} of {SECRETS}");
}

#[test]
fn the_node_s_budget_is_taken_from_the_largest() {
    let store = Store::new(300 * 1024);
    let (large, small) = (store.stage("a1", "prod", ROOMY), store.stage("b2", "prod", ROOMY));
    let (now, body) = (Instant::now(), [b'x'; 1000]);
    for n in 0..1000u32 {
        ask(&large, &n.to_le_bytes(), &body, now);
        assert!(store.bytes() <= store.bytes_max());
    }
    for n in 0..50u32 {
        ask(&small, &n.to_le_bytes(), &body, now);
        assert!(store.bytes() <= store.bytes_max());
    }
    assert_eq!(small.stats().entries, 50);
    assert!(large.stats().entries > 100);
}

#[test]
fn a_stage_keeps_its_cache_until_its_size_changes() {
    let (store, now) = (Store::new(ROOMY), Instant::now());
    let first = store.stage("a1", "prod", ROOMY);
    ask(&first, b"k", b"body", now);
    assert!(ask(&store.stage("a1", "prod", ROOMY), b"k", b"body", now));
    assert!(!ask(&store.stage("a1", "test", ROOMY), b"k", b"body", now));
    assert!(!ask(&store.stage("a1", "prod", ROOMY / 2), b"k", b"body", now));
    drop(first);
    assert!(!ask(&store.stage("a1", "prod", ROOMY), b"k", b"body", now));
}

#[test]
fn memory_that_is_being_sent_counts_until_it_is_sent() {
    let (stage, now) = (stage(100 * 1024), Instant::now());
    let body = vec![b'x'; 40 * 1024];
    ask(&stage, b"a", &body, now);
    ask(&stage, b"b", &body, now);
    let sending: Vec<Lookup> = [b"a", b"b"].map(|key| stage.lookup(key, now)).into();
    ask(&stage, b"c", &body, now);
    assert!(stage.stats().bytes <= 100 * 1024);
    assert_eq!(fresh(&stage, b"c", now), None);
    drop(sending);
    ask(&stage, b"c", &body, now);
    assert!(fresh(&stage, b"c", now).is_some());
}

#[test]
fn a_slot_that_is_dropped_falls_to_one_who_waits() {
    let (stage, now) = (stage(ROOMY), Instant::now());
    let first = slot(stage.lookup(b"k", now));
    let mut waiting: Vec<_> = (0..3).map(|_| (ticket(stage.lookup(b"k", now)), waker())).collect();
    for (ticket, (waker, _)) in &mut waiting {
        assert!(ticket.poll(waker, now).is_pending());
    }
    let woken = |waiting: &[(Ticket, (Waker, Arc<Woken>))]| -> Vec<usize> {
        waiting.iter().map(|(_, (_, woken))| woken.0.load(SeqCst)).collect()
    };
    drop(first);
    assert_eq!(woken(&waiting), [1, 0, 0]);
    // It goes away before it has taken the slot: the next one is woken.
    drop(waiting.remove(0));
    assert_eq!(woken(&waiting), [1, 0]);
    assert!(matches!(stage.lookup(b"k", now), Lookup::Pending(_)));
    let (ticket, (waker, _)) = &mut waiting[0];
    let Poll::Ready(Lookup::Miss(second)) = ticket.poll(waker, now) else { panic!() };
    let (ticket, (waker, _)) = &mut waiting[1];
    assert!(ticket.poll(waker, now).is_pending());
    fill(second, b"body", now);
    assert_eq!(woken(&waiting), [1, 1]);
    let (ticket, (waker, _)) = &mut waiting[1];
    assert!(matches!(ticket.poll(waker, now), Poll::Ready(Lookup::Hit(_))));
}

#[test]
fn a_slot_that_nobody_waits_for_leaves_nothing_behind() {
    let (stage, now) = (stage(ROOMY), Instant::now());
    let first = slot(stage.lookup(b"k", now));
    drop(ticket(stage.lookup(b"k", now)));
    drop(first);
    drop(slot(stage.lookup(b"k", now)));
    drop(slot(stage.lookup(b"k", now)).record(b"HTTP/1.1 200 OK\r\n"));
    assert!(!ask(&stage, b"k", b"body", now));
}

#[test]
fn no_more_wait_than_may() {
    let (stage, now) = (stage(ROOMY), Instant::now());
    let _first = slot(stage.lookup(b"k", now));
    let waiting: Vec<Ticket> = (0..WAITERS_MAX).map(|_| ticket(stage.lookup(b"k", now))).collect();
    assert!(matches!(stage.lookup(b"k", now), Lookup::Bypass(Bypass::Crowded)));
    drop(waiting);
    assert!(matches!(stage.lookup(b"k", now), Lookup::Pending(_)));
}

/// Waits on this thread.
fn wait(mut ticket: Ticket, now: Instant) -> Lookup {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    loop {
        match ticket.poll(&waker, now) {
            Poll::Ready(lookup) => return lookup,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// Leaders that fail, waiters that go away, flushes: everybody comes to an end, and no budget is ever exceeded.
#[test]
fn threads_that_hammer_one_store() {
    const THREADS: u64 = 4;
    const ROUNDS: u64 = 4000;
    let store = Store::new(120 * 1024);
    let stages = [store.stage("a1", "prod", 80 * 1024), store.stage("b2", "prod", 80 * 1024)];
    let (now, over) = (Instant::now(), AtomicUsize::new(0));
    let asked = AtomicUsize::new(0);
    let hammer = |thread: u64| {
        let mut state = thread.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        for _ in 0..ROUNDS {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let (stage, key) = (&stages[(state % 2) as usize], (state >> 8) % 40);
            let body = vec![key as u8; 200 + 100 * key as usize];
            let mut lookup = stage.lookup(&key.to_le_bytes(), now);
            loop {
                match lookup {
                    Lookup::Pending(ticket) if (state >> 20).is_multiple_of(8) => drop(ticket),
                    Lookup::Pending(ticket) => {
                        lookup = wait(ticket, now);
                        continue;
                    }
                    Lookup::Miss(slot) if (state >> 24).is_multiple_of(4) => drop(slot),
                    Lookup::Miss(slot) => fill(slot, &body, now),
                    Lookup::Hit(stored) => assert_eq!(stored.body(), body),
                    Lookup::Bypass(_) => {}
                }
                break;
            }
            if state >> 32 & 0x1ff == 0 {
                stage.flush();
            }
            let within = stages.iter().all(|stage| stage.stats().bytes <= 80 * 1024);
            over.fetch_add(usize::from(!within || store.bytes() > 120 * 1024), SeqCst);
            asked.fetch_add(1, SeqCst);
        }
    };
    std::thread::scope(|scope| {
        for thread in 1..=THREADS {
            scope.spawn(move || hammer(thread));
        }
    });
    assert_eq!(asked.load(SeqCst) as u64, THREADS * ROUNDS);
    assert_eq!(over.load(SeqCst), 0);
    let hits: u64 = stages.iter().map(|stage| stage.stats().hits).sum();
    assert!(hits > ROUNDS / 4, "{hits}");
}

proptest! {
    /// Whatever is asked for, in whichever order and size: budgets hold, tables and queues agree, nothing grows.
    #[test]
    fn budgets_hold(
        most in 1_000u64..60_000,
        asked in proptest::collection::vec((0u16..200, 0usize..3000, 0u64..12, any::<bool>()), 1..400),
    ) {
        let store = Store::new(40_000);
        let stage = store.stage("a1", "prod", most);
        let mut now = Instant::now();
        for (key, length, seconds, flush) in asked {
            now += Duration::from_secs(seconds / 4);
            if flush && seconds == 0 {
                stage.flush();
            }
            if let Lookup::Miss(slot) = stage.lookup(&key.to_le_bytes(), now) {
                fill(slot, &vec![0; length], now);
            }
            let stats = stage.stats();
            prop_assert!(stats.bytes <= most && store.bytes() <= 40_000);
            prop_assert_eq!(stats.bytes, store.bytes());
            let (mut places, mut all) = (0, 0);
            for [small, main, ghosts, ghost_set, entries] in stage.censuses() {
                places += small + main;
                all += entries;
                prop_assert!(ghosts <= 200 && ghost_set <= ghosts);
            }
            prop_assert!(places <= 2 * all + 16 * 65);
            prop_assert!(stats.entries <= all as u64);
        }
    }
}
