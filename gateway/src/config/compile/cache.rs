//! A stage's cache cluster and method settings → what workers cache.

use super::Compiler;
use crate::cache::{Policy, Stage, Unauthorized};
use crate::config::ApiEntry;
use crate::http::Method;
use crate::integrate::{CacheKey, Finding};
use crate::model::UnauthorizedCacheControlHeaderStrategy as Strategy;
use crate::model::{self, MethodPath, MethodSetting, Release, RestApi, Severity};
use crate::snapshot::Caching;
use std::sync::Arc;
use std::time::Duration;

const METHODS: [Method; 7] =
    [Method::Get, Method::Head, Method::Post, Method::Put, Method::Patch, Method::Delete, Method::Options];

impl Compiler<'_> {
    /// The stage's cache, where it has a cluster.
    pub(super) fn cluster(&mut self, entry: &ApiEntry, api: &RestApi, id: &str) -> Option<Arc<Stage>> {
        self.check_method_settings(entry, api);
        let settings = &entry.settings;
        let size = settings.cache_cluster_size.filter(|_| settings.cache_cluster_enabled)?;
        let (bytes, bytes_max) = (size.bytes(), self.document.node.cache_megabytes << 20);
        if bytes > bytes_max {
            let what = format!(
                "the cache{} may hold {} GB; the node's caches together hold {} MiB",
                of_file(entry).map_or(String::new(), |name| format!(" of `{name}`")),
                size.as_str(),
                bytes_max >> 20
            );
            let instead = match entry.owner {
                None => "write more under [node] cache_megabytes, or a smaller cache_cluster_size",
                Some(_) => {
                    "write more under [node] cache_megabytes, or update-stage with \
                     op=replace,path=/cacheClusterSize,value=0.5"
                }
            };
            self.warning((entry, api), entry.place, what, instead);
        }
        if !settings.method_settings.values().any(|setting| setting.caching_enabled) {
            let (what, instead) = match of_file(entry) {
                Some(name) => (
                    format!("`{name}` has a cache, and caching is turned on for no method"),
                    "write [api.method_settings.\"*/*\"] with caching_enabled = true",
                ),
                None => (
                    "the stage has a cache, and caching is turned on for no method".to_owned(),
                    "update-stage with op=replace,path=/*/*/caching/enabled,value=true turns it on for all",
                ),
            };
            self.warning((entry, api), entry.place, what, instead);
        }
        // A stage's name has no slash: nothing else is called so.
        let name = match entry.release {
            Release::Canary { shares_cache: false, .. } => format!("{}/Canary", entry.stage),
            Release::Whole | Release::Base | Release::Canary { .. } => entry.stage.clone(),
        };
        Some(self.cache.stage(id, &name, bytes))
    }

    /// AWS: `*/*` turns caching on for GET alone, a method's own settings for that method.
    pub(super) fn caching(
        &mut self,
        entry: &ApiEntry,
        api: &RestApi,
        (path, parameters, resource_id): (&str, &[String], &str),
        method: &model::Method,
    ) -> Option<Box<Caching>> {
        let integration = method.integration.as_ref()?;
        let settings = &entry.settings;
        let setting = |of: Method| -> Option<&MethodSetting> {
            let own = settings.own_setting(path, of.as_str());
            match of {
                Method::Get => own.or_else(|| settings.setting(path, &method.http_method)),
                _ => own,
            }
        };
        let owned =
            |of: &Method| matches!(method.http_method.as_str(), "ANY") || method.http_method == of.as_str();
        let cached = METHODS.into_iter().filter(owned).filter_map(|of| Some((of, setting(of)?)));
        let policies: Vec<_> = cached
            .filter(|(_, setting)| setting.caching_enabled)
            .map(|(of, setting)| (of, policy(setting)))
            .collect();
        if policies.is_empty() {
            return None;
        }
        let (key, findings) = CacheKey::compile(integration, resource_id, &entry.stage_variables);
        for Finding { severity, place, what, instead } in findings {
            self.find(severity, &api.file, place, what, &instead);
        }
        let missing = parameters.iter().find(|name| !key.has_path(name));
        if let Some(name) = missing.filter(|_| settings.cache_cluster_enabled) {
            let what = format!("cached answers of `{path}` are one for all values of {{{name}}}, as in AWS");
            let instead = format!("add to cacheKeyParameters: method.request.path.{name}");
            self.find(Severity::Warning, &api.file, integration.place, what, &instead);
        }
        Some(Box::new(Caching { key, policies }))
    }

    /// Settings of what is not there, and settings that do not act.
    fn check_method_settings(&mut self, entry: &ApiEntry, api: &RestApi) {
        let place = |path: &MethodPath| entry.setting_places.get(path).copied().unwrap_or(entry.place);
        let mut encrypted = None;
        for (path, setting) in &entry.settings.method_settings {
            if setting.cache_data_encrypted {
                encrypted.get_or_insert(place(path));
            }
            let MethodPath::One { path: resource, method } = path else { continue };
            let known = api.resources.iter().filter(|known| known.path == *resource).flat_map(|r| &r.methods);
            let mut known = known.filter(|known| known.http_method == *method || known.http_method == "ANY");
            if known.next().is_none() {
                let what = match entry.owner {
                    None => format!("`{}` has no method {method} of {resource}", entry.name),
                    Some(_) => format!("methodSettings: the deployment has no method {method} of {resource}"),
                };
                let instead = "check path and method: these settings have no effect";
                self.warning((entry, api), place(path), what, instead);
            }
        }
        if let Some(place) = encrypted {
            let what = "not supported yet: cache_data_encrypted".to_owned();
            let instead = "cached answers are in memory only, and not encrypted there";
            self.warning((entry, api), place, what, instead);
        }
        let on = entry.settings.method_settings.iter().find(|(_, setting)| setting.caching_enabled);
        if let Some((path, _)) = on.filter(|_| entry.settings.cache_cluster_size.is_none()) {
            let what = format!("caching is turned on for {path}, and the stage has no cache");
            let instead = match entry.owner {
                None => "write cache_cluster_size = \"0.5\" in its [[api]]",
                Some(_) => "update-stage with op=replace,path=/cacheClusterEnabled,value=true gives it one",
            };
            self.warning((entry, api), place(path), what, instead);
        }
    }

    /// Settings stand in gateway.toml, or are the stored stage's.
    fn warning(
        &mut self,
        (entry, api): (&ApiEntry, &RestApi),
        place: model::Place,
        what: String,
        instead: &str,
    ) {
        let file = if entry.owner.is_some() { &api.file } else { &self.document.file };
        self.find(Severity::Warning, file, place, what, instead);
    }
}

/// The name in gateway.toml; None: a stored API's findings stand under its own.
fn of_file(entry: &ApiEntry) -> Option<&str> {
    entry.owner.is_none().then_some(&*entry.name)
}

fn policy(setting: &MethodSetting) -> Policy {
    Policy {
        ttl: Duration::from_secs(setting.cache_ttl_in_seconds.into()),
        require_authorization: setting.require_authorization_for_cache_control,
        unauthorized: match setting.unauthorized_cache_control_header_strategy {
            Strategy::FailWith403 => Unauthorized::Fail,
            Strategy::SucceedWithResponseHeader => Unauthorized::Warn,
            Strategy::SucceedWithoutResponseHeader => Unauthorized::Ignore,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Loaded, Owner, Remembered, compile, load};
    use crate::model::Diagnostic;
    use crate::snapshot::Snapshot;

    const PETS: &str = r"
openapi: 3.0.1
info: {title: pets}
x-amazon-apigateway-endpoint-configuration: {types: [REGIONAL]}
paths:
  /pets:
    get:
      responses: {}
      x-amazon-apigateway-integration:
        type: http_proxy
        httpMethod: GET
        uri: http://127.0.0.1:9/
        cacheKeyParameters: [integration.request.header.X]
  /pets/{id}:
    x-amazon-apigateway-any-method:
      responses: {}
      x-amazon-apigateway-integration:
        {type: http_proxy, httpMethod: ANY, uri: 'http://127.0.0.1:9/{id}'}
";

    /// `api`: more lines of the `[[api]]`, from line 9 on.
    fn loaded(name: &str, api: &str) -> Loaded {
        let folder = std::env::temp_dir().join(format!("gateway-cache-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("pets.yaml"), PETS).unwrap();
        let text = format!(
            "[[listener]]\nname = \"public\"\naddress = \"127.0.0.1:0\"\n\
             [[api]]\nname = \"pets\"\nid = \"a1b2c3d4e5\"\nfile = \"pets.yaml\"\nstage = \"prod\"\n{api}\n"
        );
        std::fs::write(folder.join("gateway.toml"), text).unwrap();
        let loaded = load(&folder.join("gateway.toml"));
        std::fs::remove_dir_all(&folder).unwrap();
        let loaded = loaded.unwrap();
        assert_eq!(loaded.warnings, Vec::new());
        loaded
    }

    fn compiled(name: &str, api: &str) -> (Snapshot, Vec<Diagnostic>) {
        compile(&loaded(name, api), &Remembered::default(), 1).unwrap()
    }

    fn told(warnings: &[Diagnostic]) -> Vec<(usize, &str)> {
        warnings.iter().map(|warning| (warning.place.line, warning.what.as_str())).collect()
    }

    #[test]
    fn settings_of_all_cache_get_and_a_method_s_own_any() {
        let (snapshot, _) = compiled(
            "methods",
            "cache_cluster_size = \"0.5\"\n[api.method_settings.\"*/*\"]\ncaching_enabled = true\n\
             [api.method_settings.\"pets/{id}/POST\"]\ncaching_enabled = true\ncache_ttl_in_seconds = 7\n\
             [api.method_settings.\"pets/GET\"]\ncaching_enabled = false",
        );
        let [list, one] = &snapshot.apis[0].methods[..] else { panic!() };
        assert!(list.caching.is_none(), "a method's own settings go before those of all");
        let caching = one.caching.as_ref().unwrap();
        let ttl = |method| caching.policy(method).map(|policy| policy.ttl.as_secs());
        assert_eq!([ttl(Method::Get), ttl(Method::Post), ttl(Method::Put)], [Some(300), Some(7), None]);
        assert_eq!(snapshot.apis[0].cache.as_ref().unwrap().bytes_max(), 1 << 29);
        let (snapshot, warnings) = compiled("off", "");
        assert!(snapshot.apis[0].cache.is_none() && snapshot.apis[0].methods[1].caching.is_none());
        assert_eq!(told(&warnings), []);
    }

    #[test]
    fn what_does_not_act_is_told_where_it_stands() {
        let (_, warnings) = compiled(
            "warnings",
            "cache_cluster_size = \"1.6\"\n[api.method_settings.\"*/*\"]\ncaching_enabled = true\n\
             cache_data_encrypted = true\n[api.method_settings.\"pets/PUT\"]\n[api.method_settings.\"cats/GET\"]",
        );
        let told = told(&warnings);
        for (line, what) in [
            (4, "may hold 1.6 GB; the node's caches together hold 1024 MiB"),
            (10, "not supported yet: cache_data_encrypted"),
            (13, "`pets` has no method PUT of /pets"),
            (14, "`pets` has no method GET of /cats"),
            (13, "`integration.request.header.X` is mapped from nothing"),
            (17, "one for all values of {id}"),
        ] {
            assert!(told.iter().any(|(at, said)| *at == line && said.contains(what)), "{what}: {told:#?}");
        }
        assert_eq!(told.len(), 6, "{told:#?}");
        let none = compiled("none", "[api.method_settings.\"*/*\"]\ncaching_enabled = true").1;
        assert!(none.iter().any(|w| w.what.contains("caching is turned on for */*")), "{none:#?}");
        let unused = compiled("unused", "cache_cluster_size = \"0.5\"").1;
        assert!(unused.iter().any(|w| w.what.contains("turned on for no method")), "{unused:#?}");
    }

    /// Nothing of it stands in gateway.toml, so nothing is to be written there.
    #[test]
    fn remedies_of_a_stored_api_are_calls_of_the_aws_api() {
        let remedies = |name, api: &str| {
            let mut loaded = loaded(name, api);
            loaded.document.apis[0].owner = Some(Owner { account: "1".into(), region: "r".into() });
            let (_, warnings) = compile(&loaded, &Remembered::default(), 1).unwrap();
            let files = |found: &Diagnostic| {
                ["[[api]]", "cache_cluster_size", "method_settings"]
                    .iter()
                    .any(|key| found.instead.contains(key))
            };
            assert!(!warnings.iter().any(files), "{warnings:?}");
            let of_the_stage = warnings.into_iter().filter(|found| found.instead.contains("update-stage"));
            of_the_stage.map(|found| (found.what, found.instead)).collect::<Vec<_>>()
        };
        let caching = "[api.method_settings.\"*/*\"]\ncaching_enabled = true\n";
        let found = [
            remedies("stored-none", caching),
            remedies("stored-unused", "cache_cluster_size = \"0.5\""),
            remedies("stored-large", &format!("cache_cluster_size = \"1.6\"\n{caching}")),
        ];
        for (found, path) in
            found.iter().zip(["cacheClusterEnabled", "*/*/caching/enabled", "cacheClusterSize"])
        {
            let [(what, instead)] = &found[..] else { panic!("{found:?}") };
            assert!(instead.contains(path) && !what.contains("`pets`"), "{what}: {instead}");
        }
    }
}
