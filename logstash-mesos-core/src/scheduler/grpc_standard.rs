//! The standard services of gRPC beside ours: health, and reflection, with which a client needs no file of ours.
//!
//! <https://github.com/grpc/grpc/blob/master/doc/health-checking.md>

use super::shared::Shared;
use crate::protocol::FILE_DESCRIPTOR_SET;
use async_trait::async_trait;
use axum::Router;
use futures_util::stream::BoxStream;
use std::sync::Arc;
use std::time::Duration;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::IntervalStream;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_reflection::server::{Builder, Error};

/// Both, for whoever leads.
pub(super) fn router<S: Clone + Send + Sync + 'static>(shared: Arc<Shared>) -> Result<Router<S>, Error> {
    let described = || {
        Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    Ok(Router::new()
        .route_service("/grpc.health.v1.Health/{method}", HealthServer::new(HealthService { shared }))
        .route_service("/grpc.reflection.v1.ServerReflection/{method}", described().build_v1()?)
        // What most clients still ask for.
        .route_service("/grpc.reflection.v1alpha.ServerReflection/{method}", described().build_v1alpha()?))
}

/// Says how the leader is.
#[derive(Debug)]
struct HealthService {
    shared: Arc<Shared>,
}

impl HealthService {
    /// The process as a whole has no name; none has another name than ours.
    fn status(shared: &Shared, service: &str) -> Option<ServingStatus> {
        match service {
            "" => Some(ServingStatus::Serving),
            CONTROL if shared.link().connected => Some(ServingStatus::Serving),
            CONTROL => Some(ServingStatus::NotServing),
            _ => None,
        }
    }
}

#[async_trait]
impl Health for HealthService {
    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let service = request.into_inner().service;
        let status = Self::status(&self.shared, &service)
            .ok_or_else(|| Status::not_found(format!("there is no service `{service}`, only {CONTROL}")))?;
        Ok(Response::new(HealthCheckResponse { status: status.into() }))
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let service = request.into_inner().service;
        let (shared, lead_ends) = (self.shared.clone(), self.shared.lead_ends().cancelled_owned());
        let mut last = None;
        let looks = IntervalStream::new(tokio::time::interval(LOOK_EVERY));
        let changes = looks.filter_map(move |_| {
            let status = Self::status(&shared, &service).unwrap_or(ServingStatus::ServiceUnknown);
            let news = last.replace(status) != Some(status);
            news.then(|| Ok(HealthCheckResponse { status: status.into() }))
        });
        Ok(Response::new(Box::pin(futures_util::StreamExt::take_until(changes, lead_ends))))
    }
}

const CONTROL: &str = "logstash_mesos.control.v1.Control";
const LOOK_EVERY: Duration = Duration::from_secs(1);
