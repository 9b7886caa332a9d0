//! What a supervisor is told over the socket that it names in `NOTIFY_SOCKET` (sd_notify(3)); without one, nobody is.

use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// It serves, or serves on after `reloading`; `status` is for `systemctl status`.
pub(super) fn ready(status: &str) {
    tell(&format!("READY=1\nSTATUS={status}"));
}

/// A change is under way; `ready` follows, whether it was taken or refused.
pub(super) fn reloading() {
    tell(&format!("RELOADING=1\nMONOTONIC_USEC={}", crate::net::monotonic_us()));
}

pub(super) fn stopping() {
    tell("STOPPING=1");
}

/// Another process is the service from now on.
pub(super) fn main_pid(pid: u32) {
    tell(&format!("MAINPID={pid}"));
}

fn tell(state: &str) {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return };
    // Whoever does not listen is not waited for.
    let _ = address(&name).and_then(|address| {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.send_to_addr(state.as_bytes(), &address)
    });
}

/// A leading `@` stands for the abstract namespace.
fn address(name: &OsString) -> std::io::Result<SocketAddr> {
    match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_at_sign_names_an_abstract_socket() {
        let abstracted = address(&"@gateway/notify".into()).unwrap();
        assert_eq!(abstracted.as_abstract_name(), Some(b"gateway/notify".as_slice()));
        let path = address(&"/run/systemd/notify".into()).unwrap();
        assert_eq!(path.as_pathname().unwrap().to_str(), Some("/run/systemd/notify"));
    }
}
