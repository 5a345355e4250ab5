//! The frames of beats, for programs that feed anything at all to their reader.

use crate::event::{JsonReader, JsonRules, Text};
use crate::lumberjack::{Frame, FrameReader};

/// Reads `data` in pieces of `piece` bytes, as a connection brings them, and returns every frame as text.
///
/// # Errors
///
/// What is wrong with the bytes.
pub fn frames(data: &[u8], piece: usize) -> Result<Vec<String>, String> {
    let mut reader = FrameReader::default();
    let mut json = JsonReader::new(JsonRules::CODEC);
    let mut found = Vec::new();
    for chunk in data.chunks(piece.max(1)) {
        reader.feed(chunk);
        while let Some((version, frame)) = reader.next().map_err(|error| error.to_string())? {
            if let Frame::Json { payload, .. } = &frame
                && let Ok(text) = Text::from_utf8(payload.clone())
            {
                // An event that is no JSON is one with its text.
                let _any_answer_will_do = json.read(&text);
            }
            found.push(format!("{version} {frame:?}"));
        }
    }
    Ok(found)
}
