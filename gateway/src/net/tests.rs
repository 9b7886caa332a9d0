//! Every promise of this room, on both drivers, against real sockets.

use super::*;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

const BOTH: [IoKind; 2] = [IoKind::IoUring, IoKind::Epoll];

fn listener() -> (Listener, SocketAddr) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    (Listener::new(socket.into()).unwrap(), address)
}

fn on_both(limits: Limits, run: impl AsyncFn(IoKind)) {
    for kind in BOTH {
        let mut runtime = Runtime::new(kind, limits).unwrap();
        let ended = runtime.block_on(timeout(Duration::from_secs(60), run(kind)));
        assert_eq!(ended, Ok(()), "{kind:?}");
    }
}

async fn pair() -> (Stream, Stream) {
    let (listener, address) = listener();
    let (accepted, connected) = join(listener.accept(), Stream::connect(address)).await;
    (accepted.unwrap().0, connected.unwrap())
}

#[test]
fn this_host_runs_io_uring() {
    assert_eq!(probe(), Ok(()));
}

#[test]
fn echo() {
    on_both(Limits::default(), async |_| {
        let (listener, address) = listener();
        spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            while let Some(chunk) = stream.recv(Size::Small).await.unwrap() {
                stream.send(Outgoing::Chunk(chunk)).await.unwrap();
            }
        });
        let stream = Stream::connect(address).await.unwrap();
        assert_eq!(stream.peer_address().unwrap(), address);
        for round in 0..100 {
            let text = format!("hello {round}");
            stream.send(Outgoing::Vec(text.clone().into())).await.unwrap();
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
