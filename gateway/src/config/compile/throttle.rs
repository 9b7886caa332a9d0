//! What limits a stage's methods and its account. The budgets are the process's: they go on when settings change.

use super::Compiler;
use super::part::MadeFrom;
use crate::guard::meters::Name;
use crate::guard::throttle::Throttle;
use crate::http::Method;
use crate::model;
use crate::snapshot::MethodLimits;

const METHODS: [Method; 7] =
    [Method::Get, Method::Head, Method::Post, Method::Put, Method::Patch, Method::Delete, Method::Options];

impl Compiler<'_> {
    /// Each method has a budget of its own, also where `*/*` gives the rate.
    pub(super) fn method_limits(
        &self,
        made_from: &MadeFrom,
        path: &str,
        method: &model::Method,
    ) -> Option<Box<MethodLimits>> {
        let settings = &made_from.entry.settings;
        let throttle = |setting: &model::MethodSetting, verb: &str| {
            Throttle::new(setting.throttle(), || {
                self.meters.bucket(Name::Method {
                    api: made_from.id.clone(),
                    stage: made_from.entry.stage.clone(),
                    path: path.to_owned(),
                    method: verb.to_owned(),
                })
            })
        };
        let others = settings.setting(path, &method.http_method);
        let others = others.and_then(|setting| throttle(setting, &method.http_method));
        let api_key_required = method.api_key_required;
        let own = METHODS.into_iter().filter(|_| method.http_method == "ANY").filter_map(|verb| {
            let setting = settings.own_setting(path, verb.as_str())?;
            Some((verb, throttle(setting, verb.as_str())))
        });
        let own: Vec<_> = own.collect();
        let limits =
            api_key_required || others.is_some() || own.iter().any(|(_, throttle)| throttle.is_some());
        limits.then(|| Box::new(MethodLimits { api_key_required, throttle: others, own }))
    }

    /// All APIs of an account and region have one budget.
    pub(super) fn account_throttle(&self, made_from: &MadeFrom) -> Option<Throttle> {
        let MadeFrom { account, region, account_throttle, .. } = made_from;
        Throttle::new((*account_throttle)?, || {
            self.meters.bucket(Name::Account { account: account.clone(), region: region.clone() })
        })
    }
}
