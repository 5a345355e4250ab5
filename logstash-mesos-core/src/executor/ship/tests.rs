use tokio::task::JoinHandle;

use super::*;
use crate::discovery::FixedDiscovery;
use crate::executor::DataDirLock;

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
        shipper: ShipperSettings { queue_bytes: 1 << 20, ..ShipperSettings::new(dir.join("data")) },
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
    let text = format!("input {{ file {{ host-path => \"{input}\" }} }}\noutput {{ {} }}\n", output);
    std::fs::write(host.join(format!("{name}.conf")), text).unwrap();
}

fn to_file(path: &Path) -> String {
    format!("file {{ path => \"{}\" codec => line {{ format => \"%{{message}}\" }} }}", path.display())
}

fn append(dir: &Path, lines: &str) {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(dir.join("in.log")).unwrap();
    std::io::Write::write_all(&mut file, lines.as_bytes()).unwrap();
}

async fn holds(path: &Path, wanted: &str) {
    comes_to(path, wanted, |seen| seen == wanted).await;
}

async fn comes_to(path: &Path, wanted: &str, is: impl Fn(&str) -> bool) {
    let mut seen = String::new();
    for _ in 0..2000 {
        seen = std::fs::read_to_string(path).unwrap_or_default();
        if is(&seen) {
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
async fn a_file_that_was_put_aside_without_a_successor_is_read_on_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (out, configuration) = (dir.join("out.txt"), dir.join("configs/host/a.conf"));
    configure(dir, "a", &to_file(&out));
    let by_pattern = std::fs::read_to_string(&configuration).unwrap().replace("in.log", "*.log");
    std::fs::write(&configuration, by_pattern).unwrap();
    append(dir, "1\n");
    let first = start(dir, &[], Duration::from_secs(10));
    holds(&out, "1\n").await;
    first.end().await;

    append(dir, "2\n");
    std::fs::rename(dir.join("in.log"), dir.join("in.log.1")).unwrap();
    let second = start(dir, &[], Duration::from_secs(10));
    holds(&out, "1\n2\n").await;
    second.end().await;
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

#[cfg(feature = "http")]
/// A server that accepts and never answers: what is sent there is on its way for ever.
async fn deaf() -> (tokio::net::TcpListener, String) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, format!("http {{ url => \"{url}\" http_method => \"post\" }}"))
}

#[cfg(feature = "http")]
#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_configuration_takes_over_at_once_whatever_hangs() {
    let (_server, deaf) = deaf().await;
    // Nobody listens there, which the output says at once.
    let refusing = "tcp { host => \"127.0.0.1\" port => 1 }";
    for wrong in [refusing, &deaf] {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let out = dir.join("out.txt");
        configure(dir, "a", wrong);
        append(dir, "1\n");
        let shipping = start(dir, &[], Duration::from_secs(10));
        tokio::time::sleep(Duration::from_secs(3)).await;
        let corrected = std::time::Instant::now();
        configure(dir, "a", &to_file(&out));
        append(dir, "2\n");
        // The second line may come twice: once at once, and once behind the one that the output did not take.
        let has = |seen: &str, line| seen.lines().any(|have| have == line);
        comes_to(&out, "both lines", |seen| has(seen, "1") && has(seen, "2")).await;
        let took = corrected.elapsed();
        assert!(took < Duration::from_secs(10), "it took {took:?} behind {wrong}");
        shipping.end().await;
    }
}

#[cfg(feature = "http")]
#[tokio::test(flavor = "multi_thread")]
async fn the_grace_is_kept_whatever_hangs() {
    let (_server, deaf) = deaf().await;
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for name in ["a", "b", "c"] {
        configure(dir, name, &deaf);
    }
    append(dir, &"a line\n".repeat(100_000));
    let shipping = start(dir, &[("queue_megabytes", "1")], Duration::from_secs(2));
    tokio::time::sleep(Duration::from_secs(3)).await;
    // One that is replaced in the last moment has no grace of its own.
    configure(dir, "a", "null { }");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let asked = std::time::Instant::now();
    shipping.end().await;
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(4), "it took {took:?}");
    DataDirLock::take(&dir.join("data"), "next").unwrap();
}
