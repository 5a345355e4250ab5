//! Questions to name servers, as the system's configuration names them. They are asked from a thread that may wait.

mod servers;
#[cfg(test)]
pub(crate) mod testing;
mod wire;

pub(crate) use hickory_proto::rr::RecordType;
pub(crate) use servers::{Servers, TimedOut, server_address};
pub(crate) use wire::reverse_name;
