//! Fields that a configuration names, known at start or only with the event.

use std::borrow::Cow;

use crate::event::{
    EscapeStyle, Event, FieldReference, InvalidReference, Template, Text, Value, is_reference,
};

/// Something Logstash's plugin raises an error for while it works on an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed;

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
pub struct Field(Result<FieldReference, InvalidReference>);

impl Field {
    /// The field named `text`.
    pub fn new(text: &str, style: EscapeStyle) -> Self {
        Self(reference(text, style))
    }

    /// The field that is meant for this event.
    ///
    /// # Errors
    ///
    /// When the name is no reference.
    pub fn get(&self) -> Result<&FieldReference, Failed> {
        self.0.as_ref().map_err(|_| Failed)
    }
}

/// A field whose name may contain `%{…}`.
#[derive(Clone, Debug)]
pub enum NamedField {
    /// The same for every event.
    Constant(Field),
    /// Expanded for each event.
    Template(Template),
}

impl NamedField {
    /// The field named by the sprintf text `name`.
    pub fn new(name: &str, style: EscapeStyle) -> Self {
        let template = Template::parse_with(name, style);
        if template.is_constant() {
            Self::Constant(Field::new(name, style))
        } else {
            Self::Template(template)
        }
    }

    /// The field for this event.
    ///
    /// # Errors
    ///
    /// When the name has no value for it.
    pub fn resolve(&self, event: &Event) -> Result<Cow<'_, Field>, Failed> {
        match self {
            Self::Constant(field) => Ok(Cow::Borrowed(field)),
            Self::Template(template) => {
                Ok(Cow::Owned(Field::new(&template.render(event)?, template.style())))
            }
        }
    }
}

/// Sets the field that a key of the data names, as `event.set(key, value)` does.
///
/// # Errors
///
/// When it is no reference, or cannot be set.
pub fn set_named(event: &mut Event, key: Text, value: Value, style: EscapeStyle) -> Result<(), Failed> {
    if is_reference(&key, style) {
        event.set(&reference(&key, style)?, value)?;
    } else {
        event.fields_mut().insert(key, value);
    }
    Ok(())
}

/// The reference of a name given by a configuration or by data; the empty name is a field too.
///
/// # Errors
///
/// When it is no reference.
pub fn reference(name: &str, style: EscapeStyle) -> Result<FieldReference, InvalidReference> {
    if name.is_empty() {
        Ok(FieldReference::field(Text::new()))
    } else {
        FieldReference::parse_with(name, style)
    }
}

/// Adds each of `tags`.
pub fn tag_all(event: &mut Event, tags: &[Text]) {
    for tag in tags {
        event.tag(tag);
    }
}
