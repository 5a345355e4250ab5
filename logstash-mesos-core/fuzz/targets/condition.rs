//! Any text as a condition, asked about an event.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Some(compiled) = logstash_mesos_fuzz::compiled(&format!("filter {{ if {text} {{ drop {{ }} }} }}")) {
        let results = compiled.filters.fork().run(vec![logstash_mesos_fuzz::event()]);
        assert!(results.len() <= 1);
    }
});
