//! Every number that a program of ours serves.

use super::{Metric, MetricKind, ServedBy, Unit};

/// Defines each number, and the list of all.
macro_rules! table {
    ($($name:ident = $metric:expr;)*) => {
        $(pub(crate) static $name: Metric = $metric;)*
        /// All of them, in the order in which the page about them has them.
        pub static METRICS: &[&Metric] = &[$(&$name),*];
    };
}

table! {
    LEADER = gauge("logstash_mesos_leader", "1 when this scheduler leads.").by(ServedBy::Schedulers);
    LEADER_KNOWN = gauge("logstash_mesos_leader_known", "1 when it is known which scheduler leads.").by(ServedBy::Follower);
    REQUESTS_FORWARDED = counter("logstash_mesos_requests_forwarded_total", "Requests passed on to the leader.")
        .by(ServedBy::Follower);
    REQUESTS_NOT_FORWARDED = counter("logstash_mesos_requests_not_forwarded_total", "Requests that no leader answered.")
        .by(ServedBy::Follower);
    CONNECTED = gauge("logstash_mesos_connected", "1 when the subscription with the Mesos master holds.");
    STREAM_AGE = gauge("logstash_mesos_stream_age_seconds", "Time since the subscription began or ended.").seconds();
    RECONCILIATION_AGE = gauge(
        "logstash_mesos_reconciliation_age_seconds",
        "Time since the master last answered for all tasks; absent before the first time.",
    )
    .seconds();
    RECONCILIATION_UNANSWERED =
        gauge("logstash_mesos_reconciliation_unanswered", "Tasks that the master has not answered for.");
    OFFERS = counter("logstash_mesos_offers_total", "Offers received.");
    OFFERS_DECLINED = counter("logstash_mesos_offers_declined_total", "Offers declined.");
    OFFERS_RESCINDED =
        counter("logstash_mesos_offers_rescinded_total", "Offers that the master took back while they were held.");
    LAUNCHES = counter("logstash_mesos_launches_total", "Tasks launched.");
    LAUNCHES_STALE = counter("logstash_mesos_launches_stale_total", "Launches on offers that were no longer valid.");
    TASK_FAILURES = counter("logstash_mesos_task_failures_total", "Tasks that failed.");
    TASK_UPDATES = counter("logstash_mesos_task_updates_total", "Updates of tasks received.");
    UNKNOWN_TASKS = counter("logstash_mesos_unknown_tasks_total", "Tasks that were not on record.");
    CALLS = counter("logstash_mesos_calls_total", "Calls made to the master.");
    CALL_ERRORS = counter("logstash_mesos_call_errors_total", "Calls to the master that failed.");
    TASKS = gauge("logstash_mesos_tasks", "Tasks by how far they are.").labels(&["state"]);
    AGENTS_BACKING_OFF =
        gauge("logstash_mesos_agents_backing_off", "Agents where the next launch waits, as the last ones failed.");
    AGENTS_WITHOUT_EXECUTOR = gauge("logstash_mesos_agents_without_executor", "Agents that have no task.");
    EXECUTORS_CONNECTED = gauge("logstash_mesos_executors_connected", "Executors that are connected to the scheduler.");
    WAKES = counter("logstash_mesos_wakes_total", "Messages to executors that were not connected yet.");
    WRONG_CREDENTIALS = counter("logstash_mesos_wrong_credentials_total", "Passwords and tokens that were wrong.");
    EXECUTOR_LAG = gauge("logstash_mesos_executor_lag_bytes", "Bytes of all streams that are there and not delivered yet.")
        .bytes();
    EXECUTOR_LAG_AGE = gauge(
        "logstash_mesos_executor_lag_seconds",
        "Time since the oldest byte of all streams that is not delivered yet was first seen.",
    )
    .seconds();
    EXECUTOR_WAITING = gauge(
        "logstash_mesos_executor_waiting_events",
        "Events of all executors that wait for an output: in order on disk, or aside, as they are refused for now.",
    )
    .labels(&["where"]);
    EXECUTOR_LEFT_QUEUES = gauge(
        "logstash_mesos_executor_left_queues",
        "Queues on disk of all executors that no output takes any more.",
    );
    EXECUTOR_LEFT_QUEUE_SIZE =
        gauge("logstash_mesos_executor_left_queue_bytes", "What waits in the queues that no output takes any more.").bytes();
    EXECUTOR_DEAD_LETTERS = gauge(
        "logstash_mesos_executor_dead_letters",
        "Dead letters of all executors that wait for somebody, or are on their way back to their outputs.",
    )
    .labels(&["state"]);
    EXECUTOR_DEAD_LETTER_SIZE =
        gauge("logstash_mesos_executor_dead_letter_bytes", "Disk that the dead letters of all executors take.").bytes();
    EXECUTOR_EVENTS = counter(
        "logstash_mesos_executor_events_total",
        "Events by what became of them, over restarts of the agent's executor.",
    )
    .labels(&["agent", "at"]);
    EXECUTOR_SIZE = counter(
        "logstash_mesos_executor_bytes_total",
        "Bytes read and delivered, over restarts of the agent's executor.",
    )
    .bytes()
    .labels(&["agent", "at"]);
    EXECUTOR_LOST = counter(
        "logstash_mesos_executor_lost_bytes_total",
        "Bytes that will never arrive, by reason, over restarts of the agent's executor.",
    )
    .bytes()
    .labels(&["agent", "reason"]);
    EXECUTOR_DEAD_LETTERS_DROPPED = counter(
        "logstash_mesos_executor_dead_letters_dropped_total",
        "Dead letters dropped for want of room or for their age, over restarts of the agent's executor.",
    )
    .labels(&["agent"]);
    READING = gauge("logstash_mesos_reading", "1 when it reads, 0 while another process has its data directory.")
        .by(ServedBy::Executors);
    DOCKER_CONNECTED = gauge(
        "logstash_mesos_docker_connected",
        "1 when the Docker daemon answers; absent while no configuration needs it.",
    )
    .by(ServedBy::Executors);
    STREAMS = gauge("logstash_mesos_streams", "Streams that are read, and those that cannot be.")
        .by(ServedBy::Executors)
        .labels(&["state"]);
    LAG = gauge("logstash_mesos_lag_bytes", "Bytes of all streams that are there and not delivered yet.")
        .bytes()
        .by(ServedBy::Executors);
    LAG_AGE = gauge(
        "logstash_mesos_lag_seconds",
        "Time since the oldest byte that is not delivered yet was first seen.",
    )
    .seconds()
    .by(ServedBy::Executors);
    READ = counter("logstash_mesos_read_bytes_total", "Bytes read from streams and files, over restarts.")
        .bytes()
        .by(ServedBy::Executors);
    LOST = counter("logstash_mesos_lost_bytes_total", "Bytes that will never arrive, by reason, over restarts.")
        .bytes()
        .by(ServedBy::Executors)
        .labels(&["reason"]);
    ENDED_EARLY = counter(
        "logstash_mesos_ended_early_total",
        "Events of several lines that ended early, as there was no memory to keep them, over restarts.",
    )
    .by(ServedBy::Executors);
    PIPELINE_EVENTS = counter("logstash_mesos_pipeline_events_total", "Events by what became of them, over restarts.")
        .by(ServedBy::Executors)
        .labels(&["pipeline", "at"]);
    PIPELINE_DELIVERED = counter(
        "logstash_mesos_pipeline_delivered_bytes_total",
        "Bytes that the outputs delivered, as they were sent, over restarts.",
    )
    .bytes()
    .by(ServedBy::Executors)
    .labels(&["pipeline"]);
    PIPELINE_FAILURES = counter(
        "logstash_mesos_pipeline_failures_total",
        "How often a plugin broke down; its event is a dead letter, or is read again.",
    )
    .by(ServedBy::Executors)
    .labels(&["pipeline"]);
    PLUGIN_EVENTS = counter("logstash_mesos_plugin_events_total", "Events that a filter or output took and gave on.")
        .by(ServedBy::Executors)
        .labels(&["pipeline", "plugin", "id", "at"]);
    PLUGIN_BUSY = counter("logstash_mesos_plugin_busy_seconds_total", "Time a filter or output took, over all workers; estimated.")
        .seconds()
        .by(ServedBy::Executors)
        .labels(&["pipeline", "plugin", "id"]);
    OUTPUT_PENDING = gauge(
        "logstash_mesos_output_pending_events",
        "Events in the queues on disk of the outputs of this kind.",
    )
    .by(ServedBy::Executors)
    .labels(&["pipeline", "output"]);
    OUTPUT_ASIDE = gauge(
        "logstash_mesos_output_aside_events",
        "Events that the outputs of this kind do not take now, though they take others.",
    )
    .by(ServedBy::Executors)
    .labels(&["pipeline", "output"]);
    LEFT_QUEUES = gauge("logstash_mesos_left_queues", "Queues on disk that no output takes any more.")
        .by(ServedBy::Executors);
    LEFT_QUEUE_SIZE = gauge("logstash_mesos_left_queue_bytes", "What waits in the queues that no output takes any more.")
        .bytes()
        .by(ServedBy::Executors);
    OUTPUT_FAILING = gauge("logstash_mesos_output_failing", "1 while an output of this kind does not deliver.")
        .by(ServedBy::Executors)
        .labels(&["pipeline", "output"]);
    DEAD_LETTERS = gauge(
        "logstash_mesos_dead_letters",
        "Dead letters that wait for somebody, or are on their way back to their outputs.",
    )
    .by(ServedBy::Executors)
    .labels(&["pipeline", "state"]);
    DEAD_LETTER_SIZE = gauge("logstash_mesos_dead_letter_bytes", "Disk that dead letters take.")
        .bytes()
        .by(ServedBy::Executors)
        .labels(&["pipeline"]);
    DEAD_LETTERS_DROPPED = counter(
        "logstash_mesos_dead_letters_dropped_total",
        "Dead letters dropped for want of room or for their age, over restarts.",
    )
    .by(ServedBy::Executors)
    .labels(&["pipeline"]);
    MEMORY = gauge("process_resident_memory_bytes", "Resident memory of the process.").bytes().by(ServedBy::Executors);
}

const fn gauge(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: MetricKind::Gauge, unit: Unit::None, help, labels: &[], served_by: ServedBy::Leader }
}

const fn counter(name: &'static str, help: &'static str) -> Metric {
    Metric { kind: MetricKind::Counter, ..gauge(name, help) }
}

impl Metric {
    const fn bytes(self) -> Self {
        Self { unit: Unit::Bytes, ..self }
    }

    const fn seconds(self) -> Self {
        Self { unit: Unit::Seconds, ..self }
    }

    const fn labels(self, labels: &'static [&'static str]) -> Self {
        Self { labels, ..self }
    }

    const fn by(self, served_by: ServedBy) -> Self {
        Self { served_by, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_prometheus_wants_them() {
        let plain = |text: &str| text.bytes().all(|c| c.is_ascii_lowercase() || c == b'_');
        for metric in METRICS {
            let name = metric.name;
            assert!(plain(name) && metric.labels.iter().all(|label| plain(label)), "{name}");
            let base = name.strip_suffix("_total");
            assert_eq!(base.is_some(), metric.kind == MetricKind::Counter, "{name}");
            let ends_in = [Unit::Bytes, Unit::Seconds]
                .into_iter()
                .find(|unit| base.unwrap_or(name).ends_with(unit.name()))
                .unwrap_or(Unit::None);
            assert_eq!(ends_in, metric.unit, "{name}");
            assert!(metric.help.ends_with('.'), "{name}");
        }
        let mut names: Vec<_> = METRICS.iter().map(|metric| metric.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), METRICS.len());
    }
}
