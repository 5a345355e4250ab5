//! When a decoder is told that a file has ended.

use super::*;

/// Makes an event of every line, and one of each file's end.
struct Marked;

impl Decoder for Marked {
    fn decode(&mut self, lines: Lines, batch: &mut Batch) -> Kept {
        Plain.decode(lines, batch)
    }

    fn flush(&mut self, reason: Flush, batch: &mut Batch) -> Kept {
        if reason == Flush::Rotated {
            batch.events.push(Event::from_message(Text::from("ended"), Timestamp::new(0, 0)));
        }
        Kept::NOTHING
    }
}

#[tokio::test]
async fn the_end_of_a_file_is_told_in_front_of_the_next_one_and_never_in_the_middle_of_it() {
    let bed = Bed::new();
    let (log, positions) = (bed.path("app.log"), bed.positions());
    append(&log, "one\n");
    let stop = Stop::default();
    let task = bed.readers.follow(Follow {
        opener: Arc::new(HostFile::new(&log, &Directories::default())),
        settings: quick(),
        positions: positions.stream("app.log"),
        decoder: Box::new(Marked),
        sender: Arc::clone(&bed.received) as _,
        status: Arc::default(),
        stop: stop.clone(),
        close_after: None,
    });
    bed.expect(&["one"]).await;
    let writer = OpenOptions::new().append(true).open(&log).unwrap();
    fs::rename(&log, bed.path("app.log.1")).unwrap();
    append(&log, "two\n");
    bed.expect(&["one", "ended", "two"]).await;
    // Now the first one ends, which is found out after a while.
    drop(writer);
    tokio::time::sleep(Duration::from_secs(2)).await;
    append(&log, "three\n");
    bed.expect(&["one", "ended", "two", "three"]).await;
    stop.now.cancel();
    assert_eq!(task.await.unwrap(), Ended::Stopped);
}
