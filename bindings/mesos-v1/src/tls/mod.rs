//! TLS towards masters and agents: for endpoints written `https://`. Needs the feature `tls`; without it there is only
//! [`Tls::default`], so that settings have one shape in every build.

#[cfg(feature = "tls")]
mod handshake;

use std::fmt;
use std::sync::Arc;

#[cfg(feature = "tls")]
use self::handshake::Configure;
#[cfg(feature = "tls")]
pub(crate) use self::handshake::{is_other_name, remedy};

/// Without the feature nobody can make one.
#[cfg(not(feature = "tls"))]
type Configure = std::convert::Infallible;

/// Gives the configuration for the next connection. None by default, and then no endpoint with `https://`
/// can be reached.
#[derive(Clone, Default)]
pub struct Tls(Option<Arc<Configure>>);

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Tls(on)" } else { "Tls(none)" })
    }
}
