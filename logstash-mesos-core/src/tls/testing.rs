//! Certificates for tests, made by `openssl`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs `openssl` in `directory`.
fn openssl(directory: &Path, arguments: &[&str]) {
    let output = Command::new("openssl")
        .args(arguments)
        .current_dir(directory)
        .output()
        .expect("openssl is installed (package openssl)");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A directory with an authority (`ca.pem`) and a certificate for this machine (`server.pem`, `server.key`).
pub(crate) struct Certificates {
    directory: tempfile::TempDir,
}

impl Certificates {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let this = Self { directory };
        this.authority("ca");
        this.signed("server", "ca", "/CN=localhost", "DNS:localhost,IP:127.0.0.1");
        this
    }

    /// The path of a file in the directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The same as text, for a configuration.
    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_string_lossy().into_owned()
    }

    /// Runs `openssl` among the files.
    pub(crate) fn openssl(&self, arguments: &str) {
        openssl(self.directory.path(), &arguments.split(' ').collect::<Vec<_>>());
    }

    /// `openssl s_client` connected to `port`: what it gets on standard input goes to the server, and back.
    pub(crate) fn s_client(&self, port: u16, arguments: &str) -> tokio::process::Child {
        tokio::process::Command::new("openssl")
            .args(["s_client", "-quiet", "-verify_return_error", "-CAfile", "ca.pem", "-connect"])
            .arg(format!("127.0.0.1:{port}"))
            .args(arguments.split_whitespace())
            .current_dir(self.directory.path())
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("openssl is installed (package openssl)")
    }

    /// Makes an authority: `NAME.pem`, `NAME.key`.
    pub(crate) fn authority(&self, name: &str) {
        self.openssl(&format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /O={name}/CN={name} -keyout {name}.key -out {name}.pem"
        ));
    }

    /// Makes a certificate that `authority` signed: `NAME.pem`, `NAME.key`. No `names`: just the subject.
    pub(crate) fn signed(&self, name: &str, authority: &str, subject: &str, names: &str) {
        self.openssl(&format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj {subject} -keyout {name}.key -out {name}.csr"
        ));
        let mut extensions = "basicConstraints=CA:FALSE\n".to_owned();
        if !names.is_empty() {
            extensions += &format!("subjectAltName={names}\n");
        }
        std::fs::write(self.path(&format!("{name}.ext")), extensions).expect("it can be written");
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA {authority}.pem -CAkey {authority}.key -CAcreateserial -days 2 -extfile {name}.ext -out {name}.pem"
        ));
    }
}
