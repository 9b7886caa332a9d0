//! Tasks, timers, mailboxes and wakers.

use super::*;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;

#[test]
fn this_host_runs_io_uring() {
    assert_eq!(probe(), Ok(()));
}

#[test]
fn a_thread_has_one_runtime_at_a_time() {
    let first = Runtime::new(IoKind::Epoll, TINY).unwrap();
    assert!(Runtime::new(IoKind::Epoll, TINY).is_err());
    drop(first);
    assert!(Runtime::new(IoKind::IoUring, TINY).is_ok());
    assert!(Runtime::new(IoKind::Epoll, Limits { small: (3, 1024), ..TINY }).is_err(), "not a power of two");
}

#[test]
fn sleepers_wake_in_order_and_never_early() {
    on_both(TINY, async |_| {
        let start = now();
        let order = Rc::new(RefCell::new(Vec::new()));
        for after in [30u64, 10, 20, 0] {
            let order = order.clone();
            spawn(async move {
                sleep_until(start + Duration::from_millis(after)).await;
                assert!(now() >= start + Duration::from_millis(after));
                order.borrow_mut().push(after);
            });
        }
        sleep_until(start + Duration::from_millis(40)).await;
        assert_eq!(*order.borrow(), [0, 10, 20, 30]);
    });
}

#[test]
fn timeouts_end_what_takes_too_long_and_nothing_else() {
    on_both(TINY, async |_| {
        let (near, _far) = pair().await;
        let waited = now();
        assert_eq!(
            timeout(Duration::from_millis(20), near.recv(Size::Small)).await.map(|_| ()),
            Err(Elapsed)
        );
        assert!(now() >= waited + Duration::from_millis(20));
        // What is ready wins over a deadline that has passed.
        assert_eq!(timeout_at(waited, async { 7 }).await, Ok(7));
        assert_eq!(timeout_at(waited, std::future::pending::<()>()).await, Err(Elapsed));
    });
}

#[test]
fn join_waits_for_both_and_race_for_the_first() {
    on_both(TINY, async |_| {
        let after = |millis| sleep_until(now() + Duration::from_millis(millis));
        let both = join(
            async {
                after(5).await;
                1
            },
            async {
                after(10).await;
                2
            },
        )
        .await;
        assert_eq!(both, (1, 2));
        assert_eq!(race(after(5000), after(5)).await, Either::Right(()));
        assert_eq!(race(async { 1 }, async { 2 }).await, Either::Left(1));
        let dropped = Rc::new(Cell::new(false));
        struct Mark(Rc<Cell<bool>>);
        impl Drop for Mark {
            fn drop(&mut self) {
                self.0.set(true);
            }
        }
        let mark = Mark(dropped.clone());
        let loser = async move {
            let _mark = mark;
            std::future::pending::<()>().await;
        };
        assert_eq!(race(loser, after(1)).await, Either::Right(()));
        assert!(dropped.get(), "the loser is dropped");
    });
}

#[test]
fn a_mailbox_is_heard_from_other_threads_and_is_bounded() {
    on_both(TINY, async |_| {
        let (sender, mut receiver) = mailbox::<usize>(4).unwrap();
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let sender = sender.clone();
                std::thread::spawn(move || {
                    for number in 0..2_000 {
                        let mut message = number;
                        while let Err(back) = sender.send(message) {
                            message = back;
                            std::thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        drop(sender);
        let (mut count, mut sum) = (0, 0);
        while let Some(number) = receiver.recv().await {
            (count, sum) = (count + 1, sum + number);
        }
        assert_eq!((count, sum), (8_000, 4 * (0..2_000).sum::<usize>()));
        threads.into_iter().for_each(|thread| thread.join().unwrap());

        let (sender, receiver) = mailbox::<u8>(2).unwrap();
        assert_eq!((sender.send(1), sender.send(2), sender.send(3)), (Ok(()), Ok(()), Err(3)));
        drop(receiver);
        assert_eq!(sender.send(4), Err(4));
    });
}

#[test]
fn a_waker_wakes_from_any_thread_and_a_stale_one_wakes_nobody() {
    on_both(TINY, async |_| {
        let kept: Rc<RefCell<Option<Waker>>> = Rc::default();
        let inside = kept.clone();
        spawn(poll_fn(move |cx| {
            *inside.borrow_mut() = Some(cx.waker().clone());
            Poll::Ready(())
        }));
        turn().await;
        let stale = kept.borrow_mut().take().unwrap();
        let polls = Rc::new(Cell::new(0));
        let counted = polls.clone();
        // Takes the place of the task that has ended.
        spawn(poll_fn(move |_| {
            counted.set(counted.get() + 1);
            Poll::Pending
        }));
        turn().await;
        std::thread::spawn(move || stale.wake()).join().unwrap();
        turn().await;
        assert_eq!(polls.get(), 1);

        let mut thread = None;
        poll_fn(|cx| {
            if thread.is_some() {
                return Poll::Ready(());
            }
            let waker = cx.waker().clone();
            thread = Some(std::thread::spawn(move || (0..1_000).for_each(|_| waker.wake_by_ref())));
            Poll::Pending
        })
        .await;
        thread.unwrap().join().unwrap();
    });
}

#[test]
fn a_busy_task_starves_neither_sockets_nor_timers() {
    on_both(TINY, async |_| {
        spawn(async {
            loop {
                let mut yielded = false;
                poll_fn(|cx| {
                    cx.waker().wake_by_ref();
                    if std::mem::replace(&mut yielded, true) { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
            }
        });
        // A mailbox that is never empty is a task that is always ready, too.
        let (sender, mut receiver) = mailbox::<()>(1).unwrap();
        sender.send(()).unwrap();
        spawn(async move {
            while receiver.recv().await.is_some() {
                sender.send(()).unwrap();
            }
        });
        let (near, far) = pair().await;
        for _ in 0..100 {
            far.send(Outgoing::Static(b"x")).await.unwrap();
            assert_eq!(near.recv(Size::Small).await.unwrap().unwrap().as_slice(), b"x");
        }
        sleep_until(now() + Duration::from_millis(5)).await;
    });
}

#[test]
fn an_idle_loop_sleeps_in_the_kernel() {
    on_both(Limits::default(), async |kind| {
        let (near, _far) = pair().await;
        let (_sender, mut receiver) = mailbox::<()>(1).unwrap();
        let used = thread_time();
        let idle = join(near.recv(Size::Small), receiver.recv());
        assert!(timeout(Duration::from_millis(300), idle).await.is_err());
        let used = thread_time() - used;
        assert!(used < Duration::from_millis(30), "{kind:?} used {used:?} of 300 ms");
    });
}

pub(super) fn thread_time() -> Duration {
    // SAFETY: zeros are a timespec, and the call writes only that.
    let time = unsafe {
        let mut time: libc::timespec = std::mem::zeroed();
        assert_eq!(libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time), 0);
        time
    };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
