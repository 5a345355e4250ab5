//! In the place of TLS where it was left out of the build: types of which there is no value.

use std::io;

use tokio::net::TcpStream;

use super::{ClientTls, ServerTls, Stream, TlsError};

/// Takes connections from clients; never made without the feature `tls`.
#[derive(Clone, Debug)]
pub enum Acceptor {}

/// Makes connections to servers; never made without the feature `tls`.
#[derive(Clone, Debug)]
pub enum Connector {}

fn left_out() -> TlsError {
    TlsError::Setup("this program was built without the feature `tls`".to_owned())
}

impl Acceptor {
    /// Says that there is no TLS here.
    ///
    /// # Errors
    ///
    /// Always [`TlsError::Setup`].
    pub fn new(_: &ServerTls) -> Result<Self, TlsError> {
        Err(left_out())
    }

    /// Not to be called, as none can be made.
    ///
    /// # Errors
    ///
    /// Has none, as it is not called.
    pub async fn accept(&self, _: TcpStream) -> io::Result<Stream> {
        match *self {}
    }
}

impl Connector {
    /// Says that there is no TLS here.
    ///
    /// # Errors
    ///
    /// Always [`TlsError::Setup`].
    pub fn new(_: &ClientTls) -> Result<Self, TlsError> {
        Err(left_out())
    }

    /// Not to be called, as none can be made.
    ///
    /// # Errors
    ///
    /// Has none, as it is not called.
    pub async fn connect(&self, _: &str, _: TcpStream) -> io::Result<Stream> {
        match *self {}
    }
}
