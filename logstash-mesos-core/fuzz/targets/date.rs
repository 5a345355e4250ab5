//! The first line as a date format, the second as a date.
#![no_main]

use logstash_mesos_core::event::FieldReference;
use logstash_mesos_fuzz::{compiled, event, quoted};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let (format, date) = text.split_once('\n').unwrap_or((text, text));
    let Some(format) = quoted(format) else { return };
    if let Some(compiled) = compiled(&format!("filter {{ date {{ match => [\"d\", {format}] }} }}")) {
        let mut event = event();
        event.set(&FieldReference::field("d"), date.to_owned()).expect("it can be set");
        assert_eq!(compiled.filters.fork().run(vec![event]).len(), 1);
    }
});
