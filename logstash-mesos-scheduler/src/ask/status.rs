//! The status in a few lines.

use super::paper::Paper;
use logstash_mesos_core::scheduler::{Answer, Totals};
use serde_json::Value;

/// Framework, configurations and agents; what is wrong with each agent is said by `explain`.
pub(super) fn text(status: &Value, answer: &Answer, paper: &Paper) -> String {
    let mut page = String::new();
    let mut line = |name: &str, text: &str| {
        paper.write(&mut page, &format!("{name:INDENT$}"), INDENT, text);
    };
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let framework = &status["framework"];
    line("framework", &format!("{}  {}", word(&framework["name"]), word(&framework["id"])));
    let role = if status["leader"] == true { "which leads" } else { "which follows" };
    line("scheduler", &format!("{}, {role}", word(&status["url"])));
    let master = word(&framework["master"]);
    match framework["error"].as_str() {
        Some(error) => line("master", &format!("{master}  PROBLEM: {error}")),
        None if framework["connected"] == true => line("master", &format!("{master}, subscribed")),
        None => line("master", &format!("{master}, not subscribed yet")),
    }
    let Totals { agents, running, ok, problem, unknown } = answer.totals;
    let mut counts = format!("{agents}: {running} with a shipper, {ok} ok");
    for (count, what) in [(problem, "with a problem (see explain)"), (unknown, "not known yet")] {
        if count > 0 {
            counts.push_str(&format!(", {count} {what}"));
        }
    }
    line("agents", &counts);
    let configurations = status["configurations"].as_array().map(Vec::as_slice).unwrap_or_default();
    let wrong: Vec<_> = configurations.iter().filter(|one| !one["error"].is_null()).collect();
    match wrong.len() {
        0 => line("configurations", &configurations.len().to_string()),
        count => line("configurations", &format!("{}, {count} of them with an error", configurations.len())),
    }
    for one in wrong {
        line("", &format!("PROBLEM {} {}: {}", word(&one["kind"]), word(&one["name"]), word(&one["error"])));
    }
    page
}

const INDENT: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use logstash_mesos_core::scheduler::Moment;
    use serde_json::json;

    #[test]
    fn a_status_is_a_few_lines() {
        let status = json!({
            "leader": true, "url": "http://s:9092",
            "framework": {"id": "f-1", "name": "logstash", "connected": true, "master": "m:5050", "error": null},
            "configurations": [
                {"name": "web", "kind": "docker", "error": null},
                {"name": "db", "kind": "docker", "error": "on agent a: no"},
            ],
        });
        let totals = Totals { agents: 3, running: 2, ok: 2, problem: 1, unknown: 0 };
        let answer =
            Answer { at: Moment(0), query: String::new(), totals, subjects: vec![], next_offset: None };
        let paper = Paper { width: None, colours: false, zone: jiff::tz::TimeZone::UTC };
        assert_eq!(
            text(&status, &answer, &paper),
            "framework       logstash f-1\n\
             scheduler       http://s:9092, which leads\n\
             master          m:5050, subscribed\n\
             agents          3: 2 with a shipper, 2 ok, 1 with a problem (see explain)\n\
             configurations  2, 1 of them with an error\n                \
             PROBLEM docker db: on agent a: no\n"
        );
    }
}
