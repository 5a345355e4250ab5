//! Both sides with each other, with certificates of every kind.

use std::io;
use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{ServerName, UnixTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::testing::Certificates;
use super::*;

fn server(made: &Certificates, certificate: &str, key: &str) -> ServerTls {
    ServerTls {
        identity: identity(made, certificate, key),
        client_authentication: ClientAuthentication::None,
        authorities: Vec::new(),
        offer: Offer::default(),
        handshake_timeout: Duration::from_secs(10),
    }
}

fn identity(made: &Certificates, certificate: &str, key: &str) -> Identity {
    Identity {
        certificate: made.path(certificate),
        extra_chain: Vec::new(),
        key: made.path(key),
        passphrase: None,
    }
}

fn client(made: &Certificates, authority: &str) -> ClientTls {
    ClientTls { authorities: vec![made.path(authority)], ..ClientTls::default() }
}

/// Says something in both directions and returns what each side knows of the other.
async fn talk(server: &ServerTls, client: &ClientTls, host: &str) -> Result<(Peer, Peer), String> {
    let acceptor = Acceptor::new(server).map_err(|error| error.to_string())?;
    let connector = Connector::new(client).map_err(|error| error.to_string())?;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepting = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = acceptor.accept(stream).await?;
        let mut said = [0; 5];
        stream.read_exact(&mut said).await?;
        stream.write_all(&said).await?;
        stream.shutdown().await?;
        Ok::<_, io::Error>(stream.peer())
    };
    let connecting = async {
        let mut stream = connector.connect(host, TcpStream::connect(address).await?).await?;
        stream.write_all(b"hello").await?;
        stream.flush().await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        assert_eq!(answer, b"hello");
        assert!(!stream.is_open());
        Ok::<_, io::Error>(stream.peer())
    };
    let (accepted, connected) = tokio::join!(accepting, connecting);
    let text = |error: io::Error| error.to_string();
    // What the client has against the server is the cause where both complain.
    let connected = connected.map_err(text)?;
    Ok((accepted.map_err(text)?.unwrap(), connected.unwrap()))
}

#[tokio::test]
async fn a_server_is_believed_by_its_authority_and_its_name() {
    let made = Certificates::new();
    let server = server(&made, "server.pem", "server.key");
    for host in ["localhost", "127.0.0.1"] {
        let (of_client, of_server) = talk(&server, &client(&made, "ca.pem"), host).await.unwrap();
        assert_eq!((of_client.subject, of_server.subject.as_deref()), (None, Some("CN=localhost")));
        assert_eq!(of_client.protocol, "TLSv1.3");
        assert!(of_client.cipher.starts_with("TLS_AES_256"), "{}", of_client.cipher);
    }
    let error = talk(&server, &client(&made, "ca.pem"), "example.org").await.unwrap_err();
    assert!(error.contains("example.org"), "{error}");
    let certificate = ClientTls { verification: Verification::Certificate, ..client(&made, "ca.pem") };
    talk(&server, &certificate, "example.org").await.unwrap();

    made.authority("other");
    let error = talk(&server, &client(&made, "other.pem"), "localhost").await.unwrap_err();
    assert!(error.contains("certificate"), "{error}");
    let stranger = ClientTls { verification: Verification::Certificate, ..client(&made, "other.pem") };
    assert!(talk(&server, &stranger, "localhost").await.is_err());
    // Nobody that everybody knows has signed it.
    assert!(talk(&server, &ClientTls::default(), "localhost").await.is_err());
    let nothing = ClientTls { verification: Verification::None, ..ClientTls::default() };
    talk(&server, &nothing, "example.org").await.unwrap();
}

#[tokio::test]
async fn clients_show_certificates_where_they_must() {
    let made = Certificates::new();
    made.signed("client", "ca", "/C=DE/O=Acme/CN=client", "");
    made.authority("other");
    made.signed("stranger", "other", "/CN=stranger", "");
    let shows = |name: &str| ClientTls {
        identity: Some(identity(&made, &format!("{name}.pem"), &format!("{name}.key"))),
        ..client(&made, "ca.pem")
    };
    let mut server = ServerTls {
        client_authentication: ClientAuthentication::Required,
        authorities: vec![made.path("ca.pem")],
        ..server(&made, "server.pem", "server.key")
    };
    let (of_client, _) = talk(&server, &shows("client"), "localhost").await.unwrap();
    assert_eq!(of_client.subject.as_deref(), Some("CN=client,O=Acme,C=DE"));
    assert!(talk(&server, &client(&made, "ca.pem"), "localhost").await.is_err());
    assert!(talk(&server, &shows("stranger"), "localhost").await.is_err());
    server.client_authentication = ClientAuthentication::Optional;
    assert_eq!(talk(&server, &client(&made, "ca.pem"), "localhost").await.unwrap().0.subject, None);
    assert!(talk(&server, &shows("stranger"), "localhost").await.is_err());
}

#[tokio::test]
async fn a_certificate_that_signed_itself_is_believed_when_it_is_named() {
    let made = Certificates::new();
    // As most people make one: it claims to be an authority, and its host is its common name.
    made.openssl(
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout self.key -out self.pem",
    );
    let self_signed = server(&made, "self.pem", "self.key");
    talk(&self_signed, &client(&made, "self.pem"), "localhost").await.unwrap();
    assert!(talk(&self_signed, &client(&made, "self.pem"), "example.org").await.is_err());
    assert!(talk(&self_signed, &client(&made, "ca.pem"), "localhost").await.is_err());
    // Nor is the common name forgotten where an authority signed.
    made.signed("named", "ca", "/CN=localhost", "");
    let named = server(&made, "named.pem", "named.key");
    talk(&named, &client(&made, "ca.pem"), "localhost").await.unwrap();
    assert!(talk(&named, &client(&made, "ca.pem"), "127.0.0.1").await.is_err());
    // Out of time, on both ways to be believed.
    let settings = client(&made, "self.pem");
    let verifier = verify::Verifier::new(&settings, settings.offer.provider().unwrap()).unwrap();
    let shown = pem::certificates(&made.path("self.pem")).unwrap().remove(0);
    let name = ServerName::try_from("localhost").unwrap();
    let at = |days: i64| {
        let now = UnixTime::now().as_secs().checked_add_signed(days * 86_400).unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
        verifier.verify_server_cert(&shown, &[], &name, &[], now).map_err(|error| error.to_string())
    };
    assert!(at(0).is_ok());
    assert!(at(10).unwrap_err().contains("Expired"), "{:?}", at(10));
    assert!(at(-10).unwrap_err().contains("NotValidYet"), "{:?}", at(-10));
}

#[tokio::test]
async fn an_authority_is_known_by_its_fingerprint() {
    use sha2::{Digest, Sha256};
    let made = Certificates::new();
    let chain =
        ["server.pem", "ca.pem"].map(|name| std::fs::read_to_string(made.path(name)).unwrap()).concat();
    std::fs::write(made.path("chain.pem"), chain).unwrap();
    let fingerprint = |name: &str| {
        let certificate = pem::certificates(&made.path(name)).unwrap().remove(0);
        ClientTls { fingerprints: vec![Sha256::digest(&certificate).into()], ..ClientTls::default() }
    };
    let brings_it = server(&made, "chain.pem", "server.key");
    talk(&brings_it, &fingerprint("ca.pem"), "localhost").await.unwrap();
    talk(&brings_it, &fingerprint("server.pem"), "localhost").await.unwrap();
    assert!(talk(&brings_it, &fingerprint("ca.pem"), "example.org").await.is_err());
    assert!(
        talk(&server(&made, "server.pem", "server.key"), &fingerprint("ca.pem"), "localhost").await.is_err()
    );
    // The certificate comes along, and has nothing to do with the server.
    made.authority("other");
    let chain =
        ["server.pem", "other.pem"].map(|name| std::fs::read_to_string(made.path(name)).unwrap()).concat();
    std::fs::write(made.path("foreign.pem"), chain).unwrap();
    let foreign = server(&made, "foreign.pem", "server.key");
    assert!(talk(&foreign, &fingerprint("other.pem"), "localhost").await.is_err());
}

#[tokio::test]
async fn keys_of_every_form() {
    let made = Certificates::new();
    made.openssl("genrsa -traditional -out pkcs1.key 2048");
    made.openssl("req -x509 -key pkcs1.key -days 2 -subj /CN=localhost -out rsa.pem");
    made.openssl("pkcs8 -topk8 -nocrypt -in pkcs1.key -out plain.key");
    made.openssl("pkcs8 -topk8 -in pkcs1.key -passout pass:secret -out aes.key");
    made.openssl("pkcs8 -topk8 -v2 des3 -v2prf hmacWithSHA1 -in pkcs1.key -passout pass:secret -out des.key");
    made.openssl("pkcs8 -topk8 -scrypt -in pkcs1.key -passout pass:secret -out scrypt.key");
    made.openssl("ec -in server.key -out sec1.key");
    let passphrase = |tls: ServerTls, passphrase: &str| {
        let identity = Identity { passphrase: Some(passphrase.to_owned()), ..tls.identity };
        ServerTls { identity, ..tls }
    };
    for (certificate, key) in [("rsa.pem", "pkcs1.key"), ("rsa.pem", "plain.key"), ("server.pem", "sec1.key")]
    {
        let server = server(&made, certificate, key);
        let authority = if certificate == "rsa.pem" { certificate } else { "ca.pem" };
        talk(&server, &client(&made, authority), "localhost").await.unwrap_or_else(|e| panic!("{key}: {e}"));
    }
    for key in ["aes.key", "des.key", "scrypt.key"] {
        let locked = server(&made, "rsa.pem", key);
        let opened = passphrase(locked.clone(), "secret");
        talk(&opened, &client(&made, "rsa.pem"), "localhost").await.unwrap_or_else(|e| panic!("{key}: {e}"));
        let error = Acceptor::new(&locked).unwrap_err().to_string();
        assert!(error.contains("ssl_key_passphrase"), "{error}");
        let error = Acceptor::new(&passphrase(locked, "wrong")).unwrap_err().to_string();
        assert!(error.contains("cannot be decrypted"), "{error}");
    }
}

#[test]
fn files_that_do_not_fit_are_named_with_a_remedy() {
    let made = Certificates::new();
    made.openssl("genrsa -traditional -aes128 -passout pass:secret -out old.key 2048");
    made.openssl("x509 -in server.pem -outform DER -out server.der");
    made.openssl("pkcs12 -export -in server.pem -inkey server.key -passout pass:secret -out server.p12");
    std::fs::write(made.path("store.jks"), b"\xfe\xed\xfe\xed\0\0\0\x02").unwrap();
    let cases = [
        ("server.pem", "old.key", "openssl pkcs8 -topk8"),
        ("server.pem", "ca.key", "is it the key of the certificate?"),
        ("server.pem", "server.pem", "no PEM key"),
        ("server.key", "server.key", "no PEM certificate"),
        ("server.der", "server.key", "-inform DER"),
        ("server.p12", "server.key", "openssl pkcs12"),
        ("store.jks", "server.key", "keytool"),
        ("nothing", "server.key", "No such file"),
    ];
    for (certificate, key, said) in cases {
        let error = Acceptor::new(&server(&made, certificate, key)).unwrap_err().to_string();
        assert!(error.contains(said), "{certificate}, {key}: {error}");
    }
}

#[tokio::test]
async fn versions_and_ciphers_are_what_was_asked_for() {
    let made = Certificates::new();
    let offer = |protocols: &[&str], suites: &[&str]| Offer {
        protocols: protocols.iter().map(ToString::to_string).collect(),
        cipher_suites: suites.iter().map(ToString::to_string).collect(),
        ..Offer::default()
    };
    let cases = [
        (offer(&["TLSv1.2"], &[]), "TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
        (offer(&["TLSv1.1", "TLSv1.2"], &[]), "TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
        (offer(&["TLSv1.3"], &["tls_aes_128_gcm_sha256"]), "TLSv1.3", "TLS_AES_128_GCM_SHA256"),
        (
            offer(&[], &["TLS_RSA_WITH_AES_128_CBC_SHA", "ECDHE-ECDSA-AES128-GCM-SHA256"]),
            "TLSv1.2",
            "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        ),
        (
            offer(&[], &["ECDHE-ECDSA-CHACHA20-POLY1305"]),
            "TLSv1.2",
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        ),
    ];
    for (offer, protocol, cipher) in cases {
        let server = ServerTls { offer, ..server(&made, "server.pem", "server.key") };
        let (of_client, _) = talk(&server, &client(&made, "ca.pem"), "localhost").await.unwrap();
        assert_eq!((of_client.protocol.as_str(), of_client.cipher.as_str()), (protocol, cipher));
    }
    for (offer, said) in [
        (offer(&["TLSv1.1"], &[]), "TLSv1.2"),
        (offer(&[], &["TLS_RSA_WITH_AES_128_CBC_SHA"]), "TLS_AES_256_GCM_SHA384"),
    ] {
        let server = ServerTls { offer, ..server(&made, "server.pem", "server.key") };
        let error = Acceptor::new(&server).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[tokio::test]
async fn whoever_speaks_something_else_is_sent_away() {
    let made = Certificates::new();
    let settings = ServerTls {
        handshake_timeout: Duration::from_millis(200),
        ..server(&made, "server.pem", "server.key")
    };
    let acceptor = Acceptor::new(&settings).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    for (says, said) in [(&b"hello, this is no TLS\n"[..], "does not speak TLS"), (b"", "too long")] {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(says).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let error = acceptor.accept(stream).await.unwrap_err();
        assert!(error.to_string().contains(said) && !only_went_away(&error), "{error}");
    }
    drop(TcpStream::connect(address).await.unwrap());
    let (stream, _) = listener.accept().await.unwrap();
    assert!(only_went_away(&acceptor.accept(stream).await.unwrap_err()));
}

#[test]
fn files_are_read_again_when_they_change_and_bad_ones_change_nothing() {
    let made = Certificates::new();
    let ours = identity(&made, "server.pem", "server.key");
    let client = Reloaded::new(ClientTls { identity: Some(ours), ..client(&made, "ca.pem") });
    let first = client.latest().unwrap();
    assert!(Arc::ptr_eq(&first, &client.latest().unwrap()), "nothing is read twice");
    // A certificate whose key is still to come.
    made.signed("other", "ca", "/CN=other.example", "DNS:other.example");
    std::fs::copy(made.path("other.pem"), made.path("server.pem")).unwrap();
    assert!(Arc::ptr_eq(&first, &client.latest().unwrap()));
    std::fs::copy(made.path("other.key"), made.path("server.key")).unwrap();
    let second = client.latest().unwrap();
    assert!(!Arc::ptr_eq(&first, &second));
    std::fs::remove_file(made.path("ca.pem")).unwrap();
    assert!(Arc::ptr_eq(&second, &client.latest().unwrap()));

    let never = Reloaded::new(ClientTls { authorities: vec![made.path("none")], ..ClientTls::default() });
    assert!(never.latest().is_err());
}

// Masters found in ZooKeeper and agents are connected to by address, while their certificates are for their names.
#[cfg(feature = "scheduler")]
#[tokio::test]
async fn a_certificate_may_be_for_the_name_that_its_holder_announces() {
    use mesos_v1::endpoint::Endpoint;
    use mesos_v1::operator::{OperatorClient, OperatorError};
    use mesos_v1::tls::Tls;

    let made = Certificates::new();
    made.signed("named", "ca", "/CN=m1", "DNS:m1.example");
    let acceptor = Acceptor::new(&server(&made, "named.pem", "named.key")).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::new("127.0.0.1", listener.local_addr().unwrap().port()).unwrap().with_tls(true);
    let serving = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // One that does not believe us hangs up.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let answer = b"HTTP/1.1 503 -\r\nContent-Length: 0\r\n\r\n";
            stream.write_all(answer).await.unwrap();
            stream.flush().await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    let reloaded = Reloaded::new(client(&made, "ca.pem"));
    let tls = Tls::from_fn(move || reloaded.latest().map_err(Into::into));
    for (announced, reached) in [("m1.example", true), ("m2.example", false), ("", false)] {
        let masters = vec![endpoint.clone().with_announced_name(announced)];
        let asking = OperatorClient::new(masters).with(|client| client.tls = tls.clone());
        let error = asking.version().await.unwrap_err();
        assert_eq!(matches!(error, OperatorError::NoLeader { .. }), reached, "{announced}: {error}");
        assert_eq!(!error.to_string().contains("stands in its certificate"), reached, "{error}");
    }
    serving.abort();
}
