//! What files at rest cost: 10,000 of them behind one pattern, in bytes of memory for each, and in percent of a core
//! for all. A program would add its own code; this is what grows with the files.
//!
//! `cargo bench -p logstash-mesos-core --bench rest`, for two minutes; with `--quick` for some seconds.

#![allow(clippy::print_stdout, reason = "a benchmark prints its result")]

use std::fs;
use std::time::{Duration, Instant};

use logstash_mesos_core::pipeline::{CompileOptions, RunSettings, RunningPipeline, catalog, compile};
use logstash_mesos_core::source::raise_descriptor_limit;

/// The allocator of the programs.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let (files, settle, span) = if quick { (500, 2, 2) } else { (10_000, 60, 60) };
    raise_descriptor_limit().expect("the soft limit may be raised to the hard one");
    let dir = tempfile::tempdir().expect("there is a directory for temporary files");
    for number in 0..files {
        let path = dir.path().join(format!("application-{number:05}.log"));
        fs::write(path, format!("line one of {number}\nline two of {number}\n")).expect("the disk has room");
    }
    let config = format!(
        "input {{ file {{ path => '{}/*.log' start_position => beginning sincedb_path => '{}' }} }} output {{ null {{ }} }}",
        dir.path().display(),
        dir.path().join("positions").display(),
    );
    let options = CompileOptions::new(catalog());
    let compiled = compile(&config, &options).unwrap_or_else(|complaints| panic!("{complaints}"));
    let runtime = tokio::runtime::Runtime::new().expect("there are threads");
    runtime.block_on(async {
        let mut settings = RunSettings::default();
        settings.workers = 1;
        let pipeline = RunningPipeline::start(&compiled, settings).expect("outputs are made");
        let before = resident_bytes();
        let start = Instant::now();
        pipeline.start_inputs(&compiled).expect("inputs are made");
        while pipeline.counters().events_in() < 2 * files {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        println!("{files} files were read after {:.1} s", start.elapsed().as_secs_f64());
        tokio::time::sleep(Duration::from_secs(settle)).await;
        let (used, start) = (processor_ticks(), Instant::now());
        tokio::time::sleep(Duration::from_secs(span)).await;
        let used = processor_ticks() - used;
        let each = resident_bytes().saturating_sub(before) / files;
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let percent = used as f64 / TICKS * 100.0 / start.elapsed().as_secs_f64();
        println!("at rest {each} bytes for each, and {percent:.2} % of a core for all");
        pipeline.shutdown(Duration::from_secs(60)).await;
    });
}

/// In a second, on every Linux.
const TICKS: f64 = 100.0;

/// `VmRSS` of this process.
fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("there is /proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the kernel says it");
    let kilobytes = line.trim().trim_end_matches(" kB");
    kilobytes.parse::<u64>().expect("it is a number") * 1024
}

/// What this process has used of processors, as `proc_pid_stat(5)` counts it: in user mode and in the kernel.
fn processor_ticks() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("there is /proc");
    // The second field is the name, which may hold anything; utime and stime are the 14th and the 15th.
    let (_, behind_name) = stat.rsplit_once(')').expect("the name is in brackets");
    behind_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
}
