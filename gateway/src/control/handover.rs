//! What a process that ends hands to the one that takes over: locks, the control plane's sockets and the listening
//! ones, which stay the very same sockets, with whoever waits in their backlogs.

use super::sockets::Inherited;
use super::types::Problem;
use crate::net::{PASSED_MAX, Passage};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::time::Duration;

/// How long either side waits for one message; the new process loads, compiles and attaches meanwhile.
pub(super) const MESSAGE_WITHIN: Duration = Duration::from_secs(60);
/// Messages of one handover: listeners, each in as many as its workers need.
const PARTS_MAX: usize = 4096;

/// One message to the new process, with the descriptors that it names.
#[derive(Debug, Serialize, Deserialize)]
enum Part {
    /// The store's lock.
    Store,
    /// The lock on the pins of the kernel guard.
    Pins,
    /// The control socket, which listens.
    Operator,
    /// The control address, which listens.
    Status,
    /// Sockets of one listener, which listen.
    Listener { name: String, address: SocketAddr },
    /// That was all.
    End,
}

/// The one message back.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// It serves.
    Serves { pid: u32, version: String },
    /// It ends, and has left all as it was.
    Failed { problem: Problem },
}

/// What is handed over, on the side that ends.
pub(super) struct Estate {
    pub(super) store: OwnedFd,
    pub(super) pins: Option<OwnedFd>,
    pub(super) operator: OwnedFd,
    pub(super) status: Option<OwnedFd>,
    /// Name, address and sockets of each listener.
    pub(super) listeners: Vec<(String, SocketAddr, Vec<OwnedFd>)>,
}

/// What was handed over, on the side that begins. Whatever the new configuration has no use for is closed.
#[derive(Default)]
pub(super) struct Heritage {
    pub(super) store: Option<File>,
    pub(super) pins: Option<File>,
    pub(super) operator: Option<UnixListener>,
    pub(super) status: Option<TcpListener>,
    pub(super) listeners: Vec<Inherited>,
}

impl Estate {
    pub(super) fn hand_over(&self, passage: &Passage) -> io::Result<()> {
        give(passage, &Part::Store, &[self.store.as_fd()])?;
        if let Some(pins) = &self.pins {
            give(passage, &Part::Pins, &[pins.as_fd()])?;
        }
        give(passage, &Part::Operator, &[self.operator.as_fd()])?;
        if let Some(status) = &self.status {
            give(passage, &Part::Status, &[status.as_fd()])?;
        }
        for (name, address, sockets) in &self.listeners {
            for some in sockets.chunks(PASSED_MAX) {
                let some: Vec<BorrowedFd<'_>> = some.iter().map(OwnedFd::as_fd).collect();
                give(passage, &Part::Listener { name: name.clone(), address: *address }, &some)?;
            }
        }
        give(passage, &Part::End, &[])
    }
}

fn give(passage: &Passage, part: &Part, passed: &[BorrowedFd<'_>]) -> io::Result<()> {
    passage.send(&serde_json::to_vec(part)?, passed)
}

/// Takes what standard input hands over.
pub(super) fn receive() -> Result<(Passage, Heritage), Problem> {
    let failed = |error: io::Error| {
        let mend = "a running gateway starts this one: `gateway upgrade`";
        Problem::host(format!("nothing was handed over on standard input: {error}"), mend)
    };
    let end = io::stdin().as_fd().try_clone_to_owned().map_err(failed)?;
    let passage = Passage::of(end, MESSAGE_WITHIN).map_err(failed)?;
    let heritage = take(&passage).map_err(failed)?;
    Ok((passage, heritage))
}

fn take(passage: &Passage) -> io::Result<Heritage> {
    let mut heritage = Heritage::default();
    for _ in 0..PARTS_MAX {
        let (bytes, passed) = passage.receive()?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut passed = passed.into_iter();
        match serde_json::from_slice(&bytes)? {
            Part::Store => heritage.store = passed.next().map(File::from),
            Part::Pins => heritage.pins = passed.next().map(File::from),
            Part::Operator => heritage.operator = passed.next().map(UnixListener::from),
            Part::Status => heritage.status = passed.next().map(TcpListener::from),
            Part::Listener { name, address } => {
                let sockets = passed.map(Into::into);
                match heritage.listeners.iter_mut().find(|of| of.name == name && of.address == address) {
                    Some(of) => of.sockets.extend(sockets),
                    None => {
                        let sockets = sockets.collect();
                        heritage.listeners.push(Inherited { name, address, sockets });
                    }
                }
            }
            Part::End => return Ok(heritage),
        }
    }
    Err(io::Error::other("more was handed over than a gateway has"))
}

/// To the process that ends; when it has ended already, this one serves all the same.
pub(super) fn report(passage: &Passage, report: &Report) {
    let _ = serde_json::to_vec(report).map(|text| passage.send(&text, &[]));
}

/// What became of the new process; None: it ended without a word.
pub(super) fn outcome(passage: &Passage) -> io::Result<Option<Report>> {
    let Some((bytes, _)) = passage.receive()? else { return Ok(None) };
    Ok(Some(serde_json::from_slice(&bytes)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn what_is_handed_over_arrives() {
        let (ours, theirs) = Passage::pair(Duration::from_secs(5)).unwrap();
        let theirs = Passage::of(theirs, Duration::from_secs(5)).unwrap();
        let listeners: Vec<TcpListener> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let address = listeners[0].local_addr().unwrap();
        let (socket, _other) = UnixStream::pair().unwrap();
        let any = || socket.as_fd().try_clone_to_owned().unwrap();
        let estate = Estate {
            store: any(),
            pins: None,
            operator: any(),
            status: Some(any()),
            listeners: vec![("public".into(), address, listeners.into_iter().map(OwnedFd::from).collect())],
        };
        estate.hand_over(&ours).unwrap();
        let heritage = take(&theirs).unwrap();
        assert!(heritage.store.is_some() && heritage.operator.is_some() && heritage.status.is_some());
        assert!(heritage.pins.is_none());
        let [Inherited { name, address: at, sockets }] = heritage.listeners.as_slice() else { panic!() };
        assert_eq!((name.as_str(), *at, sockets.len()), ("public", address, 3));
        report(&theirs, &Report::Serves { pid: 7, version: "1".into() });
        assert!(matches!(outcome(&ours).unwrap(), Some(Report::Serves { pid: 7, .. })));
        drop(theirs);
        assert!(outcome(&ours).unwrap().is_none());
    }

    #[test]
    fn half_a_handover_is_none() {
        let (ours, theirs) = Passage::pair(Duration::from_secs(5)).unwrap();
        let theirs = Passage::of(theirs, Duration::from_secs(5)).unwrap();
        give(&ours, &Part::Status, &[ours.as_fd()]).unwrap();
        drop(ours);
        assert!(take(&theirs).is_err());
    }
}
