//! Bytes from one socket to another without a copy: all of them, in order, never more than asked for.

use super::super::pipe::PIPES_MAX;
use super::*;
use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::rc::Rc;

fn assert_no_pipe_is_out() {
    assert_eq!(Core::with(|core| core.pipes.out()), 0, "pipes are out");
}

/// Sizes and places that differ from run to run only in what the kernel makes of them.
fn dice(state: &mut u64, most: usize) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize % most + 1
}

/// What comes next, by a pipe or by a receive: on to `to`, with a text of two bytes before it.
async fn forward(from: &Stream, to: &Stream, most: usize, size: Size) -> Option<usize> {
    if let Some(pipe) = from.recv_pipe(most).await {
        let moved = pipe.len();
        assert!((1..=most).contains(&moved), "{moved} bytes, asked for {most}");
        let head = to.send_pipe(Outgoing::Static(b"> "), pipe).await.unwrap();
        assert_eq!(head.as_slice(), b"> ", "the head comes back as it was");
        return Some(moved);
    }
    let chunk = from.recv(size).await.unwrap()?;
    let moved = chunk.as_slice().len();
    to.send_parts([Outgoing::Static(b"> "), Outgoing::Chunk(chunk), Outgoing::Empty]).await.unwrap();
    Some(moved)
}

#[test]
fn pieces_of_all_sizes_pass_between_receives_of_all_kinds() {
    const BYTES: usize = 6 << 20;
    on_both(TINY, async |_| {
        let (from, mut source) = with_std().await;
        let (to, mut sink) = with_std().await;
        let writing = std::thread::spawn(move || {
            let (mut sent, mut state) = (0, 1);
            while sent < BYTES {
                let piece = dice(&mut state, 200_000).min(BYTES - sent);
                source.write_all(&patterned(sent, piece)).unwrap();
                sent += piece;
            }
        });
        let reading = std::thread::spawn(move || {
            let mut heard = Vec::new();
            sink.read_to_end(&mut heard).unwrap();
            heard
        });
        let (mut lengths, mut state) = (Vec::new(), 7);
        loop {
            let kind = dice(&mut state, 4);
            let size = if kind == 1 { Size::Small } else { Size::Large };
            if kind < 3 {
                let Some(moved) = forward(&from, &to, dice(&mut state, 300_000), size).await else { break };
                lengths.push(moved);
            } else if let Some(chunk) = from.recv(size).await.unwrap() {
                lengths.push(chunk.as_slice().len());
                to.send_parts([Outgoing::Static(b"> "), Outgoing::Chunk(chunk), Outgoing::Empty])
                    .await
                    .unwrap();
            } else {
                break;
            }
        }
        drop(to);
        writing.join().unwrap();
        let heard = reading.join().unwrap();
        let (mut at, mut read) = (0, 0);
        for length in lengths {
            assert_eq!(&heard[at..at + 2], b"> ");
            assert_patterned(read, &heard[at + 2..at + 2 + length]);
            (at, read) = (at + 2 + length, read + length);
        }
        assert_eq!((at, read), (heard.len(), BYTES));
        assert_no_pipe_is_out();
        assert_no_buffer_is_out();
    });
}

#[test]
fn what_is_behind_the_bytes_asked_for_stays() {
    on_both(TINY, async |_| {
        let (from, mut source) = with_std().await;
        let (to, mut sink) = with_std().await;
        source.write_all(&patterned(0, 50_000)).unwrap();
        let mut moved = 0;
        while moved < 30_000 {
            moved += forward(&from, &to, 30_000 - moved, Size::Large).await.unwrap();
        }
        assert_eq!(moved, 30_000);
        source.shutdown(Shutdown::Write).unwrap();
        let mut read = moved;
        while let Some(chunk) = from.recv(Size::Small).await.unwrap() {
            assert_patterned(read, chunk.as_slice());
            read += chunk.as_slice().len();
        }
        assert_eq!(read, 50_000);
        drop(to);
        let mut heard = Vec::new();
        sink.read_to_end(&mut heard).unwrap();
        assert!(heard.len() > 30_000 && heard.len() < 30_100, "{}", heard.len());
    });
}

#[test]
fn a_dropped_wait_for_a_pipe_loses_no_byte_and_keeps_no_pipe() {
    on_both(TINY, async |_| {
        let (from, mut source) = with_std().await;
        for round in 0..200 {
            let waited = match round % 3 {
                0 => at_once(from.recv_pipe(1000)).is_none(),
                1 => matches!(race(from.recv_pipe(1000), turn()).await, Either::Right(())),
                _ => {
                    let waited = timeout(Duration::from_millis(1), from.recv_pipe(1000)).await;
                    matches!(waited, Err(Elapsed))
                }
            };
            assert!(waited, "nothing has come");
            assert_no_pipe_is_out();
            assert!(from.is_quiet());
            source.write_all(&patterned(round, 900)).unwrap();
            let mut read = 0;
            while read < 900 {
                let size = if round % 2 == 0 { Size::Small } else { Size::Large };
                let chunk = from.recv(size).await.unwrap().unwrap();
                assert_patterned(round + read, chunk.as_slice());
                read += chunk.as_slice().len();
            }
        }
    });
}

#[test]
fn the_end_and_a_reset_are_told_by_the_receive() {
    on_both(TINY, async |kind| {
        for reset in [false, true] {
            let (from, mut source) = with_std().await;
            source.write_all(b"half").unwrap();
            let pipe = from.recv_pipe(100).await.unwrap();
            assert_eq!(pipe.len(), 4);
            drop(pipe);
            let end = async {
                turn().await;
                if reset {
                    socket2::SockRef::from(&source).set_linger(Some(Duration::ZERO)).unwrap();
                }
                drop(source);
            };
            let (pipe, ()) = join(from.recv_pipe(100), end).await;
            assert!(pipe.is_none(), "{kind:?}");
            match from.recv(Size::Large).await {
                Err(error) if reset => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
                end => assert!(!reset && end.unwrap().is_none()),
            }
            assert!(from.recv_pipe(100).await.is_none(), "the end stays the end");
            assert_no_pipe_is_out();
        }
    });
}

#[test]
fn a_message_given_up_in_the_middle_of_its_pipe_is_the_last_one() {
    on_both(TINY, async |_| {
        let (from, mut source) = with_std().await;
        let (to, mut sink) = with_std().await;
        let writing = std::thread::spawn(move || {
            let _ = source.write_all(&patterned(0, 32 << 20));
        });
        let mut sent = 0;
        loop {
            let pipe = from.recv_pipe(1 << 20).await.unwrap();
            let length = pipe.len();
            match timeout(Duration::from_millis(200), to.send_pipe(Outgoing::Empty, pipe)).await {
                Ok(head) => drop(head.unwrap()),
                Err(Elapsed) => break,
            }
            sent += length;
        }
        assert_no_pipe_is_out();
        assert_eq!(to.send(Outgoing::Static(b"more")).await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        let pipe = from.recv_pipe(10).await.unwrap();
        let more = to.send_pipe(Outgoing::Empty, pipe).await;
        assert_eq!(more.unwrap_err().kind(), ErrorKind::BrokenPipe);
        drop((to, from));
        let reading = std::thread::spawn(move || {
            let mut heard = Vec::new();
            let _ = sink.read_to_end(&mut heard);
            heard
        });
        // The ring closes in its next turns.
        while !(reading.is_finished() && writing.is_finished()) {
            sleep_until(now() + Duration::from_millis(1)).await;
        }
        let heard = reading.join().unwrap();
        assert!(heard.len() < sent + (1 << 20), "{} of {sent}", heard.len());
        assert_patterned(0, &heard);
    });
}

#[test]
fn shutdown_ends_a_wait_for_bytes_and_a_wait_for_room() {
    on_both(TINY, async |_| {
        let (from, mut source) = with_std().await;
        let shut = async {
            turn().await;
            from.shutdown();
        };
        assert!(join(from.recv_pipe(100), shut).await.0.is_none());
        let _ = source.write_all(b"late");
        let (from, mut source) = with_std().await;
        let (to, _sink) = with_std().await;
        let writing = std::thread::spawn(move || {
            let _ = source.write_all(&vec![0; 32 << 20]);
        });
        // A task of its own: only the end itself wakes it.
        let (to, ended, taken) = (Rc::new(to), Rc::new(Cell::new(false)), Rc::new(Cell::new(0)));
        let (stuffed, told, counts) = (to.clone(), ended.clone(), taken.clone());
        spawn(async move {
            while let Some(pipe) = from.recv_pipe(1 << 20).await {
                counts.set(counts.get() + pipe.len());
                if stuffed.send_pipe(Outgoing::Empty, pipe).await.is_err() {
                    break;
                }
            }
            told.set(true);
        });
        let mut seen = 0;
        while seen == 0 || seen < taken.get() {
            seen = taken.get();
            sleep_until(now() + Duration::from_millis(200)).await;
        }
        assert!(!ended.get() && seen < 32 << 20, "it waits for room");
        to.shutdown();
        while !ended.get() {
            sleep_until(now() + Duration::from_millis(1)).await;
        }
        while !writing.is_finished() {
            sleep_until(now() + Duration::from_millis(1)).await;
        }
    });
}

#[test]
fn who_finds_no_pipe_left_receives() {
    on_both(TINY, async |_| {
        let mut held = Vec::new();
        for _ in 0..PIPES_MAX {
            let (from, mut source) = with_std().await;
            source.write_all(b"held").unwrap();
            held.push((from.recv_pipe(100).await.unwrap(), from, source));
        }
        let (from, mut source) = with_std().await;
        source.write_all(b"received").unwrap();
        assert!(from.recv_pipe(100).await.is_none());
        assert_eq!(from.recv(Size::Large).await.unwrap().unwrap().as_slice(), b"received");
        // A pipe that holds bytes is closed with them, and another one takes its place.
        held.pop();
        source.write_all(b"piped").unwrap();
        assert_eq!(from.recv_pipe(100).await.unwrap().len(), 5);
        drop(held);
        assert_no_pipe_is_out();
    });
}

#[test]
fn after_a_long_body_small_pieces_come_as_before() {
    on_both(TINY, async |_| {
        let (near, mut far) = with_std().await;
        for round in 0..100 {
            if round % 40 == 0 {
                far.write_all(&patterned(0, 5000)).unwrap();
                let mut read = 0;
                while read < 5000 {
                    let size = if round == 0 { Size::Large } else { Size::Small };
                    read += match near.recv_pipe(5000 - read).await {
                        Some(pipe) => pipe.len(),
                        None => near.recv(size).await.unwrap().unwrap().as_slice().len(),
                    };
                }
                assert_eq!(read, 5000);
            }
            let text = format!("small {round}");
            far.write_all(text.as_bytes()).unwrap();
            assert_eq!(near.recv(Size::Small).await.unwrap().unwrap().as_slice(), text.as_bytes());
            assert!(near.is_quiet());
        }
    });
}
