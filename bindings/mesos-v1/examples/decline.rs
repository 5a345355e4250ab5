//! Only the Mesos client: subscribes at a master, and declines every offer. `decline HOST:PORT`.

#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use mesos_v1::proto::scheduler::call::Decline;
use mesos_v1::proto::{Filters, FrameworkInfo};
use mesos_v1::scheduler::{SchedulerCall, SchedulerClient, SchedulerConfig, SchedulerEvent};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let master = std::env::args().nth(1).ok_or("usage: decline HOST:PORT")?.parse()?;
    let framework =
        FrameworkInfo { user: "nobody".into(), name: "decline".into(), ..FrameworkInfo::default() };
    let (handle, mut events) = SchedulerClient::connect(SchedulerConfig::new(vec![master], framework))?;
    while let Some(event) = events.next().await {
        match event {
            SchedulerEvent::Subscribed { framework_id, .. } => {
                println!("subscribed as {}", framework_id.value)
            }
            SchedulerEvent::Offers(offers) => {
                println!("{} offers declined", offers.len());
                let offer_ids = offers.into_iter().map(|offer| offer.id).collect();
                let filters = Some(Filters { refuse_seconds: Some(60.0) });
                handle.call(SchedulerCall::Decline(Decline { offer_ids, filters })).await?;
            }
            SchedulerEvent::Disconnected { reason, .. } => println!("disconnected: {reason}"),
            _ => {}
        }
    }
    Ok(())
}
