//! Where others reach this process, and what it is called to them.

use super::settings::Master;
use mesos_v1::endpoint::Endpoint;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

/// The address from which the master, or the ZooKeeper that knows it, is reached leads back, for agents as well in all
/// but odd networks.
pub(super) fn default_url(bound: SocketAddr, master: &Master, is_tls: bool) -> String {
    let ip = if bound.ip().is_unspecified() {
        master
            .hosts()
            .iter()
            .find_map(|host| local_address(host).ok())
            .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
    } else {
        bound.ip()
    };
    format!("http{}://{}", if is_tls { "s" } else { "" }, SocketAddr::new(ip, bound.port()))
}

/// Sends nothing: connecting a datagram socket only chooses the way.
fn local_address(master: &Endpoint) -> io::Result<IpAddr> {
    use std::net::ToSocketAddrs;
    let no_address = || io::Error::other("no address");
    let to = (master.host(), master.port()).to_socket_addrs()?.next().ok_or_else(no_address)?;
    let from: SocketAddr = if to.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(from)?;
    socket.connect(to)?;
    Ok(socket.local_addr()?.ip())
}

/// Names this process to others who find the state in use.
pub(super) fn holder(framework: &str) -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("scheduler of framework `{framework}`, process {} on {host}", std::process::id())
}
