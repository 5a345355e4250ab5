//! The event: what a log line becomes, and the values it holds.
//!
//! Laid out so that a line costs little on its way: a [`Text`] is inline up to 23 bytes, a reference into
//! a shared buffer above, so slicing a captured field out of a line copies nothing and allocates nothing;
//! a [`Map`] is one vector of entries; a nested map is shared until it is written ([`Value::Map`]), so the
//! metadata of a container is stored once for all of its events.

mod ack;
mod batch;
mod escape;
#[expect(clippy::module_inception, reason = "the file is named after the one type in it")]
mod event;
mod field_reference;
mod from_map;
mod java_text;
mod json;
mod json_read;
mod json_writer;
mod map;
mod origin;
mod parsed_limit;
mod sprintf;
mod value;

pub use ack::{Ack, Outcome};
pub use batch::{Batch, Deferred, Parts};
pub use event::{Event, SetError};
pub use field_reference::{EscapeStyle, FieldReference, InvalidReference, Step};
pub use from_map::InvalidMetadata;
pub use java_text::java_text;
pub use json::{write_json, write_json_map, write_json_string};
pub use json_read::{Decimals, JsonError, JsonProblem, JsonReader, JsonRules, Tail, read_json};
pub(crate) use json_read::{ReadInto, is_reference};
pub use json_writer::JsonWriter;
pub(crate) use map::Entry;
pub use map::{IntoIter, Map};
pub use origin::{Origin, StreamKey};
pub use parsed_limit::ParsedLimit;
pub use sprintf::{SprintfError, Template};
pub use value::Value;

pub use crate::compat::java::joda::{InvalidPattern, JodaToken, joda_tokens};
pub use crate::compat::java::{write_java_decimal, write_java_double};
pub use crate::time::{Clock, Timestamp};

/// A string: inline up to 23 bytes, otherwise a counted reference to (a slice of) a shared buffer.
///
/// `clone` and `slice` never copy more than 23 bytes.
pub type Text = hipstr::HipStr<'static>;

/// Bytes with the same sharing as [`Text`].
pub type Blob = hipstr::HipByt<'static>;

/// A piece of `text`, like its `slice`. A short one is copied at once, without the checks and moves of the other kind.
///
/// # Panics
///
/// When the range is not within the text, or not between characters.
#[inline]
pub(crate) fn slice(text: &Text, range: std::ops::Range<usize>) -> Text {
    if range.len() <= Text::inline_capacity() { Text::from(&text[range]) } else { text.slice(range) }
}
