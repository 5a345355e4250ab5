//! `grok`: takes a text apart with named patterns.

mod store;

use std::sync::Arc;
use std::time::Duration;

use logstash_mesos_regex::{Captures, MatchError, Scratch};

use self::store::Captured;
use crate::compat::ruby;
use crate::event::{Event, Text, Value};
use crate::grok::{Grok, GrokError, PatternSet, Patterns};
use crate::lang::similar::suggestion;
use crate::plugin::field::{Failed, Field, tag_all};
use crate::plugin::settings::{Default, Kind, Setting, SettingValue, Settings};
use crate::plugin::{Build, BuildContext, BuildError, Filter, FilterContext, PluginSpec};

pub(crate) static GROK: PluginSpec = PluginSpec {
    name: "grok",
    doc: "Parses text into fields with named patterns.",
    settings: &[
        Setting::new("match", Kind::Hash, "Fields, each with the pattern or patterns for it."),
        Setting::new("patterns_dir", Kind::Array, "Directories with files of further patterns."),
        Setting::new("patterns_files_glob", Kind::String, "Which files in these directories are read.")
            .default(Default::String("*")),
        Setting::new("pattern_definitions", Kind::Hash, "Further patterns by name."),
        Setting::new("break_on_match", Kind::Boolean, "Stops at the first pattern that matches.")
            .default(Default::Bool(true)),
        Setting::new("named_captures_only", Kind::Boolean, "Only makes fields of groups that name one.")
            .default(Default::Bool(true)),
        Setting::new(
            "keep_empty_captures",
            Kind::Boolean,
            "Makes fields of groups that matched nothing too.",
        )
        .default(Default::Bool(false)),
        Setting::new("overwrite", Kind::Array, "Fields whose value is replaced instead of added to."),
        Setting::new("target", Kind::String, "The field below which captures go."),
        Setting::new("tag_on_failure", Kind::Array, "Tags for an event that no pattern matches.")
            .default(Default::Strings(&["_grokparsefailure"])),
        Setting::new("tag_on_timeout", Kind::String, "Tag for an event on which a pattern takes too long.")
            .default(Default::String("_groktimeout")),
        Setting::new("timeout_millis", Kind::Number, "How long a pattern may take; 0 for no limit.")
            .default(Default::Int(30_000)),
        Setting::new("timeout_scope", Kind::OneOf(&["pattern", "event"]), "What the time limit applies to.")
            .default(Default::String("pattern")),
    ],
    build: Build::Filter(build),
};

fn build(settings: &Settings, context: &BuildContext) -> Result<Box<dyn Filter>, BuildError> {
    let mut patterns = Patterns::builtin(context.ecs.select(PatternSet::Legacy, PatternSet::EcsV1));
    let files = settings.text("patterns_files_glob").unwrap_or_default();
    for path in settings.strings("patterns_dir") {
        patterns
            .add_path(&path, &files)
            .map_err(|error| BuildError::setting("patterns_dir", error.to_string()).in_file())?;
    }
    for (name, definition) in settings.hash("pattern_definitions") {
        if let Some(definition) = definition.to_text() {
            let definition = definition.as_str();
            let definition = definition.strip_suffix('\n').unwrap_or(definition);
            patterns.add(name.as_str(), definition.strip_suffix('\r').unwrap_or(definition));
        }
    }
    let overwrite = settings.strings("overwrite");
    let target = settings.text("target").map(|target| target_prefix(&target));
    let named_only = settings.bool("named_captures_only");
    let mut fields = Vec::new();
    for (field, value) in settings.hash("match") {
        let mut groks = Vec::new();
        for pattern in value.items().iter().filter_map(SettingValue::to_text) {
            let grok = Grok::new(&pattern, &patterns, named_only).map_err(|error| {
                let complaint = pattern_error(error, &patterns);
                // The name may be one of those files.
                if settings.is_given("patterns_dir") { complaint.in_file() } else { complaint }
            })?;
            groks.push(Compiled::new(grok, target.as_deref(), &overwrite, settings));
        }
        fields.push((settings.field_of(field), groks));
    }
    let timeout = settings.float("timeout_millis").filter(|millis| *millis > 0.0);
    let filter = GrokFilter {
        shared: Arc::new(Shared {
            fields,
            break_on_match: settings.bool("break_on_match"),
            keep_empty: settings.bool("keep_empty_captures"),
            tags: settings.strings("tag_on_failure"),
            timeout_tag: settings.text("tag_on_timeout").unwrap_or_default(),
            timeout: timeout.and_then(|millis| Duration::try_from_secs_f64(millis / 1000.0).ok()),
            timeout_per_event: settings.text("timeout_scope").is_some_and(|scope| scope == "event"),
        }),
        scratch: Scratch::new(),
        captures: Captures::new(),
    };
    Ok(filter.fork())
}

/// `target => "a"` and `target => "[a]"` name the same field.
fn target_prefix(target: &str) -> String {
    let brackets = target.find('[').is_some_and(|open| target[open..].contains(']'));
    if brackets { target.to_owned() } else { format!("[{}]", target.trim()) }
}

fn pattern_error(error: GrokError, patterns: &Patterns) -> BuildError {
    let remedy = match &error {
        GrokError::UnknownPattern { reference } => {
            let name = reference.trim_start_matches("%{").split([':', '}']).next().unwrap_or_default();
            suggestion(name, patterns.names())
                .unwrap_or_else(|| "correct the name, or define it in `pattern_definitions`".to_owned())
        }
        GrokError::TooDeep { .. } => "let no definition refer to itself".to_owned(),
        GrokError::Regex { .. } => {
            "regular expressions are Ruby's; a bracket or parenthesis that stands for itself is written `\\(`, `\\[`"
                .to_owned()
        }
        _ => return BuildError::setting("match", error.to_string()),
    };
    BuildError::setting("match", error.to_string()).remedy(remedy)
}

/// What all workers share.
#[derive(Debug)]
struct Shared {
    fields: Vec<(Field, Vec<Compiled>)>,
    break_on_match: bool,
    keep_empty: bool,
    tags: Vec<Text>,
    timeout_tag: Text,
    timeout: Option<Duration>,
    timeout_per_event: bool,
}

/// A pattern, with the fields its groups go to.
#[derive(Debug)]
struct Compiled {
    grok: Grok,
    fields: store::Fields,
}

impl Compiled {
    fn new(grok: Grok, target: Option<&str>, overwrite: &[Text], settings: &Settings) -> Self {
        let fields = store::Fields::new(grok.fields(), target, overwrite, settings);
        Self { grok, fields }
    }
}

struct GrokFilter {
    shared: Arc<Shared>,
    scratch: Scratch,
    captures: Captures,
}

/// The pattern took too long on the text.
struct TimedOut;

impl Filter for GrokFilter {
    fn filter(&mut self, event: &mut Event, cx: &mut FilterContext<'_>) {
        let shared = Arc::clone(&self.shared);
        let mut matched = false;
        for (field, groks) in &shared.fields {
            match self.match_field(&shared, field, groks, event) {
                Ok(found) => matched |= found,
                Err(TimedOut) => {
                    event.tag(&shared.timeout_tag);
                    return;
                }
            }
            if matched && shared.break_on_match {
                break;
            }
        }
        if !(matched && cx.matched(event)) {
            tag_all(event, &shared.tags);
        }
    }

    fn fork(&self) -> Box<dyn Filter> {
        let mut scratch = Scratch::new();
        scratch.set_timeout(self.shared.timeout);
        Box::new(Self { shared: Arc::clone(&self.shared), scratch, captures: Captures::new() })
    }
}

impl GrokFilter {
    /// Matches a field, or each item of a list. A capture that cannot be stored counts as no match.
    fn match_field(
        &mut self,
        shared: &Shared,
        field: &Field,
        groks: &[Compiled],
        event: &mut Event,
    ) -> Result<bool, TimedOut> {
        let Ok(reference) = field.get() else { return Ok(false) };
        let result = match event.get(reference) {
            Some(Value::Text(text)) => {
                let text = text.clone();
                self.match_text(shared, &text, groks, event)?
            }
            Some(Value::List(items)) => {
                let texts: Vec<Text> = items.iter().map(ruby::to_s).collect();
                let mut found = false;
                for text in texts {
                    match self.match_text(shared, &text, groks, event)? {
                        Ok(matched) => found |= matched,
                        Err(Failed) => return Ok(false),
                    }
                }
                Ok(found)
            }
            // A missing field is matched as an empty text.
            None => self.match_text(shared, &Text::new(), groks, event)?,
            Some(other) => {
                let text = ruby::to_s(other);
                self.match_text(shared, &text, groks, event)?
            }
        };
        Ok(result.unwrap_or(false))
    }

    /// Whether the last pattern that was tried matches.
    fn match_text(
        &mut self,
        shared: &Shared,
        text: &Text,
        groks: &[Compiled],
        event: &mut Event,
    ) -> Result<Result<bool, Failed>, TimedOut> {
        if shared.timeout_per_event {
            self.scratch.begin_shared_timeout();
        }
        let mut matched = false;
        for compiled in groks {
            matched = match compiled.grok.regex().captures(text, 0, &mut self.scratch, &mut self.captures) {
                Ok(matched) => matched,
                Err(error) => {
                    warn_timeout(&compiled.grok, text, error);
                    return Err(TimedOut);
                }
            };
            if matched {
                let captured = Captured { text, groups: &self.captures, keep_empty: shared.keep_empty };
                if let Err(failed) = compiled.fields.store(&captured, event) {
                    return Ok(Err(failed));
                }
                if shared.break_on_match {
                    break;
                }
            }
        }
        Ok(Ok(matched))
    }
}

fn warn_timeout(grok: &Grok, text: &Text, error: MatchError) {
    tracing::warn!(
        %error,
        pattern = grok.pattern(),
        byte_size = text.len(),
        "Grok pattern took too long on a text"
    );
}

#[cfg(test)]
mod tests {
    use super::GROK;
    use crate::plugin::EcsCompatibility;
    use crate::testing::{build, build_with, fields, filtered_json, json_event, run};

    #[test]
    fn captures_become_fields() {
        assert_eq!(
            filtered_json(
                &GROK,
                r#"{"match":{"message":"%{IP:[client][ip]} %{WORD:method} %{NUMBER:bytes:int} %{NUMBER:took:float}(?<e>x)?"}}"#,
                r#"{"message":"55.3.244.1 GET 15824 0.043"}"#
            ),
            r#"{"message":"55.3.244.1 GET 15824 0.043","client":{"ip":"55.3.244.1"},"method":"GET","bytes":15824,"took":0.043}"#
        );
    }

    #[test]
    fn the_sets_differ_by_compatibility() {
        let settings = r#"{"match":{"message":"%{SYSLOGPROG}"}}"#;
        for (ecs, expected) in [
            (EcsCompatibility::Disabled, r#"{"message":"cron[12]","program":"cron","pid":"12"}"#),
            (EcsCompatibility::V8, r#"{"message":"cron[12]","process":{"name":"cron","pid":12}}"#),
        ] {
            let mut filter = build_with(&GROK, settings, ecs).expect("fine");
            let mut event = json_event(r#"{"message":"cron[12]"}"#);
            run(&mut *filter, &mut event);
            assert_eq!(fields(&event), expected);
        }
    }

    #[test]
    fn a_field_that_is_there_is_added_to_or_overwritten() {
        let settings = r#"{"match":{"message":"(?<f>\\w+) %{INT:n}"}}"#;
        assert_eq!(
            filtered_json(&GROK, settings, r#"{"message":"a 1","f":"x","n":5}"#),
            r#"{"message":"a 1","f":["x","a"],"n":5}"#
        );
        assert_eq!(
            filtered_json(&GROK, settings, r#"{"message":"a 1","f":["x",1]}"#),
            r#"{"message":"a 1","f":["x",1,"a"],"n":"1"}"#
        );
        assert_eq!(
            filtered_json(
                &GROK,
                r#"{"match":{"message":"(?<f>\\w+) %{INT:n}"},"overwrite":["f","n"]}"#,
                r#"{"message":"a 1","f":"x","n":5}"#
            ),
            r#"{"message":"a 1","f":"a","n":"1"}"#
        );
    }

    #[test]
    fn failure_and_success_over_several_patterns() {
        let settings = r#"{"match":{"message":["%{INT:a:int}","%{WORD:b}"]},"break_on_match":false,"tag_on_failure":["_x"]}"#;
        // The last pattern decides.
        assert_eq!(filtered_json(&GROK, settings, r#"{"message":"5"}"#), r#"{"message":"5","a":5,"b":"5"}"#);
        assert_eq!(filtered_json(&GROK, settings, r#"{"message":"-"}"#), r#"{"message":"-","tags":["_x"]}"#);
        let reversed = settings.replace(r#"["%{INT:a:int}","%{WORD:b}"]"#, r#"["%{WORD:b}","%{INT:a:int}"]"#);
        assert_eq!(
            filtered_json(&GROK, &reversed, r#"{"message":"w"}"#),
            r#"{"message":"w","b":"w","tags":["_x"]}"#
        );
        assert_eq!(
            filtered_json(&GROK, "{}", r#"{"message":"w"}"#),
            r#"{"message":"w","tags":["_grokparsefailure"]}"#
        );
    }

    #[test]
    fn what_is_no_text_is_matched_as_one() {
        let settings = r#"{"match":{"a":"^%{GREEDYDATA:g}$"},"keep_empty_captures":true}"#;
        for (value, expected) in
            [("5", r#""g":"5""#), ("true", r#""g":"true""#), (r#"["x",2]"#, r#""g":["x","2"]"#)]
        {
            let got = filtered_json(&GROK, settings, &format!(r#"{{"a":{value}}}"#));
            assert_eq!(got, format!(r#"{{"a":{value},{expected}}}"#));
        }
        assert_eq!(filtered_json(&GROK, settings, "{}"), r#"{"g":""}"#);
    }

    #[test]
    fn new_hashes_and_those_that_are_there() {
        let settings = r#"{"match":{"m":"(?<[a][b]>\\w)(?<[a][c][d]>\\w)?(?<[e][f]>\\w)?(?<[a][c][g]>-)(?<[a][b]>\\d)"}}"#;
        assert_eq!(
            filtered_json(&GROK, settings, r#"{"m":"xy-1"}"#),
            r#"{"m":"xy-1","a":{"b":["x","1"],"c":{"d":"y","g":"-"}}}"#
        );
        assert_eq!(
            filtered_json(&GROK, settings, r#"{"m":"xy-1","a":{"b":"z"},"e":null}"#),
            r#"{"m":"xy-1","a":{"b":["z","x","1"],"c":{"d":"y","g":"-"}},"e":null}"#
        );
        // What cannot be stored ends the match there; what was stored before stays.
        assert_eq!(
            filtered_json(&GROK, settings, r#"{"m":"xyz-1","a":5}"#),
            r#"{"m":"xyz-1","a":5,"tags":["_grokparsefailure"]}"#
        );
        assert_eq!(
            filtered_json(&GROK, r#"{"match":{"m":"(?<a>x)(?<[a][b]>y)"}}"#, r#"{"m":"xy"}"#),
            r#"{"m":"xy","a":"x","tags":["_grokparsefailure"]}"#
        );
    }

    #[test]
    fn a_target_takes_all() {
        for target in ["t", "[t]"] {
            assert_eq!(
                filtered_json(
                    &GROK,
                    &format!(r#"{{"match":{{"m":"%{{WORD:[a][b]}}"}},"target":"{target}"}}"#),
                    r#"{"m":"x"}"#
                ),
                r#"{"m":"x","t":{"a":{"b":"x"}}}"#
            );
        }
    }

    #[test]
    fn mistakes_are_refused_at_start() {
        let refused = |settings: &str| match build(&GROK, settings) {
            Ok(_) => panic!("{settings} was accepted"),
            Err(error) => error.message,
        };
        assert_eq!(refused(r#"{"match":{"m":"%{NOSUCH:x}"}}"#), "pattern %{NOSUCH:x} not defined");
        assert!(refused(r#"{"match":{"m":"(a"}}"#).contains("end pattern with unmatched parenthesis"));
    }

    #[test]
    fn a_pattern_that_takes_too_long_tags() {
        let settings = r#"{"match":{"m":"^(?<x>(?:a|a|aa)+)(?!b)(?=c)$"},"timeout_millis":30}"#;
        let line = "a".repeat(60) + "bc";
        assert_eq!(
            filtered_json(&GROK, settings, &format!(r#"{{"m":"{line}"}}"#)),
            format!(r#"{{"m":"{line}","tags":["_groktimeout"]}}"#)
        );
    }

    #[test]
    fn captures_share_the_buffer_of_the_line() {
        let line = format!("first {}", "x".repeat(100));
        let mut filter = build(&GROK, r#"{"match":{"m":"%{WORD:a} %{GREEDYDATA:rest}"}}"#).expect("fine");
        let mut event = json_event(&format!(r#"{{"m":"{line}"}}"#));
        run(&mut *filter, &mut event);
        let text =
            |name: &str| event.fields().get(name).and_then(|value| value.as_text()).expect("a text").clone();
        assert_eq!(text("rest").as_ptr(), text("m").as_ptr().wrapping_add(6));
    }
}
