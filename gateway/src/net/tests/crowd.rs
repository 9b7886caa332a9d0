//! Many connections that hold what they were given take nothing from the others.

use super::*;
use std::io::Write;

/// More than the pools hold, if each kept a few buffers.
const CROWD: usize = 60;
const LIMITS: Limits = Limits { small: (16, 1024), large: (2, 8192) };

#[test]
fn unread_bytes_of_many_do_not_stop_a_reader() {
    on_both(LIMITS, async |kind| {
        let mut crowd = Vec::new();
        for _ in 0..CROWD {
            let (near, mut far) = with_std().await;
            far.write_all(&patterned(0, 6 << 10)).unwrap();
            let held = timeout(Duration::from_secs(2), near.recv(Size::Small)).await;
            turn().await;
            crowd.push((held.expect("the crowd starves").unwrap().unwrap(), near, far));
        }
        let (near, mut far) = with_std().await;
        far.write_all(b"hello").unwrap();
        let read = timeout(Duration::from_secs(2), near.recv(Size::Small)).await;
        assert_eq!(read.expect("the reader starves").unwrap().unwrap().as_slice(), b"hello", "{kind:?}");
    });
}

#[test]
fn slow_takers_of_large_pieces_do_not_stop_a_reader() {
    on_both(LIMITS, async |kind| {
        let mut crowd = Vec::new();
        for _ in 0..CROWD {
            let (near, mut far) = with_std().await;
            far.write_all(&patterned(0, 8 << 10)).unwrap();
            let held = timeout(Duration::from_secs(2), near.recv(Size::Large)).await;
            crowd.push((held.expect("the crowd starves").unwrap().unwrap(), near, far));
        }
        let (near, mut far) = with_std().await;
        far.write_all(b"hello").unwrap();
        let read = timeout(Duration::from_secs(2), near.recv(Size::Large)).await;
        assert_eq!(read.expect("the reader starves").unwrap().unwrap().as_slice(), b"hello", "{kind:?}");
    });
}
