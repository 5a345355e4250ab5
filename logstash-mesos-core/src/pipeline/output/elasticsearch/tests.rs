use super::*;
use crate::event::{FieldReference, Timestamp};
use crate::pipeline::lang::Diagnostics;
use crate::pipeline::plugin::{EcsCompatibility, MakeOutput, OutputContext};
use crate::pipeline::{CompileOptions, catalog, compile};

fn output(options: &str) -> Result<Box<dyn Output>, Diagnostics> {
    let text = format!("output {{ elasticsearch {{ {options} }} }}");
    let compiled = compile(&text, &CompileOptions::new(catalog()))?;
    Ok(MakeOutput::build(compiled.outputs.first().unwrap(), &OutputContext::default()).unwrap())
}

fn event() -> Event {
    let mut event = Event::from_message(Text::from("hi"), Timestamp::new(0, 0));
    event.set(&FieldReference::field("id"), "7").unwrap();
    event
}

fn lines(options: &str, event: &Event) -> String {
    let mut batch = RecordBatch::default();
    output(options).unwrap().encode(event, &mut batch).unwrap();
    assert_eq!(batch.len(), 1);
    String::from_utf8(batch.body).unwrap()
}

const DOCUMENT: &str = r#"{"@timestamp":"1970-01-01T00:00:00.000Z","@version":"1","message":"hi","id":"7"}"#;

#[test]
fn an_event_is_an_action_and_a_document() {
    let cases = [
        ("index => 'a'", r#"{"index":{"_index":"a"}}"#),
        ("index => 'a-%{+yyyy.MM.dd}'", r#"{"index":{"_index":"a-1970.01.01"}}"#),
        ("data_stream => false", r#"{"index":{"_index":"ecs-logstash-1970.01.01"}}"#),
        (
            "data_stream => false ecs_compatibility => disabled",
            r#"{"index":{"_index":"logstash-1970.01.01"}}"#,
        ),
        (
            "index => 'a' document_id => '%{id}' routing => 'r'",
            r#"{"index":{"_index":"a","_id":"7","routing":"r"}}"#,
        ),
        ("index => 'a' action => 'create' pipeline => 'p'", r#"{"create":{"_index":"a","pipeline":"p"}}"#),
        (
            "index => 'a' version => '%{id}' version_type => 'external'",
            r#"{"index":{"_index":"a","version":"7","version_type":"external"}}"#,
        ),
    ];
    for (options, action) in cases {
        assert_eq!(lines(options, &event()), format!("{action}\n{DOCUMENT}\n"), "{options}");
    }
}

#[test]
fn updates_and_deletes_have_their_own_form() {
    let update = "index => 'a' action => 'update' document_id => '%{id}'";
    assert_eq!(
        lines(&format!("{update} doc_as_upsert => true"), &event()),
        format!(
            "{{\"update\":{{\"_index\":\"a\",\"_id\":\"7\",\"retry_on_conflict\":1}}}}\n{{\"doc\":{DOCUMENT},\"doc_as_upsert\":true}}\n"
        )
    );
    assert!(
        lines(&format!("{update} script => 'ctx.n += 1' scripted_upsert => true"), &event()).contains(
            r#"{"script":{"source":"ctx.n += 1","lang":"painless","params":{"event":{"@timestamp""#
        )
    );
    assert_eq!(
        lines("index => 'a' action => 'delete' document_id => '%{id}'", &event()),
        "{\"delete\":{\"_index\":\"a\",\"_id\":\"7\"}}\n"
    );
}

#[test]
fn without_an_index_documents_go_to_a_data_stream() {
    let stream = r#","data_stream":{"type":"logs","dataset":"generic","namespace":"default"}}"#;
    let document = format!("{}{stream}", DOCUMENT.trim_end_matches('}'));
    assert_eq!(
        lines("", &event()),
        format!("{{\"create\":{{\"_index\":\"logs-generic-default\"}}}}\n{document}\n")
    );
    let mut routed = event();
    routed.set(&FieldReference::parse("[data_stream][dataset]").unwrap(), "nginx").unwrap();
    let text = lines("", &routed);
    assert!(text.starts_with(r#"{"create":{"_index":"logs-nginx-default"}}"#), "{text}");
    assert!(
        text.ends_with(
            "\"data_stream\":{\"type\":\"logs\",\"dataset\":\"nginx\",\"namespace\":\"default\"}}\n"
        ),
        "{text}"
    );
    let text = lines("data_stream_sync_fields => false", &event());
    assert!(text.ends_with(&format!("{DOCUMENT}\n")), "{text}");
}

#[test]
fn an_index_name_that_the_event_leaves_open_makes_a_dead_letter_unless_it_is_wanted() {
    let mut batch = RecordBatch::default();
    let refused =
        output("index => 'a-%{missing}'").unwrap().encode(&event(), &mut batch).unwrap_err().to_string();
    assert!(refused.contains("`a-%{missing}`") && batch.is_empty(), "{refused}");
    let mut routed = event();
    routed.set(&FieldReference::parse("[data_stream][dataset]").unwrap(), "%{missing}").unwrap();
    output("").unwrap().encode(&routed, &mut batch).unwrap_err();
    let wanted = "index => 'a-%{missing}' dlq_on_failed_indexname_interpolation => false";
    assert!(lines(wanted, &event()).contains(r#""_index":"a-%{missing}""#));
    assert!(lines("index => 'a-%{id}'", &event()).contains(r#""_index":"a-7""#));
}

#[test]
fn what_contradicts_itself_is_refused() {
    let cases = [
        ("data_stream => true index => 'a'", "index"),
        ("index => 'a' data_stream_type => 'logs'", "data_stream_type"),
        ("action => 'update' index => 'a'", "document_id"),
        ("action => 'explode' index => 'a'", "explode"),
        ("user => 'u' password => 'p' api_key => 'i:k'", "api_key"),
        ("hosts => ['https://h'] ssl_enabled => false", "ssl_enabled"),
        ("api_key => 'i:k'", "without TLS"),
        ("cloud_auth => 'u:p' user => 'u' password => 'p'", "cloud_auth"),
        ("cloud_auth => 'nobody'", "cloud_auth"),
        ("cloud_id => 'a:b'", "cloud_id"),
        ("cloud_id => 'a:aG9zdCRhYmMkZGVm' hosts => ['h']", "beside `hosts`"),
        ("ilm_enabled => true index => 'a'", "lifecycles"),
        ("hosts => ['https://h'] ca_trusted_fingerprint => 'abc'", "fingerprint"),
        ("compression_level => 12", "0 to 9"),
        ("hosts => ['ftp://h']", "ftp"),
    ];
    for (options, part) in cases {
        let error = output(options).err().unwrap_or_else(|| panic!("{options} is taken"));
        let text = error.to_string();
        assert!(text.contains(part), "{options}: {text}");
    }
    assert_eq!(EcsCompatibility::default(), EcsCompatibility::V8);
}
