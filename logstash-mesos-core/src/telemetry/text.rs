//! The text that Prometheus reads.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>

use std::fmt::Write;

use super::Metric;

/// Numbers as text, one after the other.
#[derive(Clone, Debug, Default)]
pub struct Exposition(String);

impl Exposition {
    /// Adds a number that has no labels.
    pub fn one(&mut self, metric: &Metric, value: f64) {
        self.many(metric, [([""; 0], value)]);
    }

    /// Adds a number for each set of values of its labels. No two sets may be the same.
    pub fn many<S: AsRef<str>, const N: usize>(
        &mut self,
        metric: &Metric,
        values: impl IntoIterator<Item = ([S; N], f64)>,
    ) {
        let Metric { name, kind, help, labels, .. } = metric;
        debug_assert_eq!(labels.len(), N, "{name}");
        self.add(format_args!("# HELP {name} {help}\n# TYPE {name} {}\n", kind.name()));
        for (texts, value) in values {
            self.0.push_str(name);
            for (n, (label, text)) in labels.iter().zip(&texts).enumerate() {
                let before = if n == 0 { '{' } else { ',' };
                self.add(format_args!("{before}{label}=\""));
                for c in text.as_ref().chars() {
                    match c {
                        '\\' => self.0.push_str("\\\\"),
                        '"' => self.0.push_str("\\\""),
                        '\n' => self.0.push_str("\\n"),
                        c => self.0.push(c),
                    }
                }
                self.0.push('"');
            }
            let after = if N == 0 { "" } else { "}" };
            self.add(format_args!("{after} {value}\n"));
        }
    }

    /// All of it.
    #[must_use]
    pub fn text(self) -> String {
        self.0
    }

    fn add(&mut self, text: std::fmt::Arguments<'_>) {
        // A String takes everything.
        let _ = self.0.write_fmt(text);
    }
}

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;

    #[test]
    fn labels_may_hold_anything() {
        let mut all = Exposition::default();
        all.one(&table::LEADER, 1.0);
        all.many(&table::LOST, [(["a \"b\"\\\n"], 2.5), (["c"], 0.0)]);
        let text = "# HELP logstash_mesos_leader 1 when this scheduler leads.\n\
                    # TYPE logstash_mesos_leader gauge\n\
                    logstash_mesos_leader 1\n\
                    # HELP logstash_mesos_lost_bytes_total Bytes that will never arrive, by reason, over restarts.\n\
                    # TYPE logstash_mesos_lost_bytes_total counter\n\
                    logstash_mesos_lost_bytes_total{reason=\"a \\\"b\\\"\\\\\\n\"} 2.5\n\
                    logstash_mesos_lost_bytes_total{reason=\"c\"} 0\n";
        assert_eq!(all.text(), text);
    }
}
