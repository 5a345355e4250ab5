//! What this machine is called.

use crate::event::Text;

/// The name of this machine.
#[must_use]
pub fn host_name() -> Text {
    let name = rustix::system::uname();
    Text::from(name.nodename().to_string_lossy().into_owned())
}
