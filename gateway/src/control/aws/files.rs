//! The APIs of `gateway.toml`, as the AWS API tells of them: made of what runs, kept while it does not change.

use crate::aws::{self, FileApi};
use crate::config::ApiEntry;
use crate::control::candidate::Running;
use crate::model::{EndpointType, RestApi};
use crate::observe::log;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

pub(super) type Objects = BTreeMap<String, Vec<u8>>;

#[derive(Default)]
pub(super) struct Files(RefCell<Made>);

#[derive(Default)]
struct Made {
    /// For that generation.
    generation: u64,
    all: Rc<Objects>,
    of: Vec<One>,
}

/// One API, with all that its objects are made of.
#[derive(Clone)]
struct One {
    entry: ApiEntry,
    api: Arc<RestApi>,
    id: String,
    endpoint_type: Option<EndpointType>,
    objects: Rc<Objects>,
}

impl Files {
    pub(super) fn of(&self, running: &Running) -> Rc<Objects> {
        let mut made = self.0.borrow_mut();
        if made.generation == running.snapshot.generation {
            return made.all.clone();
        }
        let of: Vec<One> = files(running).map(|one| kept(&made.of, one, running)).collect();
        let same = of.len() == made.of.len()
            && of.iter().zip(&made.of).all(|(new, old)| Rc::ptr_eq(&new.objects, &old.objects));
        if !same {
            let objects = of.iter().flat_map(|one| one.objects.iter());
            made.all = Rc::new(objects.map(|(key, value)| (key.clone(), value.clone())).collect());
        }
        made.of = of;
        made.generation = running.snapshot.generation;
        made.all.clone()
    }
}

/// Those that were read, without their objects.
fn files(running: &Running) -> impl Iterator<Item = One> {
    let document = &running.loaded.document;
    document.apis.iter().zip(&running.loaded.apis).filter_map(|(entry, api)| {
        let api = api.as_ref().ok().filter(|_| entry.owner.is_none())?;
        let remembered = &running.remembered;
        Some(One {
            entry: entry.clone(),
            api: api.clone(),
            id: entry.id.clone().or_else(|| remembered.ids.get(&entry.name).cloned())?,
            endpoint_type: remembered.endpoint_types.get(&entry.name).copied(),
            objects: Rc::default(),
        })
    })
}

fn kept(before: &[One], mut one: One, running: &Running) -> One {
    let same = |old: &&One| {
        Arc::ptr_eq(&old.api, &one.api)
            && (&old.id, &old.entry, old.endpoint_type) == (&one.id, &one.entry, one.endpoint_type)
    };
    one.objects = match before.iter().find(same) {
        Some(old) => old.objects.clone(),
        None => Rc::new(made(&one, running)),
    };
    one
}

fn made(one: &One, running: &Running) -> Objects {
    let (entry, node) = (&one.entry, &running.loaded.document.node);
    let Some(text) = running.loaded.sources.text(&entry.file) else { return Objects::new() };
    let changed = std::fs::metadata(&entry.file).and_then(|metadata| metadata.modified()).ok();
    let changed =
        changed.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map_or(0, |since| since.as_secs());
    let of = FileApi {
        name: &entry.name,
        id: &one.id,
        file: &entry.file,
        text,
        stage: &entry.stage,
        variables: &entry.stage_variables,
        settings: &entry.settings,
        endpoint_type: one.endpoint_type,
        account: &node.account,
        region: &node.region,
        changed: i64::try_from(changed).unwrap_or(i64::MAX),
    };
    aws::file_objects(&of).unwrap_or_else(|fault| {
        let why = &fault.message;
        log(
            "warning",
            "aws",
            format_args!("the API {} is served, and the AWS API cannot tell of it: {why}", entry.name),
        );
        Objects::new()
    })
}
