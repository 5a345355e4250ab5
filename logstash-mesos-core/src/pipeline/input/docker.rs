//! `docker`: the standard output and error of the containers that a configuration applies to.

use super::stream;
use crate::pipeline::plugin::settings::{Kind, Setting, Settings};
use crate::pipeline::plugin::{Build, BuildContext, BuildError, Input, MakeInput, PluginSpec};

/// The declaration. What runs is the executor's: this input has no life outside of it.
pub(crate) static DOCKER: PluginSpec = PluginSpec {
    name: "docker",
    doc: "Takes the standard output and error of the containers that the configuration applies to. Only in configurations \
          for containers, which `ship` and the executor of an agent run.",
    settings: &[
        Setting::new("stdout", Kind::Boolean, "Takes standard output; alone, nothing else."),
        Setting::new("stderr", Kind::Boolean, "Takes standard error; alone, nothing else."),
    ],
    build: Build::Input(&MakeInput::or_served(build, stream::served)),
};

fn build(_: &Settings, _: &BuildContext) -> Result<Box<dyn Input>, BuildError> {
    Err(BuildError::plugin("it reads containers, which this command does not see")
        .remedy("run the configuration with `ship --config-dir DIR`, in DIR/docker"))
}
