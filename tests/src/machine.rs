//! A machine of the test's own: the files of this one, with what is changed kept apart, and a systemd that runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::place::unmount_below;
use crate::process::{Finished, Process, Recipe};
use crate::wait::{PATIENCE, until};

/// A machine that has been booted. It has this machine's network and no services but those that are started in it.
#[derive(Debug)]
pub struct Machine {
    directory: PathBuf,
    container: Process,
    groups: Vec<PathBuf>,
}

impl Machine {
    /// Boots a machine that keeps its changes in `directory` and sees the directory `shared` of this machine.
    ///
    /// # Panics
    ///
    /// If it does not come up: `systemd-nspawn` needs root, and control groups.
    #[must_use]
    pub fn boot(directory: &Path, shared: &Path) -> Self {
        let [root, upper, work] = ["root", "upper", "work"].map(|name| directory.join(name));
        for directory in [&root, &upper, &work] {
            fs::create_dir_all(directory).expect("the test's directory is writable");
        }
        let layers = format!("lowerdir=/,upperdir={},workdir={}", upper.display(), work.display());
        let mounted =
            Command::new("mount").args(["-t", "overlay", "overlay", "-o", &layers]).arg(&root).status();
        assert!(
            mounted.expect("mount is installed").success(),
            "cannot lay files over those of this machine"
        );
        let name = format!("lm-{}", std::process::id());
        let groups = hierarchies().map(|hierarchy| hierarchy.join(&name)).collect::<Vec<_>>();
        let container = Recipe::new("systemd-nspawn", directory, "boot")
            .args(["--register=no", "--keep-unit", "--link-journal=no", "--console=pipe", "--boot"])
            .arg(format!("--machine={name}"))
            .arg(format!("--directory={}", root.display()))
            .arg(format!("--bind={}", shared.display()))
            // Not what this machine starts otherwise.
            .arg("systemd.unit=basic.target")
            .within(&[
                "sh",
                "-c",
                JOIN,
                &groups.iter().map(|group| group.display().to_string()).collect::<Vec<_>>().join(" "),
            ])
            .start();
        let mut machine = Self { directory: directory.to_owned(), container, groups };
        until("systemd", PATIENCE, || {
            machine.container.assert_running();
            machine.init()?;
            let done = machine.run(&["systemctl", "is-active", "basic.target"]);
            done.status.success().then_some(()).ok_or_else(|| done.stdout + &done.stderr)
        });
        machine
    }

    /// The first process of the machine, which may still be about to become it.
    fn init(&self) -> Result<String, String> {
        let id = self.container.id();
        let children =
            fs::read_to_string(format!("/proc/{id}/task/{id}/children")).map_err(|e| e.to_string())?;
        let is_init =
            |id: &&str| fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|name| name == "systemd\n");
        let found = children.split_ascii_whitespace().find(is_init);
        found.map(str::to_owned).ok_or_else(|| format!("no systemd among {children}"))
    }

    /// Runs a command in the machine, to its end.
    #[must_use]
    #[track_caller]
    pub fn run(&self, command: &[&str]) -> Finished {
        Recipe::new("nsenter", &self.directory, "command")
            .arg(format!("--target={}", self.init().expect("it runs")))
            .args(["--mount", "--uts", "--ipc", "--pid", "--wd=/"])
            .args(command)
            .run(b"", Duration::from_secs(120))
    }

    /// Runs a command that must succeed, and returns what it printed.
    #[track_caller]
    pub fn command(&self, command: &[&str]) -> String {
        let done = self.run(command);
        assert!(done.status.success(), "{command:?}: {done:?}");
        done.stdout
    }

    /// Returns where a file of the machine lies on this one.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        self.directory.join("root").join(path.trim_start_matches('/'))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Upon this signal it is shut down in order, so that its control groups go, too.
        self.container.signal(Signal::TERM);
        let ended = crate::wait::attempt(Duration::from_secs(30), || {
            self.container.status().map(drop).ok_or("it runs on".into())
        });
        if let Err(reason) = ended {
            eprintln!("the machine in {} is killed: {reason}", self.directory.display());
            self.container.kill();
        }
        unmount_below(&self.directory);
        for group in &self.groups {
            let _ = Command::new("find")
                .arg(group)
                .args(["-depth", "-type", "d", "-exec", "rmdir", "{}", ";"])
                .status();
        }
    }
}

/// Makes control groups, joins them, and becomes the program that follows.
const JOIN: &str = "for group in $0; do mkdir -p $group && echo $$ >$group/cgroup.procs; done; exec \"$@\"";

/// The hierarchies in which systemd has control groups, of version 1, of both versions, and of version 2 alone.
fn hierarchies() -> impl Iterator<Item = &'static Path> {
    let all = ["/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(Path::new);
    all.into_iter().filter(|hierarchy| hierarchy.join("cgroup.procs").exists())
}
