//! A name server on a port of the loopback interface.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Answers until it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<(String, u16)>>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// A name, its type and its data: addresses, a name, or `HOST:PORT`.
type Record = (String, u16, String);

impl Server {
    /// A server that knows `records`; data of several words are several records.
    pub(crate) fn start(records: &[(&str, u16, &str)]) -> Self {
        let own = |(name, kind, data): &(&str, u16, &str)| ((*name).to_owned(), *kind, (*data).to_owned());
        Self::run(Some(records.iter().map(own).collect()))
    }

    /// A server that never answers.
    pub(crate) fn silent() -> Self {
        Self::run(None)
    }

    /// The names it was asked for over UDP. Where IPv6 is in use, the addresses of a name are two questions,
    /// and one here.
    pub(crate) fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        let second = |at: usize| asked[at].1 == 1 && at > 0 && asked[at - 1] == (asked[at].0.clone(), 28);
        (0..asked.len()).filter(|at| !second(*at)).map(|at| asked[at].0.clone()).collect()
    }

    fn run(records: Option<Vec<Record>>) -> Self {
        // The port that is free for one protocol may be taken for the other.
        let (udp, address, tcp) = (0..100)
            .find_map(|_| {
                let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
                let address = udp.local_addr().unwrap();
                TcpListener::bind(address).ok().map(|tcp| (udp, address, tcp))
            })
            .unwrap();
        udp.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        tcp.set_nonblocking(true).unwrap();
        let (asked, stop) = (Arc::<Mutex<Vec<(String, u16)>>>::default(), Arc::<AtomicBool>::default());
        let (log, stopped, known) = (Arc::clone(&asked), Arc::clone(&stop), records.clone());
        let over_udp = move || {
            let mut message = [0; 512];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((len, peer)) = udp.recv_from(&mut message) else { continue };
                let question = &message[..len];
                log.lock().unwrap().push((name(question), kind(question)));
                if let Some(records) = &known {
                    let mut answer = answer(question, records);
                    if answer.len() > 512 {
                        // The question alone, truncated.
                        answer.truncate(question.len());
                        answer[2] |= 2;
                        answer[6..8].copy_from_slice(&[0, 0]);
                    }
                    udp.send_to(&answer, peer).unwrap();
                }
            }
        };
        let stopped = Arc::clone(&stop);
        let over_tcp = move || {
            while !stopped.load(Ordering::Relaxed) {
                let Ok((mut stream, _)) = tcp.accept() else {
                    std::thread::sleep(Duration::from_millis(5));
                    continue;
                };
                stream.set_nonblocking(false).unwrap();
                let mut len = [0; 2];
                stream.read_exact(&mut len).unwrap();
                let mut question = vec![0; usize::from(u16::from_be_bytes(len))];
                stream.read_exact(&mut question).unwrap();
                let answer = answer(&question, records.as_deref().unwrap_or_default());
                let len = u16::try_from(answer.len()).unwrap().to_be_bytes();
                stream.write_all(&[&len, answer.as_slice()].concat()).unwrap();
            }
        };
        let threads = vec![std::thread::spawn(over_udp), std::thread::spawn(over_tcp)];
        Self { address, asked, stop, threads }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the server ended badly");
        }
    }
}

fn name(question: &[u8]) -> String {
    let mut labels = Vec::new();
    let mut rest = &question[12..];
    while let Some((&len, after)) = rest.split_first().filter(|(len, _)| **len > 0) {
        let (label, after) = after.split_at(usize::from(len));
        labels.push(String::from_utf8(label.to_vec()).unwrap());
        rest = after;
    }
    labels.join(".")
}

fn kind(question: &[u8]) -> u16 {
    u16::from_be_bytes([question[question.len() - 4], question[question.len() - 3]])
}

fn answer(question: &[u8], records: &[Record]) -> Vec<u8> {
    let kind = kind(question);
    let mut wanted = name(question);
    let mut out = question.to_vec();
    let (mut known, mut count) = (false, 0_u16);
    // An alias stands before what it leads to.
    for alias in [true, false] {
        for (name, have, data) in records {
            if *name != wanted {
                continue;
            }
            known = true;
            if (alias && *have != 5) || (!alias && *have != kind) {
                continue;
            }
            for data in data.split(' ') {
                write_name(name, &mut out);
                out.extend_from_slice(&have.to_be_bytes());
                out.extend_from_slice(&[0, 1, 0, 0, 0, 60]);
                let mut bytes = Vec::new();
                match *have {
                    1 => bytes.extend(data.parse::<std::net::Ipv4Addr>().unwrap().octets()),
                    33 => {
                        let (host, port) = data.split_once(':').unwrap();
                        bytes.extend([0; 4]);
                        bytes.extend(port.parse::<u16>().unwrap().to_be_bytes());
                        write_name(host, &mut bytes);
                    }
                    _ => write_name(data, &mut bytes),
                }
                out.extend_from_slice(&u16::try_from(bytes.len()).unwrap().to_be_bytes());
                out.extend_from_slice(&bytes);
                count += 1;
            }
            if alias {
                wanted = data.clone();
            }
        }
    }
    out[2] = 0x81;
    out[3] = if known { 0 } else { 3 };
    out[6..8].copy_from_slice(&count.to_be_bytes());
    out
}

fn write_name(name: &str, out: &mut Vec<u8>) {
    for label in name.split('.') {
        out.push(u8::try_from(label.len()).unwrap());
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
}
