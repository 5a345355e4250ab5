//! Work directories as an agent makes them (`src/slave/paths.hpp`), without an agent.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;

use super::records::{
    Allocation, ContainerInfo, DockerInfo, ExecutorInfo, FrameworkInfo, Label, Labels, Resource, Task, encode,
};
use super::*;
use crate::discovery::{Container, ContainerState, FixedDiscovery, MesosTask};

const FRAMEWORK: &str = "slaves/a-S0/frameworks/f-0001";

/// What an agent does with its work directory.
struct Agent {
    work_dir: tempfile::TempDir,
}

impl Agent {
    fn new() -> Self {
        let agent = Self { work_dir: tempfile::tempdir().unwrap() };
        agent.directory("slaves/a-S0");
        agent.link("a-S0", "slaves/latest");
        agent
    }

    fn path(&self, below: &str) -> PathBuf {
        self.work_dir.path().join(below)
    }

    fn directory(&self, below: &str) {
        std::fs::create_dir_all(self.path(below)).unwrap();
    }

    fn link(&self, target: impl AsRef<Path>, below: &str) {
        let link = self.path(below);
        let _there_may_be_none = std::fs::remove_file(&link);
        symlink(target, link).unwrap();
    }

    fn note(&self, below: &str, record: &[u8]) {
        let path = self.path("meta").join(below);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, record).unwrap();
    }

    /// A run of an executor, with its tasks where its framework asks for notes.
    fn run(&self, executor: &str, run: &str, tasks: &[(&str, &Task)]) -> String {
        let runs = format!("{FRAMEWORK}/executors/{executor}/runs");
        let sandbox = format!("{runs}/{run}");
        self.directory(&sandbox);
        self.link(run, &format!("{runs}/latest"));
        for (task, record) in tasks {
            self.note(&format!("{sandbox}/tasks/{task}/task.info"), &encode(*record));
        }
        sandbox
    }

    fn look(&self) -> BTreeMap<String, Container> {
        self.look_beside(Vec::new(), &mut BTreeSet::new())
    }

    fn look_beside(
        &self,
        docker: Vec<Container>,
        by_docker: &mut BTreeSet<String>,
    ) -> BTreeMap<String, Container> {
        let found = Layout::new(self.work_dir.path().to_owned()).look().unwrap();
        let docker =
            docker.into_iter().map(|container| (container.id.clone(), Arc::new(container))).collect();
        let joined = picture::join(&docker, &found, Path::new("/work"), by_docker);
        joined.into_iter().map(|(id, container)| (id.to_string(), (*container).clone())).collect()
    }
}

fn labels(labels: &[(&str, &str)]) -> Option<Labels> {
    let label = |(key, value): &(&str, &str)| Label { key: (*key).into(), value: (*value).into() };
    Some(Labels { labels: labels.iter().map(label).collect() })
}

fn task(of: &[(&str, &str)]) -> Task {
    let resource = Resource { allocation: Some(Allocation { role: "web".into() }) };
    Task { resources: vec![resource], labels: labels(of), container: None }
}

fn mesos(container: &Container) -> &MesosTask {
    container.mesos.as_ref().unwrap()
}

#[test]
fn a_command_task_is_named_by_what_the_agent_notes() {
    let agent = Agent::new();
    agent.note(&format!("{FRAMEWORK}/framework.info"), &encode(&FrameworkInfo { name: "marathon".into() }));
    let sandbox = agent.run("web.1", "8f0fb7b4", &[("web.1", &task(&[("app", "web")]))]);
    let found = agent.look();
    let [web] = &found.values().collect::<Vec<_>>()[..] else { panic!("{found:?}") };
    assert_eq!((web.id.0.as_str(), web.name.as_str(), web.image.as_str()), ("8f0fb7b4", "web.1", ""));
    assert_eq!(web.labels, BTreeMap::from([("app".into(), "web".into())]));
    assert_eq!(
        *mesos(web),
        MesosTask {
            agent_id: Some("a-S0".into()),
            framework_id: Some("f-0001".into()),
            framework_name: Some("marathon".into()),
            role: Some("web".into()),
            executor_id: Some("web.1".into()),
            task_id: Some("web.1".into()),
            mesos_container_id: Some("8f0fb7b4".into()),
        }
    );
    assert_eq!(web.sandbox.as_ref().unwrap().below, Path::new(&sandbox));
    assert!(matches!(web.state, ContainerState::Running { .. }));
}

#[test]
fn each_task_of_a_pod_has_a_sandbox_of_its_own() {
    let agent = Agent::new();
    let (web, side) = (task(&[("app", "web")]), task(&[("app", "side")]));
    let sandbox = agent.run("pod-1", "8f0fb7b4", &[("web", &web), ("side", &side)]);
    for (task, child) in [("web", "11111111"), ("side", "22222222"), ("", "check")] {
        agent.directory(&format!("{sandbox}/containers/{child}"));
        if !task.is_empty() {
            agent.directory(&format!("{sandbox}/tasks"));
            // As the default executor links it: by what it calls its own sandbox.
            let target = format!("/mnt/mesos/sandbox/containers/{child}");
            agent.link(target, &format!("{sandbox}/tasks/{task}"));
        }
    }
    let found = agent.look();
    let about =
        |id: &str| (mesos(&found[id]).task_id.as_deref(), found[id].labels.get("app").map(String::as_str));
    assert_eq!(found.len(), 4);
    assert_eq!(about("8f0fb7b4.11111111"), (Some("web"), Some("web")));
    assert_eq!(about("8f0fb7b4.22222222"), (Some("side"), Some("side")));
    assert_eq!(about("8f0fb7b4.check"), (None, None));
    assert_eq!(about("8f0fb7b4"), (None, None), "the executor's own");
    let nested = found["8f0fb7b4.11111111"].sandbox.as_ref().unwrap();
    assert_eq!(nested.below, Path::new(&format!("{sandbox}/containers/11111111")));
}

#[test]
fn an_executor_of_several_tasks_is_described_by_what_they_have_in_common() {
    let agent = Agent::new();
    let info = ExecutorInfo { labels: labels(&[("team", "a")]), ..ExecutorInfo::default() };
    agent.note(&format!("{FRAMEWORK}/executors/e/executor.info"), &encode(&info));
    let (one, two) = (task(&[("app", "web"), ("part", "1")]), task(&[("app", "web"), ("part", "2")]));
    agent.run("e", "8f0fb7b4", &[("one", &one), ("two", &two)]);
    let found = &agent.look()["8f0fb7b4"];
    assert_eq!(found.labels, BTreeMap::from([("app".into(), "web".into()), ("team".into(), "a".into())]));
    assert_eq!((mesos(found).task_id.as_deref(), found.name.as_str()), (None, "e"));
}

#[test]
fn what_has_ended_is_told_with_and_without_notes() {
    let agent = Agent::new();
    let noted = agent.run("noted", "11111111", &[("noted", &task(&[]))]);
    agent.run("again", "22222222", &[]);
    agent.run("again", "33333333", &[]);
    let mut layout = Layout::new(agent.work_dir.path().to_owned());
    let mut ended = || {
        let found = layout.look().unwrap();
        let ended = found.into_iter().filter(|found| found.ended);
        ended.map(|found| found.container_id).collect::<Vec<_>>()
    };
    assert_eq!(ended(), ["22222222"], "a later run has taken its place");
    agent.note(&format!("{noted}/executor.sentinel"), b"");
    assert_eq!(ended(), ["22222222", "11111111"]);
    // The notes may be collected before the sandbox.
    std::fs::remove_dir_all(agent.path("meta")).unwrap();
    assert_eq!(ended(), ["22222222", "11111111"]);
    // After the machine was started again its agent has another id.
    agent.directory("slaves/a-S1");
    agent.link("a-S1", "slaves/latest");
    assert_eq!(ended(), ["22222222", "33333333", "11111111"]);
    std::fs::remove_dir_all(agent.path(FRAMEWORK)).unwrap();
    assert!(ended().is_empty());
}

#[test]
fn what_was_noted_of_a_sandbox_is_known_for_as_long_as_it_is_there() {
    let agent = Agent::new();
    agent.run("web.1", "8f0fb7b4", &[("web.1", &task(&[("app", "web")]))]);
    let mut layout = Layout::new(agent.work_dir.path().to_owned());
    let before = layout.look().unwrap();
    std::fs::remove_dir_all(agent.path("meta")).unwrap();
    let after = layout.look().unwrap();
    assert_eq!((&before[0].tasks, before[0].ended), (&after[0].tasks, false));
    assert!(after[0].ended && after[0].tasks["web.1"].is_some());
}

#[test]
fn a_link_in_place_of_a_directory_is_not_followed() {
    let agent = Agent::new();
    let sandbox = agent.run("e", "8f0fb7b4", &[]);
    agent.directory("secrets/stdout");
    agent.link(agent.path("secrets"), &format!("{sandbox}/containers"));
    assert_eq!(agent.look().len(), 1);
}

#[test]
fn what_docker_runs_is_known_by_both_and_remembered() {
    let agent = Agent::new();
    agent.run("web.1", "8f0fb7b4", &[("web.1", &task(&[("app", "web")]))]);
    let mut docker = Container::new("ab".repeat(32), "mesos-8f0fb7b4", "nginx:1.27");
    docker.labels.insert("maintainer".into(), "them".into());
    docker.mesos = Some(MesosTask { mesos_container_id: Some("8f0fb7b4".into()), ..MesosTask::default() });
    let mut by_docker = BTreeSet::new();
    let found = agent.look_beside(vec![docker], &mut by_docker);
    let (known, sandbox) = (&found[&"ab".repeat(32)], &found["8f0fb7b4"]);
    assert_eq!((mesos(known).task_id.as_deref(), mesos(known).role.as_deref()), (Some("web.1"), Some("web")));
    assert_eq!((&known.labels, &*known.image), (&sandbox.labels, &*sandbox.image));
    assert!(known.sandbox.is_none() && sandbox.sandbox.as_ref().unwrap().by_docker);
    let later = agent.look_beside(Vec::new(), &mut by_docker);
    assert!(later["8f0fb7b4"].sandbox.as_ref().unwrap().by_docker, "Docker has removed it");
    // One that had been removed before anybody looked.
    let container =
        ContainerInfo { kind: 1, docker: Some(DockerInfo { image: "redis".into() }), mesos: None };
    agent.run("db.1", "11111111", &[("db.1", &Task { container: Some(container), ..task(&[]) })]);
    let db = &agent.look()["11111111"];
    assert!(db.sandbox.as_ref().unwrap().by_docker);
    assert_eq!(db.image, "redis");
}

#[tokio::test]
async fn a_directory_that_comes_later_is_found_and_one_that_goes_leaves_the_picture_as_it_was() {
    let agent = Agent::new();
    let run = agent.run("e", "8f0fb7b4", &[]);
    let hidden = agent.path("hidden");
    std::fs::rename(agent.path("slaves"), &hidden).unwrap();
    let root = agent.work_dir.path().parent().unwrap();
    let place = Path::new("/").join(agent.work_dir.path().file_name().unwrap()).join("moved");
    let discovery = SandboxDiscovery::beside(Arc::new(FixedDiscovery::default()), &place, root);
    let (sender, mut picture) = watch::channel(Arc::new(Discovered::default()));
    let shutdown = CancellationToken::new();
    let until = shutdown.clone();
    let running = tokio::spawn(async move { discovery.run(sender, until).await });
    let mut when = async |holds: fn(&Discovered) -> bool| {
        let found = picture.wait_for(|picture| holds(picture));
        let found = tokio::time::timeout(Duration::from_secs(30), found).await;
        Arc::clone(&*found.expect("in time").expect("it goes on"))
    };
    let unreadable = |picture: &Discovered| matches!(picture.sandboxes, SandboxState::Unreadable { .. });
    when(|picture| matches!(&picture.sandboxes, SandboxState::Unreadable { reason } if reason.contains("moved")))
        .await;
    std::fs::create_dir(agent.path("moved")).unwrap();
    std::fs::rename(&hidden, agent.path("moved/slaves")).unwrap();
    let found =
        when(|picture| picture.sandboxes == SandboxState::Seen && !picture.containers.is_empty()).await;
    assert_eq!(found.containers.values().next().unwrap().sandbox.as_ref().unwrap().below, Path::new(&run));
    std::fs::rename(agent.path("moved"), hidden).unwrap();
    let still = when(unreadable).await;
    assert_eq!(still.containers, found.containers);
    shutdown.cancel();
    running.await.unwrap().unwrap();
}

#[test]
fn the_work_directory_is_told_from_an_executor_s_own_sandbox() {
    let of = |directory: &str| work_dir_of(Path::new(directory));
    let sandbox = "slaves/a-S0/frameworks/f/executors/e/runs/r";
    assert_eq!(of(&format!("/var/lib/mesos/{sandbox}")), Some("/var/lib/mesos".into()));
    assert_eq!(of(&format!("/srv/slaves/mesos/{sandbox}")), Some("/srv/slaves/mesos".into()));
    assert_eq!(of("/mnt/mesos/sandbox"), None);
}
