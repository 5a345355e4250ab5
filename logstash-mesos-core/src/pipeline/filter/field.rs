//! Fields that a configuration names, known at start or only with the event.

use std::borrow::Cow;

use crate::event::{Event, FieldReference, InvalidReference, Template, Text, Value};

/// Something Logstash's plugin raises an error for while it works on an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failed;

impl<T> From<T> for Failed
where
    T: std::error::Error,
{
    fn from(_: T) -> Self {
        Self
    }
}

/// A field reference that Logstash only looks at when it works on an event: a bad one fails there.
#[derive(Clone, Debug)]
pub(crate) struct Field(Result<FieldReference, InvalidReference>);

impl Field {
    /// The field named `text`.
    pub(crate) fn new(text: &str) -> Self {
        Self(reference(text))
    }

    /// The reference, or the failure.
    pub(crate) fn get(&self) -> Result<&FieldReference, Failed> {
        self.0.as_ref().map_err(|_| Failed)
    }
}

/// A field whose name may contain `%{…}`.
#[derive(Clone, Debug)]
pub(crate) enum NamedField {
    /// The same for every event.
    Constant(Field),
    /// Expanded for each event.
    Template(Template),
}

impl NamedField {
    /// The field named by the sprintf text `name`.
    pub(crate) fn new(name: &str) -> Self {
        let template = Template::parse(name);
        if template.is_constant() { Self::Constant(Field::new(name)) } else { Self::Template(template) }
    }

    /// The field for this event.
    pub(crate) fn resolve(&self, event: &Event) -> Result<Cow<'_, Field>, Failed> {
        match self {
            Self::Constant(field) => Ok(Cow::Borrowed(field)),
            Self::Template(template) => Ok(Cow::Owned(Field::new(&template.render(event)?))),
        }
    }
}

/// Sets the fields that the keys of the data name, as `event.set(key, value)` does for each. `entries` are those of
/// a hash: no key comes twice.
pub(crate) fn set_all(
    event: &mut Event,
    entries: impl ExactSizeIterator<Item = (Text, Value)>,
) -> Result<(), Failed> {
    event.fields_mut().reserve(entries.len());
    // The keys differ among themselves, so each is looked for among those from before only, unless one of them
    // was a reference and set another field than it says.
    let mut old = event.fields().len();
    for (key, value) in entries {
        if is_reference(&key) {
            event.set(&reference(&key)?, value)?;
            old = usize::MAX;
        } else {
            let old = old.min(event.fields().len());
            event.fields_mut().insert_among(old, key, value);
        }
    }
    Ok(())
}

/// Sets the field that a key of the data names, as `event.set(key, value)` does.
pub(crate) fn set_named(event: &mut Event, key: Text, value: Value) -> Result<(), Failed> {
    set_all(event, std::iter::once((key, value)))
}

fn is_reference(key: &str) -> bool {
    key.bytes().any(|byte| matches!(byte, b'[' | b']')) || matches!(key, "tags" | "@timestamp" | "@metadata")
}

/// The reference of a name given by a configuration or by data; the empty name is a field too.
pub(crate) fn reference(name: &str) -> Result<FieldReference, InvalidReference> {
    if name.is_empty() { Ok(FieldReference::field(Text::new())) } else { FieldReference::parse(name) }
}

/// Adds each of `tags`.
pub(crate) fn tag_all(event: &mut Event, tags: &[Text]) {
    for tag in tags {
        event.tag(tag);
    }
}
