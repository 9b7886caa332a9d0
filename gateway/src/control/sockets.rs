//! Listening sockets for the workers: one per worker and listener, on the same port by SO_REUSEPORT.

use super::types::Problem;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

/// The kernel cuts it to net.core.somaxconn.
pub(super) const BACKLOG: i32 = 4096;

/// The sockets of one listener: bound, and listening only after `listen`, so that the kernel rules can stand before.
#[derive(Debug)]
pub(super) struct Bound {
    /// With the port that was found when port 0 was asked for.
    pub(super) address: SocketAddr,
    sockets: Vec<Socket>,
}

/// Sockets that were handed over go before new ones. `exclusive`: nobody may listen there yet, not even a process of
/// the same user, who could share the port unnoticed.
pub(super) fn bind(
    name: &str,
    address: SocketAddr,
    workers: usize,
    exclusive: bool,
    inherited: Option<&mut Vec<Inherited>>,
) -> Result<Bound, Problem> {
    let handed_over = inherited.map_or(Ok(None), |from| inherit(from, name, address, workers));
    let bound = handed_over.and_then(|bound| bound.map_or_else(|| bind_all(address, workers, exclusive), Ok));
    bound.map_err(|error| {
        let what = format!("listener {name} cannot be bound to {address}: {error}");
        Problem::host(what, mend(&error, address))
    })
}

/// Sockets of a listener that another process hands over: they listen.
#[derive(Debug)]
pub(super) struct Inherited {
    pub(super) name: String,
    pub(super) address: SocketAddr,
    pub(super) sockets: Vec<Socket>,
}

impl Inherited {
    /// Are these the sockets of that listener? One that asks for any port keeps the one it had.
    fn are_of(&self, name: &str, address: SocketAddr) -> bool {
        let same_host = self.name == name && self.address.ip() == address.ip();
        self.address == address || (same_host && address.port() == 0)
    }
}

/// The listener's sockets out of what was handed over, and more of them where there are more workers now.
fn inherit(
    from: &mut Vec<Inherited>,
    name: &str,
    address: SocketAddr,
    workers: usize,
) -> io::Result<Option<Bound>> {
    let Some(index) = from.iter().position(|inherited| inherited.are_of(name, address)) else {
        return Ok(None);
    };
    let Inherited { address, mut sockets, .. } = from.swap_remove(index);
    while sockets.len() < workers {
        sockets.push(socket(address, true)?);
    }
    Ok(Some(Bound { address, sockets }))
}

impl Bound {
    pub(super) fn listen(&self) -> io::Result<()> {
        self.sockets.iter().try_for_each(|socket| socket.listen(BACKLOG))
    }

    /// At least one for each worker.
    pub(super) fn into_descriptors(self) -> impl Iterator<Item = OwnedFd> {
        self.sockets.into_iter().map(OwnedFd::from)
    }
}

fn bind_all(address: SocketAddr, workers: usize, exclusive: bool) -> io::Result<Bound> {
    if exclusive && address.port() != 0 {
        drop(socket(address, false)?);
    }
    let mut bound = Bound { address, sockets: Vec::with_capacity(workers) };
    for _ in 0..workers {
        let socket = socket(bound.address, true)?;
        if bound.address.port() == 0 {
            let found = socket.local_addr()?.as_socket();
            bound.address = found.ok_or_else(|| io::Error::other("the kernel gave no IP address"))?;
        }
        bound.sockets.push(socket);
    }
    Ok(bound)
}

fn socket(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of an earlier process in TIME_WAIT do not hold the port.
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

fn mend(error: &io::Error, address: SocketAddr) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!(
                "another process listens there: `ss -ltnp 'sport = :{}'` names it; stop it or take another port",
                address.port()
            )
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("no interface has {}: `ip address` shows those that are there", address.ip())
        }
        io::ErrorKind::PermissionDenied => "ports below 1024 need CAP_NET_BIND_SERVICE: run as root, or \
             `setcap cap_net_bind_service+ep` on the program"
            .into(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    fn loopback(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn port_zero_gives_all_workers_the_same_port() {
        let bound = bind("public", loopback(0), 3, true, None).unwrap();
        assert_ne!(bound.address.port(), 0);
        bound.listen().unwrap();
        for socket in &bound.sockets {
            assert_eq!(socket.local_addr().unwrap().as_socket(), Some(bound.address));
        }
        assert_eq!(bound.into_descriptors().count(), 3);
    }

    #[test]
    fn before_listening_nobody_connects() {
        let bound = bind("public", loopback(0), 1, true, None).unwrap();
        let timeout = Duration::from_secs(5);
        let refused = TcpStream::connect_timeout(&bound.address, timeout).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        bound.listen().unwrap();
        TcpStream::connect_timeout(&bound.address, timeout).unwrap();
    }

    #[test]
    fn a_port_in_use_is_refused_with_the_command_that_names_its_owner() {
        let taken = TcpListener::bind(loopback(0)).unwrap();
        let address = taken.local_addr().unwrap();
        let problem = bind("public", address, 2, true, None).unwrap_err();
        assert!(problem.what.contains("listener public"), "{problem}");
        assert!(problem.mend.contains(&format!("sport = :{}", address.port())), "{problem}");
    }

    /// Another gateway of the same user listens with SO_REUSEPORT: sharing would hand it half of the connections.
    #[test]
    fn a_port_that_could_be_shared_is_refused_unless_it_is_ours() {
        let ours = bind("public", loopback(0), 1, true, None).unwrap();
        ours.listen().unwrap();
        assert!(bind("public", ours.address, 1, true, None).is_err());
        bind("renamed", ours.address, 1, false, None).unwrap().listen().unwrap();
    }

    #[test]
    fn a_port_in_time_wait_is_free() {
        let bound = bind("public", loopback(0), 1, true, None).unwrap();
        bound.listen().unwrap();
        let client = TcpStream::connect(bound.address).unwrap();
        let (server, _) = bound.sockets[0].accept().unwrap();
        drop(server); // closes first: TIME_WAIT is on the server's side
        drop(client);
        let address = bound.address;
        drop(bound);
        bind("public", address, 1, true, None).unwrap();
    }

    #[test]
    fn ipv6_leaves_ipv4_alone() {
        let any = SocketAddr::from(([0u16; 8], 0));
        if bind("six", any, 1, true, None).is_err() {
            return; // a host without IPv6
        }
        // A port may be taken on IPv4 by somebody else: with a socket of both families all of them would be.
        let both = (0..10).any(|_| {
            let six = bind("six", any, 1, true, None).unwrap();
            six.listen().unwrap();
            bind("four", SocketAddr::from(([127, 0, 0, 9], six.address.port())), 1, true, None).is_ok()
        });
        assert!(both);
    }

    #[test]
    fn an_address_of_nobody_is_named() {
        let problem = bind("lost", "192.0.2.1:0".parse().unwrap(), 1, true, None).unwrap_err();
        assert!(problem.mend.contains("192.0.2.1"), "{problem}");
    }
}
