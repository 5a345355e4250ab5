//! What a framework asks for, and may not ask for.

use super::*;

#[tokio::test]
async fn offers_come_as_they_are_wanted() {
    let bed = bed().await;
    let mut scheduler = subscribe(&bed.master, framework(60.0)).await;
    let no_offer = async |scheduler: &mut Subscribed| {
        let offer = timeout(Duration::from_millis(400), scheduler.offer()).await;
        assert!(offer.is_err(), "an offer came");
    };
    let decline = |offer: Offer, secs: f64| {
        let filters = Some(Filters { refuse_seconds: Some(secs) });
        SchedulerCall::Decline(call::Decline { offer_ids: vec![offer.id], filters })
    };
    let offer = scheduler.offer().await;
    scheduler.call(decline(offer, 0.0)).await;
    let offer = scheduler.offer().await;
    scheduler.call(decline(offer, 1.0)).await;
    no_offer(&mut scheduler).await;
    let offer = scheduler.offer().await;
    scheduler.call(decline(offer, 3600.0)).await;
    no_offer(&mut scheduler).await;
    scheduler.call(SchedulerCall::Revive { roles: vec![] }).await;
    let offer = scheduler.offer().await;
    scheduler.call(SchedulerCall::Suppress { roles: vec!["logs".into()] }).await;
    scheduler.call(decline(offer, 0.0)).await;
    no_offer(&mut scheduler).await;
    // A new subscription says the same.
    bed.master.drop_scheduler_streams();
    scheduler.until(|event| matches!(event, SchedulerEvent::Subscribed { .. }).then_some(())).await;
    no_offer(&mut scheduler).await;
    scheduler.call(SchedulerCall::Revive { roles: vec!["logs".into()] }).await;
    scheduler.offer().await;
    bed.master.shutdown().await;
}

#[tokio::test]
async fn requests_are_checked_as_by_a_master() {
    let bed = bed().await;
    let ask = async |head: &str| {
        let mut stream = tokio::net::TcpStream::connect(bed.master.address()).await.unwrap();
        let request = format!("{head}Host: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        answer.split(' ').nth(1).unwrap_or_default().parse::<u16>().unwrap_or_default()
    };
    let post = "POST /api/v1/scheduler HTTP/1.1\r\n";
    let protobuf = "Content-Type: application/x-protobuf\r\n";
    assert_eq!(ask("GET /api/v1/scheduler HTTP/1.1\r\n").await, 405);
    assert_eq!(ask("GET /nothing HTTP/1.1\r\n").await, 404);
    assert_eq!(ask(post).await, 415);
    assert_eq!(ask(&format!("{post}Content-Type: application/x-protobuf; charset=utf-8\r\n")).await, 415);
    assert_eq!(ask(&format!("{post}{protobuf}")).await, 406);
    assert_eq!(ask(&format!("{post}{protobuf}Accept: application/x-protobuf\r\n")).await, 400);
    bed.master.shutdown().await;
}
