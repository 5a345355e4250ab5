//! A name server, and programs that have it as theirs.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::{A, SRV};
use hickory_proto::rr::{Name, RData, Record, RecordType};

/// A name server on an address of the loopback network. Every name with `.node.` in it is 127.0.0.1.
#[derive(Debug)]
pub struct NameServer {
    services: Arc<Mutex<Vec<(String, u16)>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    resolv_conf: PathBuf,
}

/// Mounts the file named first over the system's, for itself, and becomes the program that follows.
const WITHIN: &str = "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"";

impl NameServer {
    /// Starts a server that knows no service yet, and keeps its `resolv.conf` in `directory`.
    ///
    /// # Panics
    ///
    /// If port 53 of an address of the loopback network cannot be had, which needs root.
    #[must_use]
    pub fn start(directory: &Path) -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let [low, high, ..] = std::process::id().to_le_bytes();
        let address = Ipv4Addr::new(127, 64 | high & 63, low, NEXT.fetch_add(1, Ordering::Relaxed));
        let socket = UdpSocket::bind((address, 53)).expect("root may have port 53");
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("it is a socket");
        let (services, stop) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<AtomicBool>::default());
        let (known, stopped) = (Arc::clone(&services), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut packet = [0; 512];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((len, peer)) = socket.recv_from(&mut packet) else { continue };
                let known = known.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if let Some(answer) = answer(&packet[..len], &known) {
                    let _ = socket.send_to(&answer, peer);
                }
            }
        });
        let resolv_conf = directory.join("resolv.conf");
        fs::write(&resolv_conf, format!("nameserver {address}\n")).expect("the test's directory is writable");
        Self { services, stop, thread: Some(thread), resolv_conf }
    }

    /// Has `name` stand for a service at one port of this machine, from now on.
    pub fn set(&self, name: &str, port: u16) {
        *self.services.lock().unwrap_or_else(PoisonError::into_inner) = vec![(name.to_owned(), port)];
    }

    /// Returns what to start a program with, for [`Recipe::within`](crate::process::Recipe::within), so that this is its
    /// name server.
    #[must_use]
    pub fn within(&self) -> [&str; 6] {
        let file = self.resolv_conf.to_str().expect("paths of tests are UTF-8");
        ["unshare", "--mount", "sh", "-c", WITHIN, file]
    }

    /// Writes a script that runs `program` with this name server.
    #[must_use]
    pub fn script(&self, program: &Path) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let script = self.resolv_conf.with_file_name("with-names");
        let (file, program) = (self.resolv_conf.display(), program.display());
        let text = format!("#!/bin/sh\nexec unshare --mount sh -c '{WITHIN}' {file} {program}\n");
        fs::write(&script, text).expect("the test's directory is writable");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("it was written above");
        script
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer(question: &[u8], services: &[(String, u16)]) -> Option<Vec<u8>> {
    let mut message = Message::from_vec(question).ok()?;
    let query = message.queries.first()?.clone();
    let name = query.name().to_ascii();
    let name = name.trim_end_matches('.');
    let service = services.iter().find(|(service, _)| service == name);
    let data = match (query.query_type(), service) {
        (RecordType::SRV, Some((_, port))) => {
            let target = Name::from_ascii("a.node.test.").ok()?;
            Some(RData::SRV(SRV::new(0, 0, *port, target)))
        }
        (RecordType::A, _) if name.contains(".node.") => Some(RData::A(A(Ipv4Addr::LOCALHOST))),
        _ => None,
    };
    message.metadata.message_type = MessageType::Response;
    message.additionals.clear();
    message.edns = None;
    if data.is_none() && service.is_none() && !name.contains(".node.") {
        message.metadata.response_code = ResponseCode::NXDomain;
    }
    message.add_answers(data.map(|data| Record::from_rdata(query.name().clone(), 1, data)));
    message.to_vec().ok()
}
