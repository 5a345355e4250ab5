use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::*;
use base64::Engine as _;

/// Runs `openssl` in `directory`, and returns what it printed.
fn openssl(directory: &std::path::Path, arguments: &str, input: &[u8]) -> Result<Vec<u8>, String> {
    let mut child = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl is installed (package openssl)");
    child.stdin.take().expect("is piped").write_all(input).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into())
    }
}

/// A directory with a private key in both forms and its public key.
fn keys() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let run = |arguments| openssl(directory.path(), arguments, b"").expect("openssl works");
    run("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem");
    run("rsa -in key.pem -traditional -out old.pem");
    run("pkey -in key.pem -pubout -out public.pem");
    run("ecparam -name prime256v1 -genkey -noout -out ec.pem");
    directory
}

fn secret(directory: &std::path::Path, key: &str, login_endpoint: &str) -> Value {
    let private_key = std::fs::read_to_string(directory.join(key)).expect("a key");
    json!({"uid": "shipper", "private_key": private_key, "login_endpoint": login_endpoint, "scheme": "RS256"})
}

/// Verifies a token as DC/OS does: with the public key, and its time.
fn verified(directory: &std::path::Path, token: &str) -> Option<Value> {
    let (signed, signature) = token.rsplit_once('.')?;
    std::fs::write(directory.join("signature"), URL_SAFE_NO_PAD.decode(signature).ok()?).expect("writes");
    openssl(directory, "dgst -sha256 -verify public.pem -signature signature", signed.as_bytes()).ok()?;
    let (header, claims) = signed.split_once('.')?;
    let part =
        |text: &str| -> Option<Value> { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok() };
    let now = jiff::Timestamp::now().as_second();
    let claims = part(claims)?;
    (part(header)?["alg"] == "RS256" && claims["exp"].as_i64()? > now).then_some(claims)
}

#[test]
fn a_login_is_signed_so_that_the_public_key_verifies_it() {
    let directory = keys();
    for key in ["key.pem", "old.pem"] {
        let json = secret(directory.path(), key, "https://leader.mesos/acs/api/v1/auth/login").to_string();
        let account = ServiceAccount::parse(&json).expect("is a service account");
        let body =
            account.login_request(std::time::SystemTime::now(), Duration::from_secs(60)).expect("signs");
        let body: Value = serde_json::from_str(&body).expect("is JSON");
        let token = body["token"].as_str().expect("has a token");
        assert_eq!(verified(directory.path(), token).expect("is verified")["uid"], "shipper");
        assert_eq!(
            verified(directory.path(), &token.replacen('.', ".e", 1)),
            None,
            "the oracle sees a forgery"
        );
        assert!(!format!("{account:?}").contains("PRIVATE"));
    }
}

#[test]
fn a_secret_that_cannot_be_right_is_named_by_its_part() {
    let directory = keys();
    let good = secret(directory.path(), "key.pem", "https://leader.mesos/acs/api/v1/auth/login");
    let ec = std::fs::read_to_string(directory.path().join("ec.pem")).expect("a key");
    for (name, value) in [
        ("uid", json!(" ")),
        ("scheme", json!("HS256")),
        ("private_key", json!("no key")),
        ("private_key", json!(ec)),
        ("login_endpoint", json!("leader.mesos")),
    ] {
        let mut secret = good.clone();
        secret[name] = value;
        let error = ServiceAccount::parse(&secret.to_string()).expect_err(name).to_string();
        assert!(error.contains(&format!("`{name}`")) && !error.contains("PRIVATE"), "{error}");
    }
    assert!(matches!(ServiceAccount::parse("{}"), Err(ServiceAccountError::Json(_))));
}

/// What grants tokens: valid for as many seconds as the number says, none at 0.
async fn granting(life: Arc<AtomicU64>) -> (String, tokio::task::JoinHandle<()>) {
    let grant = async |State(life): State<Arc<AtomicU64>>, Json(login): Json<Value>| {
        let seconds = life.load(Ordering::Relaxed);
        if seconds == 0 || login["uid"] != "shipper" {
            return Err((StatusCode::UNAUTHORIZED, "Invalid credentials"));
        }
        let expires = jiff::Timestamp::now().as_second() + i64::try_from(seconds).expect("is small");
        let claims = URL_SAFE_NO_PAD.encode(json!({"exp": expires, "uid": "shipper"}).to_string());
        Ok(Json(json!({"token": format!("e30.{claims}.{}", uuid::Uuid::new_v4().simple())})))
    };
    let router = Router::new().route("/acs/api/v1/auth/login", post(grant)).with_state(life);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/acs/api/v1/auth/login", listener.local_addr().expect("is bound"));
    let serving = tokio::spawn(async move { axum::serve(listener, router).await.expect("serves") });
    (url, serving)
}

#[tokio::test]
async fn a_token_is_renewed_before_it_runs_out() {
    let directory = keys();
    let life = Arc::new(AtomicU64::new(0));
    let (url, serving) = granting(life.clone()).await;
    let json = secret(directory.path(), "key.pem", &url).to_string();
    let account = Arc::new(ServiceAccount::parse(&json).expect("is a service account"));
    let authorization = Credentials::ServiceAccount(account).authorization(&ClientTls::default());
    let until = async |change: &mut dyn FnMut(Option<&str>) -> bool| {
        let changed = async {
            loop {
                let header = authorization.header();
                if change(header.as_ref().and_then(|header| header.to_str().ok())) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(20), changed).await.expect("the header changes");
    };
    assert_eq!(authorization.header(), None);
    life.store(2, Ordering::Relaxed);
    let mut first = String::new();
    until(&mut |header| header.map(|header| first = header.to_owned()).is_some()).await;
    assert!(first.starts_with("token=e30."), "{first}");
    until(&mut |header| header.is_some_and(|header| header != first)).await;
    serving.abort();
}
