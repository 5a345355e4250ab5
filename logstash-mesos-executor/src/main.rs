//! The program that runs on every agent: flags to settings, settings to [`logstash_mesos_core`].

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod pipeline;

/// Ships the logs of the containers on one machine through Logstash configurations.
#[derive(Debug, Parser)]
#[command(version)]
struct Flags {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs, checks or tries Logstash configurations.
    #[command(subcommand)]
    Pipeline(pipeline::Command),
}

fn main() -> ExitCode {
    // clap ends the program with 2 on wrong use.
    let flags = Flags::parse();
    match flags.command {
        Command::Pipeline(command) => pipeline::run(command),
    }
}
