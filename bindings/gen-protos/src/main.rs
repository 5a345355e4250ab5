//! Generates the protobuf code that is checked in, without `protoc`.
//!
//! `cargo run -p gen-protos` writes it; `cargo run -p gen-protos -- --check` changes nothing and fails
//! when what is checked in is not what would be written. Run it after every change of a `.proto`.

use prost::Message;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let check = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => false,
        ["--check"] => true,
        _ => return fail("usage: gen-protos [--check]"),
    };
    // The tool lives two directories below the root, and is only ever run from a checkout.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    match generate(&root).and_then(|files| if check { compare(&files) } else { write(&files) }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string()),
    }
}

#[expect(clippy::print_stderr, reason = "this is the binary that owns the terminal")]
fn fail(message: &str) -> ExitCode {
    eprintln!("gen-protos: {message}");
    ExitCode::FAILURE
}

/// A file as it should be.
struct Generated {
    path: PathBuf,
    content: Vec<u8>,
}

fn generate(root: &Path) -> Result<Vec<Generated>> {
    let scratch = tempfile::tempdir()?;
    let mut files = Vec::new();

    let mesos = scratch.path().join("mesos");
    fs::create_dir(&mesos)?;
    let proto = root.join("bindings/mesos-v1/proto");
    let sources = [
        "mesos/v1/mesos.proto",
        "mesos/v1/scheduler.proto",
        "mesos/v1/executor.proto",
        "mesos/v1/master.proto",
    ]
    .map(|file| proto.join(file));
    // Ordered maps, since an executor's definition is hashed: equal messages must have equal bytes.
    prost_build::Config::new()
        .btree_map(["."])
        .out_dir(&mesos)
        .compile_fds(protox::compile(sources, [proto])?)?;
    for (from, to) in [
        ("mesos.v1.rs", "mesos_v1.rs"),
        ("mesos.v1.scheduler.rs", "scheduler.rs"),
        ("mesos.v1.executor.rs", "executor.rs"),
        ("mesos.v1.master.rs", "master.rs"),
    ] {
        files.push(Generated {
            path: root.join("bindings/mesos-v1/src/generated").join(to),
            content: fs::read(mesos.join(from))?,
        });
    }

    let control = scratch.path().join("control");
    fs::create_dir(&control)?;
    let proto = root.join("logstash-mesos-core/proto");
    // No transport in the generated code: the caller brings the channel and the server, so that the
    // service shares the port of REST.
    let mut service = protox::compile([proto.join("control.proto")], [proto])?;
    tonic_prost_build::configure()
        .btree_map(".")
        .build_transport(false)
        .out_dir(&control)
        .compile_fds(service.clone())?;
    files.push(Generated {
        path: root.join("logstash-mesos-core/src/protocol/generated.rs"),
        content: fs::read(control.join("logstash_mesos.control.v1.rs"))?,
    });
    // For reflection, which has no use for comments.
    service.file.iter_mut().for_each(|file| file.source_code_info = None);
    files.push(Generated {
        path: root.join("logstash-mesos-core/src/protocol/control.fds"),
        content: service.encode_to_vec(),
    });
    Ok(files)
}

fn write(files: &[Generated]) -> Result<()> {
    for file in files {
        if let Some(directory) = file.path.parent() {
            fs::create_dir_all(directory)?;
        }
        fs::write(&file.path, &file.content)?;
    }
    Ok(())
}

fn compare(files: &[Generated]) -> Result<()> {
    let different: Vec<String> = files
        .iter()
        .filter(|file| fs::read(&file.path).ok().as_deref() != Some(&*file.content))
        .map(|file| file.path.display().to_string())
        .collect();
    if different.is_empty() {
        return Ok(());
    }
    Err(format!("not as generated: {}; run `cargo run -p gen-protos` and commit", different.join(", "))
        .into())
}
