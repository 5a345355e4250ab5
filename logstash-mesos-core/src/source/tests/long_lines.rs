//! Lines of which nothing is held until they are whole.

use super::*;
use crate::memory::Memory;
use crate::pipeline::queue::{Popped, Queue};

/// Blocks so small that a line is longer.
fn small() -> TailSettings {
    let framing = Framing { block_bytes: 64, ..Framing::default() };
    TailSettings { framing, ..quick() }
}

#[tokio::test]
async fn the_last_words_of_a_file_arrive_whole_however_long_they_are() {
    let bed = Bed::new();
    let (log, positions) = (bed.path("app.log"), bed.positions());
    let (long, rest) = ("x".repeat(5000), "y".repeat(3000));
    append(&log, &long);
    let stream = bed.follow(&positions, small());
    let seen = async |offset| {
        for _ in 0..400 {
            if stream.status.snapshot().offset >= offset {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{:?}", stream.status.snapshot());
    };
    seen(5000).await;
    append(&log, &format!("{long}\nshort\n{rest}"));
    let whole = format!("{long}{long}");
    bed.expect(&[&whole, "short"]).await;
    seen(13_007).await;
    // Where another file begins.
    fs::rename(&log, bed.path("app.log.1")).unwrap();
    append(&log, &format!("{rest}\n{long}"));
    bed.expect(&[&whole, "short", &rest, &rest]).await;
    assert!(stream.finish().await.lost.is_empty());
    // And at the end of all.
    bed.expect(&[&whole, "short", &rest, &rest, &long]).await;
}

#[tokio::test]
async fn what_was_not_held_of_a_file_that_is_cut_is_counted() {
    let bed = Bed::new();
    let (log, positions) = (bed.path("app.log"), bed.positions());
    append(&log, &format!("one\n{}", "x".repeat(5000)));
    let stream = bed.follow(&positions, small());
    bed.expect(&["one"]).await;
    for _ in 0..400 {
        if stream.status.snapshot().lag_bytes == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    File::create(&log).unwrap().write_all(b"two\n").unwrap();
    bed.expect(&["one", "two"]).await;
    assert_eq!(stream.stop().await.lost, [(Lost::Truncated, 5000)].into());
}

/// Many files with a line that is longer than a block, before a queue with little memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_lines_of_many_files_pass_one_by_one() {
    const FILES: usize = 20;
    const LONG: usize = 300 << 10;
    const MEMORY: usize = 256 << 10;
    let bed = Bed::new();
    let (positions, memory) = (bed.positions(), Memory::new(MEMORY));
    let queue = Arc::new(Queue::new(&memory));
    let name = |number: usize| format!("{number}.log");
    let streams: Vec<Stream> = (0..FILES)
        .map(|number| {
            append(&bed.path(&name(number)), &"x".repeat(LONG));
            let file = HostFile::new(bed.path(&name(number)), &Directories::default());
            let follow = bed.stream(Arc::new(file), positions.stream(&name(number)), quick());
            bed.run(Follow { sender: Arc::clone(&queue) as _, ..follow })
        })
        .collect();
    for stream in &streams {
        while stream.status.snapshot().offset < LONG as u64 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    for number in 0..FILES {
        append(&bed.path(&name(number)), &format!("{number}\nnext\n"));
    }
    let worker = std::thread::spawn(move || {
        let (mut lines, mut most) = (Vec::new(), 0);
        while lines.len() < 2 * FILES {
            let Popped::Batch(mut batch, held) = queue.pop(None) else { panic!("it is not closed") };
            // As long as it is there, others read what there is room for.
            std::thread::sleep(Duration::from_millis(20));
            most = most.max(memory.used());
            for event in batch.take_events() {
                lines.push(event.fields().get("message").unwrap().as_text().unwrap().to_string());
            }
            batch.ack.delivered();
            drop(held);
        }
        (lines, most)
    });
    let (mut lines, most) = tokio::task::spawn_blocking(|| worker.join().unwrap()).await.unwrap();
    let long = |number| format!("{}{number}", "x".repeat(LONG));
    let mut all: Vec<String> = (0..FILES).flat_map(|number| [long(number), "next".to_owned()]).collect();
    lines.sort();
    all.sort();
    assert!(lines == all, "every line arrives whole, and once");
    assert!(most <= MEMORY + LONG + 4096, "{most}");
    for stream in streams {
        assert!(stream.stop().await.lost.is_empty());
    }
}
