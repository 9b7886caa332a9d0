//! Request bodies against the models of their method (validateRequestBody).

use super::Permit;
use crate::http::RequestHead;
use crate::refusal::Refusal;
use crate::schema::Schema;
use std::sync::Arc;

/// A method's models.
#[derive(Debug, Default)]
pub struct BodyModels {
    by_type: Vec<BodyModel>,
}

/// What bodies of one media type are checked by.
#[derive(Debug)]
pub struct BodyModel {
    /// Lower case, or `$default`.
    pub media_type: String,
    pub name: String,
    /// Err: why it cannot be asked.
    pub schema: Result<Arc<Schema>, Arc<str>>,
}

impl BodyModels {
    pub fn new(by_type: Vec<BodyModel>) -> Self {
        Self { by_type }
    }

    /// The model for the request's media type, which is application/json where it says none. None: nothing is checked,
    /// as in AWS.
    fn choose(&self, head: &RequestHead) -> Option<&BodyModel> {
        let field = head.field("content-type").and_then(|value| std::str::from_utf8(value).ok());
        let media_type = field.and_then(|text| text.split(';').next()).map_or("application/json", str::trim);
        let of =
            |wanted: &str| self.by_type.iter().find(|model| model.media_type.eq_ignore_ascii_case(wanted));
        of(media_type).or_else(|| of("$default"))
    }
}

impl<'s> Permit<'s> {
    /// By what the body is checked. None: by nothing.
    pub fn body_model(&self, head: &RequestHead) -> Result<Option<&'s BodyModel>, Refusal> {
        let models = self.method.body.as_ref();
        // Two types would choose one model or conversion here and another reading at the backend.
        if (models.is_some() || self.method.integration.converts_requests())
            && head.fields_named("content-type").nth(1).is_some()
        {
            return Err(Refusal::UnsupportedMediaType);
        }
        Ok(models.and_then(|models| models.choose(head)))
    }
}

impl BodyModel {
    /// May the whole body pass?
    pub fn check(&self, body: &[u8]) -> Result<(), Refusal> {
        match &self.schema {
            Ok(schema) => schema.check(body).map_err(Refusal::InvalidBody),
            Err(why) => Err(Refusal::ApiConfiguration(
                format!("bodies cannot be checked by the model `{}`: {why}", self.name).into(),
            )),
        }
    }
}
