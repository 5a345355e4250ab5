//! Certificates that change while a program runs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustls::ClientConfig;

use super::{Acceptor, ClientTls, Identity, ServerTls, TlsError, pem};

/// Settings that name files, and what is made of these.
pub trait FromFiles {
    /// What is made of the files.
    type Made;

    /// Every file that counts.
    fn files(&self) -> Vec<&Path>;

    /// Reads the files.
    ///
    /// # Errors
    ///
    /// [`TlsError`] when a file cannot be used, or two do not belong together.
    fn make(&self) -> Result<Self::Made, TlsError>;
}

/// Settings whose files are read again when they change.
///
/// While new files cannot be used, such as a certificate whose key is still to come, the last good ones are.
pub struct Reloaded<S: FromFiles> {
    settings: S,
    last: Mutex<Option<Loaded<S::Made>>>,
}

struct Loaded<M> {
    files: Vec<Stamp>,
    made: Arc<M>,
}

/// When a file was changed, and how long it is; nothing if it is not there.
type Stamp = Option<(SystemTime, u64)>;

impl<S: FromFiles> Reloaded<S> {
    /// Reads nothing yet.
    #[must_use]
    pub fn new(settings: S) -> Self {
        Self { settings, last: Mutex::new(None) }
    }

    /// Returns what is made of the files as they are now. It asks the system for their times, and reads them only if
    /// those have changed.
    ///
    /// # Errors
    ///
    /// As [`FromFiles::make`], if the files could never be used so far.
    pub fn latest(&self) -> Result<Arc<S::Made>, TlsError> {
        let files: Vec<_> = self.settings.files().into_iter().map(stamp).collect();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(loaded) = &*last
            && loaded.files == files
        {
            return Ok(Arc::clone(&loaded.made));
        }
        let made = match (self.settings.make(), &*last) {
            (Ok(made), before) => {
                if before.is_some() {
                    tracing::info!("Certificates changed");
                }
                Arc::new(made)
            }
            (Err(error), None) => return Err(error),
            (Err(error), Some(loaded)) => {
                tracing::warn!(%error, "Changed certificates cannot be used, going on with those before");
                Arc::clone(&loaded.made)
            }
        };
        *last = Some(Loaded { files, made: Arc::clone(&made) });
        Ok(made)
    }
}

fn stamp(path: &Path) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

impl<S: FromFiles + fmt::Debug> fmt::Debug for Reloaded<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloaded").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl FromFiles for ClientTls {
    type Made = ClientConfig;

    fn files(&self) -> Vec<&Path> {
        let own = self.identity.iter().flat_map(Identity::files);
        self.authorities.iter().map(PathBuf::as_path).chain(own).collect()
    }

    fn make(&self) -> Result<ClientConfig, TlsError> {
        self.config()
    }
}

impl FromFiles for ServerTls {
    type Made = Acceptor;

    fn files(&self) -> Vec<&Path> {
        self.identity.files().chain(self.authorities.iter().map(PathBuf::as_path)).collect()
    }

    fn make(&self) -> Result<Acceptor, TlsError> {
        Acceptor::new(self)
    }
}

impl Identity {
    fn files(&self) -> impl Iterator<Item = &Path> {
        [&self.certificate, &self.key].into_iter().chain(&self.extra_chain).map(PathBuf::as_path)
    }
}

/// A file with the certificates of authorities, to be given to others. Keys that may stand in it stay where they are.
#[derive(Clone, Debug)]
pub struct AuthorityFile(pub PathBuf);

impl FromFiles for AuthorityFile {
    type Made = String;

    fn files(&self) -> Vec<&Path> {
        vec![&self.0]
    }

    fn make(&self) -> Result<String, TlsError> {
        pem::text(&self.0)
    }
}
