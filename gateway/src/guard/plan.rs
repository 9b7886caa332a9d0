//! Which client calls, by its API key, and what its usage plan allows: a table made with the snapshot, and limits that
//! live on from one snapshot to the next.

use super::meters::{Member, MemberName, Meters, Name};
use super::throttle::{Bucket, Pace};
use crate::model::{self, Allowance, Granted, MethodPath, Quota};
use crate::refusal::{Limit, Refusal};
use crate::snapshot::{Api, ApiIndex, Method};
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

/// Longer keys than AWS's are nobody's.
const VALUE_MAX: usize = 128;

/// The usage plans of a snapshot.
#[derive(Clone, Debug, Default)]
pub struct Plans {
    pub meters: Meters,
    table: Arc<Table>,
    /// By API of the snapshot: the number of its stage in the table. Empty where there are no plans.
    stages: Vec<Option<usize>>,
}

/// Keys and plans, compiled.
#[derive(Default)]
struct Table {
    made_from: Arc<model::UsagePlans>,
    /// Draws where a key stands in `keys`: nobody can tell it from outside, and no lookup's time tells of a key.
    seed: RandomState,
    keys: HashMap<u64, Key>,
    plans: Vec<Plan>,
    /// (API, stage) → number
    numbers: HashMap<(String, String), usize>,
    /// Every key of every plan, held: as long as the table is there, none of them is swept.
    counted: Vec<Counting>,
}

/// A key in a plan, and how it is counted from the table's adoption on.
struct Counting {
    name: MemberName,
    member: Arc<Member>,
    quota: Option<Quota>,
    granted: Option<Granted>,
}

struct Key {
    owner: (String, String),
    id: String,
    name: String,
    value: String,
    enabled: bool,
    places: Vec<Place>,
}

/// A key in one of its plans.
struct Place {
    /// Index into `plans`.
    plan: usize,
    member: Arc<Member>,
    /// By number of the plan's methods with a rate of their own.
    methods: Vec<Arc<Bucket>>,
}

struct Plan {
    owner: (String, String),
    id: String,
    name: String,
    pace: Option<Pace>,
    quota: Option<Quota>,
    /// By number of the stage, sorted.
    stages: Vec<(usize, Paces)>,
}

/// Methods of a stage with a rate of their own: path → method, rate, and number in the plan.
type Paces = HashMap<String, Vec<(String, Pace, usize)>>;

/// The client whose key a request brings, in the plan that covers the stage.
#[derive(Clone, Copy)]
pub struct Client<'s> {
    key: &'s Key,
    plan: &'s Plan,
    place: &'s Place,
    paces: &'s Paces,
}

impl Plans {
    /// `before`: of the snapshot before, whose table is taken over if nothing changed that it was made from.
    pub fn new(
        made_from: &Arc<model::UsagePlans>,
        meters: Meters,
        before: Option<&Self>,
        apis: &[Arc<Api>],
    ) -> Self {
        let same =
            |before: &&Self| Arc::ptr_eq(&before.table.made_from, made_from) && before.meters == meters;
        let table = match before.filter(same) {
            Some(before) => before.table.clone(),
            None => Arc::new(Table::new(made_from.clone(), &meters)),
        };
        let number = |api: &Arc<Api>| table.numbers.get(&(api.id.clone(), api.stage.clone())).copied();
        let stages = if table.numbers.is_empty() { Vec::new() } else { apis.iter().map(number).collect() };
        Self { meters, table, stages }
    }

    /// Whose key is it, and does a plan let it call this stage? As long as nobody knows of any key, no time tells.
    pub fn client(&self, index: ApiIndex, api: &Api, value: Option<&[u8]>) -> Result<Client<'_>, Refusal> {
        let table = &*self.table;
        let refused = |why| Err(Refusal::InvalidApiKey(why));
        let Some(value) = value else { return refused("the request has no x-api-key, or several") };
        let unknown = "no such API key";
        if value.len() > VALUE_MAX {
            return refused(unknown);
        }
        let digest = digest(&table.seed, (&api.account, &api.region), value);
        let Some(key) = table.keys.get(&digest) else { return refused(unknown) };
        let owned = key.owner.0 == api.account && key.owner.1 == api.region;
        if !is_same(key.value.as_bytes(), value) || !owned {
            return refused(unknown);
        }
        if !key.enabled {
            return refused("the API key is disabled");
        }
        let Some(stage) = self.stages.get(index).copied().flatten() else {
            return refused("no usage plan covers the stage");
        };
        let found = key.places.iter().find_map(|place| {
            let plan = &table.plans[place.plan];
            let at = plan.stages.binary_search_by_key(&stage, |(number, _)| *number).ok()?;
            Some(Client { key, plan, place, paces: &plan.stages[at].1 })
        });
        found.ok_or(Refusal::InvalidApiKey("no usage plan of the API key covers the stage"))
    }

    /// In words, for one that is no client of the stage: which key it is, and of which usage plans. None: nobody's.
    pub fn key_shown(&self, index: ApiIndex, api: &Api, value: Option<&[u8]>) -> Option<String> {
        let table = &*self.table;
        let value = value.filter(|value| value.len() <= VALUE_MAX)?;
        let key = table.keys.get(&digest(&table.seed, (&api.account, &api.region), value))?;
        if !is_same(key.value.as_bytes(), value) {
            return None;
        }
        let named = |plan: &Plan| format!("{} ({})", plan.id, plan.name);
        let of: Vec<String> = key.places.iter().map(|place| named(&table.plans[place.plan])).collect();
        let stage = self.stages.get(index).copied().flatten();
        let covers = |plan: &&Plan| plan.stages.iter().any(|(number, _)| Some(*number) == stage);
        let owned = |plan: &&Plan| plan.owner == key.owner;
        let covering: Vec<String> = table.plans.iter().filter(owned).filter(covers).map(named).collect();
        let of = if of.is_empty() { "no usage plan".into() } else { format!("usage plan {}", of.join(", ")) };
        let covered = match covering.as_slice() {
            [] => "no usage plan covers the stage".into(),
            plans => format!("usage plan {} covers the stage", plans.join(", ")),
        };
        Some(format!("API key {} ({}) is of {of}; {covered}", key.id, key.name))
    }

    /// Before the workers adopt it: a key that nobody counts yet goes on with what was written down (`read`: day →
    /// used). Nothing changes for those that are counted already.
    pub fn restore<E>(
        &self,
        mut read: impl FnMut(&MemberName) -> Result<BTreeMap<u32, u64>, E>,
    ) -> Result<(), E> {
        for of in self.table.counted.iter().filter(|of| !of.member.is_restored()) {
            of.member.restore(read(&of.name)?);
            of.member.count_by(of.quota, of.granted, false);
        }
        Ok(())
    }

    /// The workers have adopted it: quotas count as its plans say. `anew`: also where the period is the one before,
    /// because a snapshot with another one has served meanwhile.
    pub fn begin(&self, anew: bool) {
        for of in &self.table.counted {
            of.member.count_by(of.quota, of.granted, anew);
            of.member.sweep_methods();
        }
    }

    /// Every plan with its keys' counters: what `gateway plans` tells.
    pub fn told(&self) -> &Arc<model::UsagePlans> {
        &self.table.made_from
    }
}

impl<'s> Client<'s> {
    pub fn key_id(&self) -> &'s str {
        &self.key.id
    }

    /// What `context.identity.apiKey` says: the request has brought it itself.
    pub fn key_value(&self) -> &'s str {
        &self.key.value
    }

    /// What the plan's quota allows in the period of that day.
    pub(super) fn allowance(&self, day: u32) -> Option<Allowance> {
        self.plan.quota.map(|quota| quota.on(day))
    }

    /// Is nothing left of it?
    pub(super) fn look_at_quota(&self, allowance: Option<Allowance>) -> Result<(), Refusal> {
        match allowance {
            Some(allowance) if self.place.member.usage.remaining(allowance) == 0 => {
                Err(Refusal::QuotaExceeded)
            }
            _ => Ok(()),
        }
    }

    /// The plan's rate for the method, then its own.
    pub(super) fn throttle(&self, method: &Method, verb: &str, now_ns: u64) -> Result<(), Refusal> {
        if let Some((pace, bucket)) = self.own_pace(method, verb) {
            pace.charge(bucket, now_ns).map_err(|_| Refusal::Throttled(Limit::PlanMethod))?;
        }
        match &self.plan.pace {
            Some(pace) => {
                pace.charge(&self.place.member.bucket, now_ns).map_err(|_| Refusal::Throttled(Limit::Plan))
            }
            None => Ok(()),
        }
    }

    pub(super) fn count(&self, allowance: Option<Allowance>, day: u32) -> Result<(), Refusal> {
        self.place.member.usage.charge(allowance, day).map_err(|_| Refusal::QuotaExceeded)
    }

    /// As `throttle`, and nothing is taken.
    pub(super) fn look_at_throttles(&self, method: &Method, verb: &str, now_ns: u64) -> Result<(), Refusal> {
        if let Some((pace, bucket)) = self.own_pace(method, verb)
            && pace.remaining(bucket, now_ns) == 0
        {
            return Err(Refusal::Throttled(Limit::PlanMethod));
        }
        match &self.plan.pace {
            Some(pace) if pace.remaining(&self.place.member.bucket, now_ns) == 0 => {
                Err(Refusal::Throttled(Limit::Plan))
            }
            _ => Ok(()),
        }
    }

    /// Under the request's method, else under the resource's own (ANY).
    fn own_pace(&self, method: &Method, verb: &str) -> Option<(&'s Pace, &'s Bucket)> {
        if self.paces.is_empty() {
            return None;
        }
        let paces = self.paces.get(&method.resource_path)?;
        let of = |name: &str| paces.iter().find(|(known, ..)| known == name);
        let (_, pace, number) = of(verb).or_else(|| of(&method.http_method))?;
        Some((pace, self.place.methods.get(*number)?))
    }

    /// In words: which key by which plan, and what is left.
    pub fn shown(&self, method: &Method, verb: &str, day: u32, now_ns: u64) -> String {
        let (key, plan) = (self.key, self.plan);
        let mut text = format!("API key {} ({}) by usage plan {} ({})", key.id, key.name, plan.id, plan.name);
        if let Some((pace, bucket)) = self.own_pace(method, verb) {
            let left = pace.remaining(bucket, now_ns);
            text += &format!(", {left} left now of the plan's {} for this method", pace.said);
        }
        if let Some(pace) = &plan.pace {
            text +=
                &format!(", {} left now of {}", pace.remaining(&self.place.member.bucket, now_ns), pace.said);
        }
        if let Some(quota) = plan.quota {
            let left = self.place.member.usage.remaining(quota.on(day));
            text +=
                &format!(", {left} left of {} a {}", quota.limit, quota.period.as_str().to_ascii_lowercase());
        }
        text
    }
}

/// Without the secret.
impl fmt::Debug for Client<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({} in {})", self.key.id, self.plan.id)
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({} keys, {} plans)", self.keys.len(), self.plans.len())
    }
}

impl Table {
    fn new(made_from: Arc<model::UsagePlans>, meters: &Meters) -> Self {
        let mut numbers = HashMap::new();
        let mut methods = Vec::new();
        let mut plans = Vec::new();
        for plan in &made_from.plans {
            let (compiled, own) = compiled(plan, &mut numbers);
            plans.push(compiled);
            methods.push(own);
        }
        let counted = counting(&made_from, meters);
        let places = places(&made_from, &counted, &methods);
        loop {
            let seed = RandomState::new();
            if let Some(keys) = keys(&made_from, &seed, &places) {
                return Self { made_from, seed, keys, plans, numbers, counted };
            }
        }
    }
}

/// The plan, and the names of its methods with a rate of their own, by number.
fn compiled(plan: &model::UsagePlan, numbers: &mut HashMap<(String, String), usize>) -> (Plan, Vec<Name>) {
    let mut own = Vec::new();
    let mut stages: Vec<(usize, Paces)> = Vec::new();
    for stage in &plan.stages {
        let next = numbers.len();
        let number = *numbers.entry((stage.api_id.clone(), stage.stage.clone())).or_insert(next);
        let mut paces = Paces::new();
        for (path, said) in &stage.throttles {
            let (MethodPath::One { path, method }, Some(pace)) = (path, Pace::new(*said)) else { continue };
            paces.entry(path.clone()).or_default().push((method.clone(), pace, own.len()));
            own.push(Name::Method {
                api: stage.api_id.clone(),
                stage: stage.stage.clone(),
                path: path.clone(),
                method: method.clone(),
            });
        }
        stages.push((number, paces));
    }
    stages.sort_by_key(|(number, _)| *number);
    let plan = Plan {
        owner: (plan.account.clone(), plan.region.clone()),
        id: plan.id.clone(),
        name: plan.name.clone(),
        pace: plan.throttle.and_then(Pace::new),
        quota: plan.quota,
        stages,
    };
    (plan, own)
}

/// By owner and id of a key: its places in plans.
type Places<'m> = HashMap<(&'m str, &'m str, &'m str), Vec<(usize, Arc<Member>, Vec<Arc<Bucket>>)>>;

/// Plan by plan, key by key.
fn counting(made_from: &model::UsagePlans, meters: &Meters) -> Vec<Counting> {
    let of_plan = |plan: &model::UsagePlan, key: &model::PlanKey| {
        let name = MemberName {
            account: plan.account.clone(),
            region: plan.region.clone(),
            plan: plan.id.clone(),
            key: key.id.clone(),
        };
        Counting { member: meters.member(&name), name, quota: plan.quota, granted: key.granted }
    };
    made_from.plans.iter().flat_map(|plan| plan.keys.iter().map(move |key| of_plan(plan, key))).collect()
}

fn places<'m>(made_from: &'m model::UsagePlans, counted: &[Counting], methods: &[Vec<Name>]) -> Places<'m> {
    let mut places = Places::new();
    let mut counted = counted.iter();
    for (index, plan) in made_from.plans.iter().enumerate() {
        for (key, Counting { member, .. }) in plan.keys.iter().zip(counted.by_ref()) {
            let own = methods[index].iter().map(|name| member.method(name.clone())).collect();
            let place = (index, member.clone(), own);
            places.entry((&plan.account, &plan.region, &key.id)).or_default().push(place);
        }
    }
    places
}

/// None: two keys have one digest, and another seed is needed. Of two with one value the first one stands.
fn keys(made_from: &model::UsagePlans, seed: &RandomState, places: &Places<'_>) -> Option<HashMap<u64, Key>> {
    let mut keys = HashMap::with_capacity(made_from.keys.len());
    for key in &made_from.keys {
        let found = places.get(&(&*key.account, &*key.region, &*key.id)).into_iter().flatten();
        let compiled = Key {
            owner: (key.account.clone(), key.region.clone()),
            id: key.id.clone(),
            name: key.name.clone(),
            value: key.value.clone(),
            enabled: key.enabled,
            places: found
                .map(|(plan, member, methods)| Place {
                    plan: *plan,
                    member: member.clone(),
                    methods: methods.clone(),
                })
                .collect(),
        };
        let digest = digest(seed, (&key.account, &key.region), key.value.as_bytes());
        match keys.entry(digest) {
            Entry::Vacant(free) => drop(free.insert(compiled)),
            Entry::Occupied(taken)
                if taken.get().value == key.value && taken.get().owner == compiled.owner => {}
            Entry::Occupied(_) => return None,
        }
    }
    Some(keys)
}

fn digest(seed: &RandomState, (account, region): (&str, &str), value: &[u8]) -> u64 {
    let mut hasher = seed.build_hasher();
    for part in [account.as_bytes(), region.as_bytes(), value] {
        hasher.write_usize(part.len());
        hasher.write(part);
    }
    hasher.finish()
}

/// In a time that tells the lengths alone.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    let differ = a.iter().zip(b).fold(0, |differ, (a, b)| std::hint::black_box(differ | (a ^ b)));
    a.len() == b.len() && differ == 0
}

#[cfg(test)]
mod tests;
