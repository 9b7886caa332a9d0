//! Resources that name another region, account or API than the policy's own: they match nothing here.

use super::parse::Owner;
use super::{Patterns, glob};

/// What in the pattern cannot be the owner's, and what to write; None: it may match.
pub(super) fn foreign(pattern: &str, owner: Owner<'_>) -> Option<(String, String)> {
    let parts: Vec<&str> = pattern.splitn(6, ':').collect();
    let [_, _, _, region, account, rest] = parts.as_slice() else {
        let instead = "write execute-api:/stage/METHOD/path, which means this API".to_owned();
        return (!pattern.contains('*')).then(|| ("it is no ARN of execute-api".to_owned(), instead));
    };
    let api = rest.split('/').next().unwrap_or_default();
    let (mut differ, mut keys) = (Vec::new(), Vec::new());
    for (name, theirs, ours, key) in [
        ("region", *region, owner.region, "[node] region"),
        ("account", *account, owner.account, "[node] account"),
        ("API", api, owner.api, "[[api]] id"),
    ] {
        if glob::matches(theirs.as_bytes(), ours.as_bytes()) {
            continue;
        }
        differ.push(format!("its {name} is `{theirs}`, here it is `{ours}`"));
        if theirs.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') && !theirs.is_empty() {
            keys.push(format!("{key} = \"{theirs}\""));
        }
    }
    if differ.is_empty() {
        return None;
    }
    let short = "execute-api:/stage/METHOD/path as the Resource, which means this API";
    if owner.is_stored {
        return Some((differ.join("; "), stored(owner, short)));
    }
    let instead = match keys.as_slice() {
        [] => format!("write {short}"),
        keys => format!("write {} in gateway.toml, or {short}", keys.join(", ")),
    };
    Some((differ.join("; "), instead))
}

/// Its region and id were given when it was made; only a file chooses an id.
fn stored(owner: Owner<'_>, short: &str) -> String {
    let Owner { region, account, api, .. } = owner;
    match api.bytes().all(|b| b.is_ascii_alphanumeric()) {
        true => format!(
            "write {short}, or this API's own arn:aws:execute-api:{region}:{account}:{api}/stage/METHOD/path (an \
             [[api]] of gateway.toml can keep the old id)"
        ),
        false => format!("write {short} (an [[api]] of gateway.toml can keep the old id)"),
    }
}

/// What becomes of a statement none of whose resources match.
pub(super) fn consequence(deny: bool, resources: &Patterns) -> &'static str {
    match (deny, resources.not) {
        (false, false) => {
            "it is an Allow that matches nothing: every request gets 403, unless another statement allows it"
        }
        (true, false) => "it is a Deny that matches nothing: it denies no request",
        (false, true) => "it is an Allow that excepts nothing: it allows every path",
        (true, true) => "it is a Deny that excepts nothing: every request gets 403",
    }
}
