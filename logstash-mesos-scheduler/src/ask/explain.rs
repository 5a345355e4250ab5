//! An explanation for people: the most urgent first, and no more than is needed.

use super::paper::Paper;
use logstash_mesos_core::scheduler::{Answer, Explanation, Step, Subject, Verdict};

/// Everything that was asked for, on one page.
pub(super) fn text(answer: &Answer, paper: &Paper) -> String {
    let mut page = String::new();
    let agents = || answer.subjects.iter().filter(|subject| subject.kind != Subject::Framework);
    for framework in answer.subjects.iter().filter(|subject| subject.kind == Subject::Framework) {
        paper.write(&mut page, &format!("{}  ", framework.name), 0, &framework.summary);
        for step in framework.steps.iter().filter(|step| step.state != Verdict::Ok) {
            page.push('\n');
            let begin = format!("{}  ", paper.verdict(step.state));
            paper.write(&mut page, &begin, INDENT, &step.text);
            rest(&mut page, step, answer, paper);
        }
    }
    if !answer.query.is_empty() && answer.subjects.len() == 1 {
        agents().for_each(|agent| all_of(&mut page, agent, answer, paper));
        return page;
    }
    for agent in agents().filter(|agent| agent.state != Verdict::Ok) {
        page.push('\n');
        brief(&mut page, agent, answer, paper);
    }
    // Without anything to do they need a line each.
    let well: Vec<_> = agents().filter(|agent| agent.state == Verdict::Ok).collect();
    if !well.is_empty() {
        page.push('\n');
    }
    let widest = well.iter().map(|agent| agent.name.chars().count()).max().unwrap_or_default();
    for agent in well {
        let begin = format!("{}  {:widest$}  ", paper.verdict(agent.state), agent.name);
        paper.write(&mut page, &begin, INDENT, &agent.summary);
    }
    if let Some(next) = answer.next_offset {
        let totals = answer.totals.agents;
        page.push_str(&format!("\nThere are more, of {totals} altogether: --offset {next}\n"));
    }
    page
}

/// What is the matter with an agent among others.
fn brief(page: &mut String, agent: &Explanation, answer: &Answer, paper: &Paper) {
    heading(page, agent, paper);
    let worst = agent.steps.iter().find(|step| step.state == agent.state);
    paper.write(page, BLANK, INDENT, &agent.summary);
    worst.iter().for_each(|step| rest(page, step, answer, paper));
    // The summary is made of the worst step.
    let others = agent.steps.iter().filter(|step| step.state != Verdict::Ok);
    for step in others.filter(|step| worst.is_none_or(|worst| !std::ptr::eq(worst, *step))) {
        paper.write(page, BLANK, INDENT, &step.text);
        rest(page, step, answer, paper);
    }
}

/// Every step of one agent.
fn all_of(page: &mut String, agent: &Explanation, answer: &Answer, paper: &Paper) {
    heading(page, agent, paper);
    let widest = agent.steps.iter().map(|step| step.code.chars().count()).max().unwrap_or_default();
    for step in &agent.steps {
        let begin = format!("  {}  {:widest$}  ", paper.verdict(step.state), step.code);
        let indent = INDENT + 2 + widest + 2;
        let mut text = step.text.clone();
        if let Some(since) = step.since {
            text.push_str(&format!(" ({})", paper.since(since, answer.at)));
        }
        paper.write(page, &begin, indent, &text);
        if let Some(next) = &step.next {
            paper.write(page, &format!("{}-> ", " ".repeat(indent - 3)), indent, next);
        }
    }
}

fn heading(page: &mut String, agent: &Explanation, paper: &Paper) {
    page.push_str(&format!("{}  {}  {}\n", paper.verdict(agent.state), agent.name, agent.id));
}

/// When, and what to do.
fn rest(page: &mut String, step: &Step, answer: &Answer, paper: &Paper) {
    if let Some(since) = step.since {
        paper.write(page, BLANK, INDENT, &paper.since(since, answer.at));
    }
    if let Some(next) = &step.next {
        paper.write(page, ARROW, INDENT, next);
    }
}

/// Behind a verdict.
const INDENT: usize = 9;
const BLANK: &str = "         ";
const ARROW: &str = "      -> ";

#[cfg(test)]
mod tests {
    use super::*;
    use logstash_mesos_core::scheduler::{Moment, Totals};
    use std::collections::BTreeMap;

    const NOW: u64 = 1_800_000_000_000;

    fn step(code: &str, state: Verdict, text: &str, next: Option<&str>) -> Step {
        Step {
            code: code.to_owned(),
            state,
            text: text.to_owned(),
            figures: BTreeMap::new(),
            since: Some(Moment(NOW - 65_000)),
            next: next.map(str::to_owned),
        }
    }

    fn subject(kind: Subject, name: &str, state: Verdict, summary: &str, steps: Vec<Step>) -> Explanation {
        let (id, name, summary) = (format!("{name}-id"), name.to_owned(), summary.to_owned());
        Explanation { kind, id, name, state, summary, steps }
    }

    fn answer(query: &str, subjects: Vec<Explanation>) -> Answer {
        let totals = Totals { agents: 3, ..Totals::default() };
        Answer { at: Moment(NOW), query: query.to_owned(), totals, subjects, next_offset: None }
    }

    fn small() -> Explanation {
        let steps = vec![
            step("failures", Verdict::Problem, "it failed", Some("see there")),
            step("too_small", Verdict::Problem, "needs 64 MB", None),
            step("other", Verdict::Ok, "fine", None),
        ];
        subject(Subject::Agent, "web-1", Verdict::Problem, "no shipper: it failed", steps)
    }

    #[test]
    fn a_whole_cluster_fits_on_a_page() {
        let framework = vec![
            step("master", Verdict::Ok, "subscribed", None),
            step("agents", Verdict::Unknown, "not listed", Some("let us")),
        ];
        let framework = subject(
            Subject::Framework,
            "logstash",
            Verdict::Problem,
            "2 of 3 agents have a shipper",
            framework,
        );
        let well = subject(Subject::Agent, "a", Verdict::Ok, "ships", vec![]);
        let also = subject(Subject::Agent, "web-10", Verdict::Ok, "ships", vec![]);
        let mut answer = answer("", vec![framework, small(), well, also]);
        answer.next_offset = Some(3);
        let paper = Paper { width: None, colours: false, zone: jiff::tz::TimeZone::UTC };
        assert_eq!(
            text(&answer, &paper),
            "logstash  2 of 3 agents have a shipper\n\
             \n\
             unknown  not listed\n         since 07:58:55, 65 s\n      -> let us\n\
             \n\
             PROBLEM  web-1  web-1-id\n         no shipper: it failed\n         since 07:58:55, 65 s\n      -> see there\n         \
             needs 64 MB\n         since 07:58:55, 65 s\n\
             \n\
             ok       a       ships\nok       web-10  ships\n\
             \n\
             There are more, of 3 altogether: --offset 3\n"
        );
    }

    #[test]
    fn one_agent_shows_every_step() {
        let paper = Paper { width: Some(60), colours: true, zone: jiff::tz::TimeZone::UTC };
        assert_eq!(
            text(&answer("web-1", vec![small()]), &paper),
            "\x1b[1;31mPROBLEM\x1b[0m  web-1  web-1-id\n  \
             \x1b[1;31mPROBLEM\x1b[0m  failures   it failed (since 07:58:55, 65 s)\n                   -> see there\n  \
             \x1b[1;31mPROBLEM\x1b[0m  too_small  needs 64 MB (since 07:58:55, 65 s)\n  \
             \x1b[32mok     \x1b[0m  other      fine (since 07:58:55, 65 s)\n"
        );
    }
}
