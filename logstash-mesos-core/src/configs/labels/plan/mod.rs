//! From the labels of a container to a configuration for it. No I/O happens here.

use std::fmt::Write as _;

use super::LABEL_PREFIX;
use super::rules::{Family, LabelRules};
use crate::configs::matching::fits;
use crate::configs::{Configuration, Kind, digest};
use crate::discovery::{Container, IGNORE_LABEL};
use crate::pipeline::lang::ast::SectionKind;
use crate::pipeline::lang::parse;
use crate::pipeline::lang::similar::suggestion;
use crate::pipeline::{PluginKind, catalog};

/// What the operator offers to containers that describe their logs.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'o> {
    /// Which labels mean something.
    pub rules: &'o LabelRules,
    /// Those whose filters and outputs may be asked for, where the rules name them.
    pub configurations: &'o [Configuration],
    /// Whether `\n` and its like mean something in the strings of a configuration: `config.support_escapes`.
    pub support_escapes: bool,
    /// Whether the sandboxes of an agent are looked at.
    pub sees_sandboxes: bool,
}

/// What a container says about its logs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// How it is shipped; containers that say the same have the same. `None` if it is not.
    pub configuration: Option<Configuration>,
    /// Labels that mean nothing.
    pub refused: Vec<Refusal>,
}

/// A label that means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its whole name.
    pub label: String,
    /// Why, with the remedy.
    pub reason: String,
}

/// More than anybody writes by hand, and little enough for a pipeline.
const MOST_VALUE_BYTES: usize = 4096;
const MOST_IN_A_LIST: usize = 64;
const MOST_FIELDS: usize = 64;

/// After so many seconds of silence an event of several lines is whole.
const MULTILINE_FLUSH_SECS: u32 = 5;

const LABELS: [&str; 14] = [
    "paths",
    "exclude",
    "stdout",
    "stderr",
    "codec",
    "multiline.pattern",
    "multiline.negate",
    "multiline.what",
    "include_lines",
    "exclude_lines",
    "fields.NAME",
    "filter",
    "output",
    "ignore",
];

/// What `container` says about its logs; `None` if it says nothing, or if nothing that it says could mean anything.
///
/// What is refused leaves the rest as it is, with three exceptions, after which nothing is shipped: nothing of it is
/// allowed, nothing is left to read, or the output is refused, since its events were not meant for any other.
#[must_use]
pub fn describe(container: &Container, offer: &Offer<'_>) -> Option<Description> {
    if offer.rules.is_empty() || container.is_ignored() {
        return None;
    }
    let ours = container.labels.range(LABEL_PREFIX.to_owned()..);
    let ours = ours.take_while(|(label, _)| label.starts_with(LABEL_PREFIX));
    let mut said = ours.filter(|(label, _)| *label != IGNORE_LABEL).peekable();
    said.peek()?;
    let mut refused = Vec::new();
    let mut wish = Wish::default();
    let mut is_allowed = false;
    for (label, value) in said {
        match wish.take(&label[LABEL_PREFIX.len()..], value, container, offer) {
            Ok(()) => is_allowed = true,
            Err(reason) => refused.push(Refusal { label: label.clone(), reason }),
        }
    }
    let refuse = |label: &str, reason: &str| Refusal {
        label: format!("{LABEL_PREFIX}{label}"),
        reason: reason.to_owned(),
    };
    if wish.codec.is_some() && wish.multiline.is_some() {
        wish.codec = None;
        refused.push(refuse(
            "codec",
            "it stands beside `multiline.pattern`, which is a codec itself: leave one out",
        ));
    }
    let misses_pattern = wish.multiline.is_none() && (wish.negate.is_some() || wish.what.is_some());
    if misses_pattern && !refused.iter().any(|refusal| refusal.label.ends_with("multiline.pattern")) {
        refused.push(refuse("multiline.pattern", "it is missing, so that no lines are joined"));
    }
    let reads = wish.reads(container);
    // Docker has the same labels, and its container says what is to be said.
    let by_docker = container.sandbox.as_ref().is_some_and(|sandbox| sandbox.by_docker);
    if by_docker {
        refused.clear();
    } else if is_allowed && reads.is_none() && !wish.all_in_sandbox(container) {
        refused.push(refuse("stdout", "nothing is left to read: neither output nor files"));
    }
    let ships = is_allowed && !wish.output_is_refused;
    let configuration = reads.filter(|_| ships).map(|input| wish.configuration(&input));
    (configuration.is_some() || !refused.is_empty()).then_some(Description { configuration, refused })
}

/// What is asked for and allowed.
#[derive(Debug, Default)]
struct Wish<'c> {
    // As in the container, and as from the sandbox.
    paths: Vec<String>,
    below_sandbox: Vec<String>,
    // Also when they are refused: then their container did not mean its output.
    names_paths: bool,
    exclude: Vec<String>,
    stdout: Option<bool>,
    stderr: Option<bool>,
    codec: Option<&'c str>,
    multiline: Option<String>,
    negate: Option<bool>,
    what: Option<&'c str>,
    include_lines: Option<String>,
    exclude_lines: Option<String>,
    fields: Vec<(String, String)>,
    filter: Option<Offered<'c>>,
    output: Option<Offered<'c>>,
    output_is_refused: bool,
}

/// What is asked for by the name of a configuration that the operator offers.
#[derive(Debug)]
struct Offered<'c> {
    name: &'c str,
    // Its sections of the kind that is asked for, as they were written.
    sections: String,
}

impl<'c> Wish<'c> {
    fn take(
        &mut self,
        label: &str,
        value: &'c str,
        container: &Container,
        offer: &Offer<'c>,
    ) -> Result<(), String> {
        self.names_paths |= label == "paths";
        self.output_is_refused |= label == "output";
        let family = family(label)?;
        let Some(names) = offer.rules.grants(container, family) else {
            return Err(format!(
                "it is not allowed here: the operator allows it with `{}` in the setting `labels.allow`",
                family.word()
            ));
        };
        if value.len() > MOST_VALUE_BYTES {
            return Err(format!("it is longer than {MOST_VALUE_BYTES} bytes"));
        }
        if value.contains("${") {
            return Err("`${` would be a variable of the shipper: leave it out".to_owned());
        }
        let text = || quoted(value, offer.support_escapes);
        match label {
            "paths" => self.take_paths(value, container, offer)?,
            "exclude" => self.exclude = list(value, offer)?,
            "stdout" => self.stdout = Some(boolean(value)?),
            "stderr" => self.stderr = Some(boolean(value)?),
            "codec" => self.codec = Some(codec(value)?),
            "multiline.pattern" => self.multiline = Some(text()?),
            "multiline.negate" => self.negate = Some(boolean(value)?),
            "multiline.what" if matches!(value, "previous" | "next") => self.what = Some(value),
            "multiline.what" => return Err(format!("`{value}` is neither previous nor next")),
            "include_lines" => self.include_lines = Some(text()?),
            "exclude_lines" => self.exclude_lines = Some(text()?),
            "filter" => self.filter = Some(offered(value, &names, SectionKind::Filter, offer)?),
            "output" => {
                self.output = Some(offered(value, &names, SectionKind::Output, offer)?);
                self.output_is_refused = false;
            }
            field if self.fields.len() < MOST_FIELDS => {
                let name = field.trim_start_matches("fields.");
                self.fields.push((name.replace('.', "_"), text()?));
            }
            _ => return Err(format!("there are more than {MOST_FIELDS} of them")),
        }
        Ok(())
    }

    fn take_paths(&mut self, value: &str, container: &Container, offer: &Offer<'_>) -> Result<(), String> {
        let is_absolute = |path: &String| path.trim_start_matches(['"', '\'']).starts_with('/');
        let (absolute, relative): (Vec<_>, Vec<_>) = list(value, offer)?.into_iter().partition(is_absolute);
        match &container.sandbox {
            Some(sandbox) if !sandbox.by_docker => {
                if let Some(path) = absolute.first() {
                    return Err(format!(
                        "{path} cannot be read, only files of the sandbox can: write the path as from the sandbox, \
                         without a slash before it"
                    ));
                }
            }
            Some(_) => {}
            None => {
                let in_sandbox = container.mesos.is_some() && offer.sees_sandboxes;
                if let Some(path) = relative.first().filter(|_| !in_sandbox) {
                    return Err(format!("{path} must begin with `/`: no sandbox of this container is seen"));
                }
            }
        }
        self.paths = absolute;
        self.below_sandbox = relative;
        Ok(())
    }

    /// Whether what it names is read of the sandbox of the task that the container is, and not of it.
    fn all_in_sandbox(&self, container: &Container) -> bool {
        container.sandbox.is_none() && !self.below_sandbox.is_empty()
    }

    /// The `input` section; `None` when nothing is to be read.
    fn reads(&self, container: &Container) -> Option<String> {
        // As with the inputs `docker` and `sandbox`: one that is given alone decides about the other.
        let (stdout, stderr) = match (self.stdout, self.stderr) {
            (None, None) => (!self.names_paths, !self.names_paths),
            (stdout, stderr) => {
                let (other, one) = (stderr.map(|on| !on), stdout.map(|on| !on));
                (stdout.or(other).unwrap_or_default(), stderr.or(one).unwrap_or_default())
            }
        };
        let exclude = match self.exclude.as_slice() {
            [] => String::new(),
            names => format!(" exclude => [{}]", names.join(", ")),
        };
        let common = self.common();
        let mut inputs = String::new();
        match &container.sandbox {
            None => {
                if stdout || stderr {
                    let _infallible =
                        write!(inputs, " docker {{ stdout => {stdout} stderr => {stderr}{common} }}");
                }
                if !self.paths.is_empty() {
                    let paths = self.paths.join(", ");
                    let _infallible = write!(inputs, " file {{ docker-path => [{paths}]{exclude}{common} }}");
                }
            }
            Some(sandbox) => {
                // Docker has the output too.
                let (stdout, stderr) = (stdout && !sandbox.by_docker, stderr && !sandbox.by_docker);
                if stdout || stderr || !self.below_sandbox.is_empty() {
                    let paths = match self.below_sandbox.as_slice() {
                        [] => String::new(),
                        paths => format!(" path => [{}]", paths.join(", ")),
                    };
                    let _infallible = write!(
                        inputs,
                        " sandbox {{ stdout => {stdout} stderr => {stderr}{paths}{exclude}{common} }}"
                    );
                }
            }
        }
        (!inputs.is_empty()).then(|| format!("input {{{inputs} }}\n"))
    }

    /// The settings that all inputs have alike.
    fn common(&self) -> String {
        let mut common = String::new();
        if let Some(pattern) = &self.multiline {
            // The pattern alone is that of the first line of an event, as elsewhere.
            let begins = self.negate.is_none() && self.what.is_none();
            let negate = self.negate.unwrap_or(begins);
            let what = self.what.unwrap_or("previous");
            let _infallible = write!(
                common,
                " codec => multiline {{ pattern => {pattern} negate => {negate} what => {what} \
                 auto_flush_interval => {MULTILINE_FLUSH_SECS} }}"
            );
        } else if let Some(codec) = self.codec {
            let _infallible = write!(common, " codec => {codec}");
        }
        if !self.fields.is_empty() {
            common.push_str(" add_field => {");
            for (name, value) in &self.fields {
                let _infallible = write!(common, " \"[fields][{name}]\" => {value}");
            }
            common.push_str(" }");
        }
        common
    }

    fn configuration(&self, input: &str) -> Configuration {
        let mut own = input.to_owned();
        for (operator, pattern) in [("=~", &self.exclude_lines), ("!~", &self.include_lines)] {
            if let Some(pattern) = pattern {
                let _infallible =
                    writeln!(own, "filter {{ if [message] {operator} {pattern} {{ drop {{ }} }} }}");
            }
        }
        // It keeps its name when the operator changes what is offered.
        let asked = [&self.filter, &self.output];
        let names = asked.map(|asked| asked.as_ref().map_or("", |asked| asked.name));
        let name = format!("labels:{}", digest([own.as_str()].into_iter().chain(names)));
        let mut text = own;
        asked.into_iter().flatten().for_each(|asked| text.push_str(&asked.sections));
        Configuration::docker(name, text)
    }
}

/// What a label belongs to, by its name without the prefix.
fn family(label: &str) -> Result<Family, String> {
    Ok(match label {
        "paths" => Family::Paths,
        "exclude" => Family::Exclude,
        "stdout" | "stderr" => Family::Output,
        "codec" => Family::Codec,
        "multiline.pattern" | "multiline.negate" | "multiline.what" => Family::Multiline,
        "include_lines" | "exclude_lines" => Family::Lines,
        "filter" => Family::Filter,
        "output" => Family::Destination,
        _ => match label.strip_prefix("fields.") {
            Some(name) if is_field_name(name) => Family::Fields,
            Some(_) => return Err("the name of a field has letters, digits, `_`, `-` and `.`".to_owned()),
            None => {
                let all = || format!("there are {}", LABELS.join(", "));
                return Err(format!(
                    "there is no such label: {}",
                    suggestion(label, LABELS).unwrap_or_else(all)
                ));
            }
        },
    })
}

fn is_field_name(name: &str) -> bool {
    let is_part = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | '.');
    !name.is_empty() && name.chars().all(is_part)
}

fn boolean(value: &str) -> Result<bool, String> {
    match value {
        "true" | "" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("`{value}` is neither true nor false")),
    }
}

/// The name of a codec; its settings are its own.
fn codec(value: &str) -> Result<&'static str, String> {
    let catalog = catalog();
    let names = || catalog.names(PluginKind::Codec).filter(|name| *name != "multiline");
    names().find(|name| *name == value).ok_or_else(|| {
        let all = || format!("there are {}", names().collect::<Vec<_>>().join(", "));
        match value {
            "multiline" => "write `multiline.pattern` instead".to_owned(),
            _ => format!("`{value}` is no codec: {}", suggestion(value, names()).unwrap_or_else(all)),
        }
    })
}

/// The texts between the commas that stand in no `{…}`, as strings of a configuration.
fn list(value: &str, offer: &Offer<'_>) -> Result<Vec<String>, String> {
    let mut depth = 0_usize;
    let items = value.split(|char| {
        match char {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        char == ',' && depth == 0
    });
    let items: Vec<_> = items.map(str::trim).filter(|item| !item.is_empty()).collect();
    match items.len() {
        0 => Err("it names nothing: write names with commas between them".to_owned()),
        1..=MOST_IN_A_LIST => items.into_iter().map(|item| quoted(item, offer.support_escapes)).collect(),
        _ => Err(format!("it names more than {MOST_IN_A_LIST}: use patterns")),
    }
}

/// A string of a configuration that means `value` and cannot end before it does.
fn quoted(value: &str, support_escapes: bool) -> Result<String, String> {
    let quote = match (value.contains('"'), value.contains('\'')) {
        (false, _) => '"',
        (true, false) => '\'',
        (true, true) => return Err("it has both kinds of quotes: use one".to_owned()),
    };
    // Before a quote it would be part of the text, with and without escapes.
    if value.ends_with('\\') {
        return Err("it ends with a backslash: write `[\\\\]` in a pattern".to_owned());
    }
    let value = if support_escapes { value.replace('\\', "\\\\") } else { value.to_owned() };
    Ok(format!("{quote}{value}{quote}"))
}

/// The configuration that the operator offers by this name: for the machine, or for an image.
fn offered<'c>(
    name: &str,
    names: &[&str],
    kind: SectionKind,
    offer: &Offer<'c>,
) -> Result<Offered<'c>, String> {
    let word = kind.word();
    if !names.iter().any(|pattern| fits(pattern, name)) {
        let known = suggestion(name, names.iter().copied()).unwrap_or_else(|| {
            format!("the operator allows it with `{word}={name}` in the setting `labels.allow`")
        });
        return Err(format!("`{name}` is not offered here: {known}"));
    }
    let of = |kind: Kind| offer.configurations.iter().find(|found| found.kind == kind && found.name == name);
    let Some(found) = of(Kind::Host).or_else(|| of(Kind::Docker)) else {
        return Err(format!("there is no configuration `{name}`: the operator puts one as host/{name}"));
    };
    let sections = sections(found, kind);
    if sections.is_empty() {
        return Err(format!("the configuration `{name}` has no `{word}` section"));
    }
    Ok(Offered { name: &found.name, sections })
}

/// The sections of a kind, as they were written.
fn sections(of: &Configuration, kind: SectionKind) -> String {
    // What cannot be parsed is told where it stands.
    let (config, _) = parse(&of.input);
    let sections = config.sections.iter().filter(|section| section.kind == kind);
    sections.map(|section| format!("{}\n", &of.input[section.span.start..section.span.end])).collect()
}

#[cfg(test)]
mod tests;
