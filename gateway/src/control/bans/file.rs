//! Bans in the store: `bans.json`, a head and one line a ban, replaced whole. A file that is not whole is an error, and
//! stays as it is.

use super::super::store::{self, Store};
use super::super::types::Problem;
use super::list::{Ban, By};
use crate::guard::ban::End;
use crate::guard::offence::Offence;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Duration;

const FILE: &str = "bans.json";
const VERSION: u32 = 1;
/// As many bans as there may be, with the longest reasons.
const BYTES_MAX: u64 = 256 << 20;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    version: u32,
    /// Lines that follow.
    bans: usize,
}

/// Times are milliseconds since the epoch.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'t> {
    range: IpNet,
    since_ms: u64,
    /// None: until it is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    reason: std::borrow::Cow<'t, str>,
    /// None: the operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rule: Option<std::borrow::Cow<'t, str>>,
}

/// On disk when it returns.
pub(super) fn write<'b>(
    store: &Store,
    number: usize,
    bans: impl Iterator<Item = (IpNet, &'b Ban)>,
) -> Result<(), Problem> {
    let mut text = Vec::with_capacity(96 * (number + 1));
    let lines = put(&mut text, &Head { version: VERSION, bans: number })
        .and_then(|()| bans.into_iter().try_for_each(|(range, ban)| put(&mut text, &line(range, ban))));
    lines.map_err(|error| Problem::host(format!("the bans cannot be written: {error}"), ""))?;
    store.replace(FILE, &text)
}

fn put(text: &mut Vec<u8>, value: &impl Serialize) -> serde_json::Result<()> {
    serde_json::to_writer(&mut *text, value)?;
    text.push(b'\n');
    Ok(())
}

fn line(range: IpNet, ban: &Ban) -> Line<'_> {
    Line {
        range,
        since_ms: milliseconds(ban.since),
        until_ms: match ban.end {
            End::At(end) => Some(milliseconds(end)),
            End::Never => None,
        },
        reason: ban.reason.as_str().into(),
        rule: match ban.by {
            By::Operator => None,
            By::Rule(offence) => Some(offence.name().into()),
        },
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A store without the file has no bans.
pub(super) fn read(folder: &Path) -> Result<Vec<(IpNet, Ban)>, Problem> {
    let path = folder.join(FILE);
    let Some(bytes) = store::read_file(&path, BYTES_MAX)? else { return Ok(Vec::new()) };
    parse(&bytes).map_err(|what| {
        let mend = "restore it from a backup, or move it away: then nobody is banned until you ban them anew";
        Problem::host(format!("the bans in {} are damaged: {what}", path.display()), mend)
    })
}

fn parse(bytes: &[u8]) -> Result<Vec<(IpNet, Ban)>, String> {
    if bytes.len() as u64 > BYTES_MAX {
        return Err("it is larger than any list that a gateway writes".into());
    }
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let mut lines = text.lines();
    let head = serde_json::from_str(lines.next().unwrap_or_default());
    let Head { version, bans } = head.map_err(|error| format!("line 1: {error}"))?;
    if version != VERSION {
        return Err(format!("it has version {version}, this gateway reads {VERSION}"));
    }
    let parsed: Result<Vec<_>, String> = lines
        .enumerate()
        .map(|(index, line)| ban(line).map_err(|what| format!("line {}: {what}", index + 2)))
        .collect();
    let parsed = parsed?;
    if parsed.len() != bans || !text.ends_with('\n') {
        return Err(format!("it says {bans} bans and holds {}", parsed.len()));
    }
    Ok(parsed)
}

fn ban(line: &str) -> Result<(IpNet, Ban), String> {
    let Line { range, since_ms, until_ms, reason, rule } =
        serde_json::from_str(line).map_err(|error| error.to_string())?;
    if range.trunc() != range {
        return Err(format!("{range} has bits set behind its prefix"));
    }
    let by = match rule {
        None => By::Operator,
        Some(name) => By::Rule(Offence::parse(&name).ok_or_else(|| format!("there is no rule {name:?}"))?),
    };
    let end = until_ms.map_or(End::Never, |until| End::At(Duration::from_millis(until)));
    Ok((range, Ban { since: Duration::from_millis(since_ms), end, reason: reason.into_owned(), by }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::tests::Folder;

    fn bans() -> Vec<(IpNet, Ban)> {
        let ban =
            |end, reason: &str, by| Ban { since: Duration::from_millis(7), end, reason: reason.into(), by };
        vec![
            ("203.0.113.7/32".parse().unwrap(), ban(End::Never, "", By::Operator)),
            (
                "10.0.0.0/8".parse().unwrap(),
                ban(End::At(Duration::from_millis(9)), "a \"b\"\n", By::Operator),
            ),
            (
                "2001:db8::/64".parse().unwrap(),
                ban(End::At(Duration::from_secs(9)), "", By::Rule(Offence::Malformed)),
            ),
        ]
    }

    fn store() -> (Folder, Store) {
        let folder = Folder::new();
        let store = Store::open(&folder.path("store")).unwrap();
        (folder, store)
    }

    fn write_all(store: &Store, bans: &[(IpNet, Ban)]) {
        write(store, bans.len(), bans.iter().map(|(range, ban)| (*range, ban))).unwrap();
    }

    #[test]
    fn what_was_written_comes_back() {
        let (_folder, store) = store();
        assert_eq!(read(store.folder()).unwrap(), []);
        write_all(&store, &bans());
        assert_eq!(read(store.folder()).unwrap(), bans());
        write_all(&store, &[]);
        assert_eq!(read(store.folder()).unwrap(), []);
    }

    #[test]
    fn a_damaged_file_is_an_error_and_stays_as_it_is() {
        let (folder, store) = store();
        write_all(&store, &bans());
        let path = folder.path("store").join(FILE);
        let whole = std::fs::read(&path).unwrap();
        // Cut anywhere, with its head or without.
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let problem = read(store.folder()).unwrap_err();
            assert!(problem.what.contains("bans.json are damaged"), "{cut}: {problem}");
            assert_eq!(std::fs::read(&path).unwrap(), &whole[..cut]);
        }
        let text = String::from_utf8(whole).unwrap();
        for (from, to, says) in [
            ("\"version\":1", "\"version\":2", "version 2"),
            ("\"bans\":3", "\"bans\":4", "says 4 bans and holds 3"),
            ("malformed", "odd", "line 4: there is no rule \"odd\""),
            ("10.0.0.0/8", "10.0.0.1/8", "line 3: 10.0.0.1/8 has bits"),
            ("since_ms", "when", "line 2: unknown field"),
        ] {
            std::fs::write(&path, text.replace(from, to)).unwrap();
            let problem = read(store.folder()).unwrap_err();
            assert!(problem.what.contains(says), "{says}: {problem}");
        }
    }

    #[test]
    fn a_half_written_file_is_never_read() {
        let (folder, store) = store();
        write_all(&store, &bans());
        std::fs::write(folder.path("store").join("bans.json.new"), b"{\"version\":1").unwrap();
        assert_eq!(read(store.folder()).unwrap(), bans());
    }
}
