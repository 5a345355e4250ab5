//! The master: its calls, subscriptions, and what time brings.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use mesos_v1::proto::scheduler::{Call, Event, call, event};
use mesos_v1::proto::{FrameworkId, FrameworkInfo, MasterInfo};
use tokio::time::Instant;

use super::http::{EventSender, Refusal, Taken};
use super::state::{Framework, State, event_of};
use super::tasks::RESEND_FIRST;
use super::{Inner, LocalSettings};

/// Longest failover timeout that is believed.
const FAILOVER_LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

impl State {
    pub(super) fn scheduler_call(
        &mut self,
        inner: &Arc<Inner>,
        call: Call,
        stream_id: Option<&str>,
    ) -> Result<Taken, Refusal> {
        if call.r#type() == call::Type::Subscribe {
            if stream_id.is_some() {
                return Err(Refusal::bad("Subscribe calls should not include the 'Mesos-Stream-Id' header"));
            }
            return self.subscribe(inner, call);
        }
        let id = call.framework_id.clone().map(|id| id.value);
        let id = id.ok_or_else(|| Refusal::bad("Expecting 'framework_id' to be present"))?;
        let framework = self.frameworks.get(&id).ok_or_else(|| Refusal::bad("Framework cannot be found"))?;
        let (current, _) = framework
            .stream
            .as_ref()
            .ok_or_else(|| Refusal::new(StatusCode::FORBIDDEN, "Framework is not subscribed"))?;
        match stream_id {
            None => {
                return Err(Refusal::bad(
                    "All non-subscribe calls should include the 'Mesos-Stream-Id' header",
                ));
            }
            Some(given) if given != current => {
                return Err(Refusal::bad(format!(
                    "The stream ID '{given}' included in this request didn't match the stream ID currently \
                     associated with framework ID {id}"
                )));
            }
            Some(_) => {}
        }
        self.subscribed_call(inner, &id, call)
    }

    fn subscribed_call(&mut self, inner: &Arc<Inner>, id: &str, call: Call) -> Result<Taken, Refusal> {
        let missing = || Refusal::bad("the field of the call's type is not present");
        match call.r#type() {
            call::Type::Teardown => self.remove_framework(&inner.settings, id),
            call::Type::Accept => self.accept(inner, id, call.accept.ok_or_else(missing)?),
            call::Type::Decline => {
                let decline = call.decline.ok_or_else(missing)?;
                let filters = decline.filters.unwrap_or_default();
                self.take_back(id, &decline.offer_ids, filters.refuse_seconds());
            }
            call::Type::Revive => {
                let roles = call.revive.unwrap_or_default().roles;
                self.with_framework(id, |framework| {
                    let concerned = |role: &String| roles.is_empty() || roles.contains(role);
                    framework.suppressed.retain(|role| !concerned(role));
                    framework.filters.retain(|filter| !concerned(&filter.role));
                });
            }
            call::Type::Suppress => {
                let roles = call.suppress.unwrap_or_default().roles;
                self.with_framework(id, |framework| {
                    let all = framework.roles();
                    framework.suppressed.extend(if roles.is_empty() { all } else { roles });
                });
            }
            call::Type::Kill => {
                let kill = call.kill.ok_or_else(missing)?;
                self.kill_task(id, &kill);
            }
            call::Type::Shutdown => {
                let shutdown = call.shutdown.ok_or_else(missing)?;
                let key = (id.to_owned(), shutdown.executor_id.value);
                self.shutdown_executors(&inner.settings, |other| *other == key);
            }
            call::Type::Acknowledge => {
                let acknowledge = call.acknowledge.ok_or_else(missing)?;
                if acknowledge.uuid.len() != 16 {
                    return Err(Refusal::bad("'uuid' has to have 16 bytes"));
                }
                self.acknowledge(id, &acknowledge.task_id.value, &acknowledge.uuid);
            }
            call::Type::Reconcile => {
                self.reconcile(id, &call.reconcile.ok_or_else(missing)?.tasks);
            }
            call::Type::Message if !self.agent_is_reached() => {}
            call::Type::Message => {
                let message = call.message.ok_or_else(missing)?;
                self.message_to_executor(&(id.to_owned(), message.executor_id.value), message.data);
            }
            call::Type::UpdateFramework => {
                let update = call.update_framework.ok_or_else(missing)?;
                self.with_framework(id, |framework| {
                    let id = framework.info.id.clone();
                    framework.info = FrameworkInfo { id, ..update.framework_info };
                    framework.suppressed = update.suppressed_roles.into_iter().collect();
                });
                return Ok(Taken::Done);
            }
            call::Type::Request
            | call::Type::AcceptInverseOffers
            | call::Type::DeclineInverseOffers
            | call::Type::AcknowledgeOperationStatus => {}
            kind => {
                let text = format!("{} is not known to the local cluster", kind.as_str_name());
                return Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, text));
            }
        }
        Ok(Taken::Accepted)
    }

    fn subscribe(&mut self, inner: &Inner, call: Call) -> Result<Taken, Refusal> {
        let subscribe = call.subscribe.ok_or_else(|| Refusal::bad("Expecting 'subscribe' to be present"))?;
        let mut info = subscribe.framework_info;
        if call.framework_id != info.id {
            return Err(Refusal::bad("'framework_id' differs from 'subscribe.framework_info.id'"));
        }
        let (sender, events) = EventSender::new();
        let stream_id = uuid::Uuid::new_v4().to_string();
        let taken = Taken::Stream { events, stream_id: Some(stream_id.clone()) };
        let refuse = |message: &str| {
            let error = event::Error { message: message.to_owned() };
            sender.send(&Event { error: Some(error), ..event_of(event::Type::Error) });
        };
        let id = match &info.id {
            Some(id) if self.removed.contains(&id.value) => {
                // Not an HTTP error: the stream opens, says so, and ends.
                refuse("Framework has been removed");
                return Ok(taken);
            }
            Some(id) => id.clone(),
            None => {
                let number = self.next();
                FrameworkId { value: format!("{}-{number:04}", self.master_id) }
            }
        };
        info.id = Some(id.clone());
        let suppressed = subscribe.suppressed_roles.into_iter().collect();
        self.rescind_all(&id.value);
        let framework = self.frameworks.entry(id.value.clone()).or_insert_with(|| Framework {
            info: info.clone(),
            stream: None,
            lost_at: None,
            suppressed: BTreeSet::new(),
            filters: Vec::new(),
            tasks: BTreeMap::new(),
        });
        if let Some((_, old)) = framework.stream.take() {
            let error = event::Error { message: "Framework failed over".to_owned() };
            old.send(&Event { error: Some(error), ..event_of(event::Type::Error) });
        }
        // Fixed for the life of the id; a change is ignored without a word.
        let (user, checkpoint) = (framework.info.user.clone(), framework.info.checkpoint);
        framework.info = FrameworkInfo { user, checkpoint, ..info };
        framework.suppressed = suppressed;
        framework.filters.clear();
        framework.lost_at = None;
        let subscribed = event::Subscribed {
            framework_id: id,
            heartbeat_interval_seconds: Some(inner.settings.heartbeat_interval.as_secs_f64()),
            master_info: Some(MasterInfo {
                id: self.master_id.clone(),
                port: inner.address.port().into(),
                hostname: Some(self.hostname.clone()),
                version: Some("1.11.0".to_owned()),
                address: Some(mesos_v1::proto::Address {
                    hostname: Some(self.hostname.clone()),
                    ip: Some(inner.address.ip().to_string()),
                    port: inner.address.port().into(),
                }),
                ..MasterInfo::default()
            }),
        };
        sender.send(&Event { subscribed: Some(subscribed), ..event_of(event::Type::Subscribed) });
        framework.stream = Some((stream_id, sender));
        // Updates that were under way go out again.
        for task in framework.tasks.values_mut() {
            task.resend = (!task.updates.is_empty()).then(|| (Instant::now(), RESEND_FIRST));
        }
        Ok(taken)
    }

    pub(super) fn tick(&mut self, settings: &LocalSettings, heartbeats: bool) {
        let now = Instant::now();
        if self.next_heartbeat.is_none_or(|due| due <= now) {
            self.next_heartbeat = Some(now + settings.heartbeat_interval);
            if heartbeats {
                let heartbeat = event_of(event::Type::Heartbeat);
                self.frameworks.values().for_each(|framework| framework.send(&heartbeat));
            }
        }
        let mut over = Vec::new();
        for (id, framework) in &mut self.frameworks {
            if framework.stream.as_ref().is_some_and(|(_, stream)| stream.is_closed()) {
                framework.stream = None;
                framework.lost_at = Some(now);
                self.offers.retain(|_, offer| offer.framework != *id);
            }
            let timeout =
                Duration::try_from_secs_f64(framework.info.failover_timeout()).unwrap_or(FAILOVER_LONGEST);
            if framework.lost_at.is_some_and(|lost_at| lost_at + timeout <= now) {
                over.push(id.clone());
            }
        }
        for id in over {
            self.remove_framework(settings, &id);
        }
        if self.agent_unknown_until.is_some_and(|until| until <= now) {
            self.agent_unknown_until = None;
        }
        self.tick_agent(settings, now);
        self.send_updates();
        self.allocate();
    }
}
