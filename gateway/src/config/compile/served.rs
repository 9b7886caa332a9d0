//! What each listener serves, and what follows from it: the API that any host means there, and what to warn of.

use super::{Compiler, Part};
use crate::config::{Listener, XdpMode};
use crate::guard::endpoint::serves;
use crate::model::{EndpointType, Place, Severity, SourceLimits};
use crate::snapshot::{self, ApiIndex};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The APIs that the listener serves, whoever asks.
fn served<'a>(
    listener: &'a snapshot::Listener,
    apis: &'a [Arc<snapshot::Api>],
) -> impl Iterator<Item = ApiIndex> + 'a {
    let named = |index: &ApiIndex| listener.apis.as_ref().is_none_or(|apis| apis.contains(index));
    let kind = |index: &ApiIndex| {
        serves(listener.vpc.is_some(), listener.apis.is_some(), apis[*index].endpoint_type)
    };
    (0..apis.len()).filter(move |index| named(index) && kind(index))
}

/// All stages that the listener serves are of one API: the first of them.
fn only_id(listener: &snapshot::Listener, apis: &[Arc<snapshot::Api>]) -> Option<ApiIndex> {
    let named = || served(listener, apis).filter(|index| apis[*index].default_endpoint);
    let first = named().next()?;
    named().all(|index| apis[index].id == apis[first].id).then_some(first)
}

impl Compiler<'_> {
    /// Per listener: the one API that `/{stage}/...` means whatever the host. An API that was left out counts as one
    /// that the listener may serve: nobody knows its type, and another must not answer in its place.
    pub(super) fn only_apis(
        &self,
        listeners: &[snapshot::Listener],
        apis: &[Arc<snapshot::Api>],
        parts: &[Part],
    ) -> Vec<Option<ApiIndex>> {
        let written = self.document.apis.iter().filter(|entry| entry.owner.is_none()).count();
        if written == 0 {
            return listeners.iter().map(|listener| only_id(listener, apis)).collect();
        }
        // What is made through the AWS API later takes nothing from whoever calls a file's API without its host. The
        // files' APIs go first.
        let apis = &apis[..parts.iter().take_while(|part| !part.is_stored()).count()];
        let whole = apis.len() == written;
        let only = |(entry, listener): (&Listener, &snapshot::Listener)| {
            let named = entry.apis.as_ref().map_or(written, Vec::len);
            if named == 1 {
                // Also where the listener does not serve it: the endpoint rule refuses it then.
                return listener
                    .apis
                    .as_ref()
                    .map_or((!apis.is_empty()).then_some(0), |a| a.first().copied());
            }
            let loaded = listener.apis.as_ref().map_or(whole, |apis| apis.len() == named);
            let mut served = served(listener, apis).filter(|_| loaded);
            let first = served.next();
            first.filter(|_| served.next().is_none())
        };
        let only = |pair| only(pair).filter(|index| apis[*index].default_endpoint);
        self.document.listeners.iter().zip(listeners).map(only).collect()
    }

    /// A PRIVATE API beside public ones: outsiders get as far as the worker.
    pub(super) fn check_shared(
        &mut self,
        listeners: &[snapshot::Listener],
        apis: &[Arc<snapshot::Api>],
        parts: &[Part],
    ) {
        let document = self.document;
        for (entry, listener) in document.listeners.iter().zip(listeners) {
            if listener.kernel_private {
                continue;
            }
            let (private, others): (Vec<_>, Vec<_>) =
                served(listener, apis).partition(|index| apis[*index].endpoint_type == EndpointType::Private);
            let (Some(first), Some(vpc)) = (private.first(), &entry.vpc) else { continue };
            let name = |index: &ApiIndex| match parts[*index].is_stored() {
                true => parts[*index].shown(),
                false => apis[*index].name.clone(),
            };
            let names = |indices: &[ApiIndex]| indices.iter().map(name).collect::<Vec<_>>().join(", ");
            let what = format!(
                "the listener `{}` serves the PRIVATE API {} beside others ({}): outsiders are refused by the worker \
                 (403), not in the kernel",
                entry.name,
                names(&private),
                names(&others)
            );
            let instead = format!(
                "a listener of its own (apis = [\"{}\"], vpc = \"{vpc}\") closes it in the kernel",
                apis[*first].name
            );
            self.find(Severity::Warning, &document.file, entry.place, what, &instead);
        }
    }

    /// Only the kernel enforces limits of sources.
    pub(super) fn check_limits(&mut self, listeners: &[snapshot::Listener]) {
        let document = self.document;
        if document.xdp.mode != XdpMode::Off && !document.xdp.interfaces.is_empty() {
            return;
        }
        let limited =
            |(_, listener): &(&Listener, &snapshot::Listener)| listener.limits != SourceLimits::NONE;
        let Some((entry, listener)) = document.listeners.iter().zip(listeners).find(limited) else { return };
        let what = format!("nobody enforces the limits of listener `{}`: [xdp] is off", listener.name);
        let instead = "name the interfaces under [xdp], interfaces = [\"eth0\"], or remove `limit`";
        self.find(Severity::Warning, &document.file, entry.place, what, instead);
    }

    /// An API that no listener serves.
    pub(super) fn check_reachable(
        &mut self,
        listeners: &[snapshot::Listener],
        apis: &[Arc<snapshot::Api>],
        parts: &[Part],
    ) {
        let document = self.document;
        let mut unreachable: BTreeSet<ApiIndex> = (0..apis.len()).collect();
        for listener in listeners {
            served(listener, apis).for_each(|index| _ = unreachable.remove(&index));
        }
        for index in unreachable {
            let (api, part) = (&apis[index], &parts[index]);
            let entry = &part.made_from.entry;
            let (what, instead) = match api.endpoint_type {
                EndpointType::Private => ("is PRIVATE and no listener of a VPC serves it", "a `vpc`"),
                _ => ("is public and no public listener serves it", "neither `vpc` nor `apis`"),
            };
            if part.is_stored() {
                let (file, what) = (part.shown(), format!("it {what}"));
                let instead = format!("write a [[listener]] with {instead} in gateway.toml");
                self.find(Severity::Warning, file.as_ref(), Place::default(), what, &instead);
                continue;
            }
            let what = format!("`{}` {what}", entry.name);
            let instead =
                format!("write a [[listener]] with {instead}, or one with apis = [\"{}\"]", entry.name);
            self.find(Severity::Warning, &document.file, entry.place, what, &instead);
        }
    }
}
