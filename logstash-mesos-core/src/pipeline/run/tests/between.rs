//! Pipelines that send to each other.

use futures_util::FutureExt;

use super::*;
use crate::pipeline::Bus;

fn named(bus: &Bus, id: &str, config: &str) -> RunningPipeline {
    named_with(bus, id, config, &Spools::default())
}

fn named_with(bus: &Bus, id: &str, config: &str, spools: &Spools) -> RunningPipeline {
    let options = CompileOptions::new(catalog()).with(|options| {
        options.catalog = catalog().with([&PROBE]);
        options.pipeline_id = id.to_owned();
    });
    let compiled = compile(config, &options).unwrap_or_else(|e| panic!("{e}"));
    let settings = RunSettings {
        pipeline_id: id.to_owned(),
        workers: 1,
        memory: Memory::new(8192),
        bus: bus.clone(),
        spools: spools.clone(),
        ..RunSettings::default()
    };
    let pipeline = RunningPipeline::start(&compiled, settings).unwrap();
    pipeline.start_inputs(&compiled).unwrap();
    pipeline
}

fn upstream(bus: &Bus, id: &str, output: &str) -> RunningPipeline {
    named(bus, id, &format!("output {{ pipeline {{ {output} }} }}"))
}

fn downstream(bus: &Bus, id: &str, address: &str, probe: &str) -> RunningPipeline {
    named(
        bus,
        id,
        &format!(
            "input {{ pipeline {{ address => '{address}' }} }} output {{ probe {{ name => '{probe}' }} }}"
        ),
    )
}

async fn wait_for(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..2000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within twenty seconds: {what}");
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("m{n}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_delivered_downstream_is_delivered() {
    let bus = Bus::default();
    let flaky = downstream(&bus, "down1", "one", "flaky-down1");
    let ok = named(
        &bus,
        "down2",
        "input { pipeline { address => 'two' tags => ['down'] } }
         filter { mutate { replace => { message => '%{message} %{[@metadata][from]} %{tags}' } } }
         output { probe { name => 'ordered-down2' } }",
    );
    let up = named(
        &bus,
        "up",
        "filter { mutate { add_field => { '[@metadata][from]' => 'up' } } }
         output { pipeline { send_to => ['one', 'two'] } probe { name => 'ordered-up' } }",
    );
    let outcomes = Outcomes::default();
    let (sender, names) = (up.sender(), names(300));
    for ten in names.chunks(10) {
        let ten: Vec<&str> = ten.iter().map(String::as_str).collect();
        assert!(sender.send(batch(&ten, &outcomes)).await);
    }
    // All at the same time: nobody ends before those who send to it.
    let ended = tokio::join!(flaky.shutdown(GRACE), ok.shutdown(GRACE), up.shutdown(GRACE));
    assert_eq!(ended, (Shutdown::Drained, Shutdown::Drained, Shutdown::Drained));
    assert_eq!(*outcomes.lock().unwrap(), vec![Outcome::Delivered; 30]);
    let mut lines = sink("flaky-down1").lines.lock().unwrap().clone();
    lines.sort();
    let mut sorted = names.clone();
    sorted.sort();
    assert_eq!(lines, sorted);
    // One worker and one batch at a time keep the order.
    assert_eq!(*sink("ordered-up").lines.lock().unwrap(), names);
    let expect: Vec<String> = names.iter().map(|name| format!("{name} up down")).collect();
    assert_eq!(*sink("ordered-down2").lines.lock().unwrap(), expect);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_acknowledged_while_downstream_is_stuck_and_everybody_waits() {
    let bus = Bus::default();
    let down = downstream(&bus, "down3", "three", "stuck-down3");
    let up = upstream(&bus, "up3", "send_to => 'three'");
    let outcomes = Outcomes::default();
    let sender = up.sender();
    let mut sent = 0;
    while tokio::time::timeout(Duration::from_millis(500), sender.send(batch(&["x"; 10], &outcomes)))
        .await
        .is_ok()
    {
        sent += 1;
        assert!(sent < 2000, "the queues have no end");
    }
    let delivered = outcomes.lock().unwrap().iter().filter(|outcome| **outcome == Outcome::Delivered).count();
    assert_eq!(delivered, 0);
    let grace = Duration::from_millis(300);
    let ended = tokio::join!(down.shutdown(grace), up.shutdown(grace));
    assert_eq!(ended, (Shutdown::GivenUp, Shutdown::GivenUp));
    wait_for("everything is given back", || outcomes.lock().unwrap().len() == sent + 1).await;
    assert_eq!(*outcomes.lock().unwrap(), vec![Outcome::NotDelivered; sent + 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_without_listener_is_waited_for_or_not() {
    let bus = Bus::default();
    let (insists, careless) = (
        upstream(&bus, "up4", "send_to => 'four'"),
        upstream(&bus, "up5", "send_to => 'four' ensure_delivery => false"),
    );
    let (waiting, dropped) = (Outcomes::default(), Outcomes::default());
    insists.sender().send(batch(&["kept"], &waiting)).await;
    careless.sender().send(batch(&["dropped"], &dropped)).await;
    wait_for("a careless output drops", || *dropped.lock().unwrap() == [Outcome::Delivered]).await;
    let lost = |pipeline: &RunningPipeline| pipeline.counter().counted().lost.get("nobody_listens").copied();
    assert!(lost(&careless).is_some_and(|bytes| bytes > 0));
    assert_eq!(lost(&insists), None);
    wait_for("the trouble is known", || insists.outputs()[0].trouble.is_some()).await;
    let trouble = insists.outputs()[0].trouble.clone().unwrap();
    assert!(trouble.contains("no pipeline listens at `four`"), "{trouble}");
    assert!(waiting.lock().unwrap().is_empty());
    let down = downstream(&bus, "down4", "four", "ok-down4");
    wait_for("it arrives", || *waiting.lock().unwrap() == [Outcome::Delivered]).await;
    assert_eq!(*sink("ok-down4").lines.lock().unwrap(), ["kept"]);
    for pipeline in [insists, careless, down] {
        assert_eq!(pipeline.shutdown(GRACE).await, Shutdown::Drained);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_is_replaced_under_those_that_send_to_it() {
    let bus = Bus::default();
    let mut down = downstream(&bus, "down6", "six", "flaky-down6");
    let up = upstream(&bus, "up6", "send_to => 'six'");
    let outcomes = Outcomes::default();
    let (sender, names) = (up.sender(), names(400));
    for (at, ten) in names.chunks(10).enumerate() {
        let ten: Vec<&str> = ten.iter().map(String::as_str).collect();
        assert!(sender.send(batch(&ten, &outcomes)).await);
        if at % 10 == 5 {
            let before = std::mem::replace(&mut down, downstream(&bus, "down6", "six", "flaky-down6"));
            assert_eq!(before.shutdown(GRACE).await, Shutdown::Drained);
        }
    }
    let ended = tokio::join!(up.shutdown(GRACE), down.shutdown(GRACE));
    assert_eq!(ended, (Shutdown::Drained, Shutdown::Drained));
    assert_eq!(*outcomes.lock().unwrap(), vec![Outcome::Delivered; 40]);
    let mut lines = sink("flaky-down6").lines.lock().unwrap().clone();
    lines.sort();
    let mut sorted = names.clone();
    sorted.sort();
    assert_eq!(lines, sorted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_hears_of_what_is_downstream_also_where_queues_may_be_on_disk() {
    let (bus, dir) = (Bus::default(), tempfile::tempdir().unwrap());
    let spools = Spools::new(dir.path(), u64::MAX);
    let up = named_with(&bus, "up10", "output { pipeline { send_to => 'ten' } }", &spools);
    let down = |name: &str| {
        let config =
            format!("input {{ pipeline {{ address => 'ten' }} }} output {{ probe {{ name => '{name}' }} }}");
        named_with(&bus, "down10", &config, &spools)
    };
    let before = down("gate-down10");
    let outcomes = Outcomes::default();
    up.sender().send(batch(&["a"], &outcomes)).await;
    wait_for("the output is tried", || before.outputs()[0].trouble.is_some()).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(*outcomes.lock().unwrap(), [], "it is in memory only");
    // It is not known downstream whether a source upstream has it still.
    assert_eq!(before.retire(GRACE).await, Shutdown::OnDisk);
    wait_for("it is on disk", || *outcomes.lock().unwrap() == [Outcome::Delivered]).await;
    sink("gate-down10").open.store(true, Ordering::SeqCst);
    let after = down("gate-down10");
    wait_for("it arrives", || *sink("gate-down10").lines.lock().unwrap() == ["a"]).await;
    for pipeline in [up, after] {
        assert_eq!(pipeline.shutdown(GRACE).await, Shutdown::Drained);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_downstream_is_counted_upstream_if_nobody_has_it() {
    let bus = Bus::default();
    let up = named(
        &bus,
        "up11",
        "input { generator { count => 10 message => 'one' } } output { pipeline { send_to => 'eleven' } }",
    );
    let down = downstream(&bus, "down11", "eleven", "stuck-down11");
    wait_for("the output is tried", || down.outputs()[0].trouble.is_some()).await;
    let counters = [up.counter(), down.counter()];
    assert_eq!(up.shutdown(GRACE).await, Shutdown::Drained);
    assert!(!counters[0].is_final(), "what it has handed on is on its way");
    assert_eq!(down.shutdown(Duration::from_secs(1)).await, Shutdown::GivenUp);
    let lost = |counter: &Counter| counter.counted().lost.get("given_up").copied().unwrap_or(0);
    wait_for("it is counted", || counters[0].is_final() && lost(&counters[0]) >= 30).await;
    assert_eq!(lost(&counters[1]), 0, "it is counted once");
}

#[test]
fn an_input_that_begins_after_its_successor_takes_nothing_from_it() {
    struct Counts(AtomicUsize);

    #[async_trait]
    impl BatchSender for Counts {
        async fn send(&self, batch: Batch) -> bool {
            self.0.fetch_add(1, Ordering::Relaxed);
            batch.ack.delivered();
            true
        }
    }

    let bus = Bus::default();
    let (address, [older, newer]) = (Text::from("nine"), [0; 2].map(|_| bus.sockets("down9")));
    let counts = [0; 2].map(|_| Arc::new(Counts(AtomicUsize::new(0))));
    let listen = |run, counts: &Arc<Counts>| {
        bus.listen(&address, run, Arc::clone(counts) as Arc<dyn BatchSender>).unwrap()
    };
    let of_newer = listen(&newer, &counts[1]);
    let of_older = listen(&older, &counts[0]);
    assert_eq!(of_older.nothing_more().now_or_never(), Some(()));
    drop(of_older);
    let outcomes = Outcomes::default();
    let make = |ack| Batch { ack, ..Batch::default() };
    assert_eq!(bus.send(&address, true, make, &batch(&[], &outcomes).ack).now_or_never(), Some(true));
    assert_eq!(counts.each_ref().map(|counts| counts.0.load(Ordering::Relaxed)), [0, 1]);
    drop(of_newer);
    assert_eq!(bus.send(&address, true, make, &batch(&[], &outcomes).ack).now_or_never(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_pipeline_listens_at_an_address() {
    let bus = Bus::default();
    let twice = named(
        &bus,
        "twice",
        "input { pipeline { address => 'seven' } pipeline { address => 'seven' } } output { probe { name => 'ok-twice' } }",
    );
    wait_for("the second input fails", || twice.counters().failed_inputs() == 1).await;
    // Another pipeline gets it when it is free.
    let later = downstream(&bus, "later", "seven", "ok-later");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(twice.shutdown(GRACE).await, Shutdown::Drained);
    let up = upstream(&bus, "up7", "send_to => 'seven'");
    let outcomes = Outcomes::default();
    up.sender().send(batch(&["late"], &outcomes)).await;
    wait_for("it arrives", || *outcomes.lock().unwrap() == [Outcome::Delivered]).await;
    assert_eq!(*sink("ok-later").lines.lock().unwrap(), ["late"]);
    tokio::join!(up.shutdown(GRACE), later.shutdown(GRACE));
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelines_on_two_buses_do_not_know_of_each_other() {
    let (first, second) = (Bus::default(), Bus::default());
    let down = [
        downstream(&first, "down8", "eight", "ok-down8-first"),
        downstream(&second, "down8", "eight", "ok-down8-second"),
    ];
    let up = [upstream(&first, "up8", "send_to => 'eight'"), upstream(&second, "up8", "send_to => 'eight'")];
    let outcomes = Outcomes::default();
    up[0].sender().send(batch(&["one"], &outcomes)).await;
    up[1].sender().send(batch(&["two"], &outcomes)).await;
    wait_for("both arrive", || *outcomes.lock().unwrap() == [Outcome::Delivered; 2]).await;
    assert_eq!(*sink("ok-down8-first").lines.lock().unwrap(), ["one"]);
    assert_eq!(*sink("ok-down8-second").lines.lock().unwrap(), ["two"]);
    for pipeline in up.into_iter().chain(down) {
        assert_eq!(pipeline.shutdown(GRACE).await, Shutdown::Drained);
    }
}
