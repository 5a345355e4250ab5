//! From the settings as written to settings as declared: substituted, merged, converted, complete.

use crate::compile::{CompileOptions, UnknownVariable};
use crate::event::Text;
use crate::lang::PluginKind;
use crate::lang::absent;
use crate::lang::ast::{Attribute, Plugin};
use crate::lang::similar::suggestion;
use crate::lang::{Code, Diagnostic, Span};
use crate::plugin::PluginSpec;
use crate::plugin::common;
use crate::plugin::settings::{Default, Kind, Setting, SettingValue, Settings, Status};

mod convert;
mod raw;
mod surprise;

/// Checks plugins one after the other and gathers what is wrong.
#[derive(Debug)]
pub(crate) struct Checker<'o> {
    pub(crate) options: &'o CompileOptions,
    /// The text of the configuration.
    pub(crate) source: &'o str,
    pub(crate) complaints: Vec<Diagnostic>,
    /// Values with a variable in them that is not known here.
    pub(crate) unknown: Vec<Span>,
}

impl Checker<'_> {
    /// The plugin `written` names and its settings, or `None` after a complaint.
    pub(crate) fn plugin(
        &mut self,
        kind: PluginKind,
        written: &Plugin,
    ) -> Option<(&'static PluginSpec, Settings)> {
        let spec = self.find(kind, &written.name, written.name_span)?;
        let before = self.complaints.len();
        let settings = self.settings(kind, spec, &written.attributes, written.name_span);
        let refused =
            self.complaints[before..].iter().any(|said| said.severity == crate::lang::Severity::Error);
        (!refused).then_some((spec, settings))
    }

    fn find(&mut self, kind: PluginKind, name: &str, span: Span) -> Option<&'static PluginSpec> {
        let found = self.options.catalog.find(kind, name);
        if found.is_none() {
            let word = kind.word();
            let (code, message, remedy) = if name.starts_with(['"', '\'']) {
                (
                    Code::UNKNOWN_PLUGIN,
                    format!("there is no {word} {name}: names of plugins stand without quotes"),
                    Some(format!("write `{}`", name.trim_matches(['"', '\'']))),
                )
            } else if let Some(reason) = absent::reason(kind, name) {
                (
                    Code::ABSENT,
                    format!("the {word} `{name}` of Logstash is not implemented by this engine{reason}"),
                    Some("leave it out; docs/compatibility.md lists what there is".to_owned()),
                )
            } else {
                let close = suggestion(name, self.options.catalog.names(kind));
                (
                    Code::UNKNOWN_PLUGIN,
                    format!("there is no {word} `{name}`"),
                    close.or_else(|| Some(format!("the {word}s are {}", self.list_of(kind)))),
                )
            };
            self.complaints.push(Diagnostic::error(code, span, message).remedy(remedy));
        }
        found
    }

    fn list_of(&self, kind: PluginKind) -> String {
        let mut names: Vec<_> = self.options.catalog.names(kind).collect();
        names.sort_unstable();
        names.join(", ")
    }

    fn settings(
        &mut self,
        kind: PluginKind,
        spec: &'static PluginSpec,
        attributes: &[Attribute],
        plugin_span: Span,
    ) -> Settings {
        let mut values = Vec::new();
        let mut given = Vec::new();
        let declared = |name: &str| {
            spec.settings.iter().chain(common::settings(kind)).find(|setting| setting.name == name)
        };
        for merged in self.merged(attributes) {
            let (name, span, value_span) = (merged.name.as_str(), merged.name_span, merged.span);
            let Some(setting) = declared(name) else {
                let known = spec
                    .settings
                    .iter()
                    .chain(common::settings(kind))
                    .filter(|setting| !matches!(setting.status, Status::Obsolete(_)))
                    .map(|setting| setting.name);
                let remedy = suggestion(name, known.clone()).or_else(|| {
                    let mut names: Vec<_> = spec.settings.iter().map(|setting| setting.name).collect();
                    names.sort_unstable();
                    (!names.is_empty()).then(|| format!("its own settings are {}", names.join(", ")))
                });
                let message = format!("{} `{}` has no setting `{name}`", kind.word(), spec.name);
                self.complaints.push(Diagnostic::error(Code::UNKNOWN_SETTING, span, message).remedy(remedy));
                continue;
            };
            self.status(spec, setting, span);
            self.surprises(spec, setting, &merged);
            match self.convert(&merged.raw, &setting.kind, value_span) {
                Ok(Some(value)) => {
                    given.push(Text::from_static(setting.name));
                    values.push((Text::from_static(setting.name), value));
                }
                Ok(None) => given.push(Text::from_static(setting.name)),
                // What a variable will make of it is not known here.
                Err(Some(_)) if merged.unknown => given.push(Text::from_static(setting.name)),
                Err(Some((problem, remedy))) => {
                    let message = format!("`{name}` of `{}`: {problem}", spec.name);
                    let complaint = Diagnostic::error(Code::INVALID_VALUE, value_span, message);
                    self.complaints.push(
                        complaint.remedy(remedy.or_else(|| Some(format!("`{name}`: {}", setting.doc)))),
                    );
                }
                // Said already, at the place inside the value.
                Err(None) => {}
            }
        }
        // The plugin's own declaration comes first: it may give a common setting another default.
        for setting in spec.settings.iter().chain(common::settings(kind)) {
            if values.iter().any(|(have, _)| have == setting.name)
                || given.iter().any(|have| have == setting.name)
            {
                continue;
            }
            if setting.required && !attributes.iter().any(|attribute| attribute.name == setting.name) {
                let message = format!("{} `{}` needs the setting `{}`", kind.word(), spec.name, setting.name);
                self.complaints.push(
                    Diagnostic::error(Code::MISSING_SETTING, plugin_span, message)
                        .remedy(format!("`{}`: {}", setting.name, setting.doc)),
                );
            }
            if let Some(value) = self.default(setting) {
                values.push((Text::from_static(setting.name), value));
            }
        }
        Settings::new(values, given).with_escape_style(self.options.escape_style)
    }

    fn status(&mut self, spec: &PluginSpec, setting: &Setting, span: Span) {
        let name = setting.name;
        let plugin = spec.name;
        let complaint = match setting.status {
            Status::Supported => return,
            Status::Deprecated(instead) => {
                Diagnostic::warning(Code::DEPRECATED, span, format!("`{name}` of `{plugin}` is deprecated"))
                    .remedy(instead.to_owned())
            }
            Status::Obsolete(instead) => Diagnostic::error(
                Code::OBSOLETE_SETTING,
                span,
                format!("`{name}` of `{plugin}` was removed from Logstash"),
            )
            .remedy(instead.to_owned()),
            // These two are in half of all configurations and change nothing for anyone.
            Status::Ignored(_) if matches!(name, "enable_metric" | "periodic_flush") => return,
            Status::Ignored(why) => Diagnostic::warning(
                Code::IGNORED,
                span,
                format!("`{name}` of `{plugin}` changes nothing here: {why}"),
            )
            .remedy("leave it out".to_owned()),
            Status::Absent(why) => Diagnostic::error(
                Code::ABSENT,
                span,
                format!("`{name}` of `{plugin}` is not implemented by this engine: {why}"),
            )
            .remedy("leave it out".to_owned()),
        };
        self.complaints.push(complaint);
    }

    /// Complains about a variable without a value.
    pub(crate) fn undefined(&mut self, name: &str, span: Span) {
        let remedy = format!("set `{name}` in the environment, or give a default: `${{{name}:…}}`");
        let complaint = match self.options.unknown_variables {
            UnknownVariable::Refuse => Diagnostic::error(
                Code::UNDEFINED_VARIABLE,
                span,
                format!("the variable `{name}` has no value and no default"),
            ),
            UnknownVariable::Warn => {
                self.unknown.push(span);
                Diagnostic::warning(
                    Code::UNKNOWN_VARIABLE,
                    span,
                    format!(
                        "the variable `{name}` is not known here; it must be where the configuration runs"
                    ),
                )
            }
        };
        self.complaints.push(complaint.remedy(remedy));
    }

    fn default(&mut self, setting: &Setting) -> Option<SettingValue> {
        match setting.default {
            Default::String(name) if matches!(setting.kind, Kind::Codec) => {
                let spec = self.options.catalog.find(PluginKind::Codec, name)?;
                let settings = self.settings(PluginKind::Codec, spec, &[], Span::default());
                Some(SettingValue::Plugin(Text::from_static(spec.name), settings))
            }
            _ => setting.default_value(),
        }
    }
}
