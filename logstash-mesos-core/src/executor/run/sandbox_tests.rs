//! Sandboxes laid out as the agent, the command executor and the default executor lay them out.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::tests::until;
use super::*;
use crate::configs::Configuration;
use crate::discovery::{Container, ContainerState, FixedDiscovery, MesosTask};

const EXECUTORS: &str = "slaves/a-S0/frameworks/f-0001/executors";

/// A directory with the work directory of an agent, the data of a shipper, and what it has put out.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir_all(place.work("slaves/a-S0")).unwrap();
        symlink("a-S0", place.work("slaves/latest")).unwrap();
        place
    }

    fn work(&self, below: &str) -> PathBuf {
        self.dir.path().join("work").join(below)
    }

    /// The sandbox of a run, of which the agent notes the tasks.
    fn run(&self, executor: &str, run: &str, tasks: &[&str]) -> PathBuf {
        let runs = format!("{EXECUTORS}/{executor}/runs");
        fs::create_dir_all(self.work(&format!("{runs}/{run}"))).unwrap();
        symlink(run, self.work(&format!("{runs}/latest"))).unwrap();
        for task in tasks {
            fs::create_dir_all(self.work(&format!("meta/{runs}/{run}/tasks/{task}"))).unwrap();
        }
        self.work(&format!("{runs}/{run}"))
    }

    async fn shipper(&self, configuration: Configuration, docker: Vec<Container>) -> Shipper {
        let containers = Arc::new(FixedDiscovery::new(docker));
        let builder = Shipper::builder(self.dir.path().join("data")).configuration(configuration);
        let work_dir = self.work("");
        let settings = |settings: &mut ShipperSettings| settings.mesos_work_dir = Some(work_dir);
        builder.containers(containers).settings(settings).start().await.unwrap()
    }

    fn text(&self, input: &str, format: &str) -> String {
        let out = self.dir.path().join("out");
        let codec = format!("codec => line {{ format => \"{format}\" }}");
        format!("input {{ {input} }} output {{ file {{ path => \"{}\" {codec} }} }}", out.display())
    }

    /// What arrived, in order of the text.
    fn out(&self) -> Vec<String> {
        let text = fs::read_to_string(self.dir.path().join("out")).unwrap_or_default();
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    async fn arrives(&self, lines: &[&str]) {
        until("the lines to arrive", || self.out().len() >= lines.len()).await;
        assert_eq!(self.out(), lines);
    }
}

fn write(sandbox: &Path, name: &str, text: &str) {
    let path = sandbox.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

async fn stop(shipper: Shipper) {
    shipper.stop(Duration::from_secs(10)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_output_of_tasks_is_read_once_through_rotation_restart_and_collection() {
    let place = Place::new();
    let command = place.run("web.1", "8f0fb7b4", &["web.1"]);
    write(&command, "stdout", "web 1\n");
    write(&command, "stderr", "web 2\n");
    write(&command, "stdout.logrotate.conf", "no log\n");
    let pod = place.run("pod", "0b1e7a6b", &["one"]);
    write(&pod, "containers/11111111/stdout", "pod 1\n");
    fs::create_dir(pod.join("tasks")).unwrap();
    symlink(pod.join("containers/11111111"), pod.join("tasks/one")).unwrap();
    let text =
        place.text("sandbox { }", "%{message} of %{[mesos][task_id]}, %{stream}, %{[log][file][path]}");
    let configuration = Configuration::host("tasks", text);
    let shipper = place.shipper(configuration.clone(), Vec::new()).await;
    let first =
        ["pod 1 of one, stdout, stdout", "web 1 of web.1, stdout, stdout", "web 2 of web.1, stderr, stderr"];
    place.arrives(&first).await;

    // As the logrotate module does: a rename, a new file, and its own state beside them.
    write(&command, "stdout", "web 3\n");
    fs::rename(command.join("stdout"), command.join("stdout.1")).unwrap();
    write(&command, "stdout", "web 4\n");
    write(&command, "stdout.logrotate.state", "no log\n");
    until("what was rotated", || place.out().len() == 5).await;
    stop(shipper).await;
    // While nobody reads, the executor writes its last words and ends.
    write(&command, "stdout", "web 5\n");
    fs::write(place.work(&format!("meta/{EXECUTORS}/web.1/runs/8f0fb7b4/executor.sentinel")), "").unwrap();
    let shipper = place.shipper(configuration.clone(), Vec::new()).await;
    until("the last words", || place.out().len() == 6).await;
    // What is collected before its last lines were asked for is read through what is open.
    write(&pod, "containers/11111111/stdout", "pod 2\n");
    fs::remove_dir_all(place.work(EXECUTORS)).unwrap();
    until("what was written before the collection", || place.out().len() == 7).await;
    let positions = || fs::read_to_string(place.dir.path().join("data/positions.json")).unwrap_or_default();
    until("positions to be forgotten", || {
        !positions().contains("8f0fb7b4") && !positions().contains("0b1e7a6b")
    })
    .await;
    stop(shipper).await;
    let shipper = place.shipper(configuration, Vec::new()).await;
    write(&place.run("last", "22222222", &["last"]), "stdout", "web 6\n");
    until("a later task", || place.out().len() == 8).await;
    stop(shipper).await;
    let messages: Vec<_> = place.out().iter().map(|line| line[..5].to_owned()).collect();
    assert_eq!(messages, ["pod 1", "pod 2", "web 1", "web 2", "web 3", "web 4", "web 5", "web 6"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_ends_while_it_is_read_is_forgotten_when_it_is_collected() {
    let place = Place::new();
    let sandbox = place.run("web.1", "8f0fb7b4", &["web.1"]);
    write(&sandbox, "stdout", "web 1\n");
    write(&sandbox, "logs/app.log", "web 2\n");
    let text = place.text("sandbox { stdout => true path => \"logs/*.log\" }", "%{message}");
    let shipper = place.shipper(Configuration::host("tasks", text), Vec::new()).await;
    place.arrives(&["web 1", "web 2"]).await;
    fs::write(place.work(&format!("meta/{EXECUTORS}/web.1/runs/8f0fb7b4/executor.sentinel")), "").unwrap();
    // Long enough to be read to its end, as a rule; either way it is forgotten.
    tokio::time::sleep(Duration::from_secs(1)).await;
    for tree in ["", "meta/"] {
        fs::remove_dir_all(place.work(&format!("{tree}slaves/a-S0/frameworks"))).unwrap();
    }
    let positions = || fs::read_to_string(place.dir.path().join("data/positions.json")).unwrap_or_default();
    until("positions to be forgotten", || !positions().contains("8f0fb7b4")).await;
    stop(shipper).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn named_files_of_chosen_tasks_are_read_and_links_do_not_lead_out() {
    let place = Place::new();
    fs::write(place.dir.path().join("secret.log"), "secret\n").unwrap();
    for (task, run) in [("web.1", "11111111"), ("db.1", "22222222")] {
        let sandbox = place.run(task, run, &[task]);
        write(&sandbox, "stdout", "not asked for\n");
        write(&sandbox, "logs/app.log", &format!("{task}\n"));
        write(&sandbox, "logs/app.log.logrotate.state", "no log\n");
        symlink(place.dir.path().join("secret.log"), sandbox.join("logs/other.log")).unwrap();
        symlink(place.dir.path().join("secret.log"), sandbox.join("escape")).unwrap();
    }
    let text =
        place.text("sandbox { path => [\"logs/*.log*\", \"escape\"] }", "%{message} %{[log][file][path]}");
    let mut configuration = Configuration::docker("*", text);
    configuration.matches.insert("task_id".into(), "web.*".into());
    let shipper = place.shipper(configuration, Vec::new()).await;
    place.arrives(&["web.1 logs/app.log"]).await;
    let report = shipper.handle().report();
    let refused = || {
        let report = report.borrow();
        report.streams.iter().any(|stream| stream.path == "/escape" && stream.reason.contains("leads out"))
    };
    until("the link to be named", refused).await;
    stop(shipper).await;
    assert_eq!(place.out(), ["web.1 logs/app.log"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_docker_has_too_comes_once_unless_twice_is_wanted() {
    for (also, expected) in [("", &["log"][..]), ("also_docker => true", &["log", "out"])] {
        let place = Place::new();
        let sandbox = place.run("web.1", "8f0fb7b4", &["web.1"]);
        write(&sandbox, "stdout", "out\n");
        write(&sandbox, "app.log", "log\n");
        let mut docker = Container::new("ab".repeat(32), "mesos-8f0fb7b4", "nginx");
        docker.state = ContainerState::Running { pid: 0 };
        docker.mesos =
            Some(MesosTask { mesos_container_id: Some("8f0fb7b4".into()), ..MesosTask::default() });
        let input = format!("docker {{ }} sandbox {{ stdout => true path => \"app.log\" {also} }}");
        let configuration = Configuration::docker("nginx", place.text(&input, "%{message}"));
        let shipper = place.shipper(configuration, vec![docker]).await;
        place.arrives(expected).await;
        stop(shipper).await;
        assert_eq!(place.out(), expected);
    }
}

#[tokio::test]
async fn without_a_work_directory_the_input_is_refused_with_the_remedy() {
    let place = Place::new();
    let configuration = Configuration::host("tasks", place.text("sandbox { }", "%{message}"));
    let builder = Shipper::builder(place.dir.path().join("data")).configuration(configuration);
    let error = builder.containers(Arc::new(FixedDiscovery::default())).start().await.unwrap_err();
    assert!(crate::error_chain(&error).contains("--mesos-work-dir"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_work_directory_that_cannot_be_listed_is_named_for_as_long_as_it_is_missed() {
    let place = Place::new();
    let sandbox = place.run("web.1", "8f0fb7b4", &["web.1"]);
    write(&sandbox, "stdout", "web 1\n");
    let away = place.dir.path().join("away");
    fs::rename(place.work(""), &away).unwrap();
    let text = place.text("sandbox { }", "%{message}");
    let shipper = place.shipper(Configuration::host("tasks", text), Vec::new()).await;
    let report = shipper.handle().report();
    let said = |part: &str| report.borrow().sandboxes.contains(part);
    let work = place.work("").display().to_string();
    until("the directory to be named", || said(work.trim_end_matches('/')) && said("--mesos-work-dir")).await;
    fs::rename(&away, place.work("")).unwrap();
    place.arrives(&["web 1"]).await;
    until("nothing to be missed", || report.borrow().sandboxes.is_empty()).await;
    stop(shipper).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_when_somebody_reads_again_is_counted_once() {
    let place = Place::new();
    write(&place.run("web.1", "8f0fb7b4", &["web.1"]), "stdout", "web 1\nunfinished");
    let logs = place.dir.path().join("logs");
    write(&logs, "app.log", "app 1\nunfinished");
    let input = format!("sandbox {{ }} file {{ host-path => \"{}/*.log\" }}", logs.display());
    let configuration = Configuration::host("tasks", place.text(&input, "%{message}"));
    let shipper = place.shipper(configuration.clone(), Vec::new()).await;
    place.arrives(&["app 1", "web 1"]).await;
    let positions = || fs::read_to_string(place.dir.path().join("data/positions.json")).unwrap_or_default();
    let arrived = |stream: &str| {
        let is_it = |line: &str| line.contains(stream) && line.contains("\"offset\":6,\"size\":16");
        positions().lines().any(is_it)
    };
    until("the ends to be seen", || arrived("stdout") && arrived("app.log")).await;
    stop(shipper).await;
    fs::remove_dir_all(place.work(EXECUTORS)).unwrap();
    fs::create_dir_all(place.work(EXECUTORS)).unwrap();
    fs::remove_file(logs.join("app.log")).unwrap();
    for _ in 0..2 {
        let shipper = place.shipper(configuration.clone(), Vec::new()).await;
        let seen = shipper.handle().report();
        let lost = || seen.borrow().sum.lost();
        until("what is lost to be counted", || lost().get("gone_while_stopped") == Some(&20)).await;
        until("its position to be forgotten", || !positions().contains("8f0fb7b4")).await;
        stop(shipper).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_task_has_put_aside_before_it_is_looked_at_is_read() {
    let place = Place::new();
    let configuration = Configuration::host("tasks", place.text("sandbox { }", "%{message}"));
    // It was there before.
    let before = place.run("web.1", "8f0fb7b4", &["web.1"]);
    write(&before, "stdout.1", "not read\n");
    write(&before, "stdout", "a 1\n");
    let shipper = place.shipper(configuration, Vec::new()).await;
    place.arrives(&["a 1"]).await;
    // At once: nobody has seen it half-way.
    let made = place.work("made");
    write(&made, "stdout.2", "b 1\n");
    write(&made, "stdout.1", "b 2\n");
    write(&made, "stdout", "b 3\n");
    let run = place.run("web.2", "0b1e7a6b", &["web.2"]);
    fs::remove_dir(&run).unwrap();
    fs::rename(made, run).unwrap();
    place.arrives(&["a 1", "b 1", "b 2", "b 3"]).await;
    stop(shipper).await;
}
