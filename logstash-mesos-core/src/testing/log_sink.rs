//! The clauses of the contract of [`LogSink`], one function each.

use std::sync::Arc;

use crate::event::Ack;
use crate::sink::{Delivered, LogSink, RecordBatch};

/// A sink with its destination, as a test sees it.
pub trait Destination {
    /// The sink under test; each call gives the same one.
    fn sink(&self) -> Arc<dyn LogSink>;

    /// The bytes of a record that carries `text` (no line break in it), in the form the sink transports.
    fn record(&self, text: &str) -> Vec<u8>;

    /// The texts that have arrived so far, in order.
    fn arrived(&self) -> Vec<String>;
}

/// Checks every clause against destinations that `fresh` makes, empty each time.
///
/// # Panics
///
/// At the first clause that does not hold.
pub async fn conformance<D: Destination>(fresh: impl AsyncFn() -> D) {
    records_arrive_in_order(&fresh().await).await;
    nothing_is_no_trouble(&fresh().await).await;
    a_batch_may_come_twice(&fresh().await).await;
    batches_may_be_on_their_way_together(&fresh().await).await;
    large_records_pass(&fresh().await).await;
    a_dropped_delivery_can_be_repeated(&fresh().await).await;
}

/// What `deliver` says it has is there when it returns, in the order of the batch.
pub async fn records_arrive_in_order(to: &impl Destination) {
    let texts: Vec<String> = (0..100).map(|n| format!("record {n}")).collect();
    deliver(to, &texts).await;
    assert_eq!(to.arrived(), texts);
}

/// An empty batch, and flushing at any time, change nothing.
pub async fn nothing_is_no_trouble(to: &impl Destination) {
    to.sink().flush().await.expect("flushes");
    deliver(to, &[]).await;
    deliver(to, &["one".to_owned()]).await;
    to.sink().flush().await.expect("flushes");
    to.sink().flush().await.expect("flushes");
    deliver(to, &["two".to_owned()]).await;
    assert_eq!(to.arrived(), ["one", "two"]);
}

/// At least once: a repeated batch is taken.
pub async fn a_batch_may_come_twice(to: &impl Destination) {
    let texts = ["a".to_owned(), "b".to_owned()];
    deliver(to, &texts).await;
    deliver(to, &texts).await;
    let mut arrived = to.arrived();
    arrived.sort();
    arrived.dedup();
    assert_eq!(arrived, texts);
}

/// Deliveries at the same time do not mix their records up.
pub async fn batches_may_be_on_their_way_together(to: &impl Destination) {
    let texts = |batch: usize| (0..50).map(|n| format!("{batch} {n}")).collect::<Vec<_>>();
    let batches: Vec<_> = (0..4).map(|n| batch(to, &texts(n))).collect();
    let sink = to.sink();
    let (a, b, c, d) = tokio::join!(
        sink.deliver(&batches[0]),
        sink.deliver(&batches[1]),
        sink.deliver(&batches[2]),
        sink.deliver(&batches[3]),
    );
    for result in [a, b, c, d] {
        assert_eq!(result.expect("delivers"), Delivered::default());
    }
    let arrived = to.arrived();
    assert_eq!(arrived.len(), 200);
    for n in 0..4 {
        let mine: Vec<_> =
            arrived.iter().filter(|text| text.starts_with(&format!("{n} "))).cloned().collect();
        assert_eq!(mine, texts(n));
    }
}

/// A record of a megabyte is a record like others.
pub async fn large_records_pass(to: &impl Destination) {
    let large = "x".repeat(1 << 20);
    deliver(to, &["small".to_owned(), large.clone(), "small".to_owned()]).await;
    assert_eq!(to.arrived(), ["small".to_owned(), large, "small".to_owned()]);
}

/// A dropped call may have taken effect or not; delivering again makes sure.
pub async fn a_dropped_delivery_can_be_repeated(to: &impl Destination) {
    let whole = batch(to, &["dropped".to_owned()]);
    let sink = to.sink();
    let mut call = sink.deliver(&whole);
    // Polled once, then dropped.
    let started = std::future::poll_fn(|cx| std::task::Poll::Ready(call.as_mut().poll(cx).is_ready())).await;
    drop(call);
    let _may_have_arrived = started;
    sink.deliver(&whole).await.expect("delivers");
    assert!(to.arrived().contains(&"dropped".to_owned()));
}

async fn deliver(to: &impl Destination, texts: &[String]) {
    let delivered = to.sink().deliver(&batch(to, texts)).await.expect("delivers");
    assert_eq!(delivered, Delivered::default());
}

fn batch(to: &impl Destination, texts: &[String]) -> Arc<RecordBatch> {
    let mut batch = RecordBatch { ack: Ack::none(), ..RecordBatch::default() };
    for text in texts {
        batch.body.extend_from_slice(&to.record(text));
        batch.finish_record(None);
    }
    Arc::new(batch)
}
