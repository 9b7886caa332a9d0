//! Bytes: all of them, in order, at bounded memory.

use super::*;
use std::cell::Cell;
use std::io::{Read, Write};
use std::rc::Rc;

#[test]
fn echo() {
    on_both(Limits::default(), async |_| {
        let (listener, address) = listener();
        spawn(async move {
            let (stream, peer) = listener.accept().await.unwrap();
            assert_eq!(stream.peer_address().unwrap(), peer);
            while let Some(chunk) = stream.recv(Size::Small).await.unwrap() {
                stream.send(Outgoing::Chunk(chunk)).await.unwrap();
            }
        });
        let stream = Stream::connect(address).await.unwrap();
        assert_eq!(stream.peer_address().unwrap(), address);
        for round in 0..100 {
            let text = format!("hello {round}");
            let Outgoing::Vec(back) = stream.send(Outgoing::Vec(text.clone().into())).await.unwrap() else {
                panic!("the buffer comes back as it was");
            };
            assert_eq!(back, text.as_bytes());
            let mut heard = Vec::new();
            while heard.len() < text.len() {
                heard.extend_from_slice(stream.recv(Size::Small).await.unwrap().unwrap().as_slice());
            }
            assert_eq!(heard, text.as_bytes());
        }
        stream.shutdown_write();
        assert!(stream.recv(Size::Small).await.unwrap().is_none());
    });
}

#[test]
fn connections_carry_tcp_nodelay() {
    on_both(TINY, async |_| {
        let (accepted, connected) = pair().await;
        for stream in [accepted, connected] {
            assert!(socket2::SockRef::from(&stream.fd()).tcp_nodelay().unwrap());
        }
    });
}

#[test]
fn many_connections_at_once_on_a_small_pool() {
    const CLIENTS: usize = 400;
    on_both(Limits { small: (8, 512), large: (2, 4096) }, async |_| {
        let (listener, address) = listener();
        spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                spawn(async move {
                    while let Some(chunk) = stream.recv(Size::Small).await.unwrap() {
                        stream.send(Outgoing::Chunk(chunk)).await.unwrap();
                    }
                });
            }
        });
        let ended = Rc::new(Cell::new(0));
        for client in 0..CLIENTS {
            let ended = ended.clone();
            spawn(async move {
                let stream = Stream::connect(address).await.unwrap();
                for round in 0..10 {
                    let message = patterned(client + round, 700);
                    stream.send(Outgoing::Vec(message)).await.unwrap();
                    let mut heard = 0;
                    while heard < 700 {
                        let chunk = stream.recv(Size::Small).await.unwrap().unwrap();
                        assert_patterned(client + round + heard, chunk.as_slice());
                        heard += chunk.as_slice().len();
                    }
                }
                ended.set(ended.get() + 1);
            });
        }
        while ended.get() < CLIENTS {
            sleep_until(now() + Duration::from_millis(2)).await;
        }
    });
}

#[test]
fn a_fast_sender_and_a_slow_reader_meet_at_bounded_memory() {
    const BYTES: usize = 6 << 20;
    on_both(TINY, async |kind| {
        let (near, mut far) = with_std().await;
        let writing = std::thread::spawn(move || far.write_all(&patterned(0, BYTES)).map(|()| far));
        let (mut read, mut chunks, mut unread_most) = (0, 0, 0);
        while read < BYTES {
            let size = if (chunks / 50) % 2 == 0 { Size::Small } else { Size::Large };
            let chunk = near.recv(size).await.unwrap().unwrap();
            assert_patterned(read, chunk.as_slice());
            assert!(!chunk.as_slice().is_empty());
            read += chunk.as_slice().len();
            chunks += 1;
            if chunks % 64 == 0 {
                sleep_until(now() + Duration::from_millis(1)).await;
            }
            unread_most = unread_most.max(near.unread());
            drop(chunk);
        }
        drop(writing.join().unwrap().unwrap());
        assert!(near.recv(Size::Large).await.unwrap().is_none());
        // The kernel hands out at most 32 receives of one socket before others have their turn.
        assert!(unread_most <= 40, "{kind:?}: {unread_most} chunks waited unread");
        assert_no_buffer_is_out();
    });
}

#[test]
fn large_bodies_go_both_ways_at_once() {
    const BYTES: usize = 8 << 20;
    on_both(Limits { small: (4, 1024), large: (4, 65536) }, async |_| {
        let (near, mut far) = with_std().await;
        let mut writer = far.try_clone().unwrap();
        let writing = std::thread::spawn(move || writer.write_all(&patterned(0, BYTES)).unwrap());
        let reading = std::thread::spawn(move || {
            let mut heard = Vec::new();
            far.read_to_end(&mut heard).unwrap();
            heard
        });
        let send = async {
            let mut sent = 0;
            while sent < BYTES {
                let body = [sent, sent + 10, sent + 50_000].map(|from| {
                    let to = if from == sent {
                        sent + 10
                    } else if from == sent + 10 {
                        sent + 50_000
                    } else {
                        sent + 262_144
                    };
                    patterned(from, to - from)
                });
                let lengths = body.each_ref().map(Vec::len);
                let back = near.send_parts(body.map(Outgoing::Vec)).await.unwrap();
                assert_eq!(back.each_ref().map(|part| part.as_slice().len()), lengths);
                sent += 262_144;
            }
            near.shutdown_write();
        };
        let recv = async {
            let mut read = 0;
            while read < BYTES {
                let chunk = near.recv(Size::Large).await.unwrap().unwrap();
                assert_patterned(read, chunk.as_slice());
                read += chunk.as_slice().len();
            }
        };
        join(send, recv).await;
        writing.join().unwrap();
        let heard = reading.join().unwrap();
        assert_eq!(heard.len(), BYTES);
        assert_patterned(0, &heard);
    });
}

#[test]
fn chunks_are_relayed_without_a_copy_and_parts_in_order() {
    const BYTES: usize = 1 << 20;
    on_both(TINY, async |_| {
        let (from, mut source) = with_std().await;
        let (to, mut sink) = with_std().await;
        let writing = std::thread::spawn(move || source.write_all(&patterned(0, BYTES)).unwrap());
        let reading = std::thread::spawn(move || {
            let mut heard = Vec::new();
            sink.read_to_end(&mut heard).unwrap();
            heard
        });
        while let Some(mut chunk) = from.recv(Size::Large).await.unwrap() {
            let first = chunk.as_slice()[..1].to_vec();
            chunk.advance(1);
            to.send_parts([Outgoing::Vec(first), Outgoing::Empty, Outgoing::Chunk(chunk)]).await.unwrap();
        }
        to.send_parts(Default::default()).await.unwrap();
        let shared = Outgoing::Shared(bytes::Bytes::from_static(b"b"));
        to.send_parts([Outgoing::Static(b"a"), shared, Outgoing::Vec(b"c".to_vec())]).await.unwrap();
        to.shutdown_write();
        writing.join().unwrap();
        let heard = reading.join().unwrap();
        assert_eq!(heard.len(), BYTES + 3);
        assert_patterned(0, &heard[..BYTES]);
        assert_eq!(&heard[BYTES..], b"abc");
        assert_no_buffer_is_out();
    });
}

#[test]
fn readers_wait_while_every_buffer_is_out() {
    on_both(TINY, async |_| {
        let (near, mut far) = with_std().await;
        far.write_all(&patterned(0, 200 << 10)).unwrap();
        let mut held = Vec::new();
        let mut read = 0;
        // All that the pool may grow to, and what the socket's own queue has moved out of it.
        while let Ok(chunk) = timeout(Duration::from_millis(30), near.recv(Size::Small)).await {
            let chunk = chunk.unwrap().unwrap();
            assert_patterned(read, chunk.as_slice());
            read += chunk.as_slice().len();
            held.push(chunk);
        }
        assert!(read < 200 << 10, "all was read: nothing is bounded");
        let (free, all) = Core::with(|core| core.pool(Size::Small).census());
        assert_eq!((free, all), (0, 32));
        let used = held.len();
        let last = held.pop();
        // The reader waits before the buffer comes back, and nothing else wakes it.
        spawn(async move {
            turn().await;
            drop(last);
        });
        let before = now();
        let chunk = timeout(Duration::from_secs(20), near.recv(Size::Small)).await;
        assert!(now() - before < Duration::from_secs(10), "the reader was not woken by the buffer");
        let chunk = chunk.unwrap().unwrap().unwrap();
        assert_patterned(read, chunk.as_slice());
        read += chunk.as_slice().len();
        drop((held, chunk));
        while read < 200 << 10 {
            let chunk = near.recv(Size::Small).await.unwrap().unwrap();
            assert_patterned(read, chunk.as_slice());
            read += chunk.as_slice().len();
        }
        assert!(used >= 32);
        assert_no_buffer_is_out();
    });
}

#[test]
fn a_reader_that_stops_holds_little_and_takes_nothing_from_the_others() {
    const BYTES: usize = 4 << 20;
    on_both(Limits { small: (256, 1024), ..TINY }, async |kind| {
        let (near, mut far) = with_std().await;
        let writing = std::thread::spawn(move || far.write_all(&patterned(0, BYTES)).map(|()| far));
        let mut read = near.recv(Size::Small).await.unwrap().unwrap().as_slice().len();
        for _ in 0..200 {
            turn().await;
        }
        // The kernel hands out at most 32 receives of one socket at a time, and hears of the stop in between.
        assert!(near.unread() <= 40, "{kind:?}: {} chunks wait unread", near.unread());
        let (free, all) = Core::with(|core| core.pool(Size::Small).census());
        assert!(all - free <= 8, "{kind:?}: {} buffers are out", all - free);
        while read < BYTES {
            let chunk = near.recv(Size::Small).await.unwrap().unwrap();
            assert_patterned(read, chunk.as_slice());
            read += chunk.as_slice().len();
        }
        drop(writing.join().unwrap().unwrap());
        assert!(near.recv(Size::Small).await.unwrap().is_none());
    });
}

#[test]
fn large_reads_come_in_large_pieces_after_small_ones() {
    on_both(TINY, async |_| {
        let (near, far) = pair().await;
        for _ in 0..20 {
            far.send(Outgoing::Static(b"head")).await.unwrap();
            assert_eq!(near.recv(Size::Small).await.unwrap().unwrap().as_slice(), b"head");
            let body = async {
                turn().await;
                turn().await;
                far.send(Outgoing::Vec(patterned(0, 8000))).await.unwrap();
            };
            let (chunk, ()) = join(near.recv(Size::Large), body).await;
            assert_eq!(chunk.unwrap().unwrap().as_slice().len(), 8000);
        }
    });
}
