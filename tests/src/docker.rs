//! A Docker daemon of the test's own, which may be killed, and its containers.

use std::fs;
use std::ops::Deref;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::place::{MARK, pack, unmount_below};
use crate::process::{Process, Recipe, end_all, send, with_environment};
use crate::wait::{PATIENCE, attempt, until};

/// The image with a shell and the usual commands.
pub const BUSYBOX: &str = "busybox-test:1";

/// The image with one program and neither `sh` nor `tail`.
pub const BARE: &str = "bare-test:1";

/// The `docker` command for one daemon.
#[derive(Debug, Clone)]
pub struct Client {
    host: String,
}

impl Client {
    /// Returns that of the machine's own daemon, which is where `docker` finds it, if there is one.
    #[must_use]
    pub fn of_this_machine() -> Self {
        let host = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
        Self { host: host.unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned()) }
    }

    /// Returns that of a daemon that listens at `host`.
    #[must_use]
    pub fn at(host: String) -> Self {
        Self { host }
    }

    /// Returns the value that `DOCKER_HOST` has for this daemon.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the daemon's id.
    #[must_use]
    #[track_caller]
    pub fn id(&self) -> String {
        self.command(&["info", "--format", "{{.ID}}"])
    }

    /// Runs a `docker` command and returns what it printed.
    ///
    /// # Panics
    ///
    /// If it failed.
    #[track_caller]
    pub fn command(&self, arguments: &[&str]) -> String {
        self.try_command(arguments).unwrap_or_else(|error| panic!("docker {}: {error}", arguments.join(" ")))
    }

    /// Runs a `docker` command and returns what it printed.
    ///
    /// # Errors
    ///
    /// Returns what it printed on its standard error if it failed.
    pub fn try_command(&self, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new("docker")
            // The builder of the daemon itself: newer clients want a plugin for the other one.
            .env("DOCKER_BUILDKIT", "0")
            .arg("-H")
            .arg(&self.host)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("cannot start docker: {error}; `tests/setup` installs it"))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// Starts a container of `image` that runs `command`, with further `docker run` flags.
    #[must_use]
    #[track_caller]
    pub fn run(&self, image: &str, flags: &[&str], command: &[&str]) -> Container {
        let mut arguments = vec!["run", "-d", "--network", "none"];
        arguments.extend(flags);
        arguments.push(image);
        arguments.extend(command);
        Container { docker: self.clone(), id: self.command(&arguments) }
    }

    /// Starts a container of `image` as it is, in the network of the machine, with further `docker run` flags.
    #[must_use]
    #[track_caller]
    pub fn run_in_host_network(&self, image: &str, flags: &[&str]) -> Container {
        let arguments = [&["run", "-d", "--network", "host"], flags, &[image]].concat();
        Container { docker: self.clone(), id: self.command(&arguments) }
    }

    /// Starts a container that runs a shell script.
    #[must_use]
    #[track_caller]
    pub fn run_script(&self, flags: &[&str], script: &str) -> Container {
        self.run(BUSYBOX, flags, &["sh", "-c", script])
    }

    /// Gives [`BUSYBOX`] another name, for a configuration that is to match this image alone.
    #[must_use]
    #[track_caller]
    pub fn tag(&self, name: &str) -> String {
        self.command(&["tag", BUSYBOX, name]);
        name.to_owned()
    }

    /// Builds the image of a `Dockerfile`, given by its path in the repository, from the files in `context`.
    #[track_caller]
    pub fn build(&self, dockerfile: &str, context: &Path, image: &str) {
        let dockerfile = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(dockerfile);
        let (dockerfile, context) = (dockerfile.display().to_string(), context.display().to_string());
        self.command(&["build", "--quiet", "--file", &dockerfile, "--tag", image, &context]);
    }

    /// Removes all containers and ends their daemon, with what it has started below `directory`: at first it is asked to.
    pub(crate) fn end(&self, daemon: &mut Process, directory: &Path, patience: Duration) {
        // Containers outlive their daemon, so they go first.
        let removed = attempt(PATIENCE, || {
            let containers = self.try_command(&["ps", "-aq"])?;
            let mut arguments = vec!["rm", "-f"];
            arguments.extend(containers.lines());
            if containers.is_empty() { Ok(containers) } else { self.try_command(&arguments) }
        });
        if let Err(reason) = removed {
            eprintln!("cannot remove the containers below {}: {reason}", directory.display());
        }
        daemon.signal(Signal::TERM);
        let ended = attempt(patience, || {
            let _collected = daemon.status();
            let left = with_environment(MARK, &directory.display().to_string());
            left.is_empty().then_some(()).ok_or_else(|| format!("{left:?}"))
        });
        if let Err(left) = ended {
            eprintln!("processes {left} below {} did not end by themselves", directory.display());
            end_all(MARK, directory);
        }
    }

    /// Makes an image from a directory.
    #[track_caller]
    pub fn import(&self, root: &Path, image: &str, flags: &[&str]) {
        let archive = root.with_extension("tar");
        pack(root, &archive);
        let archive = archive.display().to_string();
        let mut arguments = vec!["import"];
        arguments.extend(flags);
        arguments.extend([archive.as_str(), image]);
        self.command(&arguments);
    }

    /// Makes [`BUSYBOX`] and [`BARE`], from files that it lays out in `directory`.
    ///
    /// # Panics
    ///
    /// If busybox is missing or the daemon refuses.
    #[track_caller]
    pub fn import_images(&self, directory: &Path) {
        let busybox = Path::new("/bin/busybox");
        assert!(busybox.exists(), "{} is missing: run `tests/setup`", busybox.display());
        let applets = Command::new(busybox).arg("--list").output().expect("busybox runs").stdout;
        let applets = String::from_utf8(applets).expect("busybox prints names");

        let root = directory.join("busybox");
        for name in ["bin", "etc", "proc", "sys", "tmp", "var/log"] {
            fs::create_dir_all(root.join(name)).expect("the test's directory is writable");
        }
        fs::copy(busybox, root.join("bin/busybox")).expect("busybox can be copied");
        for applet in applets.lines().filter(|applet| *applet != "busybox") {
            symlink("busybox", root.join("bin").join(applet)).expect("each applet is listed once");
        }
        self.import(&root, BUSYBOX, &["--change", "ENV PATH=/bin"]);

        let root = directory.join("bare");
        fs::create_dir_all(root.join("logs")).expect("the test's directory is writable");
        // Busybox does what its name says, so it keeps its own.
        fs::copy(busybox, root.join("busybox")).expect("busybox can be copied");
        self.import(&root, BARE, &[]);
    }
}

/// A Docker daemon, in a network of its own unless its containers need that of the machine.
///
/// A second daemon without a bridge deletes the bridge of the first; hence `unshare -n`.
#[derive(Debug)]
pub struct Docker {
    client: Client,
    bridge: Option<String>,
    recipe: Recipe,
    process: Process,
    directory: PathBuf,
}

impl Docker {
    /// Starts a daemon that keeps its files in `directory`, and imports the images.
    #[must_use]
    pub fn start(directory: &Path) -> Self {
        Self::launch(directory, None, alone(directory, &[]))
    }

    /// Starts a daemon that has a journal beside it, for the log driver `journald`.
    #[must_use]
    pub fn start_with_journal(directory: &Path) -> Self {
        // Of the daemon's own, below `/run` as only they see it. It ends with the shell, which becomes the daemon.
        let script = "mkdir -p /run/systemd /run/log && mount -t tmpfs none /run/systemd && \
                      mount -t tmpfs none /run/log && mkdir /run/systemd/journal /run/log/journal || exit 1
                      setpriv --pdeathsig KILL /lib/systemd/systemd-journald &
                      while ! [ -S /run/systemd/journal/socket ]; do sleep 0.05; done
                      exec \"$@\"";
        Self::launch(directory, None, alone(directory, &["-m", "sh", "-c", script, "sh"]))
    }

    /// Starts a daemon whose containers can have the network of the machine.
    #[must_use]
    pub fn start_in_host_network(directory: &Path) -> Self {
        // Several tests of one process may want one at the same time.
        static BRIDGES: AtomicU32 = AtomicU32::new(0);
        let number = BRIDGES.fetch_add(1, Ordering::Relaxed);
        let bridge = format!("lm{}n{number}", std::process::id());
        // The address is one for documents, and leads nowhere.
        for arguments in [
            &["link", "add", &bridge, "type", "bridge"][..],
            &["addr", "add", "192.0.2.1/24", "dev", &bridge],
        ] {
            let made = Command::new("ip").args(arguments).status();
            assert!(made.is_ok_and(|status| status.success()), "ip cannot make {bridge}: run `tests/setup`");
        }
        let recipe = Recipe::new("dockerd", directory, "dockerd")
            .arg("--ip-masq=false")
            .arg(format!("--bridge={bridge}"));
        Self::launch(directory, Some(bridge), recipe)
    }

    fn launch(directory: &Path, bridge: Option<String>, recipe: Recipe) -> Self {
        let path = |name: &str| directory.join(name).display().to_string();
        // The daemon's id is made from this key, by default that of the machine, which all daemons would share.
        // There is no flag for it.
        let settings = json!({"deprecated-key-path": path("key.json")}).to_string();
        fs::write(path("daemon.json"), settings).expect("the test's directory is writable");
        let recipe = recipe
            .args(["--iptables=false", "--live-restore"])
            .arg("-H")
            .arg(format!("unix://{}", path("docker.sock")))
            .args(["--data-root".to_owned(), path("data")])
            .args(["--config-file".to_owned(), path("daemon.json")])
            .args(["--exec-root".to_owned(), path("exec")])
            .args(["--pidfile".to_owned(), path("pid")]);
        let process = recipe.start();
        let client = Client::at(format!("unix://{}", path("docker.sock")));
        let mut docker = Self { client, bridge, recipe, process, directory: directory.to_owned() };
        docker.wait();
        docker.client.import_images(directory);
        docker
    }

    /// Returns the process id of the daemon.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Ends the daemon with SIGKILL; its containers run on.
    pub fn kill(&mut self) {
        self.process.kill();
        // The containerd that it started ends by itself, but not at once, and a new daemon would hang on it.
        let pid_file = self.directory.join("exec/containerd/containerd.pid");
        if let Some(id) = fs::read_to_string(&pid_file).ok().and_then(|text| text.trim().parse().ok()) {
            send(id, Signal::KILL);
            until("containerd to end", PATIENCE, || {
                if crate::process::runs(id) { Err(format!("process {id} runs on")) } else { Ok(()) }
            });
        }
        // Both leave their pid files, which block the next start as long as anything has those ids, were it
        // only a dead process that nobody has collected.
        let _ = fs::remove_file(&pid_file);
        let _ = fs::remove_file(self.directory.join("pid"));
    }

    /// Starts the daemon again after [`kill`](Self::kill).
    pub fn restart(&mut self) {
        self.process = self.recipe.start();
        self.wait();
    }

    fn wait(&mut self) {
        until("a Docker daemon to answer", PATIENCE, || {
            self.process.assert_running();
            self.answers()
        });
    }

    fn answers(&self) -> Result<String, String> {
        let socket = self.directory.join("docker.sock");
        if socket.exists() { self.try_command(&["version"]) } else { Err("it has no socket yet".into()) }
    }
}

/// A daemon in a network of its own, started by `around`.
fn alone(directory: &Path, around: &[&str]) -> Recipe {
    Recipe::new("unshare", directory, "dockerd").arg("-n").args(around).args(["dockerd", "--bridge=none"])
}

impl Deref for Docker {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        if self.process.status().is_some() {
            self.process = self.recipe.start();
        }
        self.client.end(&mut self.process, &self.directory, Duration::from_secs(15));
        if let Some(bridge) = &self.bridge {
            let _ = Command::new("ip").args(["link", "delete", bridge]).status();
        }
        unmount_below(&self.directory);
    }
}

/// A container, removed when this value is dropped.
#[derive(Debug)]
pub struct Container {
    docker: Client,
    id: String,
}

impl Container {
    /// Returns the id, 64 hex digits.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns one thing about the container, as `docker inspect -f` formats it.
    #[must_use]
    #[track_caller]
    pub fn inspect(&self, format: &str) -> String {
        self.docker.command(&["inspect", "-f", format, &self.id])
    }

    /// Runs a shell command in the container and returns what it printed.
    #[track_caller]
    pub fn shell(&self, script: &str) -> String {
        self.docker.command(&["exec", &self.id, "sh", "-c", script])
    }

    /// Waits until the container's first process has ended.
    #[track_caller]
    pub fn wait_for_exit(&self, deadline: Duration) {
        until("a container to end", deadline, || {
            let status = self.inspect("{{.State.Status}}");
            if status == "exited" { Ok(()) } else { Err(format!("it is {status}")) }
        });
    }

    /// Waits until a file exists in the container.
    #[track_caller]
    pub fn wait_for_file(&self, path: &str, deadline: Duration) {
        until(&format!("{path} in a container"), deadline, || {
            self.docker.try_command(&["exec", &self.id, "test", "-e", path]).map(|_| ())
        });
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.docker.try_command(&["rm", "-f", &self.id]);
    }
}
