//! Any text as a field reference: printed it means the same, and events survive it.
#![no_main]

use logstash_mesos_core::event::{EscapeStyle, FieldReference};

libfuzzer_sys::fuzz_target!(|text: &str| {
    for style in [EscapeStyle::None, EscapeStyle::Percent, EscapeStyle::Ampersand] {
        let Ok(field) = FieldReference::parse_with(text, style) else { continue };
        if style == EscapeStyle::None {
            assert_eq!(FieldReference::parse(&field.to_string()).as_ref(), Ok(&field));
        }
        // A list may grow to a million items; that is no finding, and slow.
        if field.steps().iter().any(|step| step.index.is_some_and(|index| index > 1000)) {
            continue;
        }
        let mut event = logstash_mesos_fuzz::event();
        let before = event.get(&field).cloned();
        assert_eq!(event.remove(&field), before);
        if event.set(&field, "v").is_ok() {
            let _found = event.get(&field);
        }
    }
});
