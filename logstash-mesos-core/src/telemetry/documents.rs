//! What the documents say of the numbers: the page and the dashboard are written from the table and from the panels below with
//! `UPDATE_DOCS=1`, and the alerts name nothing else.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::table::METRICS;

/// A chart: its title, its unit as Grafana calls it, and its lines, each with what it is called.
struct Panel(&'static str, &'static str, &'static [(&'static str, &'static str)]);

static PANELS: &[Panel] = &[
    Panel(
        "Leader, subscription",
        "short",
        &[
            ("sum(logstash_mesos_leader)", "schedulers that lead"),
            ("sum(logstash_mesos_connected)", "subscriptions"),
        ],
    ),
    Panel(
        "Agents",
        "short",
        &[
            ("logstash_mesos_executors_connected", "with a shipper"),
            ("logstash_mesos_agents_without_executor", "without"),
            ("logstash_mesos_agents_backing_off", "where the next launch waits"),
        ],
    ),
    Panel(
        "Events per second",
        "short",
        &[("sum by (at) (rate(logstash_mesos_executor_events_total[5m]))", "{{at}}")],
    ),
    Panel(
        "Bytes per second",
        "Bps",
        &[("sum by (at) (rate(logstash_mesos_executor_bytes_total[5m]))", "{{at}}")],
    ),
    Panel("Not delivered yet", "bytes", &[("logstash_mesos_executor_lag_bytes", "bytes behind")]),
    Panel("Oldest that is not delivered", "s", &[("logstash_mesos_executor_lag_seconds", "age")]),
    Panel(
        "Lost bytes in an hour",
        "bytes",
        &[("sum by (reason) (increase(logstash_mesos_executor_lost_bytes_total[1h]))", "{{reason}}")],
    ),
    Panel(
        "Dead letters",
        "short",
        &[
            ("logstash_mesos_executor_dead_letters", "{{state}}"),
            ("sum(increase(logstash_mesos_executor_dead_letters_dropped_total[1h]))", "dropped in an hour"),
        ],
    ),
    Panel("Tasks", "short", &[("logstash_mesos_tasks", "{{state}}")]),
    Panel(
        "Offers, launches, failures per second",
        "short",
        &[
            ("rate(logstash_mesos_offers_total[5m])", "offers"),
            ("rate(logstash_mesos_launches_total[5m])", "launches"),
            ("rate(logstash_mesos_task_failures_total[5m])", "failures"),
            ("rate(logstash_mesos_call_errors_total[5m])", "calls that failed"),
        ],
    ),
    Panel(
        "Busiest plugins (processors)",
        "short",
        &[(
            "topk(10, sum by (pipeline, plugin, id) (rate(logstash_mesos_plugin_busy_seconds_total[5m])))",
            "{{pipeline}} {{plugin}} {{id}}",
        )],
    ),
    Panel(
        "Outputs that do not deliver",
        "short",
        &[("sum by (pipeline, output) (logstash_mesos_output_failing)", "{{pipeline}} {{output}}")],
    ),
    Panel(
        "Events per second by pipeline",
        "short",
        &[(
            "topk(10, sum by (pipeline) (rate(logstash_mesos_pipeline_events_total{at=\"delivered\"}[5m])))",
            "{{pipeline}}",
        )],
    ),
    Panel(
        "Memory of executors",
        "bytes",
        &[(
            "topk(10, process_resident_memory_bytes and on (instance) logstash_mesos_reading)",
            "{{instance}}",
        )],
    ),
];

fn dashboard() -> Value {
    let source = json!({"type": "prometheus", "uid": "${source}"});
    let panels = PANELS.iter().enumerate().map(|(n, Panel(title, unit, lines))| {
        let targets = lines.iter().zip('A'..).map(|((expr, name), id)| {
            json!({"refId": id.to_string(), "expr": expr, "legendFormat": name, "datasource": source})
        });
        json!({
            "id": n + 1,
            "type": "timeseries",
            "title": title,
            "datasource": source,
            "gridPos": {"x": n % 2 * 12, "y": n / 2 * 8, "w": 12, "h": 8},
            "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
            "targets": targets.collect::<Vec<_>>(),
        })
    });
    json!({
        "uid": "logstash-mesos",
        "title": "logstash-mesos",
        "tags": ["logs", "mesos"],
        "schemaVersion": 39,
        "timezone": "browser",
        "time": {"from": "now-3h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": [{"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]},
        "panels": panels.collect::<Vec<_>>(),
    })
}

fn table() -> String {
    let mut text =
        "| name | type | labels | what | served by |\n| --- | --- | --- | --- | --- |\n".to_owned();
    for metric in METRICS {
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let (kind, labels, by) = (metric.kind.name(), labels.join(", "), metric.served_by.name());
        writeln!(text, "| `{}` | {kind} | {labels} | {} | {by} |", metric.name, metric.help)
            .expect("a String takes it");
    }
    text
}

fn path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../docs", name].iter().collect()
}

fn read(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("docs/{name}: {error}"))
}

#[expect(clippy::disallowed_methods, reason = "whoever runs the test says so")]
fn assert_written(name: &str, wanted: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path(name), wanted).expect("it is writable");
    }
    assert_eq!(read(name), wanted, "run this test with UPDATE_DOCS=1");
}

#[test]
fn the_page_has_every_number() {
    let page = read("metrics.md");
    let [start, end] = ["<!-- metrics -->\n", "<!-- /metrics -->"];
    let (before, rest) = page.split_once(start).expect("has a place for it");
    let (_, after) = rest.split_once(end).expect("has an end for it");
    assert_written("metrics.md", &format!("{before}{start}{}{end}{after}", table()));
}

#[test]
fn the_dashboard_is_made_of_its_panels() {
    let text = serde_json::to_string_pretty(&dashboard()).expect("is JSON");
    assert_written("prometheus/dashboard.json", &format!("{text}\n"));
}

#[test]
fn dashboard_and_alerts_name_only_numbers_that_are_served() {
    let known: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
    for name in ["prometheus/dashboard.json", "prometheus/alerts.yml"] {
        let text = read(name);
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let named: BTreeSet<_> = words
            .filter(|word| word.starts_with("logstash_mesos_") || word.starts_with("process_"))
            .collect();
        assert!(named.len() > 5, "{name}: {named:?}");
        assert!(named.is_subset(&known), "docs/{name}: {:?}", named.difference(&known));
    }
}
