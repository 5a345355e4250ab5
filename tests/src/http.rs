//! A small HTTP client that returns every answer, whatever its status, and what a server by hand reads.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// What a server answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body as text.
    pub body: String,
}

impl Answer {
    /// Returns the body as JSON.
    ///
    /// # Panics
    ///
    /// If it is none.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}), status {}: {}", self.status, self.body))
    }

    /// Checks the status and returns the answer.
    ///
    /// # Panics
    ///
    /// If the status is another.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "the answer was {}", self.body);
        self
    }
}

/// Sends `method` to `url`, with a JSON body if there is one, and returns the answer.
///
/// # Errors
///
/// Says why no answer came.
pub fn request(method: &str, url: &str, body: Option<&Value>) -> Result<Answer, String> {
    let text = body.map(Value::to_string);
    request_with(method, url, &[("Content-Type", "application/json")], text.as_deref())
}

/// Sends `method` to `url` with any headers and any body.
///
/// # Errors
///
/// Says why no answer came.
pub fn request_with(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: Option<&str>,
) -> Result<Answer, String> {
    let failed = |error: String| format!("{method} {url}: {error}");
    let mut answer = ask(method, url, headers, body).map_err(failed)?;
    let status = answer.status().as_u16();
    let body = answer.body_mut().with_config().limit(1 << 30).read_to_string();
    Ok(Answer { status, body: body.map_err(|error| failed(error.to_string()))? })
}

/// Sends `method` to `url` and returns the answer as it comes, with its headers.
///
/// # Errors
///
/// Says why no answer came.
pub fn ask(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: Option<&str>,
) -> Result<ureq::http::Response<ureq::Body>, String> {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .allow_non_standard_methods(true)
        .timeout_global(Some(Duration::from_secs(30)))
        .build();
    let agent = ureq::Agent::new_with_config(config);
    let mut request = ureq::http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    match body {
        Some(text) => agent.run(request.body(text).map_err(|error| error.to_string())?),
        None => agent.run(request.body(()).map_err(|error| error.to_string())?),
    }
    .map_err(|error| error.to_string())
}

/// Reads one request from a client, to be answered by hand, and returns its body; none when the client has gone.
pub fn read_body(connection: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let (mut length, mut line) = (0, String::new());
    while line != "\r\n" {
        line.clear();
        if connection.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body).ok()?;
    Some(body)
}

/// Returns the JSON at `url`.
///
/// # Errors
///
/// Says why there is none.
pub fn get_json(url: &str) -> Result<Value, String> {
    let answer = request("GET", url, None)?;
    if answer.status != 200 {
        return Err(format!("{url} answered {}: {}", answer.status, answer.body));
    }
    serde_json::from_str(&answer.body).map_err(|error| format!("{url} answered no JSON ({error})"))
}
