//! The page that says what is the same as in Logstash: `docs/compatibility.md`, written from the tables
//! the engine itself uses.

use std::fmt::Write;

use logstash_mesos_engine::grok;
use logstash_mesos_engine::lang::absent;

use super::plugin::settings::{Default, Kind, Setting, Status};
use super::plugin::{Catalog, PluginKind, common};

/// The whole page.
#[must_use]
pub fn compatibility(catalog: &Catalog) -> String {
    let mut page = String::from(HEAD);
    for (title, lines) in LANGUAGE {
        let _infallible =
            write!(page, "\n### {title}\n\n| Construct | Here | Remarks |\n| --- | --- | --- |\n");
        for (construct, here, remarks) in *lines {
            row(&mut page, &[construct, here, remarks]);
        }
    }
    page.push_str("\n## Grok patterns\n\nNames, fields and meanings are those of logstash-patterns-core 4.3.1; these answer otherwise.\n\n");
    page.push_str("| Patterns, and those made of them | Remarks |\n| --- | --- |\n");
    for (patterns, remark) in grok::DIFFERENCES {
        row(&mut page, &[&format!("`{}`", patterns.replace(", ", "`, `")), remark]);
    }
    page.push_str("\n## Plugins\n");
    for kind in [PluginKind::Input, PluginKind::Filter, PluginKind::Codec, PluginKind::Output] {
        plugins(&mut page, catalog, kind);
    }
    page
}

fn plugins(page: &mut String, catalog: &Catalog, kind: PluginKind) {
    let mut specs: Vec<_> = catalog.all().filter(|spec| spec.build.kind() == kind).collect();
    specs.sort_unstable_by_key(|spec| spec.name);
    let _infallible = write!(page, "\n### {}\n", TITLES[kind as usize]);
    let missing: Vec<_> = absent::list(kind)
        .iter()
        .filter(|name| catalog.find(kind, name).is_none())
        .map(|name| format!("`{name}`"))
        .collect();
    if !missing.is_empty() {
        let _infallible =
            write!(page, "\nAbsent, and refused when a configuration is saved: {}.\n", missing.join(", "));
    }
    if !specs.is_empty() {
        let _infallible = write!(page, "\nEvery {} also has:\n\n", kind.word());
        settings(page, common::settings(kind));
    }
    for spec in specs {
        let _infallible = write!(page, "\n#### {} `{}`\n\n{}\n", kind.word(), spec.name, spec.doc);
        if !spec.settings.is_empty() {
            page.push('\n');
            settings(page, spec.settings);
        }
    }
}

fn settings(page: &mut String, list: &[Setting]) {
    page.push_str("| Setting | Takes | Default | Here | |\n| --- | --- | --- | --- | --- |\n");
    let mut sorted: Vec<_> = list.iter().collect();
    sorted.sort_unstable_by_key(|setting| setting.name);
    for setting in sorted {
        let (here, remark) = match setting.status {
            Status::Supported => ("same", setting.doc.to_owned()),
            Status::Deprecated(instead) => ("same, deprecated", format!("{} ({instead})", setting.doc)),
            Status::Obsolete(instead) => ("refused, as in Logstash", instead.to_owned()),
            Status::Ignored(why) => ("accepted, no effect", why.to_owned()),
            Status::Absent(why) => ("absent", why.to_owned()),
        };
        let default = if setting.required { "required".to_owned() } else { default(setting) };
        row(page, &[&format!("`{}`", setting.name), &takes(&setting.kind), &default, here, &remark]);
    }
}

fn row(page: &mut String, cells: &[&str]) {
    page.push('|');
    for cell in cells {
        let cell = cell.replace('|', "\\|").replace('\n', " ");
        let _infallible = write!(page, " {cell} |");
    }
    page.push('\n');
}

/// What a setting takes, in a word or a few.
pub(crate) fn takes(kind: &Kind) -> String {
    match kind {
        Kind::String => "string".into(),
        Kind::Number => "number".into(),
        Kind::Boolean => "boolean".into(),
        Kind::Array => "array".into(),
        Kind::Hash => "hash".into(),
        Kind::Path => "path".into(),
        Kind::Password => "password".into(),
        Kind::Uri => "uri".into(),
        Kind::Bytes => "bytes".into(),
        Kind::Codec => "codec".into(),
        Kind::FieldReference => "field reference".into(),
        Kind::OneOf(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Kind::List(item) => format!("list of {}", takes(item)),
        Kind::Any => "any".into(),
    }
}

fn default(setting: &Setting) -> String {
    match setting.default {
        Default::None => String::new(),
        Default::String(text) => format!("`{}`", text.escape_default()),
        Default::Int(number) => format!("`{number}`"),
        Default::Float(number) => format!("`{number:?}`"),
        Default::Bool(flag) => format!("`{flag}`"),
        Default::Strings(list) => format!("`{list:?}`"),
    }
}

const TITLES: [&str; 4] = ["Inputs", "Filters", "Outputs", "Codecs"];

const HEAD: &str = "# Compatibility with Logstash

What the native engine does with a Logstash configuration, compared with Logstash 9.5: *same*, *different* and why, or
*absent*. A configuration that needs something absent is refused when it is saved, with its line; nothing is left
out silently. This page is written from the tables the engine uses; regenerate it with
`UPDATE=1 cargo test -p logstash-mesos-core --features elasticsearch --test runner`.

## Language
";

type Line = (&'static str, &'static str, &'static str);

static LANGUAGE: &[(&str, &[Line])] = &[
    (
        "Text",
        &[
            ("`input`, `filter`, `output` sections, repeated and in any order", "same", ""),
            ("Comments", "same", "Between the entries of a hash and at the end of the text too."),
            ("Barewords", "same", "Two characters at least: letters, digits, `_`."),
            (
                "Strings in `\"` and `'`",
                "same",
                "Without `config.support_escapes` a backslash stands for itself, but `\\\"` never ends a string.",
            ),
            ("`config.support_escapes`", "same", "`\\\"`, `\\'`, `\\\\`, `\\n`, `\\r`, `\\t`, `\\0`."),
            ("Numbers", "same", "A leading zero means octal; `5.` and integers above 64 bits are refused."),
            ("Arrays, hashes, nested", "same", "A key twice in one hash is refused."),
            (
                "Order of hashes",
                "same",
                "Plugins get the entries in the order of a Java `HashMap`; `check` warns where that matters.",
            ),
            (
                "Settings given several times",
                "same",
                "Lists grow, hashes are merged, values of one key become a list; two codecs are refused.",
            ),
            ("Plugins as values", "same", "Codecs only, as in Logstash."),
            ("Quoted names of plugins", "same", "Refused as unknown; quoted names of settings work."),
            (
                "Depth",
                "different",
                "Nesting of more than 64 levels is refused; Logstash's stack ends somewhere beyond.",
            ),
            (
                "Empty things",
                "different",
                "A configuration without a filter, an `if` without a body and `id => \"\"` are taken; Logstash ends with an exception.",
            ),
            (
                "Complaints",
                "different",
                "All of them in one run, each with code, line, column and remedy; Logstash stops at the first.",
            ),
        ],
    ),
    (
        "Conditions",
        &[
            ("`==`, `!=`", "same", "5 and 5.0 differ. A list on the right stands for its first item."),
            (
                "`<`, `<=`, `>`, `>=`",
                "same",
                "An event with a missing field, a list, a hash, or a string against a number becomes a dead letter (there: if its queue is enabled); null and booleans are equal to everything.",
            ),
            (
                "`=~`, `!~`",
                "different",
                "Ruby's syntax and meaning. A search is limited in steps where the pattern needs backtracking; what exceeds the limit does not match.",
            ),
            (
                "Regular expressions",
                "different",
                "Refused: `(?~…)`, `\\p{In…}`, `\\p{Age=…}`. Taken, where Logstash refuses: `\\x{…}`, `\\M-a`, `\\p{IsAlpha}`, `\\P{L}`. Classes follow a newer Unicode.",
            ),
            (
                "`in`, `not in`",
                "same",
                "Constant lists compare as text; a list of one item is a field reference.",
            ),
            (
                "`and`, `or`",
                "same",
                "Logstash's own grouping: `a and b and c or d` is `a and ((b and c) or d)`; `check` warns.",
            ),
            ("`xor`, `nand`, `!`", "same", "The first two only alone."),
            ("Truth", "same", "Missing, null, false, `\"false\"` and `\"\"` are false."),
            ("Conditions around inputs", "different", "Refused: an input has no event that could be asked."),
        ],
    ),
    (
        "Fields and texts",
        &[
            (
                "Field references",
                "same",
                "Strict syntax, negative indexes, gaps filled with null; a list grows by 1,048,576 items at most.",
            ),
            (
                "What breaks an event",
                "different",
                "`dissect` into `@timestamp` fails with its tag, where Logstash stores a text that nothing can read; half a surrogate pair in JSON becomes `?`; XML that uses an entity fails with its tag also where its own document type declares it, as nothing of a document type is read.",
            ),
            (
                "`config.field_reference.escape_style`",
                "same",
                "`none`, `percent`, `ampersand`; for all pipelines, by `--setting` or `--executor-setting`.",
            ),
            (
                "`@metadata`, `@timestamp`, `tags`",
                "same",
                "The same values are refused and the same tags set (`_timestampparsefailure`, `_tagsparsefailure`).",
            ),
            (
                "`%{field}`",
                "same",
                "Numbers as Java prints them, lists joined with commas, hashes as JSON in the order of a Java `HashMap`.",
            ),
            ("`%{+…}`", "same", "Joda-Time patterns, UTC, English names."),
            ("`%{{…}}`", "same", "java.time patterns, UTC, English names and weeks of the United States."),
            ("`%{+%s}`, `%{{TIME_NOW}}`", "same", ""),
            (
                "`${NAME}`, `${NAME:default}`",
                "same",
                "From the environment of the executor. There is no keystore.",
            ),
        ],
    ),
    (
        "Pipeline",
        &[
            (
                "`pipeline.ecs_compatibility`",
                "same",
                "`disabled`, `v1`, `v8`, per pipeline and per plugin; v8 is the default.",
            ),
            (
                "Order of events",
                "same as `pipeline.ordered: true`",
                "Each event goes through all filters before the next one does.",
            ),
            ("`id`", "same", "An id given twice is refused."),
        ],
    ),
];
