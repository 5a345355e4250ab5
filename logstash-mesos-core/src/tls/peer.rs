//! Who is on the other side.

/// What TLS says about the other side of a connection, in Java's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The version of the protocol: `TLSv1.3`.
    pub protocol: String,
    /// The cipher suite: `TLS_AES_256_GCM_SHA384`.
    pub cipher: String,
    /// The subject of the certificate it showed, as in RFC 2253: `CN=a,O=b`.
    pub subject: Option<String>,
}
