use tokio::task::JoinHandle;

use super::*;
use crate::discovery::FixedDiscovery;
use crate::executor::{DataDirLock, Machine, OwnTraces};
use crate::pipeline::compile::CompileOptions;

/// `ship` on the files of one directory.
struct Shipping {
    stop: CancellationToken,
    task: JoinHandle<Result<(), ShipError>>,
}

fn start(dir: &Path, settings: &[(&str, &str)], grace: Duration) -> Shipping {
    let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    let settings = ShipSettings {
        config_dir: dir.join("configs"),
        default_output: String::new(),
        settings: settings.iter().map(own).collect(),
        shipper: ShipperSettings {
            data_dir: dir.join("data"),
            keeps_configurations: false,
            name: "test".to_owned(),
            host_root: "/".into(),
            #[cfg(feature = "docker")]
            docker: None,
            machine: Machine::default(),
            traces: OwnTraces::default(),
            drain_timeout: Duration::from_millis(100),
            compile: CompileOptions::default(),
            queue_bytes: 1 << 20,
            workers: 1,
        },
        shutdown_grace: grace,
    };
    let stop = CancellationToken::new();
    let task = tokio::spawn(ship(settings, Arc::new(FixedDiscovery::default()), stop.clone()));
    Shipping { stop, task }
}

impl Shipping {
    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }
}

fn configure(dir: &Path, name: &str, output: &str) {
    let host = dir.join("configs/host");
    std::fs::create_dir_all(&host).unwrap();
    let input = dir.join("in.log").display().to_string();
    let text =
        format!("input {{ file {{ host-path => \"{input}\" }} }}\noutput {{ {} }}\n", output);
    std::fs::write(host.join(format!("{name}.conf")), text).unwrap();
}

fn to_file(path: &Path) -> String {
    format!("file {{ path => \"{}\" codec => line {{ format => \"%{{message}}\" }} }}", path.display())
}

fn append(dir: &Path, lines: &str) {
    let mut file =
        std::fs::OpenOptions::new().create(true).append(true).open(dir.join("in.log")).unwrap();
    std::io::Write::write_all(&mut file, lines.as_bytes()).unwrap();
}

async fn holds(path: &Path, wanted: &str) {
    let mut seen = String::new();
    for _ in 0..2000 {
        seen = std::fs::read_to_string(path).unwrap_or_default();
        if seen == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} holds {seen:?}, and not {wanted:?}", path.display());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_directory_is_the_truth_from_the_first_line_on() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (wrong, right) = (dir.join("wrong.txt"), dir.join("right.txt"));
    let grace = Duration::from_secs(10);
    configure(dir, "a", &to_file(&wrong));
    append(dir, "1\n");
    let first = start(dir, &[], grace);
    holds(&wrong, "1\n").await;
    first.end().await;

    // Corrected, and lines come, while nothing runs.
    append(dir, "2\n");
    configure(dir, "a", &to_file(&right));
    let second = start(dir, &[], grace);
    holds(&right, "2\n").await;
    second.end().await;
    holds(&wrong, "1\n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_says_how_long_a_removed_file_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let out = dir.join("out.txt");
    configure(dir, "a", &to_file(&out));
    append(dir, "1\n");
    let mut open = std::fs::OpenOptions::new().append(true).open(dir.join("in.log")).unwrap();
    let shipping = start(dir, &[("drain_timeout_secs", "60")], Duration::from_secs(10));
    holds(&out, "1\n").await;
    std::fs::remove_file(dir.join("in.log")).unwrap();
    // Far longer than the shipper's own default of a tenth of a second.
    tokio::time::sleep(Duration::from_secs(2)).await;
    std::io::Write::write_all(&mut open, b"2\n").unwrap();
    holds(&out, "1\n2\n").await;
    shipping.end().await;
}
