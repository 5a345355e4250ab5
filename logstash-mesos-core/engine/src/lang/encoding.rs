//! From the bytes of a configuration to its text.

use super::diagnostic::{Code, Diagnostic, Diagnostics};
use super::token::Span;

/// The text of the configuration `bytes`, which came from `origin`.
///
/// # Errors
///
/// Each place that is not UTF-8, the first few of them.
pub fn decode(bytes: Vec<u8>, origin: &str) -> Result<String, Diagnostics> {
    let bytes = match String::from_utf8(bytes) {
        Ok(text) => return Ok(text),
        Err(error) => error.into_bytes(),
    };
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        let complaint = Diagnostic::error(Code::ENCODING, Span::new(0, 0), "the text is UTF-16, not UTF-8");
        return Err(Diagnostics::new(origin, "", vec![complaint.remedy("save it as UTF-8".to_owned())]));
    }
    let mut text = String::with_capacity(bytes.len());
    let mut complaints = Vec::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if chunk.invalid().is_empty() {
            continue;
        }
        let start = text.len();
        text.push(char::REPLACEMENT_CHARACTER);
        if complaints.len() < MOST {
            let found: Vec<_> = chunk.invalid().iter().map(|byte| format!("{byte:02x}")).collect();
            let message = format!("the text is not UTF-8 here: bytes {}", found.join(" "));
            let remedy = "save it as UTF-8; `iconv -f latin1 -t utf-8` converts an old file".to_owned();
            let span = Span::new(start, text.len());
            complaints.push(Diagnostic::error(Code::ENCODING, span, message).remedy(remedy));
        }
    }
    Err(Diagnostics::new(origin, text, complaints))
}

/// Whoever sees so many places knows what the matter is.
const MOST: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_that_are_not_utf_8_are_named_by_line_and_column() {
        assert_eq!(decode("# é".into(), "x").as_deref(), Ok("# é"));
        let complaints = decode(b"filter {\n  # \xc3\xa9 caf\xe9\n}".to_vec(), "x").unwrap_err();
        assert_eq!(complaints.list.len(), 1);
        let position = complaints.position(complaints.list[0].span.start);
        assert_eq!((position.line, position.column), (2, 10));
        assert!(complaints.to_string().contains("bytes e9"), "{complaints}");
        assert_eq!(decode([b"x\xff".repeat(50), vec![]].concat(), "x").unwrap_err().list.len(), MOST);
        let complaints = decode(b"\xff\xfef\0".to_vec(), "x").unwrap_err();
        assert!(complaints.to_string().contains("UTF-16"), "{complaints}");
    }
}
