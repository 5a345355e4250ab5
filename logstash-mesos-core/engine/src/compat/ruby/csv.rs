//! One row, as Ruby's CSV library reads it.

use memchr::memmem;
use thiserror::Error;

use crate::event::Text;

/// Ruby raises `CSV::MalformedCSVError` for it.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("malformed CSV")]
pub(crate) struct Malformed;

/// A row: one value that is empty and not quoted is `None`.
pub(crate) type Row = Vec<Option<Text>>;

/// The values of the first row. `Ok(None)` for an empty text.
pub(crate) fn first(text: &Text, separator: &str, quote: &str) -> Result<Option<Row>, Malformed> {
    let mut quotes = quote.chars();
    let (Some(quote), None) = (quotes.next(), quotes.next()) else { return Err(Malformed) };
    if separator.is_empty() {
        return Err(Malformed);
    }
    if text.is_empty() {
        return Ok(None);
    }
    row(text, text.as_str(), separator, quote, row_end(text)).map(|(row, _)| Some(row))
}

/// All rows of a text with commas and double quotes; the error is the number of the first bad one.
pub(crate) fn all(text: &Text) -> Result<Vec<Row>, usize> {
    let row_end = row_end(text);
    let mut rows = Vec::new();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (row, after) = row(text, rest, ",", '"', row_end).map_err(|Malformed| rows.len() + 1)?;
        rows.push(row);
        rest = after.strip_prefix(row_end).unwrap_or(after);
    }
    Ok(rows)
}

/// The row at the start of `rest`, which is a part of `text`, and what follows it.
fn row<'t>(
    text: &Text,
    mut rest: &'t str,
    separator: &str,
    quote: char,
    row_end: &str,
) -> Result<(Row, &'t str), Malformed> {
    let mut values = Vec::new();
    if rest.starts_with(row_end) {
        return Ok((values, rest));
    }
    loop {
        let value;
        (value, rest) = match rest.strip_prefix(quote) {
            Some(quoted) => {
                let (value, rest) = quoted_value(text, quoted, quote)?;
                (Some(value), rest)
            }
            None => {
                let end = rest.find(separator).unwrap_or(rest.len());
                // No further: the end of the row may be far away.
                let near = &rest.as_bytes()[..(end + row_end.len() - 1).min(rest.len())];
                let end = memmem::find(near, row_end.as_bytes()).unwrap_or(end);
                let value = &rest[..end];
                if value.contains(quote) || value.contains(['\n', '\r']) {
                    return Err(Malformed);
                }
                ((!value.is_empty()).then(|| text.slice_ref(value)), &rest[end..])
            }
        };
        values.push(value);
        if rest.is_empty() || rest.starts_with(row_end) {
            return Ok((values, rest));
        }
        rest = rest.strip_prefix(separator).ok_or(Malformed)?;
        if rest.is_empty() {
            values.push(None);
            return Ok((values, rest));
        }
    }
}

/// The value up to the quote that ends it, and what follows the quote.
fn quoted_value<'t>(text: &Text, quoted: &'t str, quote: char) -> Result<(Text, &'t str), Malformed> {
    let mut unquoted: Option<String> = None;
    let mut rest = quoted;
    loop {
        let (part, after) = rest.split_once(quote).ok_or(Malformed)?;
        match after.strip_prefix(quote) {
            // Two quotes stand for one.
            Some(after) => {
                let value = unquoted.get_or_insert_default();
                value.push_str(part);
                value.push(quote);
                rest = after;
            }
            None => {
                let value = match unquoted {
                    Some(mut value) => {
                        value.push_str(part);
                        Text::from(value)
                    }
                    None => text.slice_ref(part),
                };
                return Ok((value, after));
            }
        }
    }
}

/// What ends a row: the first line break of any kind decides.
fn row_end(text: &str) -> &'static str {
    match memchr::memchr2(b'\n', b'\r', text.as_bytes()) {
        Some(at) if text.as_bytes()[at..].starts_with(b"\r\n") => "\r\n",
        Some(at) if text.as_bytes()[at] == b'\r' => "\r",
        _ => "\n",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_row_counts() {
        let row = |text: &'static str| {
            let values = first(&Text::from(text), ",", "\"").map(|row| {
                row.map(|row| {
                    row.into_iter().map(|value| value.map(|value| value.to_string())).collect::<Vec<_>>()
                })
            });
            values.map_err(|_| ())
        };
        let some = |values: &[&str]| Ok(Some(values.iter().map(|value| Some((*value).to_owned())).collect()));
        assert_eq!(row("a,b\r\nc,d"), some(&["a", "b"]));
        assert_eq!(row("a,b\n"), some(&["a", "b"]));
        assert_eq!(row("\"multi\nline\",x"), some(&["multi\nline", "x"]));
        assert_eq!(row("\"q \"\"uo\"\" te\""), some(&["q \"uo\" te"]));
        assert_eq!(row("a,"), Ok(Some(vec![Some("a".to_owned()), None])));
        assert_eq!(row("\na"), Ok(Some(vec![])));
        assert_eq!(row(""), Ok(None));
        assert!(row("a\r\nb\nc").is_ok());
        assert_eq!(row("a\rb,\n"), some(&["a"]));
        assert_eq!(row("a,b\nc\r"), some(&["a", "b"]));
    }
}
