//! One worker in this process, with limits of the test's own: those of the product are half a minute and more.

use super::gateway::{Home, Setup};
use super::{Client, Io, PATIENCE};
use gateway::config::{Remembered, compile, load};
use gateway::net::IoKind;
use gateway::worker::{self, Handle, Limits, Order, Settings};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// Serves the setup's first listener; ends with the test.
pub(crate) struct Worker {
    handle: Option<Handle>,
    address: SocketAddr,
}

impl Worker {
    pub(crate) fn start(setup: &Setup, limits: Limits) -> Self {
        let home = Home::new(setup);
        let loaded = load(&home.config()).unwrap();
        let (snapshot, _) = compile(&loaded, &Remembered::default(), 1).unwrap();
        let io = match setup.io {
            Io::IoUring => IoKind::IoUring,
            Io::Epoll => IoKind::Epoll,
        };
        let handle = worker::start(0, Settings { io, limits }, Arc::new(|_| true)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (adopted, done) = mpsc::channel();
        let order = Order::Adopt {
            snapshot: Arc::new(snapshot),
            sockets: vec![(0, OwnedFd::from(listener))],
            done: Box::new(move |_| {
                let _ = adopted.send(());
            }),
        };
        assert!(handle.mail.send(order).is_ok(), "the worker takes no orders");
        done.recv_timeout(PATIENCE).unwrap();
        Self { handle: Some(handle), address }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let Some(handle) = self.handle.take() else { return };
        let told = handle.mail.send(Order::Drain { within: Duration::ZERO }).is_ok();
        let ended = handle.thread.join();
        assert!(std::thread::panicking() || (told && ended.is_ok()), "the worker did not end as it was told");
    }
}
