//! Does an instance fit a schema? All complaints at once, as AWS's validator words and orders them: what is held by
//! something that does not fit is not looked at.

use super::json::{BYTES_PER_STEP, Json, Number, quoted};
use super::{Check, Inner, NodeId, Pattern, Schema, Types};
use std::cmp::Ordering;
use std::collections::HashSet;

/// What one body may cost: a step is a schema asked of a value, or some bytes of a text looked at.
const STEPS_MAX: u64 = 10_000_000;
/// Schemas within schemas and values within values that are asked at one time. Values alone nest to 128.
const DEPTH_MAX: usize = 400;
/// Complaints that are told.
const COMPLAINTS_MAX: usize = 20;
/// A text within a complaint.
const SHOWN_CHARS_MAX: usize = 100;

/// Err: the complaints.
pub(super) fn check(schema: &Schema, instance: &Json<'_>) -> Result<(), String> {
    Walk::through(schema, instance).0
}

struct Walk<'s> {
    schema: &'s Schema,
    steps: u64,
    depth: usize,
    complaints: Vec<String>,
    /// It took too much; whatever was found does not count.
    spent: Option<&'static str>,
}

impl<'s> Walk<'s> {
    /// With the steps that it took.
    fn through(schema: &'s Schema, instance: &Json<'_>) -> (Result<(), String>, u64) {
        let mut walk = Self { schema, steps: 0, depth: 0, complaints: Vec::new(), spent: None };
        let fits = walk.fits(0, instance);
        let said = match (walk.spent, fits) {
            (Some(why), _) => Err(format!("[{why}]")),
            (None, true) => Ok(()),
            (None, false) => Err(format!("[{}]", walk.complaints.join(", "))),
        };
        (said, walk.steps)
    }

    fn spend(&mut self, steps: u64) -> bool {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > STEPS_MAX {
            self.spent.get_or_insert("the body takes too long to check");
        }
        self.spent.is_none()
    }

    fn complain(&mut self, complaint: impl FnOnce() -> String) -> bool {
        if self.complaints.len() < COMPLAINTS_MAX {
            self.complaints.push(complaint());
        }
        false
    }

    fn fits(&mut self, id: NodeId, instance: &Json<'_>) -> bool {
        let Some(node) = self.schema.nodes.get(id).filter(|_| self.spend(1)) else { return false };
        if self.depth >= DEPTH_MAX {
            self.spent.get_or_insert("the body or its schema is nested too deeply");
            return false;
        }
        self.depth += 1;
        let mut fits = true;
        for check in &node.own {
            fits &= self.spent.is_none() && self.passes(check, instance);
        }
        if fits {
            for inner in &node.inner {
                fits &= self.holds(inner, instance);
            }
        }
        self.depth -= 1;
        fits
    }

    /// As `fits`, and nobody hears why not.
    fn fits_silently(&mut self, id: NodeId, instance: &Json<'_>) -> bool {
        let told = self.complaints.len();
        let fits = self.fits(id, instance);
        self.complaints.truncate(told);
        fits
    }

    fn passes(&mut self, check: &Check, instance: &Json<'_>) -> bool {
        match (check, instance) {
            (Check::Type(types), _) => self.has_type(*types, instance),
            (Check::Enum { values, cost }, _) => {
                self.spend(*cost) && values.iter().any(|value| value == instance)
                    || self.complain(|| {
                        let values: Vec<String> = values.iter().map(shown).collect();
                        let values = values.join(",");
                        format!(
                            "instance value ({}) not found in enum (possible values: [{values}])",
                            shown(instance)
                        )
                    })
            }
            (Check::Reference(id), _) => self.fits(*id, instance),
            (Check::AllOf(ids), _) => self.counted(ids, instance, |found, all| {
                (found < all).then(|| {
                    format!(
                        "instance failed to match all required schemas (matched only {found} out of {all})"
                    )
                })
            }),
            (Check::AnyOf(ids), _) => self.counted(ids, instance, |found, all| {
                (found == 0)
                    .then(|| format!("instance failed to match at least one required schema among {all}"))
            }),
            (Check::OneOf(ids), _) => self.counted(ids, instance, |found, all| {
                (found != 1).then(|| {
                    format!("instance failed to match exactly one schema (matched {found} out of {all})")
                })
            }),
            (Check::Not(id), _) => {
                !self.fits_silently(*id, instance)
                    || self.complain(|| "instance matched a schema which it should not have".into())
            }
            (_, Json::Number(number)) => self.number(check, *number),
            (_, Json::Text(text)) => self.text(check, text),
            (_, Json::List(list)) => self.list(check, list),
            (_, Json::Map(map)) => self.map(check, map, instance),
            (_, Json::Null | Json::Bool(_)) => true,
        }
    }

    fn has_type(&mut self, types: Types, instance: &Json<'_>) -> bool {
        let name = instance.type_name();
        types.has(name)
            || self.complain(|| {
                let allowed: Vec<String> = types.names().into_iter().map(quoted).collect();
                let allowed = allowed.join(",");
                format!(
                    "instance type ({name}) does not match any allowed primitive type (allowed: [{allowed}])"
                )
            })
    }

    /// How many of the schemas fit decides.
    fn counted(
        &mut self,
        ids: &[NodeId],
        instance: &Json<'_>,
        complaint: impl FnOnce(usize, usize) -> Option<String>,
    ) -> bool {
        let found = ids.iter().filter(|id| self.fits_silently(**id, instance)).count();
        complaint(found, ids.len()).is_none_or(|complaint| self.complain(|| complaint))
    }

    fn number(&mut self, check: &Check, number: Number) -> bool {
        match check {
            Check::Minimum { limit, exclusive } => match number.order(*limit) {
                Ordering::Greater => true,
                Ordering::Equal if !exclusive => true,
                Ordering::Equal => self.complain(|| {
                    format!("numeric instance is not strictly greater than the required minimum {limit}")
                }),
                Ordering::Less => self.complain(|| {
                    format!(
                        "numeric instance is lower than the required minimum (minimum: {limit}, found: {number})"
                    )
                }),
            },
            Check::Maximum { limit, exclusive } => match number.order(*limit) {
                Ordering::Less => true,
                Ordering::Equal if !exclusive => true,
                Ordering::Equal => self.complain(|| {
                    format!("numeric instance is not strictly lower than the required maximum {limit}")
                }),
                Ordering::Greater => self.complain(|| {
                    format!(
                        "numeric instance is greater than the required maximum (maximum: {limit}, found: {number})"
                    )
                }),
            },
            Check::MultipleOf(divisor) => {
                number.is_multiple_of(*divisor)
                    || self.complain(|| format!("remainder of division is not zero ({number} / {divisor})"))
            }
            _ => true,
        }
    }

    fn text(&mut self, check: &Check, text: &str) -> bool {
        let length = |walk: &mut Self| {
            walk.spend(text.len() as u64 / 64);
            text.chars().count() as u64
        };
        match check {
            Check::MinLength(least) => {
                let length = length(self);
                let complaint = || {
                    let text = short(text);
                    format!("string \"{text}\" is too short (length: {length}, required minimum: {least})")
                };
                length >= *least || self.complain(complaint)
            }
            Check::MaxLength(most) => {
                let length = length(self);
                let complaint = || {
                    let text = short(text);
                    format!("string \"{text}\" is too long (length: {length}, maximum allowed: {most})")
                };
                length <= *most || self.complain(complaint)
            }
            Check::Pattern(pattern) => {
                self.matches(pattern, text)
                    || self.complain(|| {
                        let (pattern, text) = (short(&pattern.text), short(text));
                        format!("ECMA 262 regex \"{pattern}\" does not match input string \"{text}\"")
                    })
            }
            Check::Format(format) => {
                self.spend(text.len() as u64 / 64);
                format.has(text)
                    || self.complain(|| format!("string \"{}\" {}", short(text), format.complaint()))
            }
            _ => true,
        }
    }

    /// Its time is the pattern's size times the text's, and paid before.
    fn matches(&mut self, pattern: &Pattern, text: &str) -> bool {
        self.spend(2 * pattern.cost * (text.len() as u64 + 1)) && pattern.regex.is_match(text)
    }

    fn list(&mut self, check: &Check, list: &[Json<'_>]) -> bool {
        let length = list.len() as u64;
        match check {
            Check::MinItems(least) => {
                length >= *least || self.complain(|| {
                    format!(
                        "array is too short: must have at least {least} elements but instance has {length} \
                             elements"
                    )
                })
            }
            Check::MaxItems(most) | Check::ItemsAtMost(most) => length <= *most || self.complain(|| {
                format!(
                    "array is too long: must have at most {most} elements but instance has {length} elements"
                )
            }),
            Check::Unique => {
                let mut seen = HashSet::with_capacity(list.len().min(1024));
                self.spend(length);
                // Their texts are written out: in nested lists at each level once more.
                let mut fresh = |item: &Json<'_>| {
                    let mut text = String::new();
                    item.write_canonical(&mut text);
                    self.spend(text.len() as u64 / BYTES_PER_STEP) && seen.insert(text)
                };
                list.iter().all(&mut fresh)
                    || self.spent.is_some()
                    || self.complain(|| "array must not contain duplicate elements".into())
            }
            _ => true,
        }
    }

    fn map(
        &mut self,
        check: &Check,
        map: &[(std::borrow::Cow<'_, str>, Json<'_>)],
        instance: &Json<'_>,
    ) -> bool {
        let length = map.len() as u64;
        let has = |name: &str| map.binary_search_by(|(known, _)| known.as_ref().cmp(name)).is_ok();
        match check {
            Check::Required(names) => {
                self.spend(names.len() as u64);
                let missing: Vec<&str> = names.iter().map(String::as_str).filter(|name| !has(name)).collect();
                missing.is_empty()
                    || self
                        .complain(|| format!("object has missing required properties ({})", listed(&missing)))
            }
            Check::MinProperties(least) => {
                length >= *least || self.complain(|| {
                    format!(
                        "object has too few properties (found {length} but schema requires at least {least})"
                    )
                })
            }
            Check::MaxProperties(most) => {
                length <= *most || self.complain(|| {
                    format!(
                        "object has too many properties (found {length} but schema requires at most {most})"
                    )
                })
            }
            Check::Only(names, patterns) => {
                let mut others = Vec::new();
                for (name, _) in map {
                    if !self.spend(1) {
                        return false;
                    }
                    let named = names.binary_search_by(|known| known.as_str().cmp(name)).is_ok();
                    if !named && !patterns.iter().any(|pattern| self.matches(pattern, name)) {
                        others.push(name.as_ref());
                    }
                }
                others.is_empty()
                    || self.complain(|| {
                        let others = listed(&others);
                        format!(
                            "object instance has properties which are not allowed by the schema: {others}"
                        )
                    })
            }
            Check::Needs(name, needed) if has(name) => {
                self.spend(needed.len() as u64);
                let missing: Vec<&str> =
                    needed.iter().map(String::as_str).filter(|name| !has(name)).collect();
                missing.is_empty()
                    || self.complain(|| {
                        let needed: Vec<&str> = needed.iter().map(String::as_str).collect();
                        format!(
                            "property {} of object has missing property dependencies (schema requires {}; missing: {})",
                            quoted(name),
                            listed(&needed),
                            listed(&missing)
                        )
                    })
            }
            Check::NeedsSchema(name, id) if has(name) => self.fits(*id, instance),
            _ => true,
        }
    }

    fn holds(&mut self, inner: &Inner, instance: &Json<'_>) -> bool {
        let mut fits = true;
        match (inner, instance) {
            (Inner::Items { first, rest }, Json::List(list)) => {
                self.spend(list.len() as u64);
                for (at, item) in list.iter().enumerate() {
                    if let Some(id) = first.get(at).or(rest.as_ref()) {
                        fits &= self.fits(*id, item);
                    }
                    if self.spent.is_some() {
                        return false;
                    }
                }
            }
            (Inner::Properties { named, patterns, rest }, Json::Map(map)) => {
                self.spend(map.len() as u64);
                for (name, value) in map {
                    let own = named.binary_search_by(|(known, _)| known.as_str().cmp(name));
                    let own = own.ok().and_then(|at| named.get(at));
                    let mut met = own.is_some();
                    fits &= own.is_none_or(|(_, id)| self.fits(*id, value));
                    for (pattern, id) in patterns {
                        if self.matches(pattern, name) {
                            met = true;
                            fits &= self.fits(*id, value);
                        }
                    }
                    if let Some(id) = rest.filter(|_| !met) {
                        fits &= self.fits(id, value);
                    }
                    if self.spent.is_some() {
                        return false;
                    }
                }
            }
            _ => {}
        }
        fits
    }
}

fn listed(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().take(COMPLAINTS_MAX).map(|name| quoted(&short(name))).collect();
    format!("[{}]", names.join(","))
}

fn shown(value: &Json<'_>) -> String {
    match value {
        Json::Text(text) => quoted(&short(text)),
        // What is long is told by its kind, and nothing is written out to be cut.
        Json::List(list) if list.len() > 4 || list.iter().any(Json::holds) => "[...]".into(),
        Json::List(list) => format!("[{}]", list.iter().map(shown).collect::<Vec<_>>().join(",")),
        Json::Map(_) => "{...}".into(),
        other => {
            let mut text = String::new();
            other.write_canonical(&mut text);
            text
        }
    }
}

/// The text, if it is not too long for a message.
fn short(text: &str) -> String {
    let mut out: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if text.chars().nth(SHOWN_CHARS_MAX).is_some() {
        out.push_str("...");
    }
    out
}

#[cfg(test)]
mod tests;
