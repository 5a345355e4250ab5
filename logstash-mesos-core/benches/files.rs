//! Megabytes each second from a file to nothing, and from a file through grok to the body of bulk requests: the
//! whole way but the network.
//!
//! `cargo bench -p logstash-mesos-core --bench files`

#![allow(clippy::print_stdout, reason = "a benchmark prints its result")]

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use logstash_mesos_core::event::{Event, write_json_map};
use logstash_mesos_core::pipeline::plugin::{
    Build, BuildContext, BuildError, EncodeError, MakeOutput, Output, PluginSpec,
};
use logstash_mesos_core::pipeline::settings::Settings;
use logstash_mesos_core::pipeline::{CompileOptions, RunSettings, RunningPipeline, catalog, compile};
use logstash_mesos_core::sink::{LogSink, NullSink, RecordBatch};

/// Writes what the Elasticsearch output writes, for nobody.
static BULK_BODY: PluginSpec = PluginSpec {
    name: "bulk_body",
    doc: "For measuring.",
    settings: &[],
    build: Build::Output(&MakeOutput::new(build)),
};

fn build(_: &Settings, _: &BuildContext) -> Result<Box<dyn Output>, BuildError> {
    Ok(Box::new(BulkBody))
}

struct BulkBody;

impl Output for BulkBody {
    fn encode(&mut self, event: &Event, batch: &mut RecordBatch) -> Result<(), EncodeError> {
        batch.body.extend_from_slice(b"{\"index\":{\"_index\":\"bench\"}}\n");
        write_json_map(event.fields(), &mut batch.body);
        batch.body.push(b'\n');
        batch.finish_record(None);
        Ok(())
    }

    fn fork(&self) -> Box<dyn Output> {
        Box::new(Self)
    }

    fn sink(&self) -> Arc<dyn LogSink> {
        Arc::new(NullSink)
    }
}

const BYTES: usize = 64 << 20;
const ROUNDS: usize = 3;

fn main() {
    let dir = tempfile::tempdir().expect("there is a directory for temporary files");
    let path = dir.path().join("access.log");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path).expect("the file can be made"));
    let (mut written, mut lines) = (0, 0_u64);
    while written < BYTES {
        let line = format!(
            "83.149.9.{} - - [04/Jan/2015:05:13:{:02} +0000] \"GET /presentations/images/{lines}.png HTTP/1.1\" 200 {} \
             \"http://semicomplete.com/presentations/\" \"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_9_1) Chrome/32\"\n",
            lines % 256,
            lines % 60,
            lines % 100_000,
        );
        file.write_all(line.as_bytes()).expect("the disk has room");
        written += line.len();
        lines += 1;
    }
    file.into_inner().map(drop).expect("the disk has room");
    let grok = r#"filter { grok { match => { "message" => "%{COMBINEDAPACHELOG}" } } }"#;
    for (name, filter, output) in [
        ("file to null", "", "null"),
        ("file to bulk body", "", "bulk_body"),
        ("file, grok, bulk body", grok, "bulk_body"),
    ] {
        let config = format!(
            "input {{ file {{ path => '{}' mode => read exit_after_read => true sincedb_path => '/dev/null'
             file_completed_action => log file_completed_log_path => '{}' }} }}
             {filter} output {{ {output} {{ }} }}",
            path.display(),
            dir.path().join("completed").display(),
        );
        let best = (0..ROUNDS).map(|_| run(&config, lines)).min().unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let (megabytes, events) = (written as f64 / 1e6, lines as f64);
        let secs = best.as_secs_f64();
        println!("{name:24} {:8.1} MB/s {:10.0} events/s", megabytes / secs, events / secs);
    }
}

fn run(config: &str, lines: u64) -> Duration {
    let options =
        CompileOptions::new(catalog()).with(|options| options.catalog = catalog().with([&BULK_BODY]));
    let compiled = compile(config, &options).unwrap_or_else(|complaints| panic!("{complaints}"));
    let runtime = tokio::runtime::Runtime::new().expect("there are threads");
    runtime.block_on(async {
        let mut settings = RunSettings::default();
        settings.workers = 1;
        let start = Instant::now();
        let pipeline = RunningPipeline::start(&compiled, settings).expect("outputs are made");
        pipeline.start_inputs(&compiled).expect("inputs are made");
        pipeline.inputs_ended().await;
        assert_eq!(pipeline.counters().events_in(), lines);
        pipeline.shutdown(Duration::from_secs(60)).await;
        start.elapsed()
    })
}
