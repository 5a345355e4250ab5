//! Any text as a template.
#![no_main]

use logstash_mesos_core::event::Template;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let template = Template::parse(text);
    let rendered = template.render(&logstash_mesos_fuzz::event());
    assert!(template.defect().is_none() || rendered.is_err());
    if template.is_constant() {
        assert_eq!(rendered.map(|text| text.to_string()).as_deref(), Ok(text));
    }
});
