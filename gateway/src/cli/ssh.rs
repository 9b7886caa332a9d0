//! From where the operator came by SSH.

use std::net::IpAddr;

/// `sudo` and a shell or two stand between.
const ANCESTORS_MAX: usize = 16;

/// The peer of the session that this command runs in. None: no session.
pub(crate) fn peer() -> Option<IpAddr> {
    let own =
        ["SSH_CONNECTION", "SSH_CLIENT"].into_iter().find_map(|name| address(&std::env::var(name).ok()?));
    own.or_else(|| {
        ancestors().find_map(|pid| of_process(&std::fs::read(format!("/proc/{pid}/environ")).ok()?))
    })
}

/// `203.0.113.9 53122 10.0.0.5 22`
fn address(value: &str) -> Option<IpAddr> {
    let text = value.split(' ').next()?;
    // A link-local peer is written with its interface.
    text.split('%').next()?.parse().ok()
}

/// What `sudo` took out of the environment stands in that of its own parents.
fn of_process(environ: &[u8]) -> Option<IpAddr> {
    environ.split(|byte| *byte == 0).find_map(|entry| {
        let (name, value) = std::str::from_utf8(entry).ok()?.split_once('=')?;
        if matches!(name, "SSH_CONNECTION" | "SSH_CLIENT") { address(value) } else { None }
    })
}

fn ancestors() -> impl Iterator<Item = u32> {
    let parent_of = |pid: &u32| -> Option<u32> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
    };
    let first = std::os::unix::process::parent_id();
    std::iter::successors(Some(first), parent_of).take_while(|pid| *pid > 1).take(ANCESTORS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_is_the_peer() {
        let read = |text: &str| address(text).map(|address| address.to_string());
        assert_eq!(read("203.0.113.9 53122 10.0.0.5 22").as_deref(), Some("203.0.113.9"));
        assert_eq!(read("fe80::1%eth0 53122 22").as_deref(), Some("fe80::1"));
        assert_eq!(read("UNKNOWN 53122 22"), None);
        assert_eq!(read(""), None);
    }

    #[test]
    fn the_environment_of_another_process_is_read() {
        let environ = b"HOME=/root\0\xff=x\0SSH_CONNECTION=2001:db8::7 1 2001:db8::1 22\0TERM=x\0";
        assert_eq!(of_process(environ), "2001:db8::7".parse().ok());
        assert_eq!(of_process(b"MY_SSH_CONNECTION=203.0.113.9 1\0"), None);
        assert!(ancestors().count() <= ANCESTORS_MAX);
    }
}
