//! Configurations are compiled when they are saved, not when they first run.

use super::shared::Shared;
use crate::configs::{Checked, Checker, Complaint, Configuration};
use crate::pipeline::lang::{Diagnostics, Severity};
use crate::pipeline::plugin::EcsCompatibility;
use crate::pipeline::{CompileOptions, UnknownVariable, Variables, catalog, compile};
use std::sync::Arc;
use tokio::task::JoinError;

/// Compiles as an executor will, as far as can be told from here.
pub(super) fn checker(ecs: EcsCompatibility) -> Checker {
    Arc::new(move |configuration| match compile(&configuration.input, &options(&configuration.name, ecs)) {
        Ok(compiled) => complaints(&compiled.warnings),
        Err(diagnostics) => complaints(&diagnostics),
    })
}

/// Looks a configuration over as if it were saved now: on its own, and beside the others.
///
/// # Errors
///
/// When looking ended early.
pub(super) async fn look_over(shared: &Shared, configuration: Configuration) -> Result<Checked, JoinError> {
    let (check, snapshot) = (checker(shared.ecs()), shared.registry().snapshot());
    // Patterns may take long to compile.
    tokio::task::spawn_blocking(move || {
        let mut checked = check(&configuration);
        checked.warnings.extend(snapshot.meetings(&configuration));
        checked
    })
    .await
}

/// Variables and files are those of the agents, and not known here.
pub(super) fn options(name: &str, ecs: EcsCompatibility) -> CompileOptions {
    CompileOptions::new(catalog()).with(|options| {
        options.ecs = ecs;
        options.pipeline_id = name.to_owned();
        options.origin = name.to_owned();
        // Mesos chooses some ports: which one makes no difference.
        options.variables = Variables::new(|name| is_chosen(name).then(|| "31000".to_owned()));
        options.unknown_variables = UnknownVariable::Warn;
        options.check_paths = false;
    })
}

/// Whether Mesos gives a variable its value, unless executors have it in their environment: a port that it chooses. Inputs with the
/// same variable, one for TCP and one for UDP, have the same port. The name is the user's, so that it stays when other inputs come and go.
pub(super) fn is_chosen(variable: &str) -> bool {
    variable.starts_with("MESOS_PORT_")
}

/// What the compiler said, with lines and columns.
pub(super) fn complaints(diagnostics: &Diagnostics) -> Checked {
    let mut checked = Checked::default();
    for diagnostic in &diagnostics.list {
        let position = diagnostics.position(diagnostic.span.start);
        let complaint = Complaint {
            code: diagnostic.code.to_string(),
            line: position.line,
            column: position.column,
            message: diagnostic.message.clone(),
            remedy: diagnostic.remedy.clone().unwrap_or_default(),
            excerpt: diagnostics.render(diagnostic),
        };
        match diagnostic.severity {
            Severity::Error => checked.errors.push(complaint),
            Severity::Warning => checked.warnings.push(complaint),
        }
    }
    checked
}
