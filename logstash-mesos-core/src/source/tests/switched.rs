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
    let file = Arc::new(HostFile::new(&log, &Directories::default()));
    let follow = bed.stream(file, positions.stream("app.log"), quick());
    let stream = bed.run(Follow { decoder: Box::new(Marked), ..follow });
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
    stream.stop().await;
}
