//! `uuid`: gives events a random id.

use crate::event::{Event, Text, Value};
use crate::plugin::field::Field;
use crate::plugin::settings::{Default, Kind, Setting, Settings};
use crate::plugin::{Build, BuildContext, BuildError, Filter, FilterContext, PluginSpec};

pub(crate) static UUID: PluginSpec = PluginSpec {
    name: "uuid",
    doc: "Puts a random UUID into a field.",
    settings: &[
        Setting::new("target", Kind::String, "The field for the UUID.").required(),
        Setting::new("overwrite", Kind::Boolean, "Replaces a value that is there.")
            .default(Default::Bool(false)),
    ],
    build: Build::Filter(build),
};

fn build(settings: &Settings, _: &BuildContext) -> Result<Box<dyn Filter>, BuildError> {
    Ok(Box::new(Uuid {
        target: settings.field_of(&settings.text("target").unwrap_or_default()),
        overwrite: settings.bool("overwrite"),
    }))
}

#[derive(Clone, Debug)]
struct Uuid {
    target: Field,
    overwrite: bool,
}

impl Filter for Uuid {
    fn filter(&mut self, event: &mut Event, cx: &mut FilterContext<'_>) {
        let Ok(target) = self.target.get() else { return };
        let wanted = self.overwrite || matches!(event.get(target), None | Some(Value::Null));
        if wanted && event.set(target, random()).is_err() {
            return;
        }
        cx.matched(event);
    }

    fn fork(&self) -> Box<dyn Filter> {
        Box::new(self.clone())
    }
}

/// A random UUID as text.
pub(super) fn random() -> Text {
    let mut buffer = uuid::Uuid::encode_buffer();
    Text::from(&*uuid::Uuid::new_v4().hyphenated().encode_lower(&mut buffer))
}

#[cfg(test)]
mod tests {
    use super::UUID;
    use crate::testing::filtered_json;

    #[test]
    fn ids_are_random_and_kept() {
        let one = filtered_json(&UUID, r#"{"target":"id"}"#, "{}");
        assert_eq!(one.len(), r#"{"id":"00000000-0000-4000-8000-000000000000"}"#.len());
        assert_ne!(one, filtered_json(&UUID, r#"{"target":"id"}"#, "{}"));
        assert_eq!(filtered_json(&UUID, r#"{"target":"id"}"#, r#"{"id":"x"}"#), r#"{"id":"x"}"#);
        assert_ne!(
            filtered_json(&UUID, r#"{"target":"id","overwrite":true}"#, r#"{"id":"x"}"#),
            r#"{"id":"x"}"#
        );
    }
}
