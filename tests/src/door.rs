//! An output that is down for as long as a test wants.

use std::collections::BTreeSet;
use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::http::read_body;
use crate::wait::{PATIENCE, until};

/// Takes what is posted, line by line, once it is open; refuses it with 503 until then.
#[derive(Debug)]
pub struct Door {
    url: String,
    is_open: Arc<AtomicBool>,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Door {
    /// Listens, and refuses.
    #[must_use]
    pub fn shut() -> Self {
        let server = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a port");
        let url = format!("http://{}/", server.local_addr().expect("it is bound"));
        let door = Self { url, is_open: Arc::default(), lines: Arc::default() };
        let (is_open, lines) = (Arc::clone(&door.is_open), Arc::clone(&door.lines));
        std::thread::spawn(move || {
            for connection in server.incoming().flatten() {
                let (is_open, lines) = (Arc::clone(&is_open), Arc::clone(&lines));
                std::thread::spawn(move || serve(connection, &is_open, &lines));
            }
        });
        door
    }

    /// Where to post to.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Takes what comes from now on.
    pub fn open(&self) {
        self.is_open.store(true, Ordering::SeqCst);
    }

    /// Waits until all of `expected` have come, in any order and however often; `printed` is what the program under
    /// test says.
    #[track_caller]
    pub fn expect(&self, expected: &[String], printed: impl Fn() -> String) {
        until("all lines", PATIENCE, || {
            let seen: BTreeSet<String> = self.lines.lock().expect("no panic").iter().cloned().collect();
            let missing: Vec<_> = expected.iter().filter(|line| !seen.contains(*line)).take(5).collect();
            if missing.is_empty() { Ok(()) } else { Err(format!("missing {missing:?}\n{}", printed())) }
        });
    }
}

fn serve(connection: TcpStream, is_open: &AtomicBool, taken: &Mutex<Vec<String>>) -> Option<()> {
    let mut connection = BufReader::new(connection);
    loop {
        let body = read_body(&mut connection)?;
        let open = is_open.load(Ordering::SeqCst);
        if open {
            let text = String::from_utf8(body).ok()?;
            taken.lock().expect("no panic").push(text.trim().to_owned());
        }
        let status = if open { "200 OK" } else { "503 Service Unavailable" };
        write!(connection.get_mut(), "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").ok()?;
    }
}
