//! A receiver with the bulk API, which behaves as badly as servers and networks do.

use std::io::{BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde::Deserialize;

use super::Ledger;
use crate::http::read_body;

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Behaviour {
    Well,
    /// With this status, and takes nothing.
    Status(u16),
    /// 413 for more than a few kilobytes.
    TooLarge,
    /// 429 for every third document.
    Partial,
    /// Takes everything, and ends the connection in the middle of the answer.
    Half,
    /// Reads, and does not answer as long as it is like this.
    Hangs,
    /// Ends every connection.
    Cut,
}

/// A receiver that runs until the program ends.
#[derive(Debug, Clone)]
pub(super) struct Receiver {
    url: String,
    behaviour: Arc<Mutex<Behaviour>>,
}

impl Receiver {
    pub(super) fn start(ledger: &Ledger) -> Self {
        let server = TcpListener::bind("127.0.0.1:0").expect("there is a port");
        let url = format!("http://{}", server.local_addr().expect("it is bound"));
        let receiver = Self { url, behaviour: Arc::new(Mutex::new(Behaviour::Well)) };
        let (serving, ledger) = (receiver.clone(), ledger.clone());
        thread::spawn(move || {
            for connection in server.incoming().flatten() {
                let (serving, ledger) = (serving.clone(), ledger.clone());
                thread::spawn(move || serving.serve(connection, &ledger));
            }
        });
        receiver
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn behave(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap_or_else(PoisonError::into_inner) = behaviour;
    }

    fn behaviour(&self) -> Behaviour {
        *self.behaviour.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves one connection to its end.
    fn serve(&self, connection: TcpStream, ledger: &Ledger) -> Option<()> {
        let mut connection = BufReader::new(connection);
        loop {
            let body = String::from_utf8(read_body(&mut connection)?).ok()?;
            while self.behaviour() == Behaviour::Hangs {
                thread::sleep(Duration::from_millis(20));
            }
            let documents: Vec<&str> = body.lines().skip(1).step_by(2).collect();
            let (status, answer) = match self.behaviour() {
                Behaviour::Cut => {
                    let _ = connection.get_ref().shutdown(Shutdown::Both);
                    return None;
                }
                Behaviour::Status(status) => (status, "{}".to_owned()),
                Behaviour::TooLarge if body.len() > 8_192 && documents.len() > 1 => (413, "{}".to_owned()),
                Behaviour::Partial => {
                    let refused = |index: usize| index % 3 == 2;
                    let taken = documents.iter().enumerate().filter(|(index, _)| !refused(*index));
                    ledger.arrived(taken.map(|(_, document)| message(document)));
                    let items = (0..documents.len()).map(|index| {
                        let status = if refused(index) { 429 } else { 201 };
                        format!(r#"{{"index":{{"status":{status}}}}}"#)
                    });
                    let items: Vec<_> = items.collect();
                    (200, format!(r#"{{"errors":true,"items":[{}]}}"#, items.join(",")))
                }
                behaviour => {
                    ledger.arrived(documents.iter().map(|document| message(document)));
                    let answer = r#"{"errors":false,"items":[]}"#.to_owned();
                    if behaviour == Behaviour::Half {
                        let half = format!("HTTP/1.1 200 -\r\ncontent-length: {}\r\n\r\n{{", answer.len());
                        connection.get_mut().write_all(half.as_bytes()).ok()?;
                        return None;
                    }
                    (200, answer)
                }
            };
            let head = format!("HTTP/1.1 {status} -\r\ncontent-length: {}\r\n\r\n{answer}", answer.len());
            connection.get_mut().write_all(head.as_bytes()).ok()?;
        }
    }
}

/// The record in a document. A document without one is a damaged record.
fn message(document: &str) -> &str {
    #[derive(Deserialize)]
    struct Document<'a> {
        #[serde(borrow)]
        message: &'a str,
    }
    serde_json::from_str::<Document<'_>>(document).map_or(document, |document| document.message)
}
