//! Futures that are dropped half-way: nothing is lost, nothing leaks.

use super::*;
use std::io::{Read, Write};
use std::net::TcpListener;

#[test]
fn a_dropped_recv_loses_no_byte() {
    const BYTES: usize = 2 << 20;
    on_both(TINY, async |_| {
        let (near, mut far) = with_std().await;
        let writing = std::thread::spawn(move || {
            for from in (0..BYTES).step_by(4096) {
                far.write_all(&patterned(from, 4096)).unwrap();
            }
        });
        let (mut read, mut tries) = (0, 0usize);
        while read < BYTES {
            tries += 1;
            let size = if tries.is_multiple_of(3) { Size::Large } else { Size::Small };
            let recv = near.recv(size);
            let chunk = match tries % 4 {
                0 => recv.await,
                // Dropped after one poll.
                1 => match race(recv, async {}).await {
                    Either::Left(chunk) => chunk,
                    Either::Right(()) => continue,
                },
                _ => match race(recv, turn()).await {
                    Either::Left(chunk) => chunk,
                    Either::Right(()) => continue,
                },
            };
            let chunk = chunk.unwrap().unwrap();
            assert_patterned(read, chunk.as_slice());
            read += chunk.as_slice().len();
        }
        writing.join().unwrap();
        assert!(near.recv(Size::Small).await.unwrap().is_none());
        assert_no_buffer_is_out();
    });
}

#[test]
fn a_dropped_send_never_mixes_two_messages() {
    on_both(TINY, async |_| {
        let (near, mut far) = with_std().await;
        let big = patterned(0, 32 << 20);
        let given_up = timeout(Duration::from_millis(20), near.send(Outgoing::Vec(big))).await;
        assert_eq!(given_up.map(|_| ()), Err(Elapsed));
        let after = near.send(Outgoing::Static(b"behind it")).await;
        assert_eq!(after.unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
        drop(near);
        let reading = std::thread::spawn(move || {
            let mut heard = Vec::new();
            far.read_to_end(&mut heard).map(|_| heard).unwrap()
        });
        while !reading.is_finished() {
            sleep_until(now() + Duration::from_millis(1)).await;
        }
        let heard = reading.join().unwrap();
        assert!(heard.len() < 32 << 20);
        assert_patterned(0, &heard);
    });
}

#[test]
fn a_dropped_accept_loses_no_connection() {
    on_both(TINY, async |_| {
        let (listener, address) = listener();
        let mut clients = Vec::new();
        let mut accepted = 0;
        for round in 0..200 {
            if round % 2 == 0 {
                clients.push(std::net::TcpStream::connect(address).unwrap());
            }
            let accept = listener.accept();
            let ended =
                if round % 3 == 0 { race(accept, async {}).await } else { race(accept, turn()).await };
            accepted += usize::from(matches!(ended, Either::Left(_)));
        }
        while accepted < clients.len() {
            timeout(Duration::from_secs(5), listener.accept()).await.unwrap().unwrap();
            accepted += 1;
        }
        assert!(timeout(Duration::from_millis(5), listener.accept()).await.is_err());
    });
}

#[test]
fn nothing_leaks_from_what_is_dropped() {
    alone("dropped::nothing_leaks_from_what_is_dropped", || {
        let before = open_descriptors();
        on_both(TINY, async |_| {
            let full = full_backlog();
            let runtime = open_descriptors();
            for round in 0..300 {
                drop_everything(round, full.address).await;
            }
            while open_descriptors() > runtime {
                sleep_until(now() + Duration::from_millis(1)).await;
            }
            assert_no_buffer_is_out();
        });
        assert_eq!(open_descriptors(), before);
    });
}

/// A connection of whose operations each is given up in the middle.
async fn drop_everything(round: usize, nobody_accepts: SocketAddr) {
    let (near, far) = pair().await;
    let _ = race(near.recv(Size::Small), async {}).await;
    if round.is_multiple_of(2) {
        let _ = race(near.recv(Size::Large), turn()).await;
    }
    far.send(Outgoing::Vec(vec![1; 5000])).await.unwrap();
    if round.is_multiple_of(3) {
        drop(near.recv(Size::Small).await.unwrap().unwrap());
    }
    if round.is_multiple_of(5) {
        let _ = race(far.send(Outgoing::Vec(vec![0; 16 << 20])), turn()).await;
    }
    if round.is_multiple_of(7) {
        far.reset_on_close();
    }
    let connecting = race(Stream::connect(nobody_accepts), turn()).await;
    assert!(matches!(connecting, Either::Right(())), "the backlog is full");
    let (listener, _) = listener();
    let _ = race(listener.accept(), turn()).await;
}

struct FullBacklog {
    address: SocketAddr,
    _listener: TcpListener,
    _waiting: Vec<std::net::TcpStream>,
}

/// A listener that nobody serves, so that connecting to it takes as long as one likes.
fn full_backlog() -> FullBacklog {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // SAFETY: no memory is passed; listening again only changes the length of the backlog.
    assert_eq!(unsafe { libc::listen(std::os::fd::AsRawFd::as_raw_fd(&listener), 0) }, 0);
    let address = listener.local_addr().unwrap();
    let connect = || std::net::TcpStream::connect_timeout(&address, Duration::from_millis(100));
    let waiting = (0..8).map_while(|_| connect().ok()).collect();
    FullBacklog { address, _listener: listener, _waiting: waiting }
}

#[test]
fn a_runtime_ends_with_operations_in_flight() {
    alone("dropped::a_runtime_ends_with_operations_in_flight", || {
        let before = open_descriptors();
        for kind in [IoKind::IoUring, IoKind::Epoll] {
            let mut runtime = Runtime::new(kind, TINY).unwrap();
            let kept = runtime.block_on(async {
                let (near, far) = pair().await;
                let (listener, _) = listener();
                spawn(async move {
                    let _ = listener.accept().await;
                });
                let (other, peer) = pair().await;
                spawn(async move {
                    let _both =
                        join(other.recv(Size::Small), other.send(Outgoing::Vec(vec![0; 32 << 20]))).await;
                    drop(peer);
                });
                spawn(async { sleep_until(now() + Duration::from_secs(3600)).await });
                far.send(Outgoing::Static(b"kept")).await.unwrap();
                let chunk = near.recv(Size::Small).await.unwrap().unwrap();
                let _ = race(near.recv(Size::Large), turn()).await;
                (near, far, chunk)
            });
            // A second run goes on where the first one stopped.
            runtime.block_on(turn());
            drop(runtime);
            assert_eq!(kept.2.as_slice(), b"kept");
            drop(kept);
            assert_eq!(open_descriptors(), before, "{kind:?}");
        }
    });
}
