//! Puts definitions in the place of `%{NAME}`.

use std::sync::OnceLock;

use logstash_mesos_regex::{CaptureMode, Captures, Options, Regex, Scratch};

use super::{GrokError, Patterns};

/// Most replacements, as in Logstash: more means that definitions refer to each other in a circle.
const MAX_REPLACEMENTS: usize = 10_000;
/// Longest expansion in bytes.
const MAX_LENGTH: usize = 1 << 20;

/// What the grok library takes for a reference. A definition may be given in place: `%{NAME=pattern}`.
const REFERENCE: &str = r"%\{
    (?<name>
      (?<pattern>[A-z0-9]+)
      (?::(?<subname>[@\[\]A-z0-9_:.-]+))?
    )
    (?:=(?<definition>
      (?:
        (?:[^{}\\]+|\\.+)+
        |
        (?<curly>\{(?:(?>[^{}]+|(?>\\[{}])+)|(\g<curly>))*\})+
      )+
    ))?
    [^}]*
  \}";

fn reference() -> &'static Regex {
    static REGEX: OnceLock<Regex> = OnceLock::new();
    REGEX.get_or_init(|| {
        let mut options = Options::default();
        options.extended = true;
        options.captures = CaptureMode::Ruby;
        Regex::with_options(REFERENCE, &options).expect("the pattern is a constant")
    })
}

/// Expands every reference in `pattern`. Those with a field become named groups; the others do only without
/// `named_captures_only`.
pub(super) fn expand(
    pattern: &str,
    patterns: &Patterns,
    named_captures_only: bool,
) -> Result<String, GrokError> {
    let mut expanded = pattern.to_owned();
    // Definitions given in place are known from then on.
    let mut patterns = std::borrow::Cow::Borrowed(patterns);
    let (mut scratch, mut captures) = (Scratch::new(), Captures::new());
    let mut from = 0;
    for _ in 0..MAX_REPLACEMENTS {
        // A reference ends with a brace. Without one ahead the expression would try every way to cut the rest
        // into pieces, of which there are two to the power of its length.
        let Some(last) = expanded.rfind('}').filter(|last| *last >= from) else { return Ok(expanded) };
        if !reference().captures(&expanded[..=last], from, &mut scratch, &mut captures)? {
            return Ok(expanded);
        }
        let Some(whole) = captures.get(0) else { return Ok(expanded) };
        let part = |group: usize| captures.get(group).map(|range| &expanded[range]);
        let name = part(1).unwrap_or_default();
        let syntax = part(2).unwrap_or_default();
        if let Some(definition) = part(4) {
            patterns.to_mut().add(syntax, definition);
        }
        let Some(definition) = patterns.get(syntax) else {
            return Err(GrokError::UnknownPattern { reference: expanded[whole].to_owned() });
        };
        let replacement = if named_captures_only && !name.contains(':') {
            format!("(?:{definition})")
        } else {
            format!("(?<{name}>{definition})")
        };
        from = whole.start;
        expanded.replace_range(whole, &replacement);
        if expanded.len() > MAX_LENGTH {
            break;
        }
    }
    Err(GrokError::TooDeep { pattern: pattern.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns() -> Patterns {
        let mut patterns = Patterns::default();
        patterns.add("A", "a+");
        patterns.add("B", "%{A:x}-%{A}");
        patterns.add("LOOP", "(%{LOOP})");
        patterns
    }

    #[test]
    fn references_become_groups() {
        let expand = |pattern: &str, named| expand(pattern, &patterns(), named).expect("expands");
        assert_eq!(expand("%{B} %{A:[f][g]:int}", true), "(?:(?<A:x>a+)-(?:a+)) (?<A:[f][g]:int>a+)");
        assert_eq!(expand("%{B}", false), "(?<B>(?<A:x>a+)-(?<A>a+))");
        assert_eq!(expand("%{A:a b}", true), "(?<A:a>a+)");
        assert_eq!(expand("100%{ %{A}", true), "100%{ (?:a+)");
        assert_eq!(expand("no reference", true), "no reference");
    }

    #[test]
    fn definitions_in_place() {
        let text = expand("%{NEW:n=[0-9]{3}} %{NEW}", &patterns(), true).expect("expands");
        assert_eq!(text, "(?<NEW:n>[0-9]{3}) (?:[0-9]{3})");
    }

    #[test]
    fn a_definition_without_an_end_is_passed_over() {
        let open = format!("%{{NEW={}", "ab".repeat(200));
        assert_eq!(expand(&open, &patterns(), true).expect("expands"), open);
        let text = format!("%{{A}} {open}");
        assert_eq!(expand(&text, &patterns(), true).expect("expands"), format!("(?:a+) {open}"));
    }

    #[test]
    fn mistakes_name_the_pattern() {
        let error = expand("%{NOSUCH:x}", &patterns(), true).expect_err("unknown");
        assert_eq!(error.to_string(), "pattern %{NOSUCH:x} not defined");
        assert!(matches!(expand("%{LOOP}", &patterns(), true), Err(GrokError::TooDeep { .. })));
    }
}
