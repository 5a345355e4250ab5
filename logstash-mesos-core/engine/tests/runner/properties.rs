//! Whatever the text, nothing panics, and places lie within it.

use logstash_mesos_engine::compile::{CompileOptions, compile};
use logstash_mesos_engine::event::{Event, FieldReference, Template, Timestamp, joda_tokens};
use logstash_mesos_engine::lang::{Diagnostics, parse};
use logstash_mesos_engine::registry::catalog;
use proptest::prelude::*;

/// Pieces of configurations, in any order: gets further into the parser than characters do.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "filter",
        "input",
        "output",
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
        "=>",
        "==",
        "=~",
        "!~",
        "!",
        "in",
        "not in",
        "and",
        "or",
        "xor",
        "nand",
        "if",
        "else",
        "else if",
        "mutate",
        "grok",
        "drop",
        "json",
        "match",
        "codec",
        "\"a\"",
        "'b'",
        "\"",
        "'",
        "/x/",
        "/",
        "[a]",
        "[a][b]",
        "5",
        "-1.5",
        "007",
        "99999999999999999999",
        ",",
        "# c\n",
        "\n",
        " ",
        "\\",
        "\"\\\"",
        "${A}",
        "\"${A:x}\"",
        "\"%{+q}\"",
        "ü",
        "add_field",
        "add_tag",
        "id",
    ]);
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.join(" "))
}

fn check(text: &str) -> Result<(), TestCaseError> {
    let (_, complaints) = parse(text);
    for complaint in &complaints {
        prop_assert!(complaint.span.start <= complaint.span.end && complaint.span.end <= text.len());
    }
    let rendered = Diagnostics::new("x", text, complaints);
    let _ = (rendered.to_string(), rendered.to_json());
    let options =
        CompileOptions::new(catalog()).with(|options| options.support_escapes = text.len().is_multiple_of(2));
    match compile(text, &options) {
        Ok(compiled) => prop_assert!(!compiled.warnings.has_errors()),
        Err(complaints) => {
            prop_assert!(complaints.has_errors());
            let _ = complaints.to_string();
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_parsed_or_refused(text in any::<String>()) {
        check(&text)?;
    }

    #[test]
    fn any_pieces_are_compiled_or_refused(text in pieces()) {
        check(&text)?;
        check(&format!("filter {{ {text} }}"))?;
        check(&format!("filter {{ if {text} {{ drop {{ }} }} }}"))?;
        check(&format!("filter {{ mutate {{ {text} }} }}"))?;
    }

    #[test]
    fn a_field_reference_names_the_same_field_when_it_is_printed(text in "[\\[\\]a-c0@]{0,12}|\\PC{0,20}") {
        if let Ok(field) = FieldReference::parse(&text) {
            let printed = field.to_string();
            let again = FieldReference::parse(&printed);
            prop_assert_eq!(again.as_ref(), Ok(&field), "{} from {}", printed, text);
        }
    }

    #[test]
    fn any_template_is_rendered_or_refused(text in "[%{}+\\[\\]'a-zA-Z :.]{0,30}|\\PC{0,40}") {
        let template = Template::parse(&text);
        let event = Event::new(Timestamp::from_millis(1_709_618_828_123));
        let rendered = template.render(&event);
        if let Some(reason) = template.defect() {
            prop_assert!(rendered.is_err(), "{reason}");
        }
        if !text.contains("%{") {
            let rendered = rendered.map(|text| text.to_string());
            prop_assert_eq!(rendered, Ok(text));
        }
    }

    #[test]
    fn any_joda_pattern_is_taken_or_refused(text in "[GCxwyYeEaDMdKhHkmsSzZ' :.-]{0,30}|\\PC{0,40}") {
        let _ = joda_tokens(&text);
    }
}
