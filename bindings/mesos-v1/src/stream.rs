//! The endless answer to SUBSCRIBE.

use http::Response;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use thiserror::Error;

use crate::recordio::{Decoder, RecordError};
use crate::transport::Connection;

/// Why there are no more events on a stream.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The peer closed it.
    #[error("the peer closed the event stream")]
    Closed,
    /// The connection broke.
    #[error("the event stream broke")]
    Broken {
        /// What the HTTP library said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What came is not RecordIO.
    #[error("the event stream is not RecordIO")]
    Record {
        /// What is wrong with it.
        #[from]
        source: RecordError,
    },
    /// A record is not an event.
    #[error("a record of the event stream is not an event")]
    Decode {
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Reads events; closes its connection when dropped.
#[derive(Debug)]
pub(crate) struct EventStream {
    body: Incoming,
    decoder: Decoder,
    // After the body, so that the body goes first.
    _connection: Connection,
}

impl EventStream {
    pub(crate) fn new(connection: Connection, response: Response<Incoming>, max_record_bytes: usize) -> Self {
        Self { body: response.into_body(), decoder: Decoder::new(max_record_bytes), _connection: connection }
    }

    /// Returns the next event. Nothing is lost when the future is dropped.
    pub(crate) async fn next<M: prost::Message + Default>(&mut self) -> Result<M, StreamError> {
        loop {
            if let Some(record) = self.decoder.next_record()? {
                return M::decode(record).map_err(|error| StreamError::Decode { source: error.into() });
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.decoder.push(data);
                    }
                }
                Some(Err(error)) => return Err(StreamError::Broken { source: error.into() }),
                None => {
                    self.decoder.finish()?;
                    return Err(StreamError::Closed);
                }
            }
        }
    }
}
