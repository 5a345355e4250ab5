//! The lines of a stream, for the codecs that find them themselves: cut where they are too long, marked and counted.

use std::sync::Arc;

use crate::event::{Blob, Event};
use crate::plugin::LineLimit;
use crate::tools::tokenizer::{Piece, Tokenizer};

/// Keeps the unfinished end of a stream, within the limit of its pipeline.
#[derive(Clone, Debug)]
pub(super) struct StreamLines {
    tokens: Tokenizer,
    limit: Arc<LineLimit>,
}

impl StreamLines {
    pub(super) fn new(delimiter: &str, limit: &Arc<LineLimit>) -> Self {
        Self { tokens: Tokenizer::new(delimiter, limit.max_bytes()), limit: Arc::clone(limit) }
    }

    /// With a limit of its own.
    pub(super) fn at_most(mut self, max_bytes: usize) -> Self {
        self.tokens.set_max_bytes(max_bytes);
        self
    }

    /// For another stream.
    pub(super) fn fresh(&self) -> Self {
        Self { tokens: self.tokens.fresh(), limit: Arc::clone(&self.limit) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// What the unfinished line takes in memory.
    pub(super) fn kept_bytes(&self) -> usize {
        self.tokens.kept_bytes()
    }

    /// Whether a line may end within `data`.
    pub(super) fn may_end(&self, data: &[u8]) -> bool {
        self.tokens.may_end(data)
    }

    /// Has `decode` make events of every line that `data` completes. Those of a line that was cut get the tag.
    pub(super) fn extract(
        &mut self,
        data: Blob,
        emit: &mut dyn FnMut(Event),
        mut decode: impl FnMut(Blob, &mut dyn FnMut(Event)),
    ) {
        self.pieces(data, |line, cut| marked(line, cut, emit, &mut decode));
    }

    /// The same with the unfinished line.
    pub(super) fn flush(
        &mut self,
        emit: &mut dyn FnMut(Event),
        mut decode: impl FnMut(Blob, &mut dyn FnMut(Event)),
    ) {
        if let Some((line, cut)) = self.last_piece() {
            marked(line, cut, emit, &mut decode);
        }
    }

    /// Every line that `data` completes, and whether it was cut.
    pub(super) fn pieces(&mut self, data: Blob, mut line: impl FnMut(Blob, bool)) {
        let Self { tokens, limit } = self;
        tokens.extract(data, |piece| {
            let cut = counted(limit, &piece);
            line(piece.bytes, cut);
        });
    }

    /// The unfinished line, and whether it was cut.
    pub(super) fn last_piece(&mut self) -> Option<(Blob, bool)> {
        let piece = self.tokens.flush()?;
        let cut = counted(&self.limit, &piece);
        Some((piece.bytes, cut))
    }
}

fn counted(limit: &LineLimit, piece: &Piece) -> bool {
    if piece.cut > 0 {
        limit.cut(piece.cut as u64);
    }
    piece.cut > 0
}

fn marked(
    line: Blob,
    cut: bool,
    emit: &mut dyn FnMut(Event),
    decode: &mut impl FnMut(Blob, &mut dyn FnMut(Event)),
) {
    if !cut {
        return decode(line, emit);
    }
    decode(line, &mut |mut event| {
        event.tag(LineLimit::TAG);
        emit(event);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::cef::CEF;
    use crate::codec::json_lines::JSON_LINES;
    use crate::codec::line::LINE;
    use crate::codec::multiline::MULTILINE;
    use crate::plugin::{Build, EcsCompatibility, PluginSpec};
    use crate::testing::codec::decoded;
    use crate::testing::{context, settings_of};

    #[test]
    fn where_a_line_may_end_is_known_by_its_delimiter() {
        for (spec, more) in [
            (&JSON_LINES, ""),
            (&LINE, ""),
            (&CEF, ""),
            (&MULTILINE, r#","pattern":"x","what":"next","streaming_input":true"#),
        ] {
            let codec = crate::testing::codec::codec(spec, &format!(r#"{{"delimiter":"|;"{more}}}"#));
            // Its beginning may have come before.
            assert!(codec.may_end(b"a;b"), "{}", spec.name);
            assert!(!codec.may_end(b"a|\nb"), "{}", spec.name);
        }
    }

    /// What comes of `text`, in pieces of `size` bytes, with a limit of 8 bytes for a line; and what was cut.
    fn events(spec: &PluginSpec, settings: &str, text: &str, size: usize) -> (Vec<String>, u64, u64) {
        let mut cx = context(spec, EcsCompatibility::Disabled);
        cx.lines = Arc::new(LineLimit::new(8));
        let Build::Codec(make) = spec.build else { panic!("a codec") };
        let mut codec = make(&settings_of(spec, settings), &cx).unwrap().fork();
        let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
        (decoded(&mut *codec, &pieces), cx.lines.lines_cut(), cx.lines.bytes_cut())
    }

    #[test]
    fn every_codec_for_streams_cuts_marks_and_counts() {
        for size in [1, 3, 100] {
            assert_eq!(
                events(&LINE, "{}", "short\n0123456789\nend", size),
                (
                    vec![
                        r#"{"message":"short"}"#.into(),
                        r#"{"message":"01234567","tags":["_linetoolong"]}"#.into(),
                        r#"{"message":"end"}"#.into()
                    ],
                    1,
                    2
                )
            );
            assert_eq!(
                events(&JSON_LINES, "{}", "{\"a\":1}\n{\"a\":123456}", size),
                (
                    vec![
                        r#"{"a":1}"#.into(),
                        r#"{"message":"{\"a\":123","tags":["_jsonparsefailure","_linetoolong"]}"#.into()
                    ],
                    1,
                    4
                )
            );
            let (own, cut, _) =
                events(&JSON_LINES, r#"{"decode_size_limit_bytes":12}"#, "{\"a\":123456}\n", size);
            assert_eq!((own, cut), (vec![r#"{"a":123456}"#.into()], 0));
            let joins = r#"{"pattern":"^ ","what":"previous","streaming_input":true}"#;
            assert_eq!(
                events(&MULTILINE, joins, "one\n 23456789\n three\nfour\n", size),
                (
                    vec![
                        r#"{"message":"one\n 2345678\n three","tags":["multiline","_linetoolong"]}"#.into(),
                        r#"{"message":"four"}"#.into()
                    ],
                    1,
                    1
                )
            );
            let (units, cut, bytes) = events(&CEF, r#"{"delimiter":"\n"}"#, "0123456789\n", size);
            assert_eq!((units.len(), cut, bytes), (1, 1, 2));
            assert!(units[0].contains("_linetoolong"), "{units:?}");
        }
    }
}
