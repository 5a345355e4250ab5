//! Nanoseconds for each line and megabytes each second of our regular expressions on grok patterns.
//!
//! `cargo bench -p logstash-mesos-regex --bench regex`. `comparison/` measures other engines beside it.

#![allow(clippy::print_stdout, reason = "a benchmark prints its result")]

mod cases;

use std::hint::black_box;

use cases::{Case, measure, show};
use logstash_mesos_regex::{Captures, Scratch};

fn main() {
    for Case { name, regex, line, matches } in cases::all() {
        let (mut scratch, mut captures) = (Scratch::new(), Captures::new());
        assert_eq!(regex.captures(line, 0, &mut scratch, &mut captures), Ok(matches), "{name}");
        let time = measure(|| {
            let found = regex.captures(black_box(line), 0, &mut scratch, &mut captures).expect("decided");
            black_box(found);
        });
        println!("{name:24} {:4} bytes   {}", line.len(), show(time, line));
    }
}
