//! An error in one line.

use std::error::Error;

/// The error and its causes, from the first to the last, with `: ` between them. A cause whose text stands in an error
/// above it is left out: some libraries repeat what went wrong below.
#[must_use]
pub fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let more = cause.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        source: Option<Box<Layer>>,
    }

    #[test]
    fn causes_follow_and_none_is_said_twice() {
        let layers = ["no answer: refused", "refused", "port 80 is closed"];
        let error = layers.iter().rev().fold(None, |source, text| Some(Box::new(Layer { text, source })));
        assert_eq!(error_chain(&*error.unwrap()), "no answer: refused: port 80 is closed");
    }
}
