//! The settings in the package for DC/OS (`docs/dcos`), made from their table. Run the tests with `UPDATE_DOCS=1` to write them.

use crate::flags::tests::assert_between;
use logstash_mesos_core::scheduler::SETTINGS;
use logstash_mesos_core::settings::{Arity, SettingSpec};
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// What the options of the service say already.
const ELSEWHERE: [&str; 3] = ["framework.name", "http.bind", "dcos.service_account_file"];

fn offered() -> impl Iterator<Item = &'static SettingSpec> {
    SETTINGS.iter().filter(|spec| !ELSEWHERE.contains(&spec.key))
}

fn is_number(spec: &SettingSpec) -> bool {
    spec.default.parse::<f64>().is_ok()
}

#[test]
fn every_setting_is_an_option_of_the_package() {
    let option = |spec: &SettingSpec| {
        let mut option = match spec.arity {
            Arity::Switch => json!({"type": "boolean", "default": false}),
            _ if is_number(spec) => {
                let default: Value = serde_json::from_str(spec.default).expect("a number");
                let kind = if default.is_u64() { "integer" } else { "number" };
                json!({"type": kind, "default": default, "minimum": 0})
            }
            _ if spec.key == "mesos.master" => {
                json!({"type": "string", "default": "zk://master.mesos:2181/mesos"})
            }
            _ => json!({"type": "string", "default": spec.default}),
        };
        let many = if spec.arity == Arity::Many { " A line for each." } else { "" };
        option["description"] = format!("{}{many}", spec.help).into();
        (spec.flag(), option)
    };
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/dcos/config.json");
    let text = std::fs::read_to_string(path).expect("it is there");
    let mut schema: Value = serde_json::from_str(&text).expect("it is JSON");
    schema["properties"]["settings"] = json!({
        "type": "object",
        "title": "Settings",
        "description": "The settings of the scheduler, by the names of its flags.",
        "additionalProperties": false,
        // What the template names without a condition.
        "required": offered().filter(|spec| is_number(spec)).map(SettingSpec::flag).collect::<Vec<_>>(),
        "properties": offered().map(option).collect::<Map<_, _>>(),
    });
    let wanted = serde_json::to_string_pretty(&schema).expect("it is JSON") + "\n";
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, wanted).expect("writes");
    } else {
        assert_eq!(text, wanted, "run this test with UPDATE_DOCS=1");
    }
}

#[test]
fn every_option_of_the_package_becomes_a_variable() {
    let mut lines = String::new();
    for spec in offered() {
        let (name, variable) = (format!("settings.{}", spec.flag()), spec.variable());
        let line = match spec.arity {
            Arity::Switch => format!("    {{{{#{name}}}}}\"{variable}\": \"true\",{{{{/{name}}}}}"),
            _ if is_number(spec) => format!("    \"{variable}\": \"{{{{{name}}}}}\","),
            _ => format!("    {{{{#{name}}}}}\"{variable}\": \"{{{{{{{name}}}}}}}\",{{{{/{name}}}}}"),
        };
        let _never_fails = writeln!(lines, "{line}");
    }
    assert_between("dcos/marathon.json.mustache", ["    {{! settings }}\n", "    {{! /settings }}"], &lines);
}
