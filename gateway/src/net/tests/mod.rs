//! Every promise of this room, on both drivers, against real sockets.
#![allow(unsafe_code)]

mod crowd;
mod dropped;
mod ending;
mod pipes;
mod running;
mod transfer;

use super::executor::Core;
use super::*;
use std::future::poll_fn;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::task::Poll;
use std::time::Duration;

const TINY: Limits = Limits { small: (4, 1024), large: (2, 8192) };

/// Runs it under each driver, each time for at most a minute.
fn on_both(limits: Limits, run: impl AsyncFn(IoKind)) {
    for kind in [IoKind::IoUring, IoKind::Epoll] {
        let mut runtime = Runtime::new(kind, limits).unwrap();
        let ended = runtime.block_on(timeout(Duration::from_secs(60), run(kind)));
        assert_eq!(ended, Ok(()), "{kind:?}");
    }
}

/// Runs a test in a process of its own: it counts or limits what a process has.
fn alone(name: &str, run: impl FnOnce()) {
    const MARK: &str = "GATEWAY_TEST_ALONE";
    if std::env::var(MARK).is_ok_and(|marked| marked == name) {
        return run();
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    let name = format!("net::tests::{name}");
    let ended = child.args(["--exact", &name]).env(MARK, &name["net::tests::".len()..]).output().unwrap();
    let text = String::from_utf8_lossy(&ended.stdout);
    assert!(
        ended.status.success() && text.contains("1 passed"),
        "{text}{}",
        String::from_utf8_lossy(&ended.stderr)
    );
}

fn listener() -> (Listener, SocketAddr) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    (Listener::new(socket.into()).unwrap(), address)
}

/// Both ends in this runtime: accepted, connected.
async fn pair() -> (Stream, Stream) {
    let (listener, address) = listener();
    let (accepted, connected) = join(listener.accept(), Stream::connect(address)).await;
    (accepted.unwrap().0, connected.unwrap())
}

/// One end here, the other one a blocking socket of std.
async fn with_std() -> (Stream, TcpStream) {
    let (listener, address) = listener();
    let far = TcpStream::connect(address).unwrap();
    far.set_nodelay(true).unwrap();
    (listener.accept().await.unwrap().0, far)
}

/// Lets the loop go around once: everybody else runs, and the kernel is heard.
async fn turn() {
    let mut polls = 0;
    poll_fn(|cx| {
        polls += 1;
        cx.waker().wake_by_ref();
        // More polls than one turn allows to a lone task.
        if polls > 300 { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Every buffer is back in its pool.
fn assert_no_buffer_is_out() {
    Core::with(|core| {
        for size in [Size::Small, Size::Large] {
            let (free, all) = core.pool(size).census();
            assert_eq!(free, all, "{size:?} buffers are out");
        }
    });
}

/// The byte at `position` of every stream that these tests send.
fn pattern(position: usize) -> u8 {
    (position % 251) as u8 ^ (position >> 12) as u8
}

fn patterned(from: usize, len: usize) -> Vec<u8> {
    (from..from + len).map(pattern).collect()
}

#[track_caller]
fn assert_patterned(from: usize, bytes: &[u8]) {
    let wrong = bytes.iter().enumerate().find(|(at, byte)| **byte != pattern(from + at));
    assert!(wrong.is_none(), "byte {wrong:?} after {from}");
}
