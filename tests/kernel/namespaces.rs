//! The guard on interfaces of namespaces.

use crate::lab::{Namespace, Pins, attach, rules};
use gateway::config::XdpMode;
use gateway::xdp;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// Long enough for a retransmitted SYN to be refused too.
const REFUSED_AFTER: Duration = Duration::from_millis(1500);

fn connects(source: &str, destination: SocketAddr) -> bool {
    let socket = socket2::Socket::new(socket2::Domain::for_address(destination), socket2::Type::STREAM, None);
    let socket = socket.unwrap();
    socket.bind(&SocketAddr::new(source.parse().unwrap(), 0).into()).unwrap();
    match socket.connect_timeout(&destination.into(), REFUSED_AFTER) {
        Ok(()) => {
            drop(TcpStream::from(socket));
            true
        }
        Err(error) => {
            assert_eq!(error.kind(), std::io::ErrorKind::TimedOut, "{error}");
            false
        }
    }
}

#[test]
fn on_loopback_a_private_listener_is_silent_to_outsiders() {
    let Some(pins) = Pins::new() else { return };
    let namespace = Namespace::new();
    namespace.run(|| {
        let listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let address = listener.local_addr().unwrap();
        let settings = pins.settings("lo", XdpMode::Auto);
        let guard = attach(&settings, &rules(&[("127.0.0.1:8080", Some(0))], &[&["127.0.1.0/24"]]));
        assert!(connects("127.0.1.7", address));
        assert!(!connects("127.0.0.1", address));

        let status = guard.status().unwrap();
        assert_eq!(status.interfaces[0].mode, "generic");
        assert!(status.listeners[0].private);
        assert!(status.listeners[0].packets["outside_vpc"] > 0, "{status:?}");
        assert!(status.listeners[0].packets["pass"] > 0, "{status:?}");

        assert_eq!(xdp::detach(&pins.0).unwrap(), ["lo"]);
        assert!(connects("127.0.0.1", address));
    });
}
