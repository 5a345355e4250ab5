//! Certificates that change while a program runs.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustls::ClientConfig;

use super::{ClientTls, TlsError};

/// Settings whose files are read again when they change.
///
/// While new files cannot be used, such as a certificate whose key is still to come, the last good ones are.
pub struct Reloaded {
    settings: ClientTls,
    last: Mutex<Option<Loaded>>,
}

struct Loaded {
    files: Vec<Stamp>,
    config: Arc<ClientConfig>,
}

/// When a file was changed, and how long it is; nothing if it is not there.
type Stamp = Option<(SystemTime, u64)>;

impl Reloaded {
    /// Reads nothing yet.
    #[must_use]
    pub fn new(settings: ClientTls) -> Self {
        Self { settings, last: Mutex::new(None) }
    }

    /// Returns the settings as rustls has them, from the files as they are now.
    ///
    /// # Errors
    ///
    /// As [`ClientTls::config`], if the files could never be used so far.
    pub fn config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let files = self.stamps();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(loaded) = &*last
            && loaded.files == files
        {
            return Ok(Arc::clone(&loaded.config));
        }
        let config = match (self.settings.config(), &*last) {
            (Ok(config), before) => {
                if before.is_some() {
                    tracing::info!("Certificates changed");
                }
                Arc::new(config)
            }
            (Err(error), None) => return Err(error),
            (Err(error), Some(loaded)) => {
                tracing::warn!(%error, "Changed certificates cannot be used, going on with those before");
                Arc::clone(&loaded.config)
            }
        };
        *last = Some(Loaded { files, config: Arc::clone(&config) });
        Ok(config)
    }

    fn stamps(&self) -> Vec<Stamp> {
        let identity = self.settings.identity.iter();
        let own = identity.flat_map(|own| [&own.certificate, &own.key].into_iter().chain(&own.extra_chain));
        let stamp = |path: &Path| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        self.settings.authorities.iter().chain(own).map(|path| stamp(path)).collect()
    }
}

impl fmt::Debug for Reloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloaded").field("settings", &self.settings).finish_non_exhaustive()
    }
}
