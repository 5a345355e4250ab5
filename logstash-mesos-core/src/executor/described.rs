//! The configurations that containers describe themselves: which there are, for which containers, and what was refused.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tracing::warn;

use super::report::{ConfigOutcome, RefusedLabels};
use super::unusable::Unusable;
use crate::configs::labels::{Description, LABEL_PREFIX, Offer, Refusal, describe};
use crate::configs::{ConfigKey, Configuration};
use crate::discovery::{Container, ContainerId};

/// What containers say about their logs. Those that say the same share a configuration, and so a pipeline.
#[derive(Debug, Default)]
pub(crate) struct Described {
    configurations: BTreeMap<ConfigKey, Shared>,
    refused: BTreeMap<ContainerId, RefusedLabels>,
    // Configurations that cannot be used, with the reason.
    failed: BTreeMap<ConfigKey, Arc<Unusable>>,
    // What was made of each container that says something: a look comes every second, and what is offered is parsed.
    said: BTreeMap<ContainerId, (Arc<Container>, Arc<Description>)>,
}

#[derive(Debug)]
struct Shared {
    configuration: Configuration,
    containers: Arc<BTreeSet<ContainerId>>,
}

/// Each has threads and a part of the queue: who may start containers could take all of it from the others.
const MOST_CONFIGURATIONS: usize = 256;

impl Described {
    /// Something else is offered than at the looks before: all containers are asked anew at the next one.
    pub(crate) fn forget_what_was_said(&mut self) {
        self.said.clear();
    }

    /// Takes over what `containers` say now; tells whether there are other configurations than before.
    pub(crate) fn look(
        &mut self,
        containers: impl Iterator<Item = Arc<Container>>,
        offer: &Offer<'_>,
    ) -> bool {
        let mut found: BTreeMap<ConfigKey, (Configuration, BTreeSet<ContainerId>)> = BTreeMap::new();
        let mut refused = BTreeMap::new();
        // Those that are in use go on.
        let mut room = MOST_CONFIGURATIONS.saturating_sub(self.configurations.len());
        let mut before = std::mem::take(&mut self.said);
        for container in containers {
            let description = match before.remove(&container.id) {
                Some((then, description)) if Arc::ptr_eq(&then, &container) || then == container => {
                    description
                }
                _ => match describe(&container, offer) {
                    Some(description) => Arc::new(description),
                    None => continue,
                },
            };
            let mut refusals_of_it = description.refused.clone();
            if let Some(configuration) = &description.configuration {
                let key = configuration.key();
                let known = found.contains_key(&key) || self.configurations.contains_key(&key);
                if known || room > 0 {
                    room -= usize::from(!known);
                    let shared = found.entry(key).or_insert_with(|| (configuration.clone(), BTreeSet::new()));
                    shared.1.insert(container.id.clone());
                } else {
                    let reason = format!(
                        "containers on this machine describe their logs in {MOST_CONFIGURATIONS} ways already: say the \
                         same as another one, or wait until one is gone"
                    );
                    refusals_of_it.push(Refusal { label: LABEL_PREFIX.to_owned(), reason });
                }
            }
            if !refusals_of_it.is_empty() {
                refused.insert(container.id.clone(), refusals(&container, refusals_of_it));
            }
            self.said.insert(container.id.clone(), (container, description));
        }
        for (id, now) in &refused {
            if self.refused.get(id) != Some(now) {
                for Refusal { label, reason } in &now.labels {
                    warn!(container_name = %now.container_name, label, reason, "A label means nothing");
                }
            }
        }
        self.refused = refused;
        let same = self.configurations.len() == found.len()
            && found.iter().all(|(key, (configuration, _))| {
                self.configurations.get(key).is_some_and(|known| known.configuration == *configuration)
            });
        self.failed.retain(|key, _| found.contains_key(key));
        self.configurations = found
            .into_iter()
            .map(|(key, (configuration, containers))| {
                (key, Shared { configuration, containers: Arc::new(containers) })
            })
            .collect();
        !same
    }

    /// All of them, by their keys.
    pub(crate) fn configurations(&self) -> impl Iterator<Item = &Configuration> {
        self.configurations.values().map(|shared| &shared.configuration)
    }

    /// To which containers each applies.
    pub(crate) fn chosen(&self) -> impl Iterator<Item = (&ConfigKey, &Arc<BTreeSet<ContainerId>>)> {
        self.configurations.iter().map(|(key, shared)| (key, &shared.containers))
    }

    /// Takes note of what became of them.
    pub(crate) fn applied(&mut self, outcomes: Vec<ConfigOutcome>) {
        self.failed =
            outcomes.into_iter().filter_map(|outcome| Some((outcome.key, outcome.error?))).collect();
    }

    /// What is refused, at each container.
    pub(crate) fn refused(
        &self,
        container_of: impl Fn(&ContainerId) -> Option<Arc<Container>>,
    ) -> Vec<RefusedLabels> {
        let mut all = self.refused.clone();
        for (key, error) in &self.failed {
            let containers = self.configurations.get(key).map(|shared| &shared.containers);
            for container in containers.into_iter().flat_map(|ids| ids.iter()).filter_map(&container_of) {
                let of_it =
                    all.entry(container.id.clone()).or_insert_with(|| refusals(&container, Vec::new()));
                let reason = format!("together they cannot be used: {}", crate::error_chain(&**error));
                of_it.labels.push(Refusal { label: LABEL_PREFIX.to_owned(), reason });
            }
        }
        all.into_values().collect()
    }
}

fn refusals(of: &Container, labels: Vec<Refusal>) -> RefusedLabels {
    RefusedLabels {
        container_id: of.id.to_string(),
        container_name: of.name.to_string(),
        image: of.image.to_string(),
        labels,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configs::labels::LabelRules;

    fn containers(numbers: std::ops::Range<usize>) -> impl Iterator<Item = Arc<Container>> {
        numbers.map(|number| {
            let mut container = Container::new(format!("{number:064x}"), format!("web-{number}"), "acme/web");
            container.labels.insert(format!("{LABEL_PREFIX}fields.number"), number.to_string());
            Arc::new(container)
        })
    }

    #[test]
    fn a_container_is_asked_again_when_it_or_what_is_offered_is_another() {
        let rules: LabelRules = "filter=shop fields".parse().unwrap();
        let offers = ["one", "two"]
            .map(|tag| [Configuration::host("shop", format!("filter {{ mutate {{ add_tag => {tag} }} }}"))]);
        let [one, two] = [0, 1].map(|at| Offer {
            rules: &rules,
            configurations: &offers[at],
            support_escapes: false,
            sees_sandboxes: false,
        });
        let web = |field: &str| {
            let mut container = Container::new("0".repeat(64), "web", "acme/web");
            container.labels.insert(format!("{LABEL_PREFIX}filter"), "shop".to_owned());
            container.labels.insert(format!("{LABEL_PREFIX}fields.team"), field.to_owned());
            std::iter::once(Arc::new(container))
        };
        let mut described = Described::default();
        assert!(described.look(web("blue"), &one));
        // Nobody said that there is another offer.
        assert!(!described.look(web("blue"), &two));
        described.forget_what_was_said();
        assert!(described.look(web("blue"), &two));
        assert!(described.configurations().next().unwrap().input.contains("two"));
        assert!(described.look(web("green"), &two));
        assert!(described.look(std::iter::empty(), &two));
        assert!(described.said.is_empty());
    }

    #[test]
    fn who_describes_logs_in_many_ways_takes_nothing_from_those_that_are_shipped() {
        let rules: LabelRules = "fields".parse().unwrap();
        let offer =
            Offer { rules: &rules, configurations: &[], support_escapes: false, sees_sandboxes: false };
        let mut described = Described::default();
        assert!(described.look(containers(10..20), &offer));
        assert!(!described.look(containers(10..20), &offer));
        let all = 0..MOST_CONFIGURATIONS + 5;
        assert!(described.look(containers(all.clone()), &offer));
        assert_eq!(described.configurations().count(), MOST_CONFIGURATIONS);
        let refused = described.refused(|_| None);
        let names: Vec<_> = refused.iter().map(|one| one.container_name.as_str()).collect();
        assert_eq!(names, ["web-256", "web-257", "web-258", "web-259", "web-260"]);
        assert!(refused[0].labels[0].reason.contains("256 ways"), "{refused:?}");
        // There is room again, and those from before have it.
        described.look(containers(0..10), &offer);
        described.look(containers(all), &offer);
        assert_eq!(described.configurations().count(), MOST_CONFIGURATIONS);
    }
}
