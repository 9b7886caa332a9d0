//! Custom domain names: a host, and which stage each of its base paths means; the longest one that fits wins.

use super::literal::{Names, number};
use crate::snapshot::{ApiIndex, ListenerIndex, PolicyIndex};

/// A domain name as it is given; its host in lower case, `*.` in front of it for any one label.
#[derive(Clone, Debug)]
pub struct Domain<'d> {
    pub host: &'d str,
    pub base_paths: Vec<Meaning<'d>>,
    pub private: Option<Private>,
}

/// Of a private domain name: several may have one host.
#[derive(Clone, Debug)]
pub struct Private {
    /// Through these it is reached.
    pub listeners: Vec<ListenerIndex>,
    /// Its policy.
    pub policy: PolicyIndex,
}

/// What one base path means.
#[derive(Clone, Copy, Debug)]
pub struct Meaning<'d> {
    /// `a/b`; empty: any path.
    pub path: &'d str,
    /// Id of an API.
    pub api: &'d str,
    /// None: the first segment behind the base path.
    pub stage: Option<&'d str>,
}

#[derive(Debug)]
pub(super) struct BasePath {
    pub(super) path: String,
    /// Every stage that it may mean. None of them: nobody is served there.
    pub(super) stages: Vec<ApiIndex>,
    /// The first segment behind the base path names the stage; otherwise it is the only one of `stages`.
    pub(super) staged: bool,
}

/// All of them, compiled.
#[derive(Debug, Default)]
pub(super) struct Domains {
    exact: Names,
    /// Without their `*.`
    wildcards: Names,
    hosts: Vec<Host>,
}

#[derive(Debug)]
pub(super) struct Host {
    name: String,
    /// The longest first.
    pub(super) base_paths: Vec<BasePath>,
    /// Of a private domain name: what says who passes.
    pub(super) policy: Option<PolicyIndex>,
}

impl Domains {
    /// `stages`: those that a base path may mean.
    pub(super) fn new<'d>(
        domains: impl IntoIterator<Item = Domain<'d>>,
        stages: impl Fn(&Meaning<'d>) -> Vec<ApiIndex>,
    ) -> Self {
        let mut hosts: Vec<Host> = Vec::new();
        for domain in domains {
            let base_path = |meaning: &Meaning<'d>| BasePath {
                path: meaning.path.to_owned(),
                stages: stages(meaning),
                staged: meaning.stage.is_none(),
            };
            let mut base_paths: Vec<BasePath> = domain.base_paths.iter().map(base_path).collect();
            base_paths.sort_by_key(|base| std::cmp::Reverse(base.path.len()));
            let policy = domain.private.map(|private| private.policy);
            hosts.push(Host { name: domain.host.to_owned(), base_paths, policy });
        }
        let numbered = || hosts.iter().map(|host| host.name.as_str()).zip((0..hosts.len()).map(number));
        Self {
            exact: Names::new(numbered().filter(|(host, _)| !host.starts_with("*."))),
            wildcards: Names::new(numbered().filter_map(|(host, at)| Some((host.strip_prefix("*.")?, at)))),
            hosts,
        }
    }

    /// Where the API is meant: `host/base/path`, with its stage where that is in the path.
    pub(super) fn of(&self, api: ApiIndex, stage: &str) -> Vec<String> {
        let each = self.hosts.iter().flat_map(|host| host.base_paths.iter().map(move |base| (host, base)));
        each.filter(|(_, base)| base.stages.contains(&api))
            .map(|(host, base)| {
                let parts = [host.name.as_str(), &base.path, if base.staged { stage } else { "" }];
                parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
            })
            .collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// The one of exactly that name.
    pub(super) fn exact(&self, host: &str) -> Option<&Host> {
        self.hosts.get(self.exact.get(host)?)
    }

    /// The one whose `*.` stands for the host's first label.
    pub(super) fn wildcard(&self, host: &str) -> Option<&Host> {
        self.hosts.get(self.wildcards.get(host.split_once('.')?.1)?)
    }
}

/// The base path that the path begins with, whole segments of it, and where the path goes on. `from`: its first slash.
pub(super) fn longest<'d>(
    base_paths: &'d [BasePath],
    path: &str,
    from: usize,
) -> Option<(&'d BasePath, usize)> {
    base_paths.iter().find_map(|base| {
        if base.path.is_empty() {
            return Some((base, from));
        }
        let rest = path.get(from..)?.strip_prefix('/')?.strip_prefix(base.path.as_str())?;
        (rest.is_empty() || rest.starts_with('/')).then_some((base, path.len() - rest.len()))
    })
}
