//! The framework as a whole.

use super::words::plain;
use super::{Explanation, Step, Subject, Totals, Verdict, View};

/// What concerns every agent, and how many are well.
pub(super) fn explanation(view: &View<'_>, totals: &Totals) -> Explanation {
    let mut steps = vec![master(view)];
    steps.extend(store(view));
    steps.extend(listing(view));
    steps.extend(reconciliation(view));
    steps.extend(offers(view));
    steps.extend(rollout(view));
    steps.extend(view.state.closed().map(|why| plain("closed", Verdict::Unknown, why, None, None)));
    steps.extend(view.files.iter().take(FILES_SHOWN).map(|problem| {
        let next = Some("mend the file; the version before it goes on");
        plain("configurations", Verdict::Problem, format!("a file is not in force: {problem}"), None, next)
    }));
    let Totals { agents, running, problem, unknown, .. } = *totals;
    let state = Verdict::of(steps.iter().map(|step| step.state));
    let state = match (problem, unknown) {
        (0, 0) => state,
        (0, _) => state.min(Verdict::Unknown),
        _ => Verdict::Problem,
    };
    let mut summary = match (agents, running) {
        (0, _) => "no agents are known".to_owned(),
        (1, _) => format!("{running} of 1 agent has a shipper"),
        (_, 1) => format!("1 of {agents} agents has a shipper"),
        _ => format!("{running} of {agents} agents have a shipper"),
    };
    for (count, what) in [(problem, "with a problem"), (unknown, "not known yet")] {
        if count > 0 {
            summary.push_str(&format!(", {count} {what}"));
        }
    }
    Explanation {
        kind: Subject::Framework,
        id: view.state.framework_id().map(ToString::to_string).unwrap_or_default(),
        name: view.framework_name.to_owned(),
        state,
        summary,
        steps,
    }
}

fn master(view: &View<'_>) -> Step {
    let link = view.link;
    let since = Some(link.since_ms).filter(|since| *since > 0);
    if link.connected {
        let version =
            link.master_version.as_deref().map(|version| format!(" (Mesos {version})")).unwrap_or_default();
        let text = format!("subscribed with the master {}{version}", link.master);
        return plain("master", Verdict::Ok, text, since, None);
    }
    let text = if link.error().is_empty() {
        format!("no subscription with the master {} yet", link.master)
    } else {
        format!("no subscription with the master: {}", link.error())
    };
    let next = "see that a master leads at --mesos-master; executors ship on meanwhile, and what is said of agents is \
                what was last known";
    plain("master", Verdict::Problem, text, since, Some(link.remedy().unwrap_or(next)))
}

fn store(view: &View<'_>) -> Option<Step> {
    let error = &view.link.store_error;
    let next = "see to the store named by --state; nothing is launched until it takes writes";
    let text = format!("the state cannot be stored: {error}");
    (!error.is_empty()).then(|| plain("store", Verdict::Problem, text, None, Some(next)))
}

fn listing(view: &View<'_>) -> Option<Step> {
    let error = &view.link.listing_error;
    if !error.is_empty() {
        let text =
            format!("the master does not list its agents, so those without offers are unknown: {error}");
        let next = "let the principal see agents in the master's ACLs (view_roles), or give one that may \
                    (--mesos-principal)";
        return Some(plain("agents", Verdict::Unknown, text, None, Some(next)));
    }
    let text = "the master has not listed its agents yet";
    (view.link.connected && !view.surroundings.listed)
        .then(|| plain("agents", Verdict::Unknown, text, None, None))
}

fn reconciliation(view: &View<'_>) -> Option<Step> {
    let reconciliation = view.state.reconciliation();
    let pending = reconciliation.pending();
    (view.link.connected && !reconciliation.is_complete()).then(|| {
        let text = format!("the master has not answered for {pending} tasks yet");
        plain("reconciliation", Verdict::Unknown, text, None, None)
    })
}

/// No offers at all are another matter than none of one agent.
fn offers(view: &View<'_>) -> Option<Step> {
    let since = view.state.without_offers_since(view.surroundings.now_ms)?;
    let text = format!("no offer came, and agents without a shipper: {}", view.state.lacking());
    let next = "see the quota of the role, whether other frameworks hold what is free, and the master's log; one that \
                took over waits for its agents before it keeps to quotas";
    Some(plain("offers", Verdict::Problem, text, Some(since), Some(next)))
}

fn rollout(view: &View<'_>) -> Option<Step> {
    let rollout = view.state.rollout();
    let waiting = view.state.outdated();
    if let Some(why) = &rollout.stopped {
        let text = format!("the roll-out has stopped, with {waiting} agents to go: {why}");
        let next = "mend the definition of the executor, or let it go on with POST /api/rollout/resume";
        return Some(plain("rollout", Verdict::Problem, text, None, Some(next)));
    }
    let text =
        format!("{waiting} executors wait for the new definition, {} get it now", rollout.agents.len());
    (waiting + rollout.agents.len() > 0).then(|| plain("rollout", Verdict::Unknown, text, None, None))
}

const FILES_SHOWN: usize = 10;
