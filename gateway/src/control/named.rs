//! Which API, and which of its stages, a name means: one rule for all commands.
//!
//! An API is named by its id, or by its name: the one of `[[api]]` in gateway.toml, or the one that the AWS API tells.
//! A stage is named behind it, as `NAME.STAGE` or as `NAME STAGE`.

use super::candidate::Running;
use super::node::Node;
use super::types::{Kind, Named, Problem, ResolveRequest, Wants};
use crate::config::{ApiEntry, Loaded};
use crate::model::RestApi;
use std::collections::HashMap;
use std::sync::Arc;

/// So many are listed where a name is unknown.
const LISTED_MAX: usize = 20;

pub(super) fn resolve(node: &Node, request: &ResolveRequest) -> Result<Named, Problem> {
    find(&all(node)?, request)
}

/// The name under which the data plane knows the stage: of `[[api]]`, or `{id}.{stage}`.
pub(super) fn entry(running: &Running, named: &Named) -> Option<String> {
    let entries = running.loaded.document.apis.iter();
    let found = entries.filter(|entry| entry.release.is_canary() != Some(true)).find(|entry| {
        let stage = named.stage.as_ref().is_none_or(|stage| *stage == entry.stage);
        match entry.owner {
            None => named.managed_by == "file" && entry.name == named.name && stage,
            Some(_) => named.managed_by == "aws" && entry.id.as_ref() == Some(&named.id) && stage,
        }
    });
    found.map(|entry| entry.name.clone())
}

pub(super) fn known(node: &Node) -> Result<Vec<Named>, Problem> {
    Ok(all(node)?.into_iter().map(|known| known.named).collect())
}

/// What there is: the files' APIs, then those of the store that no file hides.
fn all(node: &Node) -> Result<Vec<Known>, Problem> {
    let running = node.running();
    let document = &running.loaded.document;
    let mut all = Vec::new();
    for (entry, api) in document.apis.iter().zip(&running.loaded.apis).filter(|(e, _)| e.owner.is_none()) {
        let id = entry.id.clone().or_else(|| running.remembered.ids.get(&entry.name).cloned());
        all.push(Known {
            title: api.as_ref().map(|api| api.name.clone()).unwrap_or_default(),
            named: Named {
                name: entry.name.clone(),
                id: id.unwrap_or_default(),
                account: document.node.account.clone(),
                region: document.node.region.clone(),
                managed_by: "file".into(),
                file: Some(entry.file.clone()),
                stage: None,
                stages: vec![entry.stage.clone()],
            },
        });
    }
    let stored = node.aws.named().map_err(|failed| {
        let mend = "look at the free space and the gateway's log";
        Problem::host(format!("the objects of the AWS API cannot be read: {failed}"), mend)
    })?;
    let files = all.len();
    for named in stored {
        if !all[..files].iter().any(|of_file| of_file.named.id == named.id) {
            all.push(Known { title: String::new(), named });
        }
    }
    Ok(all)
}

/// How people are told of the data plane's entries: as commands take their names.
#[derive(Default)]
pub(super) struct StageNames(HashMap<String, [String; 2]>);

impl StageNames {
    /// Of all that stands in these; what stands in several is told as in the last.
    pub(super) fn of<'l>(all: impl IntoIterator<Item = &'l Loaded>) -> Self {
        let mut names = HashMap::new();
        for loaded in all {
            let entries = || loaded.document.apis.iter().zip(&loaded.apis);
            let own = |(entry, api): (&'l ApiEntry, &'l Result<Arc<RestApi>, _>)| match (&entry.owner, api) {
                (Some(_), Ok(api)) => api.name.as_str(),
                _ => entry.name.as_str(),
            };
            // None: several APIs are called so.
            let mut ids: HashMap<&str, Option<&str>> = HashMap::new();
            for both in entries() {
                let id = both.0.id.as_deref().unwrap_or(&both.0.name);
                let known = ids.entry(own(both)).or_insert(Some(id));
                *known = known.filter(|known| *known == id);
            }
            let stored = entries().filter(|(entry, _)| entry.owner.is_some());
            names.extend(stored.filter(|both| ids[own(*both)].is_some() && !own(*both).is_empty()).map(
                |both| {
                    let (name, entry) = (own(both), both.0);
                    let canary = if entry.release.is_canary() == Some(true) { "/canary" } else { "" };
                    (entry.name.clone(), [name.to_owned(), format!("{name}.{}{canary}", entry.stage)])
                },
            ));
        }
        Self(names)
    }

    /// The API: `pets`; as the data plane calls it, where that means several.
    pub(super) fn api<'n>(&'n self, entry: &'n str) -> &'n str {
        self.0.get(entry).map_or(entry, |[api, _]| api)
    }

    /// `pets.prod`; of a file's API its name alone.
    pub(super) fn stage<'n>(&'n self, entry: &'n str) -> &'n str {
        self.0.get(entry).map_or(entry, |[_, stage]| stage)
    }
}

struct Known {
    named: Named,
    /// Of a file's document: the name under which the AWS API tells it.
    title: String,
}

impl Known {
    /// The lower, the stronger. None: it is not meant.
    fn rank(&self, name: &str) -> Option<usize> {
        [&self.named.id, &self.named.name, &self.title]
            .iter()
            .position(|own| !own.is_empty() && own.as_str() == name)
    }

    fn has(&self, stage: &str) -> bool {
        self.named.stages.iter().any(|own| own == stage)
    }
}

/// One way to read what was written.
struct Reading<'k> {
    known: &'k Known,
    stage: Option<&'k str>,
    rank: usize,
}

fn find(all: &[Known], request: &ResolveRequest) -> Result<Named, Problem> {
    let mut readings = read(all, request);
    if let Some(strongest) = readings.iter().map(|reading| reading.rank).min() {
        readings.retain(|reading| reading.rank == strongest);
    }
    // Of several APIs of one name or title, those that have the stage.
    if readings.iter().any(|reading| reading.stage.is_some_and(|stage| reading.known.has(stage))) {
        readings.retain(|reading| reading.stage.is_none_or(|stage| reading.known.has(stage)));
    }
    let is_home = |reading: &Reading<'_>| request.home_region.as_ref() == Some(&reading.known.named.region);
    if readings.len() > 1 && readings.iter().any(is_home) {
        readings.retain(is_home);
    }
    match readings.as_slice() {
        [] => Err(unknown(all, request)),
        [only] => meant(only, request.wants),
        several => Err(ambiguous(several, &request.name)),
    }
}

/// The whole text as a name, and what stands before its last dot; a stage has no dot.
fn read<'k>(all: &'k [Known], request: &'k ResolveRequest) -> Vec<Reading<'k>> {
    let in_region =
        |known: &&Known| request.region.as_ref().is_none_or(|region| *region == known.named.region);
    let named = |name: &'k str, stage: Option<&'k str>| {
        let found = all.iter().filter(in_region).filter_map(move |known| Some((known, known.rank(name)?)));
        found.map(move |(known, rank)| Reading { known, stage, rank })
    };
    let mut readings: Vec<Reading<'_>> = named(&request.name, request.stage.as_deref()).collect();
    if request.stage.is_none()
        && let Some((name, stage)) = request.name.rsplit_once('.')
    {
        let whole = !readings.is_empty();
        // Beside an API that has the whole text for a name, only a stage that is there is meant.
        readings.extend(named(name, Some(stage)).filter(|reading| !whole || reading.known.has(stage)));
    }
    readings
}

fn meant(reading: &Reading<'_>, wants: Wants) -> Result<Named, Problem> {
    let Named { name, stages, .. } = &reading.known.named;
    let shown = shown(&reading.known.named);
    let stage = match (reading.stage, wants) {
        (Some(stage), Wants::Api) => {
            let what = format!("this is about the whole API {shown}, not about its stage {stage:?}");
            return Err(Problem::new(Kind::Request, what, format!("write {name}")));
        }
        (Some(stage), Wants::NewStage) if !stage.is_empty() => Some(stage.to_owned()),
        (Some(stage), _) if !reading.known.has(stage) => {
            let what = format!("API {shown} has no stage {stage:?}");
            return Err(Problem::new(Kind::Unknown, what, has(name, stages)));
        }
        (Some(stage), _) => Some(stage.to_owned()),
        (None, Wants::Api | Wants::Either) => None,
        (None, Wants::Stage | Wants::NewStage) => match stages.as_slice() {
            [only] => Some(only.clone()),
            [] => {
                let what = format!("API {shown} has no stage yet");
                return Err(Problem::new(Kind::Unknown, what, has(name, stages)));
            }
            several => {
                let what = format!("API {shown} has {} stages: which one is meant?", several.len());
                return Err(Problem::new(Kind::Request, what, has(name, several)));
            }
        },
    };
    Ok(Named { stage, ..reading.known.named.clone() })
}

fn has(name: &str, stages: &[String]) -> String {
    match stages {
        [] => format!("`gateway deploy {name} STAGE` makes one"),
        [first, ..] => format!("it has: {}; write {name}.{first}", stages.join(", ")),
    }
}

/// `pets (a1b2c3d4e5)`
pub(super) fn shown(named: &Named) -> String {
    format!("{} ({})", named.name, named.id)
}

fn ambiguous(readings: &[Reading<'_>], name: &str) -> Problem {
    let line = |reading: &Reading<'_>| {
        let Named { name, id, region, file, .. } = &reading.known.named;
        let stage = reading.stage.map_or(String::new(), |stage| format!(", its stage {stage}"));
        match file {
            Some(file) => format!("{id} ({name} of gateway.toml, {}){stage}", file.display()),
            None => format!("{id} ({name}, {region}){stage}"),
        }
    };
    let all: Vec<String> = readings.iter().take(LISTED_MAX).map(line).collect();
    let what = format!("{} APIs may be meant by {name:?}", readings.len());
    Problem::new(Kind::Conflict, what, format!("name one by its id: {}", all.join("; ")))
}

fn unknown(all: &[Known], request: &ResolveRequest) -> Problem {
    let here = |known: &&Known| request.region.as_ref().is_none_or(|region| *region == known.named.region);
    let mut names: Vec<String> =
        all.iter().filter(here).take(LISTED_MAX).map(|known| shown(&known.named)).collect();
    if all.iter().filter(here).count() > LISTED_MAX {
        names.push("...".into());
    }
    let (name, region) = (&request.name, &request.region);
    let what = match region {
        Some(region) => format!("no API of the region {region} has the name or the id {name:?}"),
        None => format!("no API has the name or the id {name:?}"),
    };
    let mend = match names.as_slice() {
        [] if region.is_some() => "leave --region out: an API of any region is found".into(),
        [] => {
            "there is none: `gateway apply FILE`, an [[api]] in gateway.toml or the AWS API makes one".into()
        }
        names => format!("there are: {}", names.join(", ")),
    };
    Problem::new(Kind::Unknown, what, mend)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(name: &str, id: &str, region: &str, stages: &[&str]) -> Known {
        let stages = stages.iter().map(ToString::to_string).collect();
        let (name, id, region) = (name.into(), id.into(), region.into());
        let named = Named { name, id, region, managed_by: "aws".into(), stages, ..Named::default() };
        Known { named, title: String::new() }
    }

    fn file(name: &str, title: &str, id: &str, stage: &str) -> Known {
        let mut known = api(name, id, "us-east-1", &[stage]);
        known.named.managed_by = "file".into();
        known.named.file = Some(format!("{name}.yaml").into());
        known.title = title.into();
        known
    }

    fn all() -> Vec<Known> {
        vec![
            file("orders", "Orders", "0rders", "prod"),
            file("shop", "Shop", "sh0p", "prod"),
            file("shop-test", "Shop", "sh0ptest", "test"),
            api("pets", "p1", "us-east-1", &["prod", "test"]),
            api("cats", "c1", "eu-west-1", &["prod"]),
            api("twin", "t1", "us-east-1", &["prod"]),
            api("twin", "t2", "eu-west-1", &[]),
            api("v1.2", "d1", "us-east-1", &["prod"]),
            api("v1", "d2", "us-east-1", &["2"]),
            api("c1", "e1", "us-east-1", &["prod"]),
        ]
    }

    fn ask(text: &str, wants: Wants) -> ResolveRequest {
        let (name, stage) = text.split_once(' ').map_or((text, None), |(name, stage)| (name, Some(stage)));
        ResolveRequest { name: name.into(), stage: stage.map(str::to_owned), wants, ..Default::default() }
    }

    fn found(text: &str, wants: Wants) -> Result<String, String> {
        let found = find(&all(), &ask(text, wants)).map_err(|problem| problem.to_string())?;
        Ok(format!("{} {}", found.id, found.stage.unwrap_or_default()).trim_end().into())
    }

    #[test]
    fn an_api_and_a_stage_are_named_in_one_way() {
        for (text, wants, expected) in [
            ("pets", Wants::Api, "p1"),
            ("p1", Wants::Either, "p1"),
            ("orders", Wants::Api, "0rders"),
            ("Orders", Wants::Stage, "0rders prod"),
            ("pets.prod", Wants::Stage, "p1 prod"),
            ("p1.test", Wants::Either, "p1 test"),
            ("pets test", Wants::Stage, "p1 test"),
            ("cats", Wants::Stage, "c1 prod"),
            ("pets.new", Wants::NewStage, "p1 new"),
            ("pets new", Wants::NewStage, "p1 new"),
            ("cats", Wants::NewStage, "c1 prod"),
            // One title, and one stage each.
            ("Shop.test", Wants::Stage, "sh0ptest test"),
            ("Shop prod", Wants::Stage, "sh0p prod"),
            ("twin.prod", Wants::Stage, "t1 prod"),
            // An id goes before a name.
            ("c1", Wants::Api, "c1"),
            // A name with a dot, where the other reading has no such stage.
            ("v1.2 prod", Wants::Stage, "d1 prod"),
            ("v1.2.prod", Wants::Stage, "d1 prod"),
        ] {
            assert_eq!(found(text, wants).as_deref(), Ok(expected), "{text} {wants:?}");
        }
    }

    #[test]
    fn what_is_wrong_says_what_to_write() {
        for (text, wants, expected) in [
            (
                "pets",
                Wants::Stage,
                "has 2 stages: which one is meant?\n    it has: prod, test; write pets.prod",
            ),
            ("pets.", Wants::NewStage, "API pets (p1) has no stage \"\"\n    it has: prod, test"),
            ("pets.nope", Wants::Stage, "API pets (p1) has no stage \"nope\"\n    it has: prod, test"),
            ("pets nope", Wants::Either, "API pets (p1) has no stage \"nope\""),
            ("t2", Wants::Stage, "API twin (t2) has no stage yet\n    `gateway deploy twin STAGE` makes one"),
            ("pets.prod", Wants::Api, "this is about the whole API pets (p1), not about its stage \"prod\""),
            (
                "twin",
                Wants::Api,
                "2 APIs may be meant by \"twin\"\n    name one by its id: t1 (twin, us-east-1)",
            ),
            ("Shop", Wants::Api, "sh0p (shop of gateway.toml, shop.yaml)"),
            ("v1.2", Wants::Either, "d1 (v1.2, us-east-1); d2 (v1, us-east-1), its stage 2"),
            ("dogs", Wants::Api, "no API has the name or the id \"dogs\"\n    there are: orders (0rders)"),
            ("", Wants::Api, "no API has the name or the id \"\""),
        ] {
            let error = found(text, wants).unwrap_err();
            assert!(error.contains(expected), "{text} {wants:?}: {error}");
        }
        let none = find(&[], &ask("pets", Wants::Api)).unwrap_err();
        assert!(none.mend.starts_with("there is none"), "{none}");
    }

    #[test]
    fn regions_tell_apis_of_one_name_apart() {
        let twin = |region: Option<&str>, home: Option<&str>| {
            let request = ResolveRequest {
                region: region.map(str::to_owned),
                home_region: home.map(str::to_owned),
                ..ask("twin", Wants::Api)
            };
            find(&all(), &request).map(|found| found.id)
        };
        assert_eq!(twin(Some("eu-west-1"), Some("us-east-1")), Ok("t2".into()));
        assert_eq!(twin(None, Some("us-east-1")), Ok("t1".into()));
        assert!(twin(None, Some("eu-central-1")).is_err());
        let none = twin(Some("eu-central-1"), None).unwrap_err();
        assert!(none.what.contains("of the region eu-central-1") && none.mend.contains("--region"), "{none}");
        // One that is alone is found wherever it is.
        let cats = ResolveRequest { home_region: Some("us-east-1".into()), ..ask("cats", Wants::Api) };
        assert_eq!(find(&all(), &cats).unwrap().id, "c1");
    }
}
