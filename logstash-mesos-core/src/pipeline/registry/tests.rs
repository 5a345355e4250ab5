//! What is refused, and what is only said, where a configuration is checked and where it runs.

use super::catalog;
use crate::pipeline::{CompileOptions, UnknownVariable, Variables, compile};

/// Codes and places of what is said.
fn said(source: &str, options: &CompileOptions) -> (bool, Vec<(&'static str, usize)>) {
    let (accepted, said) = match compile(source, options) {
        Ok(compiled) => (true, compiled.warnings),
        Err(complaints) => (false, complaints),
    };
    (accepted, said.list.iter().map(|complaint| (complaint.code.0, complaint.span.start)).collect())
}

fn elsewhere() -> CompileOptions {
    CompileOptions::new(catalog()).with(|options| {
        options.variables = Variables::from_list([]);
        options.unknown_variables = UnknownVariable::Warn;
        options.check_paths = false;
    })
}

#[test]
fn inputs_and_outputs_are_refused_when_they_are_checked() {
    for (source, at) in [
        ("input { file { } }", "file"),
        ("input { file { path => 'x.log' } }", "'x.log'"),
        ("input { file { docker-path => [] } }", "[]"),
        ("input { file { path => '/a' host-path => '/b' } }", "'/a'"),
        ("input { file { path => '/a' ignore_older => 'soon' } }", "'soon'"),
        ("input { tcp { port => 70000 } }", "70000"),
        ("input { stdin { codec => multiline { what => previous pattern => '(' } } }", "'('"),
        ("output { file { path => '/%{a}/b' } }", "'/%{a}"),
        ("output { udp { host => 'a' port => 'many' } }", "'many'"),
    ] {
        let place = source.find(at).unwrap();
        assert_eq!(said(source, &CompileOptions::new(catalog())), (false, vec![("E208", place)]), "{source}");
    }
}

#[test]
fn a_container_needs_somebody_who_reads_it() {
    let source = "input { docker { } file { docker-path => '/a' } file { host-path => '/b' } }";
    assert_eq!(said(source, &CompileOptions::new(catalog())), (true, vec![]));
    let alone = CompileOptions::new(catalog()).with(|options| options.serves_streams = false);
    let (accepted, found) = said(source, &alone);
    assert!(!accepted);
    assert_eq!(found.iter().map(|(code, _)| *code).collect::<Vec<_>>(), ["E208"; 3]);
    let ignored = "input { file { docker-path => '/a' mode => read } }";
    assert_eq!(
        said(ignored, &CompileOptions::new(catalog())),
        (true, vec![("W402", ignored.find("read").unwrap())])
    );
}

#[test]
fn a_variable_that_is_not_known_here_refuses_nothing() {
    let source = "input { tcp { port => '${PORT}' } beats { port => 5044 host => '${HOST}' } }
        filter { mutate { convert => { 'a' => '${TYPE}' } } grok { match => { 'a' => '${PATTERN}' } } }
        output { file { path => '${FILE}' codec => line { format => '${FORMAT}' } } }";
    let (accepted, found) = said(source, &elsewhere());
    assert!(accepted, "{found:?}");
    assert_eq!(found.iter().map(|(code, _)| *code).collect::<Vec<_>>(), ["W404"; 6]);
    // What is wrong with the other settings is said.
    let (accepted, found) = said("input { tcp { port => '${PORT}' mode => serve } }", &elsewhere());
    assert!(!accepted);
    assert_eq!(found.iter().map(|(code, _)| *code).collect::<Vec<_>>(), ["W404", "E204"]);
}

#[test]
fn what_a_plugin_warns_of_is_said_with_its_line() {
    let source = "input {\n  tcp { port => 5000 ssl_enabled => false ssl_key_passphrase => 'x' }\n}";
    assert_eq!(
        said(source, &CompileOptions::new(catalog())),
        (true, vec![("W403", source.find("'x'").unwrap())])
    );
}

#[test]
fn a_file_that_is_not_here_is_only_told_where_it_may_be_elsewhere() {
    let source = "filter {
        translate { source => 'a' dictionary_path => '/nowhere/d.yml' }
        cidr { address => 'x' network_path => '/nowhere/n' }
        grok { patterns_dir => '/nowhere' match => { 'a' => '%{OWN}' } }
    }";
    let (accepted, found) = said(source, &elsewhere());
    assert!(accepted, "{found:?}");
    assert_eq!(found.iter().map(|(code, _)| *code).collect::<Vec<_>>(), ["W405"; 3]);
    assert!(!said(source, &CompileOptions::new(catalog())).0);
    // A name that no file can bring.
    assert!(!said("filter { grok { match => { 'a' => '%{OWN}' } } }", &elsewhere()).0);
}

#[test]
fn ports_are_named_also_where_an_input_cannot_be_made_here() {
    let source = r#"input {
        beats { port => 5044 ssl_enabled => true ssl_certificate => "/of/the/agent.crt" ssl_key => "/of/the/agent.key" }
        syslog { }
        udp { port => "${PORT:2055}" }
        udp { port => "${UNKNOWN}" }
        tcp { port => 0 }
        tcp { host => "h" port => 7000 mode => client ssl_enabled => false }
        generator { }
    }"#;
    let compiled = compile(source, &elsewhere()).expect("is accepted");
    let ports: Vec<_> = compiled
        .listens
        .iter()
        .map(|p| (p.number, p.variable.as_deref(), p.transport.protocols(), p.plugin))
        .collect();
    let expected = [
        (Some(5044), None, "tcp", "beats"),
        (Some(514), None, "tcp,udp", "syslog"),
        (Some(2055), Some("PORT"), "udp", "udp"),
        (None, Some("UNKNOWN"), "udp", "udp"),
    ];
    assert_eq!(ports, expected);
}
