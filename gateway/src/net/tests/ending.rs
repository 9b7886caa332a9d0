//! How connections end, and what is known of them before they are used again.

use super::*;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;

#[test]
fn half_a_connection_goes_on() {
    on_both(TINY, async |_| {
        let (near, far) = pair().await;
        far.send(Outgoing::Static(b"question")).await.unwrap();
        far.shutdown_write();
        assert_eq!(near.recv(Size::Small).await.unwrap().unwrap().as_slice(), b"question");
        assert!(near.recv(Size::Small).await.unwrap().is_none());
        assert!(near.recv(Size::Large).await.unwrap().is_none(), "the end stays the end");
        near.send(Outgoing::Static(b"answer")).await.unwrap();
        drop(near);
        assert_eq!(far.recv(Size::Large).await.unwrap().unwrap().as_slice(), b"answer");
        assert!(far.recv(Size::Large).await.unwrap().is_none());
    });
}

#[test]
fn the_end_is_seen_by_a_reader_that_waits() {
    on_both(TINY, async |_| {
        for size in [Size::Small, Size::Large] {
            let (near, far) = with_std().await;
            let end = async {
                turn().await;
                far.shutdown(Shutdown::Write).unwrap();
            };
            assert!(join(near.recv(size), end).await.0.unwrap().is_none());
        }
    });
}

#[test]
fn a_reset_is_an_error_and_never_an_end() {
    on_both(TINY, async |_| {
        for size in [Size::Small, Size::Large] {
            let (near, far) = pair().await;
            near.send(Outgoing::Static(b"cut")).await.unwrap();
            assert_eq!(far.recv(size).await.unwrap().unwrap().as_slice(), b"cut");
            near.reset_on_close();
            let close = async {
                turn().await;
                drop(near);
            };
            let (read, ()) = join(far.recv(size), close).await;
            assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
            let again = far.recv(size).await;
            assert_eq!(again.unwrap_err().kind(), ErrorKind::ConnectionReset, "and it stays one");
        }
    });
}

#[test]
fn a_reset_that_a_send_heard_of_is_no_clean_end_for_the_reader() {
    on_both(TINY, async |_| {
        let (near, far) = with_std().await;
        socket2::SockRef::from(&far).set_linger(Some(Duration::ZERO)).unwrap();
        drop(far);
        let sent = near.send(Outgoing::Static(b"too late")).await;
        assert_eq!(sent.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!(near.recv(Size::Small).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert!(!near.is_quiet());
    });
}

#[test]
fn the_end_is_told_to_whoever_takes_nothing() {
    on_both(TINY, async |_| {
        let (near, mut far) = with_std().await;
        let quiet = async {
            far.write_all(b"first").unwrap();
            turn().await;
            far.write_all(b"then").unwrap();
            turn().await;
        };
        assert!(matches!(race(near.ended(), quiet).await, Either::Right(())), "bytes are no end");
        let end = async {
            turn().await;
            far.shutdown(Shutdown::Write).unwrap();
        };
        assert_eq!(join(near.ended(), end).await.0, End::Finished);
        let mut all = Vec::new();
        while let Some(chunk) = near.recv(Size::Small).await.unwrap() {
            all.extend_from_slice(chunk.as_slice());
        }
        assert_eq!(all, b"firstthen", "nothing was taken");
        assert_eq!(near.ended().await, End::Finished);
        assert!(!near.has_failed());
        drop(far);
        near.send(Outgoing::Static(b"nobody reads this")).await.unwrap();
        turn().await;
        assert!(near.has_failed());
        let (near, far) = with_std().await;
        let reset = async {
            turn().await;
            socket2::SockRef::from(&far).set_linger(Some(Duration::ZERO)).unwrap();
            drop(far);
        };
        assert_eq!(join(near.ended(), reset).await.0, End::Reset);
    });
}

#[test]
fn shutdown_ends_a_pending_recv_and_a_pending_send() {
    on_both(TINY, async |_| {
        for size in [Size::Small, Size::Large] {
            let (near, mut far) = with_std().await;
            let shut = async {
                turn().await;
                near.shutdown();
            };
            let big = near.send(Outgoing::Vec(vec![0; 32 << 20]));
            let ((read, sent), ()) = join(join(near.recv(size), big), shut).await;
            assert!(read.unwrap().is_none());
            assert!(sent.is_err());
            far.write_all(b"late").unwrap_or_default();
            assert!(near.recv(size).await.unwrap().is_none());
            let mut rest = Vec::new();
            let _ = far.read_to_end(&mut rest);
        }
    });
}

#[test]
fn what_was_posted_is_waited_for_before_a_side_is_shut() {
    on_both(TINY, async |_| {
        let (near, mut far) = with_std().await;
        let mut sent = 0;
        // Until the socket takes no more: on the ring the last one waits in the kernel, on epoll it comes back.
        while !near.is_sending() && near.post(vec![b'x'; 64 * 1024]).is_ok() {
            sent += 64 * 1024;
            turn().await;
        }
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            far.read_to_end(&mut all).unwrap();
            all.len()
        });
        near.posted().await;
        assert!(!near.is_sending() && near.is_sent());
        near.shutdown_write();
        assert!(reader.join().unwrap() >= sent, "what was posted has arrived whole");
    });
}

#[test]
fn a_posted_send_ends_with_its_stream() {
    on_both(TINY, async |_| {
        let (near, mut far) = with_std().await;
        while !near.is_sending() && near.post(vec![b'x'; 64 * 1024]).is_ok() {
            turn().await;
        }
        drop(near);
        // The peer took nothing until now: it finds what was in the socket's buffer, and then the end.
        let reader = std::thread::spawn(move || far.read_to_end(&mut Vec::new()).is_ok());
        while !reader.is_finished() {
            sleep_until(now() + Duration::from_millis(1)).await;
        }
    });
}

#[test]
fn nobody_listens() {
    on_both(TINY, async |_| {
        let address = {
            let (_listener, address) = listener();
            address
        };
        // The ring closes its listener one turn later.
        turn().await;
        assert_eq!(Stream::connect(address).await.err().unwrap().kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn quiet_means_that_nothing_has_come() {
    on_both(TINY, async |_| {
        for armed in [None, Some(Size::Small), Some(Size::Large)] {
            let (near, mut far) = with_std().await;
            assert!(near.is_quiet(), "fresh");
            if let Some(size) = armed {
                assert!(matches!(race(near.recv(size), turn()).await, Either::Right(())));
                assert!(near.is_quiet(), "still nothing has come");
            }
            far.write_all(b"data").unwrap();
            turn().await;
            assert!(!near.is_quiet(), "data wait ({armed:?})");
            assert_eq!(near.recv(Size::Small).await.unwrap().unwrap().as_slice(), b"data");
            assert!(near.is_quiet(), "all is read");
            drop(far);
            turn().await;
            assert!(!near.is_quiet(), "the peer has closed ({armed:?})");
            assert!(near.recv(Size::Small).await.unwrap().is_none());
            assert!(!near.is_quiet(), "the end was read");
        }
        let (near, far) = with_std().await;
        socket2::SockRef::from(&far).set_linger(Some(Duration::ZERO)).unwrap();
        drop(far);
        assert!(!near.is_quiet(), "the peer has reset it");
    });
}

#[test]
fn accepting_rests_while_descriptors_are_out_and_goes_on() {
    alone("ending::accepting_rests_while_descriptors_are_out_and_goes_on", || {
        on_both(TINY, async |_| {
            let limit = libc::rlimit { rlim_cur: 128, rlim_max: 128 };
            // SAFETY: the limit is only read.
            assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
            let (listener, address) = listener();
            let mut clients: Vec<_> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
            let mut taken = Vec::new();
            while let Ok(taking) = clients[0].try_clone() {
                taken.push(taking);
            }
            let used = super::running::thread_time();
            assert!(timeout(Duration::from_millis(180), listener.accept()).await.is_err());
            assert!(super::running::thread_time() - used < Duration::from_millis(30), "it does not spin");
            let free = async {
                sleep_until(now() + Duration::from_millis(20)).await;
                drop(taken);
            };
            let (first, ()) = join(listener.accept(), free).await;
            let second = listener.accept().await.unwrap().0;
            let third = listener.accept().await.unwrap().0;
            for (stream, client) in [first.unwrap().0, second, third].iter().zip(&mut clients) {
                client.write_all(b"here").unwrap();
                assert_eq!(stream.recv(Size::Small).await.unwrap().unwrap().as_slice(), b"here");
            }
        });
    });
}
