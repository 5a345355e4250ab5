//! From a configuration's text to working plugins.

mod check;
mod lower;
mod secrets;
mod syntax;
mod variables;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use check::Checker;
use lower::Lower;
pub use secrets::{HIDDEN, secrets, without_secrets};
pub use variables::Variables;

use crate::event::{Clock, EscapeStyle};
use crate::lang::ast::{Config, Plugin, SectionKind, Statement, ValueKind};
use crate::lang::{Code, Diagnostic, Diagnostics, PluginKind, Span, parse};
use crate::plugin::settings::Kind;
use crate::plugin::{
    Build, BuildContext, BuildError, Catalog, CompiledPlugin, Decoration, EcsCompatibility, LineLimit,
    ListeningPort, ParsedLimit, PluginSpec, Warning, Warnings, common,
};
use crate::run::{FilterGraph, FilterSlot, Graph, Node};

/// What a configuration is compiled with.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CompileOptions {
    /// Name of the pipeline, for messages and for the ids of plugins.
    pub pipeline_id: String,
    /// Where the text came from, for messages: a file name, the name of a configuration.
    pub origin: String,
    /// Which names fields have: Logstash's setting `pipeline.ecs_compatibility`.
    pub ecs: EcsCompatibility,
    /// `config.support_escapes`: whether `\n` and its siblings mean something in strings.
    pub support_escapes: bool,
    /// `config.field_reference.escape_style`: how the name of a field may contain brackets.
    pub escape_style: EscapeStyle,
    /// Where the current time comes from.
    pub clock: Clock,
    /// Where plugins keep what must survive a restart.
    pub data_dir: Option<PathBuf>,
    /// The values of `${NAME}`.
    pub variables: Variables,
    /// What is done about a `${NAME}` without value and default.
    pub unknown_variables: UnknownVariable,
    /// Whether the files that settings name are those of this machine: then what is wrong with them refuses
    /// the configuration, otherwise it is a warning, and the plugin is left out of what was compiled.
    pub check_paths: bool,
    /// Whether somebody reads containers and files of the machine for inputs, as an executor does. Without,
    /// such inputs are refused.
    pub serves_streams: bool,
    /// `pipeline.max_line_bytes`: what is longer of a line is cut.
    pub max_line_bytes: usize,
    /// The values of one text may take so much memory.
    pub max_parsed_bytes: usize,
    /// The plugins there are.
    pub catalog: Catalog,
    /// Whether outputs give documents an id made from the event's place in its source.
    pub deterministic_ids: bool,
}

/// What is done about a variable that is not set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownVariable {
    /// The configuration is refused: it is about to run.
    #[default]
    Refuse,
    /// A warning: it will run elsewhere.
    Warn,
}

impl CompileOptions {
    /// The defaults of Logstash, with these plugins.
    #[must_use]
    pub fn new(catalog: Catalog) -> Self {
        Self {
            pipeline_id: "main".to_owned(),
            origin: String::new(),
            ecs: EcsCompatibility::default(),
            support_escapes: false,
            escape_style: EscapeStyle::None,
            clock: Clock::System,
            data_dir: None,
            variables: Variables::default(),
            unknown_variables: UnknownVariable::Refuse,
            check_paths: true,
            serves_streams: true,
            max_line_bytes: LineLimit::DEFAULT_BYTES,
            max_parsed_bytes: ParsedLimit::DEFAULT_BYTES,
            catalog,
            deterministic_ids: false,
        }
    }

    /// The same, changed: `CompileOptions::new(catalog()).with(|options| options.serves_streams = false)`.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The text of a string as a plugin gets it.
    pub(crate) fn unescape(&self, text: &str) -> String {
        if !self.support_escapes || !text.contains('\\') {
            return text.to_owned();
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            if c != '\\' {
                out.push(c);
                continue;
            }
            match rest.next() {
                Some(quoted @ ('"' | '\'' | '\\')) => out.push(quoted),
                Some('n') => out.push('\n'),
                Some('r') => out.push('\r'),
                Some('t') => out.push('\t'),
                Some('0') => out.push('\0'),
                Some(other) => out.extend(['\\', other]),
                None => out.push('\\'),
            }
        }
        out
    }
}

/// A configuration that can run.
#[derive(Debug)]
pub struct Compiled {
    /// The inputs, in order.
    pub inputs: Vec<CompiledPlugin>,
    /// Where inputs will listen, also those that cannot be made on this machine for want of their files.
    pub listens: Vec<ListeningPort>,
    /// The filters, made.
    pub filters: FilterGraph,
    /// The outputs, to be made by whoever runs them.
    pub outputs: Graph<CompiledPlugin>,
    /// How long a line may be, and how many were cut.
    pub lines: Arc<LineLimit>,
    /// How much memory the values of a text may take, and how many texts were left as they are.
    pub parsed: Arc<ParsedLimit>,
    /// What its author should know.
    pub warnings: Diagnostics,
}

/// Compiles the text of a configuration; filters are made, inputs and outputs only checked.
///
/// # Errors
///
/// Everything that is wrong with it, warnings included.
pub fn compile(source: &str, options: &CompileOptions) -> Result<Compiled, Diagnostics> {
    let (config, complaints) = parse(source);
    let mut compiler = Compiler {
        checker: Checker { options, source, complaints, unknown: Vec::new() },
        lines: Arc::new(LineLimit::new(options.max_line_bytes)),
        parsed: Arc::new(ParsedLimit::new(options.max_parsed_bytes)),
        ids: HashMap::new(),
        counts: HashMap::new(),
        guards: Vec::new(),
    };
    // A tree with holes would only repeat what is said already; names are checked all the same.
    let compiled = compiler.config(&config);
    let diagnostics = Diagnostics::new(&options.origin, source, compiler.checker.complaints);
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    let Parts { inputs, listens, filters, outputs } = compiled;
    Ok(Compiled {
        inputs,
        listens,
        filters: FilterGraph { graph: filters, clock: options.clock },
        outputs,
        lines: compiler.lines,
        parsed: compiler.parsed,
        warnings: diagnostics,
    })
}

/// What is wrong with the text of `source` as such, whatever plugins there are: the grammar, a key twice in one hash,
/// two codecs of one plugin.
///
/// # Errors
///
/// All complaints about the text, not only the first.
pub fn check_syntax(source: &str, origin: &str) -> Result<(), Diagnostics> {
    let (config, mut complaints) = parse(source);
    complaints.extend(syntax::repeated(source, &config));
    if complaints.is_empty() { Ok(()) } else { Err(Diagnostics::new(origin, source, complaints)) }
}

#[derive(Default)]
struct Parts {
    inputs: Vec<CompiledPlugin>,
    listens: Vec<ListeningPort>,
    filters: Graph<FilterSlot>,
    outputs: Graph<CompiledPlugin>,
}

struct Compiler<'o> {
    checker: Checker<'o>,
    lines: Arc<LineLimit>,
    parsed: Arc<ParsedLimit>,
    ids: HashMap<String, Span>,
    counts: HashMap<(PluginKind, &'static str), usize>,
    /// Fields that the conditions around the present place have found to be there.
    guards: Vec<String>,
}

impl Compiler<'_> {
    fn config(&mut self, config: &Config) -> Parts {
        let mut parts = Parts::default();
        for section in &config.sections {
            match section.kind {
                SectionKind::Input => {
                    for statement in &section.body {
                        self.input(statement, &mut parts);
                    }
                }
                SectionKind::Filter => {
                    let graph = self.graph(&section.body, &mut Self::filter);
                    parts.filters.nodes.extend(graph.nodes);
                }
                SectionKind::Output => {
                    let graph = self.graph(&section.body, &mut Self::output);
                    parts.outputs.nodes.extend(graph.nodes);
                }
            }
        }
        parts
    }

    fn input(&mut self, statement: &Statement, parts: &mut Parts) {
        match statement {
            Statement::Plugin(written) => {
                let Some(plugin) = self.plugin(PluginKind::Input, written) else { return };
                parts.listens.extend(plugin.listens(|setting| variable_in(written, setting)));
                match self.end(&plugin, written) {
                    Ok(()) => parts.inputs.push(plugin),
                    Err(error) => self.refused(&error, written, plugin.spec),
                }
            }
            Statement::Branch(branch) => self.checker.complaints.push(
                Diagnostic::error(
                    Code::EXPRESSION,
                    Span::new(branch.span.start, branch.span.start + 2),
                    "`if` around an input has no event to ask",
                )
                .remedy("put the condition around filters or outputs".to_owned()),
            ),
        }
    }

    fn graph<P>(
        &mut self,
        body: &[Statement],
        make: &mut impl FnMut(&mut Self, &Plugin) -> Option<P>,
    ) -> Graph<P> {
        let mut nodes = Vec::with_capacity(body.len());
        for statement in body {
            match statement {
                Statement::Plugin(plugin) => nodes.extend(make(self, plugin).map(Node::Plugin)),
                Statement::Branch(branch) => {
                    let mut arms = Vec::with_capacity(branch.arms.len());
                    for arm in &branch.arms {
                        let outer = self.guards.len();
                        let mut lower = Lower { checker: &mut self.checker, guards: &mut self.guards };
                        let condition = lower.condition(&arm.condition);
                        let body = self.graph(&arm.body, make);
                        self.guards.truncate(outer);
                        arms.extend(condition.map(|condition| (condition, body)));
                    }
                    let otherwise = self.graph(&branch.otherwise, make);
                    nodes.push(Node::If { arms, otherwise });
                }
            }
        }
        // Logstash leaves out branches in which there is nothing to do, conditions and all.
        nodes.retain(|node| match node {
            Node::Plugin(_) => true,
            Node::If { arms, otherwise } => {
                !otherwise.is_empty() || arms.iter().any(|(_, graph)| !graph.is_empty())
            }
        });
        Graph { nodes }
    }

    fn plugin(&mut self, kind: PluginKind, written: &Plugin) -> Option<CompiledPlugin> {
        let (spec, settings) = self.checker.plugin(kind, written)?;
        let options = self.checker.options;
        let count = self.counts.entry((kind, spec.name)).or_default();
        *count += 1;
        let plugin_id = match settings.text("id") {
            Some(id) => id.to_string(),
            None => format!("{}_{}_{count}", kind.word(), spec.name),
        };
        if settings.is_given("id") && self.ids.insert(plugin_id.clone(), written.name_span).is_some() {
            self.checker.complaints.push(
                Diagnostic::error(
                    Code::DUPLICATE_ID,
                    written.name_span,
                    format!("two plugins have the id `{plugin_id}`"),
                )
                .remedy("give each its own `id`, or none".to_owned()),
            );
        }
        let context = BuildContext {
            ecs: EcsCompatibility::of_settings(&settings).unwrap_or(options.ecs),
            clock: options.clock,
            pipeline_id: options.pipeline_id.clone(),
            plugin_id,
            data_dir: options.data_dir.clone(),
            catalog: options.catalog.clone(),
            deterministic_ids: options.deterministic_ids,
            serves_streams: options.serves_streams,
            lines: Arc::clone(&self.lines),
            parsed: Arc::clone(&self.parsed),
            warnings: None,
        };
        let plugin = CompiledPlugin { spec, settings, context, span: written.span };
        self.codecs(kind, &plugin, written).then_some(plugin)
    }

    /// Calls `make` for the plugin and passes on what it warns of.
    fn listening<R>(
        &mut self,
        plugin: &CompiledPlugin,
        written: &Plugin,
        make: impl FnOnce(&CompiledPlugin) -> R,
    ) -> R {
        let warnings = Warnings::default();
        let mut heard = plugin.clone();
        heard.context.warnings = Some(Arc::clone(&warnings));
        let made = make(&heard);
        let warnings = std::mem::take(&mut *warnings.lock().unwrap_or_else(PoisonError::into_inner));
        for warning in warnings {
            let place = |setting| place_of(written, setting).unwrap_or(written.name_span);
            let name = plugin.spec.name;
            self.checker.complaints.push(match warning {
                Warning::Surprise { setting, message, remedy } => {
                    let message = format!("`{setting}` of `{name}`: {message}");
                    Diagnostic::warning(Code::SURPRISE, place(setting), message).remedy(remedy)
                }
                Warning::Ignored { setting, why } => {
                    let message = format!("`{setting}` of `{name}` changes nothing here: {why}");
                    Diagnostic::warning(Code::IGNORED, place(setting), message)
                        .remedy("leave it out".to_owned())
                }
            });
        }
        made
    }

    /// Whether the codecs can be made. Said before the plugin is asked, which may not tell whose fault it is.
    fn codecs(&mut self, kind: PluginKind, plugin: &CompiledPlugin, written: &Plugin) -> bool {
        let settings = plugin.spec.settings.iter().chain(common::settings(kind));
        let codecs = settings.filter(|setting| matches!(setting.kind, Kind::Codec));
        for setting in codecs {
            if plugin.settings.plugin(setting.name).is_none() {
                continue;
            }
            if let Err(error) = plugin.context.codec(&plugin.settings, setting.name) {
                let inner = written.attributes.iter().find_map(|attribute| match &attribute.value.kind {
                    ValueKind::Plugin(codec) if attribute.name == setting.name => Some(codec),
                    _ => None,
                });
                let spec =
                    inner.and_then(|codec| plugin.context.catalog.find(PluginKind::Codec, &codec.name));
                if let (Some(codec), Some(spec)) = (inner, spec) {
                    self.refused(&error, codec, spec);
                } else {
                    let error = BuildError { setting: Some(setting.name), ..error };
                    self.refused(&error, written, plugin.spec);
                }
                return false;
            }
        }
        true
    }

    fn filter(&mut self, written: &Plugin) -> Option<FilterSlot> {
        let plugin = self.plugin(PluginKind::Filter, written)?;
        let Build::Filter(make) = plugin.spec.build else { return None };
        match self.listening(&plugin, written, |plugin| make(&plugin.settings, &plugin.context)) {
            Ok(filter) => {
                let decoration = Decoration::new(&plugin.settings);
                Some(FilterSlot::new(Arc::from(plugin.id()), plugin.spec.name, filter, decoration))
            }
            Err(error) => {
                self.refused(&error, written, plugin.spec);
                None
            }
        }
    }

    fn output(&mut self, written: &Plugin) -> Option<CompiledPlugin> {
        let plugin = self.plugin(PluginKind::Output, written)?;
        match self.end(&plugin, written) {
            Ok(()) => Some(plugin),
            Err(error) => {
                self.refused(&error, written, plugin.spec);
                None
            }
        }
    }

    /// Whether an input or an output can be made.
    fn end(&mut self, plugin: &CompiledPlugin, written: &Plugin) -> Result<(), BuildError> {
        match plugin.spec.build {
            Build::Input(end) | Build::Output(end) => {
                self.listening(plugin, written, |plugin| end.check(plugin))
            }
            Build::Filter(_) | Build::Codec(_) => Ok(()),
        }
    }

    /// Complains about a plugin that cannot be made; about one that is only wrong here, less.
    fn refused(&mut self, error: &BuildError, written: &Plugin, spec: &PluginSpec) {
        let within = |span: &Span| written.span.start <= span.start && span.end <= written.span.end;
        if self.checker.unknown.iter().any(within) {
            // It may be right once its variables are known, which has been said.
            return;
        }
        let place = error.setting.and_then(|name| place_of(written, name)).unwrap_or(written.name_span);
        let message = match error.setting {
            Some(setting) => format!("`{setting}` of `{}`: {}", spec.name, error.message),
            None => format!("`{}`: {}", spec.name, error.message),
        };
        let complaint = if error.in_file && !self.checker.options.check_paths {
            let remedy = "the file must be there, and right, where the configuration runs".to_owned();
            Diagnostic::warning(Code::UNKNOWN_FILE, place, message).remedy(remedy)
        } else {
            let doc =
                |name| spec.settings.iter().find(|setting| setting.name == name).map(|setting| setting.doc);
            let remedy = error.remedy.clone().or_else(|| {
                let setting = error.setting?;
                doc(setting).map(|doc| format!("`{setting}`: {doc}"))
            });
            Diagnostic::error(Code::REGISTER, place, message).remedy(remedy)
        };
        self.checker.complaints.push(complaint);
    }
}

/// The variable that a setting was written as, if it is one and nothing else.
fn variable_in(written: &Plugin, setting: &str) -> Option<String> {
    let attribute = written.attributes.iter().find(|attribute| attribute.name == setting)?;
    let ValueKind::String(text) = &attribute.value.kind else { return None };
    variables::placeholders(text)
        .find(|found| found.range == (0..text.len()))
        .map(|found| found.name.to_owned())
}

/// Where the value of a setting stands.
fn place_of(written: &Plugin, setting: &str) -> Option<Span> {
    let attribute = written.attributes.iter().find(|attribute| attribute.name == setting)?;
    Some(attribute.value.span)
}
