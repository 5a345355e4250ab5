//! Any text as a configuration, and as the inside of a filter section.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _compiled = logstash_mesos_fuzz::compiled(text);
    let _compiled = logstash_mesos_fuzz::compiled(&format!("filter {{ {text} }}"));
});
