//! `sandbox`: what Mesos tasks write into their sandboxes on an agent.

use super::stream;
use crate::pipeline::plugin::settings::{Default as Preset, Kind, Setting, Settings};
use crate::pipeline::plugin::{Build, BuildContext, BuildError, Input, MakeInput, PluginSpec};

/// The declaration. What runs is the executor's: this input has no life outside of it.
pub(crate) static SANDBOX: PluginSpec = PluginSpec {
    name: "sandbox",
    doc: "Takes what the Mesos tasks that the configuration applies to write into their sandboxes: standard output and \
          error, and files. `ship` and the executor of an agent run it.",
    settings: &[
        Setting::new("stdout", Kind::Boolean, "Takes `stdout`; alone, not `stderr`."),
        Setting::new("stderr", Kind::Boolean, "Takes `stderr`; alone, not `stdout`."),
        Setting::new(
            "path",
            Kind::Array,
            "Files in the sandbox, which may hold `*`, `?`, `[…]`, `{…}`, `**`; alone, nothing else is taken.",
        ),
        Setting::new("exclude", Kind::Array, "Patterns of file names (not paths) to leave out."),
        Setting::new(
            "start_position",
            Kind::OneOf(&["beginning", "end"]),
            "Where a file is begun that is seen for the first time.",
        )
        .default(Preset::String("beginning")),
        Setting::new(
            "ignore_older",
            Kind::Any,
            "Leaves out files that have not changed for so long (seconds, or `1 day`).",
        ),
        Setting::new("delimiter", Kind::String, "What ends a line.").default(Preset::String("\n")),
        Setting::new(
            "also_docker",
            Kind::Boolean,
            "Takes `stdout` and `stderr` also of tasks in Docker whose output the configuration takes with `docker { }`.",
        )
        .default(Preset::Bool(false)),
        Setting::new("own", Kind::Boolean, "Takes the sandboxes of this framework's executors, too.")
            .default(Preset::Bool(false)),
    ],
    build: Build::Input(&MakeInput::or_served(build, stream::served)),
};

fn build(_: &Settings, _: &BuildContext) -> Result<Box<dyn Input>, BuildError> {
    Err(BuildError::plugin("it reads sandboxes, which this command does not see")
        .remedy("run the configuration with `ship --config-dir DIR --mesos-work-dir DIR`"))
}
