//! The APIs of the store by their names, with their stages.

use super::Aws;
use crate::aws;
use crate::control::types::Named;
use crate::store::Failed;
use std::collections::HashMap;

impl Aws {
    pub(in crate::control) fn named(&self) -> Result<Vec<Named>, Failed> {
        let mut stages: HashMap<String, Vec<String>> = HashMap::new();
        for (key, _) in self.all("stages/")? {
            let Some((api, stage)) = key.trim_start_matches("stages/").rsplit_once('/') else { continue };
            stages.entry(api.into()).or_default().push(stage.into());
        }
        let mut found = Vec::new();
        for (key, api) in self.all("apis/")? {
            let scope = key.trim_start_matches("apis/");
            let mut parts = scope.splitn(3, '/');
            let (Some(account), Some(region), Some(id)) = (parts.next(), parts.next(), parts.next()) else {
                continue;
            };
            found.push(Named {
                // One that is damaged is told by its id alone.
                name: aws::name_of(&api.value).unwrap_or_default(),
                id: id.into(),
                account: account.into(),
                region: region.into(),
                managed_by: "aws".into(),
                file: None,
                stage: None,
                stages: stages.remove(scope).unwrap_or_default(),
            });
        }
        Ok(found)
    }
}
