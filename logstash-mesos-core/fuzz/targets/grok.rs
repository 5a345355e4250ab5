//! Any text as a grok pattern, matched against a line.
#![no_main]

use logstash_mesos_fuzz::{compiled, event, quoted};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Some(pattern) = quoted(text) else { return };
    let config = format!("filter {{ grok {{ match => {{ \"message\" => {pattern} }} timeout_millis => 200 }} }}");
    if let Some(compiled) = compiled(&config) {
        assert_eq!(compiled.filters.fork().run(vec![event()]).len(), 1);
    }
});
