//! What the values of a type are called, where it has several.

use std::collections::HashMap;

/// Names of values by type: those that everybody has, and those of the user's files.
#[derive(Debug, Default)]
pub(super) struct Types {
    own: HashMap<String, Vec<String>>,
}

impl Types {
    /// Adds what a file in the form of collectd's `types.db` says; it wins over what came before.
    ///
    /// A line is a type and its values, `name:kind:least:most`, apart by white space and commas.
    pub(super) fn add(&mut self, file: &str) {
        for line in file.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            let mut words = line.split([' ', '\t', ',']).filter(|word| !word.is_empty());
            let Some(name) = words.next() else { continue };
            let values = words.map(|word| word.split(':').next().unwrap_or(word).to_owned()).collect();
            self.own.insert(name.to_owned(), values);
        }
    }

    /// The name of the value at `index` of a type that has several.
    pub(super) fn name(&self, of: &str, index: usize) -> Option<&str> {
        if let Some(names) = self.own.get(of) {
            return names.get(index).map(String::as_str);
        }
        let (names, _) = SEVERAL.iter().find(|(_, types)| types.contains(&of))?;
        names.get(index).copied()
    }
}

/// The types of collectd 5 that have several values, by the names of these.
const SEVERAL: [(&[&str], &[&str]); 19] = [
    (
        &["rx", "tx"],
        &[
            "ib_octets",
            "ib_packets",
            "if_dropped",
            "if_errors",
            "if_octets",
            "if_packets",
            "io_octets",
            "io_packets",
            "memcached_octets",
            "mysql_octets",
            "node_octets",
            "serial_octets",
        ],
    ),
    (
        &["read", "write"],
        &[
            "arc_l2_bytes",
            "disk_latency",
            "disk_merged",
            "disk_octets",
            "disk_ops",
            "disk_time",
            "io_ops",
            "ps_disk_octets",
            "ps_disk_ops",
        ],
    ),
    (&["shortterm", "midterm", "longterm"], &["load"]),
    (&["used", "free"], &["df"]),
    (&["uncompressed", "compressed"], &["compression"]),
    (&["io_time", "weighted_io_time"], &["disk_io_time"]),
    (&["queries", "responses"], &["dns_octets"]),
    (&["state", "reason"], &["domain_state"]),
    (&["processes", "threads"], &["ps_count"]),
    (&["user", "syst"], &["ps_cputime"]),
    (&["minflt", "majflt"], &["ps_pagefaults", "vmpage_faults"]),
    (&["current", "worst", "threshold", "pretty"], &["smart_attribute"]),
    (&["vf_rx", "vf_tx"], &["vf_bytes", "vf_dropped", "vf_packets"]),
    (&["in", "out"], &["vmpage_io"]),
    (&["value", "threshold"], &["voltage_threshold"]),
    (&["demand_data", "demand_metadata", "prefetch_data", "prefetch_metadata"], &["arc_counts"]),
    (&["current", "target", "minlimit", "maxlimit"], &["arc_size"]),
    (&["hits", "inserts", "not_cached", "lowmem_prunes", "queries_in_cache"], &["mysql_qcache"]),
    (&["running", "connected", "cached", "created"], &["mysql_threads"]),
];
