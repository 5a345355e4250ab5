//! The control service.

use super::check::look_over;
use super::clock::now_ms;
use super::dead_letters::{self, LettersError};
use super::explain;
use super::last_lines::{self, LastLinesError};
use super::live::{self, LiveError};
use super::shared::Shared;
use super::status::{self, Page};
use super::stream_list;
use super::trying::{self, Step, TrialError, Tried};
use crate::configs::{self, Author, Complaint, ConfigKey, Precondition, PutError, RemoveError};
use crate::protocol::control_server::Control;
use crate::protocol::{
    AskDeadLetters, AssetChunk, AssetRequest, Change, CheckRequest, CheckResponse, ClusterStatus, ConfigKind,
    ConfigVersion, Configuration, DeadLetterAction, DeleteConfigRequest, DeleteConfigResponse, Diagnostic,
    Diagnostics, ExecutorMessage, ExplainRequest, ExplainResponse, FoundStream, GetLastLinesRequest,
    GetLastLinesResponse, GetStatusRequest, ListConfigsRequest, ListConfigsResponse, ListDeadLettersRequest,
    ListDeadLettersResponse, ListStreamsRequest, ListStreamsResponse, ListVersionsRequest,
    ListVersionsResponse, PutConfigRequest, PutConfigResponse, RollBackRequest, SchedulerMessage, StatusPage,
    TailRequest, TailResponse, TakeDeadLettersRequest, TakeDeadLettersResponse, Texts, TriedLine, TriedStep,
    TryOutRequest, TryOutResponse, WatchStatusRequest,
};
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use prost::Message;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status, Streaming};

/// Implements the service over a scheduler.
#[derive(Clone, Debug)]
pub(super) struct ControlService {
    pub(super) shared: Arc<Shared>,
}

#[async_trait]
impl Control for ControlService {
    type SessionStream = BoxStream<'static, Result<SchedulerMessage, Status>>;
    type GetAssetStream = BoxStream<'static, Result<AssetChunk, Status>>;
    type TailStream = BoxStream<'static, Result<TailResponse, Status>>;
    type WatchStatusStream = BoxStream<'static, Result<ClusterStatus, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<ExecutorMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let (sender, receiver) = mpsc::channel(16);
        let (shared, sessions) = (self.shared.clone(), self.shared.sessions().clone());
        let stop = shared.lead_ends();
        let framework_id = move || shared.framework_id();
        let session = sessions.serve(request.into_inner(), framework_id, sender, now_ms);
        // With the lead it ends at once, so that the executor looks for the next leader.
        tokio::spawn(async move { stop.run_until_cancelled(session).await });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn get_asset(
        &self,
        request: Request<AssetRequest>,
    ) -> Result<Response<Self::GetAssetStream>, Status> {
        let hash = request.into_inner().sha256;
        Err(Status::not_found(format!("there is no asset {hash}")))
    }

    async fn list_configs(
        &self,
        request: Request<ListConfigsRequest>,
    ) -> Result<Response<ListConfigsResponse>, Status> {
        let texts = self.shared.access().texts(&request.into_parts().0.into_headers());
        let executors = self.shared.sessions().lock();
        let configurations = status::configurations(&self.shared, &executors, texts);
        Ok(Response::new(ListConfigsResponse { configurations }))
    }

    async fn put_config(
        &self,
        request: Request<PutConfigRequest>,
    ) -> Result<Response<PutConfigResponse>, Status> {
        let author = author(&request);
        let PutConfigRequest { configuration, only_create, expect_version } = request.into_inner();
        let expect = Precondition { only_create, version: some(expect_version) };
        self.put(given(configuration)?, expect, &author).await
    }

    async fn delete_config(
        &self,
        request: Request<DeleteConfigRequest>,
    ) -> Result<Response<DeleteConfigResponse>, Status> {
        let author = author(&request);
        let request = request.into_inner();
        let kind = request.kind().known().ok_or_else(unknown_kind)?;
        let key = ConfigKey { kind, name: request.name };
        let version = some(request.expect_version);
        match self.shared.registry().remove(&key, version.as_deref(), &author).await {
            Ok(true) => Ok(Response::new(DeleteConfigResponse {})),
            Ok(false) => Err(no_configuration(&key)),
            Err(error @ RemoveError::Managed { .. }) => Err(Status::failed_precondition(error.to_string())),
            Err(error @ RemoveError::Precondition(_)) => Err(Status::aborted(error.to_string())),
            Err(error) => Err(unavailable(error)),
        }
    }

    async fn list_versions(
        &self,
        request: Request<ListVersionsRequest>,
    ) -> Result<Response<ListVersionsResponse>, Status> {
        let (metadata, _, ListVersionsRequest { name, kind, version }) = request.into_parts();
        let kind = ConfigKind::try_from(kind).ok().and_then(ConfigKind::known).ok_or_else(unknown_kind)?;
        let key = ConfigKey { kind, name };
        let past = self.shared.registry().past(&key).await.map_err(unavailable)?;
        let snapshot = self.shared.registry().snapshot();
        let present = snapshot.entries.get(&key);
        if present.is_none() && past.is_empty() {
            return Err(no_configuration(&key));
        }
        let mut answer = ListVersionsResponse {
            current: present.map(|entry| ConfigVersion {
                version: entry.version.clone(),
                written: entry.change.as_ref().map(change),
                ..ConfigVersion::default()
            }),
            past: past.iter().map(past_version).collect(),
            configuration: None,
        };
        if !version.is_empty() {
            let present = present.map(|entry| &entry.configuration);
            let mut all = present.into_iter().chain(past.iter().map(|past| &past.configuration));
            let found = all.find(|one| one.version() == version).ok_or_else(|| no_version(&key, &version))?;
            let told = match self.shared.access().texts(&metadata.into_headers()) {
                Texts::Whole => found.into(),
                // The version is that of the whole.
                _ => Configuration { version, ..(&found.without_secrets()).into() },
            };
            answer.configuration = Some(told);
        }
        Ok(Response::new(answer))
    }

    async fn roll_back(
        &self,
        request: Request<RollBackRequest>,
    ) -> Result<Response<PutConfigResponse>, Status> {
        let author = author(&request);
        let request = request.into_inner();
        let kind = request.kind().known().ok_or_else(unknown_kind)?;
        let RollBackRequest { name, version, expect_version, .. } = request;
        let key = ConfigKey { kind, name };
        let found = self.shared.registry().past_version(&key, &version).await.map_err(unavailable)?;
        let found = found.ok_or_else(|| no_version(&key, &version))?;
        // Whoever managed it then, now somebody asked for it here.
        let configuration = configs::Configuration { source: configs::Source::Rest, ..found };
        let expect = Precondition { only_create: false, version: some(expect_version) };
        self.put(configuration, expect, &author).await
    }

    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let configuration = given(request.into_inner().configuration)?;
        let checked = look_over(&self.shared, configuration).await;
        let checked =
            checked.map_err(|failed| Status::internal(format!("the check ended early: {failed}")))?;
        let told = |complaints: &[Complaint]| complaints.iter().map(to_diagnostic).collect();
        Ok(Response::new(CheckResponse { errors: told(&checked.errors), warnings: told(&checked.warnings) }))
    }

    async fn try_out(&self, request: Request<TryOutRequest>) -> Result<Response<TryOutResponse>, Status> {
        let TryOutRequest { input, lines } = request.into_inner();
        let tried = trying::on_lines(input, lines, self.shared.ecs()).await.map_err(|why| match why {
            TrialError::Refused(complaints) => {
                refused(complaints.first().map(ToString::to_string).unwrap_or_default(), &complaints)
            }
            TrialError::Late => Status::unavailable(why.to_string()),
            TrialError::Failed(_) => Status::internal(why.to_string()),
        })?;
        Ok(Response::new(tried.into()))
    }

    async fn list_streams(
        &self,
        request: Request<ListStreamsRequest>,
    ) -> Result<Response<ListStreamsResponse>, Status> {
        let asked = request.into_inner();
        let limit =
            usize::try_from(asked.limit).ok().filter(|limit| *limit > 0).unwrap_or(stream_list::LIMIT);
        let offset = usize::try_from(asked.offset).unwrap_or(usize::MAX);
        self.shared.sessions().watch();
        let state = self.shared.state();
        let executors = self.shared.sessions().lock();
        let found = stream_list::Found::of(&state, &executors, &asked.query, &asked.sort)
            .map_err(|unknown| Status::invalid_argument(unknown.to_string()))?;
        let (page, next) = found.page(offset, limit.min(stream_list::MOST));
        let streams = page.map(|row| FoundStream {
            agent_id: row.agent_id.to_string(),
            hostname: row.hostname.to_owned(),
            stream: Some(row.stream.clone()),
            state: explain::wire::verdict(row.state()),
        });
        Ok(Response::new(ListStreamsResponse {
            streams: streams.collect(),
            total: found.total() as u64,
            agents: found.agents() as u64,
            next_offset: next.map(|next| next as u64),
        }))
    }

    async fn list_dead_letters(
        &self,
        request: Request<ListDeadLettersRequest>,
    ) -> Result<Response<ListDeadLettersResponse>, Status> {
        let asked = request.into_inner();
        if asked.agent_id.is_empty() {
            self.shared.sessions().watch();
            let counts = dead_letters::counts(&self.shared);
            return Ok(Response::new(ListDeadLettersResponse {
                counts,
                ..ListDeadLettersResponse::default()
            }));
        }
        let limit =
            usize::try_from(asked.limit).ok().filter(|limit| *limit > 0).unwrap_or(dead_letters::LIMIT);
        let question = AskDeadLetters {
            request_id: 0,
            action: DeadLetterAction::List.into(),
            configuration: asked.configuration,
            plugin_id: asked.plugin_id,
            ids: asked.ids,
            after: asked.after,
            limit: u32::try_from(limit.min(dead_letters::MOST)).unwrap_or(u32::MAX),
        };
        let answer =
            dead_letters::ask(&self.shared, &asked.agent_id, question).await.map_err(letters_status)?;
        Ok(Response::new(ListDeadLettersResponse {
            next: answer.letters.last().filter(|_| answer.more).map(|last| last.id),
            letters: answer.letters,
            damaged_lines: answer.damaged_lines,
            counts: vec![],
        }))
    }

    async fn take_dead_letters(
        &self,
        request: Request<TakeDeadLettersRequest>,
    ) -> Result<Response<TakeDeadLettersResponse>, Status> {
        let author = author(&request);
        let asked = request.into_inner();
        let action = asked.action();
        if !matches!(action, DeadLetterAction::Replay | DeadLetterAction::Discard) {
            return Err(Status::invalid_argument("action is neither replay nor discard"));
        }
        let chosen = [&asked.configuration, &asked.plugin_id].iter().any(|name| !name.is_empty());
        if !(asked.all || chosen || !asked.ids.is_empty()) {
            return Err(Status::invalid_argument("say which ones: ids, configuration, plugin_id or all"));
        }
        let question = AskDeadLetters {
            request_id: 0,
            action: action.into(),
            configuration: asked.configuration,
            plugin_id: asked.plugin_id,
            ids: asked.ids,
            after: 0,
            limit: 0,
        };
        let answer =
            dead_letters::ask(&self.shared, &asked.agent_id, question).await.map_err(letters_status)?;
        dead_letters::tell(&author, &asked.agent_id, action, answer.count);
        Ok(Response::new(TakeDeadLettersResponse { count: answer.count }))
    }

    async fn get_status(
        &self,
        request: Request<GetStatusRequest>,
    ) -> Result<Response<ClusterStatus>, Status> {
        self.shared.sessions().watch();
        Ok(Response::new(status::cluster(&self.shared, &page(request.into_inner().page))))
    }

    async fn explain(&self, request: Request<ExplainRequest>) -> Result<Response<ExplainResponse>, Status> {
        let question = explain::wire::question(request.into_inner());
        let answer = explain::answer(&self.shared, &question);
        answer.map(|answer| Response::new(answer.into())).map_err(|error| Status::not_found(error.0))
    }

    async fn get_last_lines(
        &self,
        request: Request<GetLastLinesRequest>,
    ) -> Result<Response<GetLastLinesResponse>, Status> {
        let GetLastLinesRequest { agent_id, stream_id, limit } = request.into_inner();
        let limit = usize::try_from(limit).ok().filter(|limit| *limit > 0).unwrap_or(last_lines::LIMIT);
        let lines = last_lines::ask(&self.shared, &agent_id, &stream_id, limit.min(last_lines::MOST)).await;
        let lines = lines.map_err(|why| {
            let text = why.to_string();
            match why {
                LastLinesError::NotRead { .. } => Status::not_found(text),
                LastLinesError::NoAnswer(_) => Status::unavailable(text),
                LastLinesError::Failed(_) => Status::aborted(text),
            }
        })?;
        Ok(Response::new(GetLastLinesResponse { lines }))
    }

    async fn tail(&self, request: Request<TailRequest>) -> Result<Response<Self::TailStream>, Status> {
        let seen = live::tail(&self.shared, &request.into_inner()).map_err(|why| {
            let text = why.to_string();
            match why {
                LiveError::Nothing => Status::invalid_argument(text),
                LiveError::NotFound(_) => Status::not_found(text),
                LiveError::Unavailable(_) => Status::unavailable(text),
            }
        })?;
        Ok(Response::new(Box::pin(seen.map(Ok))))
    }

    async fn watch_status(
        &self,
        request: Request<WatchStatusRequest>,
    ) -> Result<Response<Self::WatchStatusStream>, Status> {
        let WatchStatusRequest { details, page: wanted } = request.into_inner();
        let (shared, wanted) = (self.shared.clone(), page(wanted));
        let lead_ends = shared.lead_ends().cancelled_owned();
        let ticks =
            tokio_stream::wrappers::IntervalStream::new(tokio::time::interval(Duration::from_secs(1)));
        let (mut n, mut last) = (0_u32, None);
        let stream = ticks.filter_map(move |_| {
            // The wish lapses after a minute, so it is repeated well before.
            if details && n % 20 == 0 {
                shared.sessions().watch();
            }
            n = n.wrapping_add(1);
            let mut status = status::cluster(&shared, &wanted);
            if !details {
                let executors = status.agents.iter_mut().filter_map(|a| a.executor.as_mut());
                executors.filter_map(|e| e.status.as_mut()).for_each(|s| s.streams.clear());
            }
            if last.as_ref() == Some(&status) {
                return None;
            }
            last = Some(status.clone());
            Some(Ok(status))
        });
        Ok(Response::new(Box::pin(futures_util::StreamExt::take_until(stream, lead_ends))))
    }
}

impl From<Tried> for TryOutResponse {
    fn from(tried: Tried) -> Self {
        let texts =
            |events: Vec<Box<RawValue>>| events.into_iter().map(|event| event.get().to_owned()).collect();
        let step = |step: Step| TriedStep { after: step.after, events: texts(step.events) };
        let line = |steps: Vec<Step>| TriedLine { steps: steps.into_iter().map(step).collect() };
        Self {
            events: texts(tried.events),
            lines: tried.lines.into_iter().map(line).collect(),
            warnings: tried.warnings,
        }
    }
}

impl ControlService {
    async fn put(
        &self,
        configuration: configs::Configuration,
        expect: Precondition,
        author: &Author,
    ) -> Result<Response<PutConfigResponse>, Status> {
        let only_create = expect.only_create;
        let stored = self.shared.registry().put(configuration, expect, author).await;
        let stored = stored.map_err(|error| put_status(error, only_create))?;
        let warnings = stored.warnings.iter().map(to_diagnostic).collect();
        Ok(Response::new(PutConfigResponse { version: stored.version, warnings }))
    }
}

/// Who sends a request, as the guard of the port found out.
fn author<T>(request: &Request<T>) -> Author {
    request.extensions().get::<Author>().cloned().unwrap_or(Author::part("gRPC"))
}

/// What is not empty.
fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

fn given(configuration: Option<Configuration>) -> Result<configs::Configuration, Status> {
    let wire = configuration.ok_or_else(|| Status::invalid_argument("configuration is missing"))?;
    wire.known().ok_or_else(unknown_kind)
}

fn page(page: Option<StatusPage>) -> Page {
    Page::from(page.unwrap_or_default()).bounded()
}

fn unknown_kind() -> Status {
    Status::invalid_argument("kind is neither docker nor host")
}

fn unavailable(error: impl std::error::Error) -> Status {
    Status::unavailable(crate::error_chain(&error))
}

fn no_configuration(key: &ConfigKey) -> Status {
    Status::not_found(format!("there is no configuration `{}`", key.name))
}

fn no_version(key: &ConfigKey, version: &str) -> Status {
    Status::not_found(format!("`{}` has no version {version}; see ListVersions", key.name))
}

fn letters_status(error: LettersError) -> Status {
    let text = error.to_string();
    match error {
        LettersError::NoAgent => Status::not_found(text),
        LettersError::NoAnswer(_) => Status::unavailable(text),
        LettersError::Failed(_) => Status::aborted(text),
    }
}

fn past_version(past: &configs::Past) -> ConfigVersion {
    ConfigVersion {
        version: past.configuration.version(),
        written: past.written.as_ref().map(change),
        ended: Some(change(&past.ended)),
        removed: past.removed,
    }
}

fn change(change: &configs::Change) -> Change {
    Change {
        by: change.author.by.clone().into_owned(),
        from: change.author.from.clone(),
        at_ms: u64::try_from(change.at_ms).unwrap_or_default(),
    }
}

fn to_diagnostic(complaint: &Complaint) -> Diagnostic {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Diagnostic {
        code: complaint.code.clone(),
        line: number(complaint.line),
        column: number(complaint.column),
        message: complaint.message.clone(),
        remedy: complaint.remedy.clone(),
    }
}

/// It does not compile.
fn refused(text: String, complaints: &[Complaint]) -> Status {
    let diagnostics = complaints.iter().map(to_diagnostic).collect();
    let details = Diagnostics { diagnostics }.encode_to_vec();
    Status::with_details(Code::InvalidArgument, text, details.into())
}

fn put_status(error: PutError, only_create: bool) -> Status {
    let text = crate::error_chain(&error);
    match error {
        PutError::Refused(complaints) => refused(text, &complaints),
        PutError::Invalid(_) => Status::invalid_argument(text),
        PutError::Managed { .. } => Status::failed_precondition(text),
        PutError::Precondition(_) if only_create => Status::already_exists(text),
        PutError::Precondition(_) => Status::aborted(text),
        PutError::TooLarge { .. } => Status::resource_exhausted(text),
        PutError::Store(_) => Status::unavailable(text),
    }
}
