//! Datagrams as they come, and a count of what is lost of them before an event is made.
//!
//! A sender of datagrams gets no answer. While the queue of the pipeline takes nothing they wait in the buffer of the
//! socket, and what comes when that is full the system drops; it counts them, for each socket
//! (`drops` of `/proc/net/udp`, see proc_pid_net(5)).

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::{RecvFlags, SocketAddrAny, recvfrom};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use super::net;
use crate::event::{Batch, Blob};
use crate::pipeline::plugin::InputContext;
use crate::source::Lost;
use logstash_mesos_engine::time::Seldom;

/// The longest that the protocol has.
pub(super) const LONGEST: usize = 65_536;
/// Most datagrams and bytes of a batch, about.
const AT_ONCE: usize = 500;
const BYTES_AT_ONCE: usize = 256 << 10;
/// How often the system is asked what it has dropped.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What came, and the address that it came from.
pub(super) struct Datagram {
    pub(super) data: Blob,
    pub(super) sender: String,
}

/// A socket that takes datagrams.
pub(super) struct Datagrams {
    address: String,
    socket: Arc<UdpSocket>,
    // While nobody takes any.
    dropped: Option<Dropped>,
    buffer: Vec<u8>,
    cut: Seldom,
}

impl Datagrams {
    /// Listens, as soon as the address is free; of each datagram the first `longest` bytes are kept. `None` when the input
    /// shall end.
    pub(super) async fn listen(host: &str, port: u16, longest: usize, cx: &InputContext) -> Option<Self> {
        let address = format!("udp {host}:{port}");
        let socket = net::listening(&address, cx, |_| true, || UdpSocket::bind((host, port))).await?;
        let dropped = Dropped::of(&*socket, address.clone());
        Some(Self {
            address,
            socket,
            dropped: Some(dropped),
            buffer: vec![0; longest],
            cut: Seldom::default(),
        })
    }

    /// To set it up.
    pub(super) fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// Has `make` make batches of what has come, one or many, and sends them, until the input or the pipeline ends.
    pub(super) async fn serve(mut self, cx: &InputContext, make: impl FnMut(Vec<Datagram>) -> Batch) {
        let Some(mut dropped) = self.dropped.take() else { return };
        let counting = async {
            let mut every = interval(LOOK_EVERY);
            every.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                every.tick().await;
                dropped.count(cx);
            }
        };
        // Both at once: they are dropped while the queue is waited for.
        tokio::select! {
            () = self.take(cx, make) => {}
            () = counting => {}
        }
        dropped.count(cx);
    }

    async fn take(&mut self, cx: &InputContext, mut make: impl FnMut(Vec<Datagram>) -> Batch) {
        loop {
            let ready = tokio::select! {
                ready = self.socket.ready(Interest::READABLE) => ready,
                () = cx.shutdown.cancelled() => return,
            };
            if let Err(error) = ready {
                return warn!(%error, address = self.address, "Datagrams are received no more");
            }
            let (mut datagrams, mut bytes) = (Vec::new(), 0);
            // What has come meanwhile goes along.
            while datagrams.len() < AT_ONCE && bytes < BYTES_AT_ONCE {
                match self.socket.try_io(Interest::READABLE, || receive(&self.socket, &mut self.buffer)) {
                    Ok((len, from)) => {
                        let kept = len.min(self.buffer.len());
                        if kept < len {
                            self.note_cut(len - kept, cx);
                        }
                        let data = Blob::from(&self.buffer[..kept]);
                        datagrams.push(Datagram { data, sender: sender(from) });
                        bytes += kept;
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => {
                        warn!(%error, address = self.address, "Datagram cannot be received");
                        break;
                    }
                }
            }
            if datagrams.is_empty() {
                continue;
            }
            let batch = make(datagrams);
            if !batch.is_empty() && !cx.events.send(batch).await {
                return;
            }
        }
    }

    fn note_cut(&self, bytes: usize, cx: &InputContext) {
        cx.tally.add_lost(Lost::DatagramTooLong, bytes as u64);
        if self.cut.is_due() {
            warn!(
                address = self.address,
                lost_bytes = bytes,
                "Datagrams are longer than `buffer_size`, the rest of each is left out: make that larger"
            );
        }
    }
}

/// The length of the next datagram, of which as much as there is room for is in `buffer`, and who sent it.
fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, Option<SocketAddrAny>)> {
    let (_, len, from) = recvfrom(socket, buffer, RecvFlags::TRUNC)?;
    Ok((len, from))
}

fn sender(from: Option<SocketAddrAny>) -> String {
    from.and_then(|from| std::net::SocketAddr::try_from(from).ok())
        .map(|from| from.ip().to_canonical().to_string())
        .unwrap_or_default()
}

/// What the system has dropped of a socket's datagrams.
struct Dropped {
    address: String,
    // How the system names the socket in its tables; none if it does not say.
    inode: Option<u64>,
    known: u64,
    said: Seldom,
}

impl Dropped {
    fn of(socket: impl AsFd, address: String) -> Self {
        let inode = rustix::fs::fstat(socket).map(|stat| stat.st_ino).ok();
        let mut dropped = Self { address, inode, known: 0, said: Seldom::default() };
        // Before it was handed over, if it was: the run before this one has counted these.
        dropped.known = dropped.now();
        dropped
    }

    /// Those that it has dropped since the socket was opened.
    fn now(&self) -> u64 {
        let mut tables = ["udp", "udp6"].iter();
        let found = tables.find_map(|name| {
            let table = std::fs::read_to_string(format!("/proc/self/net/{name}")).ok()?;
            drops_of(&table, self.inode?)
        });
        found.unwrap_or(0)
    }

    /// Counts those that it has dropped since it was last asked.
    fn count(&mut self, cx: &InputContext) {
        let new = self.now().saturating_sub(self.known);
        if new == 0 {
            return;
        }
        self.known += new;
        cx.tally.add_lost(Lost::DatagramDropped, new);
        if self.said.is_due() {
            warn!(
                address = self.address,
                datagrams = self.known,
                "The system has dropped datagrams, as the buffer of the socket was full: see whether an output takes nothing, \
                 and what `receive_buffer_bytes` and net.core.rmem_max are"
            );
        }
    }
}

/// The last column of the line of a socket, in a table of the system.
fn drops_of(table: &str, inode: u64) -> Option<u64> {
    const INODE: usize = 9;
    const DROPS: usize = 12;
    let mut lines = table.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    let line = lines.find(|columns| columns.get(INODE).and_then(|text| text.parse().ok()) == Some(inode))?;
    line.get(DROPS)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{free_port, receiving};
    use super::*;
    use crate::event::{Event, Text, Timestamp};

    fn make(datagrams: Vec<Datagram>) -> Batch {
        let event = |datagram: Datagram| {
            Event::from_message(
                Text::from(String::from_utf8_lossy(&datagram.data).as_ref()),
                Timestamp::EPOCH,
            )
        };
        Batch { events: datagrams.into_iter().map(event).collect(), ..Batch::default() }
    }

    /// Serves what has come until `done` says so of how many events came, and what was lost.
    async fn serve(
        datagrams: Datagrams,
        cx: InputContext,
        mut events: Events,
        done: impl Fn(u64, &Tally) -> bool,
    ) {
        let (shutdown, tally) = (cx.shutdown.clone(), Arc::clone(&cx.tally));
        let serving = tokio::spawn(async move { datagrams.serve(&cx, make).await });
        let mut came = 0;
        let all = async {
            while !done(came, &tally) {
                let soon = tokio::time::timeout(Duration::from_millis(20), events.recv());
                came += u64::from(soon.await.is_ok_and(|event| event.is_some()));
            }
        };
        tokio::time::timeout(Duration::from_secs(20), all).await.expect("in time");
        shutdown.cancel();
        serving.await.expect("it does not panic");
    }

    type Events = tokio::sync::mpsc::UnboundedReceiver<super::super::testing::Received>;
    type Tally = crate::source::Tally;

    #[tokio::test]
    async fn what_the_system_drops_is_counted() {
        let (cx, events) = receiving();
        let port = free_port();
        let datagrams = Datagrams::listen("127.0.0.1", port, LONGEST, &cx).await.expect("the port is free");
        let tally = Arc::clone(&cx.tally);
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").expect("there is a free port");
        // Nobody takes them yet, and no buffer is that large.
        const SENT: u64 = 20_000;
        for _ in 0..SENT {
            sender.send_to(&[b'x'; 1024], ("127.0.0.1", port)).expect("it is sent");
        }
        let dropped = |tally: &Tally| tally.lost().get(&Lost::DatagramDropped).copied().unwrap_or(0);
        serve(datagrams, cx, events, |came, tally| came > 0 && came + dropped(tally) == SENT).await;
        assert!(dropped(&tally) > 0);
    }

    #[tokio::test]
    async fn what_is_left_out_of_a_datagram_is_counted() {
        let (cx, events) = receiving();
        let port = free_port();
        let datagrams = Datagrams::listen("127.0.0.1", port, 100, &cx).await.expect("the port is free");
        let tally = Arc::clone(&cx.tally);
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").expect("there is a free port");
        for len in [100, 101, 1100] {
            sender.send_to(&vec![b'x'; len], ("127.0.0.1", port)).expect("it is sent");
        }
        serve(datagrams, cx, events, |came, _| came == 3).await;
        assert_eq!(tally.lost().get(&Lost::DatagramTooLong), Some(&1001));
    }

    #[test]
    fn a_socket_is_found_in_the_table_of_the_system() {
        let table = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n \
                     1234: 0100007F:1F90 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 0000000000000000 17\n \
                     1235: 0100007F:1F91 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4712 2 0000000000000000 0\n";
        assert_eq!(drops_of(table, 4711), Some(17));
        assert_eq!(drops_of(table, 4712), Some(0));
        assert_eq!(drops_of(table, 17), None);
    }
}
