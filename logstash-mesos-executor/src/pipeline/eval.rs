//! `pipeline eval`: events in, events out, nothing else.

use std::io::BufRead;
use std::process::ExitCode;

use clap::Args;
use logstash_mesos_core::event::Text;

use super::Unusable;
use super::events::{event_from_json, write_event};
use super::given::Given;

/// Flags of `pipeline eval`.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    #[command(flatten)]
    given: Given,
}

/// Runs the filter sections over the events of standard input, in one batch on one worker.
pub(super) fn run(flags: &Flags) -> Result<ExitCode, Unusable> {
    let Some((compiled, options)) = flags.given.compile(|_, _| {})? else { return Ok(ExitCode::FAILURE) };
    let mut events = Vec::new();
    for (number, line) in std::io::stdin().lock().lines().enumerate() {
        let line = line.map_err(|error| Unusable(format!("cannot read standard input: {error}")))?;
        if line.trim().is_empty() {
            continue;
        }
        let event = event_from_json(&Text::from(line), options.clock)
            .map_err(|problem| Unusable(format!("standard input, line {}: {problem}", number + 1)))?;
        events.push(event);
    }
    let mut worker = compiled.filters.fork();
    let mut results = worker.run(events);
    results.append(&mut worker.flush(true));
    let mut out = Vec::new();
    for event in &results {
        write_event(event, &mut out);
    }
    super::write(&out)?;
    Ok(ExitCode::SUCCESS)
}
