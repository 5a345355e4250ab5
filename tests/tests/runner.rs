//! Whole-program tests on real Mesos, Docker and OpenSearch: one binary, so that it is linked once.

#![expect(clippy::print_stdout, reason = "figures belong into the test's output")]
#![expect(clippy::disallowed_methods, reason = "whoever wants to keep pictures says so")]

mod access;
mod alone;
mod api_versions;
mod aside;
mod chaos;
mod clients;
mod configurations;
mod dead_letters;
mod demo;
mod detection;
mod discovery;
mod drivers;
mod explain;
mod failover;
mod faults;
mod found;
mod gone;
mod grpc;
mod guides;
mod hanging;
mod identity;
mod images;
mod import;
mod labels;
mod ladder;
mod last_lines;
mod limits;
mod lines;
mod live;
mod local;
mod long_lines;
mod marathon;
mod metrics;
mod multiline;
mod network;
mod operations;
mod outage;
mod packages;
mod page;
mod parts;
mod placement;
mod podman;
mod queues;
mod read_mode;
mod refusals;
mod sandboxes;
mod scale;
mod schema;
mod settings_file;
mod ship;
mod state;
mod totals;
mod uninstall;

/// A file that no `mod` line names is never compiled, and its tests never run.
#[test]
fn every_file_here_is_a_module() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");
    let runner = include_str!("runner.rs");
    for entry in std::fs::read_dir(directory).expect("the sources are there") {
        let path = entry.expect("the directory can be read").path();
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("names are UTF-8");
        assert!(
            name == "runner" || runner.contains(&format!("\nmod {name};\n")),
            "{} is not compiled: add `mod {name};` to runner.rs",
            path.display()
        );
    }
}
